"""The order in which texts are shown that were found: the best first, and what is much like one that comes
before it later.
"""

import heapq
from collections.abc import Sequence

from nanobot.stores.sql import tokens

MOST_VARIED = 16
"""So many are compared with each other; those behind them are in order of what they are worth by then."""
_ALIKE_SHARE = 0.7
_ALIKE_WORTH = 0.6


def varied(found: Sequence[tuple[float, str]], most: int) -> list[int]:
    """Return the places of all texts, at least the first `most` in their order. Each is given with what it is
    worth, the best first, and as `tokens.folded` returns it.

    A text that is much like one that comes before it is worth less. That is found out only of those that are
    next: what it takes depends on how many are shown, not on how many were found.
    """
    worth = [each for each, _ in found]
    words: dict[int, frozenset[str]] = {}
    compared_with = [0] * len(found)
    chosen: list[int] = []

    def words_of(at: int) -> frozenset[str]:
        if at not in words:
            words[at] = frozenset(tokens.tokens_of(found[at][1]))
        return words[at]

    def compare(at: int) -> None:
        own = words_of(at)
        for other in map(words_of, chosen[compared_with[at] :]):
            if len(own & other) > _ALIKE_SHARE * min(len(own), len(other)):
                worth[at] *= _ALIKE_WORTH
        compared_with[at] = len(chosen)

    waiting = [(-each, at) for at, each in enumerate(worth)]
    heapq.heapify(waiting)
    while waiting and len(chosen) < min(most, MOST_VARIED):
        _, at = heapq.heappop(waiting)
        if compared_with[at] == len(chosen):
            chosen.append(at)
        else:
            # It may be worth less than others now, which were worth no more than it before.
            compare(at)
            heapq.heappush(waiting, (-worth[at], at))
    rest = sorted(at for _, at in waiting)
    if len(chosen) < most:
        for at in rest:
            compare(at)
        rest.sort(key=lambda at: -worth[at])
    return chosen + rest
