"""What a terminal may be sent: text that cannot drive it, colour only where it is wanted."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

if sys.platform != "win32":
    import termios

_PICTURES = {code: 0x2400 + code for code in range(32) if code not in (9, 10)}
_PICTURES[127] = 0x2421
_PICTURES |= dict.fromkeys(range(128, 160), 0xFFFD)


def neutral(text: str) -> str:
    """Return `text` with every control character but tab and line feed replaced by a picture of it.

    Whoever wrote a message must not be able to move the cursor, set the title or fill the clipboard of
    whoever reads it.
    """
    return text.replace("\r\n", "\n").translate(_PICTURES)


def one_line(text: str) -> str:
    """Return `text` as one line that is safe to show."""
    return neutral(" ".join(text.split()))


def is_rich(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal that takes colours and cursor movements, and nobody asked for
    plain text.
    """
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") not in ("dumb", "unknown")
    )


@contextlib.contextmanager
def silent_keyboard() -> Iterator[None]:
    """Keep what is typed meanwhile off the screen; it is read by the next prompt."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    silent = termios.tcgetattr(keyboard)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(keyboard, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def size(count_bytes: float) -> str:
    """Return a number of bytes for a reader: `1.2 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if count_bytes < 1000:
            return f"{count_bytes:.0f} {unit}" if unit == "bytes" else f"{count_bytes:.1f} {unit}"
        count_bytes /= 1000
    return f"{count_bytes:.2f} GB"
