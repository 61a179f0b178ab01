"""Codes that link two accounts of a person: shown in one chat, typed in the other."""

import hashlib

from nanobot.core.ids import Randomness

LIFE_S = 600.0
"""How long a code is valid."""
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without letters that look like digits."""
_READ_AS = str.maketrans("OIL", "011", " -")
_LETTERS = 10
_HALF = _LETTERS // 2


def new_code(randomness: Randomness) -> str:
    """Return a new code of 50 random bits, as `7K2MQ-04XTR`."""
    bits = randomness.getrandbits(5 * _LETTERS)
    letters = "".join(_ALPHABET[bits >> shift & 31] for shift in range(0, 5 * _LETTERS, 5))
    return f"{letters[:_HALF]}-{letters[_HALF:]}"


def digest_of_code(code: str) -> bytes:
    """Return what is kept of a code, however it is typed: small letters, spaces, `O` for `0`.

    A plain hash: the code is random, and over before its bits could be tried.
    """
    return hashlib.sha256(code.upper().translate(_READ_AS).encode("utf-8", "surrogatepass")).digest()
