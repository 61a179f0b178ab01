"""GET /v1/usage and /v1/sessions/{key}/usage: tokens and money, by day, key and model."""

import datetime
from collections.abc import Sequence
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller, hold_to_patterns
from nanobot.api.wire.lists import encode
from nanobot.core.accounts import Accounts, Grouping, UsageRow
from nanobot.core.clock import Clock
from nanobot.core.errors import BadSessionKey, InvalidRequest, SessionNotFound
from nanobot.core.message import Usage as TokenUsage
from nanobot.core.session_keys import parse_key
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import answer

_DAYS = 30
_MOST_DAYS = 3_660
_MICRO = 1_000_000
_GROUPS: tuple[Grouping, ...] = ("day", "key", "model")


class UsageTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What was used. `cached_share`: the part of the prompt's tokens that providers had in their caches, null
    where there are none. `cost_usd` null: no price is known for any of it; `unpriced_turns` are not in it.
    """

    turns: int
    steps: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int
    cached_share: float | None
    reasoning_tokens: int
    cost_usd: float | None
    unpriced_turns: int


class UsageBucket(msgspec.Struct, frozen=True, kw_only=True):
    """What was used on a day, with a key, of a model; those that the report is not grouped by are null."""

    object: str = "usage"
    day: str | None
    key_id: str | None
    model: str | None
    totals: UsageTotals


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Usage from `start` to `end`, both days included (UTC)."""

    object: str = "list"
    start: str
    end: str
    data: tuple[UsageBucket, ...]
    totals: UsageTotals
    has_more: bool = False


class _Period(msgspec.Struct, frozen=True):
    start: str
    end: str
    group: tuple[Grouping, ...]


def report(period: _Period, rows: Sequence[UsageRow]) -> UsageReport:
    """Return the rows as the API shows them."""
    data = tuple(
        UsageBucket(day=row.day, key_id=row.key_id, model=row.model, totals=_totals((row,))) for row in rows
    )
    return UsageReport(start=period.start, end=period.end, data=data, totals=_totals(rows))


def _totals(rows: Sequence[UsageRow]) -> UsageTotals:
    turns, unpriced = sum(row.turns for row in rows), sum(row.unpriced for row in rows)
    used = sum((row.usage for row in rows), TokenUsage())
    cost = sum(row.cost for row in rows)
    # A model that answered only some steps of a turn has a cost, and the turn is counted with another one.
    is_priced = not rows or unpriced < turns or cost > 0
    return UsageTotals(
        turns=turns,
        steps=sum(row.steps for row in rows),
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        total_tokens=used.prompt_tokens + used.completion_tokens,
        cached_tokens=used.cached_tokens,
        cached_share=round(used.cached_tokens / used.prompt_tokens, 4) if used.prompt_tokens else None,
        reasoning_tokens=used.reasoning_tokens,
        cost_usd=cost / _MICRO if is_priced else None,
        unpriced_turns=unpriced,
    )


class UsageRoute:
    """GET /v1/usage"""

    def __init__(self, ledger: Accounts, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def __call__(self, request: Request, send: Send) -> None:
        period = _period(request.scope["query_string"], self._clock.now(), _GROUPS)
        caller = request.caller
        rows = await self._ledger.usage(
            first_day=period.start,
            last_day=period.end,
            group=period.group,
            key_id=caller.key_id,
            only_key=not _sees_all(caller),
        )
        await answer(send, 200, encode(report(period, rows)))


class SessionUsage:
    """GET /v1/sessions/{key}/usage"""

    def __init__(self, ledger: Accounts, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def __call__(self, request: Request, send: Send) -> None:
        key = parse_key(request.path_params["key"], "key")
        period = _period(request.scope["query_string"], self._clock.now(), ("day", "model"))
        hold_to_patterns(request.caller, key)
        rows = await self._ledger.session_usage(
            key, first_day=period.start, last_day=period.end, group=period.group
        )
        await answer(send, 200, encode(report(period, rows)))


def _sees_all(caller: Caller) -> bool:
    """Return whether the caller may see what other keys have used: an administrator of all sessions may."""
    return "admin" in caller.rights and not caller.patterns


def _period(query: bytes, now: float, groups: tuple[Grouping, ...]) -> _Period:
    fields = (
        dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)) if query else {}
    )
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    end = _day(fields["end"], "end") if "end" in fields else today
    start = (
        _day(fields["start"], "start")
        if "start" in fields
        # Not before the year 1, where dates begin.
        else end - datetime.timedelta(days=min(_DAYS - 1, end.toordinal() - 1))
    )
    if start > end:
        raise InvalidRequest(
            f"start is {start} and end is {end}: start must not come after end", param="start"
        )
    if (end - start).days >= _MOST_DAYS:
        raise InvalidRequest(
            f"from {start} to {end}: at most {_MOST_DAYS} days can be asked for at once", param="start"
        )
    names = [name.strip() for name in fields.get("group", "day").split(",") if name.strip()]
    grouped = tuple(known for known in groups if known in names)
    if unknown := [name for name in names if name not in groups]:
        raise InvalidRequest(
            f"group is {unknown[0]!r}: it must be one or more of {', '.join(groups)}, with commas between",
            param="group",
        )
    return _Period(start.isoformat(), end.isoformat(), grouped)


def _day(text: str, name: str) -> datetime.date:
    try:
        # `fromisoformat` also takes weeks, and dates without hyphens.
        if len(text) != len("2026-01-31"):
            raise ValueError
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{name} is {text[:40]!r}: it must be a day, as 2026-01-31", param=name
        ) from error


def _parameters(groups: tuple[Grouping, ...]) -> tuple[Parameter, ...]:
    one = rf"\s*(?:{'|'.join(groups)})?\s*"
    listed = {"type": "string", "pattern": f"^{one}(?:,{one})*$"}
    return (
        Parameter(
            "start",
            "query",
            "the first day (UTC); 30 days up to `end` where it is left out",
            {"type": "string", "format": "date"},
        ),
        Parameter(
            "end",
            "query",
            "the last day (UTC); today where it is left out",
            {"type": "string", "format": "date"},
        ),
        Parameter(
            "group", "query", f"one row for each of these, with commas between: {', '.join(groups)}", listed
        ),
    )


def operations(ledger: Accounts, clock: Clock) -> tuple[Operation, ...]:
    """Return the operations on usage."""
    return (
        Operation(
            method="GET",
            path="/v1/usage",
            run=UsageRoute(ledger, clock),
            summary="Tokens and money, by day, key and model",
            tag="Usage",
            right="chat",
            parameters=_parameters(_GROUPS),
            answers={200: UsageReport},
            errors=(InvalidRequest,),
        ),
        Operation(
            method="GET",
            path="/v1/sessions/{key}/usage",
            run=SessionUsage(ledger, clock),
            summary="Tokens and money of one session",
            tag="Usage",
            right="sessions:read",
            parameters=_parameters(("day", "model")),
            answers={200: UsageReport},
            errors=(BadSessionKey, InvalidRequest, SessionNotFound),
        ),
    )
