"""What turns used, by day: counted in the transaction that ends a turn, so that nothing is counted twice or
lost.

A turn is counted in the row of its session, day, API key and model. Reports on keys read these rows, and
sums of past days that stand in rows of no session; the rows that are in a sum are marked `is_summed`. What a
deleted session used goes into the sums, too: its key has used it.
"""

from collections.abc import Sequence

import msgspec

from nanobot.core.accounts import (
    DAY_S,
    Grouping,
    PriceList,
    SpendingOf,
    TurnCost,
    UnendedTurn,
    UsageRow,
    name_of_day,
)
from nanobot.core.compaction import Payer
from nanobot.core.errors import SessionNotFound
from nanobot.core.message import Message, Usage
from nanobot.stores.sql import transcript
from nanobot.stores.sql.db import Db

_SUMS = (
    "sum(turns), sum(steps), sum(prompt), sum(completion), sum(cached), sum(reasoning), sum(cost),"
    " sum(unpriced)"
)
NO_SESSION = 0
_MOST_SUMMED = 256
_NUMBERS = "turns, steps, prompt, completion, cached, reasoning, cost, unpriced"
_ADD = (
    " ON CONFLICT (session, day, key_id, model, is_summed) DO UPDATE"
    " SET turns = turns + excluded.turns, steps = steps + excluded.steps, prompt = prompt + excluded.prompt,"
    " completion = completion + excluded.completion, cached = cached + excluded.cached, reasoning ="
    " reasoning + excluded.reasoning,"
    " cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced"
)
_COUNT = "INSERT INTO usage VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)" + _ADD
_OF_KEYS = (
    f"(SELECT day, key_id, model, {_NUMBERS} FROM usage WHERE session = {NO_SESSION}"
    f" UNION ALL SELECT day, key_id, model, {_NUMBERS} FROM usage"
    f" WHERE is_summed = 0 AND session <> {NO_SESSION})"
)
"""What keys used: the sums, and what is in none yet."""


