"""A person is erased: all that is theirs and nothing of others, also over a crash."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pytest

from nanobot.core.errors import InvalidLinkCode, PersonNotFound, StoreError, TurnNotFound, UploadNotFound
from nanobot.core.memory import FactChange
from nanobot.core.message import user
from nanobot.core.people import Erasure, LinkCode, Person
from nanobot.core.scopes import DEFAULT_RULES
from nanobot.core.sessions import Deletion, ImportedMessage, SessionFilter
from nanobot.stores.sql import catalogue, erasing, hidden, people, purging
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.deleting import Deleting
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.opening import DATABASE
from tests.asgi import BOUND_S
from tests.contract.people_listed import DM, GROUP, OTHER, PRIVATE, keep, keys
from tests.contract.remembered import remember, texts
from tests.contract.store_harness import StoreHarness
from tests.contract.test_store_pieces import Transactions

# Erasing ------------------------------------------------------------------------------------------


async def test_all_of_a_person_goes_at_once_and_nothing_of_others(harness: StoreHarness) -> None:
    for key in (DM, GROUP, OTHER, "tg:dm:42"):
        await harness.say(key, "hello", "hi")
    await keep(harness, 1, DM)
    await keep(harness, 2, "wx:group:g2:user:alice")
    await keep(harness, 3, OTHER)
    await harness.store.link_people("wx:alice", "tg:42")
    erasure = await harness.store.erase_person("tg:42")
    assert (erasure.sessions, erasure.messages, erasure.turns, erasure.files) == (3, 6, 3, 2)
    assert (erasure.links, erasure.left) == (2, 0)
    assert erasure.bytes_ > 10
    for name in ("wx:alice", "tg:42"):
        with pytest.raises(PersonNotFound):
            await harness.store.person(name)
    assert await harness.texts(OTHER) == ["U:hello", "A:hi"]
    assert (await harness.store.person("wx:bob")).files == 1


async def test_what_is_remembered_of_a_person_goes_with_them(harness: StoreHarness) -> None:
    store = harness.store
    await harness.say("tg:dm:42", "hello", "hi")
    await store.link_people("wx:alice", "tg:42")
    for key in (DM, GROUP, OTHER):
        await remember(harness, key, f"told in {key}")
    told = await store.facts_of_person("tg:42", limit=1_000)
    assert {versions[0].text for versions in told} == {f"told in {DM}", f"told in {GROUP}"}
    private = await store.facts_of_person("wx:alice", matching=PRIVATE, limit=1_000)
    assert [versions[0].text for versions in private] == [f"told in {DM}"]
    assert (await store.erase_person("wx:alice")).facts == 2
    assert await store.facts_of_person("wx:alice", limit=1_000) == ()
    assert await texts(harness, OTHER) == [f"told in {OTHER}"]


async def test_facts_are_read_a_few_at_a_time_each_with_all_of_its_versions(harness: StoreHarness) -> None:
    store, expected = harness.store, dict[str, list[str]]()
    for number in range(7):
        fact = await remember(harness, (DM, GROUP)[number % 2], f"fact {number}")
        await remember(harness, OTHER, f"of somebody else {number}")
        changed = FactChange(text=f"fact {number} again")
        await store.change_fact((DM, GROUP)[number % 2], fact.id, changed)
        expected[fact.id] = [f"fact {number} again", f"fact {number}"]
    seen: list[str] = []
    while page := await store.facts_of_person("wx:alice", limit=2, after=seen[-1] if seen else None):
        assert len(page) <= 2
        for versions in page:
            assert [each.text for each in versions] == expected[versions[0].id]
            seen.append(versions[0].id)
    assert seen == sorted(expected)


async def test_the_facts_of_a_person_are_found_by_indexes(disk_harness: StoreHarness) -> None:
    await disk_harness.close()
    with contextlib.closing(sqlite3.connect(disk_harness.directory / DATABASE)) as db:
        plans: list[str] = []

        class Explaining:
            """Explains what it is asked to execute."""

            scopes = DEFAULT_RULES

            def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
                plans.extend(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values))
                return db.execute(sql, values)

        people.facts(cast("Db", Explaining()), "wx:alice", limit=2, after="mem_1")
    await disk_harness.open()
    of_facts = [plan for plan in plans if "fact" in plan or " f " in plan]
    assert not [plan for plan in of_facts if plan.startswith("SCAN")], plans
    assert any("fact_by_person" in plan for plan in of_facts), plans
    assert any("fact_by_owner" in plan for plan in of_facts), plans


async def test_of_whom_only_facts_are_there_can_be_seen_and_erased(harness: StoreHarness) -> None:
    fact = await remember(harness, DM, "likes tea")
    assert await harness.store.person("wx:alice") == Person("wx:alice", ("wx:alice",), 0, 0, 0.0, 0.0)
    (told,) = await harness.store.facts_of_person("wx:alice", limit=9)
    assert told[0].id == fact.id
    with pytest.raises(PersonNotFound):
        await harness.store.person("wx:alice", matching=PRIVATE)
    assert (await harness.store.erase_person("wx:alice")).facts == 1
    with pytest.raises(PersonNotFound):
        await harness.store.erase_person("wx:alice")


async def test_who_has_only_asked_for_a_code_can_be_erased_with_it(harness: StoreHarness) -> None:
    digest, in_a_while = b"digest of a code", harness.clock.now() + 600
    await harness.store.keep_link_code(LinkCode(digest, "wx:alice", in_a_while))
    erasure = await harness.store.erase_person("wx:alice")
    assert (erasure.sessions, erasure.links, erasure.left) == (0, 0, 0)
    with pytest.raises(InvalidLinkCode):
        await harness.store.link_by_code("tg:42", digest)
    with pytest.raises(PersonNotFound):
        await harness.store.erase_person("wx:alice")


async def test_a_linked_account_is_told_what_the_other_said(harness: StoreHarness) -> None:
    await harness.say("tg:dm:42", "hello", "hi")
    await harness.say(DM, "hello", "hi")
    await remember(harness, DM, "likes tea")
    assert await texts(harness, "tg:dm:42") == []
    await harness.store.link_people("wx:alice", "tg:42")
    assert await texts(harness, "tg:dm:42") == ["likes tea"]
    await harness.store.unlink_name("tg:42")
    assert await texts(harness, "tg:dm:42") == []


async def test_what_may_not_be_seen_is_left_and_said(harness: StoreHarness) -> None:
    for key in (DM, GROUP, "tg:dm:42"):
        await harness.say(key, "hello", "hi")
    await harness.store.link_people("wx:alice", "tg:42")
    erasure = await harness.store.erase_person("wx:alice", matching=SessionFilter(("wx:dm:*",)))
    assert (erasure.sessions, erasure.links, erasure.left) == (1, 0, 2)
    assert await keys(harness.store, "tg:42") == [GROUP, "tg:dm:42"]
    assert (await harness.store.person("wx:alice")).names == ("wx:alice", "tg:42")


async def test_turns_that_run_and_wait_end_with_the_person(harness: StoreHarness) -> None:
    running = await harness.start(DM)
    await harness.admit(DM, "and then?")
    other = await harness.start(GROUP)
    erasure = await harness.store.erase_person("wx:alice")
    assert erasure.turns == 3
    cancelled = {(await harness.engine.cancel()).turn_id for _ in range(3)}
    assert {running.turn.id, other.turn.id} < cancelled
    with pytest.raises(TurnNotFound):
        await harness.ended(running.turn.id)


async def test_who_comes_back_begins_anew(harness: StoreHarness) -> None:
    await harness.say(DM, "hello", "hi")
    await harness.store.erase_person("wx:alice")
    await harness.say(DM, "hello again", "hi")
    person = await harness.store.person("wx:alice")
    assert (person.sessions, person.names) == (1, ("wx:alice",))
    assert await harness.texts(DM) == ["U:hello again", "A:hi"]


# Many sessions ----------------------------------------------------------------------------------


MANY = 5 * erasing.MOST_KEYS


async def talk_in_groups(harness: StoreHarness, count: int = MANY) -> None:
    for number in range(count):
        await harness.say(f"wx:group:g{number}:user:alice", f"hello {number}", "hi")


async def live(harness: StoreHarness) -> set[str]:
    return {session.key for session in await harness.store.sessions(limit=1_000)}


async def test_turns_of_others_are_stored_while_somebody_with_many_sessions_is_erased(
    disk_harness: StoreHarness,
) -> None:
    harness = disk_harness
    await talk_in_groups(harness)
    transactions = Transactions(harness)
    with transactions.watched():
        erasing_ = asyncio.ensure_future(harness.store.erase_person("wx:alice"))
        await asyncio.sleep(0)
        await harness.admit(OTHER, "hello")
        assert not erasing_.done()
        erasure = await asyncio.wait_for(erasing_, BOUND_S)
    assert (erasure.sessions, erasure.messages, erasure.turns) == (MANY, 2 * MANY, MANY)
    # A few rows of each session.
    assert max(transactions.changed) <= 16 * erasing.MOST_KEYS
    assert await live(harness) == {OTHER}


async def test_what_goes_in_the_background_meanwhile_is_in_the_receipt(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk_in_groups(harness, 3)
    store = harness.store
    assert isinstance(store, SqlStore)
    purged = Deleting.purged

    def all_of_it(db: Db) -> None:
        while (doomed := hidden.next_to_purge(db)) is not None:
            purging.purge_some(db, index, doomed)

    async def late(self: Deleting, deleted: Iterable[catalogue.Deleted]) -> Deletion:
        await store.database.write(all_of_it)
        return await purged(self, deleted)

    monkeypatch.setattr(Deleting, "purged", late)
    erasure = await store.erase_person("wx:alice")
    assert (erasure.sessions, erasure.messages, erasure.turns) == (3, 6, 3)
    assert erasure.bytes_ > 10
    await harness.say("wx:dm:carol", "hello", "hi")
    deletion = await store.delete_session("wx:dm:carol")
    assert (deletion.messages, deletion.turns) == (2, 1)


@pytest.mark.parametrize("pieces", [0, 1, 3])
async def test_an_erasure_that_a_crash_broke_off_is_finished_at_the_next_start(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    await talk_in_groups(harness)
    await keep(harness, 1, "wx:dm:alice")
    await harness.admit("wx:group:g1:user:alice", "and then?")
    await harness.engine.claim()
    await harness.say(OTHER, "hello", "hi")
    await harness.store.link_people("wx:alice", "tg:42")
    await remember(harness, "wx:dm:alice", "likes tea")
    delete, left = Deleting.delete, pieces

    async def broken(self: Deleting, *asked: Any) -> tuple[catalogue.Deleted, ...]:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        return await delete(self, *asked)

    monkeypatch.setattr(Deleting, "delete", broken)
    with pytest.raises(Killed):
        await harness.store.erase_person("wx:alice")
    # Somebody who comes back before the next start begins anew.
    again = (ImportedMessage(user("it is me again"), 1.0),)
    await harness.store.import_session("wx:group:new:user:alice", again, title=None, metadata={})
    monkeypatch.undo()
    for _ in range(2):
        await harness.reopen()
        assert await live(harness) == {OTHER, "wx:group:new:user:alice"}
        assert await harness.texts("wx:group:new:user:alice") == ["U:it is me again"]
    assert await harness.store.facts_of_person("wx:alice", limit=1_000) == ()
    assert await harness.store.linked_names() == {}
    assert await harness.store.uploads_of_person("wx:alice", limit=9, before=None) == ()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> "Held":
    return Held(monkeypatch)


class Held:
    """Erasures whose first piece is done, and whose next one waits until `go_on` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = asyncio.Event()
        self._has_begun = asyncio.Event()
        delete, held = Deleting.delete, self

        async def one_piece(self: Deleting, *asked: Any) -> tuple[catalogue.Deleted, ...]:
            if held._has_begun.is_set():
                await held.go_on.wait()
            deleted = await delete(self, *asked)
            held._has_begun.set()
            return deleted

        monkeypatch.setattr(Deleting, "delete", one_piece)

    async def begun(self, harness: StoreHarness) -> "asyncio.Task[Erasure]":
        """Return an erasure of which some sessions are gone, and some are not."""
        erasure = asyncio.ensure_future(harness.store.erase_person("wx:alice"))
        await asyncio.wait_for(self._has_begun.wait(), BOUND_S)
        assert 1 < len(await live(harness)) <= MANY
        return erasure


