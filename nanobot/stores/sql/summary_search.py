"""The lines of summaries that have something in common with a text."""

from collections.abc import Iterator, Mapping

from nanobot.core.recall import Passage
from nanobot.stores.sql import compaction, short_texts, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.terms import Term


def lines(db: Db, key: str, says: Mapping[Term, float], least: float) -> Iterator[tuple[Passage, float]]:
    """Yield the lines of the newest summary of a session that have enough of what the terms say, and how much
    it is.
    """
    head = transcript.find_head(db, key)
    found = compaction.newest(db, head) if head is not None else None
    if head is None or found is None:
        return
    last_seq, summary = found
    sought = [(short_texts.phrases(term), worth) for term, worth in says.items()]
    at: float | None = None
    for text in filter(None, (" ".join(each.split()) for each in summary.text.splitlines())):
        searched = short_texts.searchable(text)
        score = sum(worth for phrases, worth in sought if any(phrase in searched for phrase in phrases))
        if not score or score < least:
            continue
        if at is None:
            at = transcript.row(db, head.session, last_seq).created_at
        yield Passage(key, last_seq, None, "assistant", at, text, summarises=summary.messages), score
