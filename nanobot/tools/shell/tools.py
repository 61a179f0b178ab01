"""The tools with which the agent runs commands."""

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.tools.sandbox.command import Ending
from nanobot.tools.shell.access import ShellAccess
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
    access: ShellAccess,
    *,
    has_python: bool = False,
    interpreters: Interpreters | None = None,
    hosts: Sequence[str] = (),
) -> tuple[Tool, ...]:
    """Return the tools that run commands by `commands`, in those sessions that `access` lets. `has_python`:
    also the one that runs Python, in `interpreters` where sessions keep theirs. `hosts`: what commands reach
    of the network; none: nothing.
    """

    def check(text: str, context: ToolContext) -> None:
        access.check(context.session_key)
        if not context.leaves_trace:
            raise ToolError("this request leaves no trace (store: false), so no command can be run")
        if "\0" in text or not text.strip():
            raise ToolError("what is to be run is empty, or has a null character in it")

    async def run(arguments: RunArguments, context: ToolContext) -> str | ToolOutput:
        check(arguments.command, context)
        if arguments.background:
            timeout_s = arguments.timeout_s or commands.longest_s
            name = await commands.begin(context.session_key, context.turn_id, arguments.command, timeout_s)
            return f"{name} runs in the background until this turn ends: call {READ} to see what it writes."
        outcome = await commands.run(
            context.session_key,
            arguments.command,
            arguments.timeout_s or _FOREGROUND_S,
            _most_bytes(context),
            context.tell,
        )
        return _with_files(_shown(outcome.output, outcome.ending), outcome.files)

    async def python(arguments: PythonArguments, context: ToolContext) -> ToolOutput:
        check(arguments.code, context)
        if interpreters is not None:
            done = await interpreters.run(
                context.session_key,
                arguments.code,
                arguments.timeout_s or _FOREGROUND_S,
                _most_bytes(context),
                context.tell,
            )
            return _with_files(_shown_of_session(done), done.files)
        outcome = await commands.run(
            context.session_key,
            _script(arguments.code),
            arguments.timeout_s or _FOREGROUND_S,
            _most_bytes(context),
            context.tell,
        )
        return _with_files(_shown(outcome.output, outcome.ending), outcome.files)

    async def read(arguments: ReadArguments, context: ToolContext) -> ToolOutput:
        wait_s = min(arguments.wait_s, _LONGEST_WAIT_S)
        output, ending, files = await commands.read(context.session_key, arguments.command, wait_s)
        return _with_files(_shown(_bounded(output, context), ending), files)

    async def write(arguments: WriteArguments, context: ToolContext) -> str:
        name = arguments.command
        await commands.write(context.session_key, name, arguments.text, closes=arguments.close)
        return f"written: call {READ} to see what it answers"

    async def stop(arguments: StopArguments, context: ToolContext) -> ToolOutput:
        output, files = await commands.stop(context.session_key, arguments.command)
        return _with_files(f"{_bounded(output, context)}\n[stopped]".lstrip(), files)

    longest_s = commands.longest_s + _SPARE_S
    python_tool = Tool(
        PYTHON,
        _PYTHON_OF_SESSION
        if interpreters is not None
        else "Run a Python script in the workspace, as run_command does; print what you want to see.",
        PythonArguments,
        python,
        timeout_s=longest_s,
        concurrent=False,
        demanding=True,
        lasting=True,
        group="shell",
        of_session=True,
        by_default="ask",
    )
    return (
        Tool(
            RUN,
            f"Run a shell command in the workspace, {_network(hosts)}. Each starts there anew; files stay,"
            " also those in /tmp. uploads/ can only be read; shared/ is not there.",
            RunArguments,
            run,
            timeout_s=longest_s,
            concurrent=False,
            demanding=True,
            lasting=True,
            group="shell",
            of_session=True,
            by_default="ask",
        ),
        Tool(
            READ,
            "Show what a background command has written since the last call.",
            ReadArguments,
            read,
            timeout_s=_LONGEST_WAIT_S + _SPARE_S,
            concurrent=False,
            demanding=True,
            group="shell",
            of_session=True,
        ),
        Tool(
            WRITE,
            "Write to the input of a background command; end lines with \\n.",
            WriteArguments,
            write,
            concurrent=False,
            demanding=True,
            group="shell",
            of_session=True,
            by_default="ask",
        ),
        Tool(
            STOP,
            "End a background command.",
            StopArguments,
            stop,
            concurrent=False,
            demanding=True,
            group="shell",
            of_session=True,
        ),
        *((python_tool,) if has_python else ()),
    )


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
