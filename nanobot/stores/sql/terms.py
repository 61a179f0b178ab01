"""What a message asks a search for: terms, any of which may be found, by how much each says."""

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.stores.sql import function_words, tokens
from nanobot.stores.sql.tokens import Phrase

MOST_TERMS = 40
_MOST_CHARACTERS = 1_000
FUNCTION_SHARE = 0.2
"""How much a word counts that says nothing of what a text is about, beside one that does."""
_STEM_SHARE = 0.7
_ARABIC = LatePattern("^[\u0621-\u064a]{3,}$")
_ARABIC_PREFIX = LatePattern("^(?:[وف]?(?:[بك]?ال|لل)|[وفبلك](?=.{3}))")
_ARABIC_PREFIXES = ("", "ال", "وال", "بال", "لل", "و", "ب", "ل")
_SHORTEST_ARABIC = 3
_SHORTEST = tokens.STEM_LENGTHS.start
_LONGEST_STEM = tokens.STEM_LENGTHS.stop - 1
_STEMS = tuple(
    min(max(_SHORTEST, math.ceil(_STEM_SHARE * length)), _LONGEST_STEM)
    for length in range(tokens.LONGEST + 1)
)
"""How long the stem of a word is, by its length: no longer than those that stand in the index."""
# Tokens have letters and digits alone.
_OPEN, _AND, _OR = "*", " ", "|"


class Term(msgspec.Struct, frozen=True):
    """Something to look for: one of the `phrases`. `weight`: how much it counts beside others."""

    phrases: tuple[Phrase, ...]
    weight: float


Named = tuple[str, float]
"""The name and the weight of a term. A name is made of the phrases, so that no two terms share one; most
terms of a long conversation are known by it to say nothing, and need not be made.
"""


def term(named: Named) -> Term:
    """Return the term of that name."""
    name, weight = named
    return Term(tuple([_phrase(each) for each in name.split(_OR)]), weight)


def begins_one_of(names: Sequence[str], name: str) -> bool:
    """Return whether the term of that name is the beginning of a word that is one of the `names`: what has
    the word has the term, too.
    """
    if _OPEN not in name:
        return False
    begun = tuple([each[:-1] for each in name.split(_OR) if each.endswith(_OPEN)])
    return any(word.startswith(begun) for word in names if _OR not in word)


def terms(text: str, function_share: float = FUNCTION_SHARE) -> list[Term]:
    """Return the terms of a text: each word, its stem with whatever end, each pair of characters of scripts
    without spaces. Of a long text, those of its beginning and its end. `function_share`: how much words count
    that say nothing of what a text is about; 0: they are left out.
    """
    return list(map(term, named(text, function_share)))


def named(text: str, function_share: float = FUNCTION_SHARE) -> list[Named]:
    """Return what `terms` returns by their names."""
    distinct: dict[str, float] = {}
    for run, is_unspaced in _runs(text):
        if is_unspaced:
            for name, weight in _pairs(run):
                share = function_share if function_words.are_of_such(name) else 1.0
                distinct.setdefault(name, weight * share)
            continue
        share = function_share if function_words.is_one(run) else 1.0
        if not run.isascii() and _ARABIC.match(run):
            distinct.setdefault(_arabic(run), share)
        elif share < 1.0 or len(run) < _SHORTEST or run.isdecimal():
            # Numbers have no endings.
            distinct.setdefault(run, share)
        else:
            distinct.setdefault(run, 0.5)
            distinct.setdefault(run[: _STEMS[len(run)]] + _OPEN, 0.5)
    every = [(name, weight) for name, weight in distinct.items() if weight]
    half = MOST_TERMS // 2
    return every if len(every) <= MOST_TERMS else every[:half] + every[-half:]


def single_characters(text: str) -> list[Term]:
    """Return the terms for single characters that have a meaning alone, those of Chinese above all."""
    return list(map(term, named_characters(text)))


def named_characters(text: str) -> list[Named]:
    """Return what `single_characters` returns by their names."""
    if text.isascii():
        return []
    distinct = dict.fromkeys(
        character
        for run, is_unspaced in _runs(text)
        if is_unspaced
        for character in run
        if tokens.means_something_alone(character)
    )
    return [(_alone(character), 0.5) for character in list(distinct)[:MOST_TERMS]]


def _runs(text: str) -> list[tuple[str, bool]]:
    if len(text) > _MOST_CHARACTERS:
        half = _MOST_CHARACTERS // 2
        text = f"{text[:half]} {text[-half:]}"
    return tokens.distinct_runs(tokens.folded(text))


def _pairs(run: str) -> list[Named]:
    if len(run) == 1:
        return [(_alone(run), 0.5)] if tokens.means_something_alone(run) else []
    pairs = tokens.pairs(run)
    if tokens.is_alphabetic(run) and len(pairs) > 1:
        # A pair of letters says little.
        return [(_AND.join(both), 1.0) for both in pairwise(pairs)]
    return [(pair, 1.0) for pair in pairs]


def without_arabic_prefix(word: str) -> str:
    """Return the word without the article and the prepositions that are written as parts of it in Arabic."""
    if word.isascii() or not _ARABIC.match(word):
        return word
    stem = _ARABIC_PREFIX.sub("", word)
    return stem if len(stem) >= _SHORTEST_ARABIC else word


def _arabic(word: str) -> str:
    """Return the name of the term of an Arabic word: the article and the prepositions are written as parts of
    it.
    """
    stem = without_arabic_prefix(word)
    if stem.endswith("ه") and len(stem) > _SHORTEST_ARABIC:
        # The ending of the feminine becomes another letter before a suffix.
        stem = stem[:-1]
    return _OR.join([f"{(prefix + stem)[:_LONGEST_STEM]}{_OPEN}" for prefix in _ARABIC_PREFIXES])


def _alone(character: str) -> str:
    phrase = tokens.alone(character)
    return phrase.tokens[0] + (_OPEN if phrase.is_open else "")


def _phrase(name: str) -> Phrase:
    is_open = name.endswith(_OPEN)
    return Phrase(tuple(name.removesuffix(_OPEN).split(_AND)), is_open)
