"""Summaries of other sessions are found line by line, with what they stand for; what is gone is not."""

from nanobot.core.compaction import Compacted, Payer
from nanobot.core.message import Usage
from nanobot.core.recall import Passage, Reach
from nanobot.core.speakers import by_role
from tests.contract.store_harness import StoreHarness

FILLER = "They talked about the weather in the mountains and the valleys, and about the rain. " * 4
SUMMARY = "Carol's boat is called Seagull.\nThe harbour fee is 120 euros.\n\nNothing else was decided."


async def summarised(harness: StoreHarness, key: str = "a", text: str = SUMMARY) -> None:
    for number in range(12):
        await harness.say(key, f"{number}. {FILLER}", f"Yes, {number}. {FILLER}")
    of = await harness.store.unsummarised(key, keep_tokens=400, least_tokens=1, most_tokens=100_000)
    assert of is not None
    summary = Compacted(text, usage=Usage())
    assert await harness.store.add_summary(of, summary, Payer(key, None, "m"))


async def found(harness: StoreHarness, text: str, *reach: Reach) -> tuple[Passage, ...]:
    return await harness.store.search_messages(text, reach or (Reach("a"),), limit=5)


async def test_a_line_is_found_with_what_the_summary_stands_for(harness: StoreHarness) -> None:
    await summarised(harness)
    first, *_ = await found(harness, "What is the name of the boat, Seagull?")
    assert first.text == "Carol's boat is called Seagull."
    assert (first.role, first.turn_id, first.session_key) == ("assistant", None, "a")
    assert first.summarises == first.seq > 2
    assert by_role(first) == f"summary of the first {first.summarises} messages"


async def test_a_summary_that_the_model_is_shown_is_not_found(harness: StoreHarness) -> None:
    await summarised(harness)
    passages = await found(harness, "What is the name of the boat, Seagull?", Reach("a", 10))
    assert not any(each.summarises for each in passages)


async def test_a_summary_of_another_session_is_not_found(harness: StoreHarness) -> None:
    await summarised(harness)
    await harness.say("b", "Hello there.", "Hello.")
    assert await found(harness, "What is the name of the boat, Seagull?", Reach("b")) == ()


async def test_a_summary_goes_with_a_rewind_and_with_its_session(harness: StoreHarness) -> None:
    await summarised(harness)
    await harness.store.rewind_session("a", 2)
    passages = await found(harness, "What is the name of the boat, Seagull?")
    assert not any(each.summarises for each in passages)
    await summarised(harness, "b")
    await harness.store.delete_session("b")
    assert await found(harness, "What is the name of the boat, Seagull?", Reach("b")) == ()


async def test_the_newest_summary_stands_for_those_before(harness: StoreHarness) -> None:
    await summarised(harness)
    await summarised(harness, text="Carol's boat is now called Albatross.")
    texts = [each.text for each in await found(harness, "What is the name of Carol's boat?")]
    assert "Carol's boat is now called Albatross." in texts
    assert "Carol's boat is called Seagull." not in texts
