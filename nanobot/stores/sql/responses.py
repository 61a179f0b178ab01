"""Responses: what is kept of turns that came through OpenAI's newer API."""

import msgspec

from nanobot.core.errors import ResponseNotFound
from nanobot.core.responses import Response
from nanobot.core.turn import NO_ECHO
from nanobot.stores.sql import turns
from nanobot.stores.sql.db import Db


def insert(db: Db, n: int, digest: bytes) -> None:
    """Note that the turn number `n` came as a response; the rest is in the turn."""
    db.execute("INSERT INTO response (turn, digest) VALUES (?, ?)", (n, digest))


def find(db: Db, turn_id: str) -> Response:
    """Return the response that the turn came as.

    Raises:
        ResponseNotFound: it came as none, or it was deleted.
    """
    found = db.execute(
        "SELECT n, session, first_seq, last_seq, body FROM turn WHERE id = ?", (turn_id,)
    ).fetchone()
    record = turns.decode(found[-1]).record if found is not None else None
    if record is None or record.echo == NO_ECHO:
        raise ResponseNotFound(f"no response of the turn {turn_id!r} here")
    n, session, first_seq, last_seq, _ = found
    given = turns.input_of(db, n, session, (first_seq, last_seq))
    return Response(turns.look(db, turn_id), given, record.echo)


def forget(db: Db, turn_id: str) -> None:
    """Delete what was kept of the response; the transcript stays as it is."""
    found = db.execute("SELECT body FROM turn WHERE id = ?", (turn_id,)).fetchone()
    turn = turns.decode(found[0]) if found is not None else None
    if turn is not None and turn.record is not None:
        record = msgspec.structs.replace(turn.record, echo=NO_ECHO)
        body = turns.encode(msgspec.structs.replace(turn, record=record))
        db.execute("UPDATE turn SET body = ? WHERE id = ?", (body, turn_id))


def conversation_of(db: Db, digest: bytes, since: float) -> str | None:
    """Return the session of the newest response that was asked for with this digest, has not ended before
    `since`, and was not delivered whole.
    """
    found = db.execute(
        "SELECT s.key FROM response r JOIN turn t ON t.n = r.turn JOIN session s ON s.id = t.session"
        " WHERE r.digest = ? AND coalesce(t.ended_at, t.created_at + 1e9) >= ?"
        " AND NOT EXISTS (SELECT 1 FROM delivered d WHERE d.session = t.session AND d.turn >= t.n)"
        " ORDER BY r.turn DESC LIMIT 1",
        (digest, since),
    ).fetchone()
    return None if found is None else str(found[0])


def delete_of(db: Db, session: int) -> None:
    """Delete what is kept here of a session whose turns are still there."""
    db.execute("DELETE FROM response WHERE turn IN (SELECT n FROM turn WHERE session = ?)", (session,))
