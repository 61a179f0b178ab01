"""A long list is taken in a piece in a transaction, and its session may be deleted between any two."""

from collections.abc import Iterator

import pytest

from nanobot.core.errors import SessionBusy
from nanobot.core.message import Message, Text, user
from nanobot.core.turn import Turn
from nanobot.stores.sql import catalogue, purging, taking_in, transcript
from nanobot.stores.sql.taking_in import Coming
from nanobot.stores.sql.turns import Plan
from nanobot.stores.sqlite import index
from nanobot.testing import MemoryData

SENT = (user("one"), Message("assistant", (Text("uno"),), "stop"), user("two"))
TURN = Turn("turn_1", "a", (user("and now?"),), "api")


@pytest.fixture
def data() -> Iterator[MemoryData]:
    data = MemoryData()
    yield data
    data.close()


def begun(data: MemoryData, *, is_made: bool) -> Coming:
    head = transcript.open_session(data.db, "a", 0)
    if not is_made:
        transcript.append(data.db, head, [user("hello")], turn=None, is_input=True, now=0)
        transcript.save_head(data.db, head)
    return taking_in.begin(data.db, head, Plan(TURN.input, SENT), "imported", is_made=is_made)


def delete(data: MemoryData, *, whole: bool) -> None:
    deleted = catalogue.delete(data.db, key="a")
    assert deleted.session is not None
    while whole and purging.purge_some(data.db, index, deleted.session):
        pass


@pytest.mark.parametrize("is_made", [True, False])
@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize("whole", [True, False])
def test_nothing_of_a_list_is_left_where_its_session_is_deleted_between_two_pieces(
    data: MemoryData, *, is_made: bool, pieces: int, whole: bool
) -> None:
    coming = begun(data, is_made=is_made)
    for message in SENT[:pieces]:
        coming = taking_in.add(data.db, coming, (message,), 0)
    delete(data, whole=whole)
    before = data.db.execute("SELECT count(*) FROM message").fetchone()
    with pytest.raises(SessionBusy, match="deleted while its messages were taken in"):
        taking_in.add(data.db, coming, SENT[pieces:], 0)
    assert data.db.execute("SELECT count(*) FROM message").fetchone() == before
    with pytest.raises(SessionBusy, match="deleted while its messages were taken in"):
        taking_in.finish(data.db, coming, trace=True)
    taking_in.leave(data.db, coming)
    assert not taking_in.purge_left(data.db, index)
