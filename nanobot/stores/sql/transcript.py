"""The transcript: append, branch, read back from the tip.

Rows of a session are numbered once and forever. A branch says from which number on the transcript hangs on
an older one, so that rewinding moves the tip and writes nothing over.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from nanobot.core.errors import SessionNotFound
from nanobot.core.message import Message, ToolCall, estimate_tokens
from nanobot.core.sessions import Direction, MessagePage, Row
from nanobot.core.visible import START, place_after, unpacked
from nanobot.stores.sql import hidden
from nanobot.stores.sql.db import Db, Value, among

decode = msgspec.json.Decoder(Message).decode


SEQ_BITS = 32
"""A message's id is `session << SEQ_BITS | seq`: the messages of a session lie together."""
SEQ_MASK = (1 << SEQ_BITS) - 1
_START = START.packed()
_PERIOD_S = 300


def message_id(session: int, seq: int) -> int:
    """Return the id of a message."""
    return session << SEQ_BITS | seq


def message_ids(session: int, first: int, last: int = SEQ_MASK) -> tuple[int, int]:
    """Return the ids of the first and the last message of a stretch."""
    return session << SEQ_BITS | first, session << SEQ_BITS | last


def seq_of(message_id: int) -> int:
    """Return the message's number in its session."""
    return message_id & SEQ_MASK


class TranscriptHead(msgspec.Struct):
    """Where a session's transcript stands while a job writes to it; `tokens` is what has been said up to the
    tip, `place` the packed place of clients that hold all of it (`core.visible`).

    `is_straight`: it is known to have no branch, so that none need be looked for. `period`: that of its last
    use, None where it was not looked up. `has_facts`: turns of it have written facts, which follow its tip.
    `has_state`: its agent has kept something beside the transcript.
    """

    session: int
    tip: int
    last_seq: int
    tokens: int
    place: bytes = _START
    is_straight: bool = False
    period: int | None = None
    has_facts: bool = False
    has_state: bool = False


NO_HEAD = TranscriptHead(0, 0, 0, 0)
"""Where a session stands that there is not yet."""


def find_head(db: Db, key: str) -> TranscriptHead | None:
    """Return where the session stands, None where there is none."""
    found = db.execute(f"SELECT {HEAD_COLUMNS} FROM session s WHERE s.key = ?", (key,)).fetchone()
    return head_from(*found) if found else None


HEAD_COLUMNS = "s.id, s.tip, s.last_seq, s.tip_tokens, s.place, s.has_facts, s.has_state"
"""What `head_from` takes of a row of `session s`."""


def head_from(
    session: int, tip: int, last_seq: int, tokens: int, place: bytes, has_facts: int, has_state: int
) -> TranscriptHead:
    """Return where a session stands by these columns of its row."""
    return TranscriptHead(
        session, tip, last_seq, tokens, place, has_facts=bool(has_facts), has_state=bool(has_state)
    )


def head_of(db: Db, key: str) -> TranscriptHead:
    """Return where the session stands.

    Raises:
        SessionNotFound
    """
    head = find_head(db, key)
    if head is None:
        raise SessionNotFound(f"no session {key!r} here")
    return head


def move_tip(db: Db, head: TranscriptHead, seq: int) -> None:
    """Rewind the transcript, or take it to another branch; the caller saves the head."""
    head.tip = seq
    head.tokens = tokens_at(db, head.session, seq)
    head.place = place_at(db, head.session, seq)


def open_session(db: Db, key: str, now: float) -> TranscriptHead:
    """Create a session; return the head of its transcript."""
    period = period_of(now)
    number = db.insert(
        "INSERT INTO session (id, key, created_at, updated_at, period, person, group_name)"
        f" VALUES ({db.dialect.new_number('session')}, ?, ?, ?, ?, ?, ?)",
        (key, now, now, period, *hidden.owners(db, key)),
    )
    return TranscriptHead(number, 0, 0, 0, is_straight=True, period=period)


_ROWS_A_STATEMENT = 32
"""After each statement, this thread waits until others hand it the interpreter."""
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT = "INSERT INTO message (id, session, turn, is_input, tokens, digest, created_at, body) VALUES "
_INSERT_ONE = _INSERT + _ROW
_INSERT_MANY = _INSERT + ", ".join([_ROW] * _ROWS_A_STATEMENT)


