"""What is much like what comes before it comes later, and only what is next is looked at."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.stores.sql import tokens, varied

_TEXTS = st.lists(
    st.tuples(
        st.floats(0.1, 9.0),
        st.lists(st.sampled_from(["tea", "cup", "pot", "sea", "sky"]), min_size=0, max_size=4).map(" ".join),
    ),
    max_size=24,
).map(lambda found: sorted(found, key=lambda each: -each[0]))


def each_with_each(found: list[tuple[float, str]]) -> list[int]:
    """Return the order by comparing all that are left with each that is chosen."""
    worth = {at: each for at, (each, _) in enumerate(found)}
    words = [frozenset(tokens.tokens_of(text)) for _, text in found]
    order: list[int] = []
    while worth and len(order) < varied.MOST_VARIED:
        at = max(worth, key=lambda at: worth[at])
        del worth[at]
        order.append(at)
        for other in worth:
            if len(words[at] & words[other]) > 0.7 * min(len(words[at]), len(words[other])):
                worth[other] *= 0.6
    return order + sorted(worth, key=lambda at: -worth[at])


@settings(deadline=None)
@given(_TEXTS, st.integers(0, 30))
def test_the_order_is_that_of_comparing_each_with_each(found: list[tuple[float, str]], most: int) -> None:
    order = varied.varied(found, most)
    assert order[:most] == each_with_each(found)[:most]
    assert sorted(order) == list(range(len(found)))


def test_what_is_not_shown_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that has words in common with many others cost as much as all turns of a short one."""
    looked_at: list[str] = []
    tokens_of = tokens.tokens_of

    def noting(text: str) -> list[str]:
        looked_at.append(text)
        return tokens_of(text)

    monkeypatch.setattr(tokens, "tokens_of", noting)
    found = [(50.0 - number, f"word{number} and number{number}") for number in range(50)]
    assert varied.varied(found, 8)[:8] == list(range(8))
    assert len(looked_at) <= 9
