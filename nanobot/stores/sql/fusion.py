"""Two rankings of the same things made one: by words, and by meaning."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")
_RANK = 10.0


def fused(
    by_words: Sequence[T], by_meaning: Sequence[T], key: Callable[[T], Hashable], weight: float
) -> Sequence[T]:
    """Return both as one: what comes early in either comes early, what is in both before it. `key`: by which
    a thing is known in both; `weight`: how much a place by meaning counts beside one by words.
    """
    if not by_meaning:
        return by_words
    worth: dict[Hashable, float] = {}
    of: dict[Hashable, T] = {}
    for found, counts in ((by_meaning, weight), (by_words, 1.0)):
        for place, each in enumerate(found):
            of.setdefault(key(each), each)
            worth[key(each)] = worth.get(key(each), 0.0) + counts / (_RANK + place)
    return sorted(of.values(), key=lambda each: -worth[key(each)])
