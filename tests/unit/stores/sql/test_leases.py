"""Two owners on one database: each runs its own turns, and takes over only what is no longer another's."""

from collections.abc import Iterator
from itertools import count

import msgspec
import pytest

from nanobot.core.accounts import PriceList
from nanobot.core.dispatch import Claim
from nanobot.core.errors import StaleAttempt
from nanobot.core.event import MessageAdded, TurnEnded
from nanobot.core.message import Message, Text, user
from nanobot.core.store import Limits
from nanobot.core.turn import Identity, Turn
from nanobot.stores.sql import admission, queue, running
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.stores.sql.sent_list import SentList
from nanobot.testing import MemoryData

DONE = (MessageAdded(Message("assistant", (Text("ok"),), "stop")), TurnEnded("done"))
ANN, BOB = Capacity("ann", 2, lease_s=60.0), Capacity("bob", 2, lease_s=60.0)
NOTHING = Capacity("nobody")
_numbers = count(1)


@pytest.fixture
def db() -> Iterator[Db]:
    data = MemoryData()
    with data.db.transaction():
        yield data.db
    data.close()


def admit(db: Db, key: str, capacity: Capacity, now: float = 0.0) -> Claim | None:
    number = next(_numbers)
    turn = Turn(f"turn_{number}", key, (user("hello"),), "api")
    identity = Identity(number.to_bytes(32, "big"))
    admitted = admission.admit(
        db, turn, identity, SentList(), limits=Limits(), capacity=capacity, recent=RecentPlaces(), now=now
    )
    assert isinstance(admitted, admission.Admitted)
    return admitted.claim


def started(db: Db, key: str, capacity: Capacity, now: float = 0.0) -> Claim:
    claim = admit(db, key, capacity, now)
    assert claim is not None
    return claim


def recover(db: Db, owner: str, now: float) -> None:
    running.recover(db, owner, 3, now, PriceList())


def test_each_owner_runs_as_many_turns_as_it_can_take_on(db: Db) -> None:
    claims = [admit(db, f"s{number}", capacity) for number, capacity in enumerate((ANN, ANN, ANN, BOB))]
    assert [claim is not None for claim in claims] == [True, True, False, True]


def test_a_session_runs_one_turn_at_a_time_whoever_runs_it(db: Db) -> None:
    claim = started(db, "a", ANN)
    assert admit(db, "a", BOB) is None
    assert queue.start_next(db, BOB, 1.0) == ()
    running.append(db, claim, DONE, NOTHING, 2.0, PriceList())
    assert len(queue.start_next(db, BOB, 3.0)) == 1


def test_an_owner_that_comes_back_takes_up_its_own_turns_and_leaves_the_others(db: Db) -> None:
    ann, bob = started(db, "a", ANN), started(db, "b", BOB)
    recover(db, "bob", 1.0)
    (again,) = queue.start_next(db, BOB, 1.0)
    assert (again.turn, again.attempt) == (bob.turn, 2)
    running.append(db, ann, DONE, NOTHING, 2.0, PriceList())


def test_a_turn_whose_lease_has_run_out_is_another_owners_and_the_first_is_fenced(db: Db) -> None:
    ann = started(db, "a", ANN, now=0.0)
    recover(db, "bob", 59.0)
    assert queue.start_next(db, BOB, 59.0) == ()
    recover(db, "bob", 61.0)
    (again,) = queue.start_next(db, BOB, 61.0)
    assert again.turn == ann.turn
    with pytest.raises(StaleAttempt):
        running.append(db, ann, DONE, NOTHING, 62.0, PriceList())
    running.append(db, again, DONE, NOTHING, 62.0, PriceList())


def test_a_lease_without_an_end_is_only_its_owners_to_take_back(db: Db) -> None:
    forever = msgspec.structs.replace(ANN, lease_s=None)
    started(db, "a", forever)
    recover(db, "bob", 1e12)
    assert queue.start_next(db, BOB, 1e12) == ()
    recover(db, "ann", 1e12)
    assert len(queue.start_next(db, BOB, 1e12)) == 1


def test_a_turn_that_is_given_back_waits_for_any_owner(db: Db) -> None:
    running.release(db, started(db, "a", ANN))
    (again,) = queue.start_next(db, BOB, 1.0)
    assert again.attempt == 2
