"""Bodies of JSON, decoded into the types of the wire; what does not fit is named by its path."""

import codecs
import json
import re
from typing import TypeVar

import msgspec

from nanobot.api.wire.bounds import allowed
from nanobot.core.errors import InvalidJson, InvalidRequest

T = TypeVar("T")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_LOW_SURROGATE = re.compile(rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HIGH = b"89abAB"
_BACKSLASH = 0x5C
_MOST_SURROGATES = 100_000
_WHOLE_AS_FLOAT = re.compile(r"Expected `int(?: \| \w+)*`, got `float`")
_WHERE = re.compile(r" - at `\$\.?(.*)`$")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_OUT_OF_BOUNDS = re.compile(r"Invalid enum value|Expected `\w+` (?:[<>]=|of length)")
_MOST_SHOWN = 40


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what the body says. Half of a surrogate pair is read as U+FFFD, `100.0` as a whole number; a
    byte order mark before the body is left out.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field is missing, of the wrong type or out of bounds; `param` names it.
    """
    try:
        if not body.isascii():
            # msgspec checks only the strings that it keeps; a body must be UTF-8 as a whole.
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError:
        return _read_again(body, decoder.type)
    except msgspec.DecodeError as error:
        mended = without_half_pairs(body.removeprefix(codecs.BOM_UTF8))
        if mended is body:
            raise InvalidJson("Invalid JSON body") from error
        return _read_again(mended, decoder.type)
    except UnicodeDecodeError as error:
        raise InvalidJson("Invalid JSON body") from error
    except RecursionError as error:
        raise InvalidJson("Invalid JSON body: nested too deeply") from error


def _read_again(body: bytes, kind: type[T]) -> T:
    """Return what a body says that is nearly what it should be; raise as `decode` what is wrong with it."""
    try:
        return _decode_leniently(body, kind)
    except msgspec.ValidationError as error:
        path = _path(str(error))
        if unknown := _UNKNOWN.match(str(error)):
            field = f"{path}.{unknown[1]}" if path else unknown[1]
            raise InvalidRequest(f"Unknown parameter: '{field[:_MOST_SHOWN]}'.", param=field) from error
        if not path:
            raise InvalidJson("Invalid JSON body") from error
        if _MISSING.match(str(error)):
            raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path) from error
        raise InvalidRequest(_explained(body, path, str(error), kind), param=path) from error
    except msgspec.DecodeError as error:
        raise InvalidJson("Invalid JSON body") from error
    except RecursionError as error:
        raise InvalidJson("Invalid JSON body: nested too deeply") from error


def _decode_leniently(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        if _WHOLE_AS_FLOAT.match(str(error)) is None:
            raise
        return msgspec.json.decode(body, type=kind, strict=False)


def without_half_pairs(body: bytes) -> bytes:
    """Return the body with U+FFFD for each escape that is half of a surrogate pair, such as JavaScript writes
    of an emoji that was cut in two.
    """
    pieces: list[bytes] = []
    copied = at = 0
    # Not one substitution: over megabytes it would let no other thread run meanwhile.
    for _ in range(_MOST_SURROGATES):
        found = _SURROGATE.search(body, at)
        if found is None:
            break
        start, at = found.span()
        if _is_escaped(body, start):
            continue
        if found[0][3:4] in _HIGH and (low := _LOW_SURROGATE.match(body, at)) is not None:
            at = low.end()
            continue
        pieces += (body[copied:start], rb"\ufffd")
        copied = at
    return b"".join((*pieces, body[copied:])) if pieces else body


def _is_escaped(body: bytes, at: int) -> bool:
    """Return whether the backslash at `at` belongs to the one before it."""
    first = at
    while first and body[first - 1] == _BACKSLASH:
        first -= 1
    return (at - first) % 2 == 1


def _path(text: str) -> str:
    """Return the path to what is at fault; empty where it is the body as a whole."""
    where = _WHERE.search(text)
    path = where[1] if where else ""
    missing = _MISSING.match(text)
    return f"{path}.{missing[1]}".lstrip(".") if missing else path


def _explained(body: bytes, path: str, problem: str, kind: object) -> str:
    """Return what is wrong with the field at `path`: its value, and what it must be."""
    try:
        # Python's own parser: msgspec has no whole numbers beyond 64 bits.
        value = json.loads(body)
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            value = value[int(index)] if index else value[name]
    except (LookupError, TypeError, ValueError, RecursionError):
        shown = "is not there"
    else:
        shown = _sized(value) if " of length " in problem else f"is {_shown(value)}"
    must = allowed(kind, path) if _OUT_OF_BOUNDS.match(problem) else None
    return f"{path} {shown}: {f'it must {must}' if must else _plain(_WHERE.sub('', problem))}"


def _sized(value: object) -> str:
    if not value:
        return "is empty"
    return f"has {len(value)} entries" if isinstance(value, list | dict) else f"is {_shown(value)}"


def _shown(value: object) -> str:
    """Return the value as JSON, cut to 40 characters."""
    # Half of a surrogate pair cannot be encoded; it is shown as it was written.
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


def _plain(text: str) -> str:
    """Return msgspec's words for a reader who thinks in JSON."""
    text = (
        text.replace("`", "")
        .replace(" | null", "")
        .replace("int", "integer")
        .replace("float", "number")
        .replace("str", "string")
    )
    return text[:1].lower() + text[1:]
