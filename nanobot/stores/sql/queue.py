"""The queue: turns that wait are started, cancelled, given back, and recovered after a crash.

Every turn that has not ended has a row in `dispatch`. One that runs has an owner there, a process, with a
lease.
"""

from typing import Any

import msgspec

from nanobot.core.dispatch import Claim, History, LeftOut
from nanobot.core.errors import Overloaded, QueueFull
from nanobot.core.event import TurnEnded
from nanobot.core.memory import KnownFacts, MemoryRules
from nanobot.core.message import Message
from nanobot.core.turn import Turn
from nanobot.stores.sql import agent_states, compaction, facts, moves, remembering, transcript, turns
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.pieces import MOST_BYTES
from nanobot.stores.sql.transcript import TranscriptHead
from nanobot.stores.sql.turns import Plan

_LATER_S = 5.0


class Capacity(msgspec.Struct, frozen=True):
    """What the engine of this process can take on: how many turns at once, and how much history it wants with
    each claim (0: none), with the facts in reach where the rules of `memory` say so.

    It runs them as `owner`, which loses a turn after `lease_s`; None: only by `recover`, as where no other
    process uses the database.
    """

    owner: str
    max_running: int = 0
    history_tokens: int = 0
    lease_s: float | None = None
    memory: MemoryRules = MemoryRules()

    def lease_until(self, now: float) -> float | None:
        """Return until when a turn that starts now is this owner's; None: the lease does not run out."""
        return None if self.lease_s is None else now + self.lease_s


_OF_THOSE_WITH_A_SHARE = (
    " AND d.payer NOT IN (SELECT payer FROM dispatch WHERE owner = ? AND payer <> ''"
    " GROUP BY payer HAVING count(*) >= ?)"
)
_POSITION = "SELECT coalesce(max(position), 0) + 1 FROM dispatch WHERE session = ?"
_FAIR_STEP = 1000
"""So many later turns of others may be started before each further one of a payer."""
_SHARE_OF_OTHERS = 8
"""Of the turns that may run at once, one in so many is none of the API key that runs all others."""


