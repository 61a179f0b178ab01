"""The client of an audit: what counts as a refusal."""

import asyncio
import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from nanobot.isolation.attacker import own_sessions
from nanobot.isolation.attempts import ATTEMPTS
from nanobot.isolation.canaries import Canaries
from nanobot.isolation.client import Attempt, InspectingClient, Requester, http_session
from nanobot.isolation.server import serve_on_free_port
from nanobot.isolation.tenants import Resources, make_tenants

ASKED = Attempt(route="GET /thing/{id}", target="/thing/theirs", refers_by="id")
UNREAL = Attempt(route="GET /thing/{id}", target="/thing/unreal", refers_by="id")
SOMEBODY = Requester("session 1", "nb-1", 1)


class Things:
    """A server that gives no answer to the first requests for a thing, `silent` of them."""

    def __init__(self) -> None:
        self.silent = {"theirs": 0, "unreal": 0}
        self.over = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        name = request.path_params["id"]
        if self.silent[name]:
            self.silent[name] -= 1
            await self.over.wait()
        return PlainTextResponse("no such thing", 404)


@pytest.fixture
async def things() -> AsyncIterator[tuple[Things, InspectingClient]]:
    things = Things()
    app = Starlette(routes=[Route("/thing/{id}", things.answer)])
    async with serve_on_free_port(app) as origin, aiohttp.ClientSession() as http:
        yield things, InspectingClient(http, origin, Canaries(random.Random(7)), 0.1)
        things.over.set()


@pytest.mark.parametrize("name", ["theirs", "unreal"])
async def test_a_machine_that_stood_still_once_is_no_leak(
    things: tuple[Things, InspectingClient], name: str
) -> None:
    server, client = things
    server.silent[name] = 1
    await client.expect_refusal(SOMEBODY, ASKED, fictitious=UNREAL)
    assert client.leaks == []


async def test_an_answer_that_does_not_come_is_no_refusal(things: tuple[Things, InspectingClient]) -> None:
    server, client = things
    server.silent["theirs"] = 100
    await client.expect_refusal(SOMEBODY, ASKED, fictitious=UNREAL)
    assert [leak.kind for leak in client.leaks] == ["not refused", "distinguishable"]


def test_no_refusal_has_to_come_sooner_than_others() -> None:
    """On a busy machine, what has to come within a second looks like what never comes."""
    rng = random.Random(7)
    tenant = make_tenants(1, Canaries(rng), rng)[0]
    own = own_sessions(tenant)
    victim = Resources(
        "wx:dm:victim", turns=["turn_1"], files=["file_1"], responses=["resp_1"], approvals=["appr_1"]
    )
    attempts = [attempt for route, build in ATTEMPTS.items() for attempt in build(route, own, victim)]
    assert len(attempts) > 100
    assert {attempt.timeout_s for attempt in attempts} == {Attempt(route="", target="").timeout_s}


async def test_a_turn_may_be_kept_running_for_as_long_as_others_attack_it() -> None:
    async with http_session() as http:
        assert http.timeout.total is None, "by default it would end after five minutes, and look damaged"
