"""Responses and conversations, as jobs of the writer and questions to the reader: sessions and turns under
OpenAI's newer names.
"""

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from nanobot.core.errors import (
    ConversationExists,
    ConversationNotFound,
    ItemNotFound,
    ResponseNotFound,
    SessionBusy,
    TurnNotFound,
)
from nanobot.core.message import Message
from nanobot.core.responses import Conversation, Item, ItemRef, Response
from nanobot.core.sessions import Direction
from nanobot.core.turn import Record
from nanobot.stores.sql import transcript, turns
from nanobot.stores.sql.transcript import TranscriptHead

Db = sqlite3.Connection
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


def is_detached(db: Db, turn_id: str) -> bool:
    """Return whether the turn runs to its end though nobody follows it."""
    found = db.execute(
        "SELECT r.detached FROM response r JOIN turn t ON t.n = r.turn WHERE t.id = ?", (turn_id,)
    ).fetchone()
    return found is not None and bool(found[0])


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


# Conversations ------------------------------------------------------------------------------------


def conversation(db: Db, key: str) -> Conversation:
    """Return the session as a conversation.

    Raises:
        ConversationNotFound
    """
    found = db.execute("SELECT created_at, metadata FROM session WHERE key = ?", (key,)).fetchone()
    if found is None:
        raise no_conversation(key)
    return Conversation(key, found[0], _decode_metadata(found[1]) if found[1] else {})


def no_conversation(key: str) -> ConversationNotFound:
    return ConversationNotFound(f"no conversation {key!r} here")


def create(
    db: Db, key: str, messages: Sequence[Message], metadata: Mapping[str, str], now: float
) -> Conversation:
    """Make a session that begins with `messages`.

    Raises:
        ConversationExists
    """
    if transcript.find_head(db, key) is not None:
        raise ConversationExists(
            f"the conversation {key!r} exists already: add items to it with POST /v1/conversations/ID/items"
        )
    head = transcript.open_session(db, key, now)
    transcript.append(db, head, messages, turn=None, is_input=True, now=now)
    transcript.touch_head(db, head, now)
    _note(db, head.session, metadata)
    return conversation(db, key)


def note(db: Db, key: str, metadata: Mapping[str, str]) -> Conversation:
    """Replace what clients noted beside the conversation.

    Raises:
        ConversationNotFound
    """
    _note(db, _place(db, key).session, metadata)
    return conversation(db, key)


def _note(db: Db, session: int, metadata: Mapping[str, str]) -> None:
    db.execute("UPDATE session SET metadata = ? WHERE id = ?", (turns.encode(metadata), session))


def add(db: Db, key: str, messages: Sequence[Message], now: float) -> tuple[Item, ...]:
    """Add `messages` at the end of the transcript.

    Raises:
        ConversationNotFound
        SessionBusy: a turn runs or waits, whose answer belongs right behind its question.
    """
    head = _place(db, key)
    if db.execute("SELECT 1 FROM dispatch WHERE session = ? LIMIT 1", (head.session,)).fetchone() is not None:
        raise SessionBusy("a turn of this conversation runs or waits: add items when it has ended")
    transcript.append(db, head, messages, turn=None, is_input=True, now=now)
    transcript.touch_head(db, head, now)
    first = head.last_seq - len(messages) + 1
    return tuple(
        Item(seq, ItemRef(None, seq), message, is_input=True) for seq, message in enumerate(messages, first)
    )


def items(db: Db, key: str, *, limit: int, past: int, order: Direction) -> tuple[Item, ...]:
    """Return messages of the live transcript: oldest first and past the message `past`, or newest first and
    before it (0: from the end).

    Raises: ConversationNotFound
    """
    head = _place(db, key)
    found: list[Item] = []
    for first, last in transcript.stretches_in(db, head.session, _shown_tip(db, head), order):
        low, high = (
            (max(first, past + 1), last) if order == "asc" else (first, min(last, past - 1) if past else last)
        )
        if low <= high:
            rows = db.execute(
                f"{_ITEM} AND m.seq BETWEEN ? AND ? ORDER BY m.seq {order} LIMIT ?",
                (head.session, low, high, limit - len(found)),
            )
            found.extend(_item(*row) for row in rows)
        if len(found) >= limit:
            break
    return tuple(found)


def item(db: Db, key: str, ref: ItemRef) -> Item:
    """Return one message of the live transcript.

    Raises:
        ConversationNotFound, ItemNotFound
    """
    head = _place(db, key)
    row = db.execute(f"{_ITEM} AND m.seq = ?", (head.session, _seq_of(db, head.session, ref))).fetchone()
    found = None if row is None else _item(*row)
    if found is None or found.ref != ref or not _is_shown(db, head, found.seq):
        raise ItemNotFound("no such item in this conversation")
    return found


def session_of(db: Db, turn_id: str) -> str:
    """Return the key of the session that the turn belongs to.

    Raises:
        TurnNotFound
    """
    found = db.execute(
        "SELECT s.key FROM turn t JOIN session s ON s.id = t.session WHERE t.id = ?", (turn_id,)
    ).fetchone()
    if found is None:
        raise TurnNotFound(f"no turn {turn_id!r} here")
    return str(found[0])


_ITEM = "SELECT m.seq, t.id, t.first_seq, m.body, m.is_input FROM message m LEFT JOIN turn t ON t.n = m.turn WHERE m.session = ?"


def _item(seq: int, turn_id: str | None, first_seq: int | None, body: bytes, is_input: int) -> Item:
    ref = ItemRef(turn_id, seq - (first_seq or 0)) if turn_id is not None else ItemRef(None, seq)
    return Item(seq, ref, transcript.decode(body), is_input=bool(is_input))


def _seq_of(db: Db, session: int, ref: ItemRef) -> int:
    if ref.turn_id is None:
        return ref.number
    found = db.execute(
        "SELECT first_seq FROM turn WHERE id = ? AND session = ?", (ref.turn_id, session)
    ).fetchone()
    return ref.number + found[0] if found is not None and found[0] is not None else 0


def _is_shown(db: Db, head: TranscriptHead, seq: int) -> bool:
    return any(
        first <= seq <= last
        for first, last in transcript.stretches_in(db, head.session, _shown_tip(db, head), "desc")
    )


def _shown_tip(db: Db, head: TranscriptHead) -> int:
    """Return where the transcript ends for who reads it: before a running turn that is to leave no trace."""
    found = db.execute(
        "SELECT t.base_tip, t.wish FROM dispatch d JOIN turn t ON t.n = d.turn WHERE d.session = ? AND d.running = 1",
        (head.session,),
    ).fetchone()
    return head.tip if found is None or turns.decode_wish(found[1]).trace else int(found[0])


def _place(db: Db, key: str) -> TranscriptHead:
    head = transcript.find_head(db, key)
    if head is None:
        raise no_conversation(key)
    return head
