"""Interpreters of Python that sessions keep: variables stay from one call to the next."""

import asyncio
import contextlib
import importlib.resources
import re
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness
from nanobot.core.tool import Tell, tell_nobody
from nanobot.tools.sandbox.command import Ending, Running
from nanobot.tools.shell.commands import ShellCommands
from nanobot.tools.shell.output import HeadAndTail, LiveLines, Unread
from nanobot.tools.shell.uploads import UploadCopies

PROGRAM = (importlib.resources.files("nanobot.tools.shell") / "interpreter_program.py").read_text()
_GRACE_S = 5.0
_INTERRUPTS = 4
"""How long a piece of code has to end once it is interrupted, and how often it is; then all is ended."""
_LATE_BYTES = 8_000
_START_S, _ROOM_S = 30.0, 20.0
_MOST_REASONS = 1_000
_START = ("-c", 'exec python3 -u -c "$1"', "python", PROGRAM)


class InterpreterSettings(msgspec.Struct, frozen=True):
    """`idle_s`: how long one is kept that is not used; `most`: of all sessions; `longest_s`: how long it
    lives at all.
    """

    idle_s: float = 900.0
    most: int = 8
    longest_s: float = 86_400.0


class CodeOutcome(NamedTuple):
    """What came of a piece of code: `ending` of it, or of the whole interpreter where `is_lost`: then its
    variables are gone. `note`: what the model is to know of the interpreter. `files`: those that the code
    has made or changed.
    """

    ending: Ending
    output: str
    is_lost: bool
    note: str
    files: tuple[str, ...] = ()


class CodeCall:
    """A piece of code at work: its output, up to the mark that it ends with."""

    def __init__(self, mark: str, most_bytes: int, live: LiveLines) -> None:
        self.output = HeadAndTail(most_bytes)
        self.live = live
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._end = re.compile(re.escape(mark.encode()) + rb"([01])\n")
        self._held = b""
        self._ends = tuple(mark.encode() + state for state in (b"0\n", b"1\n"))

    def add(self, data: bytes) -> bytes:
        """Take in what was written next; return what came after the mark."""
        self._held += data
        if (found := self._end.search(self._held)) is not None:
            self._write(self._held[: found.start()])
            if not self.status.done():
                self.status.set_result(int(found[1]))
            return self._held[found.end() :]
        sure = len(self._held) - self._undecided()
        self._write(self._held[:sure])
        self._held = self._held[sure:]
        return b""

    def _undecided(self) -> int:
        """Return how many bytes at the end may be the beginning of the mark."""
        most = min(len(self._ends[0]), len(self._held))
        return next(
            (
                count
                for count in range(most, 0, -1)
                if any(end.startswith(self._held[-count:]) for end in self._ends)
            ),
            0,
        )

    def _write(self, data: bytes) -> None:
        self.output.add(data)
        self.live.add(data)

    def broken_off(self) -> None:
        """There is nothing more to come."""
        self.output.add(self._held)
        self._held = b""


