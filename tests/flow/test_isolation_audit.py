"""The isolation audit covers every route, finds no leak in this server, and finds the leaks of others."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import nanobot.agent.turn_requests
import nanobot.api.turns
import nanobot.api.usage
import nanobot.app.endpoints
from nanobot.access.caller import Caller
from nanobot.config import Config
from nanobot.context.build import build
from nanobot.core.errors import TurnNotFound
from nanobot.core.event import TurnEnded
from nanobot.core.model import ModelRequest
from nanobot.core.store import Store
from nanobot.core.turn import TurnState
from nanobot.isolation.attempts import ATTEMPTS
from nanobot.isolation.audit import IsolationOptions
from nanobot.isolation.client import Leak, LeakKind
from nanobot.isolation.report import Report, lines
from nanobot.isolation.run import run_isolation_audit, uncovered_routes
from nanobot.models.own_cache import OwnCacheModel
from nanobot.stores.sql.ports.dispatch import SqlDispatch
from nanobot.stores.sql.ports.turns import SqlTurns

FEW = IsolationOptions(sessions=3, parallel=3, seed=11, sample=2, refusal_timeout_s=0.3)
Patch = pytest.MonkeyPatch


async def leaks_of(kind: LeakKind, options: IsolationOptions = FEW) -> list[Leak]:
    report = await run_isolation_audit(Config(), options)
    assert not report.is_clean
    return [leak for leak in report.leaks if leak.kind == kind]


@pytest.fixture(scope="module")
def report() -> Report:
    return asyncio.run(
        run_isolation_audit(Config(), IsolationOptions(sessions=12, parallel=4, seed=7, sample=4))
    )


def test_nothing_of_one_session_reaches_another(report: Report) -> None:
    """Twelve sessions whose keys are easily mixed up, four at a time.

    `nanobot audit isolation` does it with 200 and 32.
    """
    assert report.leaks == ()
    assert report.is_clean


def test_every_operation_is_attempted_and_compared_with_things_that_never_existed(
    report: Report,
) -> None:
    assert report.uncovered == (), f"add attempts for {report.uncovered} to nanobot/isolation/attempts.py"
    for coverage in report.routes:
        assert coverage.requests >= 12, f"{coverage.route} got hardly any request"
        assert coverage.compared, f"{coverage.route} was not compared with things that never existed"
    assert {coverage.route for coverage in report.routes} == set(ATTEMPTS), (
        "what is not offered needs no attempts"
    )


def test_secrets_are_seeded_by_every_channel_and_seen_by_their_owners(report: Report) -> None:
    """A secret that not even its owner is shown proves nothing by its absence elsewhere."""
    assert {coverage.channel for coverage in report.channels if not coverage.seen} <= {"idempotency"}
    assert all(coverage.secrets >= 12 for coverage in report.channels if coverage.channel != "key")
    assert report.prompts > 12 * 20
    assert report.cached_prompts > 4 * 6 * 5 * 5, "sessions, beginnings, models, requests"
    assert report.log_lines
    assert report.audit_log_lines > 1000


def test_the_report_can_be_read_as_text(report: Report) -> None:
    text = "\n".join(lines(report))
    assert "0 leaks in 12 sessions, 4 in parallel, seed 7" in text
    assert "LEAK" not in text
    for coverage in report.routes:
        assert coverage.route in text


async def test_what_is_seeded_depends_on_the_seed_only() -> None:
    one, two = [
        (await run_isolation_audit(Config(), IsolationOptions(2, 1, 5, 2))).channels for _ in range(2)
    ]
    assert [(each.channel, each.secrets) for each in one] == [(each.channel, each.secrets) for each in two]


def test_a_route_without_attempts_is_reported_and_fails(report: Report) -> None:
    routes = [*ATTEMPTS, "GET /v1/new/{new_id}"]
    assert uncovered_routes(routes) == ("GET /v1/new/{new_id}",)
    lacking = msgspec.structs.replace(report, uncovered=uncovered_routes(routes))
    assert not lacking.is_clean
    idle = msgspec.structs.replace(report.routes[0], requests=0)
    untried = msgspec.structs.replace(report, routes=(idle, *report.routes[1:]))
    assert not untried.is_clean
    assert f"NOT TRIED: {idle.route}" in "\n".join(lines(untried))
    assert "NOT COVERED: GET /v1/new/{new_id}" in "\n".join(lines(lacking))


# Servers with a leak -----------------------------------------------------------------------------


async def test_a_server_that_ignores_the_patterns_of_api_keys_is_found_out(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Caller, "sees", lambda self, session_key: True)
    report = await run_isolation_audit(Config(), FEW)
    routes = {
        kind: {leak.where for leak in report.leaks if leak.kind == kind} for kind in ("not refused", "secret")
    }
    assert len(routes["secret"]) > 3, "what others said was read"
    assert len(routes["not refused"]) > 10
    assert any(leak.kind == "damaged" for leak in report.leaks), "what others had was changed"
    assert "LEAK (not refused): " in "\n".join(lines(report))


async def test_a_prompt_with_a_line_of_another_session_is_found_out(monkeypatch: Patch) -> None:
    before: list[str] = []

    def leaky(*arguments: Any, **named: Any) -> ModelRequest:
        request = build(*arguments, **named)
        said = request.messages[-1].text
        shown = msgspec.structs.replace(request, notes=f"{request.notes} {before[-1] if before else ''}")
        before.append(said)
        return shown

    monkeypatch.setattr(nanobot.agent.turn_requests, "build", leaky)
    found = await leaks_of("secret")
    assert {leak.channel for leak in found if leak.where == "prompt"}
    assert all(leak.requester != f"session {leak.owner}" for leak in found)


async def test_a_store_that_shows_another_sessions_turns_is_found_out(monkeypatch: Patch) -> None:
    """The right id answers with the wrong messages: only their secrets show it."""
    turn, kept = SqlTurns.turn, []

    async def mixed_up(self: SqlTurns, turn_id: str) -> TurnState:
        state = await turn(self, turn_id)
        kept.append(state)
        other = next((each for each in kept if each.session_key != state.session_key), state)
        return msgspec.structs.replace(state, messages=other.messages)

    monkeypatch.setattr(SqlTurns, "turn", mixed_up)
    found = await leaks_of("secret")
    assert "GET /v1/turns/{turn_id}" in {leak.where for leak in found}


async def test_a_route_that_distinguishes_hidden_from_missing_is_found_out(
    monkeypatch: Patch,
) -> None:
    async def telling(store: Store, turn_id: str, caller: Caller) -> TurnState:
        state = await store.turn(turn_id)
        if not caller.sees(state.session_key):
            raise TurnNotFound("this turn is not for you")
        return state

    monkeypatch.setattr(nanobot.api.turns, "find_turn", telling)
    assert {leak.where for leak in await leaks_of("distinguishable")} >= {
        "GET /v1/turns/{turn_id}",
        "POST /v1/turns/{turn_id}/cancel",
    }


async def test_usage_that_counts_others_too_is_found_out(monkeypatch: Patch) -> None:
    monkeypatch.setattr(nanobot.api.usage, "_sees_all", lambda caller: True)
    assert {leak.where for leak in await leaks_of("usage")} == {"GET /v1/usage"}


async def test_a_log_with_what_was_said_is_found_out(monkeypatch: Patch) -> None:
    append: Callable[..., Any] = SqlDispatch.append

    async def chatty(self: SqlDispatch, claim: Any, facts: Any) -> Any:
        if not isinstance(facts[-1], TurnEnded):
            logging.getLogger("nanobot.chatty").debug("appended %s", facts)
        return await append(self, claim, facts)

    monkeypatch.setattr(SqlDispatch, "append", chatty)
    assert {leak.where for leak in await leaks_of("secret")} == {"log of nanobot.chatty"}


async def test_the_audit_attacks_caches(monkeypatch: Patch) -> None:
    monkeypatch.setattr(OwnCacheModel, "_with_own_cache", lambda self, request, answer: answer)
    assert {leak.where.partition(",")[0] for leak in await leaks_of("cache")} == {
        "cache-openai-openai",
        "cache-openai-responses",
    }
