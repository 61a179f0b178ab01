"""Admission, as a job of the writer: know a resent turn again, hold to the policy for a busy session, commit the rest."""

import sqlite3

import msgspec

from nanobot.core.errors import IdempotencyMismatch, QueueFull, SessionBusy
from nanobot.core.event import TurnEnded
from nanobot.core.message import Message
from nanobot.core.store import Admission, Cancel, Claim, HistoryNote, Limits
from nanobot.core.turn import Identity, Turn
from nanobot.stores import transcript, turns
from nanobot.stores.transcript import Place
from nanobot.stores.turns import Plan, Wish

Db = sqlite3.Connection
_decode_end = msgspec.json.Decoder(TurnEnded).decode


class Admitted(msgspec.Struct, frozen=True):
    """What admission did: the answer for the door, what the engine is to do now, and on whose line the turn is shown."""

    admission: Admission
    claim: Claim | None = None
    cancel: Cancel | None = None
    is_live: bool = True
    shown_as: str | None = None


def admit(
    db: Db, turn: Turn, identity: Identity, earlier: tuple[Message, ...], *, limits: Limits, max_running: int, now: float
) -> Admitted:
    """Commit the turn, or find the one it resends; see `core.store.Store.admit`."""
    place = transcript.find_place(db, turn.session_key)
    if place is not None:
        known = _find_known(db, place.session, identity, now - limits.retry_window_s)
        if known is not None:
            return _join_known(db, place, turn.session_key, known, earlier, max_running, now)
    place = place or transcript.open_session(db, turn.session_key, now)
    busy = _busy(db, place.session)
    if busy.waiting and turn.when_busy == "reject":
        raise SessionBusy("a turn of this session is running: wait for its end, or send x-when-busy: queue")
    if busy.running_n is not None and turn.when_busy == "steer" and busy.running_trace == turn.trace:
        return _steer(db, turn, identity, place, busy, now)
    waiting = busy.waiting - (busy.running_n is not None)
    if waiting >= limits.max_queue:
        raise QueueFull(
            f"{waiting} turns of this session wait already, {limits.max_queue} may: try again when some have ended", retry_after_s=1
        )
    return _enqueue(db, turn, identity, earlier, place, busy, max_running, now)


# A turn that was sent before ---------------------------------------------------------------------------------------------


class _Known(msgspec.Struct, frozen=True):
    n: int
    id: str
    status: str
    outcome: bytes | None
    base_tip: int | None
    span: tuple[int | None, int | None]
    joined_to: int | None


def _find_known(db: Db, session: int, identity: Identity, since: float) -> _Known | None:
    columns = "SELECT n, id, status, outcome, base_tip, first_seq, last_seq, joined_to, digest FROM turn"
    found = None
    if identity.dedupe_key is not None:
        found = db.execute(f"{columns} WHERE session = ? AND dedupe_key = ?", (session, identity.dedupe_key)).fetchone()
        if found is not None and found[8] != identity.digest:
            raise IdempotencyMismatch(
                f"Idempotency-Key {identity.dedupe_key!r} was used with another body: send the same body, or a new key",
                param="Idempotency-Key",
            )
    elif identity.is_retry:
        found = db.execute(
            f"{columns} WHERE session = ? AND digest = ? AND coalesce(ended_at, created_at + 1e9) >= ? ORDER BY n DESC LIMIT 1",
            (session, identity.digest, since),
        ).fetchone()
    if found is None:
        return None
    n, id_, status, outcome, base_tip, first_seq, last_seq, joined_to, _ = found
    return _Known(n, id_, status, outcome, base_tip, (first_seq, last_seq), joined_to)


