"""Facts: what stands after changes, rewinds and the end of a session, and who reaches it."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.accounts import PriceList
from nanobot.core.event import MessageAdded, TurnEnded
from nanobot.core.memory import Fact, FactSource, Layer, Reach
from nanobot.core.message import Message, Text, user
from nanobot.core.store import Limits
from nanobot.core.turn import Identity, Turn
from nanobot.stores.sql import admission, branches, facts, running
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.testing import MemoryData

KEY = "wx:dm:alice"
ALICE = (Reach("person", "wx:alice"),)
DONE = (MessageAdded(Message("assistant", (Text("ok"),), "stop")), TurnEnded("done"))
ENGINE = Capacity("ann", 2, lease_s=60.0)
_numbers = count(1)


@pytest.fixture
def db() -> Iterator[Db]:
    data = MemoryData()
    with data.db.transaction():
        yield data.db
    data.close()


def turn(db: Db) -> str:
    """Run a turn to its end; return its id."""
    number = next(_numbers)
    submitted = Turn(f"turn_{number}", KEY, (user(f"hello {number}"),), "api")
    admitted = admission.admit(
        db,
        submitted,
        Identity(number.to_bytes(32, "big")),
        (),
        limits=Limits(),
        capacity=ENGINE,
        recent=RecentPlaces(),
        now=0.0,
    )
    assert isinstance(admitted, admission.Admitted)
    assert admitted.claim is not None
    running.append(db, admitted.claim, DONE, ENGINE, 0.0, PriceList())
    return submitted.id


def fact(text: str, turn_id: str | None, layer: Layer = "person", owner: str = "wx:alice") -> Fact:
    number = next(_numbers)
    source = FactSource("user", KEY, turn_id, "wx:alice")
    return Fact(f"fact_{number}", layer, owner, "home", text, source, float(number))


def texts(db: Db, reach: tuple[Reach, ...] = ALICE) -> list[str]:
    return [one.text for one in facts.standing(db, reach, 100)]


def rewind(db: Db, to: int) -> None:
    facts.follow_tip(db, branches.rewind(db, key=KEY, to=to, now=0.0), to)


def moved(db: Db) -> None:
    """Two turns: Rome, then Berlin instead."""
    rome = fact("lives in Rome", turn(db))
    facts.add(db, rome)
    second = turn(db)
    berlin = facts.add(db, fact("moved to Berlin", second))
    assert facts.end(db, rome.id, ALICE, now=9.0, turn_id=second, by=berlin)


def test_a_fact_that_changed_is_superseded_and_a_rewind_restores_it(db: Db) -> None:
    moved(db)
    assert texts(db) == ["moved to Berlin"]
    rewind(db, 2)
    assert texts(db) == ["lives in Rome"]


def test_going_back_to_the_branch_that_was_left_takes_up_its_facts_again(db: Db) -> None:
    moved(db)
    rewind(db, 2)
    rewind(db, 4)
    assert texts(db) == ["moved to Berlin"]


def test_a_fact_out_of_reach_cannot_be_ended(db: Db) -> None:
    mine = fact("is allergic to nuts", None)
    facts.add(db, mine)
    for reach in (Reach("person", "wx:bob"), Reach("group", "wx:alice"), Reach("person", "wx:alice", True)):
        assert not facts.end(db, mine.id, (reach,), now=9.0, turn_id=None)
        assert texts(db, (reach,)) == []
    assert texts(db) == ["is allergic to nuts"]


def test_a_deleted_session_takes_its_own_facts_along_and_leaves_those_of_the_person(db: Db) -> None:
    first = turn(db)
    facts.add(db, fact("lives in Rome", first))
    facts.add(db, fact("speaks of a trip", first, "session", KEY))
    (session,) = db.execute("SELECT id FROM session WHERE key = ?", (KEY,)).fetchone()
    facts.forget_session(db, session, KEY)
    assert texts(db) == ["lives in Rome"]
    assert texts(db, (Reach("session", KEY),)) == []


@given(st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=6))
def test_wherever_a_session_is_rewound_to_exactly_one_home_stands(targets: list[int]) -> None:
    data = MemoryData()
    with data.db.transaction():
        db = data.db
        before: Fact | None = None
        for n in range(1, 6):
            id_ = turn(db)
            now = fact(f"home {n}", id_)
            number = facts.add(db, now)
            if before is not None:
                assert facts.end(db, before.id, ALICE, now=0.0, turn_id=id_, by=number)
            before = now
        for target in targets:
            rewind(db, 2 * target)
            assert texts(db) == [f"home {target}"]
    data.close()


def test_a_rewind_to_the_question_takes_back_what_its_turn_wrote(db: Db) -> None:
    moved(db)
    rewind(db, 3)
    assert texts(db) == ["lives in Rome"]
