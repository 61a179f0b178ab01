"""What turns tell a group: it says of whom it is so."""

import msgspec
import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.errors import InvalidRequest
from nanobot.core.memory import NewFact
from nanobot.core.message import Message, Text
from nanobot.core.turn import Identity
from tests.contract.remembered import ALICE, ALICE_IN_G, BOB_IN_G, remember
from tests.contract.store_harness import StoreHarness, done


async def start_as(harness: StoreHarness, key: str, name: str) -> Claim:
    """Begin a turn in which somebody of this name speaks."""
    turn = harness.turn(key, "hello")
    turn = msgspec.structs.replace(turn, input=(Message("user", (Text("hello"),), name=name),))
    await harness.store.admit(turn, Identity(turn.id.encode()[-32:].rjust(32)))
    return await harness.engine.claim()


async def test_a_fact_that_a_group_is_told_says_of_whom_it_is(harness: StoreHarness) -> None:
    alice = await start_as(harness, ALICE_IN_G, "Alex")
    await remember(harness, ALICE_IN_G, "is allergic to nuts", turn_id=alice.turn.id)
    await harness.store.append(alice, done("Noted"))
    bob = await harness.say(BOB_IN_G, "So am I", "Noted")
    await remember(harness, BOB_IN_G, "is allergic to nuts", turn_id=bob.turn.id)
    namesake = await start_as(harness, "wx:group:g:user:dora", "Alex")
    await remember(harness, "wx:group:g:user:dora", "is allergic to nuts", turn_id=namesake.turn.id)
    known = (await harness.store.facts(BOB_IN_G, limit=9)).facts
    assert {fact.subject for fact in known} == {"Alex (wx:alice)", "wx:bob", "Alex (wx:dora)"}
    again = await remember(harness, ALICE_IN_G, "is allergic to nuts", turn_id=alice.turn.id)
    assert (again.subject, len(known)) == ("Alex (wx:alice)", 3), "said twice, it is the same fact"
    assert len((await harness.store.facts(BOB_IN_G, limit=9)).facts) == 3


async def test_a_name_alone_is_a_members_as_long_as_nobody_else_has_it(harness: StoreHarness) -> None:
    alice = await start_as(harness, ALICE_IN_G, "Alex")
    assert (await remember(harness, ALICE_IN_G, "plays chess", turn_id=alice.turn.id)).subject == "Alex"
    again = await remember(harness, ALICE_IN_G, "plays go", turn_id=alice.turn.id)
    assert again.subject == "Alex"


async def test_a_member_cannot_take_the_id_of_another_for_a_name(harness: StoreHarness) -> None:
    for name in ("wx:alice", "Alex (wx:alice)"):
        claim = await start_as(harness, BOB_IN_G, name)
        fact = await remember(harness, BOB_IN_G, f"is called {name}", turn_id=claim.turn.id)
        assert fact.subject == f"{name} (wx:bob)"
        await harness.store.append(claim, done("Noted"))


async def test_what_others_say_of_a_namesake_stays_as_it_was_said(harness: StoreHarness) -> None:
    bob = await start_as(harness, BOB_IN_G, "Bob")
    new = NewFact(id="mem_n", text="is on leave", origin="conversation", subject="Alex", turn_id=bob.turn.id)
    await harness.store.remember(BOB_IN_G, new)
    await harness.store.append(bob, done("Noted"))
    alice = await start_as(harness, ALICE_IN_G, "Alex")
    await remember(harness, ALICE_IN_G, "plays chess", turn_id=alice.turn.id)
    known = (await harness.store.facts(BOB_IN_G, limit=9)).facts
    assert {fact.subject for fact in known} == {"Alex", "Alex (wx:alice)"}


async def test_a_fact_of_a_group_that_changes_stays_about_the_same(harness: StoreHarness) -> None:
    alice = await harness.say(ALICE_IN_G, "The kitchen is on floor one", "Noted")
    kitchen = await harness.store.remember(
        ALICE_IN_G,
        NewFact(id="mem_k", text="floor 1", origin="conversation", subject="kitchen", turn_id=alice.turn.id),
    )
    bob = await harness.say(BOB_IN_G, "It moved to floor two", "Noted")
    changed = await remember(harness, BOB_IN_G, "floor 2", turn_id=bob.turn.id, replaces=kitchen.id)
    assert (changed.subject, changed.text) == ("kitchen", "floor 2")


async def test_what_a_person_says_of_themselves_in_private_needs_no_name(harness: StoreHarness) -> None:
    claim = await start_as(harness, ALICE, "Alex")
    assert (await remember(harness, ALICE, "likes tea", turn_id=claim.turn.id)).subject == ""
    here = await harness.say(ALICE_IN_G, "Only here", "Noted")
    fact = await remember(harness, ALICE_IN_G, "likes tea", turn_id=here.turn.id, layer="session")
    assert fact.subject == ""


async def test_a_member_changes_what_is_so_of_another_only_by_saying_of_whom_it_is(
    harness: StoreHarness,
) -> None:
    alice = await harness.say(ALICE_IN_G, "I live in Rome", "Noted")
    rome = await remember(harness, ALICE_IN_G, "lives in Rome", turn_id=alice.turn.id)
    bob = await harness.say(BOB_IN_G, "I moved to Berlin", "Noted")
    with pytest.raises(InvalidRequest, match="is so of wx:alice, who is not who speaks"):
        await remember(harness, BOB_IN_G, "lives in Berlin", turn_id=bob.turn.id, replaces=rome.id)
    changed = await remember(
        harness, BOB_IN_G, "lives in Bonn", turn_id=bob.turn.id, replaces=rome.id, subject="wx:alice"
    )
    assert (changed.id, changed.subject) == (rome.id, "wx:alice")
    moved = await harness.say(ALICE_IN_G, "I moved to Ulm", "Noted")
    ulm = await remember(harness, ALICE_IN_G, "lives in Ulm", turn_id=moved.turn.id, replaces=rome.id)
    assert (ulm.id, ulm.subject) == (rome.id, "wx:alice")
