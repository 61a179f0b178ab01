"""What a long list means is found out beside the writer; it holds only while the session stands as it did."""

from collections.abc import Iterator

import pytest

from nanobot.core.message import Message, Text, user
from nanobot.core.store import Limits
from nanobot.core.turn import Identity, Turn
from nanobot.stores.sql import admission, planning, transcript
from nanobot.stores.sql.admission import Admitted, SessionMoved
from nanobot.stores.sql.planning import Foreseen
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.stores.sql.sent_list import SentList
from nanobot.testing import MemoryData

CAPACITY = Capacity("engine", max_running=10, history_tokens=1_000)
SENT = SentList((user("one"), Message("assistant", (Text("uno"),), "stop")))
TURN = Turn("turn_2", "a", (user("two"),), "api")


@pytest.fixture
def data() -> Iterator[MemoryData]:
    data = MemoryData()
    yield data
    data.close()


def foreseen(data: MemoryData) -> Foreseen:
    return planning.foresee(
        data.db, TURN, SENT, capacity=CAPACITY, recent=RecentPlaces(), left=frozenset[str]()
    )


def admit(
    data: MemoryData, turn: Turn, sent: SentList, known: Foreseen | None = None
) -> Admitted | SessionMoved:
    admitted = admission.admit(
        data.db,
        turn,
        Identity(turn.id.encode().ljust(32)),
        sent,
        limits=Limits(),
        capacity=CAPACITY,
        recent=RecentPlaces(),
        now=1.0,
        foreseen=known,
    )
    assert isinstance(admitted, Admitted | SessionMoved)
    return admitted


def rows(data: MemoryData) -> int:
    (count,) = data.db.execute(
        "SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM turn)"
    ).fetchone()
    return int(count)


def test_a_turn_is_admitted_as_it_was_foreseen(data: MemoryData) -> None:
    admitted = admit(data, TURN, SENT, foreseen(data))
    assert isinstance(admitted, Admitted) and admitted.admission.history == "imported"
    assert admitted.claim is not None and admitted.claim.history is not None
    assert [message.text for message in admitted.claim.history.messages] == ["one", "uno", "two"]


def test_nothing_is_written_where_the_session_was_made_meanwhile(data: MemoryData) -> None:
    known = foreseen(data)
    admit(data, Turn("turn_1", "a", (user("hello"),), "api"), SentList())
    before = rows(data)
    assert isinstance(admit(data, TURN, SENT, known), SessionMoved)
    assert rows(data) == before


def test_nothing_is_written_where_something_was_said_meanwhile(data: MemoryData) -> None:
    head = transcript.open_session(data.db, "a", 0)
    transcript.append(data.db, head, SENT.messages, turn=None, is_input=True, now=0)
    transcript.save_head(data.db, head)
    known = foreseen(data)
    assert known.note == "matched"
    transcript.append(data.db, head, [user("and more")], turn=None, is_input=True, now=0)
    transcript.save_head(data.db, head)
    before = rows(data)
    assert isinstance(admit(data, TURN, SENT, known), SessionMoved)
    assert rows(data) == before
    again = admit(data, TURN, SENT, foreseen(data))
    assert isinstance(again, Admitted) and again.admission.history == "rewound"


def test_no_session_is_made_where_that_of_the_list_was_deleted_meanwhile(data: MemoryData) -> None:
    head = transcript.open_session(data.db, "a", 0)
    transcript.append(data.db, head, SENT.messages, turn=None, is_input=True, now=0)
    transcript.save_head(data.db, head)
    known = foreseen(data)
    data.db.execute("DELETE FROM session WHERE id = ?", (head.session,))
    assert isinstance(admit(data, TURN, SENT, known), SessionMoved)
    assert transcript.find_head(data.db, "a") is None
