"""From the queue to the end of a turn, as jobs of the writer: start what may run, append what happened, end,
recover.

Every function runs inside a transaction that its caller opened.
"""

from collections.abc import Sequence

import msgspec

from nanobot.core.accounts import PriceList, TurnCost
from nanobot.core.dispatch import Claim, History
from nanobot.core.errors import StaleAttempt, TooManyAttempts, TurnNotFound
from nanobot.core.event import Fact, MessageAdded, ToolFinished, ToolStarted, TurnEnded, TurnError
from nanobot.core.message import Message, reply_text
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Labels, Origin, OutputFormat, Sampling, Turn, TurnState
from nanobot.stores.sql import transcript, usage
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.transcript import TranscriptHead


class TurnOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a turn's row keeps of its `Turn`, besides its input, which is in the transcript or in its plan."""

    origin: Origin
    model: str | None = None
    instructions: str = ""
    sampling: Sampling = Sampling()
    trace: bool = True
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    format: OutputFormat | None = None
    labels: Labels = Labels()
    may_cut: bool = True
    key_id: str | None = None


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What goes into the transcript when a turn starts: rewind to `base`, or to the end of the turn number
    `after`; import `earlier`; then `input`.
    """

    input: tuple[Message, ...] = ()
    earlier: tuple[Message, ...] = ()
    base: int | None = None
    after: int | None = None


class Capacity(msgspec.Struct, frozen=True):
    """What the engine has room for: how many turns at once, and how much history it wants with each claim (0:
    none).
    """

    max_running: int = 0
    history_tokens: int = 0


class Applied(msgspec.Struct, frozen=True):
    """What an append did: the facts that hold, the inputs that joined, the turns that may start now, those
    that joined no more, what the turn used up if it ended.
    """

    facts: tuple[Fact, ...]
    joined: tuple[Message, ...] = ()
    claims: tuple[Claim, ...] = ()
    parted: tuple[str, ...] = ()
    spent: TurnCost | None = None


encode_wish = msgspec.json.Encoder().encode
decode_wish = msgspec.json.Decoder(TurnOptions).decode
_decode_plan = msgspec.json.Decoder(Plan).decode
_decode_input = msgspec.json.Decoder(tuple[Message, ...]).decode
_decode_end = msgspec.json.Decoder(TurnEnded).decode
encode = msgspec.json.Encoder().encode


# Starting -----------------------------------------------------------------------------------------


class Span(msgspec.Struct, frozen=True):
    """Where a turn's input will stand: the tip before it, its first and its last seq."""

    base_tip: int
    first_seq: int
    last_seq: int


def wish_of(turn: Turn) -> TurnOptions:
    """Return what the turn's row keeps."""
    return TurnOptions(
        turn.origin,
        turn.model,
        turn.instructions,
        turn.sampling,
        turn.trace,
        turn.tools,
        turn.tool_choice,
        turn.format,
        turn.labels,
        turn.may_cut,
        turn.key_id,
    )


def span_of(head: TranscriptHead, plan: Plan) -> Span:
    """Return where the turn's input will stand in the transcript."""
    first_seq = head.last_seq + 1 + (len(plan.earlier) if _imports(head, plan) else 0)
    return Span(head.tip, first_seq, first_seq + len(plan.input) - 1)


def _imports(head: TranscriptHead, plan: Plan) -> bool:
    return bool(plan.earlier) and head.tip == 0


def put_input(db: Db, head: TranscriptHead, n: int, plan: Plan, now: float) -> None:
    """Put a turn's input into the transcript, where `span_of` said."""
    base = plan.base if plan.after is None else end_of(db, plan.after)
    if base is not None and base != head.tip:
        transcript.move_tip(db, head, base)
    if _imports(head, plan):
        transcript.append(db, head, plan.earlier, turn=None, is_input=True, now=now)
    transcript.append(db, head, plan.input, turn=n, is_input=True, now=now)
    transcript.touch_head(db, head, now)


def end_of(db: Db, n: int) -> int:
    """Return the seq at which the transcript stood when the turn had ended."""
    outcome, made, wish, base_tip, last_seq = db.execute(
        "SELECT outcome, made, wish, base_tip, last_seq FROM turn WHERE n = ?", (n,)
    ).fetchone()
    end = _decode_end(outcome) if outcome else None
    has_left_nothing = end is not None and (
        not decode_wish(wish).trace or (end.outcome == "failed" and not made)
    )
    return int((base_tip if has_left_nothing else last_seq) or 0)


