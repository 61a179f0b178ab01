"""A turn that is run with a scripted model."""

import pytest

from tests.unit.agent.turn_at_work import Work


@pytest.fixture
def work() -> Work:
    return Work()
