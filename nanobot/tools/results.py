"""The tool that reads on in long results of the conversation's tools."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec

from nanobot.core.cut_result import READ_RESULT, first_of, result_name
from nanobot.core.dispatch import History
from nanobot.core.errors import ToolError
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import ToolResult
from nanobot.core.recall import cut_to_bytes
from nanobot.core.tool import Tool, ToolContext
from nanobot.tools.web.untrusted import marked_again

_SEARCHED_TOKENS = (400_000, 4_000_000)
"""How far back in the conversation results are looked for, first and where nothing was found."""
_MOST_LINES = 20
_MOST_WORDS = 16
_LONGEST_LINE = 300
_BYTES_PER_TOKEN = 4
_NOTES_BYTES = 200
_PLACE = LatePattern(r"\s*(line|character|char)?s?\W{0,3}(\d[\d,_]{0,11})\D{0,3}", re.IGNORECASE)


class ReadResultArguments(msgspec.Struct, frozen=True):
    result: Annotated[str | None, msgspec.Meta(description="name of the result; omit for the newest")] = None
    start: Annotated[str | None, msgspec.Meta(description="where to begin: line 1200, character 40001")] = (
        msgspec.field(name="from", default=None)
    )
    find: Annotated[
        str | None, msgspec.Meta(description="words: shows the lines of all results with them")
    ] = None


class SessionResults(Protocol):
    """Where the results of a session are."""

    async def history(self, session_key: str, budget_tokens: int, *, is_whole: bool) -> History: ...


def read_result(results: SessionResults) -> Tool:
    """Return the tool that shows an earlier result of the conversation from a place on."""

    async def run(arguments: ReadResultArguments, context: ToolContext) -> str:
        name = (arguments.result or "").strip()
        found: ToolResult | None = None
        for tokens in _SEARCHED_TOKENS:
            # Also what a summary stands for.
            history = await results.history(context.session_key, tokens, is_whole=True)
            if arguments.find and arguments.find.strip():
                words = arguments.find.casefold().split()[:_MOST_WORDS]
                lines = await asyncio.to_thread(_lines_with, history, words, name, context.result_tokens)
                if lines or not history.skipped_tokens:
                    return lines or f"No result of this conversation has a line with: {' '.join(words)}"
            elif (found := _find(history, name)) is not None or not history.skipped_tokens:
                break
        if found is None:
            raise ToolError(
                f"there is no result {name!r} in this conversation" if name else "there is no result yet"
            )
        return _shown(found, arguments.start or "", context.result_tokens)

    return Tool(
        READ_RESULT,
        "Show what was left out of a long tool result of this conversation, or find lines in all results.",
        ReadResultArguments,
        run,
        repeatable=True,
        reads_on=True,
        group="files",
    )


def _find(history: History, name: str) -> ToolResult | None:
    """Return the result of that name, or of the call with that id, the newest one where several have it."""
    calls = {call.id: call.name for message in history.messages for call in message.tool_calls}
    for message in reversed(history.messages):
        for result in message.tool_results:
            # What this tool has shown is read on in the result that it comes from.
            if not name and calls.get(result.call_id) == READ_RESULT:
                continue
            if not name or name == result.call_id or name == result_name(result):
                return result
    return None


def _lines_with(history: History, words: Sequence[str], name: str, tokens: int) -> str:
    """Return the lines with most of the words, and where they stand; of lines with as many the newest first.
    What this tool has shown is left out. `name`: the result to look in, empty for all.
    """
    calls = {call.id: call.name for message in history.messages for call in message.tool_calls}
    found: list[tuple[int, ToolResult, int, str]] = []
    for message in reversed(history.messages):
        for result in message.tool_results:
            if calls.get(result.call_id) == READ_RESULT or (
                name and name not in (result.call_id, result_name(result))
            ):
                continue
            folded = result.content.casefold()
            if not any(word in folded for word in words):
                continue
            for number, line in enumerate(result.content.split("\n"), 1):
                low = line.casefold()
                if count := sum(1 for word in words if word in low):
                    found.append((count, result, number, line))
    found.sort(key=lambda each: -each[0])
    lines: list[str] = []
    for count, result, number, line in found[:_MOST_LINES]:
        if count < found[0][0]:
            break
        place = f"{calls.get(result.call_id, 'a call')}, result {result_name(result)}, line {number}"
        before = "\n".join(result.content.split("\n")[: number - 1])
        # What strangers wrote is theirs also by the line.
        shown = marked_again(_around(line, words), f"{before}\n" if before else "")
        lines.append(f"[{place}] {shown}")
    return cut_to_bytes("\n".join(lines), max(_NOTES_BYTES, tokens * _BYTES_PER_TOKEN))


def _around(line: str, words: Sequence[str]) -> str:
    """Return a long line where the first of the words stands in it."""
    if len(line) <= _LONGEST_LINE:
        return line
    folded = line.casefold()
    at = min(place for word in words if (place := folded.find(word)) >= 0)
    first = max(0, at - _LONGEST_LINE // 3)
    return f"…{line[first : first + _LONGEST_LINE]}…"


def _shown(result: ToolResult, start: str, tokens: int) -> str:
    content = result.content
    offset, unit = _offset(content, start)
    name = result_name(result)
    total = content.count("\n") + (not content.endswith("\n"))
    size = f"{total:,} lines, {len(content):,} characters"
    if offset >= len(content):
        raise ToolError(f"the result {name} has nothing from {start} on: it has {size}")
    text = first_of(content[offset:], max(_NOTES_BYTES, tokens * _BYTES_PER_TOKEN - _NOTES_BYTES))
    end = offset + len(text)
    begins = _place(content, offset, unit)
    goes_on = _place(content, end, "line" if text.endswith("\n") else "character")
    # A part of a text that strangers wrote is as much theirs.
    text = marked_again(text.rstrip("\n") if end < len(content) else text, content[:offset])
    if end >= len(content):
        return f"(Result {name}: {size}; from {begins} to its end.)\n{text}"
    return (
        f"(Result {name}: {size}; from {begins}.)\n{text}\n"
        f'(It goes on at {goes_on}: call {READ_RESULT} with result "{name}" and from "{goes_on}".)'
    )


def _offset(content: str, start: str) -> tuple[int, str]:
    """Return where in the content the model wants to begin, and what it counts in.

    Raises:
        ToolError: it wrote no place.
    """
    if not start.strip():
        return 0, "line"
    found = _PLACE.fullmatch(start)
    if found is None:
        raise ToolError(f"{start[:40]!r} is no place in a result: say 'line 120' or 'character 4001'")
    number = max(1, int(found[2].replace(",", "").replace("_", "")))
    if (found[1] or "line").lower() != "line":
        return number - 1, "character"
    offset = 0
    for _ in range(number - 1):
        offset = content.find("\n", offset) + 1
        if not offset:
            return len(content), "line"
    return offset, "line"


def _place(content: str, offset: int, unit: str) -> str:
    return f"line {content.count(chr(10), 0, offset) + 1}" if unit == "line" else f"character {offset + 1}"
