"""How many messages have a term: the same whether they are read at once or counted."""

import random
from collections.abc import Mapping, Sequence, Set
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.stores.sql import transcript
from nanobot.stores.sql.counted_terms import CountedTerm, TermCounts
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.terms import Named, named
from nanobot.stores.sql.tokens import Phrase

NO_DB = cast(Db, None)
ALICE, BOB = 1, 2


class Index:
    """Messages by the words that they have; `lookups`: how often it was asked."""

    def __init__(self, having: Mapping[str, Set[int]]) -> None:
        self._having = having
        self.lookups = 0

    def any_of(self, phrases: Sequence[Phrase]) -> str:
        (phrase,) = phrases
        return phrase.tokens[0]

    def _matches(self, query: str, first_id: int, last_id: int) -> list[int]:
        return sorted(id_ for id_ in self._having.get(query, ()) if first_id <= id_ <= last_id)

    def count(self, db: Db, query: str, first_id: int, last_id: int, most: int) -> int:
        self.lookups += 1
        return len(self._matches(query, first_id, last_id)[:most])

    def oldest_of_each(
        self, db: Db, queries: Sequence[str], first_id: int, last_id: int, most: int
    ) -> Sequence[Sequence[int]]:
        self.lookups += 1
        return [self._matches(query, first_id, last_id)[:most] for query in queries]

    def newest(self, db: Db, query: str, first_id: int, last_id: int, most: int) -> Sequence[int]:
        self.lookups += 1
        return self._matches(query, first_id, last_id)[::-1][:most]


def counted(
    index: object, sessions: Mapping[int, int], asked: Sequence[Named], most: int, known: set[int]
) -> list[CountedTerm]:
    return TermCounts(NO_DB, cast(SearchIndex, index), sessions, most, known).rare(asked)


def messages(session: int, numbers: Sequence[int]) -> set[int]:
    return {transcript.message_id(session, number) for number in numbers}


def is_said_all_along(ids: Set[int], session: int, indexed: int) -> bool:
    """Whether sixteen of the first and of the last 320 messages of a long conversation are among the ids."""
    return indexed >= 1_280 and all(
        len(ids & messages(session, range(first, first + 320))) >= 16 for first in (1, indexed - 319)
    )


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 3_000), st.integers(0, 1_200), st.integers(9, 201), st.data())
def test_it_is_as_many_as_one_counts_by_hand(long: int, short: int, most: int, data: st.DataObject) -> None:
    most = max(most, 65) if long >= 1_280 else most
    chance = random.Random(data.draw(st.integers()))
    ids = messages(ALICE, chance.sample(range(1, long + 1), min(long, data.draw(st.integers(0, 260)))))
    ids |= messages(BOB, chance.sample(range(1, short + 1), min(short, data.draw(st.integers(0, 40)))))
    index = cast(SearchIndex, Index({"kites": ids}))
    sessions = dict(sorted({ALICE: long, BOB: short}.items(), key=lambda each: -each[1]))
    known: set[int] = set()
    found = counted(index, sessions, named("kites")[:1], most, known)
    longest = next(iter(sessions))
    if len(ids) >= most or is_said_all_along(ids, longest, sessions[longest]):
        assert found == [] and known == {hash("kites")}
        return
    (each,) = found
    assert each.number == len(ids) and not known
    for session in (ALICE, BOB):
        first_id, last_id = transcript.message_ids(session, 0)
        own = sorted((id_ for id_ in ids if first_id <= id_ <= last_id), reverse=True)
        assert list(each.newest(NO_DB, index, session, first_id, last_id)) == own


@pytest.mark.parametrize("number", [0, 1, 31])
def test_what_few_messages_have_is_looked_up_once(number: int) -> None:
    index = Index({"kites": messages(ALICE, range(1, number + 1))})
    (each,) = counted(index, {ALICE: 9_000}, named("kites")[:1], 201, set())
    assert each.newest(NO_DB, cast(SearchIndex, index), ALICE, 0, 1 << 62)[:1] == (
        [transcript.message_id(ALICE, number)] if number else []
    )
    assert index.lookups == 1


def test_however_many_terms_there_are_a_session_is_looked_up_once() -> None:
    index = Index({"kites": messages(ALICE, [7]), "rivers": messages(BOB, [3, 5])})
    found = counted(index, {ALICE: 9_000, BOB: 80}, named("kites rivers towers plains"), 201, set())
    assert {each.query: each.number for each in found if each.number} == {"kites": 1, "rivers": 2}
    assert index.lookups == 2


def test_what_is_known_to_be_common_is_not_looked_up() -> None:
    index = Index({"kites": messages(ALICE, range(1, 9_000))})
    known: set[int] = set()
    for _ in range(2):
        assert counted(index, {ALICE: 9_000}, named("kites"), 201, known) == []
    assert index.lookups == 2, "at the beginning, and at the end"
    assert known == {hash("kites"), hash("kite*")}, "the beginning of a word that is common is common"
