"""How far ended turns were read is kept with what was found in them: each turn is read once."""

from nanobot.core.compaction import Payer
from nanobot.core.extraction import UnreadTurns
from nanobot.core.memory import NewFact
from nanobot.core.message import Usage
from tests.contract.store_harness import StoreHarness

PAYER = Payer("a")
MUCH = 10_000


async def unread(harness: StoreHarness, most_characters: int = MUCH) -> UnreadTurns:
    of = await harness.store.unread_turns("a", most_characters=most_characters)
    assert of is not None
    return of


def said(of: UnreadTurns) -> list[str]:
    return [text for turn in of.turns for text in turn.said]


def fact(turn_id: str, text: str = "lives in Berlin", **more: str) -> NewFact:
    return NewFact(id=f"mem_{turn_id}{text}", text=text, origin="conversation", turn_id=turn_id, **more)  # type: ignore[arg-type]


async def test_ended_turns_are_read_once_and_those_that_run_later(harness: StoreHarness) -> None:
    assert await harness.store.unread_turns("a", most_characters=MUCH) is None
    await harness.say("a", "one", "1")
    await harness.start("a", "two")
    of = await unread(harness)
    assert said(of) == ["one"] and not of.has_more
    await harness.store.add_extracted(of, (), Usage(), PAYER)
    assert await harness.store.unread_turns("a", most_characters=MUCH) is None


async def test_much_is_read_in_parts_and_a_long_turn_whole(harness: StoreHarness) -> None:
    for text in ("x" * 60, "y" * 60, "z"):
        await harness.say("a", text, "ok")
    parts = []
    while (of := await harness.store.unread_turns("a", most_characters=50)) is not None:
        parts.append([text[0] for text in said(of)])
        await harness.store.add_extracted(of, (), Usage(), PAYER)
    assert parts == [["x"], ["y"], ["z"]]


async def test_what_is_found_is_kept_once_at_the_time_of_its_turn_after_a_crash_too(
    harness: StoreHarness,
) -> None:
    turn_id = (await harness.say("a", "I moved to Berlin", "ok")).turn.id
    said_at = harness.clock.now()
    harness.clock.advance(100)
    of = await unread(harness)
    (kept,) = await harness.store.add_extracted(of, (fact(turn_id),), Usage(), PAYER)
    assert (kept.text, kept.valid_from, kept.turn_id) == ("lives in Berlin", said_at, turn_id)
    # What was read before it was noted is not noted twice.
    assert await harness.store.add_extracted(of, (fact(turn_id, "likes tea"),), Usage(), PAYER) == ()
    await harness.reopen()
    assert await harness.store.unread_turns("a", most_characters=MUCH) is None
    assert len((await harness.store.facts("a", limit=9)).facts) == 1


async def test_what_it_took_is_counted_by_day_and_session(harness: StoreHarness) -> None:
    await harness.say("a", "one", "1")
    await harness.store.add_extracted(await unread(harness), (), Usage(30, 12), PAYER)
    await harness.say("a", "two", "2")
    assert (await unread(harness)).spent_tokens == 42
    harness.clock.advance(86_400)
    assert (await unread(harness)).spent_tokens == 0
    rows = await harness.store.session_usage(
        "a", first_day="0001-01-01", last_day="9999-12-31", group=("model",)
    )
    assert sum(row.usage.prompt_tokens for row in rows) == 30


async def test_facts_of_turns_that_were_taken_back_or_of_a_newer_fact_are_not_kept(
    harness: StoreHarness,
) -> None:
    first = (await harness.say("a", "one", "1")).turn.id
    second = (await harness.say("a", "two", "2")).turn.id
    of = await unread(harness)
    await harness.store.rewind_session("a", 2)
    harness.clock.advance(10)
    new = await harness.store.remember("a", NewFact(id="mem_h", text="lives in Bonn", origin="user"))
    found = (fact(second), fact(first, "lives in Rome", replaces=new.id), fact(first, "likes tea"))
    kept = await harness.store.add_extracted(of, found, Usage(), PAYER)
    assert [each.text for each in kept] == ["likes tea"]


async def test_sessions_with_something_unread_are_known_after_a_restart(harness: StoreHarness) -> None:
    await harness.say("a", "one", "1")
    await harness.say("b", "two", "2")
    await harness.store.add_extracted(await unread(harness), (), Usage(), PAYER)
    await harness.reopen()
    assert await harness.store.sessions_with_unread(limit=9) == ("b",)
    harness.clock.advance(30 * 86_400)
    assert await harness.store.sessions_with_unread(limit=9) == ()


async def test_turns_without_a_trace_are_not_read_and_a_deleted_session_has_none(
    harness: StoreHarness,
) -> None:
    await harness.say("a", "secret", "ok", trace=False)
    assert await harness.store.unread_turns("a", most_characters=MUCH) is None
    turn_id = (await harness.say("a", "one", "1")).turn.id
    of = await unread(harness)
    await harness.store.delete_session("a")
    harness.clock.advance(1)
    await harness.say("a", "other", "ok")
    assert await harness.store.add_extracted(of, (fact(turn_id),), Usage(), PAYER) == ()
    assert said(await unread(harness)) == ["other"]
