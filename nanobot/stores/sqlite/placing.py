"""Rows of before there were places (`core.visible`) get theirs, a bounded piece in a transaction.

Where a process is killed, the next one goes on behind the last piece that was committed.
"""

from nanobot.core.message import Message
from nanobot.core.visible import place_after, unpacked
from nanobot.stores.sql import running, transcript
from nanobot.stores.sqlite import moving
from nanobot.stores.sqlite.connection import Connection


def place_rows(db: Connection) -> None:
    """Give every message that clients can hold its place, and every session that of its tip."""
    while True:
        with db.transaction():
            if not _place_some(db):
                return


def _place_some(db: Connection) -> int:
    """Place some messages, in the order of their ids; return how many rows were looked at."""
    (done,) = db.execute("SELECT id FROM placed").fetchone()
    rows = db.execute(
        "SELECT id, session, turn, is_input, digest, body FROM message WHERE id > ? ORDER BY id LIMIT ?",
        (done, moving.MOST_ROWS),
    )
    count = size_bytes = 0
    last = done
    for last, session, turn, is_input, digest, body in rows:
        message = transcript.decode(body)
        visible: Message | None = None
        if is_input or message.role == "user":
            visible = message
        elif digest is not None:
            visible = running.reply_of(_said(db, last, turn))
        _place(db, session, last, visible)
        count += 1
        size_bytes += len(body)
        if size_bytes > moving.MOST_BYTES:
            break
    rows.close()
    db.execute("UPDATE placed SET id = ?", (last,))
    return count


def _place(db: Connection, session: int, id_: int, visible: Message | None) -> None:
    """Write the place of one row, and of its session where the transcript ends with it."""
    seq = transcript.seq_of(id_)
    branch = db.execute(
        "SELECT parent_seq FROM branch WHERE session = ? AND first_seq = ?", (session, seq)
    ).fetchone()
    before = transcript.place_at(db, session, seq - 1 if branch is None else branch[0])
    after = before
    if visible is not None:
        calls = (
            transcript.open_calls(db, session, seq - 1 if branch is None else branch[0])
            if visible.role == "tool"
            else {}
        )
        after = place_after(unpacked(before), visible, calls).packed()
    db.execute("UPDATE message SET digest = ? WHERE id = ?", (None if after == before else after, id_))
    db.execute("UPDATE session SET place = ? WHERE id = ? AND tip = ?", (after, session, seq))


def _said(db: Connection, id_: int, turn: int | None) -> list[Message]:
    """Return what was said up to the last message of a reply: by its turn, or since something else that
    clients hold.
    """
    said: list[Message] = []
    session = id_ >> transcript.SEQ_BITS
    for own_turn, is_input, digest, body in db.execute(
        "SELECT turn, is_input, digest, body FROM message WHERE id BETWEEN ? AND ? ORDER BY id DESC",
        (*transcript.message_ids(session, 0)[:1], id_),
    ):
        message = transcript.decode(body)
        if own_turn != turn or is_input or (turn is None and said and digest is not None):
            break
        said.insert(0, message)
    return said
