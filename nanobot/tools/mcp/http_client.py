"""The HTTP client for MCP servers at a URL. It bounds what it reads, and remembers how it was refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2

from nanobot.tools.mcp import addresses
from nanobot.tools.mcp.messages import MAX_MESSAGE_BYTES, HttpServer
from nanobot.tools.mcp.oauth import TokenAuth
from nanobot.tools.mcp.token_file import TokenFile

_CONNECT_S = 30.0
_REFUSED = 400


class HttpClient:
    """Asks one server. `client` is for the SDK's transport: it follows redirects to one origin only."""

    def __init__(self, server: HttpServer) -> None:
        self.refusal: int | None = None
        """The status of the last answer, where it was an error."""
        self._own = httpx2.URL(server.url)
        self.auth: TokenAuth | None = None
        has_key = any(name.lower() == "authorization" for name in server.headers)
        if server.tokens is not None and not has_key:
            self.auth = TokenAuth(server, TokenFile(Path(server.tokens), server.url))
        self.client = httpx2.AsyncClient(
            auth=self.auth,
            headers={"User-Agent": "nanobot", **server.headers},
            # How long an answer may take, the server of the agent knows.
            timeout=httpx2.Timeout(_CONNECT_S, read=None),
            event_hooks={"request": [self._check], "response": [self._look]},
        )

    async def _check(self, request: httpx2.Request) -> None:
        addresses.check(self._own, request.url)

    async def _look(self, response: httpx2.Response) -> None:
        self.refusal = response.status_code if response.status_code >= _REFUSED else None
        await bounded(response)


async def bounded(response: httpx2.Response) -> None:
    """Let no more of the answer be read than a message may have. Of a stream, the SDK bounds each event."""
    is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    if not is_stream and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _BoundedStream(response.stream)


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_MESSAGE_BYTES:
                raise httpx2.StreamError(f"an answer of more than {MAX_MESSAGE_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