def start(db: Db, head: TranscriptHead, n: int, plan: Plan, now: float) -> None:
    """Charge an attempt and put the turn's input into the transcript.

    An empty plan is a turn that goes on where it stood.
    """
    if not plan.input:
        db.execute("UPDATE turn SET status = 'running', attempt = attempt + 1 WHERE n = ?", (n,))
        return
    span = span_of(head, plan)
    put_input(db, head, n, plan, now)
    db.execute(
        "UPDATE turn SET status = 'running', attempt = attempt + 1, started_at = ?, base_tip = ?, first_seq = ?, last_seq = ? WHERE n = ?",
        (now, span.base_tip, span.first_seq, span.last_seq, n),
    )


def start_next(db: Db, capacity: Capacity, now: float) -> tuple[Claim, ...]:
    """Start as many waiting turns as there is room for: the oldest of each session that is not running one."""
    (running,) = db.execute(
        "SELECT count(*) FROM dispatch INDEXED BY dispatch_running WHERE running = 1"
    ).fetchone()
    free = capacity.max_running - running
    if free <= 0:
        return ()
    waiting = db.execute(
        "SELECT d.turn, d.plan, s.key, s.id, s.tip, s.last_seq, s.tip_tokens FROM dispatch d JOIN session s ON s.id = d.session"
        " WHERE d.running = 0 AND d.position = (SELECT min(position) FROM dispatch WHERE session = d.session)"
        " AND NOT EXISTS (SELECT 1 FROM dispatch r WHERE r.session = d.session AND r.running = 1)"
        " ORDER BY d.position LIMIT ?",
        (free,),
    ).fetchall()
    claims: list[Claim] = []
    for n, plan, key, *standing in waiting:
        head = TranscriptHead(*standing)
        start(db, head, n, _decode_plan(plan) if plan else Plan(), now)
        db.execute("UPDATE dispatch SET running = 1, plan = NULL WHERE turn = ?", (n,))
        claims.append(load_claim(db, n, key, head, capacity))
    return tuple(claims)


def load_history(db: Db, head: TranscriptHead, capacity: Capacity) -> History | None:
    """Return what the engine wants to see of the transcript with a claim."""
    return transcript.window(db, head, capacity.history_tokens) if capacity.history_tokens else None


def load_claim(db: Db, n: int, key: str, head: TranscriptHead, capacity: Capacity) -> Claim:
    """Return the claim on a turn that has just been started."""
    id_, attempt, wish, session, first_seq, last_seq = db.execute(
        "SELECT id, attempt, wish, session, first_seq, last_seq FROM turn WHERE n = ?", (n,)
    ).fetchone()
    given = transcript.of_turn(db, session, n, (first_seq, last_seq), inputs=True)
    return Claim(to_turn(id_, key, given, decode_wish(wish)), attempt, load_history(db, head, capacity))


def to_turn(id_: str, key: str, given: tuple[Message, ...], wish: TurnOptions) -> Turn:
    return Turn(
        id=id_,
        session_key=key,
        input=given,
        origin=wish.origin,
        model=wish.model,
        instructions=wish.instructions,
        sampling=wish.sampling,
        trace=wish.trace,
        tools=wish.tools,
        tool_choice=wish.tool_choice,
        format=wish.format,
        labels=wish.labels,
        may_cut=wish.may_cut,
        key_id=wish.key_id,
    )


# Going on -----------------------------------------------------------------------------------------


class RunningTurn(msgspec.Struct, frozen=True):
    """A running turn that the fence let through."""

    n: int
    wish: bytes
    base_tip: int
    first_seq: int
    made: int
    has_joiners: bool
    has_waiters: bool
    counted: bytes | None
    key: str
    head: TranscriptHead


