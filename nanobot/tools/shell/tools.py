"""The tools with which the agent runs commands."""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.tools.sandbox.command import Ending
from nanobot.tools.shell.access import ShellAccess
from nanobot.tools.shell.background import BackgroundCommands
from nanobot.tools.shell.commands import ShellCommands
from nanobot.tools.shell.interpreters import CodeOutcome, Interpreters
from nanobot.tools.workspace.files import link_note

RUN, READ, WRITE, STOP = "run_command", "read_output", "write_input", "stop_command"
PYTHON = "python"
_BYTES_PER_TOKEN = 3
_MOST_BYTES = 60_000
_FOREGROUND_S, _LONGEST_WAIT_S = 120.0, 30.0
_MOST_HOSTS = _MOST_FILES = 8
_PYTHON_OF_SESSION = (
    "Run Python in the workspace; variables and imports stay for later calls. The value of an expression at"
    " the end is shown."
)
_PYTHON_SCRIPT = "Run a Python script in the workspace, as run_command does; print what you want to see."
_SPARE_S = 30.0
"""For the wait for a slot, the start and the end; commands have a time limit of their own."""

Name = Annotated[str, msgspec.Meta(description="as run_command has called it")]


class RunArguments(msgspec.Struct, frozen=True):
    command: Annotated[str, msgspec.Meta(description="a line or script for bash")]
    timeout_s: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None, msgspec.Meta(description="default 120")
    ] = None
    background: Annotated[bool, msgspec.Meta(description="go on while it runs")] = False


class PythonArguments(msgspec.Struct, frozen=True):
    code: str
    timeout_s: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None, msgspec.Meta(description="default 120")
    ] = None


class ReadArguments(msgspec.Struct, frozen=True):
    command: Name
    wait_s: Annotated[float, msgspec.Meta(description="for new output, at most 30", ge=0)] = 5.0


class WriteArguments(msgspec.Struct, frozen=True):
    command: Name
    text: str = ""
    close: Annotated[bool, msgspec.Meta(description="whether its input ends here")] = False


class StopArguments(msgspec.Struct, frozen=True):
    command: Name


def shell_tools(
    commands: ShellCommands,
    background: BackgroundCommands,
    access: ShellAccess,
    *,
    has_python: bool = False,
    interpreters: Interpreters | None = None,
    hosts: Sequence[str] = (),
) -> tuple[Tool, ...]:
    """Return the tools that run commands, waiting for them or in the background, in those sessions that
    `access` lets. `has_python`: also the one that runs Python, in `interpreters` where sessions keep theirs.
    `hosts`: what commands reach of the network; none: nothing.
    """
    calls = _Calls(commands, background, access, interpreters)
    tool = partial(Tool, concurrent=False, demanding=True, group="shell", of_session=True)
    runs = partial(tool, timeout_s=commands.longest_s + _SPARE_S, lasting=True, by_default="ask")
    run = runs(
        RUN,
        f"Run a shell command in the workspace, {_network(hosts)}. Each starts there anew; files stay,"
        " also those in /tmp. uploads/ can only be read; shared/ is not there.",
        RunArguments,
        calls.run,
    )
    read = tool(
        READ,
        "Show what a background command has written since the last call.",
        ReadArguments,
        calls.read,
        timeout_s=_LONGEST_WAIT_S + _SPARE_S,
    )
    write = tool(
        WRITE,
        "Write to the input of a background command; end lines with \\n.",
        WriteArguments,
        calls.write,
        by_default="ask",
    )
    stop = tool(STOP, "End a background command.", StopArguments, calls.stop)
    if not has_python:
        return run, read, write, stop
    told = _PYTHON_OF_SESSION if interpreters is not None else _PYTHON_SCRIPT
    return run, read, write, stop, runs(PYTHON, told, PythonArguments, calls.python)


