"""What only direct connections do."""

import asyncio
import ssl
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nanobot.models.direct import DirectPool
from nanobot.models.http11 import DirectConnection
from nanobot.models.http11_answer import DirectAnswer
from nanobot.models.transfer import Received, TransferFailed
from tests.certificate import certificate
from tests.upstream import CUT, HANG, Gate, Reply, Step, Upstream, raw

WITHIN_S = 20.0


class Stall:
    """An audience of which the test says when it arrives."""

    def __init__(self) -> None:
        self.is_listening = False
        self.call: Callable[[], None] | None = None

    def on_arrival(self, call: Callable[[], None] | None) -> None:
        self.call = call

    def arrive(self) -> None:
        self.is_listening = True
        assert self.call is not None
        self.call()


async def ask(pool: DirectPool, url: str) -> Received:
    return await pool.send("POST", url, {}, b"{}", asyncio.get_running_loop().time() + WITHIN_S)


async def test_pieces_wait_for_each_other_until_somebody_listens() -> None:
    gate = Gate()
    async with Upstream() as upstream:
        upstream.then(Reply((b"a", b"b", gate, b"c", HANG)))
        pool = DirectPool(connect_s=5)
        answer, audience = await ask(pool, upstream.url), Stall()
        gathering = asyncio.ensure_future(answer.gather(asyncio.get_running_loop().time() + 60, audience))
        await gate.reached.wait()
        await asyncio.sleep(0)
        assert not gathering.done()
        audience.arrive()
        await asyncio.wait_for(gathering, WITHIN_S)
        said = await answer.read()
        while said != b"ab":
            said += await answer.read()
        gate.open()
        assert await answer.read() == b"c"
        await pool.close()


async def test_much_is_not_waited_with() -> None:
    async with Upstream() as upstream:
        upstream.then(Reply((b"x" * 20_000, HANG)))
        pool = DirectPool(connect_s=5)
        answer = await ask(pool, upstream.url)
        async with asyncio.timeout(WITHIN_S):
            await answer.gather(asyncio.get_running_loop().time() + 60, Stall())
        assert len(await answer.read()) > 16_000
        await pool.close()


async def test_what_was_gathered_is_read_although_the_connection_broke() -> None:
    async with Upstream() as upstream:
        upstream.then(Reply((b"a", b"b", CUT)))
        pool = DirectPool(connect_s=5)
        answer = await ask(pool, upstream.url)
        async with asyncio.timeout(WITHIN_S):
            await answer.gather(asyncio.get_running_loop().time() + 60, Stall())
        assert await answer.read() == b"ab"
        with pytest.raises(TransferFailed):
            await answer.read()


