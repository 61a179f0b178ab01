"""People: found over all their keys, linked and unlinked, erased at once; and nothing of others with them."""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pytest

from nanobot.core.errors import (
    InvalidLinkCode,
    InvalidRequest,
    PersonNotFound,
    SessionNotFound,
    StoreError,
    TurnNotFound,
    UploadNotFound,
)
from nanobot.core.memory import FactChange
from nanobot.core.message import user
from nanobot.core.people import Erasure, LinkCode, Person
from nanobot.core.scopes import DEFAULT_RULES, ScopePattern, ScopeRules
from nanobot.core.sessions import Deletion, ImportedMessage, SessionFilter
from nanobot.core.store import Store
from nanobot.core.uploads import Upload
from nanobot.stores.sql import assigning, catalogue, erasing, hidden, people, purging
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.people import MOST_NAMES
from nanobot.stores.sql.ports.deleting import Deleting
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.stores.sqlite.store import open_store
from tests.asgi import BOUND_S
from tests.contract.store_harness import StoreHarness
from tests.contract.test_store_memory import remember, texts
from tests.contract.test_store_pieces import Transactions

DM, GROUP, OTHER = "wx:dm:alice", "wx:group:g1:user:alice", "wx:group:g1:user:bob"
PRIVATE = SessionFilter(("wx:dm:*", "tg:dm:*"))


async def ids(store: Store, matching: SessionFilter = PRIVATE) -> list[str]:
    return [each.id for each in await store.people(limit=100, matching=matching)]


async def keys(store: Store, person: str) -> list[str]:
    return [each.session for each in await store.keys_of_person(person)]


async def keep(harness: StoreHarness, number: int, key: str) -> str:
    """Keep an upload of 5 bytes in the session `key`; return its id."""
    id_ = f"file-{number:026d}"
    made = Upload(id_, key, "a.txt", "user_data", 5, harness.clock.now())
    await harness.store.add_upload(made, b"hello", 1_000)
    return id_


# Found --------------------------------------------------------------------------------------------


async def test_a_person_has_their_private_chat_and_what_they_said_in_groups(harness: StoreHarness) -> None:
    began = harness.clock.now()
    await harness.say(DM, "hello", "hi")
    harness.clock.advance(60)
    await harness.say(GROUP, "hello all", "hi")
    await harness.say(OTHER, "me too", "hi")
    await keep(harness, 1, DM)
    person = await harness.store.person("wx:alice")
    assert person == Person("wx:alice", ("wx:alice",), 2, 1, began, began + 60)
    found = await harness.store.sessions_of_person("wx:alice", limit=10)
    assert [(each.session.key, each.scopes.group, each.session.messages) for each in found] == [
        (GROUP, "wx:g1", 2),
        (DM, None, 2),
    ]
    assert await keys(harness.store, "wx:alice") == [DM, GROUP]
    assert [each.session_key for each in await harness.store.uploads_of_person("wx:alice", limit=10)] == [DM]


async def test_only_what_is_asked_for_is_there(harness: StoreHarness) -> None:
    for key in (DM, GROUP, OTHER, "plain"):
        await harness.say(key, "hello", "hi")
    assert await ids(harness.store, SessionFilter()) == ["plain", "wx:alice", "wx:bob"]
    assert await ids(harness.store) == ["wx:alice"]
    assert (await harness.store.person("wx:alice", matching=PRIVATE)).sessions == 1
    for nobody in ("wx:bob", "wx:carol", "", "wx:dm:alice"):
        with pytest.raises(PersonNotFound):
            await harness.store.person(nobody, matching=PRIVATE)
        with pytest.raises(PersonNotFound):
            await harness.store.erase_person(nobody, matching=PRIVATE)
    with pytest.raises(SessionNotFound):
        await harness.store.sessions_of_person("wx:alice", limit=10, after=GROUP, matching=PRIVATE)


async def test_people_are_listed_page_by_page(harness: StoreHarness) -> None:
    for number in range(7):
        await harness.say(f"wx:dm:{number}", "hello", "hi")
    await harness.store.link_people("wx:5", "wx:1")
    found: list[str] = []
    while page := await harness.store.people(limit=2, after=found[-1] if found else None):
        found += [each.id for each in page]
    assert found == ["wx:0", "wx:2", "wx:3", "wx:4", "wx:5", "wx:6"]
    with pytest.raises(PersonNotFound):
        await harness.store.people(limit=2, after="wx:8")


