"""Deleting the rows of sessions that are hidden for good, a piece in a transaction."""

import msgspec

from nanobot.stores.sql import approvals, hidden, queue, responses, transcript, usage
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.pieces import MOST_ROWS, message_piece


class Purged(msgspec.Struct, frozen=True):
    """What a deletion took away: rows, and the bytes of messages and uploads."""

    messages: int = 0
    turns: int = 0
    bytes_: int = 0

    def plus(self, other: "Purged") -> "Purged":
        return Purged(self.messages + other.messages, self.turns + other.turns, self.bytes_ + other.bytes_)


def expect(db: Db, session: int) -> None:
    """Count what goes of the session from now on, whoever deletes it, for `take_sum`."""
    db.execute("INSERT OR REPLACE INTO purged (session) VALUES (?)", (session,))


def take_sum(db: Db, session: int) -> Purged:
    """Return what has gone of the session since it was expected to; it is counted no more."""
    found = db.execute("SELECT messages, turns, bytes FROM purged WHERE session = ?", (session,)).fetchone()
    db.execute("DELETE FROM purged WHERE session = ?", (session,))
    return Purged(*found) if found is not None else Purged()


def purge_some(db: Db, index: SearchIndex, session: int) -> bool:
    """Delete some rows of a deleted session, at last its own; return whether there were some."""
    found = db.execute("SELECT key FROM session WHERE id = ?", (session,)).fetchone()
    if found is None or not hidden.is_deleted(found[0]):
        return False
    gone = (
        _purge_messages(db, index, session)
        or _purge_turns(db, session)
        or _purge_branches(db, session)
        or (Purged() if approvals.purge_some(db, session) else None)
        or _purge_last(db, session)
    )
    db.execute(
        "UPDATE purged SET messages = messages + ?, turns = turns + ?, bytes = bytes + ? WHERE session = ?",
        (gone.messages, gone.turns, gone.bytes_, session),
    )
    return True


def _purge_messages(db: Db, index: SearchIndex, session: int) -> Purged | None:
    first, last = transcript.message_ids(session, 0)
    found = message_piece(db, first, last)
    if found is None:
        return None
    db.recent.forget(session)
    gone_seq = index.forget(db, session, 0, transcript.seq_of(found[0]))
    found = message_piece(db, *transcript.message_ids(session, 0, gone_seq))
    if found is None:
        # Of the first one some is still in the index.
        return Purged()
    last, count, size_bytes = found
    db.execute("DELETE FROM message WHERE id BETWEEN ? AND ?", (first, last))
    return Purged(count, bytes_=size_bytes)


def _purge_turns(db: Db, session: int) -> Purged | None:
    turns = [n for (n,) in db.execute("SELECT n FROM turn WHERE session = ? LIMIT ?", (session, MOST_ROWS))]
    if not turns:
        return None
    for n in turns:
        db.execute("DELETE FROM started_call WHERE turn = ?", (n,))
        db.execute("DELETE FROM step_summary WHERE turn = ?", (n,))
        db.execute("DELETE FROM steer WHERE turn = ?", (n,))
        responses.delete(db, n)
        db.execute("DELETE FROM turn WHERE n = ?", (n,))
    return Purged(turns=len(turns))


def _purge_branches(db: Db, session: int) -> Purged | None:
    gone = db.execute(
        "DELETE FROM branch WHERE session = ? AND first_seq IN"
        " (SELECT first_seq FROM branch WHERE session = ? ORDER BY first_seq LIMIT ?)",
        (session, session, MOST_ROWS),
    ).rowcount
    return Purged() if gone else None


def _purge_last(db: Db, session: int) -> Purged:
    usage.take_from(db, session)
    for table in ("dispatch", "compaction", "agent_state", "delivered", "unseen"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (session,))
    queue.recount_running(db)
    db.execute("DELETE FROM session WHERE id = ?", (session,))
    return Purged()
