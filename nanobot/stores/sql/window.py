"""The newest messages of a transcript, as a turn sees them: read as far as they are not kept in memory."""

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from nanobot.core.dispatch import History
from nanobot.core.message import Message
from nanobot.stores.sql import transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.recent_messages import Kept, end_of, message_of
from nanobot.stores.sql.transcript import TranscriptHead

ANY_BYTES = 1 << 62
_decode_all = msgspec.json.Decoder(tuple[Message, ...]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_STRETCH = (
    "SELECT {bodies}, {ends}, {sizes} FROM"
    " (SELECT CASE WHEN length(body) <= ? THEN body END body, tokens, length(body) size"
    " FROM message WHERE id BETWEEN ? AND ? ORDER BY id)"
)


def newest_messages(
    db: Db, head: TranscriptHead, left_out_tokens: int, most_bytes: int = ANY_BYTES
) -> History | None:
    """Return the newest messages up to the tip: the fewest before which there are at most `left_out_tokens`.
    None where one of them has more than `most_bytes`, such as a picture: it is not read.

    Few statements whatever the size: a driver may let other threads run between two rows, and they do.
    """
    session, recent = head.session, db.recent
    messages: list[Kept] = []
    numbers: list[Iterable[int]] = []
    before: tuple[Kept, ...] = ()
    skipped = skipped_messages = 0
    whole = ((1, head.tip),) if head.is_straight and head.tip else None
    for first, last in whole or transcript.stretches(db, session, head.tip):
        found = None
        if left_out_tokens > 0:
            found = recent.last_within(session, first, last, left_out_tokens)
            found = found or _last_within(db, session, first, last, left_out_tokens)
        seq, skipped = found or (first - 1, 0)
        if seq < last:
            known = recent.known(session, seq + 1, last)
            new = _read(db, session, seq + 1 + len(known), last, most_bytes)
            if new is None:
                return None
            messages[:0] = (*known, *new)
            numbers.append(range(seq + 1, last + 1))
        if found:
            skipped_messages = seq - first + 1 + transcript.count(db, session, _before(db, head, first))
            before = ((None, skipped, 0),)
            numbers.append((seq,))
            break
    recent.keep(session, list(chain.from_iterable(reversed(numbers))), (*before, *messages))
    return History(tuple(map(message_of, messages)), skipped, tuple(map(end_of, messages)), skipped_messages)


def _read(db: Db, session: int, first: int, last: int, most_bytes: int) -> Sequence[Kept] | None:
    """Return the messages of a stretch; None where one of them has more than `most_bytes`."""
    if first > last:
        return ()
    joined = db.dialect.joined
    bodies, ends, sizes = db.execute(
        _STRETCH.format(bodies=joined("body"), ends=joined("tokens"), sizes=joined("size")),
        (most_bytes, *transcript.message_ids(session, first, last)),
    ).fetchone()
    size_bytes = _decode_numbers(b"[%b]" % sizes)
    if max(size_bytes) > most_bytes:
        return None
    messages = _decode_all(b"[%b]" % bodies)
    return list(zip(messages, _decode_numbers(b"[%b]" % ends), size_bytes, strict=True))


def _before(db: Db, head: TranscriptHead, first: int) -> int:
    """Return the message that the stretch hangs on that begins with the message `first`; 0: none."""
    if first == 1:
        return 0
    (parent,) = db.execute(
        "SELECT parent_seq FROM branch WHERE session = ? AND first_seq = ?", (head.session, first)
    ).fetchone()
    return int(parent)


def _last_within(db: Db, session: int, first: int, last: int, tokens: int) -> tuple[int, int] | None:
    """Return the last message of a stretch up to which at most `tokens` have been said, and how many;

    None: there is none.
    """
    found = db.execute(
        "SELECT id, tokens FROM message WHERE id BETWEEN ? AND ? AND tokens <= ? ORDER BY id DESC LIMIT 1",
        (*transcript.message_ids(session, first, last), tokens),
    ).fetchone()
    return None if found is None else (transcript.seq_of(found[0]), found[1])
