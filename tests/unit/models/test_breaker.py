"""When a model that fails is left alone, and when it is asked again."""

import pytest

from nanobot.core.errors import (
    ModelError,
    ModelMisconfigured,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelTimeout,
)
from nanobot.models.breaker import Breaker
from nanobot.testing import FakeClock


def fails(breaker: Breaker, error: ModelError | None = None) -> None:
    permit = breaker.enter()
    assert permit is not None
    breaker.failed(permit, error or ModelOverloaded("busy"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breaker(clock: FakeClock) -> Breaker:
    return Breaker(clock)


def test_it_opens_after_three_failures_in_a_row(breaker: Breaker) -> None:
    fails(breaker)
    fails(breaker)
    permit = breaker.enter()
    assert permit is not None
    breaker.answered(permit)
    fails(breaker)
    fails(breaker)
    assert breaker.rest_left_s == 0
    fails(breaker)
    assert (breaker.enter(), breaker.rest_left_s, breaker.code) == (None, 30, "model_overloaded")


@pytest.mark.parametrize(
    ("error", "rest_s"),
    [
        (ModelRateLimited("slow down"), 30),
        (ModelRateLimited("slow down", retry_after_s=90), 90),
        (ModelOverloaded("busy", retry_after_s=7), 7),
        (ModelRateLimited("come back tomorrow", retry_after_s=86_400), 3_600),
        (ModelRefusedKey("no"), 30),
        (ModelTimeout("nothing came"), 30),
        (ModelMisconfigured("no such model"), 30),
    ],
)
def test_one_failure_is_enough_where_the_next_request_would_fare_no_better(
    breaker: Breaker, error: ModelError, rest_s: float
) -> None:
    fails(breaker, error)
    assert (breaker.enter(), breaker.rest_left_s) == (None, rest_s)


def test_after_the_rest_one_request_probes_and_its_answer_closes_it(
    breaker: Breaker, clock: FakeClock
) -> None:
    fails(breaker, ModelRefusedKey("no"))
    clock.advance(30)
    probe = breaker.enter()
    assert probe is not None
    assert breaker.enter() is None
    breaker.answered(probe)
    assert breaker.enter() is not None
    assert breaker.enter() is not None


def test_others_need_not_wait_for_the_end_of_the_probes_answer(breaker: Breaker, clock: FakeClock) -> None:
    fails(breaker, ModelRefusedKey("no"))
    clock.advance(30)
    probe = breaker.enter()
    assert probe is not None
    breaker.speaks(probe)
    assert breaker.enter() is not None


def test_a_probe_that_was_broken_off_leaves_the_place_to_another(breaker: Breaker, clock: FakeClock) -> None:
    fails(breaker, ModelRefusedKey("no"))
    clock.advance(30)
    probe = breaker.enter()
    assert probe is not None
    breaker.leave(probe)
    assert breaker.enter() is not None


def test_each_probe_that_fails_doubles_the_rest_up_to_five_minutes(
    breaker: Breaker, clock: FakeClock
) -> None:
    fails(breaker, ModelRefusedKey("no"))
    rests = [breaker.rest_left_s]
    for _ in range(5):
        clock.advance(breaker.rest_left_s)
        fails(breaker)
        rests.append(breaker.rest_left_s)
    assert rests == [30, 60, 120, 240, 300, 300]


def test_the_answer_to_an_older_request_does_not_end_a_pause_that_the_provider_asked_for(
    breaker: Breaker,
) -> None:
    older, other = breaker.enter(), breaker.enter()
    assert older is not None and other is not None
    fails(breaker, ModelRateLimited("slow down", retry_after_s=60))
    breaker.answered(older)
    assert breaker.rest_left_s == 60
    breaker.failed(other, ModelOverloaded("busy"))
    assert breaker.rest_left_s == 60, "failures of one moment do not add up"


def test_an_older_request_may_lengthen_the_pause(breaker: Breaker) -> None:
    older = breaker.enter()
    assert older is not None
    fails(breaker, ModelRateLimited("slow down", retry_after_s=60))
    breaker.failed(older, ModelRateLimited("slow down", retry_after_s=90))
    assert breaker.rest_left_s == 90


def test_it_can_be_insisted_on_unless_the_provider_asked_for_the_pause(
    breaker: Breaker, clock: FakeClock
) -> None:
    assert breaker.insist() is not None
    fails(breaker, ModelRefusedKey("no"))
    permit = breaker.insist()
    assert permit is not None
    breaker.leave(permit)
    clock.advance(30)
    fails(breaker, ModelRateLimited("slow down", retry_after_s=60))
    assert breaker.insist() is None
    clock.advance(60)
    assert breaker.insist() is not None


def test_a_clock_that_was_set_back_does_not_make_the_rest_longer(breaker: Breaker, clock: FakeClock) -> None:
    fails(breaker, ModelRefusedKey("no"))
    clock.advance(-3_600)
    assert breaker.rest_left_s == 0
    assert breaker.enter() is not None
