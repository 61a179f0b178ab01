"""Turns that go on where a certain other one ended, and results that answer a client's calls."""

import asyncio
import hashlib

import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.errors import ShuttingDown, TurnNotFound, UnknownToolCall
from nanobot.core.event import MessageAdded, TurnEnded
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.tool import tool_spec
from nanobot.core.turn import Admission, Identity, Turn
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness, done, failed, said

CALL = Message(
    "assistant", (ToolCall("c1", "lookup", "{}", True), ToolCall("c2", "lookup", "{}", True)), "tool_calls"
)
SPEC = tool_spec("lookup", "", {})


async def follow(harness: StoreHarness, text: str, after: str | None, key: str = "a") -> Admission:
    turn = Turn(f"turn_after_{text}", key, (user(text),), "api", after=after)
    return await harness.store.admit(turn, Identity(hashlib.blake2b(text.encode(), digest_size=32).digest()))


async def send(
    harness: StoreHarness, *results: tuple[str, str], earlier: tuple[Message, ...] = (), key: str = "a"
) -> Admission:
    given = tuple(Message("tool", (ToolResult(*result),)) for result in results)
    turn = Turn(f"turn_of_{'_'.join(name for name, _ in results)}", key, given, "api")
    return await harness.store.admit(
        turn, Identity(hashlib.blake2b(repr(given).encode(), digest_size=32).digest()), earlier
    )


async def call(harness: StoreHarness, key: str = "a") -> Claim:
    """Run a turn that ends with two calls of the client's."""
    turn = Turn("turn_calling", key, (user("look"),), "api", tools=(SPEC,))
    await harness.store.admit(turn, Identity(b"x" * 32))
    claim = await harness.engine.claim()
    assert claim.turn.tools == (SPEC,)
    await harness.store.append(claim, (MessageAdded(CALL), TurnEnded("done")))
    return claim


# After a turn -------------------------------------------------------------------------------------


async def test_a_turn_after_the_newest_one_goes_on_at_the_tip(harness: StoreHarness) -> None:
    claim = await harness.say("a", "1", "one")
    await follow(harness, "2", claim.turn.id)
    assert await harness.texts("a") == ["U:1", "A:one", "U:2"]


async def test_a_turn_after_an_older_one_begins_a_branch_there(harness: StoreHarness) -> None:
    first = await harness.say("a", "1", "one")
    await harness.say("a", "2", "two")
    await follow(harness, "other", first.turn.id)
    assert await harness.texts("a") == ["U:1", "A:one", "U:other"]


async def test_a_turn_after_one_that_still_runs_waits_for_its_end(harness: StoreHarness) -> None:
    running = await harness.start("a", "1")
    await harness.admit("a", "between")
    await follow(harness, "2", running.turn.id)
    await harness.store.append(running, done("one"))
    await harness.store.append(await harness.engine.claim(), done("two"))
    await harness.engine.claim()
    assert await harness.texts("a") == ["U:1", "A:one", "U:2"], "what was said between is on another branch"


async def test_a_turn_after_one_that_left_nothing_goes_on_where_that_began(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    broken = await harness.start("a", "2")
    await harness.store.append(broken, (failed(retryable=False),))
    await follow(harness, "3", broken.turn.id)
    assert await harness.texts("a") == ["U:1", "A:one", "U:3"]


async def test_a_turn_of_another_session_cannot_be_followed(harness: StoreHarness) -> None:
    claim = await harness.say("b", "1", "one")
    for after in (claim.turn.id, "turn_x"):
        with pytest.raises(TurnNotFound):
            await follow(harness, "2", after)
    assert [session.key for session in await harness.store.sessions(limit=10)] == ["b"], (
        "what is refused leaves nothing"
    )


# Results ------------------------------------------------------------------------------------------


async def test_results_answer_the_calls_at_the_tip(harness: StoreHarness) -> None:
    await call(harness)
    await send(harness, ("c2", "two"), ("c1", "one"))
    assert await harness.texts("a") == ["U:look", "A:", "T:two", "T:one"]


async def test_a_result_without_its_call_is_refused_and_leaves_nothing(harness: StoreHarness) -> None:
    with pytest.raises(UnknownToolCall):
        await send(harness, ("c1", "one"))
    await call(harness)
    with pytest.raises(UnknownToolCall, match="c1, c2"):
        await send(harness, ("c3", "three"))
    await harness.say("a", "never mind", "as you like")
    with pytest.raises(UnknownToolCall):
        await send(harness, ("c1", "too late"))
    assert await harness.texts("a") == ["U:look", "A:", "U:never mind", "A:as you like"]


async def test_a_client_with_its_history_may_still_answer_a_call_that_others_passed_by(
    harness: StoreHarness,
) -> None:
    await call(harness)
    await harness.say("a", "never mind", "as you like")
    admission = await send(harness, ("c1", "one"), earlier=(user("look"), CALL))
    assert admission.history == "rewound"
    assert await harness.texts("a") == ["U:look", "A:", "T:one"]


async def test_an_imported_call_may_be_answered(harness: StoreHarness) -> None:
    admission = await send(harness, ("c1", "one"), earlier=(user("look"), CALL))
    assert admission.history == "imported"
    assert await harness.texts("a") == ["U:look", "A:", "T:one"]


async def test_calls_of_one_session_are_not_answered_from_another(harness: StoreHarness) -> None:
    await call(harness, "a")
    await harness.say("b", "1", "one")
    with pytest.raises(UnknownToolCall) as caught:
        await send(harness, ("c1", "x"), key="b")
    assert "waiting: none" in str(caught.value)


async def test_a_client_is_known_by_its_calls_where_it_dropped_the_words(harness: StoreHarness) -> None:
    turn = Turn("turn_talking", "a", (user("look"),), "api", tools=(SPEC,))
    await harness.store.admit(turn, Identity(b"y" * 32))
    talking = Message("assistant", (*said("One moment.").parts, *CALL.parts), "tool_calls")
    await harness.store.append(await harness.engine.claim(), (MessageAdded(talking), TurnEnded("done")))
    assert (await send(harness, ("c1", "one"), earlier=(user("look"), CALL))).history == "matched"


async def test_a_turn_that_is_admitted_while_the_server_stops_is_answered(harness: StoreHarness) -> None:
    """The stop comes after the commit and before the store has told anyone of it: nobody waits for ever."""
    await harness.start("a", "1")
    steering = asyncio.ensure_future(harness.admit("a", "hurry", when_busy="steer"))
    other = asyncio.ensure_future(harness.admit("b", "2"))
    await asyncio.sleep(0)
    harness.store.hang_up()
    async with asyncio.timeout(BOUND_S):
        for admitted in (await steering, await other):
            answer = await harness.store.ended(admitted.turn_id)
            assert answer.end.error is not None
            assert answer.end.error.code == ShuttingDown.code
