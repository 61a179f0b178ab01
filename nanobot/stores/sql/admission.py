"""Admission: recognise a resent turn, apply the policy for a busy session, commit everything else."""

from collections.abc import Container

import msgspec

from nanobot.core.dispatch import Cancel, Claim, LeftOut
from nanobot.core.errors import (
    NanobotError,
    QueueFull,
    SessionBusy,
    TurnNotFound,
)
from nanobot.core.memory import NO_FACTS, KnownFacts
from nanobot.core.message import Message
from nanobot.core.store import Limits
from nanobot.core.turn import GIVES_WAY, Admission, HistoryNote, Identity, Status, Turn
from nanobot.stores.sql import (
    delegated,
    facts,
    matching,
    queue,
    resends,
    responses,
    taking_in,
    transcript,
    turns,
)
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.matching import HistoryMatch
from nanobot.stores.sql.pieces import is_long
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.stores.sql.resends import Known, find_known
from nanobot.stores.sql.sent_list import SentList
from nanobot.stores.sql.taking_in import Coming
from nanobot.stores.sql.transcript import TranscriptHead
from nanobot.stores.sql.turns import Plan, Span


class Opened(msgspec.Struct, frozen=True):
    """A turn that can be followed from now on: its input, the messages that it has added already, and who
    joined it.
    """

    turn_id: str
    input: tuple[Message, ...]
    added: tuple[Message, ...] = ()
    joiners: tuple[str, ...] = ()


class Foreseen(msgspec.Struct, frozen=True):
    """What a new turn is going to put into the transcript, and what became of the client's earlier messages,
    as long as the session stands as it did: `standing`.
    """

    standing: tuple[object, ...]
    plan: Plan
    note: HistoryNote


class SessionMoved(msgspec.Struct, frozen=True):
    """What was foreseen is of no use: the session has moved on. Nothing was done."""


class Admitted(msgspec.Struct, frozen=True):
    """What admission did: the answer for the entry point, what the engine is to do now, the turn that is
    opened, or the id of the running one that is joined.
    """

    admission: Admission
    claim: Claim | None = None
    cancel: Cancel | None = None
    opened: Opened | None = None
    joins: str | None = None


def admit(
    db: Db,
    turn: Turn,
    identity: Identity,
    earlier: SentList,
    *,
    limits: Limits,
    capacity: Capacity,
    recent: RecentPlaces,
    now: float,
    refusal: NanobotError | None = None,
    left: Container[str] = (),
    taken_in: Coming | None = None,
    unended: int = 0,
    left_out: LeftOut | None = None,
    foreseen: Foreseen | None = None,
) -> Admitted | Coming | SessionMoved:
    """Commit the turn, or find the one it resends; see `core.turn.Turns.admit`. `unended`: how many turns may
    not have ended, at most. `left_out`: what the turn does not show of its conversation, where it is known.
    `foreseen`: as of `foresee`; without it, a list is compared here, and other jobs wait.

    Where the client's list brings more than goes into one transaction, that is only begun: add its pieces,
    and admit the turn again with it as `taken_in`.
    """
    head, load = _read_load(db, turn, capacity)
    is_made = head is None
    if head is None:
        if foreseen is not None and foreseen.standing and taken_in is None:
            return SessionMoved()
        head = transcript.open_session(db, turn.session_key, now)
        if turn.delegation is not None:
            delegated.belong(db, head.session, turn.delegation)
    elif identity.dedupe_key is not None or identity.is_retry:
        known = find_known(db, head, identity, now - limits.retry_window_s)
        if known is not None:
            return _join_known(db, head, turn, known, earlier, load, capacity, recent, now)
    if refusal is not None:
        raise refusal
    if load.model is not None and turn.model is None:
        # It may have another window than the model that was asked about.
        turn, left_out = msgspec.structs.replace(turn, model=load.model), None
    if turn.default_model is not None:
        turn = msgspec.structs.replace(turn, model=turn.model or turn.default_model, default_model=None)
    if load.instructions is not None:
        turn = msgspec.structs.replace(turn, own_instructions=load.instructions)
    load = load.giving_way(turn, left)
    if load.waiting - load.gives_way and turn.when_busy == "reject":
        raise SessionBusy("a turn of this session is running: wait for its end, or send x-when-busy: queue")
    may_join = (
        load.running_n is not None
        and not load.gives_way
        and load.running_trace == turn.trace
        and all(message.role == "user" for message in turn.input)
    )
    if may_join and turn.when_busy == "steer":
        return _steer(db, turn, identity, head, load, now)
    waiting = load.waiting - (load.running_n is not None)
    if waiting >= limits.max_queue:
        raise QueueFull(
            f"{waiting} turns of this session wait already, {limits.max_queue} may: try again when some"
            " have ended",
            retry_after_s=1,
        )
    if not load.can_start(turn, capacity) and unended - load.running_in_all >= limits.max_waiting // 2:
        queue.check_room(db, turn.key_id, limits.max_waiting)
    if taken_in is not None:
        plan, note = taking_in.finish(db, taken_in, trace=turn.trace), taken_in.note
    else:
        if foreseen is None:
            plan, note = _plan(db, turn, earlier, head, load, recent)
        elif foreseen.standing == _standing(db, None if is_made else head, load):
            plan, note = foreseen.plan, foreseen.note
        else:
            return SessionMoved()
        if is_long(plan.earlier):
            if load.waiting:
                raise SessionBusy(
                    f"a turn of this session runs or waits, and {len(plan.earlier)} messages of the request"
                    " are not in its transcript: send so many once it has ended"
                )
            return taking_in.begin(db, head, plan, note, is_made=is_made)
    return _take(db, turn, identity, plan, note, head, load, capacity, now, left_out)