def _join_known(db: Db, place: Place, key: str, known: _Known, earlier: tuple[Message, ...], max_running: int, now: float) -> Admitted:
    """Join the turn that is being resent. One that failed in passing and left nothing behind gets another chance under its old id."""
    admission = Admission(known.id, joined=True)
    end = _decode_end(known.outcome) if known.outcome else None
    if end is None or end.error is None or end.outcome != "failed" or not end.error.retryable or known.span[0] is None:
        return Admitted(admission, is_live=False)
    if transcript.of_turn(db, place.session, known.n, known.span, inputs=False):
        return Admitted(admission, is_live=False)
    busy = _busy(db, place.session)
    note, base = _reconcile(db, place, earlier, busy)
    plan = Plan(transcript.of_turn(db, place.session, known.n, known.span, inputs=True), earlier if note == "imported" else (), base)
    db.execute(
        "UPDATE turn SET status = 'queued', outcome = NULL, ended_at = NULL, first_seq = NULL, last_seq = NULL, made = 0 WHERE n = ?",
        (known.n,),
    )
    started = _dispatch(db, place, known.n, plan, busy=busy, max_running=max_running, now=now)
    admission = Admission(known.id, joined=True, history=note)
    return Admitted(admission, turns.load_claim(db, known.n, key) if started else None)


# A turn that is new --------------------------------------------------------------------------------------------------------


class _Busy(msgspec.Struct, frozen=True):
    """How many turns of a session have not ended, and which of them runs."""

    waiting: int
    running_n: int | None = None
    running_id: str | None = None
    running_trace: bool = True


def _busy(db: Db, session: int) -> _Busy:
    rows = db.execute(
        "SELECT d.turn, t.id, t.wish, d.running FROM dispatch d JOIN turn t ON t.n = d.turn WHERE d.session = ?", (session,)
    ).fetchall()
    for n, id_, wish, running in rows:
        if running:
            return _Busy(len(rows), n, id_, turns.decode_wish(wish).trace)
    return _Busy(len(rows))


def _insert(db: Db, turn: Turn, identity: Identity, session: int, status: str, joined_to: int | None, now: float) -> int:
    wish = Wish(turn.origin, turn.model, turn.instructions, turn.sampling, turn.trace)
    cursor = db.execute(
        "INSERT INTO turn (id, session, status, wish, digest, dedupe_key, joined_to, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (turn.id, session, status, turns.encode_wish(wish), identity.digest, identity.dedupe_key, joined_to, now),
    )
    return int(cursor.lastrowid or 0)


def _steer(db: Db, turn: Turn, identity: Identity, place: Place, busy: _Busy, now: float) -> Admitted:
    n = _insert(db, turn, identity, place.session, "joined", busy.running_n, now)
    db.execute("INSERT INTO steer (turn, target, input) VALUES (?, ?, ?)", (n, busy.running_n, turns.encode(turn.input)))
    return Admitted(Admission(turn.id, joined=False), shown_as=busy.running_id)


def _enqueue(
    db: Db, turn: Turn, identity: Identity, earlier: tuple[Message, ...], place: Place, busy: _Busy, max_running: int, now: float
) -> Admitted:
    note, base = _reconcile(db, place, earlier, busy)
    n = _insert(db, turn, identity, place.session, "queued", None, now)
    plan = Plan(turn.input, earlier if note == "imported" else (), base)
    started = _dispatch(db, place, n, plan, busy=busy, max_running=max_running, now=now)
    cancel = None
    if turn.when_busy == "interrupt" and busy.running_id is not None:
        cancel = Cancel(busy.running_id, "a later message of this session took its place")
    return Admitted(Admission(turn.id, joined=False, history=note), Claim(turn, 1) if started else None, cancel)


def _reconcile(db: Db, place: Place, earlier: tuple[Message, ...], busy: _Busy) -> tuple[HistoryNote, int | None]:
    """While a turn runs, a client cannot hold its reply yet: what it holds as the newest is no wish to rewind."""
    note, base = transcript.reconcile(db, place, earlier)
    if note == "imported" and busy.waiting:
        return "ignored", None
    if base is not None and busy.waiting and not transcript.reply_after(db, place, base):
        return "matched", None
    return note, base


def _dispatch(db: Db, place: Place, n: int, plan: Plan, *, busy: _Busy, max_running: int, now: float) -> bool:
    """Start the turn now where nothing stands before it, else put it in the queue; return whether it was started."""
    if busy.waiting or turns.running(db) >= max_running:
        db.execute("INSERT INTO dispatch (turn, session, running, plan) VALUES (?, ?, 0, ?)", (n, place.session, turns.encode(plan)))
        return False
    db.execute("INSERT INTO dispatch (turn, session, running) VALUES (?, ?, 1)", (n, place.session))
    turns.start(db, place, n, plan, now)
    return True
