"""Ids of calls, as clients send them: some give the same one to several calls (the name of the function, or
`call_0` in each step), and their results then say only in which order they came. Others change the ids of the
results and not those of the calls, or the other way round.
"""

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from nanobot.core.message import Message, Part, ToolCall, ToolResult

_role = attrgetter("role")


def told_apart(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with an id of its own for each call: of calls that share one, the later ones get
    another. Their results go to those that have none yet, in the order in which they were made.

    Results of a step with ids that no call has are those of its calls that have none, if there are as many.
    """
    if "tool" not in map(_role, messages):
        return messages
    taken: set[str] = set()
    answered: set[str] = set()
    calls = 0
    for message in messages:
        for part in message.parts:
            if type(part) is ToolCall:
                taken.add(part.id)
                calls += 1
            elif type(part) is ToolResult:
                answered.add(part.call_id)
    if len(taken) != calls:
        apart = _Apart(taken)
        messages = [apart.message(message) for message in messages]
    return messages if answered <= taken else _matched_in_steps(messages, taken)


def _matched_in_steps(messages: Sequence[Message], known: set[str]) -> Sequence[Message]:
    """Return the messages with the ids of calls for those that are not `known`, where it is clear whose."""
    answered = {result.call_id for message in messages for result in message.tool_results}
    own: dict[int, str] = {}
    waiting: list[str] = []
    unknown: list[ToolResult] = []
    for message in (*messages, None):
        if message is not None and message.role == "tool":
            unknown += [result for result in message.tool_results if result.call_id not in known]
            continue
        if len(waiting) == len(unknown):
            own.update(zip(map(id, unknown), waiting, strict=True))
        if message is not None and (unknown or not message.tool_calls):
            waiting, unknown = [], []
        if message is not None:
            waiting += [call.id for call in message.tool_calls if call.id not in answered]
    return [_under(message, own) for message in messages]


def _under(message: Message, own: dict[int, str]) -> Message:
    """Return the message with its results under the ids in `own`, by their identity."""
    if not any(id(part) in own for part in message.parts):
        return message
    parts = [
        msgspec.structs.replace(part, call_id=own[id(part)])
        if isinstance(part, ToolResult) and id(part) in own
        else part
        for part in message.parts
    ]
    return msgspec.structs.replace(message, parts=tuple(parts))


class _Apart:
    """Gives out the ids. `taken`: all that the messages have."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._seen: set[str] = set()
        # The ids of the calls that wait for a result, oldest first, by the one that the client gave them.
        self._waiting: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def message(self, message: Message) -> Message:
        if message.role == "user":
            self._waiting.clear()
        if not any(isinstance(part, ToolCall | ToolResult) for part in message.parts):
            return message
        return msgspec.structs.replace(message, parts=tuple(map(self._part, message.parts)))

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            own = self._free(part.id) if part.id in self._seen else part.id
            self._seen.add(part.id)
            self._waiting.setdefault(part.id, []).append(own)
            return part if own == part.id else msgspec.structs.replace(part, id=own)
        if isinstance(part, ToolResult) and (waiting := self._waiting.get(part.call_id)):
            own = waiting.pop(0)
            return part if own == part.call_id else msgspec.structs.replace(part, call_id=own)
        return part

    def _free(self, call_id: str) -> str:
        count = self._counts.get(call_id, 1)
        while True:
            count += 1
            own = f"{call_id}-{count}"
            if own not in self._taken:
                break
        self._counts[call_id] = count
        self._taken.add(own)
        return own
