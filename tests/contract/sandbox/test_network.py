"""A command that has a network has its own proxy, and nothing else of it."""

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanobot.core.clock import SystemClock
from nanobot.core.errors import ToolError
from nanobot.core.ids import SystemRandomness
from nanobot.tools.sandbox.command import Command, Ending, SandboxOff
from nanobot.tools.sandbox.launched import LaunchedSandbox
from nanobot.tools.sandbox.layers import ProbeResult, probe_layers, probe_network
from tests.contract.sandbox.test_sandbox import BOUND_S, ENVIRONMENT, SMALL, everything

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
SAY = """
import socket, sys
def said(port):
    with socket.socket() as made:
        made.settimeout(5)
        try:
            made.connect(('127.0.0.1', port))
            made.sendall(sys.argv[1].encode())
            return made.recv(99).decode()
        except OSError as error:
            return type(error).__name__
"""


class Echo:
    """A network that answers with what it was told, and counts who is there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[str] = []
        self.has_ended = False

    @contextlib.asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer):
                self.heard.append((await reader.read(99)).decode())
                writer.write(f"{self.name}: {self.heard[-1]}".encode())

        try:
            async with await asyncio.start_server(answer, sock=listener):
                yield
        finally:
            self.has_ended = True


@pytest.fixture(scope="module")
def layers() -> dict[str, ProbeResult]:
    async def probe() -> tuple[ProbeResult, ...]:
        return await probe_layers(Path(tempfile.gettempdir()), SystemClock(), SystemRandomness())

    return {each.name: each for each in asyncio.run(probe())}


class Rooms:
    """Workspaces, with one sandbox."""

    def __init__(self, base: Path, sandbox: LaunchedSandbox) -> None:
        self.base = base
        self.sandbox = sandbox

    async def run(self, code: str, network: Echo, *arguments: str, room: str = "a") -> tuple[str, Ending]:
        workspace = self.base / room
        workspace.mkdir(exist_ok=True)
        async with asyncio.timeout(BOUND_S):
            running = await self.sandbox.start(
                Command(
                    ("/usr/bin/python3", "-c", SAY + code, *(arguments or ("x",))),
                    workspace,
                    ENVIRONMENT,
                    SMALL,
                    network=network.serve,
                )
            )
            return await everything(running), await running.wait()


@pytest.fixture
async def rooms(layers: dict[str, ProbeResult]) -> AsyncIterator[Rooms]:
    layer = layers["bubblewrap"].layer
    if layer is None:
        pytest.skip(f"bubblewrap: {layers['bubblewrap'].why}")
    base = Path(tempfile.mkdtemp(prefix="nanobot-network-"))
    base.chmod(0o711)
    sandbox = LaunchedSandbox(base / "state", layer, SystemClock(), SystemRandomness())
    sandbox.open()
    try:
        yield Rooms(base, sandbox)
    finally:
        shutil.rmtree(base, ignore_errors=True)


async def test_it_reaches_its_proxy_at_the_address_that_its_environment_names(rooms: Rooms) -> None:
    echo = Echo("one")
    output, ending = await rooms.run(
        "import os; from urllib.parse import urlsplit\n"
        "proxies = {os.environ[f'{each}_proxy'] for each in ('http', 'https')}\n"
        "(proxy,) = proxies; print(said(urlsplit(proxy).port))",
        echo,
        "hello",
    )
    assert (output, ending) == ("one: hello\n", Ending(0))
    assert echo.has_ended


async def test_it_reaches_no_other_port_of_this_machine(rooms: Rooms) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        output, _ = await rooms.run(f"print(said({port}))", Echo("one"))
        assert output in ("ConnectionRefusedError\n", "PermissionError\n")


async def test_each_command_has_a_proxy_of_its_own(rooms: Rooms) -> None:
    one, two = Echo("one"), Echo("two")
    outcomes = await asyncio.gather(
        *(rooms.run("print(said(3128))", echo, word, room=word) for echo, word in ((one, "a"), (two, "b")))
    )
    assert [output for output, _ in outcomes] == ["one: a\n", "two: b\n"]
    assert (one.heard, two.heard) == (["a"], ["b"])


async def test_of_sockets_it_makes_those_of_tcp_only_and_takes_no_connection(rooms: Rooms) -> None:
    code = """
