"""What of a session has not ended, and how it stands, in one look at admission."""

from collections.abc import Container

import msgspec

from nanobot.core.memory import NO_FACTS, KnownFacts
from nanobot.core.turn import Turn
from nanobot.stores.sql import facts, queue, turns
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.transcript import TranscriptHead


class Load(msgspec.Struct):
    """What has not ended: turns of this session (and which of them runs), and how many turns run in all."""

    waiting: int = 0
    running_in_all: int = 0
    running_n: int | None = None
    running_id: str = ""
    running_trace: bool = True
    running_is_detached: bool = False
    running_after: int = 0
    """The row after which the input of the running turn stands."""
    gives_way: bool = False
    """The running turn is cancelled in favour of the new one: its client has hung up."""
    model: str | None = None
    """The preset that the session has chosen."""
    instructions: str | None = None
    """What the session has the agent told."""
    known: KnownFacts | None = None
    """The facts in reach of the turn; None where they are to be read."""

    def can_start(self, db: Db, turn: Turn, capacity: Capacity) -> bool:
        """Return whether the turn may start now: one that another waits for starts however many run."""
        if self.waiting:
            return False
        return turn.delegation is not None or (
            self.running_in_all < capacity.max_running
            and queue.has_share(db, turn.payer, capacity, self.running_in_all)
        )

    def giving_way(self, turn: Turn, left: Container[str]) -> "Load":
        """Return this with whether the running turn gives way to `turn`, as it is one of those that were
        `left`.
        """
        if self.running_id in left and self.may_give_way_to(turn):
            return msgspec.structs.replace(self, gives_way=True)
        return self

    def may_give_way_to(self, turn: Turn) -> bool:
        """Return whether the running turn may be cancelled in favour of this one, where no client follows it:
        not if it was to run by itself, nor for a turn that leaves no trace while it does.
        """
        return not self.running_is_detached and (turn.trace or not self.running_trace)


_STANDING = (
    "SELECT s.id, s.tip, s.last_seq, s.tip_tokens, s.place, NOT EXISTS (SELECT 1 FROM branch"
    " WHERE session = s.id), (SELECT count(*) FROM dispatch"
    " WHERE session = s.id), s.model, s.instructions, s.period, s.has_facts, s.has_state,"
    " {reach} FROM session s WHERE s.key = ?"
)
_STANDING_ALONE = _STANDING.format(reach="NULL")
# With the same statement: another one would cost each turn more than what it reads.
_STANDING_WITH_REACH = _STANDING.format(reach=facts.MAY_REACH)


def read_load(
    db: Db, turn: Turn, capacity: Capacity, running_in_all: int | None = None
) -> tuple[TranscriptHead | None, Load]:
    """Return where the session stands, None where there is none, and what has not ended; `running_in_all`:
    how many turns run, where it need not be looked up.
    """
    if running_in_all is None:
        running_in_all = queue.count_running(db, capacity.owner)
    standing = _STANDING_WITH_REACH if capacity.memory.is_read else _STANDING_ALONE
    found = db.execute(standing, (turn.session_key,)).fetchone()
    if found is None:
        return None, Load(0, running_in_all)
    session, tip, last_seq, tokens, place, is_straight, waiting, model, said, period, *has, reaches = found
    head = TranscriptHead(session, tip, last_seq, tokens, place, bool(is_straight), period, *map(bool, has))
    load = Load(waiting, running_in_all, model=model, instructions=said)
    if not waiting:
        load.known = None if reaches else NO_FACTS
        return head, load
    found = db.execute(
        "SELECT t.n, t.id, t.body, coalesce(b.parent_seq, t.first_seq - 1) FROM dispatch d"
        " JOIN turn t ON t.n = d.turn"
        " LEFT JOIN branch b ON b.session = d.session AND b.first_seq = t.first_seq"
        " WHERE d.session = ? AND d.owner IS NOT NULL",
        (session,),
    ).fetchone()
    if found is None:
        return head, load
    load.running_n, load.running_id, body, after = found
    load.running_after = after or 0
    running = turns.decode(body)
    load.running_trace = running.trace
    is_recorded = running.record is not None and running.record.is_detached
    load.running_is_detached = is_recorded or (running.grace_s is not None and running.grace_s < 0)
    return head, load
