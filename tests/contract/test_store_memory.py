"""Memory: facts have versions, go when they are forgotten, come with turns and are found."""

import pytest

from nanobot.core.errors import FactNotFound
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted
from nanobot.core.memory import FactChange, MemoryRules
from nanobot.core.message import Message, ToolCall, ToolResult
from nanobot.core.sessions import RetentionRule
from nanobot.core.store import Limits
from nanobot.stores.sql import tokens
from tests.contract.remembered import (
    ALICE,
    ALICE_IN_G,
    BOB_IN_G,
    given_to_turn,
    moved,
    remember,
    texts,
    with_history,
)
from tests.contract.store_harness import StoreHarness, done, failed, said, unfollowed

# Versions -----------------------------------------------------------------------------------------


async def test_a_fact_that_changed_keeps_its_id_and_its_earlier_version(harness: StoreHarness) -> None:
    rome, turn_id = await moved(harness)
    berlin, before = await harness.store.fact_versions(ALICE, rome.id)
    assert (berlin.text, before.text) == ("moved to Berlin", "lives in Rome")
    assert berlin.id == before.id == rome.id
    assert before.valid_until == berlin.valid_from
    assert berlin.turn_id == turn_id
    assert await texts(harness, ALICE) == ["moved to Berlin"]


async def test_a_rewind_takes_back_what_its_turns_wrote_and_going_on_there_again_redoes_it(
    harness: StoreHarness,
) -> None:
    rome, _ = await moved(harness)
    await harness.store.rewind_session(ALICE, 2)
    assert await texts(harness, ALICE) == ["lives in Rome"]
    assert [fact.is_undone for fact in await harness.store.fact_versions(ALICE, rome.id)] == [True, False]
    await harness.store.rewind_session(ALICE, 4)
    assert await texts(harness, ALICE) == ["moved to Berlin"]


async def test_a_rewind_to_the_question_takes_back_what_its_turn_wrote(harness: StoreHarness) -> None:
    await moved(harness)
    await harness.store.rewind_session(ALICE, 3)
    assert await texts(harness, ALICE) == ["lives in Rome"]


async def test_a_client_that_edits_its_last_question_takes_back_what_that_turn_wrote(
    harness: StoreHarness,
) -> None:
    await moved(harness)
    known = [row.message for row in await harness.store.messages(ALICE, limit=2)]
    claim = await harness.start(ALICE, "I moved to Paris", earlier=tuple(known))
    assert claim.turn.input[-1].text == "I moved to Paris"
    assert await texts(harness, ALICE) == ["lives in Rome"]


async def test_what_is_written_by_hand_is_not_rewound(harness: StoreHarness) -> None:
    await harness.say(ALICE, "hello", "hello")
    await remember(harness, ALICE, "is left-handed", origin="user")
    await harness.say(ALICE, "hello again", "hello")
    await harness.store.rewind_session(ALICE, 1)
    assert await texts(harness, ALICE) == ["is left-handed"]