attempts = {
    'udp': lambda: socket.socket(2, 2),
    'six': lambda: socket.socket(10, 1),
    'raw': lambda: socket.socket(2, 3),
    'mptcp': lambda: socket.socket(2, 1, 262),
    'sctp': lambda: socket.socket(2, 1, 132),
    'unix': lambda: socket.socket(1, 1),
    'netlink': lambda: socket.socket(16, 3),
    'vsock': lambda: socket.socket(40, 1),
    'bind': lambda: socket.socket().bind(('127.0.0.1', 0)),
    'listen': lambda: socket.socket().listen(),
    'another protocol on top': lambda: socket.socket().setsockopt(6, 31, b'tls'),
    'options of IP': lambda: socket.socket().setsockopt(0, 1, 0),
}
for name, attempt in attempts.items():
    try: attempt()
    except OSError: continue
    print('could', name)
socket.socket().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
socket.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print('done')
"""
    assert (await rooms.run(code, Echo("one")))[0] == "done\n"


async def test_it_has_no_part_in_the_socket_that_its_proxy_listens_at(rooms: Rooms) -> None:
    code = """
import os, stat
own = [n for n in range(3, 1024) if os.path.exists(f'/proc/self/fd/{n}')]
print([n for n in own if stat.S_ISSOCK(os.stat(f'/proc/self/fd/{n}').st_mode)])
for pid in filter(str.isdigit, os.listdir('/proc')):
    for fd in os.listdir(f'/proc/{pid}/fd') if os.access(f'/proc/{pid}/fd', os.R_OK) else ():
        try: found = os.readlink(f'/proc/{pid}/fd/{fd}')
        except OSError: continue
        if found.startswith('socket:'): print(pid, fd, found)
"""
    assert (await rooms.run(code, Echo("one")))[0] == "[]\n"


async def test_where_there_is_no_namespace_for_it_no_command_is_started_with_one(
    layers: dict[str, ProbeResult], tmp_path: Path
) -> None:
    layer = layers["launcher"].layer
    if layer is None:
        pytest.skip(f"launcher: {layers['launcher'].why}")
    sandbox = LaunchedSandbox(tmp_path / "state", layer, SystemClock(), SystemRandomness())
    with pytest.raises(SandboxOff, match="needs bubblewrap"):
        await sandbox.start(Command(("/bin/true",), tmp_path, network=Echo("one").serve))
    assert "bubblewrap" in await probe_network(layer, tmp_path, SystemClock(), SystemRandomness())


async def test_a_probe_sees_whether_a_network_is_its_proxy_and_nothing_else(
    layers: dict[str, ProbeResult],
) -> None:
    layer = layers["bubblewrap"].layer
    if layer is None:
        pytest.skip(f"bubblewrap: {layers['bubblewrap'].why}")
    data = Path(tempfile.gettempdir())
    assert await probe_network(layer, data, SystemClock(), SystemRandomness()) == ""


async def test_a_command_that_ends_before_it_has_a_network_leaves_nothing_behind(rooms: Rooms) -> None:
    (rooms.base / "a").mkdir()
    echo = Echo("one")
    async with asyncio.timeout(BOUND_S):
        running = await rooms.sandbox.start(
            Command(("/nonexistent",), rooms.base / "a", ENVIRONMENT, SMALL, network=echo.serve)
        )
        stopped = await rooms.sandbox.start(
            Command(("/bin/sleep", "60"), rooms.base / "a", ENVIRONMENT, SMALL, network=echo.serve)
        )
        stopped.stop()
        with contextlib.suppress(ToolError):
            await everything(running)
        assert (await running.wait()) != Ending(0)
        assert (await stopped.wait()).status is None
    assert echo.heard == []
