"""The audit of isolation: it asks all there is, finds nothing in this house, and finds what leaks in houses
that do.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import nanobot.agent.loop
import nanobot.api.turns
import nanobot.api.usage
from nanobot.access.caller import Caller
from nanobot.config import Config
from nanobot.context.build import build
from nanobot.core.errors import TurnNotFound
from nanobot.core.event import TurnEnded
from nanobot.core.model import ModelRequest
from nanobot.core.turn import TurnState
from nanobot.isolation.attempts import FILLERS
from nanobot.isolation.audit import AuditPlan, audit, unknown
from nanobot.isolation.client import Kind, Leak
from nanobot.isolation.report import Report, lines
from nanobot.stores.sqlite.store import SqliteStore

FEW = AuditPlan(sessions=3, parallel=3, seed=11, sample=2, patience_s=0.3)
Patch = pytest.MonkeyPatch


async def leaks_of(kind: Kind, wish: AuditPlan = FEW) -> list[Leak]:
    report = await audit(Config(), wish)
    assert not report.is_clean
    return [leak for leak in report.leaks if leak.kind == kind]


@pytest.fixture(scope="module")
def report() -> Report:
    return asyncio.run(audit(Config(), AuditPlan(sessions=12, parallel=4, seed=7, sample=4)))


def test_nothing_of_one_session_reaches_another(report: Report) -> None:
    """Twelve sessions whose keys are easily mixed up, four at a time.

    `nanobot audit isolation` does it with 200 and 32.
    """
    assert report.leaks == ()
    assert report.is_clean


def test_every_operation_of_the_door_is_asked_and_those_that_name_something_are_compared(
    report: Report,
) -> None:
    assert report.unknown == (), (
        f"say in nanobot/isolation/attempts.py how to ask {report.unknown} for what is another's"
    )
    for asked in report.asked:
        assert asked.requests >= 12, f"{asked.route} was hardly asked"
        assert asked.compared, f"{asked.route} was not compared with what never was"
    assert {asked.route for asked in report.asked} == set(FILLERS), "what is not offered needs no attempts"


def test_secrets_come_in_by_every_channel_and_are_seen_by_their_owners(report: Report) -> None:
    """What nobody ever sees proves nothing by being nowhere else."""
    assert {planted.channel for planted in report.planted if not planted.seen} <= {"idempotency"}
    assert all(planted.secrets >= 12 for planted in report.planted if planted.channel != "key")
    assert report.prompts > 12 * 20
    assert report.log_lines
    assert report.audit_log_lines > 1000


def test_the_report_says_it_to_people(report: Report) -> None:
    text = "\n".join(lines(report))
    assert "0 leaks in 12 sessions, 4 in parallel, seed 7" in text
    assert "LEAK" not in text
    for asked in report.asked:
        assert asked.route in text


async def test_what_was_planted_depends_on_the_seed_only() -> None:
    one, two = [(await audit(Config(), AuditPlan(2, 1, 5, 2))).planted for _ in range(2)]
    assert [(each.channel, each.secrets) for each in one] == [(each.channel, each.secrets) for each in two]


def test_a_route_that_it_does_not_know_is_told_and_fails(report: Report) -> None:
    routes = [*FILLERS, "GET /v1/new/{new_id}"]
    assert unknown(routes) == ("GET /v1/new/{new_id}",)
    lacking = msgspec.structs.replace(report, unknown=unknown(routes))
    assert not lacking.is_clean
    assert "NOT ASKED: GET /v1/new/{new_id}" in "\n".join(lines(lacking))


# Houses that leak ---------------------------------------------------------------------------------


async def test_a_door_that_does_not_look_at_the_patterns_of_keys_is_found_out(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Caller, "sees", lambda self, session_key: True)
    report = await audit(Config(), FEW)
    routes = {
        kind: {leak.where for leak in report.leaks if leak.kind == kind} for kind in ("not refused", "secret")
    }
    assert len(routes["secret"]) > 3, "what others said was read"
    assert len(routes["not refused"]) > 10
    assert any(leak.kind == "harmed" for leak in report.leaks), "what others had was taken away from them"
    assert "LEAK (not refused): " in "\n".join(lines(report))


async def test_a_prompt_with_a_line_of_another_session_is_found_out(monkeypatch: Patch) -> None:
    before: list[str] = []

    def leaky(*arguments: Any, **named: Any) -> ModelRequest:
        request = build(*arguments, **named)
        said = request.messages[-1].text
        shown = msgspec.structs.replace(request, notes=f"{request.notes} {before[-1] if before else ''}")
        before.append(said)
        return shown

    monkeypatch.setattr(nanobot.agent.loop, "build", leaky)
    found = await leaks_of("secret")
    assert {leak.channel for leak in found if leak.where == "prompt"}
    assert all(leak.asker != f"session {leak.owner}" for leak in found)


async def test_a_store_that_shows_another_sessions_turns_is_found_out(monkeypatch: Patch) -> None:
    """Under the right id, with the wrong words: nothing of it is refused, it is seen by what it says."""
    turn, kept = SqliteStore.turn, []

    async def mixed_up(self: SqliteStore, turn_id: str) -> TurnState:
        state = await turn(self, turn_id)
        kept.append(state)
        other = next((each for each in kept if each.session_key != state.session_key), state)
        return msgspec.structs.replace(state, messages=other.messages)

    monkeypatch.setattr(SqliteStore, "turn", mixed_up)
    found = await leaks_of("secret")
    assert "GET /v1/turns/{turn_id}" in {leak.where for leak in found}


async def test_a_route_that_tells_what_is_hidden_from_what_is_not_there_is_found_out(
    monkeypatch: Patch,
) -> None:
    async def telling(store: SqliteStore, turn_id: str, caller: Caller) -> TurnState:
        state = await store.turn(turn_id)
        if not caller.sees(state.session_key):
            raise TurnNotFound("this turn is not for you")
        return state

    monkeypatch.setattr(nanobot.api.turns, "find_turn", telling)
    assert {leak.where for leak in await leaks_of("told apart")} >= {
        "GET /v1/turns/{turn_id}",
        "POST /v1/turns/{turn_id}/cancel",
    }


async def test_usage_that_counts_others_too_is_found_out(monkeypatch: Patch) -> None:
    monkeypatch.setattr(nanobot.api.usage, "_sees_all", lambda caller: True)
    assert {leak.where for leak in await leaks_of("usage")} == {"GET /v1/usage"}


async def test_a_log_with_what_was_said_is_found_out(monkeypatch: Patch) -> None:
    append: Callable[..., Any] = SqliteStore.append

    async def chatty(self: SqliteStore, claim: Any, facts: Any) -> Any:
        if not isinstance(facts[-1], TurnEnded):
            logging.getLogger("nanobot.chatty").debug("appended %s", facts)
        return await append(self, claim, facts)

    monkeypatch.setattr(SqliteStore, "append", chatty)
    assert {leak.where for leak in await leaks_of("secret")} == {"log of nanobot.chatty"}
