"""Text search: everything committed is found, only where it is shown, and nothing is left of what was
deleted.
"""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from nanobot.core.errors import InvalidRequest, SessionNotFound
from nanobot.core.event import MessageAdded, TurnEnded
from nanobot.core.message import File, Message, Text, user
from nanobot.core.sessions import SessionFilter
from nanobot.core.store import Limits
from nanobot.stores.sql import tokens
from nanobot.stores.sql.ports import sessions as ports
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite import index, upkeep
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.derived import derive
from nanobot.stores.sqlite.opening import DATABASE
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness, done, failed, open_sqlite, said


async def found(harness: StoreHarness, text: str, matching: SessionFilter | None = None) -> list[str]:
    return [
        each.session.key
        for each in await harness.store.search(text, limit=100, matching=matching or SessionFilter())
    ]


async def test_what_was_committed_is_found_at_once_newest_session_first(harness: StoreHarness) -> None:
    await harness.say("a", "where is the parrot?", "in the cage")
    harness.clock.advance(1)
    await harness.say("b", "a parrot speaks", "so it does")
    assert await found(harness, "parrot") == ["b", "a"]
    assert await found(harness, "cage") == ["a"]
    assert await found(harness, "nothing") == []
    await harness.say("a", "and the dodo?", "gone")
    assert await found(harness, "dodo") == ["a"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The quick brown fox", "quick FOX"),
        ("The quick brown fox", "qui bro"),
        ("The quick brown fox", '"quick brown"'),
        ("Zoë läuft", "zoe"),
        ("我们明天去北京开会", "北京"),
        ("明日は東京で会議です", "東京"),
        ("明日は東京で会議です", "京"),
        ("明日は東京", '"京"'),
        ("明日は東京で会議です", '"東京で会議"'),
        ("서울에 살아요", "서울"),
        ("سافرت إلى الْقاهرة", "القاهره"),
        ("สวัสดีครับ", "สวัสดี"),
        ("मेरी किताब", "किताब"),
        ("Ｆｕｌｌ width", "full"),
        ("don't say OR AND NOT *", 'say "OR" AND'),
        ("a_b (c) ^ d", "a_b"),
        ("x" * 300_000 + " needle", "needle"),
    ],
)
async def test_words_are_found_as_users_type_them(harness: StoreHarness, text: str, query: str) -> None:
    await harness.say("a", text, "ok")
    assert await found(harness, query) == ["a"]


@pytest.mark.parametrize("query", ["quick red", '"brown quick"', "uick", '"bro"'])
async def test_all_words_must_be_there_and_quotes_hold_their_order(harness: StoreHarness, query: str) -> None:
    await harness.say("a", "The quick brown fox", "ok")
    assert await found(harness, query) == []


@pytest.mark.parametrize("query", ["", "  ", "***", '"', "\x9e"])
async def test_a_search_for_no_word_finds_nothing(harness: StoreHarness, query: str) -> None:
    await harness.say("a", "***", "ok")
    assert await found(harness, query) == []


async def test_a_search_for_too_much_is_refused(harness: StoreHarness) -> None:
    with pytest.raises(InvalidRequest):
        await found(harness, "x" * 257)


@pytest.mark.parametrize("query", ['a" OR "b', "a NEAR b", "text:a", "a\0b", "-a", "a*b"])
async def test_nothing_that_is_typed_is_taken_for_the_language_of_the_index(
    harness: StoreHarness, query: str
) -> None:
    await harness.say("b", "b", "ok")
    assert await found(harness, query) == []


async def test_the_newest_message_that_fits_is_shown(harness: StoreHarness) -> None:
    await harness.say("a", "parrot one", "no")
    await harness.say("a", "parrot two", "yes")
    (hit,) = await harness.store.search("parrot", limit=1)
    assert (hit.snippet, hit.seq, hit.role) == ("parrot two", 3, "user")


async def test_a_hit_holds_what_is_around_a_word_and_not_its_message(harness: StoreHarness) -> None:
    """A page of hits in messages of megabytes must not keep them all in memory."""
    for number in range(8):
        await harness.say(f"k{number}", "word " * 20_000 + "parrot " + "word " * 20_000, "ok")
    hits = await harness.store.search("parrot", limit=8)
    assert len(hits) == 8
    assert all("word parrot word" in hit.snippet for hit in hits)
    assert sum(len(msgspec.json.encode(hit)) for hit in hits) < 8_000


