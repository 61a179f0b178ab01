"""What is live: turns are opened, shared, parted and ended; watchers see them."""

import asyncio
from collections.abc import AsyncGenerator

from nanobot.core.event import (
    Event,
    MessageAdded,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnAdmitted,
    TurnEnded,
    TurnStarted,
)
from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.core.sessions import SessionEvent
from nanobot.stores.live.live import STOPPING, Live
from nanobot.stores.live.turn import LiveTurn
from tests.asgi import BOUND_S

DONE = TurnEnded("done")
ANSWER = MessageAdded(Message("assistant", (Text("hello"),), "stop"))


def opened(*ids: str, session_key: str | None = "a") -> Live:
    live = Live()
    for turn_id in ids:
        live.open(LiveTurn(turn_id, session_key=session_key, input=(user("hi"),)))
    return live


async def followed(turn: LiveTurn | None) -> list[Event]:
    assert turn is not None
    async with asyncio.timeout(BOUND_S):
        return [event async for batch in turn.follow(0) for _, event in batch]


async def first(live: Live, after: tuple[str, int] | None = None) -> list[SessionEvent]:
    """Return what a watcher of the session `a` sees first."""
    watching = live.watch("a", (), after)
    events = await asyncio.wait_for(anext(watching), BOUND_S)
    await watching.aclose()
    return list(events)


async def test_an_open_turn_is_followed_to_its_end_and_is_open_no_more() -> None:
    live = opened("one")
    turn = live.get("one")
    live.put_delta("one", TextDelta("hel"))
    following = asyncio.ensure_future(followed(turn))
    await asyncio.sleep(0)
    live.put("one", (ANSWER, DONE))
    assert await following == [TextDelta("hel"), ANSWER, DONE]
    assert live.get("one") is None


async def test_a_turn_that_joined_another_ends_with_it() -> None:
    live = opened("one")
    live.share("one", "two")
    assert live.get("two") is live.get("one")
    live.put("one", (DONE,))
    assert live.get("two") is None


async def test_a_turn_that_parted_is_open_after_the_other_has_ended() -> None:
    live = opened("one")
    live.share("one", "two")
    live.part("one", "two")
    live.put("one", (DONE,))
    turn = live.get("two")
    assert turn is not None
    assert (turn.ids, turn.session_key, turn.end) == (["two"], "a", None)


async def test_calls_for_a_turn_that_is_not_open_do_nothing() -> None:
    live = opened("one")
    live.share("gone", "two")
    live.part("gone", "two")
    live.put("gone", (DONE,))
    live.put_delta("gone", TextDelta("x"))
    live.tell("gone", TurnStarted(1))
    assert live.get("two") is None
    assert await first(live) == [SessionEvent("one", 0, TurnAdmitted((user("hi"),)))]


async def test_at_the_end_every_turn_is_stopped_and_none_is_opened_any_more() -> None:
    live = opened("one", "two")
    turns = [live.get("one"), live.get("two")]
    watching = live.watch("a", (), None)
    await anext(watching)
    live.end()
    live.open(LiveTurn("three"))
    assert [await followed(turn) for turn in turns] == [[STOPPING], [STOPPING]]
    assert live.get("three") is None
    assert await anext(watching, None) is None
    assert [events async for events in live.watch("a", (), None)] == []


async def test_a_watcher_sees_what_was_said_before_it_came_and_all_that_follows() -> None:
    live = opened("one")
    live.tell("one", TurnStarted(2))
    live.put_delta("one", TextDelta("hel"))
    watching = live.watch("a", (), None)
    before = await anext(watching)
    live.put("one", (ANSWER, DONE))
    after = await anext(watching)
    live.end_session("a")
    assert [type(each.event) for each in before] == [TurnAdmitted, TurnStarted, TextDelta]
    assert [(each.turn_id, each.cursor, each.event) for each in after] == [
        ("one", 4, ANSWER),
        ("one", 5, DONE),
    ]
    assert await anext(watching, None) is None


async def test_a_watcher_that_comes_back_is_shown_only_what_lies_past_its_cursor() -> None:
    live = opened("one")
    live.put_delta("one", TextDelta("hello"))
    assert await first(live, ("one", 2)) == [SessionEvent("one", 5, TextDelta("llo"))]


async def test_turns_that_leave_no_trace_are_followed_but_not_watched() -> None:
    live = opened("one", session_key=None)
    live.put_delta("one", TextDelta("hel"))
    assert await first(live) == []
    assert live.get("one") is not None


# Who listens --------------------------------------------------------------------------------------


async def test_a_turn_has_listeners_while_somebody_follows_it() -> None:
    turn = LiveTurn("one")
    calls: list[str] = []
    turn.on_arrival(lambda: calls.append("arrived"))
    turn.put((ANSWER,))
    following = turn.follow(0)
    assert not turn.is_listening
    await anext(following)
    assert (turn.is_listening, calls) == (True, ["arrived"])
    assert isinstance(following, AsyncGenerator)
    await following.aclose()
    assert not turn.is_listening


async def test_who_waits_for_the_end_alone_does_not_listen() -> None:
    turn = LiveTurn("one")
    waiting = asyncio.ensure_future(turn.ended())
    await asyncio.sleep(0)
    turn.put((ANSWER,))
    await asyncio.sleep(0)
    assert not turn.is_listening and not waiting.done()
    turn.put((DONE,))
    assert await waiting == DONE


async def test_who_watches_a_session_listens_to_its_turns_also_to_later_ones() -> None:
    live = opened("one")
    watching = live.watch("a", (), None)
    await anext(watching)
    live.open(LiveTurn("two", session_key="a"))
    live.open(LiveTurn("other", session_key="b"))
    assert [turn.is_listening for id_ in ("one", "two", "other") if (turn := live.get(id_))] == [
        True,
        True,
        False,
    ]
    await watching.aclose()
    assert [turn.listeners for id_ in ("one", "two") if (turn := live.get(id_))] == [0, 0]


async def test_who_watched_a_session_that_was_deleted_listens_to_no_later_one_of_its_name() -> None:
    live = opened()
    watching = live.watch("a", (), None)
    await anext(watching)
    live.end_session("a")
    live.open(LiveTurn("two", session_key="a"))
    await watching.aclose()
    turn = live.get("two")
    assert turn is not None and turn.listeners == 0


def test_of_what_a_call_tells_only_the_newest_is_kept_until_it_ends() -> None:
    turn = LiveTurn("t")
    start = ToolStarted(ToolCall("c1", "run_command", "{}"))
    turn.put([start])
    for number in range(1_000):
        turn.put([ToolProgress("c1", f"line {number}"), ToolProgress("c2", "other")])
    told = [event for _, event in turn.so_far()]
    assert told == [start, ToolProgress("c1", "line 999"), ToolProgress("c2", "other")]
    assert turn.cursor == 1
    # A client that has all that counts: what runs has no place of its own.
    assert [event for _, event in turn.so_far(1)] == told[1:]
    result = ToolFinished(Message("tool", (ToolResult("c1", "done"),)))
    turn.put([result])
    assert [event for _, event in turn.so_far()] == [start, told[2], result]
