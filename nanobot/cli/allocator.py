"""What the C library does with memory that is free again."""

import ctypes
import sys
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 1024 * 1024


def give_large_blocks_back() -> None:
    """Let large blocks, such as the body of a request, go back to the system as soon as they are free.

    By itself glibc keeps them once it has seen a few, and never returns what lies below a block in use. Other
    C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, 4 * _LARGE_BYTES)