class _Calls:
    """What the tools do when they are called."""

    def __init__(
        self,
        commands: ShellCommands,
        background: BackgroundCommands,
        access: ShellAccess,
        interpreters: Interpreters | None,
    ) -> None:
        self._commands = commands
        self._background = background
        self._access = access
        self._interpreters = interpreters

    async def run(self, arguments: RunArguments, context: ToolContext) -> str | ToolOutput:
        self._check(arguments.command, context)
        if not arguments.background:
            return await self._to_the_end(arguments.command, arguments.timeout_s, context)
        timeout_s = arguments.timeout_s or self._commands.longest_s
        name = await self._background.begin(
            context.session_key, context.turn_id, arguments.command, timeout_s
        )
        return f"{name} runs in the background until this turn ends: call {READ} to see what it writes."

    async def python(self, arguments: PythonArguments, context: ToolContext) -> ToolOutput:
        self._check(arguments.code, context)
        if self._interpreters is None:
            return await self._to_the_end(_script(arguments.code), arguments.timeout_s, context)
        done = await self._interpreters.run(
            context.session_key,
            arguments.code,
            arguments.timeout_s or _FOREGROUND_S,
            _most_bytes(context),
            context.tell,
        )
        return _with_files(_shown_of_session(done), done.files)

    async def read(self, arguments: ReadArguments, context: ToolContext) -> ToolOutput:
        wait_s = min(arguments.wait_s, _LONGEST_WAIT_S)
        output, ending, files = await self._background.read(context.session_key, arguments.command, wait_s)
        return _with_files(_shown(_bounded(output, context), ending), files)

    async def write(self, arguments: WriteArguments, context: ToolContext) -> str:
        name = arguments.command
        await self._background.write(context.session_key, name, arguments.text, closes=arguments.close)
        return f"written: call {READ} to see what it answers"

    async def stop(self, arguments: StopArguments, context: ToolContext) -> ToolOutput:
        output, files = await self._background.stop(context.session_key, arguments.command)
        return _with_files(f"{_bounded(output, context)}\n[stopped]".lstrip(), files)

    def _check(self, text: str, context: ToolContext) -> None:
        """Check that the session may run this.

        Raises:
            ToolError: it may not, or there is nothing to run.
        """
        self._access.check(context.session_key)
        if not context.leaves_trace:
            raise ToolError("this request leaves no trace (store: false), so no command can be run")
        if "\0" in text or not text.strip():
            raise ToolError("what is to be run is empty, or has a null character in it")

    async def _to_the_end(self, line: str, timeout_s: float | None, context: ToolContext) -> ToolOutput:
        """Run a line of shell while the turn waits."""
        outcome = await self._commands.run(
            context.session_key, line, timeout_s or _FOREGROUND_S, _most_bytes(context), context.tell
        )
        return _with_files(_shown(outcome.output, outcome.ending), outcome.files)


def _network(hosts: Sequence[str]) -> str:
    """Return what a model is told of the network."""
    if not hosts:
        return "without network"
    further = len(hosts) - _MOST_HOSTS
    names = ", ".join(hosts[:_MOST_HOSTS]) + (f" and {further} more" if further > 0 else "")
    return f"with http(s) to {names} only, by the proxy that its environment names"


def _script(code: str) -> str:
    """Return lines of shell that run a script of Python. It is a file, so that errors show its lines; modules
    are looked for in the workspace first.
    """
    mark = f"END-{hashlib.sha256(code.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return (
        f"cat > \"$TMPDIR/script.py\" <<'{mark}'\n{code}\n{mark}\n"
        'PYTHONPATH="$PWD" PYTHONDONTWRITEBYTECODE=1 exec python3 "$TMPDIR/script.py"'
    )


def _most_bytes(context: ToolContext) -> int:
    return min(_MOST_BYTES, context.result_tokens * _BYTES_PER_TOKEN)


def _bounded(output: str, context: ToolContext) -> str:
    most = _most_bytes(context)
    return output if len(output) <= most else f"[{len(output) - most} characters left out]\n{output[-most:]}"


def _with_files(shown: str, files: Sequence[str]) -> ToolOutput:
    """Return what a model is shown, with the files that were written and how to give them to the user."""
    named = tuple(files[:_MOST_FILES])
    if not named:
        return ToolOutput(shown)
    further = f"; {len(files) - len(named)} further files were written" if len(files) > len(named) else ""
    return ToolOutput(f"{shown}\n[{link_note(*named)}{further}]", files=named)


def _shown_of_session(outcome: CodeOutcome) -> str:
    """Return what a model is shown of a piece of code, and of the interpreter that it ran in."""
    note = f"[{outcome.note}]\n" if outcome.note else ""
    if outcome.ending.status is None or outcome.is_lost:
        kept = "; its variables are gone" if outcome.is_lost else "; its variables are kept"
        shown = _shown(outcome.output, outcome.ending)
        return f"{note}{shown.removesuffix(']')}{kept}]"
    if outcome.ending.status:
        return f"{note}{outcome.output}\n[it raised an error; its variables are kept]"
    return f"{note}{outcome.output or '[done, no output]'}"


def _shown(output: str, ending: Ending | None) -> str:
    if ending is None:
        return f"{output or '(nothing new)'}\n[still running]"
    if ending.status is None:
        return f"{output}\n[ended: {ending.why}]".lstrip()
    state = f"exit status {ending.status}" if ending.status >= 0 else f"ended by signal {-ending.status}"
    return f"{output}\n[{state}]" if output else f"[{state}, no output]"
