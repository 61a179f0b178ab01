"""The messages that a client sent along, and what matching computes of them alone: each of it once."""

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter

import msgspec

from nanobot.core.message import Message
from nanobot.core.visible import PRIME, Place, place_of, places, step_of_depth
from nanobot.stores.sql.pieces import is_long
from nanobot.stores.sql.recent_places import RecentPlaces

_role = attrgetter("role")


class SentList:
    """A client's list. What is computed of it takes the longer, the longer the list is.

    `ordered`: its messages with each result that stands before its call right behind it. `window`: those
    without the `first` ones, which are results without their call, as a list has that was trimmed between
    them.
    """

    def __init__(self, messages: tuple[Message, ...] = ()) -> None:
        self.messages = messages

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def is_long(self) -> bool:
        """Whether to compare it takes longer than others' jobs should wait."""
        return is_long(self.messages)

    @cached_property
    def ordered(self) -> tuple[Message, ...]:
        return _in_order(self.messages)

    @cached_property
    def first(self) -> int:
        return next((index for index, message in enumerate(self.ordered) if message.role != "tool"), 0)

    @cached_property
    def window(self) -> tuple[Message, ...]:
        return self.ordered[self.first :]

    @cached_property
    def end(self) -> Place:
        """Where the list leads to as it was sent."""
        return place_of(self.messages)

    def end_by(self, recent: RecentPlaces, session: int) -> Place:
        """Return `end`, for less where `recent` has seen the list of the session before."""
        if "end" not in vars(self):
            self.end = recent.place_of(session, self.messages)
        return self.end

    @cached_property
    def window_end(self) -> Place:
        return self.end if self.window is self.messages else place_of(self.window)

    @cached_property
    def beginnings(self) -> "Beginnings":
        """Where each beginning of the window leads to."""
        return Beginnings(places(self.window))


class Beginnings:
    """Where the beginnings of a list lead to, from the start and from anywhere else.

    `packed`: from the start, as digests of rows.
    """

    def __init__(self, ends: Sequence[Place]) -> None:
        self._ends = ends
        self.packed = [end.packed() for end in ends]

    def __len__(self) -> int:
        return len(self._ends)

    @cached_property
    def _steps(self) -> list[tuple[int, int, int]]:
        steps = {depth: step_of_depth(depth) for depth in {end.depth for end in self._ends}}
        return [(end.depth, steps[end.depth], end.chain) for end in self._ends]

    def first_behind(self, before: Place) -> tuple[int, int]:
        """Return depth and chain of where the first message leads to from `before`."""
        depth, step, chain = self._steps[0]
        return before.depth + depth, (before.chain * step + chain) % PRIME

    def longest_behind(self, before: Place, known: set[tuple[int, int]]) -> tuple[int, Place]:
        """Return how many messages the longest beginning has that leads from `before` to one of the `known`
        depths and chains, and that place; 0 where there is none.
        """
        depth, chain = before.depth, before.chain
        steps = self._steps
        for index in range(len(steps) - 1, -1, -1):
            more, step, end = steps[index]
            there = (depth + more, (chain * step + end) % PRIME)
            if there in known:
                return index + 1, Place(*there)
        return 0, before


class _EarlyResults(msgspec.Struct):
    """Results that stand before the calls `missing`: which message of the list they are."""

    number: int
    message: Message
    missing: set[str]


def _in_order(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages with each result that stands before its call right behind it."""
    if "tool" not in map(_role, messages):
        return messages
    to_come = {call.id for message in messages for call in message.tool_calls}
    ordered: list[Message] = []
    early: dict[str, list[_EarlyResults]] = {}
    for number, message in enumerate(messages):
        if message.role == "tool":
            missing = {result.call_id for result in message.tool_results} & to_come
            if missing:
                waiting = _EarlyResults(number, message, missing)
                for call_id in missing:
                    early.setdefault(call_id, []).append(waiting)
                continue
        ordered.append(message)
        made = [call.id for call in message.tool_calls]
        to_come.difference_update(made)
        ready: dict[int, Message] = {}
        for call_id in made:
            for waiting in early.pop(call_id, ()):
                waiting.missing.discard(call_id)
                if not waiting.missing:
                    ready[waiting.number] = waiting.message
        ordered += [ready[each] for each in sorted(ready)]
    return tuple(ordered)
