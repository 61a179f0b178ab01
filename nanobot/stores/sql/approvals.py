"""Rows of approvals and of the rules that come out of them; see `core.approvals`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from nanobot.core.accounts import matches
from nanobot.core.approvals import (
    Approval,
    ApprovalAnswer,
    ApprovalFilter,
    ApprovalRule,
    ApprovalState,
    Standing,
    WantedCall,
)
from nanobot.core.errors import ApprovalChanged, ApprovalClosed, ApprovalNotFound, ApprovalRuleNotFound
from nanobot.core.message import AskedCall, ToolCall
from nanobot.core.sessions import Direction, SessionFilter
from nanobot.core.tool_question import ToolQuestion
from nanobot.stores.sql import hidden, transcript
from nanobot.stores.sql.db import Db

_COLUMNS = (
    "a.id, s.key, (SELECT t.id FROM turn t WHERE t.n = a.turn), a.call_id, a.tool, a.arguments, a.asker,"
    " a.created_at, a.expires_at, a.state, a.answer, a.decided_at, a.decided_by, a.digest, a.question,"
    " a.content, a.used_by IS NOT NULL"
)
_ROWS = "FROM approval a JOIN session s ON s.id = a.session"
_IS_OPEN = "a.used_by IS NULL AND a.state IN ('pending', 'approved')"
_STATES: dict[ApprovalState, str] = {
    "pending": "a.used_by IS NULL AND a.state = 'pending' AND a.expires_at > ?",
    "approved": "a.state = 'approved' AND (a.used_by IS NOT NULL OR a.expires_at > ?)",
    "denied": "a.state = 'denied' AND ? IS NOT NULL",
    "expired": f"(a.state = 'expired' OR ({_IS_OPEN} AND a.expires_at <= ?))",
}
"""The condition for each state, with the time bound once."""
_RULE_COLUMNS = "r.id, r.tool, s.key, r.pattern, r.created_at, r.created_by"
_RULE_ROWS = "FROM approval_rule r LEFT JOIN session s ON s.id = r.session"


# While a turn runs --------------------------------------------------------------------------------


def ask(db: Db, session: int, turn: int, calls: Sequence[AskedCall], now: float) -> None:
    """Keep what a running turn asks for; a call that was asked for before keeps its approval."""
    for asked in calls:
        db.execute(
            "INSERT INTO approval (n, id, session, turn, call_id, tool, arguments, asker, created_at,"
            " expires_at, state, digest, question)"
            f" VALUES ({db.dialect.new_number('approval')}, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?)"
            " ON CONFLICT DO NOTHING",
            (
                asked.id,
                session,
                turn,
                asked.call_id,
                asked.tool,
                asked.arguments,
                asked.asker,
                now,
                asked.expires_at,
                asked.digest,
                msgspec.json.encode(asked.question).decode() if asked.question is not None else None,
            ),
        )


def use_up(db: Db, session: int, turn: int, call: ToolCall, now: float) -> None:
    """Use up the approval of a call that the running turn is about to run, or tells as not run.

    Raises:
        ApprovalChanged: it is not there for that any more.
    """
    if call.is_withheld:
        used = db.execute(
            "UPDATE approval SET used_by = ?, state = CASE state WHEN 'denied' THEN state ELSE 'expired' END"
            " WHERE id = ? AND session = ? AND used_by IS NULL AND (state = 'denied' OR expires_at <= ?)",
            (turn, call.approval, session, now),
        )
    else:
        used = db.execute(
            "UPDATE approval SET used_by = ? WHERE id = ? AND session = ? AND used_by IS NULL"
            " AND state = 'approved'",
            (turn, call.approval, session),
        )
    if used.rowcount != 1:
        raise ApprovalChanged(f"the approval {call.approval} is not as it was when the turn read it")


def standing(
    db: Db, key: str, calls: Sequence[WantedCall], asker: str | None, now: float
) -> tuple[tuple[Standing, ...], int]:
    """Return how each call stands, and how many approvals wait; see `core.approvals.Approvals`."""
    session = transcript.head_of(db, key).session
    (waiting,) = db.execute(
        "SELECT count(*) FROM approval a WHERE a.session = ? AND a.used_by IS NULL AND a.state = 'pending'"
        " AND a.expires_at > ?",
        (session, now),
    ).fetchone()
    found = [
        Standing(_rule_for(db, key, session, call), _open_approval(db, session, call, asker, now))
        for call in calls
    ]
    return tuple(found), int(waiting)


def _rule_for(db: Db, key: str, session: int, call: WantedCall) -> str | None:
    rules = db.execute(
        "SELECT id, pattern FROM approval_rule WHERE tool = ? AND (session = ? OR session IS NULL)"
        " AND digest = ? ORDER BY n",
        (call.tool, session, call.digest),
    )
    return next((id_ for id_, pattern in rules if pattern is None or matches(key, pattern)), None)


def _open_approval(db: Db, session: int, call: WantedCall, asker: str | None, now: float) -> Approval | None:
    row = db.execute(
        f"SELECT {_COLUMNS} {_ROWS} WHERE a.session = ? AND a.tool = ? AND a.arguments = ? AND a.digest = ?"
        f" AND {_IS_OPEN} AND a.expires_at > ? AND coalesce(a.asker, '') = ? ORDER BY a.n DESC LIMIT 1",
        (session, call.tool, call.arguments, call.digest, now, asker or ""),
    ).fetchone()
    return None if row is None else _approval(row, now)


# Deciding -----------------------------------------------------------------------------------------


def find(db: Db, approval_id: str, now: float) -> Approval:
    """Return the approval.

    Raises:
        ApprovalNotFound
    """
    row = db.execute(
        f"SELECT {_COLUMNS} {_ROWS} WHERE a.id = ? AND {hidden.shown('s.key')}", (approval_id,)
    ).fetchone()
    if row is None:
        raise ApprovalNotFound(f"no approval {approval_id[:80]!r} here")
    return _approval(row, now)


def decide(
    db: Db,
    approval_id: str,
    answer: ApprovalAnswer,
    *,
    by: str,
    rule_id: str,
    pattern: str | None,
    now: float,
    content: str | None = None,
) -> Approval:
    """Decide on the approval; see `core.approvals.Approvals.decide`. `rule_id`: what a rule that comes of it
    is called.
    """
    approval = find(db, approval_id, now)
    is_given = approval.state == "approved" and not approval.is_used
    is_same = approval.answer == answer and (answer == "deny" or approval.content == content)
    if is_same and approval.state in ("approved", "denied"):
        return approval
    if approval.state != "pending" and not (is_given and answer == "deny"):
        raise ApprovalClosed(f"{approval_id} cannot be decided any more: {_why_closed(approval)}")
    if answer == "deny":
        db.execute(
            "DELETE FROM approval_rule WHERE approval = (SELECT n FROM approval WHERE id = ?)", (approval_id,)
        )
    state: ApprovalState = "denied" if answer == "deny" else "approved"
    # It has to be used up within as long as there was to decide.
    db.execute(
        "UPDATE approval SET state = ?, answer = ?, decided_at = ?, decided_by = ?, content = ?,"
        " expires_at = ? + (expires_at - created_at) WHERE id = ?",
        (state, answer, now, by, content, now, approval_id),
    )
    if answer in ("session", "rule"):
        db.execute(
            "INSERT INTO approval_rule (id, tool, session, pattern, created_at, created_by, approval, digest)"
            " SELECT ?, tool, CASE ? WHEN 'session' THEN session END, ?, ?, ?, n, digest FROM approval"
            " WHERE id = ?",
            (rule_id, answer, pattern if answer == "rule" else None, now, by, approval_id),
        )
    return find(db, approval_id, now)


def _why_closed(approval: Approval) -> str:
    if approval.state == "expired":
        return "it has expired; the agent asks again when it calls the tool again"
    if approval.is_used and approval.state == "approved":
        return "its call has been run"
    return f"it was answered with {approval.answer!r}"


def page(
    db: Db, matching: ApprovalFilter, now: float, *, limit: int, after: str | None, order: Direction
) -> tuple[Approval, ...]:
    """Return a page of approvals; see `core.approvals.Approvals.approvals`."""
    where, values = [hidden.shown("s.key")], list[str | float | int]()
    if matching.session_key is not None:
        where.append("s.key = ?")
        values.append(matching.session_key)
    patterns = matching.sessions.patterns
    if patterns:
        where.append(f"({' OR '.join([db.dialect.matches('s.key')] * len(patterns))})")
        values += [db.dialect.pattern(pattern) for pattern in patterns]
    if after is not None:
        found = db.execute(
            f"SELECT a.n {_ROWS} WHERE a.id = ? AND {' AND '.join(where)}", (after, *values)
        ).fetchone()
        if found is None:
            raise ApprovalNotFound(f"no approval {after[:80]!r} here")
        where.append(f"a.n {'<' if order == 'desc' else '>'} ?")
        values.append(found[0])
    if matching.state is not None:
        where.append(_STATES[matching.state])
        values.append(now)
    rows = db.execute(
        f"SELECT {_COLUMNS} {_ROWS} WHERE {' AND '.join(where)}"
        f" ORDER BY a.n {'ASC' if order == 'asc' else 'DESC'} LIMIT ?",
        (*values, limit),
    ).fetchall()
    return tuple(_approval(row, now) for row in rows)


def _approval(row: Sequence[Any], now: float) -> Approval:
    fields = dict(zip(Approval.__struct_fields__, row, strict=True))
    question = fields["question"]
    fields["question"] = msgspec.json.decode(question, type=ToolQuestion) if question is not None else None
    approval = Approval(**{**fields, "is_used": bool(row[-1])})
    if approval.is_used or approval.state not in ("pending", "approved") or approval.expires_at > now:
        return approval
    return msgspec.structs.replace(approval, state="expired")


# Rules --------------------------------------------------------------------------------------------


def rules(db: Db, sessions: SessionFilter) -> tuple[ApprovalRule, ...]:
    """Return the rules; see `core.approvals.Approvals.approval_rules`."""
    where, values = f"(r.session IS NULL OR {hidden.shown('s.key')})", list[str]()
    if sessions.patterns:
        any_of = " OR ".join([db.dialect.matches("s.key")] * len(sessions.patterns))
        where += f" AND (r.session IS NULL OR {any_of})"
        values = [db.dialect.pattern(pattern) for pattern in sessions.patterns]
    rows = db.execute(f"SELECT {_RULE_COLUMNS} {_RULE_ROWS} WHERE {where} ORDER BY r.n", values).fetchall()
    return tuple(ApprovalRule(*row) for row in rows)


def revoke_rule(db: Db, rule_id: str) -> ApprovalRule:
    """Delete the rule, and return it.

    Raises:
        ApprovalRuleNotFound
    """
    row = db.execute(f"SELECT {_RULE_COLUMNS} {_RULE_ROWS} WHERE r.id = ?", (rule_id,)).fetchone()
    if row is None:
        raise ApprovalRuleNotFound(f"no approval rule {rule_id[:80]!r} here")
    db.execute("DELETE FROM approval_rule WHERE id = ?", (rule_id,))
    return ApprovalRule(*row)


# Deleting -----------------------------------------------------------------------------------------

_MOST_ROWS = 500


def delete_old(db: Db, before: float) -> int:
    """Delete some approvals that were closed before then, and return how many."""
    return db.execute(
        "DELETE FROM approval WHERE n IN (SELECT n FROM approval WHERE expires_at < ? LIMIT ?)",
        (before, _MOST_ROWS),
    ).rowcount


def purge_some(db: Db, session: int) -> bool:
    """Delete some rows of a session; return whether there were any."""
    gone = 0
    for table in ("approval", "approval_rule"):
        gone += db.execute(
            f"DELETE FROM {table} WHERE n IN (SELECT n FROM {table} WHERE session = ? LIMIT ?)",
            (session, _MOST_ROWS),
        ).rowcount
    return gone > 0
