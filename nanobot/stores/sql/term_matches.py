"""The old messages that have some of the terms of a text, by the index."""

import math
from collections.abc import Sequence

import msgspec

from nanobot.stores.sql import terms, topics
from nanobot.stores.sql.common_terms import CommonTerms
from nanobot.stores.sql.counted_terms import COMMON_SHARE, LEAST_COMMON, CountedTerm, TermCounts
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.reached_lines import ReachedLine
from nanobot.stores.sql.terms import Named, Term

_MOST_LOOKUPS = 120
_FEWEST_TERMS = 8
_MOST_COMMON = 1_000
_FEW = 8
_UNKNOWN_SHARE = 0.25
"""How much a term counts of what it would say, where no message has it."""
_MOST_SHARE = 0.2
_MOST_ROWS = 2_500
_NEWEST = 60
_TOO_FEW = 5
_SURE_SHARE = 0.5
_SURE_TOPIC_WEIGHT = 0.5


class TermMatch(msgspec.Struct):
    """What is known of a message: how much of the terms it has."""

    line: ReachedLine
    score: float = 0.0


class TermMatches:
    """The messages of some lines that have terms of a text.

    `by_id`: the messages; `says`: how much each term says, and `total`: how much all of them say together.
    `with_words`: the ids of those that have a word of the text, and not merely one of its topics; `is_sure`:
    whether one of them has most of what the words say together: likely it is the one that is meant.
    """

    def __init__(
        self, db: Db, index: SearchIndex, lines: Sequence[ReachedLine], common_terms: CommonTerms
    ) -> None:
        self.by_id: dict[int, TermMatch] = {}
        self.says: dict[Term, float] = {}
        self.total = 0.0
        self.with_words: frozenset[int] = frozenset()
        self.is_sure = False
        self._db = db
        self._index = index
        self._lines = lines
        self._size = sum(line.indexed for line in lines)
        most = min(max(LEAST_COMMON, int(COMMON_SHARE * self._size)), _MOST_COMMON)
        # In a short conversation, a few messages may be the only ones on its matter.
        most = min(most, max(_FEW, int(_MOST_SHARE * self._size)))
        known = common_terms.of(frozenset((line.session, line.key) for line in lines), self._size)
        longest_first = sorted(lines, key=lambda line: line.indexed, reverse=True)
        sessions = {line.session: line.indexed for line in longest_first}
        self._counts = TermCounts(db, index, sessions, most + 1, known)

    def look_up(self, text: str, *, is_asked: bool) -> list[Named]:
        """Look for the words of the text and for its topics; return the words that were looked for."""
        most_terms = max(_FEWEST_TERMS, _MOST_LOOKUPS // len(self._lines))
        # Where nobody asked, what has such words in common with a text is not about the same.
        words = terms.named(text, terms.FUNCTION_SHARE if is_asked else 0.0)[:most_terms]
        about = topics.named(text)[:most_terms]
        self._counts.look_up((*words, *about))
        self._add(words, is_asked=is_asked)
        if len(self.by_id) < _TOO_FEW and (alone := terms.named_characters(text)[:most_terms]):
            self._add(alone, is_asked=is_asked)
        self.with_words = frozenset(self.by_id)
        self.is_sure = any(match.score >= _SURE_SHARE * self.total for match in self.by_id.values())
        if self.is_sure:
            about = [(name, _SURE_TOPIC_WEIGHT) for name, _ in about]
        self._add(about, is_asked=False)
        return words

    def _add(self, asked: Sequence[Named], *, is_asked: bool) -> None:
        """Add the messages that have some of the terms.

        A term says the more the fewer messages have it. One that too many have says nothing; only where all
        are such do they count all the same, for who asks, in the newest messages.
        """
        found = self._counts.rare(asked)
        self.says.update((each.term, self._says(each)) for each in found)
        if is_asked and not self.by_id and not any(each.number for each in found):
            rest = [each for each in map(terms.term, asked) if each not in self.says]
            found = [CountedTerm(_NEWEST, self._index.any_of(each.phrases), each) for each in rest]
            found.sort(key=lambda each: each.rarity)
            del found[_FEWEST_TERMS:]
        rows = 0
        for each in found:
            says = self._says(each)
            self.total += says if each.number else _UNKNOWN_SHARE * says
            if each.number and rows < _MOST_ROWS:
                rows += each.number
                self._add_one(each, says)

    def _add_one(self, counted: CountedTerm, says: float) -> None:
        matches = self.by_id
        for line in self._lines:
            first_id, last_id = line.stretches[0][0], line.stretches[-1][1]
            for id_ in line.only(counted.newest(self._db, self._index, line.session, first_id, last_id)):
                if id_ in matches:
                    matches[id_].score += says
                else:
                    matches[id_] = TermMatch(line, says)

    def _says(self, counted: CountedTerm) -> float:
        """Return how much a term says that so many of the messages have."""
        return counted.term.weight * math.log(1 + (self._size + 1) / (counted.number + 0.5))
