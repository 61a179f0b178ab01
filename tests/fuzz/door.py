"""The whole door: any request to any route of the running app is answered, and never with an error that is
the server's own.
"""

import asyncio
import contextlib
import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Scope, Send

from nanobot.access.keyring import KeyRing
from nanobot.api import approval_links
from nanobot.app import Models, open_app
from nanobot.core.errors import ModelBadAnswer
from nanobot.http.guard import Access, Guard
from nanobot.http.operations import Routes
from nanobot.http.origin import LOOPBACK
from nanobot.http.request import Request
from nanobot.testing import FakeClock, ScriptedModel
from tests.asgi import Exchange, chat_body
from tests.fuzz.requests import bodies
from tests.fuzz.target import Target, drawn
from tests.harness import Harness, configured

# Any request to any route -------------------------------------------------------------------------

_SESSION = b"wx:dm:user_alice"
_methods = st.sampled_from(["GET", "POST", "DELETE", "PATCH", "PUT", "HEAD", "OPTIONS"])
_visible = bytes(range(33, 127))
_segments = st.one_of(
    st.sampled_from(
        [
            b"KNOWN", b"wx%3Adm%3Auser_alice", b"turn_0", b"%00", b"%2F", b"%2e%2e", b"%ff", b"%", b"%u0041",
            b"%ED%A0%80", b"nanobot%3Ax", b"a" * 300, b"resp_0", b"conv_0", b"file_0", b"-1", b"\\",
            b"%0d%0a", b"%c2%85",
        ]
    ),
    st.lists(st.sampled_from(_visible), min_size=1, max_size=6).map(bytes),
)  # fmt: skip
_numbers = st.sampled_from(
    [b"0", b"1", b"3", b"-1", b"1" * 19, b"1" * 5_000, b"+1", b"1.5", b"nan", b"%31", b"\xb2", b"", b"1_0"]
)
_queries = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"after", b"limit", b"order", b"before", b"q", b"include", b"stream", b"starting_after",
                b"purpose", b"from", b"to", b"by", b"format", b"cursor", b"", b"%ff", b"after_seq",
                b"pattern", b"prefix", b"session",
            ]
        ),
        _numbers | _segments,
    ),
    max_size=3,
).map(lambda pairs: b"&".join(b"%b=%b" % pair for pair in pairs))  # fmt: skip
_octets = st.binary(max_size=8).map(lambda content: bytes(byte for byte in content if byte not in b"\r\n\0"))
_headers = st.lists(
    st.one_of(
        st.tuples(st.just(b"x-session-key"),
            st.sampled_from([_SESSION, b"b", b" ", b"\xff", b"nanobot:x", b"a" * 300, "é€".encode()])
            | _octets),
        st.tuples(st.just(b"x-when-busy"),
            st.sampled_from([b"steer", b"reject", b"interrupt", b"QUEUE ", b"\xff"]) | _octets),
        st.tuples(st.just(b"idempotency-key"), st.sampled_from([b"k", b"a" * 256, b"\xff"]) | _octets),
        st.tuples(st.sampled_from([b"x-stainless-retry-count", b"content-length", b"x-stainless-timeout"]),
            _numbers),
        st.tuples(st.just(b"last-event-id"),
            st.sampled_from([b"KNOWN:1", b"KNOWN:" + b"1" * 19, b":", b"turn_0:0", b"KNOWN:\xb2"]) | _octets),
        st.tuples(st.just(b"x-events"), st.sampled_from([b"tools", b" TOOLS , x", b"\xff"])),
        st.tuples(
            st.sampled_from([b"accept", b"origin", b"authorization", b"x-forwarded-for", b"x-request-id",
                    b"user-agent", b"traceparent"]),
            st.sampled_from([b"*/*", b"http://localhost:1", b"null", b"Bearer \xff", b"text/event-stream",
                    b"1.2.3.4, ::1", b"["]) | _octets,
        ),
        st.tuples(
            st.just(b"content-type"),
            st.sampled_from(
                [
                    b"application/json", b"multipart/form-data; boundary=b", b"multipart/form-data",
                    b'multipart/form-data; boundary="\xff"', b"application/x-ndjson",
                    b"text/plain; charset=\xff",
                ]
            ),
        ),
    ),
    max_size=5,
)  # fmt: skip
_form = (
    b'--b\r\ncontent-disposition: form-data; name="message"\r\n\r\nhello\r\n'
    b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.txt"\r\n'
    b"content-type: text/plain\r\n\r\nwords\r\n--b--\r\n"
)
_fields = st.dictionaries(
    st.sampled_from(
        [
            "model", "input", "messages", "title", "pinned", "seq", "at", "key", "name", "metadata", "items",
            "role", "content", "text", "type", "instructions", "previous_response_id", "conversation",
            "stream", "store", "background", "rights", "patterns", "expires_at",
        ]
    ),
    st.sampled_from([None, True, "", "nanobot", "KNOWN", 0, -1, 2**70, 1.5, [], {},
            [{"role": "user", "content": "a"}], {"a": "b"}, "\ud800"]),
    max_size=5,
).map(lambda fields: json.dumps(fields).encode())  # fmt: skip
_contents = st.one_of(
    bodies(),
    st.just(b""),
    _fields,
    st.lists(_fields, max_size=3).map(b"\n".join),
    st.binary(max_size=40),
    st.just(chat_body("hello")),
    st.builds(
        lambda cut, end: _form[:cut] + end, st.integers(0, len(_form)), st.just(b"") | st.binary(max_size=8)
    ),
)


