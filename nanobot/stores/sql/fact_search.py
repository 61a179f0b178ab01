"""Facts that have most in common with a text, among the few that a session reaches."""

import math
from collections.abc import Sequence
from functools import lru_cache

from nanobot.core.memory import MemoryFact
from nanobot.stores.sql import tokens
from nanobot.stores.sql.terms import Term, single_characters, terms
from nanobot.stores.sql.tokens import Phrase

_FEW = 8
_COMMON_SHARE = 0.3
_RANK = 10.0
_WEIGHT = 1.5
_MOST_NEAR = 3
"""Something is always the nearest: where nobody asked, so many are told."""


def best(
    facts: Sequence[MemoryFact], text: str, limit: int, *, is_asked: bool, near: Sequence[MemoryFact] = ()
) -> tuple[MemoryFact, ...]:
    """Return up to `limit` of the facts, the best first; see `core.memory.Memory.search_facts`. `near`: those
    that are near the text in meaning, the best first.
    """
    texts = [_tokens(fact.subject, fact.text) for fact in facts]
    scores = _scores(texts, terms(text), len(facts) if is_asked else _common(len(facts)))
    if not any(scores):
        # Where pairs of characters bring nothing, single ones may.
        scores = _scores(texts, single_characters(text), _common(len(facts)))
    ranked = sorted(
        (at for at, score in enumerate(scores) if score),
        key=lambda at: (-scores[at], -facts[at].valid_from, facts[at].id),
    )
    by_words = [facts[at] for at in ranked]
    return tuple(_fused(by_words, near if is_asked else near[:_MOST_NEAR])[:limit])


def _fused(by_words: Sequence[MemoryFact], near: Sequence[MemoryFact]) -> Sequence[MemoryFact]:
    """Return both lists as one: what comes early in either comes early, what is in both before it."""
    if not near:
        return by_words
    worth: dict[str, float] = {}
    of: dict[str, MemoryFact] = {}
    for found, counts in ((near, _WEIGHT), (by_words, 1.0)):
        for place, fact in enumerate(found):
            of[fact.id] = fact
            worth[fact.id] = worth.get(fact.id, 0.0) + counts / (_RANK + place)
    return sorted(of.values(), key=lambda fact: -worth[fact.id])


def _common(count: int) -> int:
    """Return how many facts may have a term that says something about one of so many."""
    return max(_FEW, int(_COMMON_SHARE * count))


def _scores(texts: Sequence[str], sought: Sequence[Term], most: int) -> list[float]:
    scores = [0.0] * len(texts)
    for term in sought:
        phrases = [_as_text(phrase) for phrase in term.phrases]
        having = [at for at, text in enumerate(texts) if any(phrase in text for phrase in phrases)]
        if not having or len(having) > most:
            continue
        says = term.weight * math.log(1 + (len(texts) + 1) / (len(having) + 0.5))
        for at in having:
            scores[at] += says
    return scores


def _as_text(phrase: Phrase) -> str:
    """Return what stands in `_tokens` of each fact that has the phrase."""
    return f" {' '.join(phrase.tokens)}{'' if phrase.is_open else ' '}"


@lru_cache(maxsize=4_096)
def _tokens(subject: str, text: str) -> str:
    return f" {tokens.indexed(f'{subject} {text}')} "