async def is_erased(harness: StoreHarness) -> bool:
    with contextlib.suppress(PersonNotFound):
        await harness.store.person("wx:alice")
        return False
    return True


async def test_an_erasure_is_finished_when_whoever_asked_for_it_has_gone(
    harness: StoreHarness, held: Held
) -> None:
    await talk_in_groups(harness)
    await keep(harness, 1, DM)
    await harness.say(OTHER, "hello", "hi")
    await remember(harness, DM, "likes tea")
    erasure = await held.begun(harness)
    erasure.cancel()
    held.go_on.set()
    async with asyncio.timeout(BOUND_S):
        while not await is_erased(harness):
            await asyncio.sleep(0)
    assert await live(harness) == {OTHER}
    assert await harness.store.uploads_of_person("wx:alice", limit=9, before=None) == ()
    assert await harness.store.finish_erasures() == 0


@pytest.mark.parametrize("pieces", [0, 1, 3])
async def test_an_erasure_that_broke_off_is_finished_while_the_server_runs(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pieces: int
) -> None:
    await talk_in_groups(harness)
    file_id = await keep(harness, 1, "wx:group:g0:user:alice")
    await harness.say(OTHER, "hello", "hi")
    await harness.store.link_people("wx:alice", "tg:42")
    await remember(harness, DM, "likes tea")
    delete, left = Deleting.delete, pieces

    async def full(self: Deleting, *asked: Any) -> tuple[catalogue.Deleted, ...]:
        nonlocal left
        if not left:
            raise StoreError("the disk is full")
        left -= 1
        return await delete(self, *asked)

    monkeypatch.setattr(Deleting, "delete", full)
    for erase in (lambda: harness.store.erase_person("wx:alice"), harness.store.finish_erasures):
        with pytest.raises(StoreError, match="the disk is full"):
            await erase()
    assert "broke off" in caplog.text and "alice" not in caplog.text
    # Whoever comes back meanwhile begins anew.
    back = (ImportedMessage(user("it is me again"), 1.0),)
    await harness.store.import_session("wx:group:new:user:alice", back, title=None, metadata={})
    await remember(harness, DM, "likes coffee")
    monkeypatch.undo()
    assert await harness.store.finish_erasures() == 1
    assert await live(harness) == {OTHER, "wx:group:new:user:alice"}
    assert await texts(harness, DM) == ["likes coffee"]
    assert await harness.texts("wx:group:new:user:alice") == ["U:it is me again"]
    assert await harness.store.linked_names() == {}
    with pytest.raises(UploadNotFound):
        await harness.store.open_upload(file_id, "wx:group:g0:user:alice")
    assert await harness.store.finish_erasures() == 0