class _Interpreter:
    """One that runs, in the workspace `directory`. `uploads`: those that it reads."""

    def __init__(
        self,
        running: Running,
        directory: Path,
        places: contextlib.AsyncExitStack,
        uploads: UploadCopies | None,
    ) -> None:
        self.directory = directory
        self.uploads = uploads
        self.used_at = 0.0
        # From its start on: none that waits to be used is ended to make room.
        self.is_busy = True
        self.note = ""
        self._running = running
        self._late = Unread(_LATE_BYTES)
        self._call: CodeCall | None = None
        self.ending = asyncio.create_task(self._follow(places))

    async def _follow(self, places: contextlib.AsyncExitStack) -> Ending:
        async with places:
            while data := await self._running.read():
                if self._call is not None:
                    data = self._call.add(data)
                    if self._call.status.done():
                        self._call = None
                if data and self._call is None:
                    self._late.add(data)
            return await self._running.wait()

    async def run(
        self, code: str, mark: str, timeout_s: float, most_bytes: int, live: LiveLines
    ) -> tuple[Ending, str, bool]:
        """Run a piece of code; return how it ended, what it wrote, and whether all has ended. `live` tells
        what it writes meanwhile.
        """
        call = CodeCall(mark, most_bytes, live)
        if self._late:
            call.output.add(f"[written since the last call]\n{self._late.take()}\n[now]\n".encode())
        self._call = call
        try:
            await self._send({"code": code, "mark": mark})
            if await self._done(call, timeout_s):
                return self._ended(call)
            if await self._interrupted(call) and call.status.done():
                why = f"interrupted after {timeout_s:g} s"
                return Ending(None, why), call.output.text(), False
        except asyncio.CancelledError:
            # What it has is kept where it ends soon.
            await _whole(asyncio.create_task(self._settle(call)))
            raise
        await self.stop()
        call.broken_off()
        return (
            Ending(None, f"it took longer than {timeout_s:g} s and could not be interrupted"),
            call.output.text(),
            True,
        )

    def _ended(self, call: CodeCall) -> tuple[Ending, str, bool]:
        if call.status.done():
            return Ending(call.status.result()), call.output.text(), False
        call.broken_off()
        return self.ending.result(), call.output.text(), True

    async def _done(self, call: CodeCall, timeout_s: float) -> bool:
        """Return whether the code, or all of it, has ended in time."""
        either: list[asyncio.Future[Any]] = [call.status, self.ending]
        return bool((await asyncio.wait(either, timeout=timeout_s, return_when="FIRST_COMPLETED"))[0])

    async def _settle(self, call: CodeCall) -> None:
        if not await self._interrupted(call):
            await self.stop()

    async def _interrupted(self, call: CodeCall) -> bool:
        """Interrupt the code, more than once: it may catch one. Return whether it has ended."""
        for _ in range(_INTERRUPTS):
            await self._send({"interrupt": True})
            if await self._done(call, _GRACE_S / _INTERRUPTS):
                return True
        return False

    async def _send(self, request: dict[str, object]) -> None:
        try:
            async with asyncio.timeout(_GRACE_S):
                await self._running.write(msgspec.json.encode(request) + b"\n")
        except (ToolError, TimeoutError):
            # It has ended meanwhile, or does not read what it is told.
            self._running.stop()

    async def stop(self) -> None:
        """End it; return when nothing of it is left."""
        self._running.stop()
        await _whole(self.ending)


