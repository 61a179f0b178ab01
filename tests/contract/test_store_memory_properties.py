"""Memory: what holds for whatever is written, rewound and forgotten, in any order."""

import contextlib
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanobot.core.clock import Clock
from nanobot.core.errors import FactNotFound, MessageNotFound, NanobotError, NotAllowed, SessionNotFound
from nanobot.core.memory import MemoryFact
from nanobot.core.message import user
from nanobot.core.scopes import DEFAULT_RULES, Layer
from nanobot.core.store import Limits, Store
from nanobot.stores.sql import facts
from nanobot.testing import MemoryData, open_memory_store
from tests.contract.remembered import (
    ALICE,
    ALICE_IN_G,
    BOB,
    BOB_IN_G,
    CAROL_IN_H,
    given_to_turn,
    remember,
    texts,
    with_history,
)
from tests.contract.store_harness import StoreHarness, done, said


async def in_memory() -> tuple[MemoryData, StoreHarness]:
    data = MemoryData()

    async def open_(directory: Path, clock: Clock, limits: Limits) -> Store:
        return await open_memory_store(data, clock, limits)

    harness = StoreHarness(open_, Path(), Limits())
    await harness.open()
    return data, harness


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=6))
async def test_wherever_a_session_is_rewound_to_the_home_of_then_stands_alone(targets: list[int]) -> None:
    data, harness = await in_memory()
    fact: MemoryFact | None = None
    for number in range(1, 6):
        claim = await harness.say(ALICE, f"move {number}", "ok")
        replaces = fact.id if fact is not None else None
        fact = await remember(harness, ALICE, f"home {number}", turn_id=claim.turn.id, replaces=replaces)
    for target in targets:
        await harness.store.rewind_session(ALICE, 2 * target)
        assert await texts(harness, ALICE) == [f"home {target}"]
    await harness.close()
    data.close()


_STEPS = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 3)),
    st.tuples(st.just("replace"), st.integers(0, 3)),
    st.tuples(st.just("rewind"), st.integers(1, 8)),
    st.tuples(st.just("forget"), st.integers(0, 3)),
    st.tuples(st.just("by hand"), st.integers(0, 3)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_STEPS, max_size=14))
async def test_of_each_fact_at_most_one_version_stands_and_it_is_the_newest_that_is_not_undone(
    steps: list[tuple[str, int]],
) -> None:
    data, harness = await in_memory()
    names = ["home", "work", "pet", "tea"]
    for at, (step, number) in enumerate(steps):
        name = names[number % 4]
        try:
            if step in ("say", "replace"):
                claim = await harness.say(ALICE, f"step {at}", "ok")
                replaces = name if step == "replace" else None
                text = f"{name} {at}"
                await remember(harness, ALICE, text, turn_id=claim.turn.id, replaces=replaces)
            elif step == "rewind":
                await harness.store.rewind_session(ALICE, number)
            elif step == "by hand":
                await remember(harness, ALICE, f"{name} {at}", origin="user", replaces=name)
            else:
                await harness.store.forget(ALICE, name)
        except (FactNotFound, MessageNotFound, SessionNotFound):
            # The step has nothing to act on.
            pass
        rows = data.db.execute("SELECT id, n, is_undone, stands FROM fact ORDER BY n").fetchall()
        for id_ in {row[0] for row in rows}:
            live = [n for found, n, is_undone, _ in rows if found == id_ and not is_undone]
            stand = [n for found, n, _, stands in rows if found == id_ and stands]
            assert stand == live[-1:]
    await harness.close()
    data.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([ALICE, BOB, ALICE_IN_G, BOB_IN_G, CAROL_IN_H, "plain", "wx:dm:a:b"]),
            st.sampled_from([None, "person", "group", "session"]),
            st.booleans(),
        ),
        max_size=12,
    )
)
async def test_whatever_is_written_where_nobody_reads_what_is_not_in_reach(
    written: list[tuple[str, Layer | None, bool]],
) -> None:
    data, harness = await in_memory()
    keys = [ALICE, BOB, ALICE_IN_G, BOB_IN_G, CAROL_IN_H, "plain", "wx:dm:a:b"]
    for at, (key, layer, is_public) in enumerate(written):
        try:
            await remember(harness, key, f"secret {at}", layer=layer, is_public=is_public)
        except NotAllowed:
            assert layer == ("person" if ":group:" in key else "group")
    for key in keys:
        for fact in (await harness.store.facts(key, limit=100)).facts:
            writer, _, _ = written[int(fact.text.split()[1])]
            if fact.layer == "person":
                assert key.rpartition(":")[2] == writer.rpartition(":")[2]
                assert ":group:" not in key or fact.is_public
            elif fact.layer == "group":
                assert key.split(":")[:3] == writer.split(":")[:3]
            else:
                assert key == writer
        seen = sorted(fact.text for fact in (await harness.store.facts(key, limit=100)).facts)
        assert await given_to_turn(harness, key) == seen
    await harness.close()
    data.close()


