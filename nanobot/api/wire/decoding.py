"""Bodies of JSON, decoded into the types of the wire; what does not fit is named by its path."""

import codecs
import json
import re
from typing import TypeVar

import msgspec

from nanobot.api.wire.bounds import allowed
from nanobot.api.wire.long_texts import LONG_BYTES, cut_out, put_back
from nanobot.core.errors import InvalidJson, InvalidRequest
from nanobot.core.late_pattern import LatePattern

T = TypeVar("T")
_SURROGATE = LatePattern(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_LOW_SURROGATE = LatePattern(rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HIGH = b"89abAB"
_BACKSLASH = 0x5C
_MOST_SURROGATES = 10_000
_ESCAPE_BYTES = 6
_BOM = codecs.BOM_UTF8
_SLICE_BYTES = 256 * 1024
_utf8 = codecs.getincrementaldecoder("utf-8")
_WHOLE_AS_FLOAT = LatePattern(r"Expected `int(?: \| \w+)*`, got `float`")
_WHERE = LatePattern(r" - at `\$\.?(.*)`$")
_MISSING = LatePattern(r"Object missing required field `(.*?)`")
_UNKNOWN = LatePattern(r"Object contains unknown field `(.*?)`")
_OUT_OF_BOUNDS = LatePattern(r"Invalid enum value|Expected `\w+` (?:[<>]=|of length)")
_MOST_SHOWN = 40
_MOST_DECODED = 4_000
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what the body says. Half of a surrogate pair is read as U+FFFD, `100.0` as a whole number; a
    byte order mark before the body is left out. Other threads run while long strings are decoded.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field is missing, of the wrong type or out of bounds; `param` names it.
    """
    if len(body) <= LONG_BYTES:
        return _decode(body, decoder)
    rest, texts = _without_long_texts(body)
    value = _decode(rest, decoder)
    if texts:
        put_back(value, texts)
    return value


def _without_long_texts(body: bytes) -> tuple[bytes, list[str]]:
    """Return the body without its long strings, and these; raise as `decode`."""
    try:
        if not body.isascii():
            _check_utf8(body)
        return cut_out(body)
    except msgspec.DecodeError as error:
        mended = without_half_pairs(body)
        if mended is body:
            raise InvalidJson("Invalid JSON body") from error
    except UnicodeDecodeError as error:
        raise InvalidJson("Invalid JSON body") from error
    try:
        return cut_out(mended)
    except msgspec.DecodeError as error:
        raise InvalidJson("Invalid JSON body") from error


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        if not body.isascii():
            # msgspec checks only the strings that it keeps; a body must be UTF-8 as a whole.
            _check_utf8(body)
        return decoder.decode(body)
    except msgspec.ValidationError:
        return _read_again(body, decoder.type)
    except msgspec.DecodeError as error:
        mended = without_half_pairs(body[len(_BOM) :] if body.startswith(_BOM) else body)
        if mended is body:
            raise InvalidJson("Invalid JSON body") from error
        return _read_again(mended, decoder.type)
    except UnicodeDecodeError as error:
        raise InvalidJson("Invalid JSON body") from error
    except RecursionError as error:
        raise InvalidJson("Invalid JSON body: nested too deeply") from error


def _check_utf8(body: bytes) -> None:
    """Return where the body is UTF-8; other threads run in between.

    Raises:
        UnicodeDecodeError
    """
    decoder = _utf8()
    for start in range(0, len(body), _SLICE_BYTES):
        decoder.decode(body[start : start + _SLICE_BYTES])
    decoder.decode(b"", True)


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
        found = _next_surrogate(body, at)
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


def _next_surrogate(body: bytes, at: int) -> re.Match[bytes] | None:
    """Return the next escape of a surrogate; other threads run in between."""
    while at < len(body):
        found = _SURROGATE.search(body, at, at + _SLICE_BYTES)
        if found is not None:
            return found
        # One may begin within the slice, and end behind it.
        at += _SLICE_BYTES - _ESCAPE_BYTES + 1
    return None


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
        value = _value_at(body, re.findall(r"([^.\[\]]+)|\[(\d+)\]", path))
    except (LookupError, TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        shown = "is not there"
    else:
        shown = _sized(value) if " of length " in problem else f"is {_shown(value)}"
    must = allowed(kind, path) if _OUT_OF_BOUNDS.match(problem) else None
    return f"{path} {shown}: {f'it must {must}' if must else _plain(_WHERE.sub('', problem))}"


def _value_at(body: bytes, path: list[tuple[str, str]]) -> bytes:
    """Return the JSON of the value at a path of names and indices; nothing is decoded on the way there."""
    value = body
    try:
        for name, index in path:
            value = bytes(_list(value)[int(index)] if index else _object(value)[name])
    except msgspec.DecodeError:
        if len(body) > _SLICE_BYTES:
            raise
        # Python's own parser: msgspec reads no half of a surrogate pair.
        found = json.loads(body)
        for name, index in path:
            found = found[int(index)] if index else found[name]
        return json.dumps(found).encode()
    return value


def _sized(value: bytes) -> str:
    if value[:1] not in (b"[", b"{"):
        return "is empty" if value == b'""' else f"is {_shown(value)}"
    count = len(_list(value) if value[:1] == b"[" else _object(value))
    return f"has {count} entries" if count else "is empty"


def _shown(value: bytes) -> str:
    """Return a value of JSON, cut to 40 characters."""
    if len(value) > _MOST_DECODED:
        return value[:_MOST_SHOWN].decode("utf-8", "ignore") + "…"
    # Python's own parser: msgspec has no whole numbers beyond 64 bits.
    # Half of a surrogate pair cannot be encoded; it is shown as it was written.
    text = json.dumps(json.loads(value), ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
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
