"""Long messages in the text search: they come in and go in slices, between which others write."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from nanobot.core.store import Limits
from nanobot.stores.sql import slices, tokens
from nanobot.stores.sql.slices import Slices
from nanobot.stores.sqlite import index, upkeep
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.derived import derive
from nanobot.stores.sqlite.opening import DATABASE
from tests.contract.store_harness import StoreHarness, open_sqlite

WORDS = [f"{number * 7919 % 20011:05}canary{number}" for number in range(20_000)]
TEXT = " ".join(WORDS)
pytestmark = pytest.mark.usefixtures("no_spare_work")
MOST_WORDS = slices.MOST_ENTRIES // 6 + 500


class Watching(Connection):
    """A connection that notes how many different words each transaction gave the index, or took out of it."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.words: list[int] = []
        self._seen: set[str] = set()

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        if sql.startswith("INSERT INTO search (") and len(values) == 2:
            self._seen.update(str(values[1]).split(" "))
        if sql == "COMMIT":
            self.words.append(len(self._seen))
            self._seen = set()
        return super().execute(sql, values)


def connect(harness: StoreHarness) -> Watching:
    db = sqlite3.connect(harness.directory / DATABASE, isolation_level=None, factory=Watching)
    derive(db)
    return db


def step(db: Connection) -> bool:
    with db.transaction():
        return index.index_some(db)


def spare(harness: StoreHarness) -> list[int]:
    """Do what the writer does when nothing else is to be done; return how many words each piece had."""
    care, db = upkeep.Upkeep(harness.directory / DATABASE), connect(harness)
    while care(db) == 0.0:
        pass
    db.close()
    return db.words


def words_left(harness: StoreHarness) -> int:
    """Return how many words the index has, which must be sound."""
    db = connect(harness)
    db.execute("INSERT INTO search (search) VALUES ('integrity-check')")
    db.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, search, row)")
    (count,) = db.execute("SELECT count(*) FROM words").fetchone()
    db.close()
    return int(count)


def of_totals(harness: StoreHarness) -> bytes:
    """Return what the index has counted in all: nothing, where all that came in has gone."""
    db = connect(harness)
    (block,) = db.execute("SELECT block FROM search_data WHERE id = 1").fetchone()
    db.close()
    return bytes(block)


async def found(harness: StoreHarness, text: str) -> list[str]:
    return [each.session.key for each in await harness.store.search(text, limit=100)]


async def test_a_long_message_comes_into_the_index_in_slices_and_is_found_as_a_whole(
    tmp_path: Path,
) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", TEXT, "ok")
    pieces = spare(harness)
    assert max(pieces) <= MOST_WORDS
    assert sum(pieces) >= len(WORDS)
    for at in range(0, len(WORDS) - 3, 997):
        assert await found(harness, f'"{" ".join(WORDS[at : at + 3])}"') == ["a"], "they stand side by side"
        assert await found(harness, f'"{WORDS[at]} {WORDS[at + 2]}"') == []
    assert await found(harness, f"{WORDS[0]} {WORDS[10_000]} {WORDS[-1][:8]}") == ["a"], "all in one message"
    await harness.close()


@pytest.mark.parametrize("steps", [1, 20, 26, 30])
async def test_what_a_crash_left_half_in_the_index_comes_in_at_the_next_start(
    tmp_path: Path, steps: int
) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", TEXT, "ok")
    db = connect(harness)
    for _ in range(steps):
        step(db)
    db.close()
    await harness.reopen()
    for at in range(0, len(WORDS) - 2, 1_999):
        assert await found(harness, f'"{WORDS[at]} {WORDS[at + 1]}"') == ["a"]
    await harness.store.delete_session("a")
    spare(harness)
    assert words_left(harness) == 0
    await harness.close()


@pytest.mark.parametrize("steps", [0, 1, 22, 26, 1_000])
async def test_a_long_message_that_is_deleted_goes_in_slices_and_leaves_nothing(
    tmp_path: Path, steps: int
) -> None:
    """Whether it is in the index, or half of it, or none."""
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    before = of_totals(harness)
    await harness.say("a", TEXT, "ok")
    db = connect(harness)
    for _ in range(steps):
        if not step(db):
            break
    db.close()
    await harness.store.delete_session("a")
    pieces = spare(harness)
    assert max(pieces, default=0) <= MOST_WORDS
    assert words_left(harness) == 0
    assert of_totals(harness) in (before, b"\0\0", b"")
    db = connect(harness)
    assert db.execute("SELECT * FROM half_indexed").fetchall() == []
    db.close()
    left = b"".join(path.read_bytes() for path in sorted(harness.directory.iterdir()))
    assert b"canary" not in left
    await harness.close()


async def test_many_messages_of_other_words_come_in_a_few_words_at_a_time_and_go_so(tmp_path: Path) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    for at in range(0, 20_000, 500):
        await harness.say("a", " ".join(WORDS[at : at + 500]), "ok")
    assert max(spare(harness)) <= MOST_WORDS + 500
    assert await found(harness, WORDS[-1]) == ["a"]
    await harness.store.delete_session("a")
    assert max(spare(harness)) <= MOST_WORDS + 500
    assert words_left(harness) == 0
    await harness.close()


async def test_an_index_that_is_built_anew_takes_long_messages_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", "a parrot", "ok")
    await harness.say("a", TEXT, "ok")
    await harness.say("a", "a dodo", "ok")
    await found(harness, "parrot")
    monkeypatch.setattr(tokens, "VERSION", "another")
    await harness.reopen()
    db = connect(harness)
    for _ in range(5):
        with db.transaction():
            index.rebuild_some(db)
    db.close()
    await harness.reopen()
    assert max(spare(harness)) <= MOST_WORDS
    for text in ("parrot", "dodo", f'"{WORDS[5]} {WORDS[6]}"'):
        assert await found(harness, text) == ["a"]
    await harness.store.delete_session("a")
    spare(harness)
    assert words_left(harness) == 0
    await harness.close()


def test_texts_that_are_taken_apart_side_by_side_all_come_to_their_end() -> None:
    """However many there are."""
    taken, left = Slices(), dict.fromkeys(range(9), 0)
    for _ in range(1_000):
        for id_, number in list(left.items()):
            piece = taken.slice(id_, lambda: TEXT, number)
            if piece == "":
                del left[id_]
            elif piece is not None:
                left[id_] += 1
    assert left == {}


def test_the_slices_of_a_text_have_each_of_its_words_once_at_all_of_its_places() -> None:
    text = f"{TEXT} {TEXT[:30_000]} 北京"
    whole = tokens.indexed(text).split(" ")
    merged = [""] * len(whole)
    for piece in slices.slices(text):
        for at, token in enumerate((piece or "").split(" ")):
            if token not in ("", "·"):
                assert merged[at] == ""
                merged[at] = token
    assert merged == whole
