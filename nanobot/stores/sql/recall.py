"""Old messages that bear on a new one: looked up in the index by the terms of the new one, then compared.

The work is bounded whatever the size of the transcripts: of a term that most messages have only the count is
read, of all others together so many rows, and so many messages are compared as texts.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from nanobot.core.message import File, Message, Text
from nanobot.core.recall import Passage, Reach
from nanobot.core.vectors import Near
from nanobot.stores.sql import branches, summary_search, terms, tokens, topics, transcript, varied
from nanobot.stores.sql.common_terms import CommonTerms
from nanobot.stores.sql.counted_terms import COMMON_SHARE, LEAST_COMMON, CountedTerm, TermCounts
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.fusion import fused
from nanobot.stores.sql.terms import Named, Term

MOST_PAGED = 50
_MOST_SESSIONS = 12
_MOST_LOOKUPS = 120
_FEWEST_TERMS = 8
_MOST_COMMON = 1_000
_FEW = 8
_UNKNOWN_SHARE = 0.25
"""How much a term counts of what it would say, where no message has it."""
_MOST_SHARE = 0.2
_MOST_ROWS = 2_500
_NEWEST = 60
COMPARED_CHARACTERS = 4_000
FEWEST_WORDS = 3
"""A shorter message says nothing by itself."""
_TOO_FEW = 5
_LEAST_SHARE = 0.12
"""A message must have so much of what the terms say together."""
_LEAST_OF_BEST = 0.3
_ASSISTANT_SHARE = 0.85
_SUMMARY_SHARE = 0.8
_QUESTION_SHARE = 0.6
_MOST_SAME = 6
_MOST_COMPARED = 64
_SURE_SHARE = 0.5
_SURE_WEIGHT = 1.5
_SURE_TOPIC_WEIGHT = 0.5
_WEIGHT = 3.0
"""How much a place among the nearest counts beside one among those with the same words."""
_LEAST_NEAR = 0.1
_MOST_NEAR = 3
"""Something is always the nearest: where nobody asked, so many are told."""
_MOST_ON_TOPIC = 3
"""Of messages on the topics of a text that have none of its words, so many are told where nobody asked."""
QUESTION_ENDS = ("?", "？", "؟")


class _Line(msgspec.Struct, frozen=True):
    """The part of a live transcript that is searched: the ids of its stretches, how many messages of
    the session are in the index, and whether some of the stretches are not in the index yet.
    """

    key: str
    session: int
    stretches: tuple[tuple[int, int], ...]
    indexed: int
    is_behind: bool

    def only(self, ids: Sequence[int]) -> Sequence[int]:
        """Return those of the ids that are in one of the stretches; they are between the first and the
        last.
        """
        if len(self.stretches) == 1:
            return ids
        return [id_ for id_ in ids if self.has(id_)]

    def has(self, id_: int) -> bool:
        """Return whether the message with the id is in one of the stretches."""
        return any(first <= id_ <= last for first, last in self.stretches)


class Hits(msgspec.Struct, frozen=True):
    """What a search matches. `behind`: the numbers of sessions some of whose messages in reach are not in the
    index yet; then nothing was looked up, unless they were not to be waited for.
    """

    passages: tuple[Passage, ...] = ()
    behind: tuple[int, ...] = ()


class _Match(msgspec.Struct):
    """What is known of a message: how much of the terms it has."""

    line: _Line
    score: float = 0.0


def search(
    db: Db,
    index: SearchIndex,
    *,
    text: str,
    reach: Sequence[Reach],
    limit: int,
    skip: int,
    characters: int,
    is_asked: bool,
    common_terms: CommonTerms,
    near: Sequence[Near] = (),
    waits: bool = False,
) -> Hits:
    """Return the messages in reach that have most in common with the text; see
    `core.recall.MessageSearch.search_messages`. `near`: messages that are near it in meaning, the best first.
    `waits`: until all of them are in the index.
    """
    lines = _lines(db, reach)
    if not lines:
        return Hits()
    behind = tuple(line.session for line in lines if line.is_behind)
    if behind and waits:
        return Hits(behind=behind)
    counts = _counts(db, index, lines, common_terms)
    most_terms = max(_FEWEST_TERMS, _MOST_LOOKUPS // len(lines))
    # Where nobody asked, what has such words in common with a text is not about the same.
    asked = terms.named(text, terms.FUNCTION_SHARE if is_asked else 0.0)[:most_terms]
    about = topics.named(text)[:most_terms]
    counts.look_up((*asked, *about))
    matches: dict[int, _Match] = {}
    says: dict[Term, float] = {}
    total = _look_up(db, index, lines, asked, matches, says, counts, is_asked=is_asked)
    if len(matches) < _TOO_FEW and (alone := terms.named_characters(text)[:most_terms]):
        total += _look_up(db, index, lines, alone, matches, says, counts, is_asked=is_asked)
    with_words = frozenset(matches)
    # A message that has most of what the words say together is likely the one that is meant.
    is_sure = any(match.score >= _SURE_SHARE * total for match in matches.values())
    if is_sure:
        about = [(name, _SURE_TOPIC_WEIGHT) for name, _ in about]
    total += _look_up(db, index, lines, about, matches, says, counts, is_asked=False)
    if not (matches or near or any(each.messages is None for each in reach)):
        # As most messages of a conversation: nothing is compared.
        return Hits(behind=behind)
    best = _best(matches, _LEAST_SHARE * total)
    own = tokens.folded(" ".join(text.split()))
    fewest_words = 0 if is_asked else FEWEST_WORDS
    whole = [each.session_key for each in reach if each.messages is None]
    summarised = (
        _Compared(_SUMMARY_SHARE * _shortened(score, passage.text), passage, tokens.folded(passage.text))
        for key in whole[:_MOST_SESSIONS]
        for passage, score in summary_search.lines(db, key, says, _LEAST_SHARE * total)
    )
    compared = sorted(
        (*_compare(db, best, own, fewest_words), *summarised),
        key=lambda each: (-each.worth, -each.passage.created_at),
    )
    least = _LEAST_OF_BEST * compared[0].worth if compared else 0.0
    compared = [each for each in compared[:MOST_PAGED] if each.worth >= least]
    if not is_asked:
        compared = _few_without_words(compared, with_words)
    # All of them have a place beside those that are near.
    most = len(compared) if near else skip + limit
    order = varied.varied([(each.worth, each.folded) for each in compared], most)
    shown = [compared[at].passage for at in order]
    if near:
        by_meaning = _compare(db, _in_reach(lines, near, is_asked=is_asked), own, fewest_words)
        weight = _SURE_WEIGHT if is_sure else _WEIGHT
        nearest = [each.passage for each in by_meaning]
        shown = list(fused(shown, nearest, lambda passage: tokens.folded(passage.text), weight))
    sought = [phrase.tokens[0] for each in asked if shown for phrase in terms.term(each).phrases]
    passages = tuple(
        msgspec.structs.replace(passage, text=excerpt(passage.text, sought, characters))
        for passage in shown[skip : skip + limit]
    )
    return Hits(passages, behind)


def says_enough(text: str) -> bool:
    """Return whether a text has so many words that it may be near others in meaning."""
    return tokens.has_words(tokens.folded(text[:COMPARED_CHARACTERS]), FEWEST_WORDS)


def ranges(db: Db, reach: Sequence[Reach]) -> list[tuple[int, int]]:
    """Return the first and the last id of each stretch of messages that a search goes through."""
    return [stretch for line in _lines(db, reach) for stretch in line.stretches]


# Which messages -----------------------------------------------------------------------------------


def _lines(db: Db, reach: Sequence[Reach]) -> list[_Line]:
    """Return the transcripts in reach, those of the most recently used sessions where they are many."""
    lines: list[tuple[float, _Line]] = []
    for each in reach:
        session = db.execute(_SESSION, (each.session_key,)).fetchone()
        if session is not None and (line := _line(db, each, *session[:-1])) is not None:
            lines.append((session[-1], line))
    lines.sort(key=lambda item: item[0], reverse=True)
    return [line for _, line in lines[:_MOST_SESSIONS]]


_SESSION = (
    f"SELECT s.id, s.indexed_seq, {branches.SETTLED_TIP},"
    " NOT EXISTS (SELECT 1 FROM branch WHERE session = s.id), s.updated_at FROM session s WHERE s.key = ?"
)


def _line(db: Db, reach: Reach, session: int, indexed_seq: int, tip: int, is_straight: int) -> _Line | None:
    """Return the beginning of the live transcript that is in reach; None: there is nothing of it."""
    left = reach.messages if reach.messages is not None else tip
    whole = ((1, tip),) if tip else ()
    stretches: list[tuple[int, int]] = []
    size = 0
    for first, last in whole if is_straight else transcript.stretches_in(db, session, tip, "asc"):
        if size >= left:
            break
        last = min(last, first + left - size - 1)
        stretches.append(transcript.message_ids(session, first, last))
        size += last - first + 1
    if not size:
        return None
    is_behind = indexed_seq < transcript.seq_of(stretches[-1][1])
    return _Line(reach.session_key, session, tuple(stretches), indexed_seq, is_behind)


# By the index -------------------------------------------------------------------------------------


def _counts(db: Db, index: SearchIndex, lines: Sequence[_Line], common_terms: CommonTerms) -> TermCounts:
    """Return what counts terms in the sessions of these lines."""
    size = _size(lines)
    most = min(max(LEAST_COMMON, int(COMMON_SHARE * size)), _MOST_COMMON)
    # In a short conversation, a few messages may be the only ones on its matter.
    most = min(most, max(_FEW, int(_MOST_SHARE * size)))
    known = common_terms.of(frozenset((line.session, line.key) for line in lines), size)
    longest_first = sorted(lines, key=lambda line: line.indexed, reverse=True)
    sessions = {line.session: line.indexed for line in longest_first}
    return TermCounts(db, index, sessions, most + 1, known)


def _size(lines: Sequence[_Line]) -> int:
    """Return how many messages of the lines' sessions are in the index."""
    return sum(line.indexed for line in lines)


