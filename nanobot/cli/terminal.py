"""Text that is safe to print on a terminal, and what kind of terminal it is."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO

if sys.platform == "win32":
    import msvcrt
else:
    import termios

# Unicode has a picture of each ASCII control character.
_PICTURES = {code: 0x2400 + code for code in range(32) if code not in (9, 10)}
_PICTURES[127] = 0x2421
_PICTURES |= dict.fromkeys(range(128, 160), 0xFFFD)


def neutral(text: str) -> str:
    """Return `text` with every control character but tab and line feed replaced by a picture of it.

    The author of a message must not be able to move the reader's cursor, set the title or fill the clipboard.
    """
    return text.replace("\r\n", "\n").translate(_PICTURES)


def one_line(text: str) -> str:
    """Return `text` as one line that is safe to show."""
    return neutral(" ".join(text.split()))


def is_rich(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal with colours and cursor movements, and the user has not asked
    for plain text with NO_COLOR.
    """
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") not in ("dumb", "unknown")
    )


@contextlib.contextmanager
def silent_keyboard() -> Iterator[None]:
    """Turn off the echo, so that what is typed meanwhile appears only at the next prompt."""
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


def unread_keys(keyboard: int) -> str:
    """Take what was typed at the terminal and nobody has read yet; nothing where `keyboard` is none."""
    if sys.platform == "win32":
        typed = ""
        while msvcrt.kbhit():
            typed += msvcrt.getwch()
        return typed
    try:
        before = termios.tcgetattr(keyboard)
    except termios.error:
        return ""
    # Also what no Enter has ended yet, and without waiting for more.
    at_once = termios.tcgetattr(keyboard)
    at_once[3] &= ~(termios.ICANON | termios.ECHO)
    at_once[6][termios.VMIN] = at_once[6][termios.VTIME] = 0
    termios.tcsetattr(keyboard, termios.TCSANOW, at_once)
    try:
        return b"".join(iter(lambda: os.read(keyboard, 4096), b"")).decode("utf-8", "ignore")
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)


def size(count_bytes: float) -> str:
    """Return a number of bytes in a unit that suits it: `1.2 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if count_bytes < 1000:
            return f"{count_bytes:.0f} {unit}" if unit == "bytes" else f"{count_bytes:.1f} {unit}"
        count_bytes /= 1000
    return f"{count_bytes:.2f} GB"


def local_time(moment: float) -> str:
    """Return seconds since the epoch as date and time of this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