@pytest.mark.parametrize("end", [HANG, CUT])
@pytest.mark.parametrize("behind", [b"junk", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_an_answer_is_whole_whatever_comes_behind_it(end: Step, behind: bytes) -> None:
    """Its reader waits while both come at once."""
    gate = Gate()
    async with Upstream() as upstream:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
        upstream.then(raw(head, gate, b"said" + behind, end), Reply((b"next",)))
        pool = DirectPool(connect_s=5)
        answer = await ask(pool, upstream.url)
        reading = asyncio.ensure_future(answer.read())
        await gate.reached.wait()
        await asyncio.sleep(0)
        gate.open()
        assert await asyncio.wait_for(reading, WITHIN_S) == b"said"
        assert answer.has_ended
        answer.close()
        # Nothing of it is taken for the answer to another request.
        assert await (await ask(pool, upstream.url)).read() == b"next"
        await pool.close()


def in_chunks(packed: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in packed if piece)


def packed_one_by_one(pieces: Iterable[bytes]) -> bytes:
    """Return the pieces in gzip, each a chunk that can be unpacked by itself."""
    packer = zlib.compressobj(wbits=31)
    chunks = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return in_chunks((*chunks, packer.flush()))


PACKED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("pieces", [[bytes(50_000_000)], [bytes(250_000)] * 200], ids=["one", "many"])
async def test_few_bytes_do_not_become_very_many_at_once(pieces: list[bytes]) -> None:
    """Others have their turn between two parts of it."""
    async with Upstream() as upstream:
        upstream.then(raw(PACKED, packed_one_by_one(pieces) + b"0\r\n\r\n"))
        pool = DirectPool(connect_s=5)
        answer = await ask(pool, upstream.url)
        turns = read = 0
        loop = asyncio.get_running_loop()

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        turn()
        while body := await answer.read():
            read += len(body)
            assert len(body) <= 256 * 1024
            assert turns >= read // (256 * 1024)
        assert read == sum(map(len, pieces))
        assert answer.has_ended
        await pool.close()


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\n\r\njunk", CUT], ids=["whole", "more", "cut"])
async def test_what_came_packed_is_read_before_its_end_counts(end: Step) -> None:
    async with Upstream() as upstream:
        upstream.then(raw(PACKED, packed_one_by_one([bytes(1_000_000), b"end"]), end))
        pool = DirectPool(connect_s=5)
        answer = await ask(pool, upstream.url)
        read = b""
        while not read.endswith(b"end"):
            read += await answer.read()
        if end == CUT:
            with pytest.raises(TransferFailed):
                await answer.read()
        else:
            assert not answer.has_ended or await answer.read() == b""
        assert len(read) == 1_000_003
        await pool.close()


async def test_a_packed_answer_that_is_broken_fails() -> None:
    async with Upstream() as upstream:
        upstream.then(raw(PACKED, in_chunks([b"no gzip"]), HANG), Reply((b"next",)))
        pool = DirectPool(connect_s=5)
        answer = await ask(pool, upstream.url)
        with pytest.raises(TransferFailed):
            await answer.read()
        answer.close()
        assert await (await ask(pool, upstream.url)).read() == b"next"
        await pool.close()


async def test_idle_connections_are_dropped_when_the_pool_is_closed() -> None:
    async with Upstream() as upstream:
        pool = DirectPool(connect_s=5)
        answer = await ask(pool, upstream.url)
        while await answer.read():
            pass
        answer.close()
        assert upstream.open_connections == 1
        await pool.close()
        await upstream.deserted()


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_https_is_for_certificates_that_are_trusted(tmp_path: Path, is_trusted: bool) -> None:
    certificate_file, key_file = certificate(tmp_path, "localhost")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate_file, key_file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", ssl=serving)
    tls = ssl.create_default_context(cafile=str(certificate_file) if is_trusted else None)
    pool = DirectPool(connect_s=5, tls=tls)
    asking = ask(pool, f"https://localhost:{server.sockets[0].getsockname()[1]}/v1")
    if is_trusted:
        answer = await asking
        assert await answer.read() == b"ok"
        answer.close()
    else:
        with pytest.raises(TransferFailed) as caught:
            await asking
        assert caught.value.stage == "trust"
    await pool.close()
    server.close()
    await server.wait_closed()


class Anyone:
    """Where a connection belongs that is not kept."""

    def opened(self, connection: DirectConnection) -> None:
        """It is known already."""

    def keep(self, connection: DirectConnection) -> None:
        """It is used once."""

    def forget(self, connection: DirectConnection) -> None:
        """Nothing is known of it."""


class SteppedLoop:
    """The part of an event loop that a connection uses, with a clock that the test moves."""

    def __init__(self) -> None:
        self._now = 0.0
        self._calls: list[tuple[float, Callable[..., object], tuple[object, ...], asyncio.Handle]] = []

    def time(self) -> float:
        return self._now

    def create_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def call_at(self, when: float, call: Callable[..., object], *values: object) -> asyncio.Handle:
        handle = asyncio.Handle(call, values, asyncio.get_running_loop())
        self._calls.append((when, call, values, handle))
        return handle

    def call_later(self, delay: float, call: Callable[..., object], *values: object) -> asyncio.Handle:
        return self.call_at(self._now + delay, call, *values)

    def pass_s(self, seconds: float) -> None:
        self._now += seconds
        due = [each for each in self._calls if each[0] <= self._now]
        self._calls = [each for each in self._calls if each[0] > self._now]
        for _, call, values, handle in due:
            if not handle.cancelled():
                call(*values)


async def read_whole(answer: DirectAnswer, audience: Stall) -> bytes:
    """Read an answer as `http` does."""
    body = b""
    while not answer.has_ended:
        if not audience.is_listening:
            await answer.gather(1e9, audience)
        body += answer.buffered() or await answer.read()
    return body


class SlowSocket(asyncio.Transport):
    """A socket at which `looks` tokens are seen one by one while it is read, and all that have come together
    once it is read again.
    """

    def __init__(self, connection: DirectConnection) -> None:
        super().__init__()
        self.looks = 0
        self._connection = connection
        self._is_paused = False
        self._come = b""

    def write(self, data: object) -> None:
        """Take the request."""

    def abort(self) -> None:
        """Nothing is connected."""

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._look()

    def come(self, data: bytes) -> None:
        self._come += data
        if not self._is_paused:
            self._look()

    def _look(self) -> None:
        come, self._come = self._come, b""
        if come:
            self.looks += 1
            self._connection.data_received(come)


@pytest.mark.parametrize(("is_heard", "most_looks"), [(True, 200), (False, 60)])
async def test_the_socket_is_left_alone_while_nobody_listens(is_heard: bool, most_looks: int) -> None:
    """200 tokens, 10 ms apart by a clock that stands still in between."""
    clock = SteppedLoop()
    connection = DirectConnection(Anyone(), "there", clock)  # type: ignore[arg-type]
    socket = SlowSocket(connection)
    connection.connection_made(socket)
    asking = asyncio.ensure_future(connection.ask(b"", b"", 1e9))
    await asyncio.sleep(0)
    socket.come(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
    answer = await asking
    audience = Stall()
    audience.is_listening = is_heard
    reading = asyncio.ensure_future(read_whole(answer, audience))
    for number in range(200):
        clock.pass_s(0.01)
        socket.come(b"%02d" % (number % 100))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    clock.pass_s(0.1)
    body = await asyncio.wait_for(reading, WITHIN_S)
    assert body == b"".join(b"%02d" % (number % 100) for number in range(200))
    assert 10 < socket.looks - 1 <= most_looks, "the head was another one"
    assert is_heard == (socket.looks - 1 == 200)
    answer.close()


async def test_sockets_that_are_left_alone_are_looked_at_together_and_none_later_than_by_itself() -> None:
    clock = SteppedLoop()
    begun: list[tuple[float, DirectAnswer]] = []
    for wait_s in (3.307, 0.608, 3.185):
        clock.pass_s(wait_s)
        connection = DirectConnection(Anyone(), "there", clock)  # type: ignore[arg-type]
        answer = DirectAnswer(connection, clock)  # type: ignore[arg-type]
        answer.gathers = True
        begun.append((clock.time(), answer))
    clock.pass_s(1.917)
    looks: set[float] = set()
    for _ in range(3):
        for since, answer in begun:
            until = answer.pause_until
            assert clock.time() < until <= clock.time() + min(0.1, (clock.time() - since) / 10)
            looks.add(round(until, 3))
        clock.pass_s(0.027)
    assert looks == {9.1}