def append(
    db: Db,
    head: TranscriptHead,
    messages: Sequence[Message],
    *,
    turn: int | None,
    is_input: bool,
    now: float,
    reply: Message | None = None,
) -> None:
    """Add `messages` at the tip and move it; the caller saves the head.

    Clients hold inputs and what users say meanwhile; of a turn's own messages they hold the `reply`, once the
    last of them has come.
    """
    if not messages:
        return
    calls: dict[str, ToolCall] = {}
    if is_input and any(message.role == "tool" for message in messages):
        calls = open_calls(db, head.session, head.tip)
    if head.tip != head.last_seq:
        db.execute(
            "INSERT INTO branch (session, first_seq, parent_seq) VALUES (?, ?, ?)",
            (head.session, head.last_seq + 1, head.tip),
        )
        head.is_straight = False
    last = messages[-1]
    rows: list[tuple[Value, ...]] = []
    for message in messages:
        head.last_seq += 1
        head.tokens += estimate_tokens(message)
        is_held = message.role == "user" or (is_input and not is_beginning(message))
        visible = message if is_held else reply if message is last else None
        place = None
        if visible is not None:
            after = db.prepared.place_after(unpacked(head.place), visible, calls).packed()
            if after != head.place:
                head.place = place = after
            if is_input and message.role == "assistant":
                calls |= {call.id: call for call in message.tool_calls}
        id_, body = message_id(head.session, head.last_seq), db.prepared.body_of(message)
        rows.append((id_, head.session, turn, is_input, head.tokens, place, now, body))
    alone = len(rows) % _ROWS_A_STATEMENT
    for row in rows[:alone]:
        db.execute(_INSERT_ONE, row)
    for start in range(alone, len(rows), _ROWS_A_STATEMENT):
        db.execute(_INSERT_MANY, tuple(chain.from_iterable(rows[start : start + _ROWS_A_STATEMENT])))
    head.tip = head.last_seq


def is_beginning(message: Message) -> bool:
    """Return whether the input ends with the beginning of an answer: clients hold it as part of the reply."""
    return message.role == "assistant" and message.stop_reason == "length"


def save_head(db: Db, head: TranscriptHead) -> None:
    db.execute(
        "UPDATE session SET tip = ?, last_seq = ?, tip_tokens = ?, place = ? WHERE id = ?",
        (head.tip, head.last_seq, head.tokens, head.place, head.session),
    )


def touch_head(db: Db, head: TranscriptHead, now: float) -> None:
    """Save the head of a session that is being used now."""
    db.execute(
        "UPDATE session SET tip = ?, last_seq = ?, tip_tokens = ?, place = ?, updated_at = ? WHERE id = ?",
        (head.tip, head.last_seq, head.tokens, head.place, now, head.session),
    )
    if head.period != (period := period_of(now)):
        db.execute("UPDATE session SET period = ? WHERE id = ?", (period, head.session))
        head.period = period


