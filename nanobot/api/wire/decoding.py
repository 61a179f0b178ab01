"""Bodies of JSON, decoded into the types of the wire; what does not fit is named by its path."""

import json
import re
from typing import TypeVar

import msgspec

from nanobot.core.errors import InvalidJson, InvalidRequest

T = TypeVar("T")
_WHERE = re.compile(r" - at `\$\.?(.*)`$")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_MOST_SHOWN = 40


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what the body says.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field is missing, or of the wrong type; `param` names it.
    """
    try:
        if not body.isascii():
            # msgspec looks at those strings only that it keeps
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        path = _path(str(error))
        if not path:
            raise InvalidJson("Invalid JSON body") from error
        if _MISSING.match(str(error)):
            raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path) from error
        raise InvalidRequest(
            f"{path} is {_shown(body, path)}: {_plain(_WHERE.sub('', str(error)))}", param=path
        ) from error
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


def _shown(body: bytes, path: str) -> str:
    """Return the value at `path` as JSON, cut to 40 characters."""
    try:
        # of any size: msgspec has no whole numbers beyond 64 bits
        value = json.loads(body)
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            value = value[int(index)] if index else value[name]
    except (LookupError, TypeError, ValueError, RecursionError):
        return "not there"
    # Half a surrogate pair is no text that could be told; it is shown as it was written.
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
