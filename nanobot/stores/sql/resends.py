"""Turns that were sent before: which one a request resends, and from where one that has no answer goes on."""

import msgspec

from nanobot.core.errors import IdempotencyMismatch
from nanobot.core.event import TurnEnded
from nanobot.core.message import Message, Usage
from nanobot.core.turn import Identity
from nanobot.stores.sql import remembering, transcript, turns, usage
from nanobot.stores.sql.db import Db, among
from nanobot.stores.sql.transcript import TranscriptHead

_MOST_BOUND = 500


class Known(msgspec.Struct, frozen=True):
    """A turn that is being resent: `asked` is its id, the rest is of the turn that answers it, itself or the
    one that it joined. `end`: None where it has not ended. `first_seq`: None where it has not started.
    """

    asked: str
    n: int
    id: str
    end: TurnEnded | None
    first_seq: int | None
    last_seq: int | None

    @property
    def span(self) -> tuple[int | None, int | None]:
        return self.first_seq, self.last_seq

    @property
    def never_started(self) -> bool:
        """Whether it is taken up again, and has left nothing to begin with."""
        return self.first_seq is None and self.end is not None and turns.may_go_on(self.end)


def find_known(db: Db, head: TranscriptHead, identity: Identity, since: float | None) -> Known | None:
    """Return the turn that the request resends, None where it is a new one. One that is known only by its
    count must not have ended before `since`; None: its body comes once, whatever became of the answer.

    Raises:
        IdempotencyMismatch: its key came with another body before.
    """
    if identity.dedupe_key is not None:
        n = _by_key(db, head.session, identity.dedupe_key, identity.digest)
    elif identity.is_retry:
        n = _by_count(db, head, identity.digest, since)
    else:
        n = None
    if n is None:
        return None
    asked, n, id_, outcome, *span = db.execute(
        "SELECT t.id, u.n, u.id, u.outcome, u.first_seq, u.last_seq FROM turn t"
        " JOIN turn u ON u.n = coalesce(t.joined_to, t.n) WHERE t.n = ?",
        (n,),
    ).fetchone()
    return Known(asked, n, id_, turns.decode_end(outcome) if outcome else None, *span)


def _by_key(db: Db, session: int, key: str, digest: bytes) -> int | None:
    found = db.execute(
        "SELECT n, digest FROM turn WHERE session = ? AND dedupe_key = ?", (session, key)
    ).fetchone()
    if found is None:
        return None
    if found[1] != digest:
        raise IdempotencyMismatch(
            f"Idempotency-Key {key!r} was used with another body: send the same body, or a new key",
            param="Idempotency-Key",
        )
    return int(found[0])


def _by_count(db: Db, head: TranscriptHead, digest: bytes, since: float | None) -> int | None:
    """Return the turn that a request resends which says only that it was sent before."""
    found = db.execute(
        "SELECT t.n, u.n, u.ended_at, u.last_seq, (SELECT turn FROM delivered WHERE session = t.session)"
        " FROM turn t JOIN turn u ON u.n = coalesce(t.joined_to, t.n)"
        " WHERE t.session = ? AND t.digest = ? ORDER BY t.n DESC LIMIT 1",
        (head.session, digest),
    ).fetchone()
    if found is None:
        return None
    n, answering, ended_at, last_seq, delivered = found
    if ended_at is None or since is None:
        return int(n)
    is_delivered = delivered is not None and delivered >= n
    if is_delivered or ended_at < since or not _is_newest(db, head, n, answering, last_seq):
        return None
    return int(n)


def _is_newest(db: Db, head: TranscriptHead, n: int, answering: int, last_seq: int | None) -> bool:
    """Return whether nothing came to the session after a turn that has ended: nothing in its transcript or
    its queue, and nothing that joined the turn which answered.
    """
    if last_seq is not None and last_seq != head.last_seq:
        return False
    later = db.execute(
        "SELECT EXISTS (SELECT 1 FROM dispatch WHERE session = ? AND turn > ?)"
        " OR EXISTS (SELECT 1 FROM turn WHERE joined_to = ? AND n > ?)",
        (head.session, n, answering, n),
    ).fetchone()
    return not later[0]


