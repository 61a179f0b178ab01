"""The systems under test, started as a user starts them, each on its own port of 127.0.0.1 and in a directory
of its own.
"""

import contextlib
import http.client
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import msgspec

from bench.load import LoadFailed, Target
from bench.machine import ROOT, ProcessFailed, Server, free_port
from bench.upstream import CHUNKS, answer

System = Literal["floor", "floor-full", "nanobot"]
SYSTEMS: Final[tuple[System, ...]] = ("floor-full", "nanobot")
"""What is compared where both are to keep the same promise, or where it makes no difference."""
ALL_SYSTEMS: Final[tuple[System, ...]] = ("floor", "floor-full", "nanobot")
SMALL_WINDOW: Final = {"NANOBOT_AGENT_WINDOW_TOKENS": "2260"}
"""For conversations longer than what the floor shows of them (50 messages): nanobot shows as many."""


class WrongAnswer(Exception):
    """A system under test answered something else than the upstream said: its figures would mean nothing."""


class Lab:
    """An upstream that runs as long as the lab is open, and servers that are started against it.

    All of them end with it.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._directory = Path(tempfile.mkdtemp(prefix="nanobot-bench-"))
        self._stack.callback(shutil.rmtree, self._directory, ignore_errors=True)
        self._started = 0

    def __enter__(self) -> "Lab":
        try:
            port = free_port()
            self._upstream = self._start("upstream", ["-m", "bench.upstream", str(port)], port, {})
            self._stack.callback(self._upstream.stop)
            self._upstream.wait_ready("/v1/models")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def direct(self) -> Target:
        """The upstream itself: what a client without a server between would see."""
        return Target("direct", self._upstream.port, self._upstream.pid)

    @contextlib.contextmanager
    def answers(self, chunks: int, pace_us: int = 0) -> Iterator[None]:
        """Within, the upstream answers in `chunks` chunks, `pace_us` apart (0: all at once)."""
        self._set(chunks, pace_us)
        try:
            yield
        finally:
            self._set(CHUNKS, 0)

    def _set(self, chunks: int, pace_us: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream.port, timeout=5)
        connection.request("POST", f"/set/{chunks}/{pace_us}")
        connection.getresponse().read()
        connection.close()

    def launch(
        self, system: System, environment: Mapping[str, str] | None = None, root: Path = ROOT
    ) -> Server:
        """Start `system`, of the checkout `root`, without waiting for it; the caller stops it."""
        port = free_port()
        data = self._directory / str(self._started)
        data.mkdir()
        url = f"http://127.0.0.1:{self._upstream.port}/v1"
        if system != "nanobot":
            synchronous = "full" if system == "floor-full" else "normal"
            command = ["-m", "bench.floor", str(port), str(data), synchronous]
        else:
            command = [
                "-m",
                "nanobot",
                "serve",
                "--port",
                str(port),
                "--data",
                str(data),
                "--model",
                "openai:bench",
            ]
        settings = {
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": "bench",
            **(environment or {}),
        }
        return self._start(system, command, port, settings, root)

    def _start(
        self, name: str, command: list[str], port: int, environment: Mapping[str, str], root: Path = ROOT
    ) -> Server:
        self._started += 1
        log = self._directory / f"{self._started}-{name}.log"
        return Server(name, command, port, environment=environment, log=log, root=root)

    @contextlib.contextmanager
    def running(
        self, system: System, environment: Mapping[str, str] | None = None, root: Path = ROOT
    ) -> Iterator[Target]:
        """Start `system`, see that it answers rightly, and stop it at the end."""
        server = self.launch(system, environment, root)
        try:
            server.wait_ready("/health")
            target = Target(system, server.port, server.pid)
            first_answer(target)
            yield target
        except (
            ProcessFailed,
            LoadFailed,
            WrongAnswer,
            OSError,
            http.client.HTTPException,
            msgspec.MsgspecError,
        ) as error:
            raise ProcessFailed(f"{error}\n--- {system} said:\n{server.last_words()}") from error
        finally:
            server.stop()

    @contextlib.contextmanager
    def all_of(
        self, systems: tuple[System, ...] = SYSTEMS, environment: Mapping[str, str] | None = None
    ) -> Iterator[dict[System, Target]]:
        """Start the systems side by side."""
        with contextlib.ExitStack() as stack:
            yield {system: stack.enter_context(self.running(system, environment)) for system in systems}


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


def first_answer(target: Target) -> None:
    """Return once `target` has answered one turn with what the upstream says by default.

    Raises:
        WrongAnswer: it said something else.
    """
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)
    body = b'{"model": "nanobot", "messages": [{"role": "user", "content": "hello"}]}'
    connection.request(
        "POST",
        "/v1/chat/completions",
        body,
        {"content-type": "application/json", "x-session-key": "bench:first"},
    )
    response = connection.getresponse()
    raw = response.read()
    connection.close()
    if response.status != 200:
        raise WrongAnswer(f"{target.name} answered {response.status}: {raw[:400].decode(errors='replace')}")
    said = msgspec.json.decode(raw, type=_Completion).choices[0].message.content
    if said != answer(CHUNKS):
        raise WrongAnswer(f"{target.name} answered {said!r} where the upstream said {answer(CHUNKS)!r}")
