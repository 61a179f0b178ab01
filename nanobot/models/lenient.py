"""JSON of servers that break characters (half surrogate pairs, bytes that are not UTF-8), or shapes."""

import json
import math
from contextlib import suppress
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

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


class Halves:
    """Puts characters together that were cut in two between the pieces of a text."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def whole(self, place: str, text: str) -> str:
        """Return the piece `text` of what is at `place` without half characters at its end: the first half of
        one is kept for the next piece.
        """
        text = self._kept.pop(place, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._kept[place] = text[-1]
            text = text[:-1]
        return text


def fitted(value: Any, shape: Any) -> Any:
    """Return `value` as `shape` (a struct, a list, a plain type, or a union with None), as far as it fits:
    numbers are taken for strings and strings for numbers, one object for a list of one; what has another
    type is left out.

    Raises:
        ValueError: nothing of it fits.
    """
    if shape is msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(value))
    if shape is Any:
        return value
    options = [each for each in get_args(shape) if each is not NoneType] if _is_union(shape) else [shape]
    if value is None and len(options) < len(get_args(shape)):
        return None
    for option in options:
        if isinstance(option, type) and issubclass(option, msgspec.Struct) and isinstance(value, dict):
            return _struct(value, option)
        if get_origin(option) is list and isinstance(value, list | dict):
            return _fitting(value if isinstance(value, list) else [value], get_args(option)[0])
        if option is str and isinstance(value, int | float):
            return str(value)
    return msgspec.convert(value, shape, strict=False)


def _struct(content: dict[str, Any], shape: type[msgspec.Struct]) -> msgspec.Struct:
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        if field.encode_name in content:
            with suppress(ValueError):
                fields[field.name] = fitted(content[field.encode_name], field.type)
    return shape(**fields)


def _fitting(values: list[Any], shape: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        with suppress(ValueError):
            found.append(fitted(value, shape))
    return found


def _is_union(shape: Any) -> bool:
    return get_origin(shape) in (Union, UnionType)
