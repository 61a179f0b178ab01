"""How calls of tools look in the chat: what runs and for how long, what it has changed, what came of it.

All of it comes from the events, which a server sends too: the diff of an edit is that of the call's
arguments, so that no file is read for it.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from nanobot.agent.question import ASKED_BACK, WAITING
from nanobot.agent.tool_calls import OUTCOME_UNKNOWN
from nanobot.cli.terminal import neutral, one_line
from nanobot.core.message import AskedCall, Message, ToolCall, ToolResult
from nanobot.core.plan import NO_PLAN, TaskPlan
from nanobot.core.unseen import escaped, without_unseen
from nanobot.tools.web.untrusted import MEANING

Tone = Literal["dim", "added", "removed", "failed"]
MOST_CHANGED_LINES = 24
MOST_RESULT_LINES = 3
_MOST_RUNNING = 5
_MOST_STEPS = 12
_MOST_CHARS = 400
"""How much of one line is kept; the width of the screen cuts it further."""
_MOST_COMPARED = 400
"""How many lines of an edit are compared: beyond, the old ones stand before the new ones."""
_PATCHED = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File: |\+\+\+ (?:b/)?)(.+?)\s*$", re.MULTILINE)
_MARKS = {"open": "[ ]", "doing": "[>]", "done": "[x]", "dropped": "[-]"}
_SAID_BY_THE_QUESTION = frozenset({WAITING, ASKED_BACK})
"""What the model is told of a call while somebody is asked about it."""
_SHOWS_ITS_CHANGES = frozenset({"edit_file", "write_file", "apply_patch"})
_SHOWS_ITS_END = frozenset({"run_command", "python", "read_output"})
"""Tools whose output tells at its end how it went."""
_FOR_THE_MODEL = re.compile(
    r"</?(?:untrusted |file-)[0-9a-f]+(?: name=.*)?>"
    rf"|{re.escape(MEANING)}"
    r"|\[exit status 0(?:, no output)?\]"
    r"|\[Links? for the user: .*\]"
)
"""Lines of results that tell a person nothing."""


class ToolLine(msgspec.Struct, frozen=True):
    """A line of the chat; `text` is safe to show. `tail` stands behind it, however far the text is cut."""

    text: str
    tone: Tone = "dim"
    tail: str = ""

    @property
    def whole(self) -> str:
        return self.text + self.tail


class _Running(msgspec.Struct, frozen=True):
    call: ToolCall
    since: float


class ToolReport:
    """The calls of one answer: those that run, and the lines that remain of those that have ended."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._running: dict[str, _Running] = {}
        self._told: dict[str, list[str]] = {}
        self._plan = NO_PLAN

    def start(self, call: ToolCall) -> None:
        self._running[call.id] = _Running(call, self._now())

    def tell(self, call_id: str, text: str) -> None:
        """Take in what a call tells while it runs."""
        if call_id in self._running:
            self._told[call_id] = text.splitlines()[-MOST_RESULT_LINES:]

    @property
    def is_running(self) -> bool:
        return bool(self._running)

    def lines(self) -> list[ToolLine]:
        """Return what runs, for how many seconds, and what it tells."""
        running = list(self._running.values())
        shown = [
            line
            for each in running[:_MOST_RUNNING]
            for line in (
                ToolLine(f"· {title(each.call)}", tail=_seconds(int(self._now() - each.since))),
                *_indented(self._told.get(each.call.id, ())),
            )
        ]
        rest = len(running) - _MOST_RUNNING
        return [*shown, *([ToolLine(f"  and {rest} more")] if rest > 0 else [])]

    def finish(self, result: ToolResult) -> list[ToolLine]:
        """Return what remains of the call that has this result: nothing of one that was not run, of which the
        answer tells what is to be known.
        """
        ran = self._running.pop(result.call_id, None)
        self._told.pop(result.call_id, None)
        if ran is None:
            return []
        elapsed = _elapsed(self._now() - ran.since)
        took = f" ({elapsed})" if elapsed else ""
        done = ToolLine(f"· {title(ran.call)}", tail=took)
        if result.content in _SAID_BY_THE_QUESTION:
            return [done]
        if result.content == OUTCOME_UNKNOWN:
            return [_failed(ran.call, f" (cut off after {elapsed})" if elapsed else " (cut off)")]
        if result.is_error:
            return [_failed(ran.call, took), *_indented(_first_lines(result.content), "failed")]
        return [done, *self._outcome(ran.call, result)]

    def end(self) -> list[ToolLine]:
        """Return what remains of the calls that have no result at the end of the answer."""
        left = [_failed(each.call, " (not finished)") for each in self._running.values()]
        self._running.clear()
        self._told.clear()
        return left

    def _outcome(self, call: ToolCall, result: ToolResult) -> list[ToolLine]:
        if result.plan is not None:
            before, self._plan = self._plan, result.plan
            return plan_lines(result.plan, before)
        changed = changes(call.name, call.arguments)
        written = [ToolLine(f"  wrote {_safe(one_line(', '.join(result.files)))}")] if result.files else []
        if changed:
            return changed
        if written and call.name in _SHOWS_ITS_CHANGES:
            return written
        most_telling = _last_lines if call.name in _SHOWS_ITS_END else _first_lines
        return [*written, *_indented(most_telling(result.content))]