_KEYS = (ALICE, BOB, ALICE_IN_G, BOB_IN_G, "tg:dm:42", "tg:group:h:user:42", "plain")
_DOINGS = st.tuples(
    st.sampled_from(
        [
            "turn",
            "fact",
            "fact of a turn",
            "link",
            "unlink",
            "forget",
            "rewind",
            "edit",
            "delete",
            "erase",
            "fork",
        ]
    ),
    st.sampled_from(_KEYS),
    st.sampled_from(_KEYS),
    st.sampled_from([None, "person", "group", "session"]),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_DOINGS, max_size=16))
async def test_a_turn_is_given_the_facts_that_its_session_reaches_whatever_became_of_them(
    doings: list[tuple[str, str, str, Layer | None, bool]],
) -> None:
    data, harness = await in_memory()
    await with_history(harness)
    for at, (doing, key, other, layer, flag) in enumerate(doings):
        harness.clock.advance(1)
        # What cannot be done is refused, and changes nothing.
        with contextlib.suppress(NanobotError):
            await _do(harness, doing, key, other, layer, at=at, flag=flag)
        for each in _KEYS:
            if each in (key, other) or at == len(doings) - 1:
                claim = await harness.start(each, f"question {at}")
                assert claim.history is not None
                assert claim.history.known == facts.known(data.db, each, harness.limits.memory)
                await harness.store.append(claim, done("ok"))
    await harness.close()
    data.close()


async def _do(
    harness: StoreHarness, doing: str, key: str, other: str, layer: Layer | None, *, at: int, flag: bool
) -> None:
    store = harness.store
    if doing == "turn":
        await harness.say(key, f"say {at}", "ok")
    elif doing == "fact":
        await remember(harness, key, f"fact {at}", layer=layer, is_public=flag, is_pinned=flag)
    elif doing == "fact of a turn":
        claim = await harness.say(key, f"say {at}", "ok")
        await remember(harness, key, f"fact {at}", layer=layer, turn_id=claim.turn.id, is_public=flag)
    elif doing == "link":
        await store.link_people(DEFAULT_RULES.of(key).person, DEFAULT_RULES.of(other).person)
    elif doing == "unlink":
        await store.unlink_name(DEFAULT_RULES.of(key).person)
    elif doing == "forget":
        (fact,) = (await store.facts(key, limit=1)).facts or (None,)
        if fact is not None:
            await store.forget(key, fact.id)
    elif doing == "rewind":
        await store.rewind_session(key, 2 if flag else 4)
    elif doing == "edit":
        await harness.say(key, f"edited {at}", "ok", earlier=(user(f"said before {at}"), said("hm")))
    elif doing == "delete":
        await store.delete_session(key)
    elif doing == "erase":
        await store.erase_person(DEFAULT_RULES.of(key).person)
    elif doing == "fork":
        await store.fork_session(key, f"{other}" if flag else f"wx:dm:forked{at}")


def test_a_fact_that_is_stored_says_nothing_of_the_turn_that_a_later_reader_could_see() -> None:
    fact = MemoryFact("mem_1", "person", "wx:alice", "likes tea", "user", 1.0)
    assert b"turn_id" not in msgspec.json.encode(fact)