def hold(db: Db, turn_id: str, attempt: int) -> RunningTurn:
    """Return the running turn, if `attempt` is still the one that runs it.

    Raises:
        StaleAttempt
    """
    found = db.execute(
        "SELECT t.n, t.wish, t.base_tip, t.first_seq, t.made, EXISTS (SELECT 1 FROM steer WHERE target = t.n),"
        " EXISTS (SELECT 1 FROM dispatch WHERE running = 0), t.counted, s.key,"
        " s.id, s.tip, s.last_seq, s.tip_tokens FROM turn t JOIN session s ON s.id = t.session WHERE t.id = ? AND t.attempt = ? AND t.status = 'running'",
        (turn_id, attempt),
    ).fetchone()
    if found is None:
        raise StaleAttempt(f"attempt {attempt} at {turn_id} is over")
    n, wish, base_tip, first_seq, made, has_joiners, has_waiters, counted, key, *head = found
    return RunningTurn(
        n,
        wish,
        base_tip,
        first_seq,
        made,
        bool(has_joiners),
        bool(has_waiters),
        counted,
        key,
        TranscriptHead(*head),
    )


def append(
    db: Db, claim: Claim, facts: Sequence[Fact], capacity: Capacity, now: float, prices: PriceList
) -> Applied:
    """Write what happened in the attempt; see `core.dispatch.Dispatch.append`."""
    held = hold(db, claim.turn.id, claim.attempt)
    _note_calls(db, held.n, facts)
    joined = _waiting_to_join(db, held.n) if held.has_joiners else ()
    end = next((fact for fact in facts if isinstance(fact, TurnEnded)), None)
    if joined and end is not None and end.outcome == "done":
        facts = [fact for fact in facts if fact is not end]
        end = None
    messages = [fact.message for fact in facts if isinstance(fact, MessageAdded | ToolFinished)]
    if end is not None:
        spent = _end(db, held, messages, end, now, prices)
        parted = _part(db, held.n, held.head.session) if held.has_joiners else ()
        claims = start_next(db, capacity, now) if held.has_waiters or parted else ()
        return Applied(tuple(facts), claims=claims, parted=parted, spent=spent)
    if joined:
        db.execute("DELETE FROM steer WHERE target = ?", (held.n,))
    messages += joined
    if messages:
        transcript.append(db, held.head, messages, turn=held.n, is_input=False, now=now)
        transcript.save_head(db, held.head)
        db.execute(
            "UPDATE turn SET last_seq = ?, made = made + ? WHERE n = ?",
            (held.head.last_seq, len(messages), held.n),
        )
    return Applied((*facts, *(MessageAdded(message) for message in joined)), joined)


def _part(db: Db, n: int, session: int) -> tuple[str, ...]:
    """Make turns of their own of those whose input did not get into the turn that they joined; return their
    ids.
    """
    waiting = db.execute(
        "SELECT s.turn, s.input, t.id FROM steer s JOIN turn t ON t.n = s.turn WHERE s.target = ? ORDER BY s.turn",
        (n,),
    ).fetchall()
    for joined, given, _ in waiting:
        db.execute("UPDATE turn SET status = 'queued', joined_to = NULL WHERE n = ?", (joined,))
        plan = encode(Plan(input=_decode_input(given)))
        db.execute(
            "INSERT INTO dispatch (turn, session, running, plan) VALUES (?, ?, 0, ?)", (joined, session, plan)
        )
    db.execute("DELETE FROM steer WHERE target = ?", (n,))
    return tuple(id_ for _, _, id_ in waiting)


_START_CALL = "INSERT INTO started_call (turn, call_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_FINISH_CALL = "UPDATE started_call SET is_finished = 1 WHERE turn = ? AND call_id = ?"


def _note_calls(db: Db, n: int, facts: Sequence[Fact]) -> None:
    for fact in facts:
        # a client's call is open until the turn's end: no input joins behind it
        if isinstance(fact, MessageAdded):
            for call in fact.message.client_calls:
                db.execute(_START_CALL, (n, call.id))
        elif isinstance(fact, ToolStarted):
            db.execute(_START_CALL, (n, fact.call.id))
        elif isinstance(fact, ToolFinished):
            for result in fact.message.tool_results:
                db.execute(_FINISH_CALL, (n, result.call_id))


