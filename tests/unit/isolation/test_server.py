"""The server of an audit."""

import asyncio
from collections.abc import Callable

import aiohttp
import pytest
from starlette.applications import Starlette

from nanobot.isolation.server import serve_on_free_port

CLIENT_KEEPS_S = 15.0
"""What aiohttp's connector does by default."""


async def test_the_client_lets_go_of_an_idle_connection_before_the_server_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a request may go out on a connection that is just being closed, and has no answer: the audit
    took that for a difference between what exists and what never did.
    """
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    kept_s: list[float] = []

    def noting(delay: float, callback: Callable[..., object], *rest: object) -> asyncio.TimerHandle:
        if getattr(callback, "__name__", "") == "timeout_keep_alive_handler":
            kept_s.append(delay)
        return call_later(delay, callback, *rest)

    monkeypatch.setattr(loop, "call_later", noting)
    async with (
        serve_on_free_port(Starlette()) as origin,
        aiohttp.ClientSession() as http,
        http.get(origin) as response,
    ):
        await response.read()
    assert kept_s
    assert min(kept_s) > CLIENT_KEEPS_S
