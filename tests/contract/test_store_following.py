"""Turns that go on where a certain other one ended, and results that answer a client's calls."""

import hashlib

import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.errors import TurnNotFound, UnknownToolCall
from nanobot.core.event import MessageAdded, TurnEnded
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.tool import tool_spec
from nanobot.core.turn import Admission, Identity, Turn
from tests.contract.place import Place, done, failed, said

CALL = Message(
    "assistant", (ToolCall("c1", "lookup", "{}", True), ToolCall("c2", "lookup", "{}", True)), "tool_calls"
)
SPEC = tool_spec("lookup", "", {})


async def follow(place: Place, text: str, after: str | None, key: str = "a") -> Admission:
    turn = Turn(f"turn_after_{text}", key, (user(text),), "api", after=after)
    return await place.store.admit(turn, Identity(hashlib.blake2b(text.encode(), digest_size=32).digest()))


async def send(
    place: Place, *results: tuple[str, str], earlier: tuple[Message, ...] = (), key: str = "a"
) -> Admission:
    given = tuple(Message("tool", (ToolResult(*result),)) for result in results)
    turn = Turn(f"turn_of_{'_'.join(name for name, _ in results)}", key, given, "api")
    return await place.store.admit(
        turn, Identity(hashlib.blake2b(repr(given).encode(), digest_size=32).digest()), earlier
    )


async def call(place: Place, key: str = "a") -> Claim:
    """Run a turn that ends with two calls of the client's."""
    turn = Turn("turn_calling", key, (user("look"),), "api", tools=(SPEC,))
    await place.store.admit(turn, Identity(b"x" * 32))
    claim = await place.hands.claim()
    assert claim.turn.tools == (SPEC,)
    await place.store.append(claim, (MessageAdded(CALL), TurnEnded("done")))
    return claim


# After a turn -------------------------------------------------------------------------------------


async def test_a_turn_after_the_newest_one_goes_on_at_the_tip(place: Place) -> None:
    claim = await place.say("a", "1", "one")
    await follow(place, "2", claim.turn.id)
    assert await place.texts("a") == ["U:1", "A:one", "U:2"]


async def test_a_turn_after_an_older_one_begins_a_branch_there(place: Place) -> None:
    first = await place.say("a", "1", "one")
    await place.say("a", "2", "two")
    await follow(place, "other", first.turn.id)
    assert await place.texts("a") == ["U:1", "A:one", "U:other"]


async def test_a_turn_after_one_that_still_runs_waits_for_its_end(place: Place) -> None:
    running = await place.start("a", "1")
    await place.admit("a", "between")
    await follow(place, "2", running.turn.id)
    await place.store.append(running, done("one"))
    await place.store.append(await place.hands.claim(), done("two"))
    await place.hands.claim()
    assert await place.texts("a") == ["U:1", "A:one", "U:2"], "what was said between is on another branch"


async def test_a_turn_after_one_that_left_nothing_goes_on_where_that_began(place: Place) -> None:
    await place.say("a", "1", "one")
    broken = await place.start("a", "2")
    await place.store.append(broken, (failed(retryable=False),))
    await follow(place, "3", broken.turn.id)
    assert await place.texts("a") == ["U:1", "A:one", "U:3"]


async def test_a_turn_of_another_session_cannot_be_followed(place: Place) -> None:
    claim = await place.say("b", "1", "one")
    for after in (claim.turn.id, "turn_x"):
        with pytest.raises(TurnNotFound):
            await follow(place, "2", after)
    assert [session.key for session in await place.store.sessions(limit=10)] == ["b"], (
        "what is refused leaves nothing"
    )


# Results ------------------------------------------------------------------------------------------


async def test_results_answer_the_calls_at_the_tip(place: Place) -> None:
    await call(place)
    await send(place, ("c2", "two"), ("c1", "one"))
    assert await place.texts("a") == ["U:look", "A:", "T:two", "T:one"]


async def test_a_result_without_its_call_is_refused_and_leaves_nothing(place: Place) -> None:
    with pytest.raises(UnknownToolCall):
        await send(place, ("c1", "one"))
    await call(place)
    with pytest.raises(UnknownToolCall, match="c1, c2"):
        await send(place, ("c3", "three"))
    await place.say("a", "never mind", "as you like")
    with pytest.raises(UnknownToolCall):
        await send(place, ("c1", "too late"))
    assert await place.texts("a") == ["U:look", "A:", "U:never mind", "A:as you like"]


async def test_a_client_with_its_history_may_still_answer_a_call_that_others_passed_by(place: Place) -> None:
    await call(place)
    await place.say("a", "never mind", "as you like")
    admission = await send(place, ("c1", "one"), earlier=(user("look"), CALL))
    assert admission.history == "rewound"
    assert await place.texts("a") == ["U:look", "A:", "T:one"]


async def test_an_imported_call_may_be_answered(place: Place) -> None:
    admission = await send(place, ("c1", "one"), earlier=(user("look"), CALL))
    assert admission.history == "imported"
    assert await place.texts("a") == ["U:look", "A:", "T:one"]


async def test_calls_of_one_session_are_not_answered_from_another(place: Place) -> None:
    await call(place, "a")
    await place.say("b", "1", "one")
    with pytest.raises(UnknownToolCall) as caught:
        await send(place, ("c1", "x"), key="b")
    assert "waiting: none" in str(caught.value)


async def test_a_client_is_known_by_its_calls_where_it_dropped_the_words(place: Place) -> None:
    turn = Turn("turn_talking", "a", (user("look"),), "api", tools=(SPEC,))
    await place.store.admit(turn, Identity(b"y" * 32))
    talking = Message("assistant", (*said("One moment.").parts, *CALL.parts), "tool_calls")
    await place.store.append(await place.hands.claim(), (MessageAdded(talking), TurnEnded("done")))
    assert (await send(place, ("c1", "one"), earlier=(user("look"), CALL))).history == "matched"
