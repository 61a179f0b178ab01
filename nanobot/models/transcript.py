"""What wire formats with contents of their own read from a transcript alike."""

import re

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Message, ToolResult

NO_RESULT = "No result was provided for this call."

_DATA_URL = LatePattern(r"data:([^;,]+)(?:;[^;,]+)*;base64,", re.IGNORECASE)

_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def results_after(messages: tuple[Message, ...], position: int) -> dict[str, ToolResult]:
    """Return the results that follow a message of the model before its next one, by their calls' ids."""
    results: dict[str, ToolResult] = {}
    for following in messages[position + 1 :]:
        if following.role == "assistant":
            break
        if following.role == "tool":
            for result in following.tool_results:
                results.setdefault(result.call_id, result)
    return results


def arguments_object(arguments: str) -> msgspec.Raw:
    """Return the arguments of a call as the JSON object that they must be; what is none is wrapped in one."""
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    encoded = arguments.encode("utf-8", "replace")
    try:
        _read_object(encoded)
    except (msgspec.MsgspecError, RecursionError):
        return msgspec.Raw(msgspec.json.encode({"malformed": encoded.decode()}))
    return msgspec.Raw(encoded)


def data_url(url: str) -> tuple[str, str]:
    """Return the media type of a `data:` URL and its content, in base64; both empty where it is none."""
    head = _DATA_URL.match(url)
    if head is None:
        return "", ""
    return head[1].lower().replace("image/jpg", "image/jpeg"), url[head.end() :]
