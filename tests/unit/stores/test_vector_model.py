"""The real model: what means much the same is found without a word in common, in several languages."""

import asyncio
from pathlib import Path

import pytest

from nanobot.core.clock import SystemClock
from nanobot.core.recall import Reach
from nanobot.core.vectors import MOST_PIECES, PIECE_CHARACTERS, pieces_of
from nanobot.engine.embedder import Embedder
from nanobot.stores.sqlite.store import open_store
from nanobot.stores.vectors.process import VectorProcess, is_installed
from tests.contract.store_harness import StoreHarness
from tests.contract.test_store_vectors import indexed

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the extra [vectors]")

TOLD = (
    "My sister works as a nurse in Lisbon.",
    "I cannot stand peanuts, please never suggest them.",
    "Our dog is called Biscuit.",
    "The code of the garage is 4711.",
    "我在成都买了一套新房子。",
    "Am Montag habe ich einen Termin beim Zahnarzt.",
)


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("In which town does my sibling earn her money?", 0),
        ("What should stay off the plate at dinner?", 1),
        ("What is the name of my four-legged friend?", 2),
        ("我的家在哪个城市？", 4),
        ("Wann sieht sich jemand meine Zähne an?", 5),
    ],
)
async def test_a_question_in_other_words_finds_what_was_told(
    tmp_path: Path, question: str, number: int
) -> None:
    clock = SystemClock()
    vectors = VectorProcess(tmp_path / "data" / "nanobot.sqlite3", clock, wait_s=30.0)
    harness = StoreHarness(
        lambda directory, clock, limits: open_store(directory, clock, vectors=vectors),
        tmp_path / "data",
        None,  # type: ignore[arg-type]
    )
    await harness.open()
    for text in TOLD:
        await harness.say("a", text, "Noted, thank you very much.")
    await indexed(harness)
    embedder = Embedder(harness.store, vectors, clock)
    async with asyncio.timeout(60):
        while await embedder.embed_some():
            pass
    found = await harness.store.search_messages(question, [Reach("a")], limit=3)
    assert TOLD[number] in [passage.text for passage in found]
    await vectors.close()
    await harness.close()


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "a\0b",
        "\ud800 half",
        "x" * 100_000,
        "長" * 5_000,
        "\u200b\u202e",
        "🧑‍🚀" * 300,
        "\n\n\n",
        "a " * 800,
    ],
)
async def test_odd_texts_get_vectors_like_others(tmp_path: Path, text: str) -> None:
    vectors = VectorProcess(tmp_path / "db", SystemClock(), wait_s=30.0)
    try:
        pieces = pieces_of(text) or (text[:PIECE_CHARACTERS],)
        body = await vectors.embed(pieces)
        assert len(body) == 384 * len(pieces) <= 384 * MOST_PIECES
        assert any(body)
    finally:
        await vectors.close()
