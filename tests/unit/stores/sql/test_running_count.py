"""How many turns an owner runs is counted once, and kept in step with what is written to the rows."""

import contextlib
from collections.abc import Iterator
from itertools import count
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.accounts import PriceList
from nanobot.core.dispatch import Claim
from nanobot.core.errors import StaleAttempt
from nanobot.core.event import MessageAdded, TurnEnded
from nanobot.core.message import Message, Text, user
from nanobot.core.store import Limits
from nanobot.core.turn import Identity, Turn
from nanobot.stores.sql import admission, catalogue, queue, running
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.stores.sql.sent_list import SentList
from nanobot.stores.sqlite.connection import Connection
from nanobot.testing import MemoryData

DONE = (MessageAdded(Message("assistant", (Text("ok"),), "stop")), TurnEnded("done"))
OWN = Capacity("local", 3)
Action = Literal["ask", "end", "release", "delete", "restart", "cancel"]
ACTIONS: st.SearchStrategy[list[tuple[Action, int]]] = st.lists(
    st.tuples(
        st.sampled_from(("ask", "ask", "ask", "end", "end", "release", "delete", "restart", "cancel")),
        st.integers(0, 7),
    ),
    max_size=30,
)
_numbers = count(1)


@pytest.fixture
def data() -> Iterator[MemoryData]:
    data = MemoryData()
    yield data
    data.close()


class _Undone(Exception):
    """Lets a transaction fail."""


class Server:
    """What a process does with its database, and the claims that it has."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        self.claims: list[Claim] = []

    def do(self, action: Action, at: int) -> None:
        now = float(next(_numbers))
        claim = (
            self.claims.pop(at % len(self.claims)) if self.claims and action in ("end", "release") else None
        )
        if action == "ask":
            self._ask(f"s{at}", now)
        elif action == "end" and claim is not None:
            with contextlib.suppress(StaleAttempt):
                applied = running.append(self.db, claim, DONE, OWN, now, PriceList())
                self.claims += applied.claims
        elif action == "release" and claim is not None:
            with contextlib.suppress(StaleAttempt):
                running.release(self.db, claim)
        elif (
            action == "delete"
            and self.db.execute("SELECT 1 FROM session WHERE key = ?", (f"s{at}",)).fetchone()
        ):
            catalogue.delete(self.db, key=f"s{at}")
            self.claims += queue.start_next(self.db, OWN, now)
        elif action == "restart":
            self.claims.clear()
            running.recover(self.db, OWN.owner, 3, now, PriceList())
            self.claims += queue.start_next(self.db, OWN, now)
        elif action == "cancel":
            for (id_,) in self.db.execute("SELECT id FROM turn WHERE status = 'queued' LIMIT 1").fetchall():
                queue.cancel_waiting(self.db, id_, TurnEnded("cancelled"), now)

    def _ask(self, key: str, now: float) -> None:
        number = next(_numbers)
        admitted = admission.admit(
            self.db,
            Turn(f"turn_{number}", key, (user(f"hello {number}"),), "api"),
            Identity(number.to_bytes(32, "big")),
            SentList(),
            limits=Limits(),
            capacity=OWN,
            recent=RecentPlaces(),
            now=now,
        )
        assert isinstance(admitted, admission.Admitted)
        self.claims += () if admitted.claim is None else (admitted.claim,)

    def check(self) -> None:
        (rows,) = self.db.execute("SELECT count(*) FROM dispatch WHERE owner = 'local'").fetchone()
        assert queue.count_running(self.db, OWN.owner) == rows <= OWN.max_running


def counted(db: Db) -> int:
    return queue.count_running(db, OWN.owner)


@given(actions=ACTIONS)
def test_whatever_happens_the_count_is_what_the_rows_say(actions: list[tuple[Action, int]]) -> None:
    data = MemoryData()
    server = Server(data.db)
    with data.db.transaction():
        for action, at in actions:
            server.do(action, at)
            server.check()
    data.close()


def test_what_is_rolled_back_is_not_counted(data: MemoryData) -> None:
    server = Server(data.db)
    with data.db.transaction():
        server.do("ask", 1)
    assert counted(data.db) == 1
    with contextlib.suppress(_Undone), data.db.transaction():
        server.do("ask", 2)
        assert counted(data.db) == 2
        raise _Undone
    assert counted(data.db) == 1
    server.check()
