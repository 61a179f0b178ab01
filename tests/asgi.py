"""An HTTP client that calls an ASGI app in process; it can send bodies late, read streams, and hang up.

`Door.call` returns whole answers, `Door.start` an exchange that is still under way.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Message, Scope

BOUND_S = 30.0
"""The limit for all waiting in tests, far longer than anything takes: only a failure reaches it."""

Headers = Mapping[str, str | bytes]


class Exchange:
    """One request and its answer, as far as it has come."""

    def __init__(self, body: bytes | None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw = b""
        self.is_complete = False
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._is_gone = False
        self._reads = asyncio.Event()
        self._reads.set()
        self.largest = 0
        """Of the pieces in which the body came, in bytes."""
        if body is not None:
            self.feed(body, more=False)

    # What the client does -------------------------------------------------------------------------

    def feed(self, body: bytes, *, more: bool) -> None:
        """Send a piece of the body."""
        self._incoming.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def disconnect(self) -> None:
        """Go away."""
        self._is_gone = True
        self._incoming.put_nowait({"type": "http.disconnect"})

    def stop_reading(self) -> None:
        """Read nothing of the body any more: the server has to wait with it."""
        self._reads.clear()

    def go_on_reading(self) -> None:
        self._reads.set()

    # What the server does -------------------------------------------------------------------------

    async def receive(self) -> Message:
        if self._is_gone and self._incoming.empty():
            return {"type": "http.disconnect"}
        return await self._incoming.get()

    async def send(self, message: Message) -> None:
        assert not self.is_complete, "the server sent something after the end of its answer"
        if message["type"] == "http.response.start":
            assert not self.status, "the server began its answer twice"
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        else:
            assert self.status, "the server sent a body before the head"
            await self._reads.wait()
            self.largest = max(self.largest, len(message.get("body", b"")))
            self.raw += message.get("body", b"")
            self.is_complete = not message.get("more_body", False)
        self._changed.set()

    # What a test waits for ------------------------------------------------------------------------

    async def until(self, text: str) -> None:
        """Return when `text` is in the body."""
        async with asyncio.timeout(BOUND_S):
            while text.encode() not in self.raw:
                await self._next_change()

    async def begun(self) -> None:
        """Return when the head is there."""
        async with asyncio.timeout(BOUND_S):
            while not self.status:
                await self._next_change()

    async def done(self) -> "Exchange":
        """Return when the app has returned; raises what it raised."""
        assert self.task is not None
        async with asyncio.timeout(BOUND_S):
            await asyncio.shield(self.task)
        return self

    async def _next_change(self) -> None:
        assert self.task is not None
        self._changed.clear()
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((waiting, self.task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self.task.done() and not self._changed.is_set():
            raise AssertionError(f"the answer ended before: {self.status} {self.raw[-2000:]!r}")

    # What came back -------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> dict[str, Any]:
        """The error, whose shape is checked: four fields, in JSON, under one name."""
        assert self.headers["content-type"] == "application/json", self.headers
        assert list(self.json) == ["error"], self.json
        error = cast("dict[str, Any]", self.json["error"])
        assert list(error) == ["message", "type", "param", "code"], error
        assert error["message"], error
        assert error["type"], error
        return error

    @property
    def turn_id(self) -> str:
        return self.headers["x-turn-id"]

    @property
    def said(self) -> str:
        """The answer's text, whether it came in one piece or as a stream."""
        if self.headers["content-type"] == "application/json":
            return str(self.json["choices"][0]["message"]["content"])
        return "".join(
            chunk["choices"][0]["delta"].get("content", "") for chunk in self.chunks if chunk.get("choices")
        )

    @property
    def events(self) -> list["ServerEvent"]:
        """The server-sent events of the body, comments left out."""
        return [event for block in self.text.split("\n\n") if (event := ServerEvent.parse(block)) is not None]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON of the unnamed events, as stock SDKs see them."""
        return [
            json.loads(event.content)
            for event in self.events
            if event.name is None and event.content != "[DONE]"
        ]


class ServerEvent:
    """One server-sent event."""

    def __init__(self, id: str | None, name: str | None, content: str) -> None:  # noqa: A002
        self.id = id
        self.name = name
        self.content = content

    @classmethod
    def parse(cls, block: str) -> "ServerEvent | None":
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        return cls(fields.get("id"), fields.get("event"), fields["data"]) if "data" in fields else None


class Door:
    """A client of the app. `headers` are sent with every request."""

    def __init__(self, app: ASGIApp, headers: Headers | None = None) -> None:
        self._app = app
        self._headers: dict[str, str | bytes] = {"host": "localhost:8900", **(headers or {})}
        self._open: set[Exchange] = set()

    def start(
        self, method: str, path: str, *, body: bytes | None = b"", headers: Headers | None = None
    ) -> Exchange:
        """Begin a request; `body` None: the test feeds it."""
        exchange = Exchange(body)
        scope = _scope(method, path, self._headers | dict(headers or {}))
        exchange.task = asyncio.get_running_loop().create_task(self._run(scope, exchange))
        self._open.add(exchange)
        exchange.task.add_done_callback(lambda _: self._open.discard(exchange))
        return exchange

    async def _run(self, scope: Scope, exchange: Exchange) -> None:
        await self._app(scope, exchange.receive, exchange.send)

    async def call(
        self, method: str, path: str, *, body: bytes = b"", headers: Headers | None = None
    ) -> Exchange:
        """Return the whole answer."""
        return await self.start(method, path, body=body, headers=headers).done()

    async def get(self, path: str, headers: Headers | None = None) -> Exchange:
        return await self.call("GET", path, headers=headers)

    async def close(self) -> None:
        """Hang up on all exchanges that are still open, as a killed client does."""
        for exchange in tuple(self._open):
            exchange.disconnect()
            assert exchange.task is not None
            with contextlib.suppress(asyncio.CancelledError):
                async with asyncio.timeout(BOUND_S):
                    await exchange.task

    # POST /v1/chat/completions --------------------------------------------------------------------

    def chatting(
        self,
        key: str | bytes,
        text: str | list[dict[str, Any]],
        headers: Headers | None = None,
        **fields: Any,
    ) -> Exchange:
        """Begin to ask `text` (or to send these messages) in the session `key`."""
        return self.start(
            "POST", CHAT, body=chat_body(text, **fields), headers={"x-session-key": key, **(headers or {})}
        )

    async def chat(
        self,
        key: str | bytes,
        text: str | list[dict[str, Any]],
        headers: Headers | None = None,
        **fields: Any,
    ) -> Exchange:
        """Return the whole answer to `text` in the session `key`."""
        return await self.chatting(key, text, headers, **fields).done()

    async def post(self, body: object, headers: Headers | None = None) -> Exchange:
        """Return the answer to any body, JSON or raw bytes, in a session of its own."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.call(
            "POST", CHAT, body=raw, headers={"x-session-key": "wx:dm:user_alice"} | dict(headers or {})
        )

    async def each(self, exchanges: Iterable[Exchange]) -> list[Exchange]:
        """Return the exchanges, all done."""
        return [await exchange.done() for exchange in exchanges]


CHAT = "/v1/chat/completions"


def chat_body(text: str | list[dict[str, Any]], **fields: Any) -> bytes:
    """Return the body that asks `text`."""
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return json.dumps({"model": "nanobot", "messages": messages, **fields}).encode()


def _scope(method: str, target: str, headers: Mapping[str, str | bytes]) -> Scope:
    path, _, query = target.partition("?")
    raw = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in headers.items()
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": quote(path, safe="/%:").encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name, value) for name, value in raw if value != b"\x00absent"],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8900),
        "state": {},
    }


ABSENT = "\x00absent"
"""The value of a header that is not to be sent."""


@contextlib.asynccontextmanager
async def closing(door: Door) -> AsyncIterator[Door]:
    """Hand over the door; whatever is still open at the end is disconnected."""
    try:
        yield door
    finally:
        await door.close()
