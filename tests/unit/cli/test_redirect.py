"""A login comes back to the terminal by one request of a browser; whatever else comes is answered."""

import asyncio

import pytest

from nanobot.cli.redirect import Redirect, RedirectListener

BOUND_S = 20.0


async def answer_of(listener: RedirectListener, request: bytes) -> str:
    port = int(listener.uri.split(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"GET /callback HTTP/1.1",
        b"GET /callback?state=a HTTP/1.1",
        b"GET /callback?" + b"&".join(b"a=b" for _ in range(60)) + b"&code=c HTTP/1.1",
        b"POST /callback?code=c HTTP/1.1",
        b"GET http://[/callback?code=c HTTP/1.1",
        b"GET //[/callback?code=c HTTP/1.1",
        b"\xff\xfe",
        b"",
    ],
)
async def test_what_is_no_end_of_a_login_is_refused_and_the_login_waits_on(line: bytes) -> None:
    async with asyncio.timeout(BOUND_S), RedirectListener(0) as listener:
        assert (await answer_of(listener, line + b"\r\nHost: a\r\n\r\n")).startswith("HTTP/1.1 4")
        good = b"GET /callback?code=c&state=s&iss=https://a HTTP/1.1\r\nHost: a\r\n\r\n"
        assert (await answer_of(listener, good)).startswith("HTTP/1.1 200 ")
        assert await listener.wait() == Redirect("c", "s", "https://a")


async def test_a_login_that_was_refused_says_why() -> None:
    async with asyncio.timeout(BOUND_S), RedirectListener(0) as listener:
        refused = b"GET /callback?error=denied&error_description=not+you HTTP/1.1\r\n\r\n"
        assert "refused" in await answer_of(listener, refused)
        assert (await listener.wait()).error == "denied: not you"
