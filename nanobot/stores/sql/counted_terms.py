"""How many messages of some sessions have the terms of a text, and which, where they are few.

Most of a search's work is here: a look into the index is what costs most of it. So a term that few messages
have is looked up once, and one that is known to say nothing not at all.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from nanobot.stores.sql import terms, transcript
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.terms import Named, Term
from nanobot.stores.sql.tokens import Phrase

COMMON_SHARE = 0.05
LEAST_COMMON = 64
_SAMPLE = 320
"""In so many messages at both ends of a long session it is seen which terms say nothing."""
_MANY_IN_SAMPLE = int(COMMON_SHARE * _SAMPLE)
_FEW_READ = 2 * _MANY_IN_SAMPLE
"""A term that fewer messages have is not one that many at both ends have: these are read at once."""


class CountedTerm(msgspec.Struct):
    """A term that few messages have. `number`: how many; `ids`: which ones, newest first, by session; None:
    not read yet.
    """

    number: int
    query: str
    term: Term
    ids: Mapping[int, Sequence[int]] | None = None

    @property
    def rarity(self) -> tuple[int, str, float]:
        """What terms are sorted by, the rarest first."""
        return self.number, self.query, self.term.weight

    def newest(self, db: Db, index: SearchIndex, session: int, first_id: int, last_id: int) -> Sequence[int]:
        """Return the ids of the session's messages in that range that have the term, newest first."""
        if self.ids is None:
            return index.newest(db, self.query, first_id, last_id, self.number)
        return [id_ for id_ in self.ids[session] if first_id <= id_ <= last_id]


class TermCounts:
    """Counts the terms of one search.

    `sessions`: how many messages each has in the index, the longest first. A term that `most` messages have
    is common; `known` are the hashes of those that are, and gets more of them.
    """

    def __init__(
        self, db: Db, index: SearchIndex, sessions: Mapping[int, int], most: int, known: set[int]
    ) -> None:
        self._db = db
        self._index = index
        self._sessions = sessions
        self._most = most
        self._few = min(_FEW_READ, most)
        self._known = known
        self._looked_up: dict[str, _LookedUp] = {}

    def look_up(self, asked: Iterable[Named]) -> None:
        """Look up those that are not known to be common, all at once: each time that the index is asked costs
        about as much as what it then reads.
        """
        known, looked_up = self._known, self._looked_up
        new = [
            _looked_up(self._index, each)
            for each in asked
            if hash(each[0]) not in known and each[0] not in looked_up
        ]
        looked_up.update([(each.name, each) for each in new])
        for session in self._sessions:
            if not new:
                break
            ids = transcript.message_ids(session, 0)
            found = self._index.oldest_of_each(self._db, [each.query for each in new], *ids, self._few)
            for each, oldest in zip(new, found, strict=True):
                each.oldest[session] = oldest
            new = [each for each in new if len(each.oldest[session]) < self._few]

    def rare(self, asked: Sequence[Named]) -> list[CountedTerm]:
        """Return those that few messages have, the rarest first."""
        rare: list[CountedTerm] = []
        common: list[str] = []
        for name, weight in asked:
            # As most terms of a long conversation: of these, nothing is asked, nor made ready.
            if (hashed := hash(name)) not in self._known:
                if not terms.begins_one_of(common, name):
                    if name not in self._looked_up:
                        self.look_up(asked)
                    counted = self._count(self._looked_up[name], weight)
                    if counted.number < self._most:
                        rare.append(counted)
                        continue
                self._known.add(hashed)
            common.append(name)
        rare.sort(key=lambda each: each.rarity)
        return rare

    def _count(self, looked_up: "_LookedUp", weight: float) -> CountedTerm:
        """Return how many messages have the term, counted up to `most`; with their ids where they are so few
        that all were read.
        """
        query, oldest = looked_up.query, looked_up.oldest
        term = Term(looked_up.phrases, weight)
        last_read = next(reversed(oldest))
        if len(oldest[last_read]) < self._few:
            number = sum(map(len, oldest.values()))
            ids = {session: some[::-1] for session, some in oldest.items()}
            return CountedTerm(number, query, term, ids)
        number = 0
        is_longest = len(oldest) == 1
        if is_longest and self._is_everywhere(query, last_read, oldest[last_read]):
            number = self._most
        for session in self._sessions:
            if number >= self._most:
                break
            ids_there = transcript.message_ids(session, 0)
            number += self._index.count(self._db, query, *ids_there, self._most - number)
        return CountedTerm(number, query, term)

    def _is_everywhere(self, query: str, session: int, oldest: Sequence[int]) -> bool:
        """Return whether a long session has many messages that match both at its beginning and at its end;
        `oldest`: the ids of its oldest ones.

        To count them all would take the longer the longer it is. At both, as something may have been talked
        about for a while only.
        """
        indexed = self._sessions[session]
        if indexed < LEAST_COMMON / COMMON_SHARE:
            return False
        if oldest[_MANY_IN_SAMPLE - 1] > transcript.message_id(session, _SAMPLE):
            return False
        ids = transcript.message_ids(session, indexed - _SAMPLE + 1, indexed)
        return self._index.count(self._db, query, *ids, _MANY_IN_SAMPLE) == _MANY_IN_SAMPLE


class _LookedUp(msgspec.Struct):
    """A term with the ids of the oldest messages that have it, by session, up to the first session where they
    are many.
    """

    name: str
    query: str
    phrases: tuple[Phrase, ...]
    oldest: dict[int, Sequence[int]] = {}


def _looked_up(index: SearchIndex, named: Named) -> _LookedUp:
    phrases = terms.term(named).phrases
    return _LookedUp(named[0], index.any_of(phrases), phrases)
