"""The floor: the least code that keeps the same promise as nanobot, written as a careful author would in an
afternoon.

The user's message is on disk before the model is asked, the answer is on disk before the client sees its end.
That is all: no order within a session, no retries, no tools, no recovery, no limits. What nanobot costs
beyond this is the price of those.

Run: `OPENAI_BASE_URL=… python -m bench.floor PORT DIR SYNCHRONOUS`; SIGTERM ends it. SYNCHRONOUS is SQLite's:
`normal` (the floor: what is committed survives a crash of the process) or `full` (floor-full: each commit is
flushed to the disk and survives a power cut, as with nanobot).
"""

import asyncio
import os
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import aiohttp
import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

WINDOW: Final = 50
_JSON: Final = {"content-type": "application/json"}
_EVENTS: Final = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class Message(msgspec.Struct, omit_defaults=True):
    role: str | None = None
    content: str | None = None


class Body(msgspec.Struct):
    model: str
    messages: list[Message]
    stream: bool = False
    tools: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class Choice(msgspec.Struct):
    index: int = 0
    message: Message | None = None
    delta: Message | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: dict[str, int] | None = None


_body = msgspec.json.Decoder(Body).decode
_completion = msgspec.json.Decoder(Completion).decode
_encode = msgspec.json.Encoder().encode
_Row = tuple[str, str | None, str | None]
_Write = tuple[_Row, "asyncio.Future[None]"]


class Transcript:
    """Messages in SQLite: a thread that writes, many messages in one commit, and a thread that reads."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        writer = self._connect()
        writer.execute(
            "CREATE TABLE message (session TEXT, seq INTEGER, role TEXT, content TEXT,"
            " PRIMARY KEY (session, seq)) WITHOUT ROWID"
        )
        self._reads = self._connect()
        self._reader = ThreadPoolExecutor(1)
        self._loop = asyncio.get_running_loop()
        self._writer = threading.Thread(target=self._write, args=(writer,))
        self._writer.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        return connection

    async def append(self, session: str, role: str | None, content: str | None) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(((session, role, content), done))
        await done

    async def newest(self, session: str) -> list[Message]:
        return await self._loop.run_in_executor(self._reader, self._newest, session)

    def _newest(self, session: str) -> list[Message]:
        sql = "SELECT role, content FROM message WHERE session = ? ORDER BY seq DESC LIMIT ?"
        return [Message(*row) for row in self._reads.execute(sql, (session, WINDOW)).fetchall()[::-1]]

    def _write(self, connection: sqlite3.Connection) -> None:
        sql = (
            "INSERT INTO message SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3 FROM message WHERE session = ?1"
        )
        while (first := self._queue.get()) is not None:
            batch = [first]
            while not self._queue.empty():
                if (write := self._queue.get()) is None:
                    self._queue.put(None)
                    break
                batch.append(write)
            connection.execute("BEGIN IMMEDIATE")
            for row, _ in batch:
                connection.execute(sql, row)
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_resolve, batch)
        connection.close()

    def close(self) -> None:
        self._queue.put(None)
        self._writer.join()
        self._reader.shutdown()
        self._reads.close()


def _resolve(batch: list[_Write]) -> None:
    for _, done in batch:
        if not done.done():
            done.set_result(None)


class Stream(Response):
    """The upstream's chunks, parsed, passed on one by one; the whole text is stored before the last of them
    is sent.
    """

    def __init__(self, proxy: "Proxy", session: str, payload: bytes) -> None:
        self._proxy, self._session, self._payload = proxy, session, payload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        texts: list[str] = []
        async with self._proxy.http.post(self._proxy.url, data=self._payload, headers=_JSON) as upstream:
            async for raw in _events(upstream.content):
                chunk = _completion(raw)
                if chunk.choices and (delta := chunk.choices[0].delta) and delta.content:
                    texts.append(delta.content)
                if chunk.choices and chunk.choices[0].finish_reason:
                    await self._proxy.transcript.append(self._session, "assistant", "".join(texts))
                await send(
                    {
                        "type": "http.response.body",
                        "body": b"data: %b\n\n" % _encode(chunk),
                        "more_body": True,
                    }
                )
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    buffer = b""
    async for data in content.iter_any():
        *events, buffer = (buffer + data).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: ") and event != b"data: [DONE]":
                yield event[6:]


class Proxy:
    def __init__(self, http: aiohttp.ClientSession, url: str, transcript: Transcript) -> None:
        self.http, self.url, self.transcript = http, url, transcript

    async def chat(self, request: Request) -> Response:
        session = request.headers["x-session-key"]
        body = _body(await request.body())
        await self.transcript.append(session, "user", body.messages[-1].content)
        payload = _encode(Body(body.model, await self.transcript.newest(session), body.stream, body.tools))
        if body.stream:
            return Stream(self, session, payload)
        async with self.http.post(self.url, data=payload, headers=_JSON) as upstream:
            reply = _completion(await upstream.read())
        message = reply.choices[0].message or Message()
        await self.transcript.append(session, "assistant", message.content)
        reply.created = int(time.time())
        return Response(_encode(reply), media_type="application/json")


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _serve(port: int, directory: Path, url: str, synchronous: str) -> None:
    transcript = Transcript(directory / "floor.db", synchronous)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        chat = Route("/v1/chat/completions", Proxy(http, url, transcript).chat, methods=["POST"])
        app = Starlette(routes=[Route("/health", _health), chat])
        await uvicorn.Server(
            uvicorn.Config(app, port=port, http="httptools", access_log=False, log_level="warning")
        ).serve()
    transcript.close()


if __name__ == "__main__":
    uvloop.run(
        _serve(
            int(sys.argv[1]),
            Path(sys.argv[2]),
            os.environ["OPENAI_BASE_URL"] + "/chat/completions",
            sys.argv[3],
        )
    )
