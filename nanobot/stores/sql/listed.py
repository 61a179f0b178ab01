"""A client's list that was read of the session: the rows of the transcript themselves.

Clients hold one reply a turn, and that is what lists are compared by (`matching`). Who reads the messages of
a session gets more of them: the server's own calls and their results, and an answer that was cut off or
begun by the client in the pieces that it came in.
"""

from collections.abc import Iterable

from nanobot.core.message import Message
from nanobot.core.visible import START, place_after, place_of
from nanobot.stores.sql import transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.transcript import TranscriptHead

_MOST_LISTED = 1024
"""How many messages such a list may have: as many rows are read."""
_MOST_BLANK = 64
"""How many rows beside them may have nothing in them that a client can hold, such as thoughts alone."""


def is_as_listed(db: Db, head: TranscriptHead, sent: tuple[Message, ...], *, is_whole: bool) -> bool:
    """Return whether the messages that a client sent are the last rows of the transcript; where they are the
    whole conversation (`is_whole`), all of them.
    """
    held = _held(sent)
    if not held or len(held) > _MOST_LISTED or head.tip == 0:
        return False
    last = transcript.row(db, head.session, head.tip).message
    # Where this differs, as in most lists that depart from the transcript, no more is read.
    if place_after(START, last) != place_after(START, held[-1]):
        return False
    read = transcript.page(
        db, head.session, head.tip, limit=len(held) + _MOST_BLANK, after_seq=0, order="desc"
    )
    listed = _held(row.message for row in reversed(read.rows))
    if is_whole and (read.has_more or len(listed) != len(held)):
        return False
    return place_of(listed[-len(held) :]) == place_of(held)


def _held(messages: Iterable[Message]) -> list[Message]:
    """Return those that have something in them."""
    return [message for message in messages if message.tool_results or place_after(START, message) != START]
