"""Responses: what is kept of turns that came through OpenAI's newer API."""

import msgspec

from nanobot.core.errors import (
    ResponseNotFound,
)
from nanobot.core.message import Message
from nanobot.core.responses import Response
from nanobot.core.turn import Record
from nanobot.stores.sql import transcript, turns
from nanobot.stores.sql.db import Db

_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode
_decode_input = msgspec.json.Decoder(tuple[Message, ...]).decode
_decode_plan = msgspec.json.Decoder(turns.Plan).decode


# Responses ----------------------------------------------------------------------------------------


def record(db: Db, n: int, kept: Record, digest: bytes) -> None:
    """Note that the turn number `n` came as a response."""
    echo = None if kept.echo is None else bytes(kept.echo)
    db.execute(
        "INSERT INTO response (turn, echo, detached, digest) VALUES (?, ?, ?, ?)",
        (n, echo, kept.is_detached, digest),
    )


def find(db: Db, turn_id: str) -> Response:
    """Return the response that the turn came as.

    Raises:
        ResponseNotFound: it came as none, or it was deleted.
    """
    found = db.execute(
        "SELECT t.n, t.session, t.first_seq, t.last_seq, r.echo FROM turn t JOIN response r ON r.turn = t.n"
        " WHERE t.id = ? AND r.echo IS NOT NULL",
        (turn_id,),
    ).fetchone()
    if found is None:
        raise ResponseNotFound(f"no response of the turn {turn_id!r} here")
    n, session, first_seq, last_seq, echo = found
    given = transcript.of_turn(db, session, n, (first_seq, last_seq), inputs=True) or _waiting_input(db, n)
    return Response(turns.look(db, turn_id), given, msgspec.Raw(echo))


def _waiting_input(db: Db, n: int) -> tuple[Message, ...]:
    """Return the input of a turn that has not put it into the transcript yet."""
    plan = db.execute("SELECT plan FROM dispatch WHERE turn = ?", (n,)).fetchone()
    if plan is not None and plan[0] is not None:
        return _decode_plan(plan[0]).input
    steer = db.execute("SELECT input FROM steer WHERE turn = ?", (n,)).fetchone()
    return _decode_input(steer[0]) if steer is not None else ()


def forget(db: Db, turn_id: str) -> None:
    """Delete what was kept of the response; the transcript stays as it is."""
    db.execute("UPDATE response SET echo = NULL WHERE turn = (SELECT n FROM turn WHERE id = ?)", (turn_id,))


def conversation_of(db: Db, digest: bytes, since: float) -> str | None:
    """Return the session of the newest response that was asked for with this digest and has not ended before
    `since`.
    """
    found = db.execute(
        "SELECT s.key FROM response r JOIN turn t ON t.n = r.turn JOIN session s ON s.id = t.session"
        " WHERE r.digest = ? AND coalesce(t.ended_at, t.created_at + 1e9) >= ? ORDER BY r.turn DESC LIMIT 1",
        (digest, since),
    ).fetchone()
    return None if found is None else str(found[0])


def delete_of(db: Db, session: int) -> None:
    """Delete what is kept here of a session whose turns are still there."""
    db.execute("DELETE FROM response WHERE turn IN (SELECT n FROM turn WHERE session = ?)", (session,))
