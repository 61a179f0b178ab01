"""The engine's process, from the server's side: started in the background, and again when it dies."""

import asyncio
import contextlib
import logging
import os
import platform
import secrets
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Protocol

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.distribution import install_hint
from nanobot.core.errors import ModelUnavailable
from nanobot.models.local import openmp
from nanobot.models.local.engine import EngineFailed, EngineReady, EngineSettings, Report
from nanobot.models.weights.machine import whole_cores

_log = logging.getLogger(__name__)
_START_S = 300.0
_MAX_CRASHES = 3
_CRASH_WINDOW_S = 600.0
_PAUSE_S = 1.0
_CACHE_MIB = 0
SLOTS = 4
"""How many requests the engine answers at once."""

AVX2 = "it needs a processor with AVX2 (Intel since 2013, AMD since 2015): name another model with --model"


class Endpoint(msgspec.Struct, frozen=True):
    """Where the engine listens, and its key. `socket_path` None: at the port in `base_url`."""

    base_url: str
    socket_path: str | None
    api_key: str


class Engine(Protocol):
    """What answers for a model on this machine: `EngineProcess`, or what stands in for it."""

    @property
    def pid(self) -> int | None: ...
    @property
    def is_up(self) -> bool: ...
    @property
    def has_failed(self) -> bool: ...
    def start(self) -> None: ...
    async def ready(self) -> Endpoint: ...
    async def close(self) -> None: ...


class EngineProcess:
    """The child process that runs the weights at `model_path`.

    `slots_dir`: where it keeps the state of slots, when it is asked to.
    `warm` is awaited after each start, while requests are served already. `sleep_idle_s`: the engine frees
    its memory after so long without a request, and loads the weights again for the next one.
    """

    def __init__(
        self,
        *,
        name: str,
        model_path: Path,
        models_dir: Path,
        slots_dir: Path,
        log_path: Path,
        context_tokens: int,
        clock: Clock,
        sleep_idle_s: int,
        warm: Callable[[Endpoint], Awaitable[None]],
    ) -> None:
        self._name = name
        self._model_path = model_path
        self._models_dir = models_dir
        self._slots_dir = slots_dir
        self._log_path = log_path
        self._context_tokens = context_tokens
        self._clock = clock
        self._sleep_idle_s = sleep_idle_s
        self._warm = warm
        self._folder: Path | None = None
        self._api_key = secrets.token_urlsafe(32)
        self._child: asyncio.subprocess.Process | None = None
        self._up: asyncio.Future[Endpoint] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._crashes: deque[float] = deque(maxlen=_MAX_CRASHES)

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    def start(self) -> None:
        """Begin to start the child; `ready` waits for it. No effect after the first call, or `close`."""
        if self._up is None:
            self._up = asyncio.get_running_loop().create_future()
            self._owner = asyncio.create_task(self._run(), name=f"{self._name} engine")

    async def ready(self) -> Endpoint:
        """Return where the engine listens, as soon as it has loaded the weights.

        Raises:
            ModelUnavailable: it cannot run here, or died too often; the message says why and what to do.
        """
        if self._up is None:
            raise ModelUnavailable(f"the model {self._name} was not started")
        # All requests wait for the same future: one that is cancelled must not cancel it for the others.
        return await asyncio.shield(self._up)

    @property
    def is_up(self) -> bool:
        return (
            self._up is not None
            and self._up.done()
            and not self._up.cancelled()
            and self._up.exception() is None
        )

    @property
    def has_failed(self) -> bool:
        """Whether the child was given up."""
        return (
            self._up is not None
            and self._up.done()
            and not self._up.cancelled()
            and self._up.exception() is not None
        )

    async def close(self) -> None:
        """Stop the child. Safe to call twice."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.cancel()
            await asyncio.gather(owner, return_exceptions=True)
        # The task may have been cancelled before it had killed the child.
        await self._kill()
        self._fail(ModelUnavailable(f"the model {self._name} is stopped: the server is stopping"))

    async def _run(self) -> None:
        """Keep the child alive until it dies too often."""
        try:
            while True:
                try:
                    endpoint = await self._spawn()
                except ModelUnavailable as error:
                    self._fail(error)
                    return
                self._come_up(endpoint)
                status = await self._attend(endpoint)
                self._go_down()
                self._crashes.append(self._clock.now())
                _log.warning("%s: %s; its last words are in %s", self._name, _death(status), self._log_path)
                if (
                    len(self._crashes) == _MAX_CRASHES
                    and self._crashes[-1] - self._crashes[0] < _CRASH_WINDOW_S
                ):
                    self._fail(
                        ModelUnavailable(
                            f"the model {self._name} crashed {_MAX_CRASHES} times: {_death(status)}; "
                            f"see {self._log_path}"
                        )
                    )
                    return
                await self._clock.sleep(_PAUSE_S)
        finally:
            await self._kill()

    async def _attend(self, endpoint: Endpoint) -> int:
        """Return the child's exit status once it has ended; meanwhile, warm it."""
        assert self._child is not None  # noqa: S101 - `_spawn` has set it
        warming = asyncio.ensure_future(self._warm(endpoint))
        try:
            return await self._child.wait()
        finally:
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)

    async def _spawn(self) -> Endpoint:
        await self._kill()
        settings = self._settings()
        # The key goes through standard input: other users can read command lines, and root environments.
        child = self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nanobot.models.local.engine",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=self._log_path.parent, env=_environment(self._models_dir),
        )  # fmt: skip
        # Pipes, as requested above.
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # noqa: S101
        try:
            async with asyncio.timeout(_START_S):
                child.stdin.write(msgspec.json.encode(settings) + b"\n")
                # If the child has died, its exit status says why.
                with contextlib.suppress(ConnectionError):
                    await child.stdin.drain()
                line = await child.stdout.readline()
        except TimeoutError:
            raise ModelUnavailable(
                f"the model {self._name} did not load within {_START_S:g} s; see {self._log_path}"
            ) from None
        if not line:
            errors = (await child.stderr.read()).decode("utf-8", "replace").strip()
            last_error = errors.rpartition("\n")[2]
            why = f"{_death(await child.wait())}{last_error and f' ({last_error})'}"
            raise ModelUnavailable(f"the model {self._name} cannot run here: {why}; see {self._log_path}")
        report = msgspec.json.decode(line, type=Report)
        if isinstance(report, EngineFailed):
            raise ModelUnavailable(
                f"the model {self._name} cannot run here: {_explained(report, self._model_path)}"
            )
        return self._endpoint(settings, report)

    def _settings(self) -> EngineSettings:
        cores = whole_cores()
        return EngineSettings(
            model_path=str(self._model_path),
            log_path=str(self._log_path),
            api_key=self._api_key,
            socket_path=self._socket_path(),
            context_tokens=self._context_tokens,
            slots=SLOTS,
            threads=max(1, cores - 1),
            batch_threads=cores,
            sleep_idle_s=self._sleep_idle_s,
            cache_mib=_CACHE_MIB,
            slots_dir=str(self._slots_dir.absolute()),
        )

    def _socket_path(self) -> str | None:
        if os.name == "nt":
            return None
        if self._folder is None or not self._folder.exists():
            # Not in the data directory, whose path may be too long: a socket's has 107 bytes at most. Only
            # this user can enter the folder.
            self._folder = Path(tempfile.mkdtemp(prefix="nanobot-"))
        return str(self._folder / "engine.sock")

    def _endpoint(self, settings: EngineSettings, ready: EngineReady) -> Endpoint:
        if settings.socket_path is not None:
            return Endpoint("http://localhost/v1", settings.socket_path, settings.api_key)
        return Endpoint(f"{ready.address}/v1", None, settings.api_key)

    def _come_up(self, endpoint: Endpoint) -> None:
        if self._up is not None and not self._up.done():
            self._up.set_result(endpoint)

    def _go_down(self) -> None:
        self._up = asyncio.get_running_loop().create_future()

    def _fail(self, error: ModelUnavailable) -> None:
        if self._up is None or self._up.done():
            self._go_down()
        assert self._up is not None  # noqa: S101 - `_go_down` has set it
        self._up.set_exception(error)
        # Marks the exception as retrieved: asyncio would otherwise complain where no request comes any more.
        self._up.exception()

    async def _kill(self) -> None:
        """End the child, if there is one, and release what belongs to it."""
        child = self._child
        if child is not None:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
            # Reads its pipes to the end, so that their transports are closed.
            await child.communicate()
            self._child = None
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def engine_version() -> str:
    """Return which engine is installed; empty where none is."""
    try:
        return metadata.version("xllamacpp")
    except metadata.PackageNotFoundError:
        return ""


