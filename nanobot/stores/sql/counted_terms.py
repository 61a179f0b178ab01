"""How many messages of some sessions have the terms of a text, and which, where they are few.

Most of a search's work is here: a look into the index is what costs most of it. So a term that few messages
have is looked up once, and one that is known to say nothing not at all.
"""

from collections.abc import Mapping, Sequence

import msgspec

from nanobot.stores.sql import terms, transcript
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.terms import Named, Term

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


def counted(
    db: Db,
    index: SearchIndex,
    sessions: Mapping[int, int],
    asked: Sequence[Named],
    most: int,
    known: set[int],
) -> list[CountedTerm]:
    """Return the terms that fewer than `most` messages of the sessions have, the rarest first. The others are
    added to the `known` ones. `sessions`: how many messages each has in the index, the longest first.
    """
    rare: list[CountedTerm] = []
    common: list[str] = []
    for each in asked:
        name, _ = each
        # As most terms of a long conversation: for these, nothing is asked, nor made ready.
        if (hashed := hash(name)) not in known:
            if not terms.begins_one_of(common, name):
                term = terms.term(each)
                query = index.any_of(term.phrases)
                number, ids = _count(db, index, sessions, query, most)
                if number < most:
                    rare.append(CountedTerm(number, query, term, ids))
                    continue
            known.add(hashed)
        common.append(name)
    rare.sort(key=lambda each: each.rarity)
    return rare


def _count(
    db: Db, index: SearchIndex, sessions: Mapping[int, int], query: str, most: int
) -> tuple[int, Mapping[int, Sequence[int]] | None]:
    """Return how many messages of the sessions match, counted up to `most`; with their ids, newest first,
    where they are so few that all were read.
    """
    few = min(_FEW_READ, most)
    ids: dict[int, Sequence[int]] = {}
    number = 0
    for session, indexed in sessions.items():
        found = index.oldest(db, query, *transcript.message_ids(session, 0), few)
        if len(found) == few:
            is_longest = not ids
            if is_longest and _is_everywhere(db, index, session, indexed, query, found):
                return most, None
            break
        ids[session] = found[::-1]
        number += len(found)
    else:
        return number, ids
    number = 0
    for session in sessions:
        number += index.count(db, query, *transcript.message_ids(session, 0), most - number)
        if number >= most:
            break
    return number, None


def _is_everywhere(
    db: Db, index: SearchIndex, session: int, indexed: int, query: str, oldest: Sequence[int]
) -> bool:
    """Return whether a long session has many messages that match both at its beginning and at its end;
    `oldest`: the ids of its oldest ones.

    To count them all would take the longer the longer it is. At both, as something may have been talked about
    for a while only.
    """
    if indexed < LEAST_COMMON / COMMON_SHARE:
        return False
    if oldest[_MANY_IN_SAMPLE - 1] > transcript.message_id(session, _SAMPLE):
        return False
    ids = transcript.message_ids(session, indexed - _SAMPLE + 1, indexed)
    return index.count(db, query, *ids, _MANY_IN_SAMPLE) == _MANY_IN_SAMPLE
