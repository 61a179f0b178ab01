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
from nanobot.stores.sql import summary_search, terms, tokens, transcript, varied
from nanobot.stores.sql.common_terms import CommonTerms
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.fusion import fused
from nanobot.stores.sql.reached_lines import MOST_SESSIONS, ReachedLine, reached_lines
from nanobot.stores.sql.term_matches import TermMatch, TermMatches

MOST_PAGED = 50
COMPARED_CHARACTERS = 4_000
FEWEST_WORDS = 3
"""A shorter message says nothing by itself."""
_LEAST_SHARE = 0.12
"""A message must have so much of what the terms say together."""
_LEAST_OF_BEST = 0.3
_ASSISTANT_SHARE = 0.85
_SUMMARY_SHARE = 0.8
_QUESTION_SHARE = 0.6
_MOST_SAME = 6
_MOST_COMPARED = 64
_SURE_WEIGHT = 1.5
_WEIGHT = 3.0
"""How much a place among the nearest counts beside one among those with the same words."""
_LEAST_NEAR = 0.1
_MOST_NEAR = 3
"""Something is always the nearest: where nobody asked, so many are told."""
_MOST_ON_TOPIC = 3
"""Of messages on the topics of a text that have none of its words, so many are told where nobody asked."""
QUESTION_ENDS = ("?", "？", "؟")


class Hits(msgspec.Struct, frozen=True):
    """What a search matches. `behind`: the numbers of sessions some of whose messages in reach are not in the
    index yet; then nothing was looked up, unless they were not to be waited for.
    """

    passages: tuple[Passage, ...] = ()
    behind: tuple[int, ...] = ()


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
    lines = reached_lines(db, reach)
    if not lines:
        return Hits()
    behind = tuple(line.session for line in lines if line.is_behind)
    if behind and waits:
        return Hits(behind=behind)
    matches = TermMatches(db, index, lines, common_terms)
    words = matches.look_up(text, is_asked=is_asked)
    if not (matches.by_id or near or any(each.messages is None for each in reach)):
        # As most messages of a conversation: nothing is compared.
        return Hits(behind=behind)
    own = tokens.folded(" ".join(text.split()))
    fewest_words = 0 if is_asked else FEWEST_WORDS
    whole = [each.session_key for each in reach if each.messages is None]
    compared = _by_worth(db, matches, whole[:MOST_SESSIONS], own, fewest_words)
    if not is_asked:
        compared = _few_without_words(compared, matches.with_words)
    # All of them have a place beside those that are near.
    most = len(compared) if near else skip + limit
    order = varied.varied([(each.worth, each.folded) for each in compared], most)
    shown = [compared[at].passage for at in order]
    if near:
        by_meaning = _compare(db, _in_reach(lines, near, is_asked=is_asked), own, fewest_words)
        weight = _SURE_WEIGHT if matches.is_sure else _WEIGHT
        nearest = [each.passage for each in by_meaning]
        shown = list(fused(shown, nearest, lambda passage: tokens.folded(passage.text), weight))
    sought = [phrase.tokens[0] for each in words if shown for phrase in terms.term(each).phrases]
    passages = tuple(
        msgspec.structs.replace(passage, text=excerpt(passage.text, sought, characters))
        for passage in shown[skip : skip + limit]
    )
    return Hits(passages, behind)


def says_enough(text: str) -> bool:
    """Return whether a text has so many words that it may be near others in meaning."""
    return tokens.has_words(tokens.folded(text[:COMPARED_CHARACTERS]), FEWEST_WORDS)


# By the text --------------------------------------------------------------------------------------


class _Compared(msgspec.Struct):
    """A message with what it is worth, its folded text, and its id; 0: it is a line of a summary."""

    worth: float
    passage: Passage
    folded: str
    number: int = 0


def _by_worth(
    db: Db, matches: TermMatches, whole: Sequence[str], own: str, fewest_words: int
) -> list[_Compared]:
    """Return the messages that have enough of the terms, and such lines of the newest summaries of the
    sessions `whole`, the best first.
    """
    least = _LEAST_SHARE * matches.total
    summarised = (
        _Compared(_SUMMARY_SHARE * _shortened(score, passage.text), passage, tokens.folded(passage.text))
        for key in whole
        for passage, score in summary_search.lines(db, key, matches.says, least)
    )
    compared = sorted(
        (*_compare(db, _best(matches.by_id, least), own, fewest_words), *summarised),
        key=lambda each: (-each.worth, -each.passage.created_at),
    )
    least_worth = _LEAST_OF_BEST * compared[0].worth if compared else 0.0
    return [each for each in compared[:MOST_PAGED] if each.worth >= least_worth]


def _best(matches: dict[int, TermMatch], least: float) -> list[tuple[int, TermMatch]]:
    """Return the messages with the highest scores. Where many have the same score they may have the same
    words: then others come before most of them.
    """
    ranked = sorted(
        (item for item in matches.items() if item[1].score >= least),
        key=lambda item: (-item[1].score, -item[0]),
    )
    first: list[tuple[int, TermMatch]] = []
    rest: list[tuple[int, TermMatch]] = []
    same: Counter[float] = Counter()
    for item in ranked:
        same[item[1].score] += 1
        (first if same[item[1].score] <= _MOST_SAME else rest).append(item)
    return (first + rest)[:_MOST_COMPARED]


def _compare(
    db: Db, best: Sequence[tuple[int, TermMatch]], own: str, fewest_words: int
) -> Iterator[_Compared]:
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


def _in_reach(
    lines: Sequence[ReachedLine], near: Sequence[Near], *, is_asked: bool
) -> list[tuple[int, TermMatch]]:
    """Return those of the messages that are in reach; where nobody asked, only the very nearest."""
    found: list[tuple[int, TermMatch]] = []
    for each in near:
        if is_asked or (each.score >= _LEAST_NEAR and len(found) < _MOST_NEAR):
            line = next((line for line in lines if line.has(each.number)), None)
            if line is not None:
                found.append((each.number, TermMatch(line, each.score)))
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
