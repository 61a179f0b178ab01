"""People: found by their sessions, linked by hand or by a code, and what their turns may be told of."""

import contextlib
import logging
import sqlite3

import pytest

from nanobot.core.errors import InvalidLinkCode, InvalidRequest, PersonNotFound, SessionNotFound
from nanobot.core.people import LinkCode, Person
from nanobot.core.scopes import ScopePattern, ScopeRules
from nanobot.core.sessions import SessionFilter
from nanobot.stores.sql import assigning
from nanobot.stores.sql.people import MOST_NAMES
from nanobot.stores.sqlite.opening import DATABASE
from nanobot.stores.sqlite.store import open_store
from tests.contract.people_listed import DM, GROUP, OTHER, PRIVATE, ids, keep, keys
from tests.contract.remembered import remember, texts
from tests.contract.store_harness import StoreHarness

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
