"""A request in the form that a small model understands: no tools, results as plain text, recall made easy.

It makes up for what small models do badly: they do not understand tool calls, mix up who said what, and
invent a conversation when they are asked about one that has not begun.
"""

import json

import msgspec

from nanobot.core.message import Audio, File, Image, Message, Part, Text, ToolCall, user
from nanobot.core.model import ModelRequest
from nanobot.models.local.gbnf import literal
from nanobot.models.local.routing import Recall
from nanobot.models.openai.request import NO_AUDIO_NOTE

_LONGEST_QUOTE = 400
_MOST_LISTED = 12
_SHORT_TEXT = 600
FIRST_MESSAGE = (
    "Reply, in the user's language: "
    '"This is your first message, so there is nothing to repeat or summarize yet."'
)


class PlainRequest(msgspec.Struct, frozen=True):
    """A request without tools. Its answer keeps to `grammar`; where that is empty it may be anything."""

    request: ModelRequest
    grammar: str = ""


def plain(request: ModelRequest, recall: Recall | None) -> PlainRequest:
    """Return `request` without tools, with the results of its calls as text.

    For `recall`, the answer is tied to what the user really said.
    """
    messages = _without_calls(request.messages)
    bare = msgspec.structs.replace(request, messages=messages, tools=(), notes="")
    if request.messages and request.messages[-1].role == "tool":
        # The answer needs the results alone; a small model would repeat the notes as well.
        return PlainRequest(bare)
    if recall is None:
        return PlainRequest(_noted(bare, request.notes))
    said = [message.text for message in request.messages if message.role == "user" and message.text][:-1]
    if not said:
        return PlainRequest(msgspec.structs.replace(bare, notes=FIRST_MESSAGE))
    if recall == "all":
        reminded = user(f"{_reminder(said)}\n\n{messages[-1].text}")
        return PlainRequest(msgspec.structs.replace(bare, messages=(*messages[:-1], reminded)))
    return PlainRequest(bare, repeating(said[-1] if recall == "last" else said[0]))


def repeating(text: str) -> str:
    """Return the grammar of an answer that repeats what the user said, word for word."""
    return f'root ::= ("You asked: " | "You said: ") {literal(_quoted(text))}'


def _reminder(said: list[str]) -> str:
    listed = said if len(said) <= _MOST_LISTED else [said[0], *said[1 - _MOST_LISTED :]]
    return "My messages to you so far, in order:\n" + "\n".join(
        f"{number}. {_quoted(text)}" for number, text in enumerate(listed, 1)
    )


def _noted(request: ModelRequest, notes: str) -> ModelRequest:
    """Return `request` with `notes` in its last message.

    Before a short text, as a small model repeats what comes last; below a long one, which then stays in the
    engine's cache.
    """
    messages = request.messages
    if not notes or not messages or messages[-1].role != "user" or len(messages[-1].text) > _SHORT_TEXT:
        return msgspec.structs.replace(request, notes=notes)
    noted = user(f"({notes})\n\n{messages[-1].text}")
    return msgspec.structs.replace(request, messages=(*messages[:-1], noted))


def _quoted(text: str) -> str:
    # A quotation mark inside would end the quotation early, for the model as for the grammar.
    text = "".join(
        character if character.isprintable() or character in "\n\t" else " "
        for character in text.strip().replace('"', "'")
    )
    return f'"{text}"' if len(text) <= _LONGEST_QUOTE else f'"{text[:_LONGEST_QUOTE]}…"'


def _without_calls(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return `messages` of users and assistant alone: the results of tools stand below the user's text."""
    shown: list[Message] = []
    calls: dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "assistant":
            calls.update({call.id: call for call in message.tool_calls})
            if message.text or not message.tool_calls:
                shown.append(Message("assistant", (Text(message.text),)))
            continue
        parts = message.parts if message.role == "user" else (Text(_results(message, calls)),)
        text = _read(parts)
        if any(isinstance(part, Image) for part in parts):
            text += "\n(An image came with this message; you cannot see images.)"
        if any(isinstance(part, Audio) for part in parts):
            text += f"\n{NO_AUDIO_NOTE}"
        if shown and shown[-1].role == "user":
            text = f"{shown.pop().text}\n\n{text}"
        said: tuple[Part, ...] = (Text(text),)
        shown.append(Message("user", said))
    return tuple(shown)


def _read(parts: tuple[Part, ...]) -> str:
    """Return what a user wrote, with the files below it."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return "\n\n".join(filter(None, (text, *(part.shown for part in parts if isinstance(part, File)))))


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