async def test_who_only_asked_without_a_trace_is_not_there(harness: StoreHarness) -> None:
    await harness.say(DM, "hello", "hi", trace=False)
    assert await ids(harness.store) == []
    with pytest.raises(PersonNotFound):
        await harness.store.person("wx:alice")


async def test_a_fork_and_an_import_are_of_the_person_of_their_key(harness: StoreHarness) -> None:
    await harness.say("plain", "hello", "hi")
    await harness.store.fork_session("plain", DM)
    await harness.store.import_session("tg:dm:42", (), title=None, metadata={})
    assert await keys(harness.store, "wx:alice") == [DM]
    assert await keys(harness.store, "tg:42") == ["tg:dm:42"]


# Rules --------------------------------------------------------------------------------------------


async def test_other_rules_hold_for_the_sessions_that_are_there(
    disk_harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are more than are looked through at once."""
    monkeypatch.setattr(assigning, "_MOST_ROWS", 2)
    for number in range(5):
        await disk_harness.say(f"app-ann/{number}", "hello", "hi")
        await keep(disk_harness, number, f"app-ann/{number}")
    with pytest.raises(PersonNotFound):
        await disk_harness.store.person("app:ann")
    await disk_harness.close()
    rules = ScopeRules((ScopePattern("app-{user}/{rest}", "app"),))
    store = await open_store(disk_harness.directory, disk_harness.clock, scopes=rules)
    person = await store.person("app:ann")
    assert (person.sessions, person.files) == (5, 5)
    await store.close()
    await disk_harness.open()
    with pytest.raises(PersonNotFound):
        await disk_harness.store.person("app:ann")
    assert (await disk_harness.store.person("app-ann/3")).sessions == 1


async def test_what_is_remembered_goes_with_the_session_that_it_was_said_in(
    disk_harness: StoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise nobody reads it any more, or somebody who has the name by now."""
    harness = disk_harness
    own, other, inside = "app-ann/1", "app-ann/2", "room-7-ann"
    for key in (own, other, inside, OTHER):
        await harness.say(key, "hello", "hi")
        await remember(harness, key, f"told in {key}")
    erase = await harness.store.facts_of_person(own, limit=1_000)
    assert [versions[0].text for versions in erase] == [f"told in {own}"]
    rules = ScopeRules((ScopePattern("app-{user}/{rest}", "app"), ScopePattern("room-{group}-{user}", "app")))
    await harness.close()
    with caplog.at_level(logging.WARNING):
        harness.store = await open_store(harness.directory, harness.clock, scopes=rules)
    assert "3 sessions speak of another person or group" in caplog.text
    assert "3 facts" in caplog.text
    everything = {f"told in {key}" for key in (own, other, inside)}
    for key in (own, other):
        assert set(await texts(harness, key)) == everything
    # It was told in private, by the rules of then: the members of the group are not told.
    assert await texts(harness, "room-7-bob") == []
    assert await texts(harness, inside) == []
    assert await texts(harness, OTHER) == [f"told in {OTHER}"]
    told = await harness.store.facts_of_person("app:ann", limit=1_000)
    assert {versions[0].text for versions in told} == everything
    await harness.store.close()
    await harness.open()
    assert await texts(harness, own) == [f"told in {own}"]
    assert await texts(harness, other) == [f"told in {other}"]
    erasure = await harness.store.erase_person(other)
    assert (erasure.sessions, erasure.facts) == (1, 1)
    assert await texts(harness, own) == [f"told in {own}"]


# Links --------------------------------------------------------------------------------------------


async def test_linked_accounts_are_one_person_under_any_of_their_names(harness: StoreHarness) -> None:
    await harness.say(DM, "hello", "hi")
    await harness.say("tg:dm:42", "hello", "hi")
    assert await harness.store.link_people("wx:alice", "tg:42") == "wx:alice"
    for name in ("wx:alice", "tg:42"):
        person = await harness.store.person(name)
        assert (person.id, person.names, person.sessions) == ("wx:alice", ("wx:alice", "tg:42"), 2)
    names = ("tg:42", "wx:alice")
    assert await harness.store.linked_names() == {"wx:alice": names, "tg:42": names}
    assert await ids(harness.store) == ["wx:alice"]


async def test_links_join_all_accounts_of_both_and_each_can_be_taken_out(harness: StoreHarness) -> None:
    store = harness.store
    versions = [await store.links_version()]
    for one, other in (("a:1", "b:1"), ("c:1", "d:1"), ("b:1", "d:1")):
        await store.link_people(one, other)
        versions.append(await store.links_version())
    assert (await store.person("c:1")).names == ("a:1", "b:1", "c:1", "d:1")
    with pytest.raises(InvalidRequest, match="one person already"):
        await store.link_people("d:1", "a:1")
    assert await store.unlink_name("a:1") == "b:1"
    versions.append(await store.links_version())
    assert (await store.person("d:1")).names == ("b:1", "c:1", "d:1")
    with pytest.raises(PersonNotFound):
        await store.person("a:1")
    await store.unlink_name("b:1")
    await store.unlink_name("c:1")
    assert await store.linked_names() == {}
    with pytest.raises(InvalidRequest, match="is not linked"):
        await store.unlink_name("d:1")
    assert len(set(versions)) == len(versions)


async def test_links_outlast_a_restart(harness: StoreHarness) -> None:
    await harness.store.link_people("wx:alice", "tg:42")
    await harness.reopen()
    assert (await harness.store.person("tg:42")).id == "wx:alice"


@pytest.mark.parametrize(
    ("name", "says"),
    [("", "1 to 600"), ("x" * 601, "1 to 600"), ("a\x00", "printable"), (DM, "its person is 'wx:alice'")],
)
async def test_what_is_no_name_of_a_person_is_not_linked(harness: StoreHarness, name: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        await harness.store.link_people("wx:bob", name)
    assert await harness.store.linked_names() == {}


async def test_a_person_has_no_more_than_so_many_accounts(harness: StoreHarness) -> None:
    for number in range(1, MOST_NAMES):
        await harness.store.link_people("a:0", f"a:{number}")
    with pytest.raises(InvalidRequest, match=f"at most {MOST_NAMES}"):
        await harness.store.link_people("a:0", "a:99")


async def test_who_does_not_see_all_private_sessions_of_both_links_nothing(harness: StoreHarness) -> None:
    """Else a key for what somebody says in a group would open what they said in private."""
    await harness.say(DM, "hello", "hi")
    await harness.say(GROUP, "hello", "hi")
    await harness.say("tg:dm:mallory", "hello", "hi")
    await harness.say(OTHER, "only in a group", "hi")
    store = harness.store
    for patterns in (("tg:*",), ("tg:*", GROUP), ("tg:*", "wx:group:*")):
        matching = SessionFilter(patterns)
        for victim in ("wx:alice", "wx:bob", "wx:nobody"):
            with pytest.raises(PersonNotFound):
                await store.link_people("tg:mallory", victim, matching=matching)
            with pytest.raises(PersonNotFound):
                await store.link_people(victim, "tg:mallory", matching=matching)
            with pytest.raises(PersonNotFound):
                await store.check_private(victim, matching=matching)
            with pytest.raises(PersonNotFound):
                await store.keep_link_code(LinkCode(b"x", victim, 1e12), matching=matching)
    await store.link_people("tg:mallory", "wx:alice", matching=SessionFilter(("tg:*", "wx:dm:*")))
    with pytest.raises(PersonNotFound):
        await store.unlink_name("wx:alice", matching=SessionFilter(("tg:*",)))


async def test_of_a_linked_person_only_the_names_are_shown_that_may_be_seen(harness: StoreHarness) -> None:
    await harness.say(DM, "hello", "hi")
    await harness.say("tg:dm:42", "hello", "hi")
    await harness.store.link_people("wx:alice", "tg:42")
    seen = await harness.store.person("wx:alice", matching=SessionFilter(("tg:*",)))
    assert (seen.id, seen.names, seen.sessions) == ("tg:42", ("tg:42",), 1)


# Codes --------------------------------------------------------------------------------------------


async def chats(harness: StoreHarness) -> None:
    for key in (DM, "tg:dm:42", "tg:dm:mallory"):
        await harness.say(key, "hello", "hi")


async def test_a_code_of_one_chat_links_the_other_once(harness: StoreHarness) -> None:
    await chats(harness)
    store, now = harness.store, harness.clock.now()
    await store.keep_link_code(LinkCode(b"code", "wx:alice", now + 60), matching=SessionFilter(("wx:*",)))
    telegram = SessionFilter(("tg:dm:42",))
    with pytest.raises(InvalidLinkCode):
        await store.link_by_code("tg:42", b"other", matching=telegram)
    assert await store.link_by_code("tg:42", b"code", matching=telegram) == "wx:alice"
    assert (await store.person("tg:42")).names == ("wx:alice", "tg:42")
    with pytest.raises(InvalidLinkCode):
        await store.link_by_code("tg:mallory", b"code", matching=SessionFilter(("tg:dm:m*",)))


async def test_a_code_expires_and_a_new_one_takes_its_place(harness: StoreHarness) -> None:
    await chats(harness)
    store, now = harness.store, harness.clock.now()
    await store.keep_link_code(LinkCode(b"first", "wx:alice", now + 60))
    await store.keep_link_code(LinkCode(b"second", "wx:alice", now + 60))
    for code in (b"first", b"second"):
        if code == b"second":
            harness.clock.advance(60)
        with pytest.raises(InvalidLinkCode):
            await store.link_by_code("tg:42", code)


async def test_ones_own_code_links_nothing(harness: StoreHarness) -> None:
    await chats(harness)
    await harness.store.keep_link_code(LinkCode(b"code", "wx:alice", 1e12))
    with pytest.raises(InvalidRequest, match="one person already"):
        await harness.store.link_by_code("wx:alice", b"code")
    assert await harness.store.linked_names() == {}


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


# What a turn may be told of -----------------------------------------------------------------------


async def others(harness: StoreHarness, key: str, limit: int = 9) -> set[str]:
    return set(await harness.store.other_sessions(key, limit=limit))


async def test_a_private_chat_has_the_persons_other_private_ones_and_a_group_its_members(
    harness: StoreHarness,
) -> None:
    outside = ("wx:group:g2:user:bob", "wx:dm:bob", "plain", "tg:group:g1:user:bob")
    for key in (DM, "tg:dm:42", GROUP, OTHER, *outside):
        await harness.say(key, "hello", "hi")
    assert await others(harness, DM) == set()
    await harness.store.link_people("wx:alice", "tg:42")
    assert await others(harness, DM) == {"tg:dm:42"}
    assert await others(harness, "tg:dm:42") == {DM}
    assert await others(harness, GROUP) == {OTHER}
    assert await others(harness, "wx:group:g1:user:new") == {GROUP, OTHER}
    for key in ("plain", "wx:dm:new", "tg:group:g1:user:bob"):
        assert await others(harness, key) == set()


async def test_of_a_large_group_the_ones_that_were_used_last_come(harness: StoreHarness) -> None:
    for number in range(6):
        await harness.say(f"wx:group:g1:user:{number}", "hello", "hi")
        harness.clock.advance(600)
    await harness.say("wx:group:g1:user:0", "me again", "hi")
    found = await harness.store.other_sessions("wx:group:g1:user:5", limit=2)
    assert found == ("wx:group:g1:user:0", "wx:group:g1:user:4")


async def test_they_are_found_by_the_index_however_many_there_are(disk_harness: StoreHarness) -> None:
    """By a search for each layer that stops at the limit, without sorting."""
    await disk_harness.say(DM, "hello", "hi")
    with contextlib.closing(sqlite3.connect(disk_harness.directory / DATABASE)) as db:
        for column, order in (("person", "id"), ("group_name", "period")):
            private = " AND group_name IS NULL" if column == "person" else ""
            plan = db.execute(
                f"EXPLAIN QUERY PLAN SELECT * FROM (SELECT id, key FROM session WHERE {column} = 'a'{private}"
                f" AND key <> 'b' ORDER BY {order} DESC LIMIT 3)"
            ).fetchall()
            said = " ".join(row[3] for row in plan)
            assert "USING INDEX session_by_" in said and "TEMP B-TREE" not in said, said


# Many sessions --------------------------------------------------------------------------------------

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
