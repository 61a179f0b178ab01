"""Summaries that stand for the beginning of a transcript: written, and found again on its live line."""

from collections.abc import Callable, Iterator

import msgspec

from nanobot.core.compaction import Compacted, Summary, Unsummarised
from nanobot.core.dispatch import History
from nanobot.core.message import Message, Text, estimate_tokens
from nanobot.stores.sql import agent_states, branches, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.pieces import MOST_ROWS
from nanobot.stores.sql.transcript import TranscriptHead
from nanobot.stores.sql.window import ANY_BYTES, newest_messages

SHORTEST_TOKENS = 512
"""Conversations that are shorter have no summary, so that none need be looked for."""
_MOST_LOOKED_AT = 64
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Compacted).decode


def newest(db: Db, head: TranscriptHead) -> tuple[int, Summary] | None:
    """Return the summary that stands for most of the transcript up to the tip, and the last message that it
    stands for.
    """
    if head.tokens < SHORTEST_TOKENS:
        return None
    before = head.tip + 1
    # One at a time: the first one is on the line, unless that was rewound.
    for _ in range(_MOST_LOOKED_AT):
        found = db.execute(
            "SELECT last_seq, end_tokens, messages, body FROM compaction WHERE session = ? AND last_seq < ?"
            " ORDER BY last_seq DESC LIMIT 1",
            (head.session, before),
        ).fetchone()
        if found is None:
            return None
        before, end_tokens, messages, body = found
        if head.is_straight or transcript.is_on_line(db, head, before):
            text = _decode(body).text
            return before, Summary(text, end_tokens, messages, tokens_of(text))
    return None


def tokens_of(text: str) -> int:
    """Return an estimate of what it costs to show the summary."""
    return estimate_tokens(Message("user", (Text(text),)))


def history(
    db: Db, *, key: str, budget_tokens: int, is_whole: bool, most_bytes: int = ANY_BYTES
) -> History | None:
    """Return the newest messages of the session; see `core.dispatch.Dispatch.history`. `most_bytes`: as in
    `window.newest_messages`.
    """
    head = transcript.find_head(db, key)
    if head is None:
        return History(())
    return window(
        db, head, lambda size: max(0, size - budget_tokens), is_whole=is_whole, most_bytes=most_bytes
    )


def window(
    db: Db,
    head: TranscriptHead,
    left_out: Callable[[int], int],
    *,
    is_whole: bool,
    most_bytes: int = ANY_BYTES,
) -> History | None:
    """Return the newest messages up to the tip, with the summary of what comes before them, where there is
    one and the conversation need not be shown whole. `most_bytes`: as in `window.newest_messages`.

    `left_out` returns how much a conversation of that size leaves out; as it is with the summary.
    """
    found = None if is_whole else newest(db, head)
    if found is None:
        history = newest_messages(db, head, left_out(head.tokens), most_bytes)
    else:
        _, summary = found
        cut = left_out(head.tokens - summary.saved_tokens) + summary.saved_tokens
        history = newest_messages(db, head, max(summary.end_tokens, cut), most_bytes)
        if history is not None:
            history = msgspec.structs.replace(history, summary=summary)
    if history is None or not head.has_state:
        return history
    return msgspec.structs.replace(history, state=agent_states.newest(db, head))


def unsummarised(
    db: Db, *, key: str, keep_tokens: int, least_tokens: int, most_tokens: int
) -> Unsummarised | None:
    """Return what the next summary is to take in; see `core.compaction.Compactions`."""
    head = transcript.find_head(db, key)
    if head is None:
        return None
    # What a running turn says is not part of it yet.
    transcript.move_tip(db, head, branches.settled_tip(db, head.session))
    start_seq, before = newest(db, head) or (0, None)
    start_tokens = before.end_tokens if before is not None else 0
    counted = before.messages if before is not None else 0
    last_tokens = head.tokens - keep_tokens
    taken: list[Message] = []
    whole = 0
    end: tuple[int, int] | None = None
    has_more = False
    previous: tuple[int, int] | None = None
    for seq, tokens, message in _after(db, head, start_seq):
        # The message before a question ends a turn.
        if message.role == "user" and previous is not None:
            whole, end = len(taken), previous
        if end is not None and tokens > start_tokens + most_tokens and whole:
            has_more = True
            break
        if tokens > last_tokens:
            break
        taken.append(message)
        previous = (seq, tokens)
    if end is None or end[1] - start_tokens < least_tokens:
        return None
    text = before.text if before is not None else ""
    return Unsummarised(head.session, text, tuple(taken[:whole]), *end, counted + whole, has_more)


def _after(db: Db, head: TranscriptHead, seq: int) -> Iterator[tuple[int, int, Message]]:
    """Yield number, size up to its end, and content of the messages after the message `seq`, oldest first."""
    for first, last in transcript.stretches_in(db, head.session, head.tip, "asc"):
        at = max(first, seq + 1)
        while at <= last:
            rows = db.execute(
                "SELECT id, tokens, body FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
                (*transcript.message_ids(head.session, at, last), MOST_ROWS),
            ).fetchall()
            for id_, tokens, body in rows:
                yield transcript.seq_of(id_), tokens, transcript.decode(body)
            if len(rows) < MOST_ROWS:
                break
            at = transcript.seq_of(rows[-1][0]) + 1


def add(db: Db, of: Unsummarised, summary: Compacted, now: float) -> bool:
    """Keep the summary, unless it is empty; return whether the session still has the messages that it stands
    for.
    """
    found = db.execute(
        "SELECT 1 FROM message WHERE id = ?", (transcript.message_id(of.session, of.last_seq),)
    ).fetchone()
    if found is None or not summary.text:
        return found is not None
    db.execute(
        "INSERT INTO compaction VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (session, last_seq)"
        " DO UPDATE SET created_at = excluded.created_at, body = excluded.body",
        (of.session, of.last_seq, of.end_tokens, of.counted, now, _encode(summary)),
    )
    return True
