"""What waits because as many turns run as may: who is next, and how much may wait."""

import msgspec
import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.errors import Overloaded, QueueFull
from nanobot.core.store import Limits
from nanobot.core.turn import Identity
from tests.contract.store_harness import StoreHarness, cancelled, done


async def admit(harness: StoreHarness, key: str, payer: str | None) -> str:
    turn = msgspec.structs.replace(harness.turn(key), key_id=payer)
    return (await harness.store.admit(turn, Identity(turn.id.encode(), None, False))).turn_id


async def next_after(harness: StoreHarness, claim: Claim) -> Claim:
    """Answer the turn that runs, the only one that may; return the next."""
    await harness.store.append(claim, done("ok"))
    return await harness.engine.claim()


async def keys_in_turn(harness: StoreHarness, claim: Claim, count: int) -> list[str]:
    """Return the sessions of the next `count` turns."""
    keys = []
    for _ in range(count):
        claim = await next_after(harness, claim)
        keys.append(claim.turn.session_key)
    return keys


async def test_a_thousand_turns_of_one_api_key_do_not_hold_up_the_first_of_another(
    harness: StoreHarness,
) -> None:
    await harness.reopen(max_running=1)
    running = await harness.start("first")
    for number in range(1_000):
        await admit(harness, f"many {number}", "key_many")
    await admit(harness, "one", "key_one")
    assert "one" in await keys_in_turn(harness, running, 3)


async def test_strangers_without_keys_are_told_apart_by_their_addresses(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1)
    running = await harness.start("first")
    for address, count in (("192.0.2.1", 100), ("192.0.2.2", 1)):
        for number in range(count):
            turn = msgspec.structs.replace(harness.turn(f"{address} {number}"), address=address)
            await harness.store.admit(turn, Identity(turn.id.encode(), None, False))
    assert "192.0.2.2 0" in await keys_in_turn(harness, running, 3)


async def test_of_a_turn_that_waited_the_address_is_known_when_it_starts(
    harness: StoreHarness,
) -> None:
    await harness.reopen(max_running=1)
    running = await harness.start("first")
    turn = msgspec.structs.replace(harness.turn("stranger"), address="192.0.2.1")
    await harness.store.admit(turn, Identity(turn.id.encode(), None, False))
    claim = await next_after(harness, running)
    assert claim.turn.payer == "192.0.2.1"


async def test_however_many_turns_an_api_key_runs_another_has_room(harness: StoreHarness) -> None:
    """Turns may run for an hour: nobody waits for those of one key to end."""
    await harness.reopen(max_running=16)
    for number in range(40):
        await admit(harness, f"many {number}", "key_many")
    claims = [await harness.engine.claim() for _ in range(14)]
    assert await harness.engine.none()
    await admit(harness, "one", "key_one")
    assert (await harness.engine.claim()).turn.session_key == "one"
    await harness.store.append(claims[0], done("ok"))
    assert (await harness.engine.claim()).turn.session_key == "many 14"
    assert await harness.engine.none()


async def test_a_key_that_has_its_share_over_a_restart_gets_no_more(harness: StoreHarness) -> None:
    await harness.reopen(max_running=16)
    for number in range(40):
        await admit(harness, f"many {number}", "key_many")
    await harness.reopen(max_running=16)
    for _ in range(14):
        assert (await harness.engine.claim()).turn.key_id == "key_many"
    assert await harness.engine.none()
    await admit(harness, "one", "key_one")
    assert (await harness.engine.claim()).turn.session_key == "one"


@pytest.mark.parametrize(("payer", "most"), [(None, 16), ("key_one", 4)])
async def test_without_api_keys_and_where_few_may_run_all_are_used(
    harness: StoreHarness, payer: str | None, most: int
) -> None:
    await harness.reopen(max_running=most)
    for number in range(most + 2):
        await admit(harness, f"s{number}", payer)
    for _ in range(most):
        await harness.engine.claim()
    assert await harness.engine.none()


async def test_api_keys_take_turns(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1)
    running = await harness.start("first")
    for payer in "ab":
        for number in range(4):
            await admit(harness, f"{payer}{number}", payer)
    keys = await keys_in_turn(harness, running, 8)
    assert [key[0] for key in keys] == ["a", "b"] * 4
    assert sorted(keys) == [f"{payer}{number}" for payer in "ab" for number in range(4)]


@pytest.mark.parametrize("payer", ["key_one", None])
async def test_sessions_of_one_api_key_take_turns(harness: StoreHarness, payer: str | None) -> None:
    await harness.reopen(max_running=1, limits=Limits(max_queue=16))
    running = await harness.start("first")
    for _ in range(5):
        await admit(harness, "busy", payer)
    await admit(harness, "other", payer)
    assert await keys_in_turn(harness, running, 3) == ["busy", "other", "busy"]


async def test_nobody_waits_for_ever(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1)
    claim = await harness.start("first")
    for _ in range(3):
        await admit(harness, "patient", "key_patient")
    waiting, served = 3, 0
    for number in range(5_000):
        await admit(harness, f"new {number}", "key_new")
        claim = await next_after(harness, claim)
        served += claim.turn.session_key == "patient"
        if served == waiting:
            break
    assert served == waiting


async def test_what_waits_keeps_its_place_over_a_restart(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1)
    await harness.start("first")
    for number in range(3):
        await admit(harness, f"a{number}", "a")
    await admit(harness, "b0", "b")
    await harness.reopen(max_running=1)
    claim = await harness.engine.claim()
    assert claim.turn.session_key == "first"
    assert await keys_in_turn(harness, claim, 4) == ["a0", "b0", "a1", "a2"]


async def test_turns_of_one_session_keep_their_order(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1)
    claim = await harness.start("first")
    ids = [await admit(harness, "a", payer) for payer in ("x", "y", "x")]
    for id_ in ids:
        claim = await next_after(harness, claim)
        assert claim.turn.id == id_


# How much may wait --------------------------------------------------------------------------------


async def test_a_full_queue_refuses_with_when_to_come_back(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1, limits=Limits(max_waiting=4))
    running = await harness.start("first")
    for number in range(4):
        await admit(harness, f"s{number}", None)
    with pytest.raises(Overloaded) as caught:
        await admit(harness, "late", None)
    assert caught.value.retry_after_s
    await next_after(harness, running)
    await admit(harness, "late", None)


async def test_one_api_key_has_half_of_the_queue(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1, limits=Limits(max_waiting=4))
    await harness.start("first")
    for number in range(2):
        await admit(harness, f"a{number}", "a")
    with pytest.raises(QueueFull) as caught:
        await admit(harness, "a2", "a")
    assert caught.value.retry_after_s
    await admit(harness, "b0", "b")


async def test_what_is_refused_leaves_nothing(harness: StoreHarness) -> None:
    await harness.reopen(max_running=1, limits=Limits(max_waiting=1))
    running = await harness.start("first")
    await admit(harness, "s", None)
    with pytest.raises(Overloaded):
        await admit(harness, "late", None)
    assert await harness.store.waiting() == 1
    assert {session.key for session in await harness.store.sessions(limit=9)} == {"first", "s"}
    await harness.store.append(running, (cancelled(),))
