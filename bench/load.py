"""The clients: a load generator in a process of its own, one HTTP/1.1 connection a client, each waiting for
its answer before it asks again.

A run has two phases, warm-up and measured; between them every client is idle, so that the CPU read before and
after the measured one belongs to its turns alone. Each client asks its targets in turn, which lays the noise
of the machine on all alike.

Run: `python -m bench.load < plan.json`; writes an `Outcome` as JSON.
"""

import asyncio
import gc
import re
import subprocess
import sys
import time
from typing import cast

import msgspec
import uvloop

from bench.machine import ROOT, cpu_ns
from bench.upstream import CHUNKS, answer

_TEXT = re.compile(rb'"content": ?"[^"]')
_TIMEOUT_S = 120.0
_NUMBER = "#NUMBER#"
"""Stands for the number of a question, and is as long: eight bytes."""


class Target(msgspec.Struct, frozen=True):
    """A server to ask. `pid` is whose CPU is read."""

    name: str
    port: int
    pid: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. A client opens a new session after `session_turns` turns; `turns` (each client's) and
    `seconds` bound the measured phase.

    Each request carries `history` messages that went before, and offers so many `tools`. `session` names the
    conversations: two plans with the same name go on with the same ones. `spread_s`: the clients start evenly
    over it.
    """

    targets: tuple[Target, ...]
    session: str
    clients: int = 1
    stream: bool = False
    turns: int = 1_000_000
    seconds: float = 60.0
    warm_up_turns: int = 0
    session_turns: int = 20
    spread_s: float = 0.0
    history: int = 0
    tools: int = 0
    text: str = "The quick brown fox jumps over the lazy dog; what does it do next, and why?"


class Sample(msgspec.Struct, frozen=True):
    """What was measured at one target.

    Latencies and times to first token in milliseconds, one of each a turn.
    """

    turns: int
    seconds: float
    cpu_us_per_turn: float
    latency_ms: tuple[float, ...]
    first_token_ms: tuple[float, ...]


class Outcome(msgspec.Struct, frozen=True):
    """`load_cpu_s` is what the clients themselves used; `errors` are the first few answers that were none."""

    samples: dict[str, Sample]
    load_cpu_s: float
    errors: tuple[str, ...]


class LoadFailed(Exception):
    """Turns were answered with errors, or not at all: the figures would mean nothing."""


class Exchange(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._done: asyncio.Future[None] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(LoadFailed(f"connection closed within an answer ({error})"))

    def ask(self, request: bytes) -> "asyncio.Future[None]":
        """Send `request`; the future ends with the answer, after which `sent_at`, `first_at` and `ended_at`
        are set (`perf_counter`).
        """
        self._buffer, self._needed, self._streams = b"", -1, False
        self._done = asyncio.get_running_loop().create_future()
        self.first_at = 0.0
        self.sent_at = time.perf_counter()
        self._transport.write(request)
        return self._done

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._needed < 0 and not self._streams:
            self._buffer += data
            if not self._head():
                return
            data = self._buffer
        elif not self._streams:
            self._buffer += data
        else:
            self._buffer = self._buffer[-128:] + data
        if not self.first_at and _TEXT.search(self._buffer):
            self.first_at = now
        if self._buffer.endswith(b"0\r\n\r\n") if self._streams else len(self._buffer) >= self._needed:
            self._end(now)

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            self._needed = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])
        else:
            self._streams = True
        self._good = head.startswith((b"http/1.1 200", b"http/1.0 200"))
        return True

    def _end(self, now: float) -> None:
        self.ended_at = now
        if self._done is None or self._done.done():
            return
        if not self._good or not self.first_at or (self._streams and b"[DONE]" not in self._buffer[-128:]):
            self._done.set_exception(LoadFailed(self._buffer[-400:].decode(errors="replace")))
        else:
            self._done.set_result(None)


def _tool(number: int) -> dict[str, object]:
    """Return a tool of the size that agents bring along: some 600 bytes."""
    fields = {
        f"argument_{name}": {
            "type": "string",
            "description": f"What the tool number {number} is to know of {name}, in a few plain words.",
        }
        for name in ("place", "time", "person", "purpose")
    }
    parameters = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": "Do what its name says.",
            "parameters": parameters,
        },
    }


class Client:
    """One client: a connection to each target, and its conversations there."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan, self._number = plan, number
        self._asked = 0
        self._exchanges: list[Exchange] = []
        self.latency_ms: list[list[float]] = [[] for _ in plan.targets]
        self.first_token_ms: list[list[float]] = [[] for _ in plan.targets]
        # Each question is another one: the same again would be taken for a wish for another answer.
        asked = {"role": "user", "content": f"{plan.text} {_NUMBER}"}
        before = [
            {"role": "user", "content": plan.text},
            {"role": "assistant", "content": answer(CHUNKS)},
        ] * (plan.history // 2)
        tools = {"tools": [_tool(number) for number in range(plan.tools)]} if plan.tools else {}
        body = msgspec.json.encode(
            {"model": "nanobot", "messages": [*before, asked], "stream": plan.stream, **tools}
        )
        self._before = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            b"content-type: application/json\r\nx-session-key: "
        )
        whole = b"\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        self._between, self._after = whole.split(_NUMBER.encode())

    async def connect(self) -> None:
        for target in self._plan.targets:
            _, exchange = await asyncio.get_running_loop().create_connection(
                Exchange, "127.0.0.1", target.port
            )
            self._exchanges.append(exchange)

    async def run(self, turns: int, deadline: float, *, record: bool) -> None:
        """Ask every target `turns` times, or until `deadline` (`perf_counter`) has passed."""
        for _ in range(turns):
            key = b"%b:%d:%d" % (
                self._plan.session.encode(),
                self._number,
                self._asked // self._plan.session_turns,
            )
            self._asked += 1
            request = b"%b%b%b%08d%b" % (self._before, key, self._between, self._asked, self._after)
            for index, exchange in enumerate(self._exchanges):
                await exchange.ask(request)
                if record:
                    self.latency_ms[index].append((exchange.ended_at - exchange.sent_at) * 1e3)
                    self.first_token_ms[index].append((exchange.first_at - exchange.sent_at) * 1e3)
            if time.perf_counter() > deadline:
                return


async def _phase(clients: list[Client], plan: Plan, turns: int, *, record: bool) -> None:
    deadline = time.perf_counter() + plan.seconds

    async def start(client: Client, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await client.run(turns, deadline, record=record)

    async with asyncio.timeout(_TIMEOUT_S), asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(start(client, plan.spread_s * number / len(clients)))


async def run(plan: Plan) -> Outcome:
    """Run `plan` in this process; what went wrong is told in the outcome."""
    try:
        return await _run(plan)
    except ExceptionGroup as group:
        return Outcome({}, 0.0, tuple(f"{type(error).__name__}: {error}" for error in group.exceptions[:3]))
    except (OSError, TimeoutError) as error:
        return Outcome({}, 0.0, (f"{type(error).__name__}: {error}",))


async def _run(plan: Plan) -> Outcome:
    clients = [Client(plan, number) for number in range(plan.clients)]
    for client in clients:
        await client.connect()
    await _phase(clients, plan, plan.warm_up_turns, record=False)
    gc.collect()
    gc.disable()
    own, cpu, since = (
        time.process_time(),
        [cpu_ns(target.pid) for target in plan.targets],
        time.perf_counter(),
    )
    await _phase(clients, plan, plan.turns, record=True)
    seconds = time.perf_counter() - since
    cpu = [cpu_ns(target.pid) - before for target, before in zip(plan.targets, cpu, strict=True)]
    samples = {}
    for index, target in enumerate(plan.targets):
        latency_ms = tuple(value for client in clients for value in client.latency_ms[index])
        first_token_ms = tuple(value for client in clients for value in client.first_token_ms[index])
        samples[target.name] = Sample(
            len(latency_ms), seconds, cpu[index] / 1e3 / len(latency_ms), latency_ms, first_token_ms
        )
    return Outcome(samples, time.process_time() - own, ())


def send(plan: Plan) -> dict[str, Sample]:
    """Run `plan` in a process of its own and return what was measured, by target.

    Raises:
        LoadFailed: some turn was not answered.
    """
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        input=msgspec.json.encode(plan),
        capture_output=True,
        timeout=2 * _TIMEOUT_S + 30,
        check=False,
    )
    if done.returncode:
        raise LoadFailed(done.stderr.decode(errors="replace")[-2000:])
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    if outcome.errors:
        names = ", ".join(target.name for target in plan.targets)
        raise LoadFailed(f"{plan.clients} clients of {names}: " + "; ".join(outcome.errors))
    return outcome.samples


if __name__ == "__main__":
    sys.stdout.buffer.write(
        msgspec.json.encode(uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan))))
    )
