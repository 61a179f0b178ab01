"""A turn's line: whoever follows it, whenever and from wherever, gets the same events."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.dispatch import Claim
from nanobot.core.event import (
    Event,
    MessageAdded,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
)
from nanobot.core.message import Message, Part, Text, Thinking, ToolCall, ToolResult
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@dataclass(frozen=True)
class Step:
    """What the model says in one step: thoughts, text and tool calls; how the deltas are cut; whether a user
    joins.
    """

    thought: str
    text: str
    calls: int
    cuts: frozenset[int]
    steered: bool


STEPS = st.lists(
    st.builds(
        Step,
        thought=st.just("") | TEXTS,
        text=TEXTS,
        calls=st.integers(0, 2),
        cuts=st.frozensets(st.integers(1, 11), max_size=4),
        steered=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
Unit = tuple[int, object]


def pieces(text: str, cuts: frozenset[int]) -> list[str]:
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def units(events: list[tuple[int, Event]]) -> list[Unit]:
    """Return the line unit by unit, so that the cuts between deltas do not show."""
    out: list[Unit] = []
    for cursor, event in events:
        if isinstance(event, TextDelta | ThinkingDelta):
            start = cursor - len(event.text)
            out.extend(
                (start + index + 1, (type(event).__name__, character))
                for index, character in enumerate(event.text)
            )
        else:
            out.append((cursor, event))
    return out


async def line(harness: StoreHarness, turn_id: str, after: int = 0) -> list[Unit]:
    async with asyncio.timeout(BOUND_S):
        return units([item async for batch in harness.store.follow(turn_id, after) for item in batch])


async def play(harness: StoreHarness, claim: Claim, steps: list[Step]) -> None:
    """Be the model and its tools."""
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        for text in pieces(step.thought, step.cuts) if step.thought else ():
            harness.store.show(claim, ThinkingDelta(text))
        for text in pieces(step.text, step.cuts):
            harness.store.show(claim, TextDelta(text))
            await asyncio.sleep(0)
        parts: list[Part] = [Thinking(step.thought)] if step.thought else []
        calls = [] if is_last else [ToolCall(f"{number}-{index}", "x", "{}") for index in range(step.calls)]
        message = Message("assistant", (*parts, Text(step.text), *calls), "tool_calls" if calls else "stop")
        if step.steered and not is_last:
            await harness.admit(claim.turn.session_key, f"by the way {number}", when_busy="steer")
        if is_last:
            await harness.store.append(claim, (MessageAdded(message), TurnEnded("done")))
            return
        await harness.store.append(claim, (MessageAdded(message), *(ToolStarted(call) for call in calls)))
        for call in reversed(calls):
            await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult(call.id, "ok"),))),))


def past(whole: list[Unit], after: int) -> list[Unit]:
    return [unit for unit in whole if unit[0] > after or isinstance(unit[1], TurnEnded)]


@given(steps=STEPS, shares=st.lists(st.floats(0, 1.2), min_size=1, max_size=4))
async def test_a_stream_can_be_taken_up_again_at_any_cursor_live_or_afterwards(
    harness: StoreHarness, steps: list[Step], shares: list[float]
) -> None:
    """The same units in the same order, each once, wherever the deltas were cut."""
    harness.clock.advance(1)
    key = f"session {harness.clock.now()}"
    claim = await harness.start(key)
    cursors = [int(share * 60) for share in shares]
    live = [asyncio.ensure_future(line(harness, claim.turn.id, after)) for after in (0, *cursors)]
    await harness.engine.settled()
    await play(harness, claim, steps)
    whole, *parts = await asyncio.gather(*live)
    assert [cursor for cursor, _ in whole] == list(range(1, len(whole) + 1))
    assert await line(harness, claim.turn.id) == whole
    for after, part in zip(cursors, parts, strict=True):
        assert part == past(whole, after)
        assert await line(harness, claim.turn.id, after) == past(whole, after)


@given(steps=STEPS)
async def test_an_answer_can_be_taken_up_again_at_each_of_its_cursors(
    harness: StoreHarness, steps: list[Step]
) -> None:
    harness.clock.advance(1)
    claim = await harness.start(f"session {harness.clock.now()}")
    await play(harness, claim, steps)
    whole = await line(harness, claim.turn.id)
    for after in range(len(whole) + 1):
        assert await line(harness, claim.turn.id, after) == past(whole, after)
