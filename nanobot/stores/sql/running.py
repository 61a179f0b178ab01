"""A running turn: what happens in it is appended, until it ends.

The attempt's number is the fence: what an attempt that is over hands in is refused.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from nanobot.core.accounts import PriceList, TurnCost
from nanobot.core.dispatch import Claim
from nanobot.core.errors import StaleAttempt, TooManyAttempts
from nanobot.core.event import Fact, MessageAdded, ToolFinished, ToolStarted, TurnEnded, TurnError
from nanobot.core.message import Message, Text, reply_text
from nanobot.core.turn import Turn
from nanobot.stores.sql import (
    agent_states,
    approvals,
    catalogue,
    delegated,
    erasing,
    hidden,
    queue,
    remembering,
    taking_in,
    transcript,
    turns,
    usage,
)
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.transcript import TranscriptHead


class Applied(msgspec.Struct, frozen=True):
    """What an append did: the facts that hold, the inputs that joined, the turns that may start now, those
    that joined no more, what the turn used up if it ended.
    """

    facts: tuple[Fact, ...]
    joined: tuple[Message, ...] = ()
    claims: tuple[Claim, ...] = ()
    parted: tuple[str, ...] = ()
    spent: TurnCost | None = None


class RunningTurn(msgspec.Struct, frozen=True):
    """A running turn whose attempt is not over."""

    n: int
    base_tip: int
    first_seq: int
    added: int
    has_joiners: bool
    has_waiters: bool
    counted: bytes | None
    head: TranscriptHead


def fenced(db: Db, turn_id: str, attempt: int) -> RunningTurn:
    """Return the running turn, if `attempt` is still the one that runs it.

    Raises:
        StaleAttempt
    """
    found = db.execute(
        "SELECT t.n, t.base_tip, t.first_seq, t.added, EXISTS (SELECT 1 FROM steer WHERE target = t.n),"
        " EXISTS (SELECT 1 FROM dispatch WHERE owner IS NULL), t.counted,"
        f" {transcript.HEAD_COLUMNS}"
        " FROM turn t JOIN session s ON s.id = t.session"
        " WHERE t.id = ? AND t.attempt = ? AND t.status = 'running'",
        (turn_id, attempt),
    ).fetchone()
    if found is None:
        raise StaleAttempt(f"attempt {attempt} at {turn_id} is over")
    n, base_tip, first_seq, added, has_joiners, has_waiters, counted, *head = found
    return RunningTurn(
        n,
        base_tip,
        first_seq,
        added,
        bool(has_joiners),
        bool(has_waiters),
        counted,
        transcript.head_from(*head),
    )


def append(
    db: Db, claim: Claim, facts: Sequence[Fact], capacity: Capacity, now: float, prices: PriceList
) -> Applied:
    """Write what happened in the attempt; see `core.dispatch.Dispatch.append`."""
    running = fenced(db, claim.turn.id, claim.attempt)
    _note_calls(db, running, facts, now)
    joined = _waiting_to_join(db, running.n) if running.has_joiners else ()
    end = next((fact for fact in facts if isinstance(fact, TurnEnded)), None)
    if joined and end is not None and end.outcome == "done":
        facts = [fact for fact in facts if fact is not end]
        end = None
    messages = [fact.message for fact in facts if isinstance(fact, MessageAdded | ToolFinished)]
    if end is not None:
        spent = _end(db, running, claim.turn, messages, end, now, prices)
        queue.note_running(db, capacity.owner, -1)
        parted = queue.part(db, running.n, running.head.session) if running.has_joiners else ()
        claims = queue.start_next(db, capacity, now) if running.has_waiters or parted else ()
        return Applied(tuple(facts), claims=claims, parted=parted, spent=spent)
    if joined:
        db.execute("DELETE FROM steer WHERE target = ?", (running.n,))
    messages += joined
    if messages:
        transcript.append(db, running.head, messages, turn=running.n, is_input=False, now=now)
        agent_states.note(db, running.head, messages)
        transcript.save_head(db, running.head)
        db.execute(
            "UPDATE turn SET last_seq = ?, added = added + ? WHERE n = ?",
            (running.head.last_seq, len(messages), running.n),
        )
    return Applied((*facts, *(MessageAdded(message) for message in joined)), joined)


_START_CALL = "INSERT INTO started_call (turn, call_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_FINISH_CALL = "UPDATE started_call SET is_finished = 1 WHERE turn = ? AND call_id = ?"


def _note_calls(db: Db, running: RunningTurn, facts: Sequence[Fact], now: float) -> None:
    n = running.n
    for fact in facts:
        # A client's call is open until the turn ends, one that nobody has agreed to until its result says so:
        # no input joins behind it.
        if isinstance(fact, MessageAdded):
            for call in fact.message.tool_calls:
                if call.for_client or call.is_withheld:
                    db.execute(_START_CALL, (n, call.id))
                if call.approval is not None:
                    approvals.use_up(db, running.head.session, n, call, now)
            if fact.message.asks:
                approvals.ask(db, running.head.session, n, fact.message.asks, now)
        elif isinstance(fact, ToolStarted):
            db.execute(_START_CALL, (n, fact.call.id))
        elif isinstance(fact, ToolFinished):
            for result in fact.message.tool_results:
                db.execute(_FINISH_CALL, (n, result.call_id))


def _waiting_to_join(db: Db, n: int) -> tuple[Message, ...]:
    """Return the inputs that may join now: none while a call is open, as its result must follow it."""
    if db.execute("SELECT 1 FROM started_call WHERE turn = ? AND is_finished = 0 LIMIT 1", (n,)).fetchone():
        return ()
    waiting = db.execute("SELECT input FROM steer WHERE target = ? ORDER BY turn", (n,)).fetchall()
    return tuple(message for (body,) in waiting for message in turns.decode_input(body))


def _end(
    db: Db,
    running: RunningTurn,
    turn: Turn,
    messages: Sequence[Message],
    end: TurnEnded,
    now: float,
    prices: PriceList,
) -> TurnCost:
    """Close the turn: its last messages, its outcome, what it used up, and the tip where it leaves the
    transcript as it was.
    """
    head = running.head
    reply = None
    span = (running.first_seq, head.last_seq)
    before = transcript.of_turn(db, head.session, running.n, span, inputs=False) if running.added else ()
    all_added = (*before, *messages)
    if end.outcome != "failed" and turn.trace and (all_added or turn.continues):
        given = transcript.of_turn(db, head.session, running.n, span, inputs=True) if turn.continues else ()
        reply = reply_of((*given[-1:], *all_added))
    transcript.append(db, head, messages, turn=running.n, is_input=False, now=now, reply=reply)
    agent_states.note(db, head, messages)
    if reply is not None and not messages:
        transcript.mark_reply(db, head, reply)
    last_seq = head.last_seq
    added = running.added + len(messages)
    if not turn.trace or (end.outcome == "failed" and not added):
        transcript.move_tip(db, head, running.base_tip)
    transcript.save_head(db, head)
    db.execute(
        "UPDATE turn SET status = ?, outcome = ?, last_seq = ?, added = ?, ended_at = ? WHERE n = ?",
        (end.outcome, turns.encode(end), last_seq, added, now, running.n),
    )
    if head.has_facts and head.tip != last_seq:
        remembering.follow_tip(db, head.session, head.tip)
    db.execute("DELETE FROM dispatch WHERE session = ? AND turn = ?", (head.session, running.n))
    # A turn that may be taken up again needs its tools.
    if turn.tools and end.outcome != "failed" and not turns.may_go_on(end):
        _forget_tools(db, running.n)
    account = delegated.account(db, head.session, turn)
    charge = usage.Charge(
        account, turn.account_key, turn.key_id, turn.model, all_added, end.usage, running.counted
    )
    return usage.count(db, charge, prices, now)


def _forget_tools(db: Db, n: int) -> None:
    (body,) = db.execute("SELECT body FROM turn WHERE n = ?", (n,)).fetchone()
    turn = msgspec.structs.replace(turns.decode(body), tools=(), declared=())
    db.execute("UPDATE turn SET body = ? WHERE n = ?", (turns.encode(turn), n))


def reply_of(messages: Sequence[Message]) -> Message:
    """Return what clients hold of a turn that added `messages`: one message."""
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    calls = last.client_calls if last is not None else ()
    return Message("assistant", (Text(reply_text(tuple(messages))), *calls))


def charge_live(db: Db, key: str, prices: PriceList, now: float) -> dict[str, TurnCost]:
    """Count what the session's running turns have used so far, and return it by turn: the session is about to
    be deleted, and they will not end.
    """
    unended = db.execute(
        "SELECT t.n, t.id, t.session, t.body, t.first_seq, t.last_seq, t.counted FROM session s"
        " JOIN dispatch d ON d.session = s.id"
        " JOIN turn t ON t.n = d.turn WHERE s.key = ? AND t.added > 0",
        (key,),
    ).fetchall()
    spent: dict[str, TurnCost] = {}
    for n, id_, session, body, first_seq, last_seq, counted in unended:
        added = transcript.of_turn(db, session, n, (first_seq, last_seq), inputs=False)
        turn = turns.decode(body)
        account = delegated.account(db, session, turn)
        used = usage.used_by(added)
        charge = usage.Charge(account, turn.account_key, turn.key_id, turn.model, added, used, counted)
        spent[id_] = usage.count(db, charge, prices, now)
    return spent


def _erase(db: Db, now: float, prices: PriceList, key: str) -> None:
    for each in (*delegated.keys_of(db, key), key):
        charge_live(db, each, prices, now)
        catalogue.delete(db, key=each)


def release(db: Db, claim: Claim) -> None:
    """Put a running turn back where it was in the queue."""
    running = fenced(db, claim.turn.id, claim.attempt)
    db.execute("UPDATE turn SET status = 'queued' WHERE n = ?", (running.n,))
    db.execute(
        "UPDATE dispatch SET owner = NULL, lease_until = NULL WHERE session = ? AND turn = ?",
        (running.head.session, running.n),
    )
    queue.recount_running(db)


def recover(db: Db, owner: str, max_attempts: int, now: float, prices: PriceList) -> None:
    """Put back into the queue what `owner` ran before it stopped, and what other owners' leases have run out
    on; charge the lost attempts, and end the turns that were lost too often.
    """
    hidden.hide_unfinished(db)
    taking_in.leave_all(db)
    erasing.finish(db, partial(_erase, db, now, prices))
    lost = db.execute(
        "SELECT t.id, t.attempt, t.lost + 1, t.body FROM dispatch d JOIN turn t ON t.n = d.turn"
        " WHERE d.owner = ? OR d.lease_until < ?"
        " ORDER BY d.turn",
        (owner, now),
    ).fetchall()
    for id_, attempt, times, body in lost:
        if times < max_attempts:
            db.execute("UPDATE turn SET status = 'queued', lost = ? WHERE id = ?", (times, id_))
            continue
        error = TurnError(
            TooManyAttempts.code,
            f"the server stopped {times} times while it worked on this turn; it was given up",
            TooManyAttempts.http_status,
        )
        running = fenced(db, id_, attempt)
        added = transcript.of_turn(
            db, running.head.session, running.n, (running.first_seq, running.head.last_seq), inputs=False
        )
        end = TurnEnded("failed", usage.used_by(added), error)
        _end(db, running, turns.decode(body), (), end, now, prices)
        queue.part(db, running.n, running.head.session)
        db.execute("UPDATE turn SET lost = ? WHERE id = ?", (times, id_))
    db.execute(
        "UPDATE dispatch SET owner = NULL, lease_until = NULL WHERE owner = ? OR lease_until < ?",
        (owner, now),
    )
    delegated.put_first(db)
    queue.recount_running(db)