class Interpreters:
    """The interpreters of all sessions: of each one at most, and nobody else's code runs in it."""

    def __init__(
        self,
        commands: ShellCommands,
        clock: Clock,
        randomness: Randomness,
        settings: InterpreterSettings,
    ) -> None:
        self._commands = commands
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        # The one that was used longest ago first.
        self._open: OrderedDict[str, _Interpreter] = OrderedDict()
        self._starting = 0
        self._freed = asyncio.Event()
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._reasons: OrderedDict[str, str] = OrderedDict()

    async def run(
        self, session_key: str, code: str, timeout_s: float, most_bytes: int, tell: Tell = tell_nobody
    ) -> CodeOutcome:
        """Run a piece of code in the session's interpreter, which is started where there is none; `tell` its
        last lines meanwhile.

        Raises:
            ToolError: it cannot be run.
        """
        lock = self._locks.setdefault(session_key, asyncio.Lock())
        async with lock, self._commands.slot(session_key):
            try:
                interpreter = await self._interpreter(session_key)
            except BaseException:
                if (known := self._open.get(session_key)) is not None:
                    self._rest(session_key, known)
                raise
            live = self._commands.live_lines(tell)
            try:
                since = await self._commands.files_since(interpreter.directory)
                ending, output, is_lost = await interpreter.run(
                    # What is no text is replaced: it could not be passed on.
                    code.encode("utf-8", "replace").decode(),
                    self._mark(),
                    min(timeout_s, self._commands.longest_s),
                    most_bytes,
                    live,
                )
                files = await since.written()
            finally:
                live.close()
                self._rest(session_key, interpreter)
            # It is told once somebody hears it, not to a call that was broken off.
            note, interpreter.note = interpreter.note, ""
            return CodeOutcome(ending, output, is_lost, note, files)

    def _rest(self, session_key: str, interpreter: _Interpreter) -> None:
        """The session uses it no more for now."""
        interpreter.is_busy = False
        interpreter.used_at = self._clock.now()
        self._freed.set()
        if interpreter.ending.done():
            self._forget(session_key, interpreter, "it was ended")

    async def _interpreter(self, session_key: str) -> _Interpreter:
        async with contextlib.AsyncExitStack() as stack:
            directory = await stack.enter_async_context(self._commands.directory(session_key))
            known = self._open.get(session_key)
            if known is not None:
                # A session that begins anew under the key of a deleted one has another workspace.
                if known.directory == directory and not known.ending.done():
                    self._open.move_to_end(session_key)
                    # Before the directory is left, which takes a moment: none that is used makes room.
                    known.is_busy = True
                    if known.uploads is not None:
                        await known.uploads.renew()
                    return known
                await known.stop()
                self._forget(session_key, known, "it had ended")
            return await self._start(session_key, directory, stack)

    async def _start(
        self, session_key: str, directory: Path, places: contextlib.AsyncExitStack
    ) -> _Interpreter:
        self._starting += 1
        try:
            await self._make_room()
            uploads = self._commands.uploads(session_key, is_kept=True)
            running = await self._commands.start(
                session_key, directory, _START, self._settings.longest_s, has_input=True, uploads=uploads
            )
            made = _Interpreter(running, directory, places.pop_all(), uploads)
            self._open[session_key] = made
        finally:
            self._starting -= 1
        why = self._reasons.pop(session_key, "")
        because = f": the last one is gone, {why}" if why else ""
        made.note = f"a new interpreter{because}; variables of earlier calls are not there"
        # Its start is no part of the time that the code has.
        await made.run("", self._mark(), _START_S, _LATE_BYTES, self._commands.live_lines(tell_nobody))
        return made

    async def _make_room(self) -> None:
        """Let there be room for all that are being started."""
        while len(self._open) + self._starting > self._settings.most:
            idle = next(((key, each) for key, each in self._open.items() if not each.is_busy), None)
            if idle is not None:
                await self._end(*idle, "others needed the room")
                continue
            self._freed.clear()
            try:
                async with asyncio.timeout(_ROOM_S):
                    await self._freed.wait()
            except TimeoutError:
                raise ToolError(
                    f"{self._settings.most} interpreters are at work, which is the most"
                    " (shell.max_interpreters): try again later"
                ) from None

    def _mark(self) -> str:
        return f"\0{self._randomness.getrandbits(128):032x}\0"

    async def sweep(self) -> None:
        """End those that were not used for long."""
        now = self._clock.now()
        for key, each in list(self._open.items()):
            if each.ending.done():
                self._forget(key, each, "it had ended")
            elif not each.is_busy and now - each.used_at >= self._settings.idle_s:
                await self._end(key, each, f"it was not used for {self._settings.idle_s:g} s")

    async def _end(self, session_key: str, interpreter: _Interpreter, why: str) -> None:
        # From now on a call of the session starts another one.
        self._forget(session_key, interpreter, why)
        await interpreter.stop()

    def _forget(self, session_key: str, interpreter: _Interpreter, why: str) -> None:
        if self._open.get(session_key) is interpreter:
            del self._open[session_key]
            self._freed.set()
            self._reasons[session_key] = why
            while len(self._reasons) > _MOST_REASONS:
                self._reasons.popitem(last=False)

    async def close(self) -> None:
        """End all; return when nothing of them is left."""
        await asyncio.gather(*(each.stop() for each in list(self._open.values())))
        self._open.clear()


async def _whole(task: "asyncio.Task[Ending] | asyncio.Task[None]") -> None:
    """Return when the task has ended, even if this is cancelled meanwhile."""
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
