"""Turns as rows: their stored form, where their input goes, how they stand."""

import msgspec

from nanobot.core.errors import TurnNotFound
from nanobot.core.event import TurnEnded, end_alone
from nanobot.core.message import Message
from nanobot.core.turn import Turn, TurnState
from nanobot.core.visible import place_of, unpacked
from nanobot.stores.sql import hidden, remembering, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.transcript import TranscriptHead

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Turn).decode
decode_end = msgspec.json.Decoder(TurnEnded).decode
decode_input = msgspec.json.Decoder(tuple[Message, ...]).decode


def encode_turn(turn: Turn) -> bytes:
    """Return the stored form of a turn: all but its input, which is in the transcript, or in its plan, and
    but where it came from.
    """
    return encode(msgspec.structs.replace(turn, input=(), address=""))


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What goes into the transcript when a turn starts: rewind to `base`, or to the end of the turn number
    `after`; take in `earlier` (without a `base`: only where the transcript is empty); then `input`. `trace`:
    as in `Turn`. `unless_done`: the number of the turn that began at `base` and ran when this one came; the
    transcript is rewound only where that one was cancelled, or where it does not lead through `base` any
    more. `ends_at`: the row at which the client's list ended when it came, which was the tip: rewind to it
    where the transcript does not lead through it any more. `moves_from`: the first and the last row that the
    turn left when it was cancelled; it takes its steps along.
    """

    input: tuple[Message, ...] = ()
    earlier: tuple[Message, ...] = ()
    base: int | None = None
    after: int | None = None
    trace: bool = True
    unless_done: int | None = None
    moves_from: tuple[int, int] | None = None
    ends_at: int | None = None


decode_plan = msgspec.json.Decoder(Plan).decode


class Span(msgspec.Struct, frozen=True):
    """Where a turn's input will be in the transcript: the tip before it, its first and its last seq."""

    base_tip: int
    first_seq: int
    last_seq: int


def span_of(head: TranscriptHead, plan: Plan) -> Span:
    """Return where the turn's input will be in the transcript."""
    first_seq = head.last_seq + 1 + (len(plan.earlier) if _imports(head, plan) else 0)
    return Span(head.tip, first_seq, first_seq + len(plan.input) - 1)


def _imports(head: TranscriptHead, plan: Plan) -> bool:
    return bool(plan.earlier) and (plan.base is not None or head.tip == 0)


def without_known(db: Db, head: TranscriptHead, plan: Plan) -> Plan:
    """Return the plan without earlier messages that the transcript has come to end with since it was made:
    what a client saw of an answer that was stopped.
    """
    if not plan.earlier or plan.base is None:
        return plan
    end = place_of(plan.earlier, unpacked(transcript.place_at(db, head.session, plan.base)))
    return msgspec.structs.replace(plan, earlier=(), base=None) if end == unpacked(head.place) else plan


def put_input(db: Db, head: TranscriptHead, n: int, plan: Plan, now: float) -> None:
    """Put a turn's input into the transcript, where `span_of` said."""
    base = base_of(db, head, plan)
    if base is not None and base != head.tip:
        transcript.move_tip(db, head, base)
        if head.has_facts:
            remembering.follow_tip(db, head.session, base)
    if _imports(head, plan):
        # Nothing that belongs to a turn without a trace is ever shown.
        owner = None if plan.trace else n
        transcript.append(db, head, plan.earlier, turn=owner, is_input=True, now=now)
    transcript.append(db, head, plan.input, turn=n, is_input=True, now=now)
    transcript.touch_head(db, head, now)


def base_of(db: Db, head: TranscriptHead, plan: Plan) -> int | None:
    """Return the row to which the transcript is rewound, None where it is not."""
    if plan.after is not None:
        return end_of(db, plan.after)
    if plan.unless_done is not None:
        (status,) = db.execute("SELECT status FROM turn WHERE n = ?", (plan.unless_done,)).fetchone()
        return plan.base if status == "cancelled" or _has_left(db, head, plan.base) else None
    # A turn that waited before this one may have rewound the transcript to elsewhere.
    return plan.ends_at if _has_left(db, head, plan.ends_at) else plan.base


def _has_left(db: Db, head: TranscriptHead, seq: int | None) -> bool:
    return seq is not None and seq > 0 and not transcript.is_on_line(db, head, seq)