async def test_only_the_live_transcript_is_searched(harness: StoreHarness) -> None:
    await harness.say("a", "first parrot", "one")
    await harness.say("a", "second dodo", "two")
    assert await found(harness, "dodo") == ["a"]
    await harness.store.rewind_session("a", 2)
    assert await found(harness, "dodo") == []
    assert await found(harness, "parrot") == ["a"]
    await harness.store.rewind_session("a", 4)
    assert await found(harness, "dodo") == ["a"]


async def test_what_leaves_no_trace_is_not_found(harness: StoreHarness) -> None:
    await harness.say("a", "hello", "hi")
    await harness.say("a", "make a hidden title", "Hidden", trace=False)
    claim = await harness.start("a", "lost question")
    await harness.store.append(claim, (failed(retryable=False),))
    running = await harness.start("a", "another hidden one", trace=False)
    for query in ("hidden", "lost"):
        assert await found(harness, query) == []
    await harness.store.append(running, (TurnEnded("cancelled"),))


async def test_files_are_found_by_what_they_say(harness: StoreHarness) -> None:
    claim = await harness.start("a", "hello")
    file = File("contract.pdf", "the tenant pays the landlord")
    await harness.store.append(
        claim, (MessageAdded(Message("assistant", (Text("see"), file), "stop")), TurnEnded("done"))
    )
    assert await found(harness, "landlord") == ["a"]
    assert await found(harness, "contract") == ["a"]


async def test_patterns_and_prefix_hold_in_lists_and_searches_before_anything_is_counted(
    harness: StoreHarness,
) -> None:
    keys = ["wx:dm:ann", "wx:dm:bob", "wx:group:g:user:ann", "tg:dm:ann", "wx:dm", "wx:dm:[x]", "wx:dm:?"]
    for key in keys:
        await harness.say(key, "secret parrot", "ok")
        harness.clock.advance(1)
    cases = {
        SessionFilter(("wx:dm:*",)): ["wx:dm:?", "wx:dm:[x]", "wx:dm:bob", "wx:dm:ann"],
        SessionFilter(("wx:dm:ann", "tg:*")): ["tg:dm:ann", "wx:dm:ann"],
        SessionFilter(("wx:dm:[x]",)): ["wx:dm:[x]"],
        SessionFilter(("wx:dm:?",)): ["wx:dm:?"],
        SessionFilter(("*:ann",)): ["tg:dm:ann", "wx:group:g:user:ann", "wx:dm:ann"],
        SessionFilter((), "wx:g"): ["wx:group:g:user:ann"],
        SessionFilter((), "wx:dm:%"): [],
        SessionFilter(("tg:*",), "wx:"): [],
    }
    for matching, expected in cases.items():
        assert await found(harness, "parrot", matching) == expected
        assert [each.key for each in await harness.store.sessions(limit=100, matching=matching)] == expected
        if expected:
            first = await harness.store.sessions(limit=1, matching=matching)
            rest = await harness.store.sessions(limit=100, matching=matching, after=first[0].key)
            assert [each.key for each in (*first, *rest)] == expected
            assert [
                each.key for each in await harness.store.sessions(limit=100, matching=matching, order="asc")
            ] == expected[::-1]
    with pytest.raises(SessionNotFound):
        await harness.store.sessions(limit=1, after="tg:dm:ann", matching=SessionFilter(("wx:*",)))
    with pytest.raises(SessionNotFound):
        await harness.store.search("parrot", limit=1, after="tg:dm:ann", matching=SessionFilter(("wx:*",)))


async def test_a_search_is_paged_like_a_list(harness: StoreHarness) -> None:
    for number in range(7):
        await harness.say(f"{number}", "parrot", "ok")
        harness.clock.advance(1)
    keys: list[str] = []
    while page := await harness.store.search("parrot", limit=3, after=keys[-1] if keys else None):
        keys.extend(each.session.key for each in page)
    assert keys == ["6", "5", "4", "3", "2", "1", "0"]


async def test_a_deleted_session_is_found_no_more_and_a_new_one_of_its_number_is(
    harness: StoreHarness,
) -> None:
    await harness.say("a", "old parrot", "ok")
    assert await found(harness, "parrot") == ["a"]
    await harness.say("a", "dodo, not in the index yet", "ok")
    await harness.store.delete_session("a")
    assert await found(harness, "parrot") == []
    await harness.say("b", "a new dodo", "ok")
    assert await found(harness, "dodo") == ["b"]
    assert await found(harness, "old") == []


async def test_after_a_restart_nothing_is_missing(harness: StoreHarness) -> None:
    await harness.say("a", "parrot", "ok")
    await harness.reopen()
    assert await found(harness, "parrot") == ["a"]


# SQLite -------------------------------------------------------------------------------------------


def bytes_of(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.iterdir()))


