"""How soon a thread hands the interpreter over to one that waits for it."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

USUAL_S = 0.002
"""A thread of the store that comes back from the disk gets the interpreter sooner than by default. Not at
once: the writer asks for it after every statement, and each time that it is handed over costs both.
"""
SOON_S = 0.000_2
_lock = threading.Lock()
_at_work = 0
_before_s = 0.0


@contextmanager
def handed_over_soon() -> Iterator[None]:
    """Let other threads have the interpreter sooner while this one computes for long: they need it for a
    moment at a time, and each time would wait for as long as is usual.
    """
    global _at_work, _before_s
    with _lock:
        if not _at_work:
            _before_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_before_s, SOON_S))
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if not _at_work:
                sys.setswitchinterval(_before_s)