def knows(db: Db, key: str, identity: Identity, *, limits: Limits, now: float) -> bool:
    """Return whether the turn was sent before; see `core.turn.Turns.knows`."""
    if identity.dedupe_key is None and not identity.is_retry:
        return False
    head = transcript.find_head(db, key)
    if head is None:
        return False
    known = find_known(db, head, identity, now - limits.retry_window_s)
    return known is not None and not known.never_started


class _Load(msgspec.Struct, frozen=True):
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

    def can_start(self, turn: Turn, capacity: Capacity) -> bool:
        """Return whether the turn may start now: one that another waits for starts however many run."""
        return not self.waiting and (
            self.running_in_all < capacity.max_running or turn.delegation is not None
        )

    def giving_way(self, turn: Turn, left: Container[str]) -> "_Load":
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


def _read_load(
    db: Db, turn: Turn, capacity: Capacity, running_in_all: int | None = None
) -> tuple[TranscriptHead | None, _Load]:
    """Return where the session stands, None where there is none, and what has not ended; `running_in_all`:
    how many turns run, where it need not be looked up.
    """
    if running_in_all is None:
        running_in_all = queue.count_running(db, capacity.owner)
    standing = _STANDING_WITH_REACH if capacity.memory.is_read else _STANDING_ALONE
    found = db.execute(standing, (turn.session_key,)).fetchone()
    if found is None:
        return None, _Load(0, running_in_all)
    session, tip, last_seq, tokens, place, is_straight, waiting, model, said, period, *has, reaches = found
    head = TranscriptHead(session, tip, last_seq, tokens, place, bool(is_straight), period, *map(bool, has))
    if not waiting:
        known = None if reaches else NO_FACTS
        return head, _Load(0, running_in_all, model=model, instructions=said, known=known)
    found = db.execute(
        "SELECT t.n, t.id, t.body, coalesce(b.parent_seq, t.first_seq - 1) FROM dispatch d"
        " JOIN turn t ON t.n = d.turn"
        " LEFT JOIN branch b ON b.session = d.session AND b.first_seq = t.first_seq"
        " WHERE d.session = ? AND d.owner IS NOT NULL",
        (session,),
    ).fetchone()
    if found is None:
        return head, _Load(waiting, running_in_all, model=model)
    n, id_, body, after = found
    running = turns.decode(body)
    is_detached = running.record is not None and running.record.is_detached
    is_detached |= running.grace_s is not None and running.grace_s < 0
    return head, _Load(waiting, running_in_all, n, id_, running.trace, is_detached, after or 0, model=model)


# What a long list means ---------------------------------------------------------------------------


def foresee(
    db: Db, turn: Turn, sent: SentList, *, capacity: Capacity, recent: RecentPlaces, left: Container[str]
) -> Foreseen:
    """Return what `admit` would find where the turn is a new one. Nothing is written: for a list that takes
    long to compare, so that the jobs that write do not wait for it.

    Raises:
        UnknownToolCall, TurnNotFound: as `admit`.
    """
    head, load = _read_load(db, turn, capacity, running_in_all=0)
    load = load.giving_way(turn, left)
    standing = _standing(db, head, load)
    plan, note = _plan(db, turn, sent, head or transcript.NO_HEAD, load, recent)
    return Foreseen(standing, plan, note)


def _standing(db: Db, head: TranscriptHead | None, load: _Load) -> tuple[object, ...]:
    """Return all that `_plan` depends on besides the request: nothing of the session that it reads is
    otherwise while this is the same.
    """
    if head is None:
        return ()
    # Numbers of sessions are used again. Whatever is added to one raises `last_seq`, for good.
    (made_at,) = db.execute("SELECT created_at FROM session WHERE id = ?", (head.session,)).fetchone()
    where = (head.session, made_at, head.tip, head.last_seq, head.place)
    return (*where, load.waiting, load.running_n, load.running_after, load.gives_way)


