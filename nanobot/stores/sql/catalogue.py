"""Sessions as a list: read, page, label, delete."""

from collections.abc import Mapping, Sequence

import msgspec

from nanobot.core.accounts import TurnCost
from nanobot.core.errors import SessionBusy, SessionNotFound
from nanobot.core.message import Message
from nanobot.core.sessions import ALL, Deletion, Direction, MessagePage, Row, Session, SessionFilter
from nanobot.core.workspace import SessionIdentity
from nanobot.stores.sql import branches, hidden, identities, queue, remembering, transcript, usage
from nanobot.stores.sql import uploads as files
from nanobot.stores.sql.db import Db

_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode


class Deleted(msgspec.Struct, frozen=True):
    """What went with a session: its number (None: there were only uploads), which turns had not ended, which
    uploads (whose content is still to go), what was spent on those turns, and what it was (its workspace is
    still to go).
    """

    key: str
    session: int | None
    removed: Deletion
    live: tuple[str, ...]
    files: tuple[str, ...]
    identity: SessionIdentity | None = None
    spent: Mapping[str, TurnCost] = {}


def sessions(
    db: Db, *, limit: int, after: str | None, order: Direction = "desc", matching: SessionFilter = ALL
) -> tuple[Session, ...]:
    """Return a page of sessions, most recently used first (`asc`: last)."""
    where, values = condition(db, after=after, order=order, matching=matching)
    rows = db.execute(
        f"SELECT {_columns(db)} FROM session WHERE {where} AND NOT {left_no_trace(db)}"
        f" ORDER BY {by_use(order)} LIMIT ?",
        (*values, limit),
    ).fetchall()
    return tuple(_session(db, *row) for row in rows)


def by_use(order: Direction) -> str:
    """Return the terms that sort sessions by their last use, the first of them in the order of an index."""
    return f"period {order}, updated_at {order}, id {order}"


def _columns(db: Db) -> str:
    tip = branches.tip_for_readers(db)
    return f"id, key, {tip}, created_at, updated_at, title, metadata, model, instructions"


def left_no_trace(db: Db) -> str:
    """Return the condition on a row of `session` that it is only there because of turns that leave no trace:
    the first of them opened it, and nothing is in it.
    """
    return (
        f"({branches.tip_for_readers(db)} = 0 AND title IS NULL AND metadata IS NULL AND EXISTS (SELECT 1"
        " FROM turn t WHERE t.session = session.id AND t.created_at = session.created_at"
        f" AND {db.dialect.json_field('t.body', 'trace')} IS FALSE))"
    )


def fitting(db: Db, column: str, matching: SessionFilter) -> tuple[str, list[str | float]]:
    """Return the condition that a column of session keys has one of those that are asked for, and its
    values.
    """
    where, values = ["TRUE"], list[str | float]()
    if matching.prefix:
        where.append(f"substr({column}, 1, ?) = ?")
        values += [len(matching.prefix), matching.prefix]
    if matching.patterns:
        where.append(f"({' OR '.join([db.dialect.matches(column)] * len(matching.patterns))})")
        values += [db.dialect.pattern(pattern) for pattern in matching.patterns]
    return " AND ".join(where), values


def condition(
    db: Db, *, after: str | None, order: Direction, matching: SessionFilter
) -> tuple[str, list[str | float]]:
    """Return the condition on rows of `session` that holds a list to `matching` and to what comes past
    `after`, and its values.

    Raises:
        SessionNotFound: there is no session `after` among them.
    """
    fits, values = fitting(db, "key", matching)
    where = [hidden.shown("key"), fits]
    if after is not None:
        found = db.execute(
            f"SELECT period, updated_at, id FROM session WHERE key = ? AND {' AND '.join(where)}",
            (after, *values),
        ).fetchone()
        if found is None:
            raise SessionNotFound(f"no session {after!r} here")
        past = "<" if order == "desc" else ">"
        where.append(f"period {past}= ? AND (updated_at, id) {past} (?, ?)")
        values += found
    return " AND ".join(where), values


def session(db: Db, *, key: str) -> Session:
    """Return one session."""
    return session_of(db, transcript.head_of(db, key).session)


def session_of(db: Db, number: int) -> Session:
    """Return the session with that number, which is there."""
    return _session(db, *db.execute(f"SELECT {_columns(db)} FROM session WHERE id = ?", (number,)).fetchone())


def _session(
    db: Db,
    number: int,
    key: str,
    tip: int,
    created_at: float,
    updated_at: float,
    title: str | None,
    metadata: bytes | None,
    model: str | None,
    instructions: str | None,
) -> Session:
    labels = _decode_metadata(metadata) if metadata else {}
    return Session(
        key, transcript.count(db, number, tip), created_at, updated_at, title, labels, model, instructions
    )