def _environment(models_dir: Path) -> dict[str, str]:
    """Return what the child needs of the environment: the providers' keys are left out."""
    names = (
        "PATH",
        "HOME",
        "TMPDIR",
        "TEMP",
        "TMP",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "SYSTEMROOT",
        "VIRTUAL_ENV",
        "PYTHONHOME",
    )
    environment = {name: os.environ[name] for name in names if name in os.environ}
    if path := openmp.search_path(models_dir, environment.get("LD_LIBRARY_PATH")):
        environment["LD_LIBRARY_PATH"] = path
    return {
        **environment,
        # The child runs in another directory, where relative paths lead elsewhere.
        "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path),
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _death(status: int) -> str:
    """Return what the exit status of the engine means, in words."""
    # The numbers are Windows' STATUS_ILLEGAL_INSTRUCTION, without and with a sign.
    if status in (-getattr(signal, "SIGILL", 4), 0xC000001D, 0xC000001D - 2**32):
        return f"this processor ({platform.machine()}) lacks an instruction that the engine uses; {AVX2}"
    if status == -getattr(signal, "SIGKILL", 9):
        return (
            "the system killed the engine (signal 9), most likely for want of memory; local:small needs less"
        )
    return (
        f"the engine ended with signal {-status}" if status < 0 else f"the engine ended with status {status}"
    )


def _explained(report: EngineFailed, model_path: Path) -> str:
    if report.trouble == "libgomp_missing":
        return f"{report.message}; {openmp.REMEDY}"
    if report.trouble == "not_installed":
        return f"the engine is not installed ({report.message}): {install_hint('local')}"
    question = "is it a whole GGUF file, and is there enough memory?"
    return f"{model_path} could not be loaded ({report.message}); {question}"
