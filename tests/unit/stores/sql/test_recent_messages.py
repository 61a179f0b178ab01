"""Which messages are kept in memory from turn to turn."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.message import user
from nanobot.stores.sql.recent_messages import FEWEST, Kept, RecentMessages

ALICE, BOB, CAROL = 1, 2, 3
MANY = 2 * FEWEST


def talk(first: int, count: int, size_bytes: int = 10) -> Sequence[Kept]:
    """Messages whose ends are ten times their numbers."""
    return [(user(str(number)), 10 * number, size_bytes) for number in range(first, first + count)]


def kept(first: int = 1, count: int = MANY, most_bytes: int = 1 << 20) -> RecentMessages:
    recent = RecentMessages(most_bytes)
    recent.keep(ALICE, range(first, first + count), talk(first, count))
    return recent


def test_what_was_kept_is_known_up_to_what_was_said_since() -> None:
    recent = kept(first=5)
    assert recent.known(ALICE, 5, MANY + 6) == talk(5, MANY)
    assert recent.known(ALICE, 9, 11) == talk(9, 3)


def test_nothing_is_known_of_a_stretch_that_begins_before_what_was_kept() -> None:
    assert recent_known(kept(first=5), 4) == ()


def recent_known(recent: RecentMessages, first: int) -> Sequence[Kept]:
    return recent.known(ALICE, first, MANY)


def test_nothing_of_one_session_is_known_of_another() -> None:
    recent = kept()
    assert recent.known(BOB, 1, MANY) == ()
    assert recent.last_within(BOB, 1, MANY, 50) is None


def test_of_the_message_before_the_first_one_the_end_alone_is_known() -> None:
    recent = RecentMessages(1 << 20)
    recent.keep(ALICE, range(4, 4 + MANY), [(None, 40, 0), *talk(5, MANY - 1)])
    assert recent.last_within(ALICE, 1, MANY, 45) == (4, 40)
    assert recent.known(ALICE, 4, MANY) == ()
    assert recent.known(ALICE, 5, MANY) == talk(5, MANY - 4)


@given(st.integers(1, 9), st.integers(0, 900), st.integers(0, 5))
def test_the_last_message_within_so_much_is_found_or_is_not_known(first: int, tokens: int, new: int) -> None:
    recent = kept(first=3)
    last = 2 + MANY + new
    true = max((number for number in range(first, last + 1) if 10 * number <= tokens), default=None)
    found = recent.last_within(ALICE, first, last, tokens)
    if found is not None:
        assert found == (true, 10 * found[0])
    elif true is not None:
        assert true < 3 or true >= 2 + MANY


def test_short_conversations_are_not_kept() -> None:
    assert kept(count=FEWEST - 1).size_bytes == 0


def test_no_more_is_kept_than_may_be_and_what_was_used_last_stays() -> None:
    recent = RecentMessages(40 * 10 * MANY)
    for session in range(1, 200):
        recent.keep(session, range(1, MANY + 1), talk(1, MANY))
        assert recent.size_bytes <= 40 * 10 * MANY
    assert recent.known(199, 1, MANY) and recent.known(160, 1, MANY)
    assert not recent.known(159, 1, MANY)


def test_a_conversation_that_would_take_the_place_of_many_is_not_kept() -> None:
    recent = kept(most_bytes=15 * 10 * MANY)
    assert recent.size_bytes == 0
    assert recent.known(ALICE, 1, MANY) == ()


def test_what_is_forgotten_takes_no_room() -> None:
    recent = kept()
    recent.keep(BOB, range(1, MANY + 1), talk(1, MANY))
    recent.forget(ALICE)
    recent.forget(CAROL)
    assert recent.known(ALICE, 1, MANY) == ()
    assert recent.size_bytes == 10 * MANY
    recent.clear()
    assert recent.size_bytes == 0 and recent.known(BOB, 1, MANY) == ()
