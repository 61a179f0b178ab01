"""Watching a session: everything that happens in it, seen by any number, and nobody waits for a slow one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from nanobot.core.errors import SessionNotFound, TurnNotFound
from nanobot.core.event import MessageAdded, TextDelta, ToolFinished, ToolStarted
from nanobot.core.message import Message, ToolCall, ToolResult
from nanobot.core.sessions import SessionEvent
from nanobot.stores.live import views as watching
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness, done


class Watcher:
    """Reads on as it is asked to."""

    def __init__(self, harness: StoreHarness, key: str, after: tuple[str, int] | None = None) -> None:
        self._sights: AsyncGenerator[Sequence[SessionEvent], None] = harness.store.watch(key, after)
        self.seen: list[SessionEvent] = []

    async def begin(self) -> "Watcher":
        self.seen.extend(await asyncio.wait_for(anext(self._sights), BOUND_S))
        return self

    async def until(self, kind: str, times: int = 1) -> list[str]:
        """Return what was seen once `kind` has been, so many times."""
        while self.kinds.count(kind) < times:
            self.seen.extend(await asyncio.wait_for(anext(self._sights), BOUND_S))
        return self.kinds

    async def ended(self) -> bool:
        return await asyncio.wait_for(anext(self._sights, None), BOUND_S) is None

    async def leave(self) -> None:
        await self._sights.aclose()

    @property
    def kinds(self) -> list[str]:
        return [type(sight.event).__name__ for sight in self.seen]


WHOLE = ["TurnAdmitted", "TurnStarted", "TextDelta", "MessageAdded", "TurnEnded"]


async def test_all_who_watch_see_all_of_a_turn_in_order(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    watchers = [await Watcher(harness, "a").begin() for _ in range(3)]
    claim = await harness.start("a", "2")
    harness.store.show(claim, TextDelta("two"))
    await harness.store.append(claim, done("two"))
    for watcher in watchers:
        assert await watcher.until("TurnEnded") == WHOLE
        assert {sight.turn_id for sight in watcher.seen} == {claim.turn.id}
        assert [sight.cursor for sight in watcher.seen] == [0, 0, 3, 4, 5]
        assert watcher.seen[0].event.input == claim.turn.input  # type: ignore[union-attr]
        await watcher.leave()


async def test_deltas_that_a_watcher_has_seen_stay(harness: StoreHarness) -> None:
    claim = await harness.start("a")
    watcher = await Watcher(harness, "a").begin()
    harness.store.show(claim, TextDelta("Hel"))
    assert not harness.store.take_back(claim)
    await watcher.leave()


async def test_who_comes_late_sees_the_running_turn_from_its_beginning(harness: StoreHarness) -> None:
    claim = await harness.start("a", "1")
    harness.store.show(claim, TextDelta("on"))
    waiting = await harness.admit("a", "2")
    watcher = await Watcher(harness, "a").begin()
    assert watcher.kinds == ["TurnAdmitted", "TurnStarted", "TextDelta", "TurnAdmitted"]
    assert watcher.seen[-1].turn_id == waiting.turn_id
    harness.store.show(claim, TextDelta("e"))
    await harness.store.append(claim, done("one"))
    await watcher.until("TurnStarted", 2)
    assert watcher.kinds[4:] == ["TextDelta", "MessageAdded", "TurnEnded", "TurnStarted"]
    await watcher.leave()


async def test_a_turn_that_was_running_at_a_crash_is_seen_after_the_restart(harness: StoreHarness) -> None:
    claim = await harness.start("a", "1")
    call = ToolCall("c", "f", "{}")
    await harness.store.append(
        claim, (MessageAdded(Message("assistant", (call,), "tool_calls")), ToolStarted(call))
    )
    await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult("c", "42"),))),))
    await harness.reopen()
    await harness.engine.claim()
    watcher = await Watcher(harness, "a").begin()
    assert watcher.kinds == ["TurnAdmitted", "TurnStarted", "MessageAdded", "ToolStarted", "ToolFinished"]
    assert watcher.seen[0].event.input == claim.turn.input  # type: ignore[union-attr]
    await watcher.leave()


async def test_who_comes_back_gets_the_rest_of_the_turn_it_had_begun(harness: StoreHarness) -> None:
    claim = await harness.start("a", "1")
    harness.store.show(claim, TextDelta("Hello"))
    watcher = await Watcher(harness, "a", (claim.turn.id, 2)).begin()
    assert [(sight.cursor, sight.event) for sight in watcher.seen] == [(5, TextDelta("llo"))]
    await watcher.leave()
    await harness.store.append(claim, done("Hello"))
    other = await harness.start("a", "2")
    watcher = await Watcher(harness, "a", (claim.turn.id, 5)).begin()
    assert watcher.kinds == ["MessageAdded", "TurnEnded", "TurnAdmitted", "TurnStarted"]
    assert [sight.turn_id for sight in watcher.seen] == [claim.turn.id] * 2 + [other.turn.id] * 2
    await watcher.leave()


async def test_who_watches_one_session_sees_nothing_of_another(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    foreign = await harness.say("b", "1", "one")
    watcher = await Watcher(harness, "a").begin()
    await harness.say("b", "2", "two")
    await harness.say("a", "2", "two")
    await watcher.until("TurnEnded")
    assert foreign.turn.id not in {sight.turn_id for sight in watcher.seen}
    assert watcher.kinds == ["TurnAdmitted", "TurnStarted", "MessageAdded", "TurnEnded"]
    await watcher.leave()
    with pytest.raises(TurnNotFound):
        await Watcher(harness, "a", (foreign.turn.id, 0)).begin()
    with pytest.raises(SessionNotFound):
        await Watcher(harness, "nobody").begin()


async def test_turns_that_leave_no_trace_are_not_seen(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    watcher = await Watcher(harness, "a").begin()
    await harness.say("a", "title", "T", trace=False)
    claim = await harness.say("a", "2", "two")
    await watcher.until("TurnEnded")
    assert {sight.turn_id for sight in watcher.seen} == {claim.turn.id}
    await watcher.leave()


async def test_one_that_steers_and_one_that_waits_in_vain_are_seen(harness: StoreHarness) -> None:
    await harness.say("a", "0", "zero")
    watcher = await Watcher(harness, "a").begin()
    claim = await harness.start("a", "1")
    await harness.admit("a", "hurry", when_busy="steer")
    waiting = await harness.admit("a", "2")
    await harness.store.cancel(waiting.turn_id, "enough")
    await watcher.until("TurnEnded")
    assert watcher.kinds == ["TurnAdmitted", "TurnStarted", "TurnAdmitted", "TurnAdmitted", "TurnEnded"]
    assert watcher.seen[2].event.joins == claim.turn.id  # type: ignore[union-attr]
    await watcher.leave()


async def test_who_is_slow_holds_up_nobody_and_is_told_what_it_missed(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_MOST_KEPT", 10)
    await harness.say("a", "1", "one")
    slow = await Watcher(harness, "a").begin()
    claim = await harness.start("a", "2")
    for _ in range(100):
        harness.store.show(claim, TextDelta("x"))
    await harness.store.append(claim, done("x" * 100))
    await slow.until("TurnEnded")
    assert len(slow.seen) == 10
    assert [sight.missed for sight in slow.seen] == [94] + [0] * 9
    await slow.leave()


async def test_watching_ends_with_the_session_and_with_the_server(harness: StoreHarness) -> None:
    await harness.say("b", "1", "one")
    claim = await harness.start("a", "1")
    of_a, of_b = await Watcher(harness, "a").begin(), await Watcher(harness, "b").begin()
    await harness.store.delete_session("a")
    await of_a.until("TurnEnded")
    assert await of_a.ended()
    assert of_a.seen[-1].turn_id == claim.turn.id
    harness.store.hang_up()
    assert await of_b.ended()


async def test_nothing_is_kept_of_sessions_that_nobody_watches(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    watcher = await Watcher(harness, "a").begin()
    await watcher.leave()
    await harness.say("a", "2", "two")
    watcher = await Watcher(harness, "a").begin()
    assert watcher.seen == []
    await watcher.leave()
