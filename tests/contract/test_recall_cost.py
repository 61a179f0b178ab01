"""What looking back costs a turn: as much in a long conversation as in a short one."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nanobot.core.compaction import Compacted, Payer
from nanobot.core.message import Message, Text
from nanobot.core.recall import Reach
from nanobot.core.sessions import ImportedMessage
from nanobot.core.store import Limits, Store
from nanobot.stores.sql import tokens
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite.database import ThreadedDatabase
from tests.contract.store_harness import StoreHarness, open_sqlite
from tests.watched_database import each_statement, each_step

SAID = "The weather report of yesterday evening mentions nothing special about the harbour number"
SHORT, LONG = 2_000, 20_000


async def fill(store: Store, key: str, count: int) -> None:
    """Make a session of so many messages that have all words but one in common."""
    messages = [
        ImportedMessage(
            Message(("user", "assistant")[number % 2], (Text(f"{SAID} {number}"),)), 1_800_000_000.0 + number
        )
        for number in range(count)
    ]
    await store.import_session(key, messages, title=None, metadata={})


@pytest.fixture
async def harness(tmp_path: Path, no_spare_work: None) -> StoreHarness:
    data = tmp_path / "data"
    data.mkdir()
    harness = StoreHarness(open_sqlite, data, Limits())
    await harness.open()
    await fill(harness.store, "short", SHORT)
    await fill(harness.store, "long", LONG)
    await harness.store.index_messages()
    return harness


async def steps(harness: StoreHarness, ask: Callable[[], Awaitable[None]]) -> int:
    """Return how many steps SQLite's machine takes on all connections."""
    assert isinstance(harness.store, SqlStore)
    assert isinstance(harness.store.database, ThreadedDatabase)
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    with each_step(harness.store.database.connections, step):
        await ask()
    return count


async def recall(harness: StoreHarness, key: str) -> None:
    """Look for what was said about a text, as each turn does that does not show all of its conversation."""
    await harness.store.search_messages(f"{SAID} of the parrot", (Reach(key),), limit=8, is_asked=False)


async def test_recall_takes_no_longer_in_a_session_ten_times_as_long(harness: StoreHarness) -> None:
    short = await steps(harness, lambda: recall(harness, "short"))
    long = await steps(harness, lambda: recall(harness, "long"))
    await harness.close()
    assert 0 < long <= 1.3 * short, f"{short} steps in {SHORT} messages, {long} in {LONG}"


async def test_the_index_has_the_beginnings_of_words_that_recall_looks_for(harness: StoreHarness) -> None:
    """Otherwise FTS5 reads through all words that begin so, of all sessions, which no step counts."""
    assert isinstance(harness.store, SqlStore)
    assert isinstance(harness.store.database, ThreadedDatabase)
    (made,) = (
        harness.store.database.connections[0]
        .execute("SELECT sql FROM sqlite_schema WHERE name = 'search'")
        .fetchone()
    )
    await harness.close()
    lengths = {int(length) for length in re.findall(r"prefix = '([\d ]+)'", made)[0].split()}
    assert lengths == set(tokens.STEM_LENGTHS)


async def test_the_next_summary_reads_on_where_the_last_one_ended(harness: StoreHarness) -> None:
    store = harness.store

    async def summarise(key: str) -> None:
        of = await store.unsummarised(key, keep_tokens=300, least_tokens=1, most_tokens=1_000_000)
        assert of is not None
        await store.add_summary(of, Compacted("All of it."), Payer(key))

    async def look(key: str) -> None:
        assert await store.unsummarised(key, keep_tokens=200, least_tokens=1, most_tokens=500) is not None

    for key in ("short", "long"):
        await summarise(key)
    short = await steps(harness, lambda: look("short"))
    long = await steps(harness, lambda: look("long"))
    await harness.close()
    assert 0 < long <= 1.1 * short, f"{short} steps in {SHORT} messages, {long} in {LONG}"


async def test_terms_that_most_messages_have_are_not_counted_again_each_turn(harness: StoreHarness) -> None:
    first = await steps(harness, lambda: recall(harness, "long"))
    again = await steps(harness, lambda: recall(harness, "long"))
    await harness.close()
    assert 0 < again <= 0.2 * first, f"{first} steps, then {again}"


async def test_the_words_of_a_text_are_looked_up_with_one_statement(harness: StoreHarness) -> None:
    assert isinstance(harness.store, SqlStore)
    assert isinstance(harness.store.database, ThreadedDatabase)
    lookups: list[str] = []
    text = f"{SAID} 4711 of the parrot"
    for _ in range(2):
        lookups.clear()
        with each_statement(harness.store.database.connections, lookups.append):
            found = await harness.store.search_messages(text, (Reach("long"),), limit=8, is_asked=False)
    await harness.close()
    assert [each.text for each in found] == [f"{SAID} 4711"]
    (statement,) = [each for each in lookups if "MATCH" in each]
    assert all(word in statement for word in ("4711", "parrot", "parr")), "with all words that may be rare"
    assert "harbour" not in statement, "and none that most messages have"
