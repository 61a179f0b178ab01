"""Ids: names of turns and requests that sort by time and cannot be guessed."""

import hashlib
import os
from typing import Protocol

from nanobot.core.late_pattern import LatePattern

_CALL_ID = LatePattern(r"[0-9A-Za-z]{9}")
_LETTERS_AND_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# Two characters at a time take half the steps, and every request and every turn gets an id.
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_POOL_BYTES = 4_096
# Python's own base 32, as `int` reads it, has other letters.
_BASE_32 = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")


class Randomness(Protocol):
    """Where random bits come from: `SystemRandomness` in a server, a seeded `random.Random` in a test."""

    def getrandbits(self, k: int, /) -> int: ...


class SystemRandomness:
    """The operating system's randomness, read in blocks: one read for each id would cost more than the rest
    of making it.
    """

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def getrandbits(self, k: int, /) -> int:
        size = (k + 7) // 8
        if self._at + size > len(self._pool):
            self._pool = os.urandom(max(_POOL_BYTES, size))
            self._at = 0
        taken = self._pool[self._at : self._at + size]
        self._at += size
        return int.from_bytes(taken) >> (8 * size - k)


def new_id(prefix: str, now: float, randomness: Randomness) -> str:
    """Return `prefix_` and 26 characters: 48 bits of milliseconds, then 80 random bits (the layout of a
    ULID).
    """
    number = (int(now * 1000) & (2**48 - 1)) << 80 | randomness.getrandbits(80)
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])}"


def new_file_id(now: float, randomness: Randomness) -> str:
    """Return an id for an upload; OpenAI's have a hyphen."""
    return "file-" + new_id("file", now, randomness).removeprefix("file_")


def time_of(id_: str) -> float:
    """Return when the id was made, in seconds since the epoch; 0 if it is not one of `new_id`'s."""
    try:
        return int(id_[-26:-16].translate(_BASE_32), 32) / 1000
    except ValueError:
        return 0.0


def call_id(text: str) -> str:
    """Return the text as the id of a call, which every provider takes and no client rewrites: nine letters
    and digits, always the same for the same text, and the text itself where it is such an id.
    """
    if _CALL_ID.fullmatch(text):
        return text
    number = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    digits = []
    for _ in range(9):
        number, digit = divmod(number, len(_LETTERS_AND_DIGITS))
        digits.append(_LETTERS_AND_DIGITS[digit])
    return "".join(digits)
