"""The requests that a login makes beside those to the MCP server itself: each is bounded as a whole."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2

from nanobot.tools.mcp.addresses import check
from nanobot.tools.mcp.bounded import AS_IT_IS, bounded

Asks = Callable[[httpx2.Request], Awaitable[httpx2.Response]]


def login_client(own: httpx2.URL) -> httpx2.AsyncClient:
    """Return a client for what a login of the server at `own` asks for."""

    async def checked(request: httpx2.Request) -> None:
        check(own, request.url)

    # How long they may take is bounded where they are asked: by the client it would be each piece of them.
    return httpx2.AsyncClient(
        timeout=None, headers=AS_IT_IS, event_hooks={"request": [checked], "response": [bounded]}
    )


async def exchange(client: httpx2.AsyncClient, request: httpx2.Request, within_s: float) -> httpx2.Response:
    """Return the whole answer.

    Raises:
        httpx2.ReadTimeout: it was not there after `within_s`, however much has come of it.
        httpx2.HTTPError, ForbiddenAddress
    """
    try:
        async with asyncio.timeout(within_s):
            return await client.send(request)
    except TimeoutError:
        raise _late(request, within_s) from None


async def head_of(client: httpx2.AsyncClient, request: httpx2.Request, within_s: float) -> httpx2.Response:
    """Return the status of the answer, and what it says of tokens; what else there is may be a stream that
    goes on. Raises as `exchange`.
    """
    try:
        async with asyncio.timeout(within_s):
            answer = await client.send(request, stream=True)
    except TimeoutError:
        raise _late(request, within_s) from None
    await answer.aclose()
    challenge = answer.headers.get("www-authenticate")
    headers = {"www-authenticate": challenge} if challenge is not None else {}
    return httpx2.Response(answer.status_code, headers=headers, request=request)


def _late(request: httpx2.Request, within_s: float) -> httpx2.ReadTimeout:
    return httpx2.ReadTimeout(f"{request.url.host} did not answer within {within_s:g} s", request=request)


async def follow_flow(
    auth: httpx2.Auth, request: httpx2.Request, ask: Asks, client: httpx2.AsyncClient, within_s: float
) -> httpx2.Response | None:
    """Do what the flow of `auth` asks for to sign the request, and return its last answer. `ask` asks the
    server itself; `client` all others, each within `within_s`.
    """
    flow = auth.async_auth_flow(request)
    answer: httpx2.Response | None = None
    try:
        outgoing = await anext(flow)
        while True:
            if outgoing is request:
                response = answer = await ask(request)
            else:
                response = await exchange(client, outgoing, within_s)
            outgoing = await flow.asend(response)
    except StopAsyncIteration:
        return answer
    finally:
        await flow.aclose()
