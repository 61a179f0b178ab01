"""Sessions: two keys never share anything, lists page, deleting leaves nothing."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import NanobotError, SessionNotFound, StoreError
from nanobot.core.session_keys import parse_key
from tests.contract.store_harness import StoreHarness, done

LOOKALIKES = [
    ("wx:dm:a_b", "wx:dm:a:b"),
    ("wx:dm:a/b", "wx:dm:a_b"),
    ("..", "."),
    ("../x", "x"),
    ("a/../b", "b"),
    ("key", "KEY"),
    ("straße", "strasse"),
    (unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë")),
    ("ﬁ", "fi"),
    # the second is Cyrillic
    ("a", "а"),
    ("a b", "a  b"),
    ("1", "01"),
    ("x", "x%"),
    ("a", "a*"),
    ("a", "a\u200b"),
    ("a", "a\x00"),
    ("null", "None"),
    ("'", "''"),
]


@pytest.mark.parametrize(("one", "other"), LOOKALIKES)
async def test_two_different_keys_are_two_sessions(harness: StoreHarness, one: str, other: str) -> None:
    await harness.say(one, "mine", "yours")
    with pytest.raises(SessionNotFound):
        await harness.store.messages(other, limit=1)
    await harness.say(other, "other", "answer")
    assert await harness.texts(one) == ["U:mine", "A:yours"]
    assert await harness.texts(other) == ["U:other", "A:answer"]
    await harness.store.delete_session(other)
    assert await harness.texts(one) == ["U:mine", "A:yours"]


@given(
    keys=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        min_size=2,
        max_size=5,
        unique=True,
    )
)
async def test_any_different_strings_are_different_sessions(harness: StoreHarness, keys: list[str]) -> None:
    harness.clock.advance(1)
    keys = [f"{key}{harness.clock.now()}" for key in keys]
    for key in keys:
        await harness.say(key, f"from {key!r}", f"to {key!r}")
    for key in keys:
        assert await harness.texts(key) == [f"U:from {key!r}", f"A:to {key!r}"]


@given(raw=st.text(max_size=300))
def test_a_key_is_kept_verbatim_or_refused(raw: str) -> None:
    try:
        key = parse_key(raw)
    except NanobotError as error:
        assert error.http_status == 400
        return
    assert key == raw.strip()
    assert len(key) <= 256
    assert not key.startswith("nanobot:")
    assert not any(unicodedata.category(character) == "Cc" for character in key)


async def test_keys_that_look_like_paths_make_no_files(harness: StoreHarness, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    for key in ("../../escaped", "/etc/escaped", "..\\escaped", "a/b/c", "con", "~"):
        await harness.say(key, "hello", "hi")
    assert set(tmp_path.rglob("*")) == before


# Lists --------------------------------------------------------------------------------------------


async def test_sessions_are_listed_most_recently_used_first_page_by_page(harness: StoreHarness) -> None:
    for key in ("a", "b", "c", "d", "e"):
        await harness.say(key, "1", "one")
        harness.clock.advance(1)
    await harness.say("b", "2", "two")
    keys: list[str] = []
    after = None
    while page := await harness.store.sessions(limit=2, after=after):
        keys.extend(session.key for session in page)
        after = keys[-1]
    assert keys == ["b", "e", "d", "c", "a"]
    newest = (await harness.store.sessions(limit=1))[0]
    assert (newest.messages, newest.updated_at) == (4, harness.clock.now())
    assert newest.created_at == newest.updated_at - 4


async def test_sessions_used_in_the_same_moment_are_each_listed_once(harness: StoreHarness) -> None:
    for number in range(7):
        await harness.say(f"{number}", "1", "one")
    first = await harness.store.sessions(limit=3)
    rest = await harness.store.sessions(limit=10, after=first[-1].key)
    assert sorted(session.key for session in (*first, *rest)) == [f"{number}" for number in range(7)]


async def test_a_session_is_not_listed_for_what_leaves_no_trace(harness: StoreHarness) -> None:
    claim = await harness.start("task", "title", trace=False)
    assert await harness.store.sessions(limit=5) == ()
    await harness.store.append(claim, done("T"))
    assert await harness.store.sessions(limit=5) == ()
    assert (await harness.store.session("task")).messages == 0
    await harness.say("task", "tags", "T", trace=False)
    await harness.store.import_session("made", (), title=None, metadata={})
    harness.clock.advance(1)
    await harness.say("made", "title", "T", trace=False)
    assert [session.key for session in await harness.store.sessions(limit=5)] == ["made"]
    harness.clock.advance(1)
    await harness.say("task", "1", "one")
    assert [session.key for session in await harness.store.sessions(limit=5)] == ["task", "made"]


async def test_a_session_that_nobody_knows_is_not_found(harness: StoreHarness) -> None:
    with pytest.raises(SessionNotFound):
        await harness.store.messages("nobody", limit=1)
    with pytest.raises(SessionNotFound):
        await harness.store.delete_session("nobody")
    with pytest.raises(SessionNotFound):
        await harness.store.sessions(limit=1, after="nobody")


# Deleting -----------------------------------------------------------------------------------------


async def test_deleting_tells_how_many_messages_went_and_leaves_the_others(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("a", "2", "two")
    await harness.say("b", "1", "one")
    removed = await harness.store.delete_session("a")
    assert (removed.messages, removed.turns) == (4, 2)
    assert removed.bytes_ > 0
    assert [session.key for session in await harness.store.sessions(limit=10)] == ["b"]
    assert (await harness.store.history("a", 1000)).messages == ()


async def test_a_deleted_session_is_known_by_no_retry(harness: StoreHarness) -> None:
    await harness.admit("a", dedupe_key="k1")
    await harness.store.append(await harness.engine.claim(), done("hi"))
    await harness.store.delete_session("a")
    assert not (await harness.admit("a", dedupe_key="k1")).joined
    await harness.store.append(await harness.engine.claim(), done("hi"))
    assert await harness.texts("a") == ["U:hello", "A:hi"]


async def test_the_store_says_that_it_can_commit(harness: StoreHarness) -> None:
    await harness.store.check()
    await harness.store.close()
    with pytest.raises(StoreError):
        await harness.store.check()
