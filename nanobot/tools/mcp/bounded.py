"""Answers over HTTP, of which no more is read than a message may have."""

from collections.abc import AsyncIterator

import httpx2

from nanobot.tools.mcp.messages import MAX_MESSAGE_BYTES


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
