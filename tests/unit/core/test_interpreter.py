import sys
from collections.abc import Iterator

import pytest

from nanobot.core.interpreter import SOON_S, USUAL_S, handed_over_soon


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL_S)
    yield
    sys.setswitchinterval(before)


def test_others_wait_less_for_the_interpreter_while_somebody_computes_for_long() -> None:
    with handed_over_soon():
        assert sys.getswitchinterval() == pytest.approx(SOON_S)
        with handed_over_soon():
            assert sys.getswitchinterval() == pytest.approx(SOON_S)
        assert sys.getswitchinterval() == pytest.approx(SOON_S)
    assert sys.getswitchinterval() == pytest.approx(USUAL_S)


def test_it_is_as_before_where_the_work_fails() -> None:
    with pytest.raises(ZeroDivisionError), handed_over_soon():
        raise ZeroDivisionError
    assert sys.getswitchinterval() == pytest.approx(USUAL_S)