def rename(
    db: Db, *, key: str, title: str | msgspec.UnsetType | None, metadata: Mapping[str, str]
) -> Session:
    """Set title (unset: leave it) and metadata."""
    number = transcript.head_of(db, key).session
    if isinstance(title, msgspec.UnsetType):
        (kept,) = db.execute("SELECT title FROM session WHERE id = ?", (number,)).fetchone()
        label(db, number, title=kept, metadata=metadata)
    else:
        label(db, number, title=title, metadata=metadata)
    return session_of(db, number)


def label(db: Db, number: int, *, title: str | None, metadata: Mapping[str, str]) -> None:
    """Set title and metadata of the session with that number."""
    db.execute(
        "UPDATE session SET title = ?, metadata = ? WHERE id = ?",
        (title, msgspec.json.encode(metadata) if metadata else None, number),
    )


def choose_model(db: Db, *, key: str, preset: str | None) -> Session:
    """Let the model of `preset` answer from now on."""
    number = transcript.head_of(db, key).session
    db.execute("UPDATE session SET model = ? WHERE id = ?", (preset, number))
    return session_of(db, number)


def instruct(db: Db, *, key: str, instructions: str | None) -> Session:
    """Have the agent told `instructions` from now on."""
    number = transcript.head_of(db, key).session
    db.execute("UPDATE session SET instructions = ? WHERE id = ?", (instructions, number))
    return session_of(db, number)


def messages(
    db: Db,
    *,
    key: str,
    limit: int,
    after_seq: int,
    order: Direction = "asc",
    tip: int | None = None,
    max_bytes: int | None = None,
) -> MessagePage:
    """Return a page of the live transcript, or of the line of messages that ends at `tip`."""
    head = transcript.head_of(db, key)
    if tip is None:
        tip = branches.shown_tip(db, head.session)
    else:
        branches.check_message(db, head.session, tip)
    return transcript.page(
        db, head.session, tip, limit=limit, after_seq=after_seq, order=order, max_bytes=max_bytes
    )


def message_page(
    db: Db,
    *,
    key: str,
    limit: int,
    after_seq: int,
    order: Direction,
    tip: int | None,
    max_bytes: int,
) -> MessagePage:
    """Return a page; see `core.sessions.Sessions.message_page`."""
    if after_seq:
        branches.check_message(db, transcript.head_of(db, key).session, after_seq)
    return messages(db, key=key, limit=limit, after_seq=after_seq, order=order, tip=tip, max_bytes=max_bytes)


def add_messages(db: Db, *, key: str, messages: Sequence[Message], now: float) -> tuple[Row, ...]:
    """Add `messages` at the end of the transcript; see `core.sessions.Sessions.add_messages`."""
    head = transcript.head_of(db, key)
    if db.execute("SELECT 1 FROM dispatch WHERE session = ? LIMIT 1", (head.session,)).fetchone() is not None:
        raise SessionBusy("a turn of this conversation runs or waits: add items when it has ended")
    transcript.append(db, head, messages, turn=None, is_input=True, now=now)
    transcript.touch_head(db, head, now)
    first = head.last_seq - len(messages) + 1
    return tuple(transcript.row(db, head.session, seq) for seq in range(first, head.last_seq + 1))


def delete(db: Db, *, key: str, keeps_facts: bool = False) -> Deleted:
    """Let the session be seen no more, and end its turns; uploads and facts may be there before the session
    is. `keeps_facts`: as `remembering.forget_session` takes it.

    Its messages and turns are still to go, with `purging.purge_some`: `removed` counts the others only.
    """
    facts = remembering.forget_session(db, key, keeps=keeps_facts)
    uploads_bytes = files.size_of(db, key)
    uploads = files.delete_of(db, key)
    removed = Deletion(0, 0, len(uploads), uploads_bytes, facts)
    head = transcript.find_head(db, key) if uploads or facts else transcript.head_of(db, key)
    if head is None:
        return Deleted(key, None, removed, (), uploads)
    live = [
        id_
        for (id_,) in db.execute(
            "SELECT t.id FROM dispatch d JOIN turn t ON t.n = d.turn WHERE d.session = ?", (head.session,)
        )
    ]
    # What still runs them finds that they are over.
    db.execute(
        "UPDATE turn SET status = 'cancelled' WHERE n IN (SELECT turn FROM dispatch WHERE session = ?)",
        (head.session,),
    )
    identity = identities.identity(db, key=key)
    usage.take_from(db, head.session)
    for table in ("dispatch", "delivered", "unseen", "imported", "extraction"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (head.session,))
    queue.recount_running(db)
    hidden.hide(db, head.session)
    return Deleted(key, head.session, removed, tuple(live), uploads, identity)
