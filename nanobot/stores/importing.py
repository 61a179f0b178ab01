"""A session made of messages that come from elsewhere, all or nothing."""

import sqlite3
from collections.abc import Mapping, Sequence

from nanobot.core.message import Message, reply_text
from nanobot.core.store import Given
from nanobot.stores import branches, catalogue, transcript

Db = sqlite3.Connection


def import_(db: Db, *, key: str, given: Sequence[Given], title: str | None, metadata: Mapping[str, str], now: float) -> int:
    """Make the session; return its number. Its replies are known again to clients that send their history along."""
    branches.refuse_existing(db, key)
    place = transcript.open_session(db, key, now)
    said: list[Message] = []
    for each, following in zip(given, [*given[1:], None], strict=True):
        is_input = each.message.role == "user"
        said = [] if is_input else [*said, each.message]
        ends_turn = following is None or following.message.role == "user" or following.turn != each.turn
        reply = reply_text(tuple(said)) or None if ends_turn and each.message.role == "assistant" else None
        transcript.append(db, place, (each.message,), turn=None, is_input=is_input, now=each.created_at, reply=reply)
        if ends_turn:
            said = []
    transcript.save_place(db, place)
    catalogue.label(db, place.session, title=title, metadata=metadata)
    return place.session