def _waiting_to_join(db: Db, n: int) -> tuple[Message, ...]:
    """Return the inputs that may join now: none while a call is open, whose result belongs right behind it."""
    if db.execute("SELECT 1 FROM started_call WHERE turn = ? AND is_finished = 0 LIMIT 1", (n,)).fetchone():
        return ()
    waiting = db.execute("SELECT input FROM steer WHERE target = ? ORDER BY turn", (n,)).fetchall()
    return tuple(message for (body,) in waiting for message in _decode_input(body))


def _end(
    db: Db, held: RunningTurn, messages: Sequence[Message], end: TurnEnded, now: float, prices: PriceList
) -> TurnCost:
    """Close the turn: its last messages, its outcome, what it used up, and the tip where it leaves the
    transcript as it was.
    """
    head = held.head
    reply = None
    wish = decode_wish(held.wish)
    span = (held.first_seq, head.last_seq)
    before = transcript.of_turn(db, head.session, held.n, span, inputs=False) if held.made else ()
    all_made = (*before, *messages)
    if end.outcome != "failed" and wish.trace and (messages or held.made):
        reply = _held(all_made)
    transcript.append(db, head, messages, turn=held.n, is_input=False, now=now, held=reply)
    if reply is not None and not messages:
        transcript.mark_reply(db, head.session, head.last_seq, reply)
    last_seq = head.last_seq
    made = held.made + len(messages)
    if not wish.trace or (end.outcome == "failed" and not made):
        transcript.move_tip(db, head, held.base_tip)
    transcript.save_head(db, head)
    db.execute(
        "UPDATE turn SET status = ?, outcome = ?, last_seq = ?, made = ?, ended_at = ? WHERE n = ?",
        (end.outcome, encode(end), last_seq, made, now, held.n),
    )
    db.execute("DELETE FROM dispatch WHERE turn = ?", (held.n,))
    # a turn that failed may be taken up again; the others will not ask for them any more
    if wish.tools and end.outcome != "failed":
        db.execute(
            "UPDATE turn SET wish = ? WHERE n = ?",
            (encode_wish(msgspec.structs.replace(wish, tools=())), held.n),
        )
    return usage.count(
        db, head.session, (wish.key_id, held.key), wish.model, all_made, end.usage, held.counted, prices, now
    )


def _held(messages: tuple[Message, ...]) -> bytes:
    """Return the digest of what clients hold of a turn that made `messages`."""
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    return transcript.reply_digest(reply_text(messages), last.client_calls if last is not None else ())


def charge_live(db: Db, key: str, prices: PriceList, now: float) -> dict[str, TurnCost]:
    """Count what the session's running turns have used so far, and return it by turn: the session is about to
    be deleted, and they will not end.
    """
    running = db.execute(
        "SELECT t.n, t.id, t.session, t.wish, t.first_seq, t.last_seq, t.counted FROM session s JOIN dispatch d ON d.session = s.id"
        " JOIN turn t ON t.n = d.turn WHERE s.key = ? AND t.made > 0",
        (key,),
    ).fetchall()
    spent: dict[str, TurnCost] = {}
    for n, id_, session, wish, first_seq, last_seq, counted in running:
        made = transcript.of_turn(db, session, n, (first_seq, last_seq), inputs=False)
        asked = decode_wish(wish)
        payer = (asked.key_id, key)
        spent[id_] = usage.count(
            db, session, payer, asked.model, made, usage.used_by(made), counted, prices, now
        )
    return spent


def cancel_waiting(db: Db, turn_id: str, end: TurnEnded, now: float) -> bool:
    """End a turn that never started, and return whether it was still waiting; its input stays out of the
    transcript.
    """
    found = db.execute("SELECT n FROM turn WHERE id = ? AND status = 'queued'", (turn_id,)).fetchone()
    if found is None:
        return False
    (n,) = found
    db.execute(
        "UPDATE turn SET status = 'cancelled', outcome = ?, ended_at = ? WHERE n = ?", (encode(end), now, n)
    )
    db.execute("DELETE FROM dispatch WHERE turn = ?", (n,))
    return True


def count_waiting(db: Db) -> int:
    """Return how many turns of all sessions wait in the queue."""
    (count,) = db.execute("SELECT count(*) FROM dispatch WHERE running = 0").fetchone()
    return int(count)


