"""Answers over HTTP, of which no more is read than a message may have: bytes, and values to decode."""

import asyncio
import zlib
from collections.abc import AsyncIterator

import httpx2

from nanobot.core.json_entries import JsonEntries
from nanobot.core.packed_body import PackedBody
from nanobot.tools.mcp.messages import MAX_MESSAGE_BYTES, MAX_MESSAGE_ENTRIES

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_PIECE_BYTES = 256 * 1024
AS_IT_IS = {"Accept-Encoding": "identity"}
"""The header with which a server is asked for an answer that is not compressed."""


class TooMuchToRead(httpx2.StreamError):
    """An answer has more than a message may have."""


async def bounded(response: httpx2.Response) -> None:
    """Let no more of the answer be read than a message may have. Of a stream, the SDK bounds each event.

    What is compressed, though that was not asked for, is unpacked here: a few of its bytes become a thousand
    times as many, which would be done at once.

    Raises:
        httpx2.StreamError: it is compressed in another way than gzip or deflate.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in _PACKED and coding not in ("", "identity"):
        await response.aclose()
        raise httpx2.StreamError(f"its answer is compressed as {coding[:20]!r}, which was not asked for")
    if not isinstance(response.stream, httpx2.AsyncByteStream):
        return
    is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    stream = response.stream
    if coding in _PACKED:
        del response.headers["content-encoding"]
        # What is packed may be endless, too, and nothing when it is unpacked.
        stream = _UnpackedStream(stream if is_stream else _BoundedStream(stream))
    response.stream = _EventStream(stream) if is_stream else _BoundedStream(stream)


class _UnpackedStream(httpx2.AsyncByteStream):
    """The stream, unpacked piece by piece."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = PackedBody()
        try:
            async for chunk in self._stream:
                body.add(chunk)
                while not body.is_empty:
                    yield body.unpack(_PIECE_BYTES)
                    # All this came at once: others have their turn.
                    await asyncio.sleep(0)
        except zlib.error as error:
            raise httpx2.DecodingError("its compressed answer cannot be read") from error

    async def aclose(self) -> None:
        await self._stream.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    """The stream of one message."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        entries = JsonEntries(MAX_MESSAGE_ENTRIES)
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_MESSAGE_BYTES:
                raise TooMuchToRead(f"an answer of more than {MAX_MESSAGE_BYTES} bytes")
            if entries.add(chunk):
                raise _too_many()
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _EventStream(httpx2.AsyncByteStream):
    """A stream of events, of which the SDK bounds the bytes of each."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        entries = JsonEntries(MAX_MESSAGE_ENTRIES)
        ends_line = False
        async for chunk in self._stream:
            lines = chunk.replace(b"\r", b"")
            if ends_line and lines.startswith(b"\n"):
                entries = JsonEntries(MAX_MESSAGE_ENTRIES)
            ends_line = lines.endswith(b"\n") if lines else ends_line
            # A blank line ends an event: in JSON there is none within a text.
            for number, event in enumerate(lines.split(b"\n\n")):
                if number:
                    entries = JsonEntries(MAX_MESSAGE_ENTRIES)
                if entries.add(event):
                    raise _too_many()
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _too_many() -> TooMuchToRead:
    return TooMuchToRead(f"an answer with more than {MAX_MESSAGE_ENTRIES} values")
