"""The messages of a request in the one form that the strictest provider takes.

Pure; the transcript stays as it is. The rules, as Mistral, Gemini, Anthropic, DeepSeek, Kimi and the chat
templates of open models have them between them:

* Roles alternate: neighbours of one role are one message. A user's message comes first, and never right
  behind the results of tools; the last message is not the assistant's.
* No message is blank.
* Ids of calls have nine letters and digits, and no two calls share one; names have letters, digits, `_` and
  `-`, at most 64: models call tools that they make up, and other APIs take other names.
"""

from collections.abc import Iterable
from itertools import count

from nanobot.core.ids import call_id
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Message, Part, Role, Text, Thinking, ToolCall, ToolResult, user

OPENING = "(The conversation begins with the assistant.)"
BRIDGE = "I have the results."
GO_ON = "Go on exactly where you stopped; repeat nothing."
NO_OUTPUT = "(no output)"
_SEPARATOR = "\n\n"
_NOT_IN_NAME = LatePattern(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARS = 64


def canonical(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages in that form. `messages` have each call answered right behind the message that
    makes it, as `context.history.repair` leaves them.

    Where messages are added to a conversation, the result begins as before.
    """
    if _is_canonical(messages):
        return messages
    # As where a summary stands before the first question.
    first, rest = messages[:1], messages[1:]
    if rest and _is_canonical(first) and _is_canonical(rest):
        return (Message("user", _joined(first[0].parts, rest[0].parts)), *rest[1:])
    return _rebuilt(messages)


def _is_canonical(messages: tuple[Message, ...]) -> bool:
    """Whether each message is one text and roles alternate, as in most conversations."""
    last: Role = "assistant"
    for message in messages:
        role, parts = message.role, message.parts
        if role == last or role == "tool" or len(parts) != 1 or type(part := parts[0]) is not Text:
            return False
        text = part.text
        if not text or text.isspace():
            return False
        last = role
    return last == "user"


def _rebuilt(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    whole: list[Message] = []
    ids = _CallIds()
    # The role of the message before; at the beginning, what comes before a user's.
    before: Role = "assistant"
    for message in messages:
        role, parts = message.role, message.parts
        if (
            role != before
            and len(parts) == 1
            and type(only := parts[0]) is Text
            and only.text
            and not only.text.isspace()
            and role != "tool"
            and (before != "tool" or role != "user")
        ):
            # As most are, also where few others stand among them, such as a summary before the first one.
            whole.append(message)
            before = role
            continue
        parts = tuple([part for part in parts if not _is_blank(part)])
        if role == "tool":
            whole.append(
                Message("tool", tuple([ids.result(part) for part in parts if isinstance(part, ToolResult)]))
            )
            before = role
            continue
        if role == "assistant":
            parts = ids.calls(parts)
        if not parts or all(isinstance(part, Thinking) for part in parts):
            continue
        last = whole[-1].role if whole else None
        if last is None and role == "assistant":
            whole.append(user(OPENING))
        elif last == "tool" and role == "user":
            whole.append(Message("assistant", (Text(BRIDGE),)))
        if whole and whole[-1].role == role and not whole[-1].tool_calls:
            whole[-1] = Message(role, _joined(whole[-1].parts, parts))
        else:
            whole.append(Message(role, parts))
        before = role
    if whole and whole[-1].role == "assistant":
        whole.append(user(GO_ON))
    return tuple(whole)


def _is_blank(part: Part) -> bool:
    return isinstance(part, Text) and (not part.text or part.text.isspace())


def _joined(first: tuple[Part, ...], second: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the parts of two messages as those of one, with a blank line between two texts."""
    last, following = first[-1], second[0]
    if isinstance(last, Text) and isinstance(following, Text):
        joined = Text(
            last.text + _SEPARATOR + following.text, following.provider_state or last.provider_state
        )
        return (*first[:-1], joined, *second[1:])
    return first + second


class _CallIds:
    """Gives calls their ids in the request; results get those of their calls."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._by_call: dict[str, str] = {}

    def calls(self, parts: Iterable[Part]) -> tuple[Part, ...]:
        return tuple([self._call(part) if isinstance(part, ToolCall) else part for part in parts])

    def result(self, result: ToolResult) -> ToolResult:
        content = result.content if result.content.strip() else NO_OUTPUT
        known = self._by_call.get(result.call_id)
        return ToolResult(known or self._new(result.call_id), content, result.is_error)

    def _call(self, call: ToolCall) -> ToolCall:
        # The id of an earlier turn may come again: its results have been seen by then.
        own = self._by_call[call.id] = self._new(call.id)
        name = call.name
        if not (name.isascii() and name.isidentifier()):
            name = _NOT_IN_NAME.sub("_", name) or "_"
        name = name[:_MAX_NAME_CHARS]
        return ToolCall(own, name, call.arguments, call.for_client, call.provider_state)

    def _new(self, id_: str) -> str:
        own = call_id(id_)
        if own in self._taken:
            own = next(
                short for number in count(2) if (short := call_id(f"{id_} {number}")) not in self._taken
            )
        self._taken.add(own)
        return own