def period_of(now: float) -> int:
    """Return the five minutes in which a session that is used now stands in the index of sessions by their
    use: what is used again in the same five minutes stays where it is there.
    """
    return int(now // _PERIOD_S)


def is_on_line(db: Db, head: TranscriptHead, seq: int) -> bool:
    """Return whether the transcript up to the tip leads through the message `seq`."""
    return any(first <= seq <= last for first, last in stretches(db, head.session, head.tip))


def tokens_at(db: Db, session: int, seq: int) -> int:
    """Return what the transcript up to the message `seq` costs."""
    if seq == 0:
        return 0
    found = db.execute("SELECT tokens FROM message WHERE id = ?", (message_id(session, seq),)).fetchone()
    return int(found[0])


def place_at(db: Db, session: int, seq: int) -> bytes:
    """Return the packed place of clients that hold the transcript up to the message `seq`."""
    for first, last in stretches(db, session, seq):
        found = db.execute(
            "SELECT digest FROM message WHERE id BETWEEN ? AND ? AND digest IS NOT NULL"
            " ORDER BY id DESC LIMIT 1",
            message_ids(session, first, last),
        ).fetchone()
        if found is not None:
            return bytes(found[0])
    return _START


def mark_reply(db: Db, head: TranscriptHead, reply: Message) -> None:
    """Note that clients which hold this reply stand at the last message, which is at the tip already."""
    place = place_after(unpacked(head.place), reply).packed()
    if place == head.place:
        return
    head.place = place
    db.execute("UPDATE message SET digest = ? WHERE id = ?", (place, message_id(head.session, head.last_seq)))


# Reading ------------------------------------------------------------------------------------------


def stretches(db: Db, session: int, tip: int) -> Iterator[tuple[int, int]]:
    """Yield `(first, last)` of the stretches of rows that make up the transcript which ends at `tip`, newest
    first.
    """
    last = tip
    while last > 0:
        found = db.execute(
            "SELECT first_seq, parent_seq FROM branch WHERE session = ? AND first_seq <= ?"
            " ORDER BY first_seq DESC LIMIT 1",
            (session, last),
        ).fetchone()
        first, parent = found or (1, 0)
        yield first, last
        last = parent


def stretches_in(db: Db, session: int, tip: int, order: Direction) -> Iterator[tuple[int, int]]:
    """Yield the stretches of rows that make up the transcript which ends at `tip`, the newest or the oldest
    first.
    """
    newest_first = stretches(db, session, tip)
    return newest_first if order == "desc" else reversed(list(newest_first))


_ROW = (
    "SELECT m.id, t.id, t.first_seq, m.body, m.tokens, m.created_at, m.is_input"
    " FROM message m LEFT JOIN turn t ON t.n = m.turn WHERE m.id"
)
_BODY = 3


def page(
    db: Db,
    session: int,
    tip: int,
    *,
    limit: int,
    after_seq: int,
    order: Direction = "asc",
    max_bytes: int | None = None,
) -> MessagePage:
    """Return up to `limit` rows of the transcript that ends at `tip`, oldest first and past `after_seq`; with
    `desc` newest first and before it.

    `max_bytes`: the bodies of more than one row take at most as much.
    """
    rows: list[Row] = []
    size = 0
    newest_first = stretches(db, session, tip)
    for first, last in newest_first if order == "desc" else reversed(list(newest_first)):
        low, high = (
            (max(first, after_seq + 1), last)
            if order == "asc"
            else (first, min(last, after_seq - 1) if after_seq else last)
        )
        if low > high:
            continue
        found = db.execute(
            f"{_ROW} BETWEEN ? AND ? ORDER BY m.id {order} LIMIT ?",
            # One more than the limit shows that there are others.
            (*message_ids(session, low, high), limit - len(rows) + 1),
        )
        for values in found:
            more = size + len(values[_BODY])
            if len(rows) == limit or (rows and max_bytes is not None and more > max_bytes):
                return MessagePage(tuple(rows), size, True)
            rows.append(_row(*values))
            size = more
    return MessagePage(tuple(rows), size, False)


def row(db: Db, session: int, seq: int) -> Row:
    """Return one row that is there."""
    return _row(*db.execute(f"{_ROW} = ?", (message_id(session, seq),)).fetchone())


def rows(db: Db, ids: Sequence[int]) -> dict[int, Row]:
    """Return rows that are there, by the ids of their messages."""
    if not ids:
        return {}
    marks, bound = among(ids)
    found = db.execute(f"{_ROW} IN {marks}", bound).fetchall()
    return {values[0]: _row(*values) for values in found}


def _row(
    id_: int,
    turn_id: str | None,
    first_seq: int | None,
    body: bytes,
    tokens: int,
    created_at: float,
    is_input: int,
) -> Row:
    seq = seq_of(id_)
    number = seq if turn_id is None else seq - (first_seq or 0)
    return Row(seq, turn_id, decode(body), tokens, created_at, number, bool(is_input))


def count(db: Db, session: int, tip: int) -> int:
    """Return how many messages the live transcript has."""
    return sum(last - first + 1 for first, last in stretches(db, session, tip))


def of_turn(
    db: Db, session: int, turn: int, span: tuple[int | None, int | None], *, inputs: bool
) -> tuple[Message, ...]:
    """Return the turn's input (`inputs`), or the messages that it added; `span` is its first and last seq."""
    if span[0] is None:
        return ()
    rows = db.execute(
        "SELECT body FROM message WHERE id BETWEEN ? AND ? AND turn = ? AND is_input = ? ORDER BY id",
        (message_id(session, span[0]), message_id(session, span[1] or 0), turn, inputs),
    )
    return tuple(decode(body) for (body,) in rows)


def last_of_turn(db: Db, session: int, turn: int, span: tuple[int | None, int | None]) -> int:
    """Return the seq of the turn's last message, its input included."""
    (last,) = db.execute(
        "SELECT max(id) FROM message WHERE id BETWEEN ? AND ? AND turn = ?",
        (*message_ids(session, span[0] or 0, span[1] or 0), turn),
    ).fetchone()
    return seq_of(last)


def disown(db: Db, session: int, turn: int, span: tuple[int | None, int | None]) -> None:
    """Leave the messages of a stretch where they are, but take them from the turn: it begins again, or has
    moved.
    """
    db.execute(
        "UPDATE message SET turn = NULL WHERE id BETWEEN ? AND ? AND turn = ?",
        (*message_ids(session, span[0] or 0, span[1] or 0), turn),
    )


# Calls of clients ---------------------------------------------------------------------------------


def open_calls(db: Db, session: int, tip: int) -> dict[str, ToolCall]:
    """Return the client's calls that wait for their result in the transcript which ends at `tip`, by their
    ids.
    """
    answered: set[str] = set()
    for first, last in stretches(db, session, tip):
        for (body,) in db.execute(
            "SELECT body FROM message WHERE id BETWEEN ? AND ? ORDER BY id DESC",
            message_ids(session, first, last),
        ):
            message = decode(body)
            if message.role == "assistant":
                return {call.id: call for call in message.client_calls if call.id not in answered}
            answered.update(result.call_id for result in message.tool_results)
    return {}
