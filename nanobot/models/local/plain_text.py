"""A request in the form that a small model understands: no tools, results as plain text, recall made easy.

It makes up for what small models do badly: they do not understand tool calls, mix up who said what, and
invent a conversation when they are asked about one that has not begun.
"""

import json

from nanobot.core.message import Message, Text, ToolCall, user
from nanobot.models.local import recall
from nanobot.models.local.conversation import read, words_of_user


def plain(messages: tuple[Message, ...], *, is_recall: bool) -> tuple[tuple[Message, ...], str]:
    """Return `messages` without calls, with their results as text, and the grammar of the answer; empty where
    it may be anything.

    For `is_recall`, the user's messages are listed below the question, and the answer may quote only them.
    """
    shown = _without_calls(messages)
    if not is_recall:
        return shown, ""
    said = words_of_user(messages)[:-1]
    return _listed(shown, said), recall.grammar(said)


def _listed(shown: tuple[Message, ...], said: list[str]) -> tuple[Message, ...]:
    return (*shown[:-1], user(f"{shown[-1].text}\n\n{recall.listing(said)}"))


def _without_calls(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return `messages` of users and assistant alone: the results of tools stand below the user's text."""
    shown: list[Message] = []
    said: list[str] = []
    calls: dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "assistant":
            calls.update({call.id: call for call in message.tool_calls})
            if recall.recalled(message) and shown:
                shown = list(_listed(tuple(shown), said[:-1]))
            if message.text or not message.tool_calls:
                shown.append(Message("assistant", (Text(message.text),)))
            continue
        if message.role == "user":
            said.append(message.text)
        text = read(message.parts) if message.role == "user" else _results(message, calls)
        if shown and shown[-1].role == "user":
            text = f"{shown.pop().text}\n\n{text}"
        shown.append(user(text))
    return tuple(shown)


def _results(message: Message, calls: dict[str, ToolCall]) -> str:
    """Return the results as text, worded so that a small model takes them for its own knowledge and not for
    the user's.
    """
    results = "; ".join(
        f"{_called(calls.get(result.call_id))}{result.content}" for result in message.tool_results
    )
    return f"(You looked it up: {results}. Answer with it.)"


def _called(call: ToolCall | None) -> str:
    if call is None:
        return ""
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = None
    shown = (
        ", ".join(str(value) for value in arguments.values() if value is not None)
        if isinstance(arguments, dict)
        else ""
    )
    return f"{call.name}({shown}) = "
