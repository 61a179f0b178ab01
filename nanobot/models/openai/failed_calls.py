"""The calls in what a model wrote where its server could not read them: Groq sends that text with its error.

Source: https://console.groq.com/docs/tool-use
"""

import json
from collections.abc import Iterator, Set
from typing import Any, NamedTuple

import msgspec

from nanobot.core.late_pattern import LatePattern

_WRAPPING = LatePattern(r"```\w*|</?tool[-_](?:use|calls?)>|<\|python_tag\|>|</function>|[\s,;]+")
"""What stands before, between and behind calls."""
_NAME = LatePattern(r"(?:<function[=(/]?|\[)?([\w.-]{1,64})[)>=\]]?\s*(?=\{)")
_read_json = json.JSONDecoder().raw_decode


class FailedCall(NamedTuple):
    """A call as the model meant it; `arguments` is JSON text."""

    name: str
    arguments: str


def calls_in(generation: str, offered: Set[str]) -> list[FailedCall]:
    """Return the calls of `offered` tools that the text consists of; empty where there is anything else in
    it, as it is then a guess what the model meant.
    """
    try:
        calls = list(_calls(generation))
    except (ValueError, RecursionError):
        return []
    return calls if all(call.name in offered for call in calls) else []


def _calls(text: str) -> Iterator[FailedCall]:
    """Yield the calls in `text`.

    Raises:
        ValueError, RecursionError: it holds something else.
    """
    at = _after_wrapping(text, 0)
    while at < len(text):
        name = _NAME.match(text, at)
        start = name.end() if name is not None else at
        value, end = _read_json(text, start)
        if name is None:
            yield from _described(value)
        elif isinstance(value, dict):
            yield FailedCall(name[1], text[start:end])
        else:
            raise ValueError("arguments that are no object")
        at = _after_wrapping(text, end)


def _after_wrapping(text: str, at: int) -> int:
    while (found := _WRAPPING.match(text, at)) is not None:
        at = found.end()
    return at


def _described(value: Any) -> Iterator[FailedCall]:
    """Yield the calls that JSON describes.

    Raises:
        ValueError: it describes none.
    """
    if isinstance(value, list) and value:
        for item in value:
            yield from _described(item)
        return
    if not isinstance(value, dict):
        raise ValueError("no call")
    for field in ("tool_calls", "function"):
        if isinstance(inner := value.get(field), list | dict):
            yield from _described(inner)
            return
    name, arguments = value.get("name"), value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        arguments = msgspec.json.decode(arguments)
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ValueError("no call")
    yield FailedCall(name, msgspec.json.encode(arguments).decode())
