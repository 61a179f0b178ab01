"""How soon a thread hands the interpreter over to one that waits for it; for all threads of the process."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FEW_JOBS_S = 0.000_5
MANY_JOBS_S = 0.002
"""While the store writes. Its writer asks for the interpreter after every statement, and each time that it is
handed over costs both threads: where many jobs share a commit it is had more seldom; where few do, each of
them is somebody's wait.
"""
COMPUTING_S = 0.000_2
"""While a thread computes for long."""
_lock = threading.Lock()
_computing = 0
_usual_s = 0.0


def hand_over_after(seconds: float) -> None:
    """Let a thread that waits for the interpreter have it after so long, sooner while one computes."""
    global _usual_s
    with _lock:
        _usual_s = seconds
        if not _computing:
            sys.setswitchinterval(seconds)


@contextmanager
def handed_over_soon() -> Iterator[None]:
    """Let other threads have the interpreter sooner while this one computes for long: they need it for a
    moment at a time, and each time would wait for as long as is usual.
    """
    global _computing, _usual_s
    with _lock:
        if not _computing:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_usual_s, COMPUTING_S))
        _computing += 1
    try:
        yield
    finally:
        with _lock:
            _computing -= 1
            if not _computing:
                sys.setswitchinterval(_usual_s)
