"""What a message asks a search for: terms, any of which may be found, by how much each says."""

import math
from itertools import pairwise

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.stores.sql import tokens
from nanobot.stores.sql.tokens import Phrase

MOST_TERMS = 40
_MOST_CHARACTERS = 1_000
_STEM_SHARE = 0.7
_ARABIC = LatePattern("^[\u0621-\u064a]{3,}$")
_ARABIC_PREFIX = LatePattern("^(?:[وف]?(?:[بك]?ال|لل)|[وفبلك](?=.{3}))")
_ARABIC_PREFIXES = ("", "ال", "وال", "بال", "لل", "و", "ب", "ل")
_SHORTEST_ARABIC = 3


class Term(msgspec.Struct, frozen=True):
    """Something to look for: one of the `phrases`. `weight`: how much it counts beside others."""

    phrases: tuple[Phrase, ...]
    weight: float


def terms(text: str) -> list[Term]:
    """Return the terms of a text: each word, its stem with whatever end, each pair of characters of scripts
    without spaces. Of a long text, those of its beginning and its end.
    """
    distinct: dict[tuple[Phrase, ...], Term] = {}
    for run, is_unspaced in _runs(text):
        for term in _pairs(run) if is_unspaced else _word(run):
            distinct.setdefault(term.phrases, term)
    every = list(distinct.values())
    half = MOST_TERMS // 2
    return every if len(every) <= MOST_TERMS else every[:half] + every[-half:]


def single_characters(text: str) -> list[Term]:
    """Return the terms for single characters that have a meaning alone, those of Chinese above all."""
    if text.isascii():
        return []
    distinct = dict.fromkeys(
        character
        for run, is_unspaced in _runs(text)
        if is_unspaced
        for character in run
        if tokens.means_something_alone(character)
    )
    return [Term((tokens.alone(character),), 0.5) for character in list(distinct)[:MOST_TERMS]]


def _runs(text: str) -> list[tuple[str, bool]]:
    if len(text) > _MOST_CHARACTERS:
        half = _MOST_CHARACTERS // 2
        text = f"{text[:half]} {text[-half:]}"
    return tokens.distinct_runs(tokens.folded(text))


def _pairs(run: str) -> list[Term]:
    if len(run) == 1:
        return [Term((tokens.alone(run),), 0.5)] if tokens.means_something_alone(run) else []
    pairs = tokens.pairs(run)
    if tokens.is_alphabetic(run) and len(pairs) > 1:
        # A pair of letters says little.
        return [Term((Phrase(both, False),), 1.0) for both in pairwise(pairs)]
    return [Term((Phrase((pair,), False),), 1.0) for pair in pairs]


def _word(word: str) -> list[Term]:
    if not word.isascii() and _ARABIC.match(word):
        return [_arabic(word)]
    shortest = tokens.STEM_LENGTHS.start
    # Numbers have no endings.
    if len(word) < shortest or word.isdecimal():
        return [Term((Phrase((word,), False),), 1.0)]
    stem = _begun(word, max(shortest, math.ceil(_STEM_SHARE * len(word))))
    return [Term((Phrase((word,), False),), 0.5), Term((Phrase((stem,), True),), 0.5)]


def without_arabic_prefix(word: str) -> str:
    """Return the word without the article and the prepositions that are written as parts of it in Arabic."""
    if word.isascii() or not _ARABIC.match(word):
        return word
    stem = _ARABIC_PREFIX.sub("", word)
    return stem if len(stem) >= _SHORTEST_ARABIC else word


def _arabic(word: str) -> Term:
    """Return the term of an Arabic word: the article and the prepositions are written as parts of it."""
    stem = without_arabic_prefix(word)
    if stem.endswith("ه") and len(stem) > _SHORTEST_ARABIC:
        # The ending of the feminine becomes another letter before a suffix.
        stem = stem[:-1]
    return Term(tuple(Phrase((_begun(prefix + stem),), True) for prefix in _ARABIC_PREFIXES), 1.0)


def _begun(word: str, length: int = tokens.LONGEST) -> str:
    """Return the beginning of a word, no longer than those that stand in the index."""
    return word[: min(length, tokens.STEM_LENGTHS.stop - 1)]