async def test_a_new_fact_is_compared_with_others_without_reading_their_words_anew(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a thousand, turns of others waited for a second where each had characters that stand for many."""
    read: list[str] = []
    words_of = tokens.folded

    def folded(text: str) -> str:
        read.append(text)
        return words_of(text)

    monkeypatch.setattr(tokens, "folded", folded)
    for number in range(30):
        await remember(harness, ALICE, f"fact {number} \ufdfa")
    read.clear()
    await remember(harness, ALICE, "one more \ufdfa")
    assert len(read) <= 3


async def test_the_same_fact_is_kept_once(harness: StoreHarness) -> None:
    first = await remember(harness, ALICE, "Likes  tea")
    again = await remember(harness, ALICE, "likes tea")
    assert first.id == again.id
    assert await texts(harness, ALICE) == ["Likes tea"]


async def test_a_correction_by_hand_is_a_version_and_marks_are_not(harness: StoreHarness) -> None:
    fact = await remember(harness, ALICE, "lives in Rome", origin="web")
    pinned = await harness.store.change_fact(ALICE, fact.id, FactChange(is_pinned=True, is_public=True))
    assert (pinned.is_pinned, pinned.is_public, pinned.origin) == (True, True, "web")
    changed = await harness.store.change_fact(ALICE, fact.id, FactChange(text="lives in Bonn"))
    assert (changed.text, changed.origin, changed.is_pinned) == ("lives in Bonn", "user", True)
    assert len(await harness.store.fact_versions(ALICE, fact.id)) == 2


async def test_of_a_fact_that_changes_often_the_oldest_versions_go(harness: StoreHarness) -> None:
    fact = await remember(harness, ALICE, "number 0")
    for number in range(1, 60):
        await harness.store.change_fact(ALICE, fact.id, FactChange(text=f"number {number}"))
    versions = await harness.store.fact_versions(ALICE, fact.id)
    assert [versions[0].text, versions[-1].text, len(versions)] == ["number 59", "number 10", 50]


# Forgetting ---------------------------------------------------------------------------------------


async def test_a_forgotten_fact_is_gone_with_its_versions_and_no_rewind_brings_it_back(
    harness: StoreHarness,
) -> None:
    rome, _ = await moved(harness)
    assert (await harness.store.forget(ALICE, "berlin")).text == "moved to Berlin"
    await harness.store.rewind_session(ALICE, 2)
    assert await texts(harness, ALICE) == []
    with pytest.raises(FactNotFound):
        await harness.store.fact_versions(ALICE, rome.id)


async def test_what_was_taken_back_and_says_the_same_is_forgotten_too(harness: StoreHarness) -> None:
    first = await harness.say(ALICE, "one", "one")
    await remember(harness, ALICE, "the secret is xyzzy", turn_id=first.turn.id)
    await harness.store.rewind_session(ALICE, 1)
    await remember(harness, ALICE, "the secret is xyzzy", origin="user")
    await harness.store.forget(ALICE, "the secret is xyzzy")
    await harness.store.rewind_session(ALICE, 2)
    assert await texts(harness, ALICE) == []


async def test_words_that_several_facts_have_forget_none(harness: StoreHarness) -> None:
    await remember(harness, ALICE, "likes green tea")
    await remember(harness, ALICE, "likes black tea")
    with pytest.raises(FactNotFound, match="2 facts say 'tea', name one by its id: mem_"):
        await harness.store.forget(ALICE, "tea")
    assert len(await texts(harness, ALICE)) == 2


async def test_a_deleted_session_takes_along_all_that_was_said_in_it(harness: StoreHarness) -> None:
    claim = await harness.say(ALICE_IN_G, "one", "one")
    await remember(harness, ALICE_IN_G, "the group meets on Monday", turn_id=claim.turn.id)
    await remember(harness, ALICE_IN_G, "here we speak of a trip", layer="session")
    await remember(harness, BOB_IN_G, "the group has a boat")
    await harness.store.delete_session(ALICE_IN_G)
    assert await texts(harness, BOB_IN_G) == ["the group has a boat"]
    assert await texts(harness, ALICE_IN_G) == ["the group has a boat"]


async def test_facts_are_deleted_with_a_session_that_is_not_there_yet(harness: StoreHarness) -> None:
    await remember(harness, ALICE, "likes tea", origin="user")
    await harness.store.delete_session(ALICE)
    assert await texts(harness, ALICE) == []


async def test_what_a_deleted_session_had_replaced_stands_again(harness: StoreHarness) -> None:
    await harness.say(ALICE_IN_G, "one", "one")
    fact = await remember(harness, ALICE_IN_G, "meets on Monday")
    await harness.say(BOB_IN_G, "one", "one")
    await remember(harness, BOB_IN_G, "meets on Friday", replaces=fact.id)
    await harness.store.delete_session(BOB_IN_G)
    assert await texts(harness, ALICE_IN_G) == ["meets on Monday"]


async def test_a_session_that_expires_leaves_its_person_the_facts(harness: StoreHarness) -> None:
    claim = await harness.say(ALICE, "one", "one")
    await remember(harness, ALICE, "likes tea", turn_id=claim.turn.id)
    await remember(harness, ALICE, "speaks of a trip", layer="session")
    harness.clock.advance(1_000)
    assert await harness.store.delete_unused([RetentionRule("*", 10.0)]) == 1
    (fact,) = (await harness.store.facts(ALICE, limit=10)).facts
    assert (fact.text, fact.turn_id) == ("likes tea", None)


async def test_the_facts_of_a_person_are_erased_wherever_they_were_said(harness: StoreHarness) -> None:
    await remember(harness, ALICE, "likes tea")
    await remember(harness, ALICE, "here she speaks of a trip", layer="session")
    group = await remember(harness, ALICE_IN_G, "meets on Monday")
    await remember(harness, BOB_IN_G, "has a boat")
    changed = await remember(harness, BOB_IN_G, "meets on Friday", replaces=group.id)
    assert await harness.store.erase_facts(["wx:alice"]) == 3
    assert await texts(harness, ALICE) == []
    assert await texts(harness, ALICE_IN_G) == ["meets on Friday", "has a boat"]
    assert len(await harness.store.fact_versions(BOB_IN_G, changed.id)) == 1


# With a turn --------------------------------------------------------------------------------------


async def test_a_turn_brings_the_facts_in_its_reach(harness: StoreHarness) -> None:
    await with_history(harness)
    await remember(harness, ALICE, "likes tea")
    claims = [await harness.start(ALICE, "first")]
    await harness.store.append(claims[0], done("ok"))
    claims.append(await harness.start(ALICE, "second"))
    await harness.admit(ALICE, "waits")
    await harness.store.append(claims[1], done("ok"))
    claims.append(await harness.engine.claim())
    for claim in claims:
        assert claim.history is not None
        assert [fact.text for fact in claim.history.known.facts] == ["likes tea"]
    await harness.store.append(claims[2], done("ok"))
    untraced = await harness.start(ALICE, "a title", trace=False)
    assert untraced.history is not None
    assert untraced.history.known.facts == ()


async def test_of_many_facts_a_turn_brings_the_pinned_and_the_newest(harness: StoreHarness) -> None:
    await remember(harness, ALICE, "the pinned one", is_pinned=True)
    for number in range(40):
        await remember(harness, ALICE, f"number {number}")
    known = (await harness.store.history(ALICE, 1_000)).known
    assert known.has_more
    assert {fact.text for fact in known.facts} == {
        "the pinned one",
        *(f"number {number}" for number in range(9, 40)),
    }


async def test_where_memory_is_off_a_turn_brings_nothing(harness: StoreHarness) -> None:
    await harness.reopen(limits=Limits(memory=MemoryRules(is_read=False)))
    await with_history(harness)
    await remember(harness, ALICE, "likes tea")
    claim = await harness.start(ALICE)
    assert claim.history is not None
    assert claim.history.known.facts == ()
    assert await given_to_turn(harness, ALICE) == []


# Search -------------------------------------------------------------------------------------------


async def test_facts_are_found_by_what_they_have_in_common_with_a_text(harness: StoreHarness) -> None:
    for number in range(30):
        await remember(harness, ALICE, f"has been to town number {number}")
    await remember(harness, ALICE, "is allergic to peanuts")
    await remember(harness, ALICE, "我住在柏林")
    found = await harness.store.search_facts(ALICE, "what about peanuts in a town?", limit=3, is_asked=False)
    assert [fact.text for fact in found] == ["is allergic to peanuts"]
    (found_zh,) = await harness.store.search_facts(ALICE, "柏林的天气", limit=3)
    assert found_zh.text == "我住在柏林"
    assert await harness.store.search_facts(ALICE, "xyzzy", limit=3) == ()
    assert len(await harness.store.search_facts(ALICE, "town", limit=50)) == 30


async def test_a_list_of_facts_is_paged_newest_first(harness: StoreHarness) -> None:
    for number in range(5):
        await remember(harness, ALICE, f"number {number}")
    await remember(harness, ALICE, "of the session", layer="session")
    first = await harness.store.facts(ALICE, limit=4)
    rest = await harness.store.facts(ALICE, limit=4, after=first.facts[-1].id)
    assert (first.has_more, rest.has_more) == (True, False)
    assert [fact.text for fact in (*first.facts, *rest.facts)] == [
        "of the session",
        *(f"number {number}" for number in (4, 3, 2, 1, 0)),
    ]
    assert len((await harness.store.facts(ALICE, limit=10, layer="session")).facts) == 1


# Turns that are taken up again --------------------------------------------------------------------


async def cut_off(harness: StoreHarness, key: str = ALICE) -> str:
    """A turn notes down a fact with a call, and is cancelled because nobody follows it; return its id."""
    await harness.admit(key, "I live in Rome", dedupe_key="rome")
    claim = await harness.engine.claim()
    call = ToolCall("call_1", "remember", "{}")
    await harness.store.append(
        claim, (MessageAdded(Message("assistant", (call,), "tool_calls")), ToolStarted(call))
    )
    await remember(harness, key, "lives in Rome", turn_id=claim.turn.id)
    result = ToolFinished(Message("tool", (ToolResult("call_1", "Remembered"),)))
    await harness.store.append(claim, (result, MessageAdded(said("I s", "incomplete")), unfollowed()))
    return claim.turn.id


async def test_a_turn_that_goes_on_where_it_stood_keeps_what_it_noted_down(harness: StoreHarness) -> None:
    turn_id = await cut_off(harness)
    await harness.admit(ALICE, "I live in Rome", dedupe_key="rome")
    claim = await harness.engine.claim()
    assert (claim.turn.id, claim.attempt) == (turn_id, 2)
    assert await texts(harness, ALICE) == ["lives in Rome"]
    await harness.store.append(claim, done("I see"))
    assert await texts(harness, ALICE) == ["lives in Rome"]


async def test_a_turn_that_moves_behind_others_takes_what_it_noted_down_along(harness: StoreHarness) -> None:
    turn_id = await cut_off(harness)
    await harness.say(ALICE, "something else", "well")
    await harness.admit(ALICE, "I live in Rome", dedupe_key="rome")
    claim = await harness.engine.claim()
    assert claim.turn.id == turn_id
    await harness.store.append(claim, done("I see"))
    said_now = await harness.texts(ALICE)
    assert said_now[:2] == ["U:something else", "A:well"] and "I live in Rome" in said_now[2]
    assert await texts(harness, ALICE) == ["lives in Rome"]
    rows = await harness.store.messages(ALICE, limit=10)
    await harness.store.rewind_session(ALICE, rows[1].seq)
    assert await texts(harness, ALICE) == []
    await harness.store.rewind_session(ALICE, rows[-1].seq)
    assert await texts(harness, ALICE) == ["lives in Rome"]


async def test_a_turn_that_fails_before_it_says_anything_leaves_the_facts_as_they_were(
    harness: StoreHarness,
) -> None:
    rome, _ = await moved(harness)
    claim = await harness.start(ALICE, "fails")
    await harness.store.append(claim, (failed(retryable=False),))
    assert await texts(harness, ALICE) == ["moved to Berlin"]
    assert rome.id
