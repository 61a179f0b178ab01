"""Ids: names of turns and requests that sort by time and cannot be guessed."""

from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Randomness(Protocol):
    """Where chance comes from; `random.SystemRandom()` in a server, a seeded `random.Random` in a test."""

    def getrandbits(self, k: int, /) -> int: ...

    def random(self) -> float: ...


def new_id(prefix: str, now: float, randomness: Randomness) -> str:
    """Return `prefix_` and 26 characters: 48 bits of milliseconds, then 80 random bits (the layout of a ULID)."""
    number = (int(now * 1000) & (2**48 - 1)) << 80 | randomness.getrandbits(80)
    characters = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(characters)}"