@given(st.data(), _methods, st.integers(0, 1_000), _queries, _headers, _contents)
def _asked(
    data: st.DataObject,
    method: str,
    route: int,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    open_ = _door()
    template = open_.paths[route % len(open_.paths)]
    path = b"/".join(
        data.draw(_segments) if piece.startswith("{") else piece.encode() for piece in template.split("/")
    )
    method = data.draw(st.sampled_from(open_.methods[template])) if data.draw(st.integers(0, 5)) else method
    given_ = {b"host": b"localhost:8900", b"x-session-key": _SESSION, **dict(headers)}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "",
        "raw_path": path.replace(b"KNOWN", open_.turn_id),
        "query_string": query,
        "root_path": "",
        "headers": [(name, value.replace(b"KNOWN", open_.turn_id)) for name, value in given_.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8900),
        "state": {},
    }
    exchange = open_.runner.run(_answered(open_.harness, scope, body.replace(b"KNOWN", open_.turn_id)))
    # the scripted model calls no tool, whoever insists
    is_fine = exchange.status < 500 or exchange.error["code"] == ModelBadAnswer.code
    assert is_fine, f"{method} {path!r} is answered with {exchange.status}: {exchange.raw!r}"
    # The page of an approval is for people.
    if exchange.status >= 400 and method != "HEAD" and template != approval_links.PATH:
        assert exchange.error["code"], exchange.raw


async def _answered(harness: Harness, scope: Scope, body: bytes) -> Exchange:
    """Return the answer; of one that streams, what came until the client has heard enough."""
    exchange = Exchange(body)
    exchange.task = asyncio.get_running_loop().create_task(_run(harness, scope, exchange))
    await exchange.begun()
    if exchange.headers.get("content-type", "").startswith("text/event-stream"):
        exchange.disconnect()
    return await exchange.done()


async def _run(harness: Harness, scope: Scope, exchange: Exchange) -> None:
    await harness.app.asgi(scope, exchange.receive, exchange.send)


