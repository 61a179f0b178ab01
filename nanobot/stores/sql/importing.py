"""A session made of messages that come from elsewhere, all or nothing."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from nanobot.core.message import Message
from nanobot.core.sessions import ImportedMessage
from nanobot.stores.sql import branches, catalogue, running, transcript
from nanobot.stores.sql.db import Db


def import_(
    db: Db,
    *,
    key: str,
    messages: Sequence[ImportedMessage],
    title: str | None,
    metadata: Mapping[str, str],
    now: float,
) -> int:
    """Make the session; return its number.

    Its replies are known again to clients that send their history along.
    """
    branches.refuse_existing(db, key)
    head = transcript.open_session(db, key, now)
    said: list[Message] = []
    for each, following in zip_longest(messages, messages[1:]):
        is_input = each.message.role == "user" or (
            each.is_input and not transcript.is_beginning(each.message)
        )
        said = [] if is_input else [*said, each.message]
        ends_turn = following is None or following.message.role == "user" or following.turn != each.turn
        reply = running.reply_of(said) if said and ends_turn and each.message.role == "assistant" else None
        transcript.append(
            db, head, (each.message,), turn=None, is_input=is_input, now=each.created_at, reply=reply
        )
        if ends_turn:
            said = []
    transcript.save_head(db, head)
    catalogue.label(db, head.session, title=title, metadata=metadata)
    return head.session