def _look_up(
    db: Db,
    index: SearchIndex,
    lines: Sequence[_Line],
    asked: Sequence[Named],
    matches: dict[int, _Match],
    says_of: dict[Term, float],
    counts: TermCounts,
    *,
    is_asked: bool,
) -> float:
    """Add the messages that have some of the terms to `matches`, by their ids, and to `says_of` what a term
    says; return what all terms say together.

    A term says the more the fewer messages have it. One that too many have says nothing; only where all are
    such do they count all the same, for who asks, in the newest messages.
    """
    size = _size(lines)
    found = counts.rare(asked)
    says_of.update((each.term, _says(size, each)) for each in found)
    if is_asked and not matches and not any(each.number for each in found):
        rest = [each for each in map(terms.term, asked) if each not in says_of]
        found = [CountedTerm(_NEWEST, index.any_of(each.phrases), each) for each in rest]
        found.sort(key=lambda each: each.rarity)
        del found[_FEWEST_TERMS:]
    total = 0.0
    rows = 0
    for each in found:
        says = _says(size, each)
        total += says if each.number else _UNKNOWN_SHARE * says
        if not each.number or rows >= _MOST_ROWS:
            continue
        rows += each.number
        for line in lines:
            ids = each.newest(db, index, line.session, line.stretches[0][0], line.stretches[-1][1])
            for id_ in line.only(ids):
                if id_ in matches:
                    matches[id_].score += says
                else:
                    matches[id_] = _Match(line, says)
    return total


