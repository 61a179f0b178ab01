"""Where results stand in a list that a client sent: some list the calls of a step one by one, and all their
results after them, or a result once the conversation has gone on.
"""

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from nanobot.core.message import Message

_role = attrgetter("role")


def in_steps(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with the calls of a step in one message, and each result before the next message of
    the assistant. Where nothing would be left behind the last answer, what is new stays there.

    The ids of the calls differ.
    """
    if "tool" not in map(_role, messages):
        return messages
    joined = _joined(messages)
    placed = _placed(joined)
    return joined if placed[-1].role == "assistant" != joined[-1].role else placed


def _joined(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with calls that directly follow calls, without a word, in one message."""
    joined: list[Message] = []
    for message in messages:
        before = joined[-1] if joined else None
        is_more = before is not None and bool(before.tool_calls) and bool(message.tool_calls)
        if before is not None and is_more and not message.text.strip():
            joined[-1] = msgspec.structs.replace(before, parts=before.parts + message.parts)
        else:
            joined.append(message)
    return joined if len(joined) < len(messages) else messages


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
