"""How much of a long job is done in one transaction: the turns of other sessions wait for no more."""

from collections.abc import Sequence

from nanobot.core.message import Audio, Image, Message, estimate_tokens
from nanobot.stores.sql.db import Db

_BYTES_A_TOKEN = 4
MOST_ROWS = 256
MOST_BYTES = 256 * 1024
"""So many rows are written or deleted, or the first that go past so many bytes."""


def message_piece(db: Db, first_id: int, last_id: int) -> tuple[int, int, int] | None:
    """Return the last message of a piece of the messages `first_id` to `last_id` that begins with the first
    of them, how many messages it has and how many bytes; None where there is no message.
    """
    rows = db.execute(
        "SELECT id, length(body) FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
        (first_id, last_id, MOST_ROWS),
    ).fetchall()
    count = size_bytes = 0
    for _, length in rows:
        count += 1
        size_bytes += length
        if size_bytes > MOST_BYTES:
            break
    return (rows[count - 1][0], count, size_bytes) if rows else None


def size_of(message: Message) -> int:
    """Return about how many bytes the message takes."""
    # Of pictures and recordings the model is charged for less than they have.
    media = sum(
        len(part.url) if isinstance(part, Image) else len(part.data)
        for part in message.parts
        if isinstance(part, Image | Audio)
    )
    return _BYTES_A_TOKEN * estimate_tokens(message) + media


def is_large(messages: Sequence[Message]) -> bool:
    """Return whether the messages have more bytes than go into one transaction with others."""
    return sum(map(size_of, messages)) > MOST_BYTES


def is_long(messages: Sequence[Message]) -> bool:
    """Return whether the messages are more than goes into one transaction."""
    return len(messages) > MOST_ROWS or is_large(messages)