def connect(path: Path, timeout_s: float = 5.0) -> Connection:
    """Return a connection that can do the writer's spare work."""
    db = sqlite3.connect(path, isolation_level=None, timeout=timeout_s, factory=Connection)
    derive(db)
    return db


def settle(harness: StoreHarness) -> None:
    """Do what the writer does when nothing else is to be done."""
    path = harness.directory / DATABASE
    care = upkeep.Upkeep(path)
    db = connect(path)
    while care(db) == 0.0:
        pass
    db.close()


@pytest.mark.usefixtures("no_spare_work")
async def test_of_a_deleted_session_not_a_byte_is_left_in_any_file(tmp_path: Path) -> None:
    """Neither in the rows, nor in the words of the index, nor in the log: the disk is what a thief reads."""
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    for number in range(40):
        await harness.say(f"other {number}", "the parrot speaks", f"answer {number}")
    await harness.say("secret:canary-key", "ZEBRAQUESTION 斑馬 of the user", "CANARYANSWER of the model")
    assert await found(harness, "zebraquestion") == ["secret:canary-key"]
    assert b"zebraquestion" in bytes_of(harness.directory)
    assert "斑馬".encode() in bytes_of(harness.directory)
    await harness.store.delete_session("secret:canary-key")
    settle(harness)
    left = bytes_of(harness.directory).lower()
    assert b"canary" not in left and b"zebra" not in left
    assert not any(character.encode() in left for character in "斑馬")
    assert len(await found(harness, "parrot")) == 40
    await harness.close()
    assert b"canary" not in bytes_of(tmp_path / "data").lower()


@pytest.mark.usefixtures("no_spare_work")
async def test_while_somebody_reads_the_log_is_emptied_later(tmp_path: Path) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", "CANARYQUESTION", "ok")
    reader = sqlite3.connect(harness.directory / DATABASE, isolation_level=None, factory=Connection)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM message").fetchone()
    await harness.store.delete_session("a")
    care = upkeep.Upkeep(harness.directory / DATABASE)
    db = connect(harness.directory / DATABASE)
    while (again_s := care(db)) == 0.0:
        pass
    assert again_s
    assert b"CANARY" in bytes_of(harness.directory)
    reader.close()
    assert care(db) is None
    assert b"CANARY" not in bytes_of(harness.directory)
    db.close()
    await harness.close()


@pytest.mark.usefixtures("no_spare_work")
async def test_an_index_that_cannot_be_written_is_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", "parrot", "ok")
    path = harness.directory / DATABASE
    other, db = sqlite3.connect(path, isolation_level=None), connect(path, timeout_s=0)
    other.execute("BEGIN IMMEDIATE")
    assert upkeep.Upkeep(path)(db)
    assert "locked" in caplog.text
    other.execute("ROLLBACK")
    assert upkeep.Upkeep(path)(db) == 0.0
    other.close()
    db.close()
    assert await found(harness, "parrot") == ["a"]
    await harness.close()


@pytest.mark.usefixtures("no_spare_work")
async def test_what_a_crash_left_to_be_written_over_is_written_over_at_the_next_start(tmp_path: Path) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", "CANARYQUESTION", "ok")
    await harness.say("b", "parrot", "ok")
    await found(harness, "parrot")
    await harness.store.delete_session("a")
    await harness.reopen()
    await harness.store.write_over()
    await harness.close()
    assert b"canary" not in bytes_of(tmp_path / "data").lower()


@pytest.mark.usefixtures("no_spare_work")
async def test_the_index_is_built_a_piece_at_a_time(tmp_path: Path) -> None:
    """A turn that comes meanwhile waits for one piece, not for all."""
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    earlier = tuple(user(f"question {n}") if n % 2 == 0 else said(f"answer {n}") for n in range(1_000))
    await harness.say("a", "parrot", "ok", earlier=earlier)
    db = connect(harness.directory / DATABASE)
    pieces = 0
    while index.index_some(db):
        pieces += 1
    db.close()
    assert pieces >= 1_002 / 128
    await harness.store.append(await harness.start("a", "next"), done("ok"))
    assert await found(harness, '"question 998"') == ["a"]
    await harness.close()


async def test_when_nothing_is_to_be_done_the_writer_indexes_by_itself(tmp_path: Path) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", "parrot", "ok")
    db = sqlite3.connect(harness.directory / DATABASE, isolation_level=None, factory=Connection)
    async with asyncio.timeout(BOUND_S):
        while db.execute("SELECT count(*) FROM session WHERE last_seq > indexed_seq").fetchone() != (0,):
            await asyncio.sleep(0.01)
    assert db.execute("SELECT count(*) FROM search WHERE search MATCH 'parrot'").fetchone() == (1,)
    db.close()
    await harness.close()