def check_room(db: Db, payer: str | None, most: int) -> None:
    """Check that one more turn may wait: at most `most` in all, and half as many of one API key.

    Raises:
        QueueFull, Overloaded
    """
    waiting = count_waiting(db)
    setting = f"engine.max_waiting_turns is {most}"
    if waiting >= most:
        raise Overloaded(f"{waiting} turns wait already ({setting}): try again later", retry_after_s=_LATER_S)
    if payer is None or waiting < most // 2:
        return
    (own,) = db.execute(
        "SELECT count(*) FROM dispatch WHERE owner IS NULL AND payer = ?", (payer,)
    ).fetchone()
    if own >= max(1, most // 2):
        raise QueueFull(
            f"{own} turns of this API key, or address, wait already, half of all that may ({setting}): try"
            " again when some have ended",
            retry_after_s=_LATER_S,
        )


def count_running(db: Db, owner: str) -> int:
    """Return how many turns the owner runs.

    They are counted once; whoever writes to `dispatch` says with `note_running` or `recount_running` what
    becomes of the number.
    """
    count = db.running.get(owner)
    if count is None:
        (count,) = db.execute("SELECT count(*) FROM dispatch WHERE owner = ?", (owner,)).fetchone()
        db.running[owner] = count
    return int(count)


def note_running(db: Db, owner: str, more: int) -> None:
    """Note that the owner runs so many turns more."""
    if owner in db.running:
        db.running[owner] += more


def recount_running(db: Db) -> None:
    """Let the turns that run be counted again."""
    db.running.clear()


def _most_each(capacity: Capacity) -> int:
    """Return how many turns of one API key may run at once."""
    return capacity.max_running - capacity.max_running // _SHARE_OF_OTHERS


def has_share(db: Db, payer: str | None, capacity: Capacity, running_in_all: int) -> bool:
    """Return whether one more turn of the API key may run: it may not fill all there is."""
    most = _most_each(capacity)
    if payer is None or running_in_all < most:
        return True
    (own,) = db.execute(
        "SELECT count(*) FROM dispatch WHERE owner = ? AND payer = ?", (capacity.owner, payer)
    ).fetchone()
    return int(own) < most


def hold(db: Db, n: int, session: int, payer: str | None, capacity: Capacity, now: float) -> None:
    """Note a turn that starts now, the only one of its session: it belongs to the owner of `capacity`."""
    db.execute(
        "INSERT INTO dispatch (session, position, turn, owner, lease_until, payer, round, rank)"
        " VALUES (?, 1, ?, ?, ?, ?, 0, ?)",
        (session, n, capacity.owner, capacity.lease_until(now), payer or "", n),
    )
    note_running(db, capacity.owner, 1)


def enqueue(db: Db, n: int, session: int, plan: Plan, payer: str | None) -> None:
    """Put a turn that has to wait at the end of its session's queue, with what is to go into the transcript.

    Turns that wait are started by rank. That of a turn is its number, or a step more than the last of the
    same payer that has no more of its own session ahead: payers take turns, and so do the sessions of one,
    and nobody waits forever.
    """
    (ahead,) = db.execute("SELECT count(*) FROM dispatch WHERE session = ?", (session,)).fetchone()
    rank = n
    for turn_round in range(ahead + 1):
        (last,) = db.execute(
            "SELECT max(rank) FROM dispatch WHERE owner IS NULL AND payer = ? AND round = ?",
            (payer or "", turn_round),
        ).fetchone()
        if last is not None:
            rank = max(rank, last + _FAIR_STEP)
    db.execute(
        f"INSERT INTO dispatch (session, position, turn, payer, round, rank, plan)"
        f" VALUES (?, ({_POSITION}), ?, ?, ?, ?, ?)",
        (session, session, n, payer or "", ahead, rank + ahead, turns.encode(plan)),
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
        if turns.base_of(db, head, plan) is None:
            moves.take_out(db, head, plan.moves_from)
    plan = turns.without_known(db, head, plan)
    span = turns.span_of(head, plan)
    turns.put_input(db, head, n, plan, now)
    if steps:
        transcript.append(db, head, steps, turn=n, is_input=False, now=now)
        agent_states.note(db, head, steps)
        transcript.save_head(db, head)
    db.execute(
        "UPDATE turn SET status = 'running', attempt = attempt + 1, started_at = ?, base_tip = ?, first_seq"
        " = ?, last_seq = ? WHERE n = ?",
        (now, span.base_tip, span.first_seq, span.last_seq + len(steps), n),
    )
    if plan.moves_from is not None and head.has_facts:
        remembering.follow_tip(db, head.session, head.tip)


def start_next(db: Db, capacity: Capacity, now: float) -> tuple[Claim, ...]:
    """Start as many waiting turns as the engine can take on, by their rank: the oldest of each session that
    is not running one, of API keys that do not run as many as one may.
    """
    claims: list[Claim] = []
    while waiting := _next_waiting(db, capacity):
        for n, plan, payer, *standing in waiting:
            head = transcript.head_from(*standing)
            planned = turns.decode_plan(plan) if plan else Plan()
            start(db, head, n, planned, now)
            db.execute(
                "UPDATE dispatch SET owner = ?, lease_until = ?, plan = NULL WHERE session = ? AND turn = ?",
                (capacity.owner, capacity.lease_until(now), head.session, n),
            )
            note_running(db, capacity.owner, 1)
            claims.append(load_claim(db, n, head, capacity, planned.input, payer))
    return tuple(claims)


def _next_waiting(db: Db, capacity: Capacity) -> list[Any]:
    """Return the rows of the next turns that may be started together."""
    running = count_running(db, capacity.owner)
    free = capacity.max_running - running
    if free <= 0:
        return []
    # Up to there no key has too many. Beyond, each one that is started may be the last of its key.
    at_once = _most_each(capacity) - running
    having = "" if at_once > 0 else _OF_THOSE_WITH_A_SHARE
    return db.execute(
        f"SELECT d.turn, d.plan, d.payer, {transcript.HEAD_COLUMNS} FROM dispatch d"
        " JOIN session s ON s.id = d.session"
        " WHERE d.owner IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM dispatch e WHERE e.session = d.session"
        f" AND (e.position < d.position OR e.owner IS NOT NULL)){having}"
        " ORDER BY d.rank LIMIT ?",
        (*((capacity.owner, _most_each(capacity)) if having else ()), max(1, at_once)),
    ).fetchall()


def load_history(
    db: Db,
    head: TranscriptHead,
    capacity: Capacity,
    turn: Turn,
    left_out: LeftOut | None = None,
    known: KnownFacts | None = None,
) -> History | None:
    """Return what the engine wants to see of the transcript with a claim, without what is `left_out`; None
    where it has to ask for it: it is so much that other jobs would wait.
    `known`: the facts in reach, where they were read already.
    """
    most = capacity.history_tokens
    if not most:
        return None
    leave_out = left_out or (lambda size: max(0, size - most))
    history = compaction.window(db, head, leave_out, is_whole=not turn.may_cut, most_bytes=MOST_BYTES)
    if history is None:
        return None
    if known is None and capacity.memory.is_read and turn.trace:
        known = facts.known(db, turn.session_key, capacity.memory)
    return msgspec.structs.replace(history, known=known) if known is not None and known.facts else history


def load_claim(
    db: Db,
    n: int,
    head: TranscriptHead,
    capacity: Capacity,
    given: tuple[Message, ...] = (),
    payer: str | None = None,
) -> Claim:
    """Return the claim on a turn that has just been started; `given` is its input, where that is known, and
    `payer` for whom it is counted.
    """
    attempt, first_seq, last_seq, body = db.execute(
        "SELECT attempt, first_seq, last_seq, body FROM turn WHERE n = ?", (n,)
    ).fetchone()
    given = given or transcript.of_turn(db, head.session, n, (first_seq, last_seq), inputs=True)
    turn = turns.decode(body)
    turn = msgspec.structs.replace(turn, input=given, address="" if turn.key_id else payer or "")
    return Claim(turn, attempt, load_history(db, head, capacity, turn))


def part(db: Db, n: int, session: int) -> tuple[str, ...]:
    """Queue the turns whose input did not get into the turn that they joined, as turns of their own; return
    their ids.
    """
    waiting = db.execute(
        "SELECT s.turn, s.input, t.id, t.body FROM steer s JOIN turn t ON t.n = s.turn WHERE s.target = ?"
        " ORDER BY s.turn",
        (n,),
    ).fetchall()
    for joined, given, _, body in waiting:
        db.execute("UPDATE turn SET status = 'queued', joined_to = NULL WHERE n = ?", (joined,))
        enqueue(db, joined, session, Plan(input=turns.decode_input(given)), turns.decode(body).key_id)
    db.execute("DELETE FROM steer WHERE target = ?", (n,))
    return tuple(id_ for _, _, id_, _ in waiting)


def cancel_waiting(db: Db, turn_id: str, end: TurnEnded, now: float) -> bool:
    """End a turn that has not started, and return whether it was still waiting; its input stays out of the
    transcript.
    """
    found = db.execute(
        "SELECT n, session FROM turn WHERE id = ? AND status = 'queued'", (turn_id,)
    ).fetchone()
    if found is None:
        return False
    n, session = found
    db.execute(
        "UPDATE turn SET status = 'cancelled', outcome = ?, ended_at = ? WHERE n = ?",
        (turns.encode(end), now, n),
    )
    db.execute("DELETE FROM dispatch WHERE session = ? AND turn = ?", (session, n))
    return True


def count_waiting(db: Db) -> int:
    """Return how many turns of all sessions wait."""
    (count,) = db.execute("SELECT count(*) FROM dispatch WHERE owner IS NULL").fetchone()
    return int(count)
