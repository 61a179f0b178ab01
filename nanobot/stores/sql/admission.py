"""Admission: recognise a resent turn, apply the policy for a busy session, commit everything else."""

from collections.abc import Container

import msgspec

from nanobot.core.dispatch import Cancel, Claim, LeftOut
from nanobot.core.errors import NanobotError, QueueFull, SessionBusy, UnknownToolCall
from nanobot.core.message import Message
from nanobot.core.store import Limits
from nanobot.core.turn import GIVES_WAY, Admission, HistoryNote, Identity, Status, Turn
from nanobot.stores.sql import delegated, queue, resends, responses, taking_in, transcript, turns
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.load import Load, read_load
from nanobot.stores.sql.pieces import is_long
from nanobot.stores.sql.planning import Foreseen, followed, plan_of, reconcile, standing_of
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
    `foreseen`: as of `planning.foresee`; without it, a list is compared here, and other jobs wait.

    Where the client's list brings more than goes into one transaction, that is only begun: add its pieces,
    and admit the turn again with it as `taken_in`.
    """
    head, load = read_load(db, turn, capacity)
    is_made = head is None
    if head is None:
        if foreseen is not None and foreseen.standing and taken_in is None:
            return SessionMoved()
        head = transcript.open_session(db, turn.session_key, now)
        if turn.delegation is not None:
            delegated.belong(db, head.session, turn.delegation)
    elif identity.dedupe_key is not None or identity.is_retry:
        since = None if _gives_results(turn) else now - limits.retry_window_s
        known = find_known(db, head, identity, since)
        if known is not None:
            return _join_known(db, head, turn, known, earlier, load, capacity, recent, now)
    if refusal is not None:
        raise refusal
    if load.model is not None and turn.model is None:
        # It may have another window than the model that was asked about.
        left_out = None
    turn = _as_the_session_says(turn, load)
    load = load.giving_way(turn, left)
    if load.waiting - load.gives_way and turn.when_busy == "reject":
        raise SessionBusy("a turn of this session is running: wait for its end, or send x-when-busy: queue")
    if turn.when_busy == "steer" and _may_join(turn, load):
        return _steer(db, turn, identity, head, load, now)
    _check_room(db, turn, load, limits, capacity, unended)
    if taken_in is not None:
        plan, note = taking_in.finish(db, taken_in, trace=turn.trace), taken_in.note
        return _take(db, turn, identity, plan, note, head, load, capacity, now, left_out)
    if foreseen is None:
        try:
            plan, note = plan_of(db, turn, earlier, head, load, recent)
        except UnknownToolCall:
            # Where the same results have been answered, by a client that does not say it sends them again.
            known = find_known(db, head, Identity(identity.digest, is_retry=True), None)
            if known is None or known.never_started:
                raise
            return _join_known(db, head, turn, known, earlier, load, capacity, recent, now)
    elif foreseen.standing == standing_of(None if is_made else head, load):
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


def _as_the_session_says(turn: Turn, load: Load) -> Turn:
    """Return the turn with the model and the instructions of its session, where it names none itself."""
    if load.model is not None and turn.model is None:
        turn = msgspec.structs.replace(turn, model=load.model)
    if turn.default_model is not None:
        turn = msgspec.structs.replace(turn, model=turn.model or turn.default_model, default_model=None)
    if load.instructions is not None:
        turn = msgspec.structs.replace(turn, own_instructions=load.instructions)
    return turn


def _gives_results(turn: Turn) -> bool:
    """Return whether the turn answers calls: that is done once, while people say the same thing twice."""
    return any(message.role == "tool" for message in turn.input)


def _may_join(turn: Turn, load: Load) -> bool:
    """Return whether the running turn can take the messages of this one as further ones of its user."""
    return (
        load.running_n is not None
        and not load.gives_way
        and load.running_trace == turn.trace
        and all(message.role == "user" for message in turn.input)
    )


def _check_room(db: Db, turn: Turn, load: Load, limits: Limits, capacity: Capacity, unended: int) -> None:
    """Return where the turn may wait, if it has to.

    Raises:
        QueueFull: too many turns of its session wait.
        Overloaded: too many turns wait in all.
    """
    waiting = load.waiting - (load.running_n is not None)
    if waiting >= limits.max_queue:
        raise QueueFull(
            f"{waiting} turns of this session wait already, {limits.max_queue} may: try again when some"
            " have ended",
            retry_after_s=1,
        )
    if not load.can_start(db, turn, capacity) and unended - load.running_in_all >= limits.max_waiting // 2:
        queue.check_room(db, turn.payer, limits.max_waiting)


def knows(db: Db, key: str, identity: Identity, *, limits: Limits, now: float) -> bool:
    """Return whether the turn was sent before; see `core.turn.Turns.knows`."""
    if identity.dedupe_key is None and not identity.is_retry:
        return False
    head = transcript.find_head(db, key)
    if head is None:
        return False
    known = find_known(db, head, identity, now - limits.retry_window_s)
    return known is not None and not known.never_started


# A turn that was sent before ----------------------------------------------------------------------


def _join_known(
    db: Db,
    head: TranscriptHead,
    turn: Turn,
    known: Known,
    earlier: SentList,
    load: Load,
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
        plan, note = plan_of(db, turn, earlier, head, load, recent)
        given = plan.input
        resends.begin(db, known)
    else:
        resumption = resends.take_up(db, head, known, is_busy=load.waiting > 0)
        if resumption is None:
            is_over = known.end is not None
            return Admitted(Admission(known.asked, joined=True, answered_by=known.id, is_over=is_over))
        given, added, plan = resumption.input, resumption.added, Plan()
        if not resumption.is_in_place:
            match = reconcile(db, head, earlier, given, load, turn, recent)
            note = match.note
            plan = Plan(
                given,
                match.rest,
                match.base,
                followed(db, head, turn.after),
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
    load: Load,
    capacity: Capacity,
    now: float,
) -> Claim | None:
    """Start the turn now where nothing is before it, else put it in the queue."""
    if not load.can_start(db, turn, capacity):
        queue.enqueue(db, n, head.session, plan, turn.payer)
        return None
    queue.hold(db, n, head.session, turn.payer, capacity, now)
    queue.start(db, head, n, plan, now)
    return queue.load_claim(db, n, head, capacity, plan.input, turn.payer)


# A turn that is new -------------------------------------------------------------------------------


def _take(
    db: Db,
    turn: Turn,
    identity: Identity,
    plan: Plan,
    note: HistoryNote,
    head: TranscriptHead,
    load: Load,
    capacity: Capacity,
    now: float,
    left_out: LeftOut | None,
) -> Admitted:
    """Start the turn now where nothing stands before it, else put it in the queue."""
    turn = msgspec.structs.replace(turn, input=plan.input)
    claim = None
    if load.can_start(db, turn, capacity):
        n = _insert(db, turn, identity, head.session, "running", now, span=turns.span_of(head, plan))
        turns.put_input(db, head, n, plan, now)
        claim = Claim(turn, 1, queue.load_history(db, head, capacity, turn, left_out, load.known))
        queue.hold(db, n, head.session, turn.payer, capacity, now)
    else:
        n = _insert(db, turn, identity, head.session, "queued", now)
        queue.enqueue(db, n, head.session, plan, turn.payer)
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


def _steer(db: Db, turn: Turn, identity: Identity, head: TranscriptHead, load: Load, now: float) -> Admitted:
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
        "INSERT INTO turn (n, id, session, status, digest, dedupe_key, joined_to, created_at, attempt,"
        " started_at, base_tip, first_seq, last_seq, body)"
        f" VALUES ({db.dialect.new_number('turn')}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
