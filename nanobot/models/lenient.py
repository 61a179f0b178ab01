"""JSON of servers that break characters: half surrogate pairs, bytes that are not UTF-8."""

import json
import math
from typing import Any

_MAX_DIGITS = 1000


def decode_any(payload: bytes) -> object:
    """Return what JSON says, whatever is wrong with its characters.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """
    return repaired(loads(payload))


def loads(payload: bytes) -> Any:
    """Return what JSON says; strings may hold half surrogate pairs.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """
    # The standard library's decoder alone reads half a surrogate pair.
    return json.loads(payload.decode("utf-8", "replace"), parse_int=_integer)


def _integer(digits: str) -> int | float:
    # Python refuses to read thousands of digits; as a number of anything they are nonsense.
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf


def repaired(value: Any) -> Any:
    """Return `value` with the surrogates in its strings joined to characters, or replaced."""
    if isinstance(value, str):
        return (
            value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, list):
        return [repaired(item) for item in value]
    if isinstance(value, dict):
        return {repaired(key): repaired(item) for key, item in value.items()}
    return value
