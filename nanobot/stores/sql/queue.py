"""The queue: turns that wait are started, cancelled, given back, and recovered after a crash.

Every turn that has not ended has a row in `dispatch`. One that runs has an owner there, a process, with a
lease.
"""

import msgspec

from nanobot.core.dispatch import Claim, History
from nanobot.core.event import TurnEnded
from nanobot.core.message import Message
from nanobot.stores.sql import moves, transcript, turns
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.transcript import TranscriptHead
from nanobot.stores.sql.turns import Plan


class Capacity(msgspec.Struct, frozen=True):
    """What the engine of this process can take on: how many turns at once, and how much history it wants with
    each claim (0: none).

    It runs them as `owner`, which loses a turn after `lease_s`; None: only by `recover`, as where no other
    process uses the database.
    """

    owner: str
    max_running: int = 0
    history_tokens: int = 0
    lease_s: float | None = None

    def lease_until(self, now: float) -> float | None:
        """Return until when a turn that starts now is this owner's; None: the lease does not run out."""
        return None if self.lease_s is None else now + self.lease_s


def enqueue(
    db: Db, n: int, session: int, plan: Plan, *, starts: Capacity | None = None, now: float = 0.0
) -> None:
    """Put a turn at the end of the queue. One that `starts` now belongs to that owner; one that waits leaves
    here what is to go into the transcript.
    """
    owner, lease_until = (None, None) if starts is None else (starts.owner, starts.lease_until(now))
    db.execute(
        "INSERT INTO dispatch (turn, session, owner, lease_until, plan) VALUES (?, ?, ?, ?, ?)",
        (n, session, owner, lease_until, turns.encode(plan) if starts is None else None),
    )


def start(db: Db, head: TranscriptHead, n: int, plan: Plan, now: float) -> None:
    """Charge an attempt and put the turn's input into the transcript.

    An empty plan is a turn that goes on where it stood.
    """
    if not plan.input:
        db.execute("UPDATE turn SET status = 'running', attempt = attempt + 1 WHERE n = ?", (n,))
        return
    steps: tuple[Message, ...] = ()
    if plan.moves_from is not None:
        steps = moves.steps_of(db, head.session, n, plan.moves_from)
        # Where the transcript is rewound, what is left stays on its branch as it was.
        if turns.base_of(db, plan) is None:
            moves.take_out(db, head, plan.moves_from)
    span = turns.span_of(head, plan)
    turns.put_input(db, head, n, plan, now)
    if steps:
        transcript.append(db, head, steps, turn=n, is_input=False, now=now)
        transcript.save_head(db, head)
    db.execute(
        "UPDATE turn SET status = 'running', attempt = attempt + 1, started_at = ?, base_tip = ?, first_seq"
        " = ?, last_seq = ? WHERE n = ?",
        (now, span.base_tip, span.first_seq, span.last_seq + len(steps), n),
    )


def start_next(db: Db, capacity: Capacity, now: float) -> tuple[Claim, ...]:
    """Start as many waiting turns as the engine can take on: the oldest of each session that is not running
    one.
    """
    (running,) = db.execute("SELECT count(*) FROM dispatch WHERE owner = ?", (capacity.owner,)).fetchone()
    free = capacity.max_running - running
    if free <= 0:
        return ()
    waiting = db.execute(
        "SELECT d.turn, d.plan, s.id, s.tip, s.last_seq, s.tip_tokens, s.place FROM dispatch d"
        " JOIN session s ON s.id = d.session"
        " WHERE d.owner IS NULL AND d.position = (SELECT min(position) FROM dispatch"
        " WHERE session = d.session)"
        " AND NOT EXISTS (SELECT 1 FROM dispatch r WHERE r.session = d.session AND r.owner IS NOT NULL)"
        " ORDER BY d.position LIMIT ?",
        (free,),
    ).fetchall()
    claims: list[Claim] = []
    for n, plan, *standing in waiting:
        head = TranscriptHead(*standing)
        start(db, head, n, turns.decode_plan(plan) if plan else Plan(), now)
        db.execute(
            "UPDATE dispatch SET owner = ?, lease_until = ?, plan = NULL WHERE turn = ?",
            (capacity.owner, capacity.lease_until(now), n),
        )
        claims.append(load_claim(db, n, head, capacity))
    return tuple(claims)


def load_history(db: Db, head: TranscriptHead, capacity: Capacity) -> History | None:
    """Return what the engine wants to see of the transcript with a claim."""
    return transcript.window(db, head, capacity.history_tokens) if capacity.history_tokens else None


def load_claim(db: Db, n: int, head: TranscriptHead, capacity: Capacity) -> Claim:
    """Return the claim on a turn that has just been started."""
    attempt, first_seq, last_seq, body = db.execute(
        "SELECT attempt, first_seq, last_seq, body FROM turn WHERE n = ?", (n,)
    ).fetchone()
    given = transcript.of_turn(db, head.session, n, (first_seq, last_seq), inputs=True)
    turn = msgspec.structs.replace(turns.decode(body), input=given)
    return Claim(turn, attempt, load_history(db, head, capacity))


def part(db: Db, n: int, session: int) -> tuple[str, ...]:
    """Queue the turns whose input did not get into the turn that they joined, as turns of their own; return
    their ids.
    """
    waiting = db.execute(
        "SELECT s.turn, s.input, t.id FROM steer s JOIN turn t ON t.n = s.turn WHERE s.target = ?"
        " ORDER BY s.turn",
        (n,),
    ).fetchall()
    for joined, given, _ in waiting:
        db.execute("UPDATE turn SET status = 'queued', joined_to = NULL WHERE n = ?", (joined,))
        enqueue(db, joined, session, Plan(input=turns.decode_input(given)))
    db.execute("DELETE FROM steer WHERE target = ?", (n,))
    return tuple(id_ for _, _, id_ in waiting)


def cancel_waiting(db: Db, turn_id: str, end: TurnEnded, now: float) -> bool:
    """End a turn that has not started, and return whether it was still waiting; its input stays out of the
    transcript.
    """
    found = db.execute("SELECT n FROM turn WHERE id = ? AND status = 'queued'", (turn_id,)).fetchone()
    if found is None:
        return False
    (n,) = found
    db.execute(
        "UPDATE turn SET status = 'cancelled', outcome = ?, ended_at = ? WHERE n = ?",
        (turns.encode(end), now, n),
    )
    db.execute("DELETE FROM dispatch WHERE turn = ?", (n,))
    return True


def count_waiting(db: Db) -> int:
    """Return how many turns of all sessions wait."""
    (count,) = db.execute("SELECT count(*) FROM dispatch WHERE owner IS NULL").fetchone()
    return int(count)
