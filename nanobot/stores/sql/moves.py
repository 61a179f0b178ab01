"""Turns that move: one that is answered after later ones is moved behind them."""

from bisect import bisect_right
from operator import itemgetter

from nanobot.core.message import Message
from nanobot.core.visible import Place, unpacked
from nanobot.stores.sql import transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.transcript import TranscriptHead

_MOST_ROWS = 4096
"""How many rows are rewritten so that a message stands once: what is further back no model sees."""


def take_out(db: Db, head: TranscriptHead, span: tuple[int, int]) -> None:
    """Take a turn's rows, from the first to the last of `span`, out of the live transcript: they are a branch
    from now on, and what was said since follows what was said before. The caller saves the head.

    Costs a statement for each row that was said since; where those are too many, the rows stay.
    """
    first, last = span
    end = _last_before(db, head, last + 1)
    if end < first:
        return
    before = _last_before(db, head, first)
    since = _first_after(db, head, end)
    if since is None:
        transcript.move_tip(db, head, before)
        return
    grown = _growing_from(db, head, since)
    if sum(high - low + 1 for low, high in grown) > _MOST_ROWS:
        return
    removed = unpacked(transcript.place_at(db, head.session, end))
    kept = unpacked(transcript.place_at(db, head.session, before))
    tokens = transcript.tokens_at(db, head.session, end) - transcript.tokens_at(db, head.session, before)
    db.execute(
        "INSERT INTO branch (session, first_seq, parent_seq) VALUES (?, ?, ?)"
        " ON CONFLICT (session, first_seq) DO UPDATE SET parent_seq = excluded.parent_seq",
        (head.session, since, before),
    )
    head.is_straight = False
    for stretch in grown:
        _count_anew(db, head.session, stretch, removed, kept, tokens)
    transcript.move_tip(db, head, head.tip)


def steps_of(db: Db, session: int, n: int, span: tuple[int, int]) -> tuple[Message, ...]:
    """Return the whole steps that a turn left in `span`, and make the rows there nobody's."""
    steps = transcript.of_turn(db, session, n, span, inputs=False)
    transcript.disown(db, session, n, span)
    return steps


def _last_before(db: Db, head: TranscriptHead, seq: int) -> int:
    """Return the last row of the live transcript before `seq`, 0 where there is none."""
    for first, last in transcript.stretches(db, head.session, head.tip):
        if first < seq:
            return min(last, seq - 1)
    return 0


def _first_after(db: Db, head: TranscriptHead, seq: int) -> int | None:
    """Return the first row of the live transcript after `seq`."""
    found = None
    for first, last in transcript.stretches(db, head.session, head.tip):
        if last <= seq:
            break
        found = max(first, seq + 1)
    return found


def _growing_from(db: Db, head: TranscriptHead, seq: int) -> list[tuple[int, int]]:
    """Return the stretches of rows, on whatever branch, whose transcripts lead through the row `seq`."""
    starts = db.execute(
        "SELECT first_seq, parent_seq FROM branch WHERE session = ? AND first_seq > ? ORDER BY first_seq",
        (head.session, seq),
    ).fetchall()
    ends = [first - 1 for first, _ in starts] + [head.last_seq]
    grown = [(seq, ends[0])]
    for (first, parent), last in zip(starts, ends[1:], strict=True):
        nearest = bisect_right(grown, parent, key=itemgetter(0)) - 1
        if nearest >= 0 and parent <= grown[nearest][1]:
            grown.append((first, last))
    return grown


def _count_anew(
    db: Db, session: int, stretch: tuple[int, int], removed: Place, kept: Place, tokens: int
) -> None:
    """Write into the rows of a stretch where they lead to, and what was said up to them, now that they no
    longer follow `removed` but `kept`, which is `tokens` less.
    """
    ids = transcript.message_ids(session, *stretch)
    db.recent.forget(session)
    db.execute("UPDATE message SET tokens = tokens - ? WHERE id BETWEEN ? AND ?", (tokens, *ids))
    placed = db.execute(
        "SELECT id, digest FROM message WHERE id BETWEEN ? AND ? AND digest IS NOT NULL", ids
    ).fetchall()
    for id_, digest in placed:
        place = kept.then(unpacked(bytes(digest)).since(removed))
        db.execute("UPDATE message SET digest = ? WHERE id = ?", (place.packed(), id_))
