"""Facts that have most in common with a text, among the few that a session reaches."""

import math
from collections.abc import Sequence

from nanobot.core.memory import MemoryFact
from nanobot.stores.sql import short_texts, topics
from nanobot.stores.sql.fusion import fused
from nanobot.stores.sql.terms import FUNCTION_SHARE, Term, single_characters, terms

_FEW = 8
_COMMON_SHARE = 0.3
_WEIGHT = 1.5
_TOPIC_SHARE = 1.0
_MOST_NEAR = 3
"""Something is always the nearest: where nobody asked, so many are told."""


def best(
    facts: Sequence[MemoryFact], text: str, limit: int, *, is_asked: bool, near: Sequence[MemoryFact] = ()
) -> tuple[MemoryFact, ...]:
    """Return up to `limit` of the facts, the best first; see `core.memory.Memory.search_facts`. `near`: those
    that are near the text in meaning, the best first.
    """
    texts = [short_texts.searchable(f"{fact.subject} {fact.text}") for fact in facts]
    most = len(facts) if is_asked else _common(len(facts))
    scores = _scores(texts, terms(text, FUNCTION_SHARE if is_asked else 0.0), most)
    if not any(scores):
        # Where pairs of characters bring nothing, single ones may.
        scores = _scores(texts, single_characters(text), _common(len(facts)))
    about = _scores(texts, topics.terms(text), _common(len(facts)))
    scores = [score + _TOPIC_SHARE * topic for score, topic in zip(scores, about, strict=True)]
    ranked = sorted(
        (at for at, score in enumerate(scores) if score),
        key=lambda at: (-scores[at], -facts[at].valid_from, facts[at].id),
    )
    by_words = [facts[at] for at in ranked]
    found = fused(by_words, near if is_asked else near[:_MOST_NEAR], lambda fact: fact.id, _WEIGHT)
    return tuple(found[:limit])


def _common(count: int) -> int:
    """Return how many facts may have a term that says something about one of so many."""
    return max(_FEW, int(_COMMON_SHARE * count))


def _scores(texts: Sequence[str], sought: Sequence[Term], most: int) -> list[float]:
    scores = [0.0] * len(texts)
    for term in sought:
        phrases = short_texts.phrases(term)
        having = [at for at, text in enumerate(texts) if any(phrase in text for phrase in phrases)]
        if not having or len(having) > most:
            continue
        says = term.weight * math.log(1 + (len(texts) + 1) / (len(having) + 0.5))
        for at in having:
            scores[at] += says
    return scores