def _says(size: int, each: CountedTerm) -> float:
    """Return how much a term says that so many of `size` messages have."""
    return each.term.weight * math.log(1 + (size + 1) / (each.number + 0.5))


# By the text --------------------------------------------------------------------------------------


class _Compared(msgspec.Struct):
    """A message with what it is worth, its folded text, and its id; 0: it is a line of a summary."""

    worth: float
    passage: Passage
    folded: str
    number: int = 0


def _best(matches: dict[int, _Match], least: float) -> list[tuple[int, _Match]]:
    """Return the messages with the highest scores. Where many have the same score they may have the same
    words: then others come before most of them.
    """
    ranked = sorted(
        (item for item in matches.items() if item[1].score >= least),
        key=lambda item: (-item[1].score, -item[0]),
    )
    first: list[tuple[int, _Match]] = []
    rest: list[tuple[int, _Match]] = []
    same: Counter[float] = Counter()
    for item in ranked:
        same[item[1].score] += 1
        (first if same[item[1].score] <= _MOST_SAME else rest).append(item)
    return (first + rest)[:_MOST_COMPARED]


def _compare(db: Db, best: Sequence[tuple[int, _Match]], own: str, fewest_words: int) -> Iterator[_Compared]:
    """Yield the messages with what they are worth; of several with the same words the one that comes first,
    and none that says just the same as the text itself, `own`, or has fewer words than it needs.
    """
    seen = {own}
    rows = transcript.rows(db, [id_ for id_, _ in best])
    for id_, match in best:
        row = rows.get(id_)
        if row is None:
            # It was deleted since it was found.
            continue
        said = said_in(row.message)
        folded = tokens.folded(said[:COMPARED_CHARACTERS])
        if folded in seen or not tokens.has_words(folded, fewest_words):
            continue
        seen.add(folded)
        worth = _shortened(match.score, folded)
        if row.message.role != "user":
            worth *= _ASSISTANT_SHARE
        if said.rstrip().endswith(QUESTION_ENDS):
            # What answers a question stands in what was said, not in what was asked.
            worth *= _QUESTION_SHARE
        message = row.message
        passage = Passage(
            match.line.key, row.seq, row.turn_id, message.role, row.created_at, said, message.name
        )
        yield _Compared(worth, passage, folded, id_)


