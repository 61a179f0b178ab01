"""Where results stand in a list that a client sent: some list the calls of a step one by one, and all their
results after them, or a result once the conversation has gone on. Others list a result twice, or in pieces.
"""

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from nanobot.core.message import Message, Part, ToolCall, ToolResult

_role = attrgetter("role")


def is_in_steps(messages: Sequence[Message]) -> bool:
    """Return whether each call has an id of its own, and each result stands alone in the step of its call, as
    in nearly all lists.
    """
    if "tool" not in map(_role, messages):
        return True
    taken: set[str] = set()
    step: set[str] = set()
    are_last = False
    for message in messages:
        role = message.role
        if role == "tool":
            for part in message.parts:
                if type(part) is ToolResult:
                    if part.call_id not in step:
                        return False
                    # A second one is not in the step any more.
                    step.discard(part.call_id)
            are_last = False
        elif role == "assistant":
            made = [part.id for part in message.parts if type(part) is ToolCall]
            step = set(made)
            if step and (are_last or not taken.isdisjoint(step) or len(step) < len(made)):
                return False
            taken.update(step)
            are_last = bool(step)
        else:
            are_last = False
    return True


def in_steps(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with the calls of a step in one message, and each result before the next message of
    the assistant: one for each call, which says all that the list says of it. Where nothing would be left
    behind the last answer, what is new stays there.

    The ids of the calls differ.
    """
    joined = _joined(messages)
    placed = _placed(joined)
    return _told_once(joined if placed[-1].role == "assistant" != joined[-1].role else placed)


def _joined(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with calls that directly follow calls, without a word, in one message."""
    joined: list[Message] = []
    # Of the last of them, with those that have been joined to it: there may be thousands.
    parts: list[Part] = []
    has_calls = False
    for message in messages:
        are_calls = message.role == "assistant" and bool(message.tool_calls)
        if has_calls and are_calls and not message.text.strip():
            parts += message.parts
            continue
        _end(joined, parts)
        joined.append(message)
        parts, has_calls = [*message.parts], are_calls
    _end(joined, parts)
    return joined if len(joined) < len(messages) else messages


def _end(joined: list[Message], parts: list[Part]) -> None:
    if joined and len(parts) > len(joined[-1].parts):
        joined[-1] = msgspec.structs.replace(joined[-1], parts=tuple(parts))


def _placed(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with the results that come too late where the step of their call ends."""
    step_of: dict[str, int] = {}
    late: dict[int, list[Message]] = {}
    step = 0
    for message in messages:
        if message.role == "assistant":
            step += 1
            step_of.update((call.id, step) for call in message.tool_calls)
        elif message.role == "tool" and (own := _step(message, step_of, step)) < step:
            late.setdefault(own, []).append(message)
    if not late:
        return messages
    moved = {id(message) for some in late.values() for message in some}
    placed: list[Message] = []
    step = 0
    for message in messages:
        if message.role == "assistant":
            placed += late.pop(step, ())
            step += 1
        if id(message) not in moved:
            placed.append(message)
    return placed


def _step(message: Message, step_of: dict[str, int], now: int) -> int:
    """Return the step that all results of the message belong to, else the one that it stands in."""
    own = {step_of.get(result.call_id, now) for result in message.tool_results}
    return own.pop() if len(own) == 1 else now


def _told_once(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with the results that a step has of the same call in the first one of them: a call
    has one, and a later one must not take its place in silence.
    """
    told: list[Message] = []
    again: dict[int, list[Message]] = {}
    place_of: dict[str, int] = {}
    for message in messages:
        if message.role == "assistant":
            place_of.clear()
        results = message.tool_results
        if len(results) == 1 and (first := place_of.get(results[0].call_id)) is not None:
            again.setdefault(first, []).append(message)
            continue
        place_of.update((result.call_id, len(told)) for result in results)
        told.append(message)
    for first, others in again.items():
        told[first] = _with_more(told[first], others)
    return told if again else messages


def _with_more(first: Message, others: Sequence[Message]) -> Message:
    """Return the first message with what the others say of its calls besides."""
    said: dict[str, dict[str, str]] = {}
    # Keys for their order; files and pictures can be long, but are only hashed.
    besides: dict[Part, None] = {}
    for message in (first, *others):
        for part in message.parts:
            if type(part) is ToolResult:
                said.setdefault(part.call_id, {}).setdefault(part.content.strip(), part.content)
            elif message is not first:
                besides[part] = None
    parts: list[Part] = []
    for part in first.parts:
        besides.pop(part, None)
        if type(part) is ToolResult and len(contents := said[part.call_id]) > 1:
            contents.pop("", None)
            part = msgspec.structs.replace(part, content="\n\n".join(contents.values()))
        parts.append(part)
    return msgspec.structs.replace(first, parts=(*parts, *besides))
