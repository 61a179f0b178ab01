"""A conversation in the form that a small model understands: two who talk, in text alone.

Each message's text depends on it and on those before it alone, so that what a turn shows begins with what
the turn before showed and answered, and the engine reads only what is new.
"""

from nanobot.core.message import Audio, File, Image, Message, Part, Text, ToolCall, user
from nanobot.models.local import recall
from nanobot.models.local.days import DayAsked, day_asked
from nanobot.models.local.notation import NOTING, RECALL, result_of, written
from nanobot.models.openai.request import NO_AUDIO_NOTE

_NO_IMAGE = "(An image came with this message; you cannot see images.)"


def conversation(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return `messages` as those of users and assistant, with calls and results in their words."""
    shown: list[Message] = []
    said: list[str] = []
    calls: dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "user":
            _add_user(shown, read(message.parts))
            said.append(message.text)
        elif message.role == "tool":
            if results := _results(message, calls, day_asked(said)):
                _add_user(shown, results)
        else:
            calls.update({call.id: call for call in message.tool_calls})
            if message.tool_calls and not message.text and all(map(_is_note, message.tool_calls)):
                # The answer behind it says as much.
                continue
            if recall.recalled(message):
                shown += recalling(said)
            lines = [message.text] if message.text or not message.tool_calls else []
            shown.append(_assistant("\n".join([*lines, *map(written, message.tool_calls)])))
    return tuple(shown)


def recalling(said: list[str]) -> tuple[Message, Message]:
    """Return what stands between a question about what was said and its answer; the question is the last of
    what the user `said`.
    """
    return _assistant(RECALL), user(recall.listing(said[:-1]))


def words_of_user(messages: tuple[Message, ...]) -> list[str]:
    """Return what the user said, message by message."""
    return [words_of(message) for message in messages if message.role == "user"]


def words_of(message: Message) -> str:
    """Return what a user said, without the name that stands before it in a group."""
    name = " ".join((message.name or "").split())
    return message.text.removeprefix(f"{name}: ") if name else message.text


def _assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def _add_user(shown: list[Message], text: str) -> None:
    # Templates expect the two to take turns.
    if shown and shown[-1].role == "user":
        text = f"{shown.pop().text}\n\n{text}"
    shown.append(user(text))


def read(parts: tuple[Part, ...]) -> str:
    """Return what a user wrote, with the files below it."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    text = "\n\n".join(filter(None, (text, *(part.shown for part in parts if isinstance(part, File)))))
    if any(isinstance(part, Image) for part in parts):
        text += f"\n{_NO_IMAGE}"
    if any(isinstance(part, Audio) for part in parts):
        text += f"\n{NO_AUDIO_NOTE}"
    return text


def _results(message: Message, calls: dict[str, ToolCall], day: DayAsked | None) -> str:
    made = [(calls.get(result.call_id), result) for result in message.tool_results]
    return "\n".join(
        result_of(call, result, day) for call, result in made if call is None or not _is_note(call)
    )


def _is_note(call: ToolCall) -> bool:
    """Return whether the model made the call by no words of its own; see `notes.py`."""
    return call.name in NOTING