def end_of(db: Db, n: int) -> int:
    """Return the seq at which the transcript stood when the turn had ended."""
    outcome, added, body, base_tip, last_seq = db.execute(
        "SELECT outcome, added, body, base_tip, last_seq FROM turn WHERE n = ?", (n,)
    ).fetchone()
    end = decode_end(outcome) if outcome else None
    has_left_nothing = end is not None and (not decode(body).trace or (end.outcome == "failed" and not added))
    return int((base_tip if has_left_nothing else last_seq) or 0)


def may_go_on(end: TurnEnded) -> bool:
    """Return whether a resend of the turn's request takes it up again: it failed for a passing reason, or was
    cancelled because no client followed it.
    """
    return end.outcome != "done" and end.error is not None and end.error.retryable


def input_of(db: Db, n: int, session: int, span: tuple[int | None, int | None]) -> tuple[Message, ...]:
    """Return the input of a turn, wherever it is; a turn that was cancelled while it waited has none."""
    given = transcript.of_turn(db, session, n, span, inputs=True)
    if given:
        return given
    waiting = db.execute("SELECT plan FROM dispatch WHERE session = ? AND turn = ?", (session, n)).fetchone()
    if waiting is not None and waiting[0] is not None:
        return decode_plan(waiting[0]).input
    steering = db.execute("SELECT input FROM steer WHERE turn = ?", (n,)).fetchone()
    return decode_input(steering[0]) if steering is not None else ()


# Looking ------------------------------------------------------------------------------------------


def look(db: Db, turn_id: str) -> TurnState:
    """Return how the turn stands; one that joined another stands as that one does, without its messages.

    Raises:
        TurnNotFound
    """
    found = db.execute(
        "SELECT u.n, u.id, s.id, s.key, u.status, u.attempt, t.created_at, u.started_at, u.ended_at,"
        " u.first_seq, u.last_seq,"
        " u.outcome, u.body, EXISTS (SELECT 1 FROM dispatch d JOIN turn w ON w.n = d.turn"
        " WHERE d.session = s.id AND d.owner IS NULL"
        f" AND {db.dialect.json_field('w.body', 'trace')} IS NOT FALSE)"
        " FROM turn t JOIN session s ON s.id = t.session"
        " JOIN turn u ON u.n = coalesce(t.joined_to, t.n)"
        " WHERE t.id = ?",
        (turn_id,),
    ).fetchone()
    if found is None or hidden.is_gone(found[3]):
        raise TurnNotFound(f"no turn {turn_id!r} here")
    (
        n,
        id_,
        session,
        key,
        status,
        attempt,
        created_at,
        started_at,
        ended_at,
        first_seq,
        last_seq,
        outcome,
        body,
        is_waited_for,
    ) = found
    turn = decode(body)
    end = decode_end(outcome) if outcome else None
    has_joined = id_ != turn_id
    return TurnState(
        id=turn_id,
        session_key=key,
        status=status,
        attempt=attempt,
        model=turn.model,
        created_at=created_at,
        started_at=started_at,
        ended_at=ended_at,
        messages=()
        if has_joined
        else transcript.of_turn(db, session, n, (first_seq, last_seq), inputs=False),
        end=end_alone(end) if has_joined and end is not None else end,
        answered_by=id_,
        is_detached=turn.record is not None and turn.record.is_detached,
        first_seq=first_seq,
        grace_s=turn.grace_s,
        is_waited_for=status == "running" and bool(is_waited_for),
    )


class Unended(msgspec.Struct, frozen=True):
    """A turn that has not ended: its input, the messages that it has added, the ids of those that joined it.

    `session_key` None: it leaves no trace.
    """

    id: str
    session_key: str | None
    input: tuple[Message, ...]
    added: tuple[Message, ...]
    joined: tuple[str, ...]


def unended(db: Db) -> tuple[Unended, ...]:
    """Return the turns that have not ended, in order of dispatch."""
    rows = db.execute(
        "SELECT t.n, t.id, t.session, t.first_seq, t.last_seq, t.body FROM dispatch d"
        " JOIN turn t ON t.n = d.turn ORDER BY d.turn"
    ).fetchall()
    found: list[Unended] = []
    for n, id_, session, first_seq, last_seq, body in rows:
        turn, span = decode(body), (first_seq, last_seq)
        joined = tuple(id_ for (id_,) in db.execute("SELECT id FROM turn WHERE joined_to = ?", (n,)))
        added = transcript.of_turn(db, session, n, span, inputs=False)
        key = turn.session_key if turn.trace else None
        found.append(Unended(id_, key, input_of(db, n, session, span), added, joined))
    return tuple(found)