# A turn that was sent before ----------------------------------------------------------------------


def _join_known(
    db: Db,
    head: TranscriptHead,
    turn: Turn,
    known: Known,
    earlier: SentList,
    load: _Load,
    capacity: Capacity,
    recent: RecentPlaces,
    now: float,
) -> Admitted:
    """Join the turn that is being resent. One that has no answer runs again under its old id, from its last
    stored step; behind what was said since, where that is possible.
    """
    note: HistoryNote = "new"
    added: tuple[Message, ...] = ()
    if known.never_started:
        plan, note = _plan(db, turn, earlier, head, load, recent)
        given = plan.input
        resends.begin(db, known)
    else:
        resumption = resends.take_up(db, head, known, is_busy=load.waiting > 0)
        if resumption is None:
            is_over = known.end is not None
            return Admitted(Admission(known.asked, joined=True, answered_by=known.id, is_over=is_over))
        given, added, plan = resumption.input, resumption.added, Plan()
        if not resumption.is_in_place:
            match = _reconcile(db, head, earlier, given, load, turn, recent)
            note = match.note
            plan = Plan(
                given,
                match.rest,
                match.base,
                _followed(db, head, turn.after),
                turn.trace,
                match.unless_done,
                resumption.moves_from,
                match.ends_at,
            )
    claim = _run_again(db, head, known.n, plan, turn, load, capacity, now)
    joiners = tuple(id_ for (id_,) in db.execute("SELECT id FROM turn WHERE joined_to = ?", (known.n,)))
    return Admitted(
        Admission(known.asked, joined=True, answered_by=known.id, history=note),
        claim,
        opened=Opened(known.id, given, added, joiners),
    )


def _run_again(
    db: Db,
    head: TranscriptHead,
    n: int,
    plan: Plan,
    turn: Turn,
    load: _Load,
    capacity: Capacity,
    now: float,
) -> Claim | None:
    """Start the turn now where nothing is before it, else put it in the queue."""
    if not load.can_start(turn, capacity):
        queue.enqueue(db, n, head.session, plan, turn.key_id)
        return None
    queue.hold(db, n, head.session, capacity, now)
    queue.start(db, head, n, plan, now)
    return queue.load_claim(db, n, head, capacity, plan.input)


# A turn that is new -------------------------------------------------------------------------------


def _take(
    db: Db,
    turn: Turn,
    identity: Identity,
    plan: Plan,
    note: HistoryNote,
    head: TranscriptHead,
    load: _Load,
    capacity: Capacity,
    now: float,
    left_out: LeftOut | None,
) -> Admitted:
    """Start the turn now where nothing stands before it, else put it in the queue."""
    turn = msgspec.structs.replace(turn, input=plan.input)
    claim = None
    if load.can_start(turn, capacity):
        n = _insert(db, turn, identity, head.session, "running", now, span=turns.span_of(head, plan))
        turns.put_input(db, head, n, plan, now)
        claim = Claim(turn, 1, queue.load_history(db, head, capacity, turn, left_out, load.known))
        queue.hold(db, n, head.session, capacity, now)
    else:
        n = _insert(db, turn, identity, head.session, "queued", now)
        queue.enqueue(db, n, head.session, plan, turn.key_id)
    cancel = None
    if turn.when_busy == "interrupt" and load.running_n is not None:
        cancel = Cancel(load.running_id, "a later message of this session took its place")
    elif load.gives_way:
        # Its request may still be sent again: what was asked is not answered yet.
        cancel = Cancel(load.running_id, GIVES_WAY, may_go_on=True)
    return Admitted(
        Admission(turn.id, joined=False, answered_by=turn.id, history=note),
        claim,
        cancel,
        Opened(turn.id, plan.input),
    )


def _plan(
    db: Db,
    turn: Turn,
    earlier: SentList,
    head: TranscriptHead,
    load: _Load,
    recent: RecentPlaces,
) -> tuple[Plan, HistoryNote]:
    """Return what a new turn puts into the transcript, and what became of the client's earlier messages."""
    match = _reconcile(db, head, earlier, turn.input, load, turn, recent)
    after = _followed(db, head, turn.after)
    base = None if match.unless_done is not None else match.base
    base = turns.end_of(db, after) if after is not None else base
    new = match.unanswered + turn.input
    rest, new = matching.answer_calls(db, head, base, earlier, match.rest, new)
    plan = Plan(new, rest, match.base, after, turn.trace, match.unless_done, ends_at=match.ends_at)
    return plan, match.note


