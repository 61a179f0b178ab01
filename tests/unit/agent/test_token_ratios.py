"""How models count tokens is learned from what they counted: steadily, and never from nonsense."""

import random
from itertools import pairwise

import pytest

from nanobot.agent.token_ratios import LEAST, MOST, TokenRatios
from nanobot.core.message import Image, Message, Text, Usage, estimate_tokens, user
from nanobot.core.model import ModelRequest

LONG = (user("x" * 40_000), Message("assistant", (Text("y" * 40_000),)), user("and now?"))
SIZE = sum(map(estimate_tokens, LONG))
SHORT = (user("x" * 400),)


def request(messages: tuple[Message, ...] = LONG) -> ModelRequest:
    return ModelRequest("", messages)


def learned(ratios: TokenRatios, model: str, *counted: float, fixed: int = 100) -> list[float]:
    """Return what is used after each count, of so many tokens for one estimated."""
    used = []
    for ratio in counted:
        ratios.learn(model, request(), lambda _: fixed, Usage(int(ratio * SIZE) + fixed, 1))
        used.append(ratios.of(model))
    return used


def test_until_enough_is_known_the_estimate_holds() -> None:
    assert set(learned(TokenRatios(), "m", *[1.5] * 7)) == {1.0}


def test_what_a_model_counts_is_learned_of_that_model_alone() -> None:
    ratios = TokenRatios()
    assert learned(ratios, "m", *[1.5] * 8)[-1] == 1.5
    assert ratios.of("other") == 1.0


def test_it_is_kept_within_bounds() -> None:
    ratios = TokenRatios()
    assert learned(ratios, "many", *[3.5] * 10)[-1] == MOST
    assert learned(ratios, "few", *[0.4] * 10)[-1] == LEAST


def test_a_few_odd_counts_change_nothing() -> None:
    assert set(learned(TokenRatios(), "m", *([1.0, 1.0, 3.0, 1.0, 0.4] * 20))) == {1.0}


def test_it_does_not_waver_with_what_is_counted() -> None:
    chance = random.Random(3)
    counts = [chance.uniform(1.1, 1.4) for _ in range(2_000)]
    used = learned(TokenRatios(), "m", *counts)
    changes = sum(one != other for one, other in pairwise(used))
    assert changes == 1
    assert used[-1] == 1.25


def test_it_follows_where_a_model_comes_to_count_otherwise() -> None:
    ratios = TokenRatios()
    learned(ratios, "m", *[1.0] * 40)
    assert learned(ratios, "m", *[1.5] * 1_000)[-1] == 1.5


@pytest.mark.parametrize(
    ("messages", "usage"),
    [
        (LONG, None),
        (LONG, Usage()),
        (LONG, Usage(1, 1)),
        (LONG, Usage(100 * SIZE, 1)),
        (SHORT, Usage(150, 1)),
        ((*LONG, Message("user", (Image("data:x"),))), Usage(2 * SIZE, 1)),
    ],
)
def test_what_says_nothing_about_the_history_is_not_learned_from(
    messages: tuple[Message, ...], usage: Usage | None
) -> None:
    ratios = TokenRatios()
    for _ in range(50):
        ratios.learn("m", request(messages), lambda _: 10, usage)
    assert ratios.of("m") == 1.0


def test_where_instructions_and_tools_are_most_of_a_request_nothing_is_learned() -> None:
    assert learned(TokenRatios(), "m", *[1.8] * 20, fixed=SIZE)[-1] == 1.0
