"""Shares: while several payers ask, each has a few jobs under way; one alone has all."""

from nanobot.core.payer import PayerShares


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shares(clock: Clock) -> PayerShares[str]:
    return PayerShares(2, clock)


def test_a_payer_who_asks_alone_has_everything_let_through() -> None:
    of = shares(Clock())
    assert all(of.take("a", f"a{number}") for number in range(100))
    assert not of.is_shared


def test_while_others_ask_more_than_a_few_jobs_of_one_are_kept_back_in_their_order() -> None:
    of = shares(Clock())
    assert of.take("b", "b1")
    assert [of.take("a", f"a{number}") for number in range(5)] == [True, True, False, False, False]
    assert of.take("b", "b2")
    assert of.keeps("a")
    assert not of.keeps("b")
    assert of.give_back("b") == []
    assert of.give_back("a") == ["a2"]
    assert of.give_back("a") == ["a3"]
    assert of.give_back("a") == ["a4"]
    assert not of.keeps("a")
    assert of.give_back("a") == []
    assert of.give_back("a") == []
    assert of.take("a", "a5")


def test_what_is_kept_back_goes_through_once_the_others_have_been_silent() -> None:
    clock = Clock()
    of = shares(clock)
    of.take("b", "b1")
    assert [of.take("a", f"a{number}") for number in range(5)] == [True, True, False, False, False]
    clock.now += 10
    assert not of.take("a", "a5")
    assert not of.is_shared
    assert of.give_back("a") == ["a2", "a3", "a4", "a5"]


def test_a_payer_who_asked_a_second_ago_is_one_of_those_who_ask() -> None:
    clock = Clock()
    of = shares(clock)
    of.take("b", "b1")
    clock.now += 1.1
    of.take("a", "a1")
    assert of.is_shared
    clock.now += 1.1
    of.take("a", "a2")
    assert not of.is_shared


def test_everything_is_let_through_at_the_end() -> None:
    of = shares(Clock())
    of.take("b", "b1")
    for number in range(4):
        of.take("a", f"a{number}")
    assert of.let_through() == ["a2", "a3"]
    assert [of.give_back("a") for _ in range(4)] == [[]] * 4
