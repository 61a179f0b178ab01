"""The HTTP client for MCP servers at a URL. It bounds what it reads, and remembers how it was refused."""

from collections.abc import AsyncIterator

import httpx2

from nanobot.tools.mcp.messages import MAX_MESSAGE_BYTES, HttpServer

_CONNECT_S = 30.0
_REFUSED = 400


class HttpClient:
    """Asks one server. `client` is for the SDK's transport: it follows redirects to one origin only."""

    def __init__(self, server: HttpServer) -> None:
        self.refusal: int | None = None
        """The status of the last answer, where it was an error."""
        self.client = httpx2.AsyncClient(
            headers={"User-Agent": "nanobot", **server.headers},
            # How long an answer may take, the server of the agent knows.
            timeout=httpx2.Timeout(_CONNECT_S, read=None),
            event_hooks={"response": [self._look]},
        )

    async def _look(self, response: httpx2.Response) -> None:
        self.refusal = response.status_code if response.status_code >= _REFUSED else None
        is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        # Of a stream, the SDK bounds each event.
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
