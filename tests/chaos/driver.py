"""Lives of a small server without a door, each of which ends in order or dies at a named point of its
writing.

`Lives` is the way in: it forks a process for each life from one that has loaded everything. A life dies by
SIGKILL from within the connection that writes, right before or right after a commit, so that each write
boundary is met exactly.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import msgspec

from nanobot.core.errors import ModelOverloaded
from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.core.tool_question import QuestionField, ToolQuestion
from nanobot.core.turn import Answer, WhenBusy
from nanobot.stores.sqlite.connection import Connection
from tests.chaos.harness import Harness, open_harness
from tests.chaos.launch import NOTED, NoteArguments, record

KEY, FIRST, SECOND, AFTER = "chaos:dm:1", "please do it", "and this too", "are you well?"
RUNS, REPORT = "runs", "report.json"

YES = "yes, do it"
CITY = "Ulm"
"""What is answered to the question that a tool asks."""
Commit = Literal["recovery", "start", "admission", "steer", "join", "step", "decision", "result", "end"]
_MARKS: tuple[tuple[str, Commit], ...] = (
    ("UPDATE dispatch SET owner = NULL, lease_until = NULL WHERE owner", "recovery"),
    ("UPDATE dispatch SET owner = ?", "start"),
    ("INSERT INTO turn ", "admission"),
    ("INSERT INTO steer ", "steer"),
    ("DELETE FROM steer WHERE target", "join"),
    ("INSERT INTO started_call", "step"),
    ("UPDATE approval SET state", "decision"),
    ("UPDATE turn SET status = ?, outcome", "end"),
    ("INSERT INTO message", "result"),
)


class Death(msgspec.Struct, frozen=True):
    """When a life ends:

    `before` or `after` its `number`-th commit of that kind, or before the `number`-th statement of a
    migration.
    """

    when: Literal["before", "after"]
    commit: Commit | Literal["migration"]
    number: int = 1

    def __str__(self) -> str:
        return f"{self.when}-{self.commit}-{self.number}"


class Life(msgspec.Struct, frozen=True):
    directory: str
    scenario: Literal["tools", "steer", "queue", "again", "approval", "question"] = "tools"
    death: Death | None = None


class LifeReport(msgspec.Struct):
    """What a life that ended in order saw: the answers to its turns, and the transcript it left."""

    first: Answer
    second: Answer | None
    after: Answer
    transcript: list[str]
    commits: dict[str, int]


# Dying --------------------------------------------------------------------------------------------


class MortalConnection(Connection):
    """The connection that writes, with an eye on what it commits."""

    death: ClassVar[Death | None] = None
    commits: ClassVar[Counter[str]] = Counter()
    _marks: set[str]
    _statements = 0

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            self._marks = set()
        if sql != "COMMIT":
            mark = next((name for start, name in _MARKS if sql.startswith(start)), None)
            if mark is not None:
                self._marks.add(mark)
            return super().execute(sql, *given)
        kinds = self._kinds()
        self.commits.update(kinds)
        self._maybe_die("before", kinds)
        done = super().execute(sql, *given)
        self._maybe_die("after", kinds)
        return done

    def _kinds(self) -> set[str]:
        """A message alone is a result; the joined go with whatever carries them, and nothing is joined where
        only the end cleans up.
        """
        kinds = set(self._marks)
        if kinds & {"admission", "step", "end", "recovery", "start"}:
            kinds.discard("result")
        if "end" in kinds:
            kinds.discard("join")
        if "join" in kinds:
            kinds.discard("result")
        return kinds

    def _maybe_die(self, when: str, kinds: set[str]) -> None:
        death = self.death
        if (
            death is not None
            and death.when == when
            and death.commit in kinds
            and self.commits[death.commit] == death.number
        ):
            die()

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        self.set_trace_callback(self._traced)
        done = super().executescript(sql)
        self.set_trace_callback(None)
        self._traced("the end")
        return done

    def _traced(self, statement: str) -> None:
        self._statements += 1
        self.commits["migration"] = self._statements
        if (
            self.death is not None
            and self.death.commit == "migration"
            and self.death.number == self._statements
        ):
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# Living -------------------------------------------------------------------------------------------


class Diligent:
    """A model that works through two steps of tools on FIRST and answers all else with what it was told; same
    request, same answer.

    While `gate` is closed it thinks.
    """

    name = "diligent"
    context_tokens = 32_000
    abilities: frozenset[Ability] = frozenset()

    def __init__(self, *, uses_tools: bool, gate: asyncio.Event, one_call: str = "") -> None:
        self.asked = asyncio.Event()
        self._one_call = one_call
        self.fails = False
        self._uses_tools = uses_tools
        self._gate = gate

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        self.asked.set()
        if self.fails:
            raise ModelOverloaded("busy")
        await self._gate.wait()
        said = [message.text for message in request.messages if message.role == "user"]
        results = sum(message.role == "tool" for message in request.messages)
        calls: tuple[ToolCall, ...] = ()
        if self._uses_tools and said[-1] == FIRST and results < 3:
            calls = (_call("again"), _call("once")) if results < 2 else (_call("last"),)
        if self._one_call and said[-1] == FIRST and not results:
            calls = (ToolCall(f"call_{self._one_call}", self._one_call, f'{{"id": "{self._one_call}"}}'),)
        text = "" if calls else f"done: {said[-1]}"
        if text:
            yield TextDelta(text)
        parts = (Text(text),) if text else calls
        yield Message("assistant", parts, "tool_calls" if calls else "stop", Usage(10, 5))

    async def warm(self) -> None:
        """Nothing to load."""

    async def check(self) -> None:
        """Always ready."""

    async def close(self) -> None:
        """Nothing to release."""


def _call(name: str) -> ToolCall:
    return ToolCall(f"call_{name}", "again" if name == "again" else "once", f'{{"id": "{name}"}}')


def _tools(directory: Path) -> list[Tool]:
    async def run(arguments: NoteArguments, context: ToolContext) -> str:
        await asyncio.to_thread(record, directory / RUNS, f"{context.call_id}\n")
        return f"{NOTED} {arguments.id}"

    async def ask_back(arguments: NoteArguments, context: ToolContext) -> str | ToolOutput:
        if context.answered is None:
            await asyncio.to_thread(record, directory / RUNS, "begun\n")
            question = ToolQuestion("it", "Which city?", (QuestionField("city", "text", is_required=True),))
            return ToolOutput("It asks.", question=question)
        await asyncio.to_thread(record, directory / RUNS, f"{context.call_id}\n")
        return f"{NOTED} {arguments.id} {context.answered.content}"

    return [
        Tool("asking", "Asks something first.", NoteArguments, ask_back, repeatable=False),
        Tool("again", "May be repeated.", NoteArguments, run, repeatable=True, concurrent=False),
        Tool("once", "May not be repeated.", NoteArguments, run, repeatable=False, concurrent=False),
        Tool("asked", "Needs somebody's consent.", NoteArguments, run, by_default="ask"),
    ]


async def live(life: Life) -> LifeReport:
    """Send what a client would send, again where it was sent in a life before, and return what came of it."""
    directory = Path(life.directory)
    gate = asyncio.Event()
    one_call = {"approval": "asked", "question": "asking"}.get(life.scenario, "")
    model = Diligent(uses_tools=life.scenario == "tools", gate=gate, one_call=one_call)
    async with open_harness(directory, model, _tools(directory)) as harness:
        second = None
        if life.scenario == "tools":
            gate.set()
            first = await harness.ask(KEY, FIRST, dedupe_key="first")
        elif one_call:
            gate.set()
            first = await harness.ask(KEY, FIRST, dedupe_key="first")
            words = YES if life.scenario == "approval" else CITY
            second = await harness.ask(KEY, words, dedupe_key="second")
        elif life.scenario == "again":
            first, second = await _fail_and_again(harness, model, gate)
        else:
            first, second = await _two_at_once(harness, model, gate, life.scenario)
        after = await harness.ask(KEY, AFTER)
        return LifeReport(first, second, after, await harness.transcript(KEY), dict(MortalConnection.commits))


async def _two_at_once(
    harness: Harness, model: Diligent, gate: asyncio.Event, when_busy: WhenBusy
) -> tuple[Answer, Answer]:
    """Send the second input while the model thinks about the first."""
    first = await harness.submit(KEY, FIRST, dedupe_key="first")
    if (await harness.store.turn(first.turn_id)).end is None:
        await model.asked.wait()
    second = await harness.submit(KEY, SECOND, when_busy=when_busy, dedupe_key="second")
    gate.set()
    return await harness.store.ended(first.turn_id), await harness.store.ended(second.turn_id)


async def _fail_and_again(harness: Harness, model: Diligent, gate: asyncio.Event) -> tuple[Answer, Answer]:
    """Fail the first turn in its first life, and send it again while the model thinks about the second."""
    if not await harness.store.sessions(limit=1):
        model.fails = True
        await harness.ask(KEY, FIRST, dedupe_key="first")
        model.fails = False
        model.asked.clear()
    second = await harness.submit(KEY, SECOND, dedupe_key="second")
    if (await harness.store.turn(second.turn_id)).end is None:
        await model.asked.wait()
    first = await harness.submit(KEY, FIRST, dedupe_key="first")
    gate.set()
    return await harness.store.ended(first.turn_id), await harness.store.ended(second.turn_id)


# Processes ----------------------------------------------------------------------------------------


class Lives:
    """Where lives come from: `with Lives() as lives: lives.end_of(Life(...))`."""

    def __init__(self) -> None:
        self._mother: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        root = Path(__file__).parents[2]
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._mother is not None and self._mother.stdin is not None and self._mother.stdout is not None
        self._mother.stdin.close()
        self._mother.wait()
        self._mother.stdout.close()

    def dies(self, life: Life) -> None:
        """Let a life run to its death.

        Raises:
            AssertionError: it did not die where it should.
        """
        status = self._run(life)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (
            f"not dead at {life.death}: wait status {status}"
        )

    def ends(self, life: Life) -> LifeReport:
        """Return what a life saw that ended in order.

        Raises:
            AssertionError: it did not.
        """
        status = self._run(life)
        assert status == 0, f"the life ended with wait status {status}"
        return msgspec.json.decode((Path(life.directory) / REPORT).read_bytes(), type=LifeReport)

    def _run(self, life: Life) -> int:
        assert self._mother is not None and self._mother.stdin is not None and self._mother.stdout is not None
        self._mother.stdin.write(msgspec.json.encode(life) + b"\n")
        self._mother.stdin.flush()
        return int(self._mother.stdout.readline())


_LONGEST_LIFE_S = 30


def main() -> None:
    """Fork a life for each line that comes, and tell how it ended."""
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            signal.alarm(_LONGEST_LIFE_S)
            _be(msgspec.json.decode(line, type=Life))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _be(life: Life) -> None:
    MortalConnection.death = life.death
    connect = sqlite3.connect
    vars(sqlite3)["connect"] = lambda path, **named: (
        connect(path, **named)
        if named.get("uri")
        else connect(path, **{**named, "factory": MortalConnection})
    )
    report = asyncio.run(live(life))
    (Path(life.directory) / REPORT).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
