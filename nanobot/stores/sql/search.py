"""Text search: a question to the index, an answer of sessions."""

import re
import sqlite3

from nanobot.core.errors import InvalidRequest
from nanobot.core.sessions import Direction, Row, SearchHit, SessionFilter
from nanobot.stores.sql import branches, catalogue, transcript
from nanobot.stores.sql.index import SEQ_BITS, spaced

Db = sqlite3.Connection
MOST_QUERY_CHARACTERS = 256
_WORD = re.compile(r"[^\W_]")


def query_of(text: str) -> str | None:
    """Return the index's query for what a user typed: all words must be there, each may go on; what stands in
    quotes stands so in the text.

    None: there is no word in it.

    Raises:
        InvalidRequest: it is too long.
    """
    if len(text) > MOST_QUERY_CHARACTERS:
        raise InvalidRequest(
            f"q of {len(text)} characters: at most {MOST_QUERY_CHARACTERS} are allowed", param="q"
        )
    text = text.replace("\0", " ").encode(errors="replace").decode()
    pieces: list[str] = []
    for number, stretch in enumerate(text.split('"')):
        words = [stretch] if number % 2 else stretch.split()
        pieces.extend(f'"{spaced(word)}"{"" if number % 2 else "*"}' for word in words if _WORD.search(word))
    return " ".join(pieces) or None


def search(
    db: Db, *, text: str, limit: int, after: str | None, order: Direction, matching: SessionFilter
) -> tuple[SearchHit, ...]:
    """Return the sessions with a message that fits, each with the newest one."""
    query = query_of(text)
    if query is None:
        return ()
    where, values = catalogue.condition(db, after=after, order=order, matching=matching)
    candidates = db.execute(
        "WITH hit (session) AS MATERIALIZED (SELECT DISTINCT rowid >> 32 FROM search WHERE search MATCH ?)"
        f" SELECT id FROM session WHERE id IN (SELECT session FROM hit) AND {where} ORDER BY updated_at {order}, id {order}",
        (query, *values),
    )
    found: list[SearchHit] = []
    for (session,) in candidates:
        row = _newest(db, session, query)
        if row is not None:
            found.append(SearchHit(catalogue.session_of(db, session), row))
        if len(found) == limit:
            break
    return tuple(found)


def _newest(db: Db, session: int, query: str) -> Row | None:
    """Return the newest message of the session's transcript that fits."""
    first = session << SEQ_BITS
    hits = db.execute(
        "SELECT rowid - ? FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC",
        (first, query, first, first + (1 << SEQ_BITS) - 1),
    )
    tip = branches.shown_tip(db, session)
    live = transcript.stretches(db, session, tip)
    stretch = next(live, None)
    for (seq,) in hits:
        while stretch is not None and seq < stretch[0]:
            stretch = next(live, None)
        if stretch is None:
            return None
        if seq <= stretch[1]:
            return transcript.row(db, session, seq)
    return None