@pytest.mark.usefixtures("no_spare_work")
async def test_what_was_said_before_a_start_is_found_however_many_sessions_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sessions are looked through a piece at a time, also those whose neighbours are gone."""
    monkeypatch.setattr(index, "_SESSIONS_A_LOOK", 2)
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    keys = [f"s{number}" for number in range(7)]
    for key in keys:
        await harness.say(key, "parrot", "ok")
    for key in keys[2:5]:
        await harness.store.delete_session(key)
    await harness.reopen()
    await harness.say("s0", "more", "ok")
    db = connect(harness.directory / DATABASE)
    (indexed,) = db.execute("SELECT count(*) FROM session WHERE indexed_seq >= last_seq").fetchone()
    db.close()
    assert await found(harness, "parrot") == ["s6", "s5", "s1", "s0"]
    assert indexed < len(keys)
    await harness.close()


# An index that is built anew ----------------------------------------------------------------------


async def old_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: int = 12) -> StoreHarness:
    """Return a store whose index was emptied when it was opened, as another version had made it."""
    monkeypatch.setattr(ports, "_MOST_REBUILT_A_SEARCH", 0)
    monkeypatch.setattr(index, "_MOST_REBUILT_A_STEP", 8)
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    for number in range(sessions):
        await harness.say(f"s{number}", f"parrot {number}", "ok")
        await harness.say(f"s{number}", f"dodo {number}", "gone")
    await found(harness, "parrot")
    monkeypatch.setattr(tokens, "VERSION", "another")
    await harness.reopen()
    return harness


def rebuilt(harness: StoreHarness, most: int = 1_000) -> int:
    """Do up to so many steps; return how many had something to do."""
    db = connect(harness.directory / DATABASE)
    steps = 0
    while steps < most and index.rebuild_some(db):
        steps += 1
    db.close()
    return steps


@pytest.mark.usefixtures("no_spare_work")
async def test_an_index_of_other_tokens_is_built_anew_a_piece_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await old_index(tmp_path, monkeypatch)
    assert not await harness.store.index_messages()
    assert await found(harness, "parrot") == []
    await harness.say("s0", "a new parrot", "ok")
    assert await found(harness, "parrot") == ["s0"]
    assert rebuilt(harness, 2) == 2
    assert set(await found(harness, "parrot")) == {"s0", "s11", "s10", "s9", "s8"}, "the newest come first"
    await harness.reopen()
    assert not await harness.store.index_messages()
    assert rebuilt(harness) >= 4
    assert await harness.store.index_messages()
    assert len(await found(harness, "parrot")) == len(await found(harness, "dodo")) == 12
    await harness.close()


@pytest.mark.usefixtures("no_spare_work")
async def test_what_is_deleted_while_the_index_is_built_leaves_nothing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await old_index(tmp_path, monkeypatch)
    rebuilt(harness, 2)
    for key in ("s0", "s9", "s11"):
        await harness.say(key, "parrot again", "ok")
        await harness.store.delete_session(key)
    settle(harness)
    await harness.say("new", "a raven", "ok")
    rebuilt(harness)
    db = connect(harness.directory / DATABASE)
    db.execute("INSERT INTO search (search) VALUES ('integrity-check')")
    db.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, search, row)")
    counted = dict(db.execute("SELECT term, doc FROM words WHERE term IN ('parrot', 'dodo', 'again')"))
    db.close()
    assert counted == {"parrot": 9, "dodo": 9}
    assert len(await found(harness, "parrot")) == 9
    assert await harness.store.index_messages()
    await harness.close()


async def test_each_search_brings_an_index_that_is_built_anew_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a server that is never idle."""
    harness = await old_index(tmp_path, monkeypatch)
    monkeypatch.setattr(ports, "_MOST_REBUILT_A_SEARCH", 2)
    assert len(await found(harness, "parrot")) == 4
    assert len(await found(harness, "parrot")) == 8
    await harness.close()


async def test_where_nothing_can_be_written_what_is_in_the_index_is_found(tmp_path: Path) -> None:
    """As on a full disk: searches take in what was said since, where they can."""
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    await harness.say("a", "where is the parrot?", "in the cage")
    assert await found(harness, "parrot") == ["a"]
    await harness.say("b", "the dodo", "is gone")
    assert isinstance(harness.store, SqlStore)
    await harness.store.database.write(lambda db: db.execute("PRAGMA query_only = ON"))
    assert not await harness.store.index_messages()
    assert (await found(harness, "parrot"), await found(harness, "dodo")) == (["a"], [])
    await harness.close()