class Counted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a turn was charged when it ended before."""

    steps: int
    usage: Usage


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Counted).decode


def day_of(now: float) -> str:
    """Return the day of UTC, `YYYY-MM-DD`."""
    return name_of_day(int(now // DAY_S))


def counted(messages: Sequence[Message], usage: Usage) -> bytes:
    """Return what to keep of a turn that ended with these messages and is run again."""
    return _encode(Counted(_steps(messages), usage))


def used_by(messages: Sequence[Message]) -> Usage:
    """Return the tokens that the messages of a turn cost."""
    return sum((message.usage for message in messages if message.usage is not None), Usage())


class Charge(msgspec.Struct, frozen=True):
    """A turn to be charged: to which session (its number) and account, for which messages of which model.

    `model` is the name that the turn asks for. `counted`: what an earlier end of the turn was charged.
    """

    session: int
    session_key: str
    key_id: str | None
    model: str | None
    messages: Sequence[Message]
    usage: Usage
    counted: bytes | None


class _Share(msgspec.Struct):
    """What one model has of a turn."""

    turns: int
    steps: int = 0
    usage: Usage = Usage()


def count(db: Db, charge: Charge, prices: PriceList, now: float) -> TurnCost:
    """Add a turn that ends now to its day: to each model what its messages cost, where several answered."""
    usage = charge.usage
    turns, steps, counted_steps = 1, _steps(charge.messages), 0
    if charge.counted is not None:
        known = _decode(charge.counted)
        turns, steps, usage = 0, max(0, steps - known.steps), _less(usage, known.usage)
        counted_steps = known.steps
    name = prices.model(charge.model)
    chosen = [message for message in charge.messages if message.passed_over is not None]
    if not chosen:
        cost = _add(db, charge, name, _Share(turns, steps, usage), prices, now)
        return TurnCost(charge.key_id, charge.session_key, name, _tokens(usage), cost)
    last = chosen[-1].model or name
    shares = _shares(charge.messages, counted_steps, usage, name, last)
    shares[last].turns = turns
    costs = {model: _add(db, charge, model, share, prices, now) for model, share in shares.items()}
    priced = {model: cost for model, cost in costs.items() if cost is not None}
    total = sum(priced.values()) if priced else None
    return TurnCost(charge.key_id, charge.session_key, last, _tokens(usage), total, priced)


def count_apart(db: Db, session: int, payer: Payer, usage: Usage, prices: PriceList, now: float) -> TurnCost:
    """Add a step to the day that belongs to no turn."""
    name = prices.model(payer.model)
    charge = Charge(session, payer.session_key, payer.key_id, payer.model, (), usage, None)
    cost = _add(db, charge, name, _Share(0, 1, usage), prices, now)
    return TurnCost(payer.key_id, payer.session_key, name, _tokens(usage), cost)


def _add(db: Db, charge: Charge, name: str, share: _Share, prices: PriceList, now: float) -> int | None:
    """Add what a model has of the turn to the day; return its cost, None where the price is not known."""
    turns, usage = share.turns, share.usage
    price = prices.prices.get(name)
    cost = None if price is None else price.cost(usage)
    numbers = (
        turns,
        share.steps,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
    )
    row = (*numbers, cost or 0, turns if cost is None else 0)
    db.execute(_COUNT, (charge.session, day_of(now), charge.key_id or "", name, *row))
    return cost


def _shares(
    messages: Sequence[Message], counted_steps: int, usage: Usage, first: str, last: str
) -> dict[str, _Share]:
    """Return what each model has of `usage`: the tokens of its messages, but for the `counted_steps` that
    were charged before; the `first` one has what is in no message.
    """
    shares = {last: _Share(0)}
    rest = usage
    steps = [message for message in messages if message.role == "assistant"]
    for message in steps[counted_steps:]:
        share = shares.setdefault(message.model or first, _Share(0))
        share.steps += 1
        share.usage += message.usage or Usage()
        rest = _less(rest, message.usage or Usage())
    if rest != Usage():
        share = shares.setdefault(first, _Share(0))
        share.usage += rest
    return shares


def _tokens(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens


def _steps(messages: Sequence[Message]) -> int:
    return sum(1 for message in messages if message.role == "assistant")


def _less(usage: Usage, other: Usage) -> Usage:
    return Usage(
        max(0, usage.prompt_tokens - other.prompt_tokens),
        max(0, usage.completion_tokens - other.completion_tokens),
        max(0, usage.cached_tokens - other.cached_tokens),
        max(0, usage.reasoning_tokens - other.reasoning_tokens),
    )


# Summing up ---------------------------------------------------------------------------------------


def sum_up_some(db: Db) -> bool:
    """Sum up some of what sessions used on days before the last one; return whether there may be more."""
    past = db.execute(
        f"SELECT session, day, key_id, model FROM usage WHERE is_summed = 0 AND session <> {NO_SESSION}"
        f" AND day < (SELECT max(day) FROM usage WHERE is_summed = 0 AND session <> {NO_SESSION}) LIMIT ?",
        (_MOST_SUMMED,),
    ).fetchall()
    of_row = "session = ? AND day = ? AND key_id = ? AND model = ? AND is_summed = 0"
    for row in past:
        for session, is_summed in ((NO_SESSION, 0), (row[0], 1)):
            db.execute(
                f"INSERT INTO usage SELECT {session}, day, key_id, model, {is_summed}, {_NUMBERS} FROM usage"
                f" WHERE {of_row}{_ADD}",
                row,
            )
        db.execute(f"DELETE FROM usage WHERE {of_row}", row)
    return bool(past)


def take_from(db: Db, session: int) -> None:
    """Let what was used in a session, which is to be deleted, be known of its keys only."""
    db.execute(
        f"INSERT INTO usage SELECT {NO_SESSION}, day, key_id, model, 0, {_NUMBERS} FROM usage"
        f" WHERE session = ? AND is_summed = 0{_ADD}",
        (session,),
    )
    db.execute("DELETE FROM usage WHERE session = ?", (session,))


# Reading ------------------------------------------------------------------------------------------


def report(
    db: Db, *, first_day: str, last_day: str, group: Sequence[Grouping], key_id: str | None, only_key: bool
) -> tuple[UsageRow, ...]:
    """Return what was used, a row for each value of `group`; see `core.accounts.Accounts.usage`."""
    columns = {"day": "day", "key": "key_id", "model": "model"}
    where, values = "day BETWEEN ? AND ?", [first_day, last_day]
    if only_key:
        where, values = f"{where} AND key_id = ?", [*values, key_id or ""]
    return _rows(db, _OF_KEYS, [columns[name] for name in group], where, values)


def report_session(
    db: Db, *, key: str, first_day: str, last_day: str, group: Sequence[Grouping]
) -> tuple[UsageRow, ...]:
    """Return what was used in a session.

    Raises:
        SessionNotFound
    """
    head = transcript.find_head(db, key)
    if head is None:
        raise SessionNotFound(f"no session {key!r} here")
    columns = [name for name in group if name != "key"]
    return _rows(
        db,
        "usage",
        columns,
        "session = ? AND day BETWEEN ? AND ?",
        [head.session, first_day, last_day],
    )


def _rows(
    db: Db, table: str, columns: Sequence[str], where: str, values: Sequence[str | int]
) -> tuple[UsageRow, ...]:
    shown = ", ".join(columns)
    grouped = f"GROUP BY {shown} ORDER BY {shown}" if columns else "HAVING count(*) > 0"
    found = db.execute(
        f"SELECT {_SUMS}{', ' if columns else ''}{shown} FROM {table} WHERE {where} {grouped}",
        tuple(values),
    )
    rows: list[UsageRow] = []
    for turns, steps, prompt, completion, cached, reasoning, cost, unpriced, *named in found:
        names = dict(zip(columns, named, strict=True))
        usage = Usage(prompt, completion, cached, reasoning)
        key_id = names.get("key_id")
        rows.append(
            UsageRow(
                names.get("day"), key_id or None, names.get("model"), turns, steps, usage, cost, unpriced
            )
        )
    return tuple(rows)


def spending(db: Db, *, day: str, by_session: bool) -> tuple[SpendingOf, ...]:
    """Return what each key, and with `by_session` what each session, has used up on the day."""
    by_key = db.execute(
        f"SELECT key_id, sum(prompt + completion), sum(cost) FROM {_OF_KEYS} WHERE day = ? GROUP BY key_id",
        (day,),
    )
    found = [SpendingOf(key_id, None, tokens, cost) for key_id, tokens, cost in by_key if key_id]
    if by_session:
        rows = db.execute(
            "SELECT s.key, sum(u.prompt + u.completion), sum(u.cost) FROM usage u"
            " JOIN session s ON s.id = u.session"
            f" WHERE u.is_summed IN (0, 1) AND u.day = ? AND u.session <> {NO_SESSION} GROUP BY u.session",
            (day,),
        )
        found.extend(SpendingOf(None, key, tokens, cost) for key, tokens, cost in rows)
    return tuple(found)


class _Account(msgspec.Struct, frozen=True):
    session_key: str


class _Payer(msgspec.Struct, frozen=True):
    key_id: str | None = None
    delegation: _Account | None = None


_payer = msgspec.json.Decoder(_Payer).decode


def live_turns(db: Db) -> tuple[UnendedTurn, ...]:
    """Return the turns that have not ended, in order of dispatch."""
    found = db.execute(
        "SELECT t.id, t.body, s.key FROM dispatch d JOIN turn t ON t.n = d.turn"
        " JOIN session s ON s.id = d.session ORDER BY d.turn"
    )
    unended: list[UnendedTurn] = []
    for id_, body, key in found:
        payer = _payer(body)
        account = payer.delegation.session_key if payer.delegation is not None else key
        unended.append(UnendedTurn(id_, payer.key_id, account))
    return tuple(unended)
