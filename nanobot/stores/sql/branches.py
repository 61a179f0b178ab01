"""Branches of a transcript: what there is, go back to one, make a session of one.

A branch is named by its last message. What a turn leaves behind that is to leave no trace (`trace=False`, or
failed before it said anything) is in the rows, and shown nowhere.
"""

from itertools import pairwise

from nanobot.core.errors import MessageNotFound, SessionBusy, SessionExists
from nanobot.core.sessions import Branch
from nanobot.stores.sql import remembering, transcript
from nanobot.stores.sql.db import Db


def left_no_trace(db: Db) -> str:
    """Return the condition on a turn `t` that the transcript does not show it."""
    return f"({db.dialect.json_field('t.body', 'trace')} IS FALSE OR (t.status = 'failed' AND t.added = 0))"


def unseen(message: str) -> str:
    """Return the condition that the message with that id, a column, is in a stretch that no reader sees."""
    return (
        f"EXISTS (SELECT 1 FROM unseen u WHERE u.session = {message} >> {transcript.SEQ_BITS}"
        f" AND {message} & {transcript.SEQ_MASK} BETWEEN u.first_seq AND u.last_seq)"
    )


def tip_for_readers(db: Db) -> str:
    """Return the expression on a row of `session` for where its transcript ends for a reader: before a
    running turn that is to leave no trace.
    """
    return (
        "coalesce((SELECT t.base_tip FROM dispatch d JOIN turn t ON t.n = d.turn"
        f" WHERE d.session = session.id AND d.owner IS NOT NULL AND {left_no_trace(db)}), session.tip)"
    )


def shown_tip(db: Db, session: int) -> int:
    """Return where the transcript ends for a reader."""
    (tip,) = db.execute(
        f"SELECT {tip_for_readers(db)} FROM session WHERE session.id = ?", (session,)
    ).fetchone()
    return int(tip)


SETTLED_TIP = (
    "coalesce((SELECT t.base_tip FROM dispatch d JOIN turn t ON t.n = d.turn"
    " WHERE d.session = s.id AND d.owner IS NOT NULL), s.tip)"
)
"""The expression on a row of `session s` for where the transcript ended before the turn that runs now, if one
does.
"""


def settled_tip(db: Db, session: int) -> int:
    """Return where the transcript ended before the turn that runs now, if one does."""
    (tip,) = db.execute(f"SELECT {SETTLED_TIP} FROM session s WHERE s.id = ?", (session,)).fetchone()
    return int(tip)


def check_message(db: Db, session: int, seq: int) -> None:
    """Return where the session has that message, and shows it.

    Raises:
        MessageNotFound
    """
    found = db.execute(
        "SELECT 1 FROM message m LEFT JOIN turn t ON t.n = m.turn WHERE m.id = ?"
        f" AND {left_no_trace(db)} IS NOT TRUE AND NOT {unseen('m.id')}",
        (transcript.message_id(session, seq),),
    ).fetchone()
    if found is None:
        raise MessageNotFound(f"no message 'msg_{seq}' in this session")


def branches(db: Db, *, key: str) -> tuple[Branch, ...]:
    """Return the lines of messages that end where no other goes on, and the live one."""
    head = transcript.head_of(db, key)
    session = head.session
    parents = db.execute(
        "SELECT first_seq, parent_seq FROM branch WHERE session = ? ORDER BY first_seq", (session,)
    ).fetchall()
    starts = [(1, 0), *parents, (head.last_seq + 1, 0)]
    ends: dict[int, int] = {}
    for (first, parent), (beyond, _) in pairwise(starts):
        (end,) = db.execute(
            "SELECT max(m.id) FROM message m LEFT JOIN turn t ON t.n = m.turn"
            f" WHERE m.id BETWEEN ? AND ? AND {left_no_trace(db)} IS NOT TRUE AND NOT {unseen('m.id')}",
            transcript.message_ids(session, first, beyond - 1),
        ).fetchone()
        if end is not None:
            ends[transcript.seq_of(end)] = parent
    current = shown_tip(db, session)
    tips = (set(ends) - set(ends.values())) | ({current} if current else set())
    live = list(transcript.stretches(db, session, current))
    return tuple(_branch(db, session, tip, current, live) for tip in sorted(tips, reverse=True))


def _branch(db: Db, session: int, tip: int, current: int, live: list[tuple[int, int]]) -> Branch:
    mine = list(transcript.stretches(db, session, tip))
    shared = [
        min(last, other_last)
        for first, last in mine
        for other_first, other_last in live
        if max(first, other_first) <= min(last, other_last)
    ]
    (created_at,) = db.execute(
        "SELECT created_at FROM message WHERE id = ?", (transcript.message_id(session, tip),)
    ).fetchone()
    return Branch(tip, transcript.count(db, session, tip), max(shared, default=0), tip == current, created_at)


def rewind(db: Db, *, key: str, to: int, now: float) -> int:
    """Move the tip to a message; return the session's number."""
    head = transcript.head_of(db, key)
    if db.execute("SELECT 1 FROM dispatch WHERE session = ? LIMIT 1", (head.session,)).fetchone():
        raise SessionBusy(
            "a turn of this session runs or waits: wait for its end, or cancel it, before you rewind the"
            " session"
        )
    check_message(db, head.session, to)
    transcript.move_tip(db, head, to)
    transcript.touch_head(db, head, now)
    if head.has_facts:
        remembering.follow_tip(db, head.session, to)
    return head.session


def refuse_existing(db: Db, key: str) -> None:
    """Return where the key is free.

    Raises:
        SessionExists
    """
    if transcript.find_head(db, key) is not None:
        raise SessionExists(
            f"there is a session {key!r} already: name a key that is free, or delete it first"
        )
