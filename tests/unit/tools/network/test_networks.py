"""A command's network reaches the hosts that are named, and nothing else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from nanobot.core.audit_log import AuditedConnection
from nanobot.reading.hosts import HostRules
from nanobot.testing import FakeClock
from nanobot.tools.network.networks import CommandNetworks
from nanobot.tools.network.rules import AllowedHost, NetworkBounds, NetworkRules, parse_allowed

BOUND_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Host:
    """A host on this machine. `heard`: what each connection has sent it; it answers with `answer` at the
    first bytes, and ends the connection unless it `holds` it.
    """

    def __init__(self, answer: bytes = OK, *, holds: bool = False) -> None:
        self.heard: list[bytearray] = []
        self.ended = asyncio.Event()
        self._answer = answer
        self._holds = holds

    @property
    def text(self) -> str:
        return b"".join(self.heard).decode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        self.heard.append(heard)
        try:
            heard += await reader.read(65_536)
            writer.write(self._answer)
            await writer.drain()
            if self._holds:
                while data := await reader.read(65_536):
                    heard += data
        except OSError:
            pass
        finally:
            writer.close()
            self.ended.set()


class Bench:
    """The network of a command, whose names have the addresses of `names`."""

    def __init__(
        self, host: Host, port: int, listener: socket.socket, notes: list[AuditedConnection]
    ) -> None:
        self.host = host
        self.port = port
        self.notes = notes
        self.asked: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self._address = listener.getsockname()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self._address)
        self.writers.append(writer)
        return reader, writer

    async def say(self, text: bytes) -> str:
        """Return all that is answered to `text`."""
        async with asyncio.timeout(BOUND_S):
            reader, writer = await self.connect()
            writer.write(text)
            answer = await reader.read()
            writer.close()
            return answer.decode()

    async def noted(self) -> AuditedConnection:
        async with asyncio.timeout(BOUND_S):
            while not self.notes:
                await asyncio.sleep(0)
        return self.notes.pop()


@contextlib.asynccontextmanager
async def network(
    *entries: str,
    host: Host | None = None,
    bounds: NetworkBounds | None = None,
    private: Sequence[str] = ("good.test",),
    names: dict[str, Sequence[str] | Callable[[], Sequence[str]]] | None = None,
) -> AsyncIterator[Bench]:
    """`entries` without a port get that of the host, which good.test leads to."""
    host = host or Host()
    known: dict[str, Sequence[str] | Callable[[], Sequence[str]]] = {
        "good.test": ("127.0.0.1",),
        **(names or {}),
    }
    notes: list[AuditedConnection] = []

    async def resolve(name: str, port: int) -> Sequence[str]:
        bench.asked.append(name)
        if name not in known:
            raise OSError("no such name")
        found = known[name]
        return found() if callable(found) else found

    async with await asyncio.start_server(host.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        allowed = [parse_allowed(f"{entry}:{port}") for entry in entries or ("good.test",)]
        rules = NetworkRules(tuple(each for each in allowed if each), HostRules(private=tuple(private)))
        networks = CommandNetworks(
            rules,
            bounds or NetworkBounds(),
            lambda key, connection: notes.append(connection),
            FakeClock(),
            resolve=resolve,
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            bench = Bench(host, port, listener, notes)
            try:
                async with networks.of("k")(listener):
                    yield bench
            finally:
                for writer in bench.writers:
                    writer.close()


async def test_a_plain_request_is_passed_on_as_its_host_expects_it() -> None:
    async with network() as bench:
        answer = await bench.say(
            f"GET http://good.test:{bench.port}/a?b=c HTTP/1.1\r\nHost: other.test\r\nAccept: */*\r\n"
            "Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nConnection: x-hop\r\n"
            "X-Hop: 1\r\nUpgrade: h2c\r\n\r\n".encode()
        )
        assert answer.startswith("HTTP/1.1 200 OK") and answer.endswith("ok")
        lines = bench.host.text.split("\r\n")
        assert lines[0] == "GET /a?b=c HTTP/1.1"
        assert sorted(line.lower() for line in lines[1:] if line) == [
            "accept: */*",
            "connection: close",
            f"host: good.test:{bench.port}",
        ]
        noted = await bench.noted()
        assert (noted.host, noted.port, noted.address) == ("good.test", bench.port, "127.0.0.1")
        assert (noted.sent, noted.received) == (len(bench.host.text), len(answer))


async def test_bodies_are_passed_on_whole() -> None:
    async with network(host=Host(holds=True)) as bench:
        reader, writer = await bench.connect()
        body = b"x" * 300_000
        head = (
            f"POST http://good.test:{bench.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        async with asyncio.timeout(BOUND_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            while len(b"".join(bench.host.heard)) < len(body):
                await asyncio.sleep(0)
        assert b"".join(bench.host.heard).endswith(body)
        writer.close()


async def test_a_tunnel_passes_on_both_ways_what_it_does_not_read() -> None:
    async with network(host=Host(b"\x00\x16answer", holds=True)) as bench:
        reader, writer = await bench.connect()
        # With what a hasty program sends before it is told that there is a tunnel.
        writer.write(
            f"CONNECT good.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + b"\x16\x03early"
        )
        async with asyncio.timeout(BOUND_S):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(8) == b"\x00\x16answer"
            writer.write(b"more")
            # Its end is passed on, too.
            writer.write_eof()
            assert await reader.read() == b""
        assert b"".join(bench.host.heard) == b"\x16\x03earlymore"
        assert (await bench.noted()).sent == 11


@pytest.mark.parametrize(
    "authority",
    [
        *("other.test", "sub.good.test", "good.test.evil.test", "127.0.0.1", "2130706433", "0x7f000001"),
        *("[::ffff:127.0.0.1]", "[::1]", "0", "169.254.169.254", "metadata.google.internal", "localhost"),
        *("good.test@127.0.0.1", "127.0.0.1#good.test", "good.test%00.evil.test", "good.test\\evil.test"),
    ],
)
async def test_no_other_host_is_reached_by_whatever_name(authority: str) -> None:
    async with network(names={"other.test": ("127.0.0.1",), "localhost": ("127.0.0.1",)}) as bench:
        for text in (
            f"CONNECT {authority}:{bench.port} HTTP/1.1\r\nHost: good.test\r\n\r\n",
            f"GET http://{authority}:{bench.port}/ HTTP/1.1\r\nHost: good.test\r\n\r\n",
        ):
            assert (await bench.say(text.encode())).split()[1] in ("403", "400")
        assert bench.host.heard == [] and bench.asked == []
        assert all(note.address is None and note.refused for note in bench.notes)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1"),
        *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1", "fc00::1", "::7f00:1"),
    ],
)
async def test_a_name_that_leads_into_a_private_network_is_not_followed(address: str) -> None:
    async with network(
        "evil.test", names={"evil.test": (address,), "both.test": ("1.1.1.1", address)}
    ) as bench:
        answer = await bench.say(f"CONNECT evil.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith("HTTP/1.1 403 evil.test is not on the public internet")
        assert bench.host.heard == []


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    async with network("both.test", names={"both.test": ("93.184.216.34", "127.0.0.1")}) as bench:
        answer = await bench.say(f"CONNECT both.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith("HTTP/1.1 403")


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"])
async def test_not_even_a_private_host_leads_to_the_secrets_of_a_cloud(address: str) -> None:
    async with network(private=("good.test",), names={"good.test": (address,)}) as bench:
        answer = await bench.say(f"CONNECT good.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith("HTTP/1.1 403")


async def test_a_name_is_resolved_once_and_connected_to_as_it_was_checked() -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    async with network(names={"good.test": lambda: next(answers)}) as bench:
        request = f"GET http://good.test:{bench.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        assert (await bench.say(request)).startswith("HTTP/1.1 200")
        assert bench.asked == ["good.test"]
        assert (await bench.noted()).address == "127.0.0.1"


GET, POST = ("GET http://good.test:PORT/ HTTP/1.1\r\n", "POST http://good.test:PORT/ HTTP/1.1\r\nHost: x\r\n")
CANARY = "\r\nGET /canary HTTP/1.1\r\nHost: other.test\r\n\r\n"


@pytest.mark.parametrize(
    "text",
    [
        # a second request behind the first one
        f"{GET}Host: x\r\n{CANARY}",
        # a body that only one of two readers sees
        f"{POST}Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{CANARY}",
        f"{POST}Content-Length: 0\r\nContent-Length: 40\r\n{CANARY}",
        f"{POST}Transfer-Encoding: xchunked\r\n{CANARY}",
        f"{POST}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n{CANARY}",
        f"{POST}Connection: content-length\r\nContent-Length: 0\r\n{CANARY}",
        # lines within lines
        "GET http://good.test:PORT/\rGET /canary HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{GET}Host: x\r\nX: a\rGET /canary: b\r\n\r\n",
        "GET http://good.test:PORT/\x00/canary HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{GET}Host: x\r\nHost: canary\r\n\r\n",
        f"{GET}Host: canary\r\n\r\n",
    ],
)
async def test_nothing_is_smuggled_past_the_one_request_of_a_connection(text: str) -> None:
    async with network() as bench:
        answer = await bench.say(text.replace("PORT", str(bench.port)).encode())
        assert answer.startswith(("HTTP/1.1 200", "HTTP/1.1 400"))
        assert "canary" not in bench.host.text
        assert bench.host.text.count("HTTP/1.1") <= 1


async def test_headers_behind_a_body_are_not_passed_on() -> None:
    async with network(host=Host(holds=True)) as bench:
        _, writer = await bench.connect()
        text = f"{POST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: canary\r\n\r\n"
        writer.write(text.replace("PORT", str(bench.port)).encode())
        async with asyncio.timeout(BOUND_S):
            while not bench.host.text.endswith("\r\n0\r\n\r\n"):
                assert "canary" not in bench.host.text
                await asyncio.sleep(0)
        writer.close()


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n",
            b"GET https://good.test/ HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        *(
            b"CONNECT good.test HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET ftp://good.test/ HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        *(
            b"\x05\x01\x00",
            b"\x16\x03\x01\x00\xa5\n\n",
            b"GET http://a:b@good.test/ HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        b"GET http://good.test/ HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_to_a_proxy_is_refused(text: bytes) -> None:
    async with network() as bench:
        async with asyncio.timeout(BOUND_S):
            reader, writer = await bench.connect()
            writer.write(text)
            writer.write_eof()
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
            writer.close()
        assert bench.host.heard == []


async def test_a_command_moves_so_many_bytes_and_then_is_told() -> None:
    host = Host(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 3_000_000)
    async with network(host=host, bounds=NetworkBounds(max_bytes=1 << 20)) as bench:
        request = f"GET http://good.test:{bench.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        with contextlib.suppress(ConnectionResetError):
            assert len(await bench.say(request)) < 2_000_000
        assert "1 MiB (shell.network_mb)" in ((await bench.noted()).refused or "")
        assert (await bench.say(request)).startswith("HTTP/1.1 429 this command has moved 1 MiB")
        assert len(host.heard) == 1


async def test_a_command_has_so_many_connections_and_then_is_told() -> None:
    async with network(bounds=NetworkBounds(connections=2)) as bench:
        request = f"GET http://good.test:{bench.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        answers = [(await bench.say(request)).split()[1] for _ in range(3)]
        assert answers == ["200", "200", "429"] and len(bench.host.heard) == 2


async def test_connections_beyond_those_that_there_may_be_at_once_wait_for_their_turn() -> None:
    async with network(host=Host(holds=True), bounds=NetworkBounds(max_parallel=8)) as bench:
        request = f"CONNECT good.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\nx".encode()
        open_: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        for _ in range(5):
            open_.append(await bench.connect())
            open_[-1][1].write(request)
        async with asyncio.timeout(BOUND_S):
            for reader, _ in open_[:2]:
                assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            assert len(bench.host.heard) == 2
            for _, writer in open_[:2]:
                writer.close()
            for reader, writer in open_[2:]:
                assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
                writer.close()


async def test_its_connections_end_with_the_command() -> None:
    host = Host(holds=True)
    async with network(host=host) as bench:
        reader, writer = await bench.connect()
        writer.write(f"CONNECT good.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\nx".encode())
        async with asyncio.timeout(BOUND_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            while not host.heard:
                await asyncio.sleep(0)
        idle = await bench.connect()
    async with asyncio.timeout(BOUND_S):
        await host.ended.wait()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        with contextlib.suppress(ConnectionResetError):
            assert await idle[0].read() == b""
    assert [note.host for note in bench.notes if note.address] == ["good.test"]


async def test_who_asks_again_and_again_for_what_is_refused_is_noted_once() -> None:
    async with network() as bench:
        for _ in range(3):
            await bench.say(b"CONNECT other.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [(note.host, note.port) for note in bench.notes] == [("other.test", 443)]
        for number in range(150):
            await bench.say(f"CONNECT {number}.test:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert len(bench.notes) == 100


async def test_who_is_refused_again_and_again_is_not_listened_to_any_more() -> None:
    async with network(bounds=NetworkBounds(connections=3)) as bench:
        good = f"GET http://good.test:{bench.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        assert (await bench.say(good)).startswith("HTTP/1.1 200 ")
        for refused in (b"CONNECT other.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"?\r\n\r\n", b"?\r\n\r\n"):
            assert (await bench.say(refused)).startswith("HTTP/1.1 4")
        async with asyncio.timeout(BOUND_S):
            with pytest.raises(OSError):
                while True:
                    await bench.say(good)


async def test_names_that_do_not_answer_hold_up_their_own_session_only() -> None:
    asked: list[str] = []
    answers = asyncio.Event()

    async def resolve(name: str, port: int) -> Sequence[str]:
        asked.append(name.partition(".")[0])
        await answers.wait()
        raise OSError("no such name")

    rules = NetworkRules((AllowedHost("test", is_below=True),))
    networks = CommandNetworks(rules, NetworkBounds(), lambda *_: None, FakeClock(), resolve=resolve)

    async def ask(key: str, *names: str, expected: str) -> None:
        """Have a command of the session ask for hosts, and end it once the expected ones are looked up."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with networks.of(key)(listener):
                # The last one is refused at once: the others have been taken by then.
                for host in (*(f"{name}.test" for name in names), "other.name"):
                    reader, writer = await asyncio.open_connection(*listener.getsockname())
                    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    opened.append(writer)
                assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
                while "".join(asked) != expected:
                    await asyncio.sleep(0)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert "".join(asked) == expected

    opened: list[asyncio.StreamWriter] = []
    async with asyncio.timeout(BOUND_S):
        await ask("k", "a", "b", "c", expected="ab")
        # That command is over, but its names are still looked up.
        await ask("k", "d", "e", expected="ab")
        await ask("other", "f", expected="abf")
        answers.set()
        await ask("k", "g", expected="abfg")
    for writer in opened:
        writer.close()


async def test_a_host_that_is_not_there_is_said_to_be_so() -> None:
    async with network(
        "gone.test", "closed.test", names={"closed.test": ("127.0.0.2",)}, private=("closed.test",)
    ) as bench:
        answer = await bench.say(f"CONNECT gone.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith("HTTP/1.1 502 there is no host gone.test")
        answer = await bench.say(f"CONNECT closed.test:{bench.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert "takes no connection" in answer.splitlines()[0]
