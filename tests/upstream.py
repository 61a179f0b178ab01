"""A provider for tests: a real HTTP server on this machine that speaks OpenAI's chat completions and fails on
demand.

    async with Upstream() as upstream:
        upstream.then(streamed(text("Hel"), text("lo")), refused(429, "slow down", headers={"Retry-After":
        "2"})) ...                        # ask at upstream.url; what was asked stands in upstream.requests

Replies are used up in order; after them `answer` is asked, which greets by default. Nothing here waits on
time: a reply that hangs does so until the client goes or the server is closed, and a `Gate` opens when the
test says so.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec

from tests.asgi import BOUND_S

Headers = Mapping[str, str]


class Asked(msgspec.Struct, frozen=True):
    """A request as it came.

    Names of headers are in lower case; `connection` numbers the connection, from 1.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Gate:
    """A step of a reply that waits until the test opens it;

    `reached` is set once the server stands before it.
    """

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def wait(self) -> None:
        self.reached.set()
        await self._opened.wait()


HANG: Final = "hang"
"""A step that never ends; the connection stays open."""
CUT: Final = "cut"
"""A step that breaks the connection at once."""

Step = bytes | Gate | Literal["hang", "cut"]


class Reply(msgspec.Struct, frozen=True):
    """What the server does with one request: a head, then steps. `before` come ahead of the head.

    `framing`: `chunked`, `length` (the body is known), `close` (the end of the connection ends it), or `raw`
    (no head at all).
    """

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: Headers = {}
    before: tuple[Step, ...] = ()
    framing: Literal["chunked", "length", "close", "raw"] = "chunked"


Answer = Callable[[Asked], Reply]

# Chunks -------------------------------------------------------------------------------------------


def event(payload: object, end: str = "\n\n") -> bytes:
    """Return one server-sent event; bytes and strings as they are, anything else as JSON."""
    if isinstance(payload, str):
        payload = payload.encode()
    return (
        b"data: " + (payload if isinstance(payload, bytes) else msgspec.json.encode(payload)) + end.encode()
    )


def chunk(delta: Mapping[str, object] | None = None, finish: str | None = None, **fields: object) -> bytes:
    """Return the event of one chunk, with one choice."""
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "test-model",
    }
    return event(
        {**head, "choices": [{"index": 0, "delta": dict(delta or {}), "finish_reason": finish}], **fields}
    )


def text(content: str) -> bytes:
    return chunk({"content": content})


def reasoning(content: str, field: str = "reasoning_content") -> bytes:
    return chunk({field: content})


def call(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: str | None = None,
) -> bytes:
    """Return a piece of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    piece = {
        key: value
        for key, value in (("index", index), ("id", call_id), ("function", function))
        if value is not None
    }
    return chunk({"tool_calls": [{"type": "function", **piece}]})


def finish(reason: str = "stop") -> bytes:
    return chunk({}, reason)


def usage(prompt: int, completion: int, cached: int = 0, thought: int = 0) -> bytes:
    """Return the chunk that OpenAI sends last: no choice, only the count."""
    return event(
        {
            "object": "chat.completion.chunk",
            "choices": [],
            "usage": counted(prompt, completion, cached, thought),
        }
    )


def counted(prompt: int, completion: int, cached: int = 0, thought: int = 0) -> dict[str, object]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


DONE: Final = event("[DONE]")
COMMENT: Final = b": keep-alive\n\n"

# Replies ------------------------------------------------------------------------------------------


def streamed(
    *steps: Step, reason: str | None = "stop", count: tuple[int, ...] | None = (10, 5), done: bool = True
) -> Reply:
    """Return a streamed answer: the role, `steps`, the finish reason, the usage, the end; each of these may
    be left out.
    """
    ending = (
        ([finish(reason)] if reason else []) + ([usage(*count)] if count else []) + ([DONE] if done else [])
    )
    return spoken(chunk({"role": "assistant", "content": ""}), *steps, *ending)


def spoken(*steps: Step, framing: Literal["chunked", "close"] = "chunked") -> Reply:
    """Return an event stream of exactly `steps`."""
    return Reply(steps, headers={"Content-Type": "text/event-stream"}, framing=framing)


def whole(
    message: Mapping[str, object], reason: str | None = "stop", count: tuple[int, ...] | None = (10, 5)
) -> Reply:
    """Return an answer in one piece, as without `stream`."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "test-model",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}],
        "usage": counted(*count) if count else None,
    }
    return json_reply(body)


def json_reply(body: object, status: int = 200, headers: Headers | None = None) -> Reply:
    return Reply(
        (msgspec.json.encode(body),),
        status,
        {"Content-Type": "application/json", **(headers or {})},
        framing="length",
    )


def refused(
    status: int,
    message: str = "no",
    code: str | None = None,
    kind: str = "error",
    headers: Headers | None = None,
) -> Reply:
    """Return an error as OpenAI writes it."""
    return json_reply(
        {"error": {"message": message, "type": kind, "param": None, "code": code}}, status, headers
    )