def _followed(db: Db, head: TranscriptHead, turn_id: str | None) -> int | None:
    """Return the number of the turn that the new one follows.

    Raises:
        TurnNotFound: it is none of this session.
    """
    if turn_id is None:
        return None
    found = db.execute(
        "SELECT coalesce(joined_to, n) FROM turn WHERE id = ? AND session = ?", (turn_id, head.session)
    ).fetchone()
    if found is None:
        raise TurnNotFound(f"no turn {turn_id!r} here")
    return int(found[0])


def _steer(db: Db, turn: Turn, identity: Identity, head: TranscriptHead, load: _Load, now: float) -> Admitted:
    n = _insert(db, turn, identity, head.session, "joined", now, joined_to=load.running_n)
    db.execute(
        "INSERT INTO steer (turn, target, input) VALUES (?, ?, ?)",
        (n, load.running_n, turns.encode(turn.input)),
    )
    return Admitted(Admission(turn.id, joined=False, answered_by=load.running_id), joins=load.running_id)


def _insert(
    db: Db,
    turn: Turn,
    identity: Identity,
    session: int,
    status: Status,
    now: float,
    *,
    span: Span | None = None,
    joined_to: int | None = None,
) -> int:
    """Insert the turn's row; with a `span`, as one that its first attempt runs. Return its number."""
    started = (1, now, span.base_tip, span.first_seq, span.last_seq) if span else (0, None, None, None, None)
    n = db.insert(
        "INSERT INTO turn (id, session, status, digest, dedupe_key, joined_to, created_at, attempt,"
        " started_at, base_tip, first_seq, last_seq, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            turn.id,
            session,
            status,
            identity.digest,
            identity.dedupe_key,
            joined_to,
            now,
            *started,
            turns.encode_turn(turn),
        ),
    )
    if turn.record is not None:
        responses.insert(db, n, identity.digest)
    return n


def _reconcile(
    db: Db,
    head: TranscriptHead,
    earlier: SentList,
    new: tuple[Message, ...],
    load: _Load,
    turn: Turn,
    recent: RecentPlaces,
) -> HistoryMatch:
    """Return as `matching.match`. While a turn runs, a client cannot hold its reply yet: one whose list ends
    where that turn began is a reason to rewind only if that turn is cancelled, or if the list is the whole
    conversation.
    """
    if turn.after is not None:
        return HistoryMatch("new")
    # Only clients of chat completions ask for another answer by sending the question again.
    may_repeat = (
        load.waiting > load.gives_way or turn.origin != "api" or turn.record is not None or not turn.trace
    )
    # What leaves no trace sees the client's list alone, where there is one.
    is_whole = turn.is_whole or (not turn.trace and len(earlier) > 0)
    match = matching.match(db, head, earlier, new, is_whole=is_whole, may_repeat=may_repeat, recent=recent)
    if not turn.trace:
        base = head.tip if len(earlier) and match.base is None else match.base
        return msgspec.structs.replace(match, note="new", base=base)
    if match.note == "replaced" and _is_words_of_running(db, head, load, match):
        return msgspec.structs.replace(match, note="matched")
    is_waited_for = load.running_n is not None and not load.gives_way
    is_before_running = match.note == "rewound" and is_waited_for and match.base == load.running_after
    if is_before_running and not (turn.is_whole and load.running_trace):
        return HistoryMatch("matched", match.base, unless_done=load.running_n)
    if load.waiting and match.base is None:
        return _behind_waiting(match, head, turn, load, has_list=len(earlier) > 0)
    return match


def _behind_waiting(
    match: HistoryMatch, head: TranscriptHead, turn: Turn, load: _Load, *, has_list: bool
) -> HistoryMatch:
    """Return the match of a list that ends at the tip, and whose turn starts only after others."""
    if turn.is_whole and load.running_n is None:
        # What they will say is not in the client's list, which is the whole conversation.
        return msgspec.structs.replace(match, note="rewound", base=head.tip)
    return msgspec.structs.replace(match, ends_at=head.tip) if has_list else match


def _is_words_of_running(db: Db, head: TranscriptHead, load: _Load, match: HistoryMatch) -> bool:
    """Return whether all that the client's list has beyond the transcript is an answer to the turn that runs:
    what its user saw of it before it was stopped.
    """
    if load.running_n is None or match.base is None or len(match.rest) != 1:
        return False
    (words,) = match.rest
    if words.role != "assistant" or words.tool_calls:
        return False
    asked = db.execute(
        "SELECT id FROM message WHERE id BETWEEN ? AND ? AND turn = ? AND is_input = 1",
        (*transcript.message_ids(head.session, match.base, match.base + 1), load.running_n),
    ).fetchall()
    # The last row of its input.
    return [transcript.seq_of(id_) for (id_,) in asked] == [match.base]