def release(db: Db, claim: Claim) -> None:
    """Put a running turn back at its place in the queue."""
    held = hold(db, claim.turn.id, claim.attempt)
    db.execute("UPDATE turn SET status = 'queued' WHERE n = ?", (held.n,))
    db.execute("UPDATE dispatch SET running = 0 WHERE turn = ?", (held.n,))


def recover(db: Db, max_attempts: int, now: float, prices: PriceList) -> None:
    """After a crash: charge the lost attempts, put the turns back in the queue, end those that were lost too
    often.
    """
    lost = db.execute(
        "SELECT t.id, t.attempt, t.lost + 1 FROM dispatch d JOIN turn t ON t.n = d.turn WHERE d.running = 1 ORDER BY d.position"
    ).fetchall()
    for id_, attempt, times in lost:
        if times < max_attempts:
            db.execute("UPDATE turn SET status = 'queued', lost = ? WHERE id = ?", (times, id_))
            continue
        error = TurnError(
            TooManyAttempts.code,
            f"the server stopped {times} times while it worked on this turn; it was given up",
            TooManyAttempts.http_status,
        )
        held = hold(db, id_, attempt)
        made = transcript.of_turn(
            db, held.head.session, held.n, (held.first_seq, held.head.last_seq), inputs=False
        )
        _end(db, held, (), TurnEnded("failed", usage.used_by(made), error), now, prices)
        _part(db, held.n, held.head.session)
        db.execute("UPDATE turn SET lost = ? WHERE id = ?", (times, id_))
    db.execute("UPDATE dispatch SET running = 0")


# Looking ------------------------------------------------------------------------------------------


def look(db: Db, turn_id: str) -> TurnState:
    """Return how the turn stands; one that joined another stands as that one does.

    Raises:
        TurnNotFound
    """
    found = db.execute(
        "SELECT u.n, u.id, s.id, s.key, u.status, u.attempt, u.wish, t.created_at, u.started_at, u.ended_at,"
        " u.first_seq, u.last_seq, u.outcome, coalesce(r.detached, 0)"
        " FROM turn t JOIN session s ON s.id = t.session JOIN turn u ON u.n = coalesce(t.joined_to, t.n)"
        " LEFT JOIN response r ON r.turn = t.n WHERE t.id = ?",
        (turn_id,),
    ).fetchone()
    if found is None:
        raise TurnNotFound(f"no turn {turn_id!r} here")
    (
        n,
        id_,
        session,
        key,
        status,
        attempt,
        wish,
        created_at,
        started_at,
        ended_at,
        first_seq,
        last_seq,
        outcome,
        detached,
    ) = found
    messages = transcript.of_turn(db, session, n, (first_seq, last_seq), inputs=False)
    end = _decode_end(outcome) if outcome else None
    return TurnState(
        turn_id,
        key,
        status,
        attempt,
        decode_wish(wish).model,
        created_at,
        started_at,
        ended_at,
        messages,
        end,
        id_,
        bool(detached),
        first_seq,
    )


class Live(msgspec.Struct, frozen=True):
    """A turn that has not ended: its input, the messages that it has added, the ids of those that joined it.

    `session_key` None: it leaves no trace.
    """

    id: str
    session_key: str | None
    input: tuple[Message, ...]
    added: tuple[Message, ...]
    joined: tuple[str, ...]


def live(db: Db) -> tuple[Live, ...]:
    """Return the turns that have not ended."""
    turns = db.execute(
        "SELECT t.n, t.id, t.session, t.first_seq, t.last_seq, t.wish, d.plan, s.key"
        " FROM dispatch d JOIN turn t ON t.n = d.turn JOIN session s ON s.id = t.session ORDER BY d.position"
    ).fetchall()
    found: list[Live] = []
    for n, id_, session, first_seq, last_seq, wish, plan, key in turns:
        span = (first_seq, last_seq)
        given = transcript.of_turn(db, session, n, span, inputs=True) or (
            _decode_plan(plan).input if plan else ()
        )
        joined = tuple(id_ for (id_,) in db.execute("SELECT id FROM turn WHERE joined_to = ?", (n,)))
        made = transcript.of_turn(db, session, n, span, inputs=False)
        found.append(Live(id_, key if decode_wish(wish).trace else None, given, made, joined))
    return tuple(found)