def note_delivered(db: Db, turn_ids: tuple[str, ...]) -> None:
    """Note whose answers were delivered whole; see `core.turn.Turns.delivered`."""
    for first in range(0, len(turn_ids), _MOST_BOUND):
        marks, some = among(turn_ids[first : first + _MOST_BOUND])
        db.execute(
            "INSERT INTO delivered (session, turn) SELECT session, max(n) FROM turn"
            f" WHERE id IN {marks} GROUP BY session"
            " ON CONFLICT (session) DO UPDATE SET turn = max(turn, excluded.turn)",
            some,
        )


class Resumption(msgspec.Struct, frozen=True):
    """How a turn is taken up again: its `input`, and the messages that it `added` and goes on behind.

    `is_in_place`: it goes on where it stood. Otherwise its input goes into the transcript again; `moves_from`
    as in `Plan`.
    """

    input: tuple[Message, ...]
    added: tuple[Message, ...] = ()
    is_in_place: bool = False
    moves_from: tuple[int, int] | None = None


def take_up(db: Db, head: TranscriptHead, known: Known, *, is_busy: bool) -> Resumption | None:
    """Make a turn that has ended without an answer one that waits; return how it is taken up again, None
    where it is over for good.

    `is_busy`: other turns of the session have not ended.
    """
    end = known.end
    if end is None or known.first_seq is None or not turns.may_go_on(end):
        return None
    given = transcript.of_turn(db, head.session, known.n, known.span, inputs=True)
    added = transcript.of_turn(db, head.session, known.n, known.span, inputs=False)
    is_cancelled = end.outcome == "cancelled"
    is_last = not is_busy and head.tip == turns.end_of(db, known.n)
    charged = usage.counted(added, end.usage)
    if is_last and (added or is_cancelled):
        added = _go_on(db, head, known, added)
        _unend(db, known.n, charged)
        return Resumption(given, added, is_in_place=True)
    if added and not is_cancelled:
        return None
    if is_cancelled and any(message.role == "tool" for message in given):
        # Results stay behind the calls that they answer; the turn begins again, behind what was said since.
        transcript.disown(db, head.session, known.n, known.span)
        db.execute("UPDATE turn SET added = 0 WHERE n = ?", (known.n,))
        _unend(db, known.n, usage.counted((), Usage()))
        return Resumption(given)
    _unend(db, known.n, charged)
    if not is_cancelled:
        return Resumption(given)
    return Resumption(
        given, _whole_steps(db, head, known, added), moves_from=(known.first_seq, known.last_seq or 0)
    )


def begin(db: Db, known: Known) -> None:
    """Make a turn that was cancelled before it started one that waits."""
    _unend(db, known.n, None)


def _go_on(db: Db, head: TranscriptHead, known: Known, added: tuple[Message, ...]) -> tuple[Message, ...]:
    """Move the tip to the end of the turn's last whole step, and return the messages up to there: the words
    of one that was broken off are left aside, as the model says them again.
    """
    added = _whole_steps(db, head, known, added)
    last = transcript.last_of_turn(db, head.session, known.n, known.span)
    db.execute("UPDATE turn SET last_seq = ? WHERE n = ?", (last, known.n))
    if head.tip != last:
        transcript.move_tip(db, head, last)
        transcript.save_head(db, head)
    if head.has_facts:
        remembering.follow_tip(db, head.session, last)
    return added


def _whole_steps(
    db: Db, head: TranscriptHead, known: Known, added: tuple[Message, ...]
) -> tuple[Message, ...]:
    """Return what the turn added but for words that were broken off, which it loses."""
    if not added or added[-1].stop_reason != "incomplete":
        return added
    last = known.last_seq or 0
    transcript.disown(db, head.session, known.n, (last, last))
    db.execute("UPDATE turn SET added = ? WHERE n = ?", (len(added) - 1, known.n))
    return added[:-1]


def _unend(db: Db, n: int, charged: bytes | None) -> None:
    db.execute(
        "UPDATE turn SET status = 'queued', outcome = NULL, ended_at = NULL, counted = ? WHERE n = ?",
        (charged, n),
    )
