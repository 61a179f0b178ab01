"""A session made of messages that come from elsewhere, a piece in a transaction, all or nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from nanobot.core.message import Message
from nanobot.core.sessions import ImportedMessage
from nanobot.stores.sql import branches, catalogue, hidden, running, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.pieces import MOST_BYTES, MOST_ROWS, size_of
from nanobot.stores.sql.transcript import TranscriptHead


class TakenMessage(msgspec.Struct, frozen=True):
    """A message as the transcript takes it in; `reply`: what clients hold of the turn that ends with it."""

    message: Message
    is_input: bool
    created_at: float
    reply: Message | None


def pieces(
    messages: Iterable[ImportedMessage], *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES
) -> Iterator[Sequence[TakenMessage]]:
    """Yield the messages, as many at a time as may go into one transaction."""
    piece: list[TakenMessage] = []
    size_bytes = 0
    for taken in _taken(messages):
        piece.append(taken)
        size_bytes += size_of(taken.message)
        if len(piece) == most_rows or size_bytes > most_bytes:
            yield piece
            piece, size_bytes = [], 0
    if piece:
        yield piece


def _taken(messages: Iterable[ImportedMessage]) -> Iterator[TakenMessage]:
    """Yield the messages; replies are known again to clients that send their history along."""
    said: list[Message] = []
    rest = iter(messages)
    each = next(rest, None)
    while each is not None:
        following = next(rest, None)
        is_input = each.is_input or each.message.role == "user"
        if is_input:
            said = []
        else:
            said.append(each.message)
        ends_turn = following is None or following.message.role == "user" or following.turn != each.turn
        reply = running.reply_of(said) if said and ends_turn and each.message.role == "assistant" else None
        yield TakenMessage(each.message, is_input, each.created_at, reply)
        if ends_turn:
            said = []
        each = following


def begin(db: Db, *, key: str, making: str, now: float) -> TranscriptHead:
    """Begin to make the session `key`, which has the key `making` so far.

    Raises:
        SessionExists
    """
    branches.refuse_existing(db, key)
    return transcript.open_session(db, making, now)


def add(db: Db, head: TranscriptHead, piece: Sequence[TakenMessage]) -> TranscriptHead:
    """Add a piece; return where the transcript stands then."""
    # A job may be run again: what was there before stays as it was.
    head = msgspec.structs.replace(head)
    for each in piece:
        transcript.append(
            db,
            head,
            (each.message,),
            turn=None,
            is_input=each.is_input,
            now=each.created_at,
            reply=each.reply,
        )
    return head


def finish(db: Db, head: TranscriptHead, *, key: str, title: str | None, metadata: Mapping[str, str]) -> None:
    """Let the session, which is whole, be seen.

    Raises:
        SessionExists: there is one by now.
    """
    branches.refuse_existing(db, key)
    transcript.save_head(db, head)
    catalogue.label(db, head.session, title=title, metadata=metadata)
    hidden.show(db, head.session, key)
