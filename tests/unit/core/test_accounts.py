import contextlib
import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.accounts import Price, PriceList, glob, matches, new_token
from nanobot.core.message import Usage
from nanobot.models.providers import PRICES, parse_name


def test_a_token_has_256_random_bits_in_43_characters_of_urls() -> None:
    assert new_token(random.Random(1)) == new_token(random.Random(1)) != new_token(random.Random(2))

    class Ones:
        def getrandbits(self, k: int, /) -> int:
            return (1 << k) - 1

    assert new_token(Ones()) == "nb-" + "_" * 42 + "P"


def test_a_price_is_dollars_for_a_million_tokens_and_cached_ones_cost_their_own() -> None:
    usage = Usage(prompt_tokens=1_000, completion_tokens=100, cached_tokens=400, reasoning_tokens=50)
    assert Price(2, 10, 0.5).cost(usage) == 600 * 2 + 400 * 0.5 + 100 * 10
    assert Price(2, 10).cost(usage) == 1_000 * 2 + 100 * 10
    assert Price(0.05, 0).cost(Usage(1)) == 1, "a fraction of a micro-dollar is not nothing"
    assert Price(0, 0).cost(usage) == 0


def test_a_tariff_knows_the_model_behind_a_name() -> None:
    tariff = PriceList({None: "openai:a", "fast": "echo"})
    assert [tariff.model(name) for name in (None, "fast", "gone")] == ["openai:a", "echo", "gone"]


def test_every_price_belongs_to_a_model_that_can_be_named() -> None:
    for name, price in PRICES.items():
        assert str(parse_name(name)) == name
        assert price.cached_input is None or price.cached_input <= price.input <= price.output


@pytest.mark.parametrize(
    ("pattern", "key", "does"),
    [
        ("wx:dm:*", "wx:dm:ann", True),
        ("wx:dm:*", "wx:dm:", True),
        ("wx:dm:*", "WX:DM:ann", False),
        ("*:ann", "wx:dm:ann", True),
        ("a?c", "abc", False),
        ("a?c", "a?c", True),
        ("[ab]", "a", False),
        ("a*", "a\nb", True),
        ("a.c", "abc", False),
    ],
)
def test_only_the_star_of_a_pattern_stands_for_anything_else(pattern: str, key: str, does: bool) -> None:
    assert matches(key, pattern) is does


@given(st.text(st.characters(exclude_characters="*"), min_size=1))
def test_a_pattern_without_a_star_means_one_key(key: str) -> None:
    assert matches(key, key)
    assert not matches(key + "x", key)


@pytest.mark.parametrize(
    ("session_key", "pattern", "is_meant"),
    [
        ("wx:dm:*", r"wx:dm:\*", True),
        ("wx:dm:bob", r"wx:dm:\*", False),
        ("wx:dm:bob", "wx:dm:*", True),
        ("a\\b", r"a\\b", True),
        ("a\\b", r"a\b", True),
        ("a\\*b", r"a\\\*b", True),
        ("a\\xb", r"a\\*b", True),
        ("a[b]", "a[b]", True),
        ("ab", "a[b]", False),
        ("ax", "a?", False),
    ],
)
def test_a_star_may_be_meant_as_it_is_written_in_the_door_and_in_the_store_alike(
    session_key: str, pattern: str, is_meant: bool
) -> None:
    assert matches(session_key, pattern) is is_meant
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        (found,) = db.execute("SELECT ? GLOB ?", (session_key, glob(pattern))).fetchone()
    assert bool(found) is is_meant
