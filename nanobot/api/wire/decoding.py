"""Bodies of JSON, decoded into the types of the wire; what does not fit is named by its path."""

import json
import re
from typing import TypeVar

import msgspec

from nanobot.api.wire.bounds import allowed
from nanobot.core.errors import InvalidJson, InvalidRequest

T = TypeVar("T")
_WHERE = re.compile(r" - at `\$\.?(.*)`$")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_OUT_OF_BOUNDS = re.compile(r"Invalid enum value|Expected `\w+` (?:[<>]=|of length)")
_MOST_SHOWN = 40


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what the body says.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field is missing, of the wrong type or out of bounds; `param` names it.
    """
    try:
        if not body.isascii():
            # msgspec checks only the strings that it keeps; a body must be UTF-8 as a whole.
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        path = _path(str(error))
        if not path:
            raise InvalidJson("Invalid JSON body") from error
        if _MISSING.match(str(error)):
            raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path) from error
        raise InvalidRequest(_explained(body, path, str(error), decoder.type), param=path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson("Invalid JSON body") from error
    except RecursionError as error:
        raise InvalidJson("Invalid JSON body: nested too deeply") from error


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
