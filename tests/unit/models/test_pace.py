from hypothesis import given
from hypothesis import strategies as st

from nanobot.models import pace
from nanobot.models.pace import BURST_CHARS, CHARS_A_SECOND, CHARS_A_SECOND_TOGETHER, ReadingPace, SharedPace


def read(pieces: int, size: int, *, answers: int = 1, each_s: float = 0.0) -> float:
    """Return when the answers have been read that bring so many pieces, one every `each_s` at the most."""
    shared = SharedPace()
    paces = [ReadingPace(shared) for _ in range(answers)]
    at = [0.0] * answers
    for _ in range(pieces):
        for number, reading in enumerate(paces):
            at[number] = reading.count(size, at[number] + each_s)
    return max(at)


def test_what_comes_at_first_is_read_at_once() -> None:
    assert read(1, BURST_CHARS) == 0.0


def test_a_flood_is_read_at_the_pace_of_one() -> None:
    seconds = read(1_000, 10_000)
    assert 0.9 <= seconds * CHARS_A_SECOND / (10_000_000 - BURST_CHARS) <= 1.1


def test_many_floods_share_a_pace() -> None:
    seconds = read(100, 50_000, answers=20)
    assert 0.9 <= seconds * CHARS_A_SECOND_TOGETHER / (20 * (5_000_000 - BURST_CHARS)) <= 1.1


@given(tokens_a_second=st.integers(1, 4_900), tokens=st.integers(100, 20_000))
def test_a_model_that_writes_is_never_waited_with(tokens_a_second: int, tokens: int) -> None:
    reading = ReadingPace(SharedPace())
    for number in range(tokens // 100):
        now = number * 100 / tokens_a_second
        assert reading.count(100 * (pace.EVENT_CHARS + 6), now) == now


def test_one_flood_does_not_slow_an_answer_that_is_none() -> None:
    shared = SharedPace()
    flood, other = ReadingPace(shared), ReadingPace(shared)
    for _ in range(100):
        flood.count(100_000, 0.0)
    assert other.count(10_000, 1.0) == 1.0
