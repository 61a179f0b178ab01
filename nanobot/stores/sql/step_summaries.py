"""Summaries of what running turns have done so far."""

import msgspec

from nanobot.core.compaction import Compacted, StepSummary
from nanobot.stores.sql.db import Db

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Compacted).decode


def newest(db: Db, turn_id: str) -> StepSummary | None:
    """Return the summary that stands for most of the turn."""
    found = db.execute(
        "SELECT messages, body FROM step_summary WHERE turn = (SELECT n FROM turn WHERE id = ?)"
        " ORDER BY messages DESC LIMIT 1",
        (turn_id,),
    ).fetchone()
    return None if found is None else StepSummary(_decode(found[1]).text, found[0])


def add(db: Db, turn_id: str, messages: int, summary: Compacted, now: float) -> bool:
    """Keep the summary, unless the turn is over; return whether it is kept."""
    found = db.execute(
        "SELECT n FROM turn WHERE id = ? AND status IN ('running', 'queued')", (turn_id,)
    ).fetchone()
    if found is None:
        return False
    db.execute(
        "INSERT INTO step_summary VALUES (?, ?, ?, ?)"
        " ON CONFLICT (turn, messages) DO UPDATE SET created_at = excluded.created_at, body = excluded.body",
        (found[0], messages, now, _encode(summary)),
    )
    return True
