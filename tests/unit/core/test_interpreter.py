import sys
from collections.abc import Iterator

import pytest

from nanobot.core.interpreter import COMPUTING_S, MANY_JOBS_S, hand_over_after, handed_over_soon


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(MANY_JOBS_S)
    yield
    sys.setswitchinterval(before)


def test_others_wait_less_for_the_interpreter_while_somebody_computes_for_long() -> None:
    with handed_over_soon():
        assert sys.getswitchinterval() == pytest.approx(COMPUTING_S)
        with handed_over_soon():
            assert sys.getswitchinterval() == pytest.approx(COMPUTING_S)
        assert sys.getswitchinterval() == pytest.approx(COMPUTING_S)
    assert sys.getswitchinterval() == pytest.approx(MANY_JOBS_S)


def test_it_is_as_before_where_the_work_fails() -> None:
    with pytest.raises(ZeroDivisionError), handed_over_soon():
        raise ZeroDivisionError
    assert sys.getswitchinterval() == pytest.approx(MANY_JOBS_S)


def test_what_is_usual_may_change_meanwhile() -> None:
    with handed_over_soon():
        hand_over_after(0.001)
        assert sys.getswitchinterval() == pytest.approx(COMPUTING_S)
    assert sys.getswitchinterval() == pytest.approx(0.001)