class _Open:
    """The app that is asked, on a directory that goes with it. It has one turn to ask about."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(prefix="nanobot-fuzz-")
        self._stack = contextlib.AsyncExitStack()
        self.runner = asyncio.Runner()
        self.harness = self.runner.run(self._begin())
        guard = self.harness.app.asgi
        assert isinstance(guard, Guard)
        self.methods = {path: tuple(found.operations) for path, found in guard.paths.items()}
        self.paths = tuple(self.methods)
        chat = self.runner.run(self.harness.door.chat(_SESSION, "hello"))
        self.turn_id = chat.turn_id.encode()

    async def _begin(self) -> Harness:
        data = Path(self._directory.name)
        tables = {"api": {"disconnect_grace_s": 0}}
        models = Models(ScriptedModel("ok"), {})
        app = await self._stack.enter_async_context(
            open_app(configured(data, tables), models, clock=FakeClock(), randomness=random.Random(1))
        )
        return Harness(app, data, self._stack)

    def close(self) -> None:
        self.runner.run(self.harness.close())
        self.runner.close()
        self._directory.cleanup()


_opened: list[_Open] = []


def _door() -> _Open:
    if not _opened:
        _opened.append(_Open())
    return _opened[0]


def close_door() -> None:
    """Take down the app that the target opened, if it did."""
    while _opened:
        _opened.pop().close()


# Host and Origin ----------------------------------------------------------------------------------

_HOSTS = frozenset({*LOOPBACK, "nano.example.org"})


def check_host(content: bytes) -> None:
    """The first line is the Host, the second the Origin."""
    host, _, rest = content.partition(b"\n")
    origin, _, _ = rest.partition(b"\n")
    clock = FakeClock()
    guard = Guard(
        cast("Routes", _Routeless()),
        Access(_HOSTS),
        KeyRing(),
        None,
        clock,
        random.Random(1),
        open_paths=frozenset({"/health"}),
    )
    status = 0

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    async def receive() -> Message:
        raise AssertionError("the body is not asked for")

    scope = {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "raw_path": b"/health",
        "headers": [(b"host", host), (b"origin", origin)],
    }
    with contextlib.suppress(StopIteration):
        guard(scope, receive, send).__await__().send(None)
    assert status in (400, 403, 418), f"Host {host!r} and Origin {origin!r} are answered with {status}"
    scheme, _, rest = origin.partition(b"://")
    name, site = _plain_host(host), _plain_host(rest) if scheme in (b"http", b"https") else None
    if name is not None and (site is not None or not origin):
        is_own = site not in LOOPBACK or (name in LOOPBACK and _port_of(host) == _port_of(rest))
        allowed = name in _HOSTS and (not origin or (site in _HOSTS and is_own))
        assert allowed == (status == 418), (
            f"Host {host!r} and Origin {origin!r} are {'refused' if allowed else 'let in'}"
        )


def _plain_host(value: bytes) -> str | None:
    """Return the name in `name:port`, `[address]:port`;

    None where it is written in no way that a browser writes it.
    """
    text = value.decode("latin-1").lower()
    name, port = text, ""
    if text.startswith("["):
        name, end, port = text[1:].partition("]")
        if not end or (port and not port.startswith(":")):
            return None
        port = port.removeprefix(":")
        if not set(name) <= set("0123456789abcdef:.") or ":" not in name:
            return None
    else:
        name, _, port = text.partition(":")
        if not name or not set(name) <= set("0123456789abcdefghijklmnopqrstuvwxyz-._"):
            return None
    return name if port == "" or (re.fullmatch("[0-9]{1,5}", port) and int(port) <= 65_535) else None


def _port_of(value: bytes) -> bytes:
    """Return the port at the end of what `_plain_host` understands."""
    return value.rpartition(b"]")[2].partition(b":")[2]


class _Routeless:
    """Stands where the router stands: says that the request was let in."""

    paths: Mapping[str, object] = MappingProxyType({})

    async def run(self, request: Request, send: Send) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})


TARGETS = (
    drawn("door", _asked),
    Target(
        "host-and-origin",
        check_host,
        (
            b"localhost:8900\nhttp://localhost:3000",
            b"[::1]:80\n",
            b"127.0.0.1\nnull",
            b"nano.example.org\nhttps://evil.example.org",
            b"LOCALHOST\n",
        ),
        (
            b"localhost",
            b"127.0.0.1",
            b"[::1]",
            b"nano.example.org",
            b"http://",
            b"https://",
            b"null",
            b"@",
            b":80",
            b"%",
            b"\\",
            b"#",
        ),
    ),
)
