"""A long list of a client's messages is taken into the transcript a piece in a transaction.

The pieces become a branch that no reader sees, with numbers that are set aside for it at the beginning. The
turn that the list belongs to then begins at the end of that branch, which from then on is like any other. So
turns of other sessions are stored meanwhile, and the list is there whole or not at all.
"""

from collections.abc import Iterator, Sequence

import msgspec

from nanobot.core.errors import SessionBusy
from nanobot.core.message import Message
from nanobot.core.turn import HistoryNote
from nanobot.stores.sql import transcript
from nanobot.stores.sql.db import Db, SearchIndex
from nanobot.stores.sql.pieces import MOST_BYTES, MOST_ROWS, message_piece, size_of
from nanobot.stores.sql.transcript import TranscriptHead
from nanobot.stores.sql.turns import Plan


class Coming(msgspec.Struct, frozen=True):
    """A list that is being taken in: the numbers of its messages, where its branch stands so far, what the
    turn puts into the transcript, and what became of the client's messages.
    """

    first_seq: int
    last_seq: int
    head: TranscriptHead
    plan: Plan
    note: HistoryNote


def pieces(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Yield the messages, as many at a time as may go into one transaction."""
    piece: list[Message] = []
    size_bytes = 0
    for message in messages:
        piece.append(message)
        size_bytes += size_of(message)
        if len(piece) == MOST_ROWS or size_bytes > MOST_BYTES:
            yield piece
            piece, size_bytes = [], 0
    if piece:
        yield piece


def begin(db: Db, head: TranscriptHead, plan: Plan, note: HistoryNote, *, is_made: bool) -> Coming:
    """Set numbers aside for the earlier messages of the plan. No turn of the session waits or runs;
    `is_made`: the session was made for them.
    """
    base = head.tip if plan.base is None else plan.base
    before = head.last_seq
    first, last = before + 1, before + len(plan.earlier)
    db.execute("UPDATE session SET last_seq = ? WHERE id = ?", (last, head.session))
    db.execute(
        "INSERT INTO unseen (session, first_seq, last_seq, state, made) VALUES (?, ?, ?, 'coming', ?)",
        (head.session, first, last, is_made),
    )
    if base == before and before:
        # A stretch of its own, though it goes on where the one before ends.
        db.execute(
            "INSERT INTO branch (session, first_seq, parent_seq) VALUES (?, ?, ?)",
            (head.session, first, base),
        )
    at = TranscriptHead(head.session, 0, before, 0)
    transcript.move_tip(db, at, base)
    return Coming(first, last, at, plan, note)


def add(db: Db, coming: Coming, piece: Sequence[Message], now: float) -> Coming:
    """Take in a piece.

    Raises:
        SessionBusy: the session was deleted meanwhile.
    """
    found = db.execute(
        "SELECT 1 FROM unseen WHERE session = ? AND first_seq = ?", (coming.head.session, coming.first_seq)
    )
    if found.fetchone() is None:
        # What came now would never go again.
        raise _deleted()
    # A job may be run again: what was there before stays as it was.
    head = msgspec.structs.replace(coming.head)
    transcript.append(db, head, piece, turn=None, is_input=True, now=now)
    return msgspec.structs.replace(coming, head=head)


def finish(db: Db, coming: Coming, *, trace: bool) -> Plan:
    """Return what the turn of the list puts into the transcript: its input, behind the branch.

    Raises:
        SessionBusy: the session was deleted meanwhile.
    """
    where = (coming.head.session, coming.first_seq)
    if trace:
        done = db.execute("DELETE FROM unseen WHERE session = ? AND first_seq = ?", where)
    else:
        done = db.execute("UPDATE unseen SET state = 'kept' WHERE session = ? AND first_seq = ?", where)
    if not done.rowcount:
        raise _deleted()
    return msgspec.structs.replace(coming.plan, earlier=(), base=coming.last_seq)


def _deleted() -> SessionBusy:
    return SessionBusy("the session was deleted while its messages were taken in: send them again")


def leave(db: Db, coming: Coming) -> None:
    """Give up a list; `purge_left` deletes what there is of it."""
    db.execute(
        "UPDATE unseen SET state = 'left' WHERE session = ? AND first_seq = ? AND state = 'coming'",
        (coming.head.session, coming.first_seq),
    )


def leave_all(db: Db) -> None:
    """Give up the lists that were being taken in when the last server stopped."""
    db.execute("UPDATE unseen SET state = 'left' WHERE state = 'coming'")


def purge_left(db: Db, index: SearchIndex) -> bool:
    """Delete some of what is left of lists that were given up; return whether there was any."""
    found = db.execute(
        "SELECT session, first_seq, last_seq, made FROM unseen WHERE state = 'left' LIMIT 1"
    ).fetchone()
    if found is None:
        return False
    session, first, last, made = found
    piece = message_piece(db, *transcript.message_ids(session, first, last))
    if piece is not None:
        db.recent.forget(session)
        until = index.forget(db, session, first, transcript.seq_of(piece[0]))
        db.execute(
            "DELETE FROM message WHERE id BETWEEN ? AND ?", transcript.message_ids(session, first, until)
        )
        return True
    for table in ("unseen", "branch"):
        db.execute(f"DELETE FROM {table} WHERE session = ? AND first_seq = ?", (session, first))
    if made:
        # The session goes with the last list that was begun for it.
        db.execute("UPDATE unseen SET made = 1 WHERE session = ?", (session,))
        db.execute(
            "DELETE FROM session WHERE id = ? AND tip = 0"
            " AND NOT EXISTS (SELECT 1 FROM turn WHERE session = ?)"
            " AND NOT EXISTS (SELECT 1 FROM unseen WHERE session = ?)",
            (session, session, session),
        )
    return True
