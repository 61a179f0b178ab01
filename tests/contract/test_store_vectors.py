"""What was said gets vectors once, whatever comes between; and what is deleted takes its vectors with it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from nanobot.core.memory import NewFact
from nanobot.core.recall import Reach
from nanobot.core.store import Store
from nanobot.core.vectors import QUESTION, STATEMENT, Near, UnembeddedBatch
from nanobot.stores.sqlite.store import open_store
from nanobot.testing import FakeClock
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness

BODY = bytes(range(128)) * 3
MARKS = (b"m?v" * 128, b"f?v" * 128)


async def embed_all(store: Store) -> list[UnembeddedBatch]:
    """Give vectors to all that has none."""
    batches = []
    while (batch := await store.unembedded()) is not None:
        batches.append(batch)
        await store.add_vectors(batch, [BODY] * len(batch.items))
    return batches


def texts(batches: Sequence[UnembeddedBatch]) -> list[str]:
    return [" ".join(item.pieces) for batch in batches for item in batch.items]


async def counted(harness: StoreHarness) -> dict[str, int]:
    """Return how many rows there are, by table."""
    tables = ("vector", "fact_vector", "embedding")
    return {
        table: await vars(harness.store)["database"].read(
            lambda db, table=table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        )
        for table in tables
    }


async def indexed(harness: StoreHarness) -> None:
    while not await harness.store.index_messages():
        pass


async def test_what_was_said_gets_vectors_once(harness: StoreHarness) -> None:
    await harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await harness.say("a", "Where does my sister live?", "Ok.")
    await indexed(harness)
    batches = await embed_all(harness.store)
    assert texts(batches) == [
        "My sister lives in Lisbon.",
        "How nice for your sister!",
        "Where does my sister live?",
    ]
    kinds = [item.kind for batch in batches for item in batch.items]
    assert (kinds[0], kinds[2]) == (STATEMENT, QUESTION)
    assert await harness.store.unembedded() is None
    await harness.say("a", "And my brother in Rome.", "Ok.")
    await indexed(harness)
    assert texts(await embed_all(harness.store)) == ["And my brother in Rome."]


async def test_after_a_crash_it_goes_on_where_it_was(harness: StoreHarness) -> None:
    for number in range(12):
        await harness.say("a", f"This is statement number {number}.", "I have noted that down.")
    await indexed(harness)
    first = await harness.store.unembedded()
    assert first is not None
    await harness.store.add_vectors(first, [BODY] * len(first.items))
    lost = await harness.store.unembedded()
    assert lost is not None
    await harness.reopen()
    again = await embed_all(harness.store)
    assert again[0] == lost
    assert len(texts([first, *again])) == 24


async def test_facts_get_vectors_and_lose_them_when_they_are_forgotten(harness: StoreHarness) -> None:
    fact = await harness.store.remember("a", NewFact(id="fact_1", text="lives in Lisbon", origin="user"))
    assert texts(await embed_all(harness.store)) == ["lives in Lisbon"]
    assert (await counted(harness))["fact_vector"] == 1
    await harness.store.forget("a", fact.id)
    assert (await counted(harness))["fact_vector"] == 0


async def test_a_deleted_session_leaves_no_vectors(harness: StoreHarness) -> None:
    await harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await harness.say("b", "My brother lives in Rome.", "How nice for your brother!")
    await indexed(harness)
    await embed_all(harness.store)
    assert await counted(harness) == {"vector": 4, "fact_vector": 0, "embedding": 2}
    await harness.store.delete_session("a")
    await harness.store.write_over()
    assert await counted(harness) == {"vector": 2, "fact_vector": 0, "embedding": 1}


@pytest.mark.parametrize("is_fact", [False, True])
async def test_of_deleted_vectors_no_byte_is_left_on_the_disk(
    disk_harness: StoreHarness, is_fact: bool
) -> None:
    store = disk_harness.store
    await disk_harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    fact = await store.remember("b", NewFact(id="fact_1", text="lives in Lisbon", origin="user"))
    await indexed(disk_harness)
    while (batch := await store.unembedded()) is not None:
        marks = [MARKS[batch.session is None]] * len(batch.items)
        await store.add_vectors(batch, marks)
    assert await on_disk(disk_harness, MARKS[is_fact])
    if is_fact:
        await store.forget("b", fact.id)
    else:
        await store.delete_session("a")
    await store.write_over()
    # The log is emptied while nothing else is to be done.
    async with asyncio.timeout(BOUND_S):
        while await on_disk(disk_harness, MARKS[is_fact]):
            await asyncio.sleep(0.05)
    assert await on_disk(disk_harness, MARKS[not is_fact])


async def on_disk(harness: StoreHarness, mark: bytes) -> bool:
    def read() -> bool:
        return any(mark[:64] in path.read_bytes() for path in harness.directory.rglob("nanobot.sqlite3*"))

    return await asyncio.to_thread(read)


async def test_what_was_deleted_meanwhile_gets_none(harness: StoreHarness) -> None:
    await harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await indexed(harness)
    batch = await harness.store.unembedded()
    assert batch is not None
    await harness.store.delete_session("a")
    await harness.store.write_over()
    harness.clock.advance(1.0)
    # It comes to have the number of the one that was deleted.
    await harness.say("b", "My brother lives in Rome.", "How nice for your brother!")
    await harness.store.add_vectors(batch, [BODY] * len(batch.items))
    assert await counted(harness) == {"vector": 0, "fact_vector": 0, "embedding": 0}


async def test_what_another_version_made_is_made_anew(harness: StoreHarness) -> None:
    await harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await harness.store.remember("a", NewFact(id="fact_1", text="lives in Lisbon", origin="user"))
    await indexed(harness)
    await harness.store.begin_embedding("one")
    await embed_all(harness.store)
    await harness.store.begin_embedding("one")
    assert await harness.store.unembedded() is None
    await harness.store.begin_embedding("another")
    assert await counted(harness) == {"vector": 0, "fact_vector": 0, "embedding": 0}
    assert len(texts(await embed_all(harness.store))) == 3


async def test_a_session_that_was_not_used_for_long_is_found_too(harness: StoreHarness) -> None:
    await harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await indexed(harness)
    harness.clock.advance(10 * 86_400.0)
    assert len(texts(await embed_all(harness.store))) == 2


# Searches -----------------------------------------------------------------------------------------


class Telling:
    """`core.vectors.Vectors` that says what the test has told it, of whatever is searched."""

    version = "telling"

    def __init__(self) -> None:
        self.near: list[Near] = []
        self.asked: list[object] = []

    async def embed(self, texts: Sequence[str]) -> bytes:
        return BODY * len(texts)

    async def nearest(self, text: str, ranges: Sequence[tuple[int, int]], *, patient: bool) -> Sequence[Near]:
        self.asked.append((text, tuple(ranges), patient))
        return self.near

    async def nearest_facts(self, text: str, numbers: Sequence[int], *, patient: bool) -> Sequence[Near]:
        self.asked.append((text, tuple(numbers), patient))
        return self.near


class TellingStore(msgspec.Struct):
    harness: StoreHarness
    vectors: Telling

    async def found(self, text: str, *reach: Reach, is_asked: bool = True) -> list[str]:
        passages = await self.harness.store.search_messages(
            text, reach or (Reach("a"),), limit=5, is_asked=is_asked
        )
        return [passage.text for passage in passages]


@pytest.fixture
async def telling(tmp_path: Path) -> AsyncIterator[TellingStore]:
    vectors = Telling()

    async def open_(directory: Path, clock: FakeClock, limits: object) -> Store:
        return await open_store(directory, clock, synchronous="normal", vectors=vectors)

    harness = StoreHarness(open_, tmp_path / "data", None)  # type: ignore[arg-type]
    await harness.open()
    yield TellingStore(harness, vectors)
    await harness.close()


async def test_what_is_near_in_meaning_is_found_without_a_word_in_common(telling: TellingStore) -> None:
    await telling.harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await telling.harness.say("a", "My garage has the code 4711.", "I have noted that down.")
    telling.vectors.near = [Near(1 << 32 | 1, 0.5)]
    assert (await telling.found("Where is the home of a sibling of mine?"))[0] == "My sister lives in Lisbon."
    assert telling.vectors.asked == [
        ("Where is the home of a sibling of mine?", ((1 << 32 | 1, 1 << 32 | 4),), True)
    ]


async def test_what_is_near_but_out_of_reach_is_not_found(telling: TellingStore) -> None:
    await telling.harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await telling.harness.say("b", "My brother lives in Rome.", "How nice for your brother!")
    telling.vectors.near = [Near(2 << 32 | 1, 0.9), Near(1 << 32 | 3, 0.9), Near(1 << 32 | 1, 0.5)]
    assert await telling.found("Which towns are home to my family?") == ["My sister lives in Lisbon."]
    assert await telling.found("Which towns are home to my family?", Reach("a", 0)) == []


async def test_what_was_rewound_or_deleted_since_is_not_found(telling: TellingStore) -> None:
    await telling.harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    await telling.harness.say("a", "My brother lives in Rome.", "How nice for your brother!")
    telling.vectors.near = [Near(1 << 32 | 3, 0.9), Near(1 << 32 | 77, 0.9)]
    assert await telling.found("Is there anyone else?") == ["My brother lives in Rome."]
    await telling.harness.store.rewind_session("a", 2)
    assert await telling.found("Is there anyone else?") == []


async def test_where_nobody_asked_only_the_very_nearest_are_told(telling: TellingStore) -> None:
    for number in range(8):
        await telling.harness.say("a", f"Statement number {number} of several.", "Yes.")
    telling.vectors.near = [Near(1 << 32 | (2 * number + 1), 0.9 - number / 10) for number in range(8)]
    assert len(await telling.found("What else was there to tell me?")) == 5
    assert len(await telling.found("What else was there to tell me?", is_asked=False)) == 3
    telling.vectors.near = [Near(1 << 32 | 1, 0.01)]
    assert await telling.found("What else was there to tell me?", is_asked=False) == []


async def test_a_text_of_few_words_is_not_compared_by_meaning(telling: TellingStore) -> None:
    await telling.harness.say("a", "My sister lives in Lisbon.", "How nice for your sister!")
    telling.vectors.near = [Near(1 << 32 | 1, 0.9)]
    assert await telling.found("Thanks!") == []
    assert telling.vectors.asked == []


async def test_who_says_it_in_the_same_words_comes_before_who_means_much_the_same(
    telling: TellingStore,
) -> None:
    for number in range(20):
        await telling.harness.say("a", f"Chatter of day {number} about nothing.", "Yes.")
    await telling.harness.say("a", "The parrot of the neighbour is called Polly.", "Yes.")
    telling.vectors.near = [Near(1 << 32 | 1, 0.9), Near(1 << 32 | 41, 0.8)]
    found = await telling.found("What is the parrot of the neighbour called?")
    assert found[0] == "The parrot of the neighbour is called Polly."
    assert "Chatter of day 0 about nothing." in found


async def test_facts_that_mean_much_the_same_are_found(telling: TellingStore) -> None:
    store = telling.harness.store
    await store.remember("a", NewFact(id="fact_1", text="prefers tea", origin="user"))
    await store.remember("b", NewFact(id="fact_2", text="prefers coffee", origin="user"))
    telling.vectors.near = [Near(2, 0.9), Near(1, 0.8)]
    found = await store.search_facts("a", "What would be a good drink?", limit=5)
    assert [fact.text for fact in found] == ["prefers tea"]
    assert telling.vectors.asked == [("What would be a good drink?", (1,), True)]
