"""The newest messages of a transcript, some of which are kept in memory."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanobot.core.dispatch import History
from nanobot.core.errors import StoreError
from nanobot.core.message import Image, Message, Text, user
from nanobot.stores.sql import catalogue, moves, transcript
from nanobot.stores.sql.recent_messages import FEWEST, MOST_BYTES, RecentMessages
from nanobot.stores.sql.transcript import TranscriptHead
from nanobot.stores.sql.window import newest_messages
from nanobot.stores.sqlite.connection import Connection
from nanobot.testing import MemoryData

MANY = 3 * FEWEST
ANSWER = Message("assistant", (Text("yes"),), "stop")


@pytest.fixture
def db() -> Iterator[Connection]:
    data = MemoryData()
    yield data.db
    data.close()


def say(db: Connection, head: TranscriptHead, count: int) -> None:
    messages = [user(f"{head.last_seq} {'word ' * (number % 7)}") for number in range(count)]
    transcript.append(db, head, messages, turn=None, is_input=True, now=0)
    transcript.save_head(db, head)


def session(db: Connection, key: str = "a", count: int = MANY) -> TranscriptHead:
    head = transcript.open_session(db, key, 0)
    say(db, head, count)
    return head


def seen(db: Connection, head: TranscriptHead, left_out_tokens: int = 0) -> History:
    history = newest_messages(db, head, left_out_tokens)
    assert history is not None
    return history


def read_anew(db: Connection, head: TranscriptHead, left_out_tokens: int) -> History:
    kept, db.recent = db.recent, RecentMessages()
    try:
        return seen(db, head, left_out_tokens)
    finally:
        db.recent = kept


def test_what_was_seen_the_last_time_is_not_read_again(db: Connection) -> None:
    head = session(db)
    first = seen(db, head, 100)
    say(db, head, 2)
    second = seen(db, head, 100)
    assert len(second.messages) == len(first.messages) + 2
    assert all(one is other for one, other in zip(first.messages, second.messages, strict=False))


def test_what_is_kept_of_a_session_is_gone_with_it(db: Connection) -> None:
    for key in ("a", "b"):
        seen(db, session(db, key))
    whole = db.recent.size_bytes
    assert whole > 0
    catalogue.delete(db, key="a")
    assert db.recent.size_bytes == whole // 2
    catalogue.delete(db, key="b")
    assert db.recent.size_bytes == 0


def test_what_was_rolled_back_is_not_kept(db: Connection) -> None:
    head = session(db)
    with pytest.raises(StoreError), db.transaction():
        say(db, head, 2)
        seen(db, head)
        raise StoreError("the disk is full")
    head = transcript.head_of(db, "a")
    transcript.append(db, head, [ANSWER, ANSWER], turn=None, is_input=True, now=0)
    assert seen(db, head).messages[-2:] == (ANSWER, ANSWER)


def test_pictures_are_not_kept(db: Connection) -> None:
    head = session(db)
    picture = Message("user", (Image("data:image/png;base64," + "A" * (MOST_BYTES // 8)),))
    transcript.append(db, head, [picture], turn=None, is_input=True, now=0)
    assert seen(db, head).messages[-1] == picture
    assert db.recent.size_bytes == 0


Step = Callable[[Connection, TranscriptHead, int], None]


def rewind(db: Connection, head: TranscriptHead, number: int) -> None:
    transcript.move_tip(db, head, number % head.last_seq)
    transcript.save_head(db, head)


def take_out(db: Connection, head: TranscriptHead, number: int) -> None:
    first = 1 + number % head.last_seq
    moves.take_out(db, head, (first, min(first + 1, head.last_seq)))
    transcript.save_head(db, head)


def speak(db: Connection, head: TranscriptHead, number: int) -> None:
    say(db, head, 1 + number % 30)


STEPS: tuple[Step, ...] = (speak, speak, rewind, take_out)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 1_000), st.integers(0, 1_500)),
        min_size=1,
        max_size=12,
    )
)
def test_what_is_seen_does_not_depend_on_what_is_kept(steps: list[tuple[Step, int, int]]) -> None:
    data = MemoryData()
    try:
        head = session(data.db)
        for step, number, left_out_tokens in steps:
            step(data.db, head, number)
            expected = read_anew(data.db, head, left_out_tokens)
            assert seen(data.db, head, left_out_tokens) == expected
            # And with what is kept by then.
            assert seen(data.db, head, left_out_tokens) == expected
    finally:
        data.close()