async def test_an_erasure_that_goes_on_is_not_taken_over(harness: StoreHarness, held: Held) -> None:
    await talk_in_groups(harness)
    await harness.say(OTHER, "hello", "hi")
    erasure = await held.begun(harness)
    assert await harness.store.finish_erasures() == 0
    held.go_on.set()
    assert (await asyncio.wait_for(erasure, BOUND_S)).sessions == MANY


async def test_an_erasure_that_an_older_version_began_is_finished(harness: StoreHarness) -> None:
    await harness.say(DM, "hello", "hi")
    await remember(harness, DM, "likes tea")
    store = harness.store
    assert isinstance(store, SqlStore)
    begun = {"names": ["wx:alice"], "last": 1_000, "at": harness.clock.now(), "facts": 1, "matching": {}}
    name = f"erase {json.dumps(begun)}"
    await store.database.write(lambda db: db.execute("INSERT INTO chore (name) VALUES (?)", (name,)))
    # Another one at the same moment, by whoever asks again.
    erased = await asyncio.gather(*[store.erase_person("wx:alice") for _ in range(2)])
    assert sum(each.sessions for each in erased) == 1
    await store.finish_erasures()
    assert await is_erased(harness)
    await harness.reopen()
    assert await harness.store.finish_erasures() == 0


class Killed(Exception):
    """The server is killed."""
