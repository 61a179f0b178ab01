"""A session made of the beginning of another, a piece in a transaction, all or nothing."""

import msgspec

from nanobot.core.errors import SessionNotFound
from nanobot.stores.sql import agent_states, branches, hidden, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.pieces import message_piece


class Fork(msgspec.Struct, frozen=True):
    """A fork that is being made: its number, its last message so far, and the stretches of messages of
    `source`, up to `until`, oldest first, that it still lacks.
    """

    session: int
    source: int
    until: int
    rest: tuple[tuple[int, int], ...]
    tip: int = 0


def begin(db: Db, *, key: str, new_key: str, making: str, at: int | None, now: float) -> Fork:
    """Begin to copy the messages up to `at` into a new session, which has the key `making` so far.

    Raises:
        SessionNotFound, MessageNotFound
        SessionExists: there is a session `new_key`.
    """
    head = transcript.head_of(db, key)
    tip = at if at is not None else branches.settled_tip(db, head.session)
    if at is not None:
        branches.check_message(db, head.session, at)
    branches.refuse_existing(db, new_key)
    new = transcript.open_session(db, making, now)
    stretches = transcript.stretches_in(db, head.session, tip, "asc")
    return Fork(new.session, head.session, tip, tuple(stretches))


def copy_some(db: Db, fork: Fork) -> Fork:
    """Copy some of what the fork lacks. Messages belong to no turn there: turns stay with their session."""
    (first, last), *others = fork.rest
    found = message_piece(db, *transcript.message_ids(fork.source, first, last))
    if found is None:
        return msgspec.structs.replace(fork, rest=tuple(others))
    until = transcript.seq_of(found[0])
    shift = transcript.message_id(fork.session, fork.tip + 1) - transcript.message_id(fork.source, first)
    db.execute(
        "INSERT INTO message (id, session, turn, is_input, tokens, digest, created_at, body)"
        " SELECT id + ?, ?, NULL, is_input, tokens, digest, created_at, body FROM message"
        " WHERE id BETWEEN ? AND ?",
        (shift, fork.session, *transcript.message_ids(fork.source, first, until)),
    )
    rest = ((until + 1, last), *others) if until < last else tuple(others)
    return msgspec.structs.replace(fork, rest=rest, tip=fork.tip + until - first + 1)


def finish(db: Db, fork: Fork, *, key: str, new_key: str) -> None:
    """Let the fork, which lacks nothing, be seen.

    Raises:
        SessionNotFound: the source was deleted meanwhile.
        SessionExists: there is a session `new_key` by now.
    """
    source = transcript.find_head(db, key)
    if source is None or source.session != fork.source:
        raise SessionNotFound(f"no session {key!r} here")
    branches.refuse_existing(db, new_key)
    head = transcript.TranscriptHead(fork.session, 0, fork.tip, 0)
    transcript.move_tip(db, head, fork.tip)
    transcript.save_head(db, head)
    transcript.move_tip(db, source, fork.until)
    agent_states.copy(db, source, head)
    db.execute(
        "UPDATE session SET (title, model, instructions) = (SELECT title, model, instructions FROM session"
        " WHERE id = ?) WHERE id = ?",
        (fork.source, fork.session),
    )
    hidden.show(db, fork.session, new_key)