def too_long() -> Reply:
    """Return OpenAI's answer to a prompt that does not fit."""
    words = (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
    )
    return refused(400, words, "context_length_exceeded", "invalid_request_error")


def silent() -> Reply:
    """Return a reply that takes the request and never answers."""
    return Reply(before=(HANG,))


def dropped() -> Reply:
    """Return a reply that takes the request and breaks the connection without a byte."""
    return Reply(before=(CUT,))


def raw(*steps: Step) -> Reply:
    """Return a reply that writes `steps` to the socket as they are, then closes."""
    return Reply(steps, framing="raw")


def greet(asked: Asked) -> Reply:
    """Answer any chat request in the way that it asks for, and list one model."""
    if asked.method == "GET":
        return json_reply({"object": "list", "data": [{"id": "test-model", "object": "model"}]})
    if asked.json.get("stream"):
        return streamed(text("Hello"), text(" there"))
    return whole({"content": "Hello there"})


def by_path(replies: Mapping[str, Reply]) -> Answer:
    """Return what answers each path with its own reply, for requests that come in any order."""

    def answer(asked: Asked) -> Reply:
        return replies[asked.path]

    return answer


# The server ---------------------------------------------------------------------------------------


class Upstream:
    """The server.

    `requests`: all that came, oldest first. `open_connections` counts the clients that are connected now,
    `answering` the requests whose reply has not ended.
    """

    def __init__(
        self,
        answer: Answer = greet,
        *,
        socket_path: str | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer
        self.requests: list[Asked] = []
        self.connections = 0
        self.open_connections = 0
        self.answering = 0
        self._replies: deque[Reply] = deque()
        self._socket_path = socket_path
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/v1"

    def then(self, *replies: Reply) -> None:
        """Answer the next requests with `replies`, one each."""
        self._replies.extend(replies)

    async def asked(self, count: int) -> None:
        """Return once `count` requests have come."""
        await self._until(lambda: len(self.requests) >= count)

    async def idle(self) -> None:
        """Return once each request has its whole reply, or its client has gone."""
        await self._until(lambda: self.answering == 0)

    async def deserted(self) -> None:
        """Return once no client is connected."""
        await self._until(lambda: self.open_connections == 0)

    async def __aenter__(self) -> Self:
        if self._socket_path is not None:
            self._server = await asyncio.start_unix_server(self._serve, self._socket_path)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)
            self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND_S), self._changed:
            await self._changed.wait_for(holds)

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        number = self.connections
        try:
            while (asked := await _read(reader, number)) is not None:
                self.requests.append(asked)
                self.answering += 1
                try:
                    await self._note()
                    reply = self._replies.popleft() if self._replies else self.answer(asked)
                    is_reusable = await _Play(reader, writer).play(reply)
                finally:
                    self.answering -= 1
                await self._note()
                if not is_reusable:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The server is closing; the streams' own callback would report a task that ends as cancelled.
            pass
        finally:
            writer.transport.abort()
            self.open_connections -= 1
            self._tasks.discard(task)
            with contextlib.suppress(asyncio.CancelledError):
                await self._note()


async def _read(reader: asyncio.StreamReader, connection: int) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join([piece async for piece in _pieces(reader)])
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body, connection)


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


class _Play:
    """Plays one reply to one client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def play(self, reply: Reply) -> bool:
        """Return whether the connection may be used again."""
        if not await self._steps(reply.before, "raw"):
            return False
        if reply.framing != "raw":
            self._writer.write(_head(reply))
        if not await self._steps(reply.steps, reply.framing):
            return False
        if reply.framing == "chunked":
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        if reply.framing in ("close", "raw"):
            self._writer.close()
            await self._writer.wait_closed()
            return False
        return True

    async def _steps(self, steps: Iterable[Step], framing: str) -> bool:
        for step in steps:
            if isinstance(step, bytes):
                self._writer.write(b"%x\r\n%b\r\n" % (len(step), step) if framing == "chunked" else step)
                await self._writer.drain()
            elif step == CUT:
                self._writer.transport.abort()
                return False
            elif not await self._wait(step):
                return False
        return True

    async def _wait(self, step: Gate | Literal["hang", "cut"]) -> bool:
        """Wait for the gate, or without end; returns False where the client went away meanwhile."""
        gone = asyncio.ensure_future(self._reader.read(1))
        opened = asyncio.ensure_future(step.wait() if isinstance(step, Gate) else asyncio.Event().wait())
        try:
            await asyncio.wait({gone, opened}, return_when=asyncio.FIRST_COMPLETED)
            return opened.done()
        finally:
            gone.cancel()
            opened.cancel()
            await asyncio.gather(gone, opened, return_exceptions=True)


def _head(reply: Reply) -> bytes:
    headers = dict(reply.headers)
    if reply.framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
    elif reply.framing == "length":
        headers["Content-Length"] = str(sum(len(step) for step in reply.steps if isinstance(step, bytes)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} Status\r\n{lines}\r\n".encode("latin-1")
