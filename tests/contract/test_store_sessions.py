"""Sessions: two keys never share anything, lists page, deleting leaves nothing."""

import asyncio
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import NanobotError, SessionNotFound, StoreError
from nanobot.core.sessions import parse_key
from tests.contract.place import Place, done

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
async def test_two_different_keys_are_two_sessions(place: Place, one: str, other: str) -> None:
    await place.say(one, "mine", "yours")
    with pytest.raises(SessionNotFound):
        await place.store.messages(other, limit=1)
    await place.say(other, "other", "answer")
    assert await place.texts(one) == ["U:mine", "A:yours"]
    assert await place.texts(other) == ["U:other", "A:answer"]
    await place.store.delete_session(other)
    assert await place.texts(one) == ["U:mine", "A:yours"]


@given(
    keys=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        min_size=2,
        max_size=5,
        unique=True,
    )
)
async def test_any_different_strings_are_different_sessions(place: Place, keys: list[str]) -> None:
    place.clock.advance(1)
    keys = [f"{key}{place.clock.now()}" for key in keys]
    for key in keys:
        await place.say(key, f"from {key!r}", f"to {key!r}")
    for key in keys:
        assert await place.texts(key) == [f"U:from {key!r}", f"A:to {key!r}"]


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


async def test_keys_that_look_like_paths_make_no_files(place: Place, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    for key in ("../../escaped", "/etc/escaped", "..\\escaped", "a/b/c", "con", "~"):
        await place.say(key, "hello", "hi")
    assert set(tmp_path.rglob("*")) == before


# Lists --------------------------------------------------------------------------------------------


async def test_sessions_are_listed_most_recently_used_first_page_by_page(place: Place) -> None:
    for key in ("a", "b", "c", "d", "e"):
        await place.say(key, "1", "one")
        place.clock.advance(1)
    await place.say("b", "2", "two")
    keys: list[str] = []
    after = None
    while page := await place.store.sessions(limit=2, after=after):
        keys.extend(session.key for session in page)
        after = keys[-1]
    assert keys == ["b", "e", "d", "c", "a"]
    newest = (await place.store.sessions(limit=1))[0]
    assert (newest.messages, newest.updated_at) == (4, place.clock.now())
    assert newest.created_at == newest.updated_at - 4


async def test_sessions_used_in_the_same_moment_are_each_listed_once(place: Place) -> None:
    for number in range(7):
        await place.say(f"{number}", "1", "one")
    first = await place.store.sessions(limit=3)
    rest = await place.store.sessions(limit=10, after=first[-1].key)
    assert sorted(session.key for session in (*first, *rest)) == [f"{number}" for number in range(7)]


async def test_a_session_that_nobody_knows_is_not_found(place: Place) -> None:
    with pytest.raises(SessionNotFound):
        await place.store.messages("nobody", limit=1)
    with pytest.raises(SessionNotFound):
        await place.store.delete_session("nobody")
    with pytest.raises(SessionNotFound):
        await place.store.sessions(limit=1, after="nobody")


# Deleting -----------------------------------------------------------------------------------------


async def test_deleting_tells_how_many_messages_went_and_leaves_the_others(place: Place) -> None:
    await place.say("a", "1", "one")
    await place.say("a", "2", "two")
    await place.say("b", "1", "one")
    removed = await place.store.delete_session("a")
    assert (removed.messages, removed.turns) == (4, 2)
    assert removed.bytes_ > 0
    assert [session.key for session in await place.store.sessions(limit=10)] == ["b"]
    assert (await place.store.history("a", 1000)).messages == ()


async def test_a_deleted_session_is_known_by_no_retry(place: Place) -> None:
    await place.admit("a", dedupe_key="k1")
    await place.store.append(await place.hands.claim(), done("hi"))
    await place.store.delete_session("a")
    assert not (await place.admit("a", dedupe_key="k1")).joined
    await place.store.append(await place.hands.claim(), done("hi"))
    assert await place.texts("a") == ["U:hello", "A:hi"]


async def test_the_store_says_that_it_can_commit(place: Place) -> None:
    await place.store.check()
    await place.store.close()
    with pytest.raises(StoreError):
        await place.store.check()


# Backup -------------------------------------------------------------------------------------------


async def test_a_backup_does_not_overwrite_a_file(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("precious")
    with pytest.raises(StoreError) as caught:
        await place.store.backup(str(path))
    assert str(path) in caught.value.message
    assert path.read_text() == "precious"


async def test_a_backup_that_cannot_be_written_says_so_and_leaves_nothing(
    place: Place, tmp_path: Path
) -> None:
    with pytest.raises(StoreError):
        await place.store.backup(str(tmp_path / "no such directory" / "backup"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


async def test_many_sessions_at_once_lose_nothing(place: Place) -> None:
    async def one(key: str) -> None:
        for number in range(3):
            await place.admit(key, f"{number}")

    await asyncio.gather(*(one(f"key {number}") for number in range(30)))
    for _ in range(90):
        claim = await place.hands.claim()
        await place.store.append(claim, done(f"re {claim.turn.input[0].text}"))
    for number in range(30):
        assert await place.texts(f"key {number}") == [
            text for number in range(3) for text in (f"U:{number}", f"A:re {number}")
        ]