def settled_lines(message: Message) -> list[ToolLine]:
    """Return what has become of calls that people were asked about and that are not run: those that are begin
    as all others do.
    """
    return [
        _failed(call, " (not run)")
        for call in message.tool_calls
        if call.approval is not None and call.is_withheld
    ]


def title(call: ToolCall) -> str:
    """Return the name of the tool and the gist of its arguments, as one line."""
    gist = _gist(call.name, call.arguments)
    return _cut(_safe(one_line(f"{call.name} {gist}")))


def asked_lines(asks: Iterable[AskedCall]) -> list[ToolLine]:
    """Return what calls would change that a person is asked about."""
    return [line for ask in asks for line in changes(ask.tool, ask.arguments)]


def changes(tool: str, arguments: str) -> list[ToolLine]:
    """Return what a call changes in files, as a diff; nothing of a call that is no edit."""
    given = _given(arguments)
    if tool == "edit_file":
        told = _difference(_text(given, "old"), _text(given, "new"))
    elif tool == "write_file":
        told = (f"+{line}" for line in _text(given, "content").splitlines())
    elif tool == "apply_patch":
        lines = _text(given, "patch").splitlines()
        told = (line for line in lines if not line.startswith(("*** Begin", "*** End")))
    else:
        return []
    return _bounded(told)


def plan_lines(plan: TaskPlan, before: TaskPlan) -> list[ToolLine]:
    """Return how far the plan is, and the steps of it that have changed."""
    if not plan.steps:
        return [ToolLine("  the plan is dropped")]
    done = sum(step.status in ("done", "dropped") for step in plan.steps)
    goal = f"{_safe(one_line(plan.goal))}: " if plan.goal else ""
    changed = [step for step in plan.steps if step not in before.steps]
    shown = [
        ToolLine(_cut(f"  {_MARKS[step.status]} {_safe(one_line(step.text))}"))
        for step in changed[:_MOST_STEPS]
    ]
    more = len(changed) - len(shown)
    return [
        ToolLine(_cut(f"  {goal}{done} of {len(plan.steps)} steps done")),
        *shown,
        *([ToolLine(f"  … {more} more steps")] if more else []),
    ]


def _gist(tool: str, arguments: str) -> str:
    given = _given(arguments)
    if given is None:
        return arguments
    if tool == "update_plan":
        return ""
    if tool in ("edit_file", "write_file"):
        return _text(given, "path")
    if tool == "run_command":
        return _text(given, "command") + (" &" if given.get("background") is True else "")
    if tool == "apply_patch":
        return ", ".join(dict.fromkeys(_PATCHED.findall(_text(given, "patch")[: 64 * 1024])))
    values = {name: value if isinstance(value, str) else _json(value) for name, value in given.items()}
    if len(values) == 1:
        return next(iter(values.values()))
    return " ".join(f"{name}={value}" for name, value in values.items())


def _given(arguments: str) -> dict[str, Any] | None:
    """Return the arguments by their names; None where they are malformed."""
    try:
        given = msgspec.json.decode(arguments or "{}")
    except (msgspec.MsgspecError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def _text(given: dict[str, Any] | None, name: str) -> str:
    value = given.get(name) if given is not None else None
    return value if isinstance(value, str) else ""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _difference(old: str, new: str) -> Iterable[str]:
    removed, added = old.splitlines(), new.splitlines()
    if max(len(removed), len(added)) > _MOST_COMPARED:
        return [*(f"-{line}" for line in removed), *(f"+{line}" for line in added)]
    told = difflib.unified_diff(removed, added, n=2, lineterm="")
    # Without the names, and without numbers: those of the file are not known.
    return ["…" if line.startswith("@@") else line for line in islice(told, 3, None)]


def _bounded(told: Iterable[str]) -> list[ToolLine]:
    every = list(told)
    tones: dict[str, Tone] = {"+": "added", "-": "removed"}
    shown = [
        ToolLine(f"  {_cut(_safe(line))}", tones.get(line[:1], "dim")) for line in every[:MOST_CHANGED_LINES]
    ]
    more = len(every) - len(shown)
    return [*shown, *([ToolLine(f"  … {more} more lines")] if more else [])]


def _told_lines(content: str) -> list[str]:
    return [line for line in content.splitlines() if line.strip() and not _FOR_THE_MODEL.fullmatch(line)]


def _first_lines(content: str) -> list[str]:
    told = _told_lines(content)
    more = len(told) - MOST_RESULT_LINES
    return told if more <= 1 else [*told[:MOST_RESULT_LINES], f"… {more} more lines"]


def _last_lines(content: str) -> list[str]:
    told = _told_lines(content)
    more = len(told) - MOST_RESULT_LINES
    return told if more <= 1 else [f"… {more} lines above", *told[more:]]


def _failed(call: ToolCall, tail: str) -> ToolLine:
    return ToolLine(f"✗ {title(call)}", "failed", tail)


def _indented(told: Sequence[str], tone: Tone = "dim") -> list[ToolLine]:
    return [ToolLine(f"  {_cut(_safe(line))}", tone) for line in told]


def _safe(text: str) -> str:
    """Return the text without what drives a terminal, or hides or reorders other characters."""
    return without_unseen(neutral(text), escaped)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"


def _seconds(seconds: int) -> str:
    return f" {seconds} s" if seconds else ""


def _elapsed(seconds: float) -> str:
    """Return how long a call took; nothing where that was no time, or is long past and told once more."""
    return f"{seconds:.1f} s" if seconds >= 0.05 else ""
