"""Commands that are confined by a launcher, each by one of its own, which another program may be around."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness
from nanobot.tools.sandbox.command import Command, Ending, Network, SandboxOff
from nanobot.tools.sandbox.users import Users, free_numbers

_LINUX, _MACOS = (Path(__file__).with_name(name) for name in ("launcher.py", "seatbelt_launcher.py"))
_CHUNK = 65_536
_KEPT_S = 3_600.0
LayerName = Literal["launcher", "bubblewrap", "sandbox-exec"]


class Layer(msgspec.Struct, frozen=True):
    """A way to confine commands. `bubblewrap`: its path, where it is around the launcher's own; then `python`
    is the Python that confines a command from inside, with `python_prefix` where that is not in /usr, and
    commands have no /proc where `lacks_proc`. `sandbox_exec`: its path, on macOS, which has none of these.
    """

    bubblewrap: str = ""
    python: str = ""
    python_prefix: str = ""
    lacks_proc: bool = False
    sandbox_exec: str = ""

    @property
    def name(self) -> LayerName:
        if self.sandbox_exec:
            return "sandbox-exec"
        return "bubblewrap" if self.bubblewrap else "launcher"


_remove = partial(shutil.rmtree, ignore_errors=True)


class LaunchedSandbox:
    """Runs commands by a layer. `state`: a directory of its own, for what commands write to /tmp; `open`
    empties it. `remove` deletes a directory that commands have written to, whatever is in it.
    """

    def __init__(
        self,
        state: Path,
        layer: Layer,
        clock: Clock,
        randomness: Randomness,
        remove: Callable[[Path], object] = _remove,
    ) -> None:
        self._state = state
        self._remove = remove
        self._layer = layer
        self._clock = clock
        # There is no user for a command on macOS: its launcher runs none for root.
        self._users = None if layer.sandbox_exec else _users(randomness)
        self._running: Counter[Path] = Counter()
        self._used_at: dict[Path, float] = {}

    def open(self) -> None:
        """Remove what commands of an earlier server left. Blocks: call it in a thread.

        Raises:
            OSError: the directory cannot be written.
        """
        self._remove(self._state)
        # Users of commands go through it to what is theirs, by names that they know.
        self._state.mkdir(mode=0o711, parents=True, exist_ok=True)

    async def sweep(self) -> None:
        """Remove the temporary files of workspaces that are gone, or where no command ran for an hour."""
        now = self._clock.now()
        for workspace, used_at in list(self._used_at.items()):
            if self._running[workspace]:
                continue
            is_left = now - used_at > _KEPT_S or not await asyncio.to_thread(workspace.exists)
            if self._running[workspace]:
                # A command has started meanwhile.
                continue
            if is_left:
                self._used_at.pop(workspace, None)
                # A command that starts meanwhile makes them anew, or is told that they are gone.
                await asyncio.to_thread(self._remove, self._places(workspace))
            else:
                await self._remove_uploads(workspace)

    async def _remove_uploads(self, workspace: Path) -> None:
        """Remove the copies of uploads, which may have been deleted meanwhile."""
        gone = self._places(workspace) / "gone"
        with contextlib.suppress(OSError):
            # At once: a command that starts meanwhile has others.
            self._uploads(workspace).rename(gone)
        await asyncio.to_thread(self._remove, gone)

    def _uploads(self, workspace: Path) -> Path:
        return self._places(workspace) / "uploads"

    def _places(self, workspace: Path) -> Path:
        return self._state / hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32]

    async def start(self, command: Command) -> "LaunchedRunning":
        """Start a command.

        Raises:
            SandboxOff: it cannot be confined here.
            ToolError: it cannot be started.
        """
        return await self.start_order(
            command, {"command": list(command.arguments), "environment": dict(command.environment)}
        )

    async def start_order(self, command: Command, what: dict[str, Any]) -> "LaunchedRunning":
        """Start what the launcher is told by `what`, in the workspace of `command` and with its limits."""
        if command.network is not None and not self.has_network:
            raise SandboxOff("a network needs bubblewrap: no other layer has a namespace for it")
        workspace = command.workspace
        self._running[workspace] += 1
        uid = 0
        try:
            owner = await asyncio.to_thread(self._make_places, workspace)
            uid = self._users.take(workspace, owner) if self._users else 0
            uploads = await self._filled(command, uid)
            running = await _launch({**self._order(command, uid, what), "uploads": uploads}, command, uid)
        except BaseException:
            self._over(workspace, uid)
            raise
        running.when_over(lambda: self._over(workspace, uid))
        return running

    async def _filled(self, command: Command, uid: int) -> str:
        """Return the directory with what was uploaded, empty where there is nothing to show."""
        if command.uploads is None:
            return ""
        folder = self._uploads(command.workspace)
        await asyncio.to_thread(self._make_readable, folder, uid)
        return str(folder) if await command.uploads(folder) else ""

    def _make_readable(self, folder: Path, uid: int) -> None:
        """Make a directory that a user reads, and nobody but the server changes."""
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if uid:
                os.chown(folder, 0, uid)
            folder.chmod(0o750 if uid else 0o700)
        except OSError as error:
            raise ToolError(f"the directory of commands cannot be used: {error.strerror}") from error

    @property
    def has_network(self) -> bool:
        """Whether a command can have a network: only where it has a namespace of its own for it."""
        return bool(self._layer.bubblewrap)

    def _over(self, workspace: Path, uid: int) -> None:
        self._used_at[workspace] = self._clock.now()
        self._running[workspace] -= 1
        if not self._running[workspace]:
            del self._running[workspace]
        if self._users and uid:
            self._users.give_back(workspace)

    def _make_places(self, workspace: Path) -> int:
        """Make the temporary directories of a workspace; return who owns the workspace."""
        try:
            places = self._places(workspace)
            places.mkdir(mode=0o711, exist_ok=True, parents=True)
            for name in ("tmp", "shm"):
                (places / name).mkdir(mode=0o700, exist_ok=True)
            return workspace.stat().st_uid
        except OSError as error:
            raise ToolError(f"the directory of commands cannot be used: {error.strerror}") from error

    def _order(self, command: Command, uid: int, what: dict[str, Any]) -> dict[str, Any]:
        places = self._places(command.workspace)
        return {
            "workspace": str(command.workspace),
            "tmp": str(places / "tmp"),
            "shm": str(places / "shm"),
            "uid": uid,
            "readable": list(command.readable),
            "skills": dict(command.skills),
            "limits": msgspec.structs.asdict(command.limits),
            **msgspec.structs.asdict(self._layer),
            **what,
        }


def _users(randomness: Randomness) -> Users | None:
    if os.getuid() != 0:
        return None
    numbers = free_numbers(Path("/proc/self/uid_map").read_text().splitlines())
    if numbers is None:
        raise SandboxOff(
            "this container has no user numbers for commands; run the server as a user, not as root"
        )
    return Users(numbers, randomness)


async def _launch(order: dict[str, Any], command: Command, uid: int) -> "LaunchedRunning":
    with contextlib.ExitStack() as stack:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        given = [stack.enter_context(theirs)]
        handed = None
        if command.network is not None:
            handed, theirs = socket.socketpair()
            handed.setblocking(False)
            given.append(stack.enter_context(theirs))
            order = {**order, "network": theirs.fileno()}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", str(_MACOS if order.get("sandbox_exec") else _LINUX), str(given[0].fileno())),
                pass_fds=[each.fileno() for each in given],
                stdin=asyncio.subprocess.PIPE if command.has_input else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A key at the terminal ends the server, which ends its commands.
                start_new_session=True,
                # No secret of the server's environment is near a command.
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            )
        except OSError as error:
            ours.close()
            if handed is not None:
                handed.close()
            raise ToolError(f"no process can be started: {error.strerror}") from error
    running = LaunchedRunning(process, ours, command, uid)
    if handed is not None and command.network is not None:
        running.serve(handed, command.network)
    await running.send(msgspec.json.encode(order) + b"\n")
    return running


class LaunchedRunning:
    """A command in its launcher. Nothing is left of it where this is awaited by `wait`, or forgotten."""

    def __init__(
        self, process: asyncio.subprocess.Process, control: socket.socket, command: Command, uid: int
    ) -> None:
        self._process = process
        self._control = control
        self._command = command
        self._uid = uid
        self._ending: asyncio.Task[Ending] | None = None
        self._network: asyncio.Task[None] | None = None

    async def send(self, order: bytes) -> None:
        """Give the launcher its order, once."""
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._control, order)
        self._ending = asyncio.create_task(self._follow())

    def serve(self, handed: socket.socket, network: Network) -> None:
        """Let `network` serve the socket that will come from `handed`, until the command has ended."""
        self._network = asyncio.create_task(_serve(handed, network))

    def when_over(self, call: Callable[[], None]) -> None:
        """Call `call` once it has ended."""
        assert self._ending is not None  # noqa: S101 - it has its order
        self._ending.add_done_callback(lambda _: call())

    async def read(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - it was started so
        return await self._process.stdout.read(_CHUNK)

    async def write(self, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing():
            raise ToolError("the command has no input that is open")
        try:
            stdin.write(data)
            await stdin.drain()
        except ConnectionError as error:
            raise ToolError("the command has closed its input") from error

    def close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def wait(self) -> Ending:
        assert self._ending is not None  # noqa: S101 - it has its order
        # Others may wait, too.
        return await asyncio.shield(self._ending)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    async def _follow(self) -> Ending:
        line = b""
        with self._control:
            loop = asyncio.get_running_loop()
            with contextlib.suppress(ConnectionError):
                while not line.endswith(b"\n") and (chunk := await loop.sock_recv(self._control, _CHUNK)):
                    line += chunk
        await self._process.wait()
        if self._network is not None:
            self._network.cancel()
            await asyncio.wait([self._network])
        if not line.endswith(b"\n"):
            await self._end_user()
            return Ending(None, "its launcher was ended")
        end = msgspec.json.decode(line, type=dict[str, Any])
        if "failed" in end:
            return Ending(None, f"it was not started: {end['failed']}")
        return Ending(end.get("exit"), end.get("ended", ""))

    async def _end_user(self) -> None:
        """End what is left where the launcher is gone, and was not able to do so itself."""
        if self._uid:
            nothing = Command((), self._command.workspace)
            await (await _launch({"end_user": self._uid}, nothing, 0)).wait()


async def _serve(handed: socket.socket, network: Network) -> None:
    with handed:
        listener = await _received(handed)
    if listener is None:
        return
    with listener:
        async with network(listener):
            await asyncio.Event().wait()


async def _received(handed: socket.socket) -> socket.socket | None:
    """Return the socket that is handed over, None where the other end is closed before."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(handed, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(handed)
    with contextlib.suppress(OSError):
        _, descriptors, _, _ = socket.recv_fds(handed, 1, 1)
        if descriptors:
            return socket.socket(fileno=descriptors[0])
    return None
