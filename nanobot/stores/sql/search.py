"""Text search: a query to the index, an answer of sessions."""

import re

from nanobot.core.errors import InvalidRequest
from nanobot.core.message import File, Message, Text
from nanobot.core.sessions import Direction, Row, SearchHit, SessionFilter
from nanobot.stores.sql import branches, catalogue, transcript
from nanobot.stores.sql.db import Db, SearchIndex

MOST_QUERY_CHARACTERS = 256
_MOST_AROUND = 80


def query_of(index: SearchIndex, text: str) -> str | None:
    """Return the index's query for what a user typed: all words must be there, each may go on; what stands in
    quotes must be there as it is.

    None: there is no word in it.

    Raises:
        InvalidRequest: it is too long.
    """
    if len(text) > MOST_QUERY_CHARACTERS:
        raise InvalidRequest(
            f"q of {len(text)} characters: at most {MOST_QUERY_CHARACTERS} are allowed", param="q"
        )
    return index.query(text)


def search(
    db: Db,
    index: SearchIndex,
    *,
    text: str,
    limit: int,
    after: str | None,
    order: Direction,
    matching: SessionFilter,
) -> tuple[SearchHit, ...]:
    """Return the sessions with a message that matches, each with the newest one."""
    query = query_of(index, text)
    if query is None:
        return ()
    where, values = catalogue.condition(db, after=after, order=order, matching=matching)
    candidates = db.execute(
        f"WITH hit (session) AS MATERIALIZED ({index.sessions()})"
        f" SELECT id FROM session WHERE id IN (SELECT session FROM hit) AND {where}"
        f" ORDER BY {catalogue.by_use(order)}",
        (query, *values),
    )
    found: list[SearchHit] = []
    for (session,) in candidates:
        row = _newest(db, index, session, query)
        if row is not None:
            message, about = row.message, catalogue.session_of(db, session)
            found.append(SearchHit(about, row.seq, message.role, _snippet(message, text), row.created_at))
        if len(found) == limit:
            break
    return tuple(found)


def _newest(db: Db, index: SearchIndex, session: int, query: str) -> Row | None:
    """Return the newest message of the session's transcript that matches."""
    tip = branches.shown_tip(db, session)
    live = transcript.stretches(db, session, tip)
    stretch = next(live, None)
    for seq in index.matches(db, session, query):
        while stretch is not None and seq < stretch[0]:
            stretch = next(live, None)
        if stretch is None:
            return None
        if seq <= stretch[1]:
            return transcript.row(db, session, seq)
    return None


def _snippet(message: Message, query: str) -> str:
    """Return the text around the first word of `query` in the message, on one line."""
    texts = [part.text for part in message.parts if isinstance(part, Text | File)]
    text = " ".join(" ".join(texts).split())
    words = re.findall(r"[^\W_]+", query)
    hit = re.search("|".join(map(re.escape, words)), text, re.IGNORECASE)
    start = max(0, (hit.start() if hit else 0) - _MOST_AROUND)
    end = (hit.end() if hit else 0) + _MOST_AROUND
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
