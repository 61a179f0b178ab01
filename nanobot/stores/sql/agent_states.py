"""What the agent of a session keeps beside the transcript, along its messages; see `core.plan`."""

from collections.abc import Sequence

import msgspec

from nanobot.core.message import Message
from nanobot.core.plan import NO_STATE, AgentState
from nanobot.stores.sql import transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.transcript import TranscriptHead

_MOST_LOOKED_AT = 64
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AgentState).decode


def newest(db: Db, head: TranscriptHead) -> AgentState:
    """Return what the session keeps at its tip."""
    if not head.has_state:
        return NO_STATE
    found = db.execute(
        "SELECT seq, body FROM agent_state WHERE session = ? AND seq <= ? ORDER BY seq DESC LIMIT ?",
        (head.session, head.tip, 1 if head.is_straight else _MOST_LOOKED_AT),
    ).fetchall()
    for seq, body in found:
        if head.is_straight or transcript.is_on_line(db, head, seq):
            return _decode(body)
    return NO_STATE


def note(db: Db, head: TranscriptHead, messages: Sequence[Message]) -> None:
    """Keep what the results in `messages`, which are the newest, have changed."""
    changed = [
        result
        for message in messages
        if message.role == "tool"
        for result in message.tool_results
        if result.plan is not None or result.found
    ]
    if not changed:
        return
    state = newest(db, head)
    for result in changed:
        state = state.after(result.plan, result.found)
    _write(db, head, state)


def copy(db: Db, source: TranscriptHead, target: TranscriptHead) -> None:
    """Let the session `target` begin with what `source` keeps."""
    state = newest(db, source)
    if state != NO_STATE:
        _write(db, target, state)


def _write(db: Db, head: TranscriptHead, state: AgentState) -> None:
    db.execute(
        "INSERT INTO agent_state (session, seq, body) VALUES (?, ?, ?)"
        " ON CONFLICT (session, seq) DO UPDATE SET body = excluded.body",
        (head.session, head.tip, _encode(state)),
    )
    if not head.has_state:
        db.execute("UPDATE session SET has_state = 1 WHERE id = ?", (head.session,))
        head.has_state = True