def _few_without_words(compared: Sequence[_Compared], with_words: frozenset[int]) -> list[_Compared]:
    """Return what is to be told where nobody asked: of the messages that are on the same topic only, few."""
    left = _MOST_ON_TOPIC
    kept: list[_Compared] = []
    for each in compared:
        if each.number and each.number not in with_words:
            if not left:
                continue
            left -= 1
        kept.append(each)
    return kept


def _shortened(score: float, text: str) -> float:
    """Return the score, less for a long text: that has many words."""
    return score / (1 + 0.12 * math.log1p(len(text) / 80))


# By meaning -----------------------------------------------------------------------------------------


def _in_reach(lines: Sequence[_Line], near: Sequence[Near], *, is_asked: bool) -> list[tuple[int, _Match]]:
    """Return those of the messages that are in reach; where nobody asked, only the very nearest."""
    found: list[tuple[int, _Match]] = []
    for each in near:
        if is_asked or (each.score >= _LEAST_NEAR and len(found) < _MOST_NEAR):
            line = next((line for line in lines if line.has(each.number)), None)
            if line is not None:
                found.append((each.number, _Match(line, each.score)))
    return found


def said_in(message: Message) -> str:
    """Return what was said in the message and what its files say, on one line."""
    texts = [
        part.text if isinstance(part, Text) else f"[{part.name}] {part.text}"
        for part in message.parts
        if isinstance(part, Text | File)
    ]
    return " ".join(" ".join(texts).split())


def excerpt(text: str, sought: Sequence[str], characters: int) -> str:
    """Return the text, or where it is long the part of at most so many characters with most of what is
    sought.
    """
    if len(text) <= characters:
        return text
    searched = text[: tokens.MOST_CHARACTERS]
    lower = searched.lower()
    # Folding may change lengths: then the places are not those of the text.
    lower = lower if len(lower) == len(searched) else searched
    places = sorted(place for word in sought if (place := lower.find(word)) >= 0)
    start = max(
        (max(0, place - characters // 4) for place in places),
        key=lambda start: sum(start <= place < start + characters for place in places),
        default=0,
    )
    start = min(start, len(text) - characters)
    cut = text[start : start + characters - 2]
    return f"{'…' if start else ''}{cut}{'…' if start + characters - 2 < len(text) else ''}"
