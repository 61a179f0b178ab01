"""The tool that finds tools which are not offered from the beginning."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.late_pattern import LatePattern
from nanobot.core.tool import FIND_TOOLS, Tool, ToolContext, ToolOutput, ToolSpec

_MOST_FOUND = 5
_MOST_NAMED = 60
_MOST_WORDS = 32
_DESCRIPTION_CHARS = 160
_NAME_WEIGHT = 3
_SHORTEST_PART = 3
"""Of shorter words none is taken for the beginning of a longer one."""
_WORD = LatePattern(r"[^\W_]+")
_CAMEL = LatePattern(r"(?<=[a-z0-9])(?=[A-Z])")


class FindToolsArguments(msgspec.Struct, frozen=True):
    query: Annotated[str, msgspec.Meta(description="words, or a name; empty: all names")] = ""


def find_tools() -> Tool:
    """Return the tool that brings in tools which the model asks for: those whose names and descriptions have
    most of the words, the rarest before the others.
    """

    async def run(arguments: FindToolsArguments, context: ToolContext) -> ToolOutput:
        deferred = context.deferred
        if not arguments.query.strip():
            return ToolOutput(_named(deferred.specs))
        matching = matches(arguments.query, deferred.specs)[:_MOST_FOUND]
        if not matching:
            raise ToolError(f"no tool has these words. {_named(deferred.specs)}")
        found = deferred.with_found([tool.name for tool in matching])
        lines = (f"- {tool.name}: {_short(tool.description)}" for tool in matching if tool.name in found)
        return ToolOutput("\n".join(("These can be called from now on:", *lines)), found=found)

    return Tool(
        FIND_TOOLS,
        "Find further tools, to call them from then on.",
        FindToolsArguments,
        run,
        repeatable=True,
        # Each adds to what the one before has found.
        concurrent=False,
        demanding=True,
        group="tools",
    )


def matches(query: str, tools: Sequence[ToolSpec]) -> list[ToolSpec]:
    """Return the tools that have words of the query, best match first."""
    wanted = set(_words(query)[:_MOST_WORDS])
    texts = [(set(_words(tool.name)), set(_words(tool.description))) for tool in tools]
    worth = {
        word: 1 / max(1, sum(_has(word, names) or _has(word, said) for names, said in texts))
        for word in wanted
    }
    whole = query.strip().casefold()
    scores = [
        sum(worth[word] * (_NAME_WEIGHT * _has(word, names) + _has(word, said)) for word in wanted)
        + (len(wanted) * _NAME_WEIGHT if tool.name.casefold() == whole else 0)
        for tool, (names, said) in zip(tools, texts, strict=True)
    ]
    ranked = sorted(range(len(tools)), key=lambda at: (-scores[at], at))
    return [tools[at] for at in ranked if scores[at] > 0]


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(_CAMEL.sub(" ", text))]


def _has(word: str, words: set[str]) -> bool:
    if word in words:
        return True
    # "issue" also finds "issues", and "searching" also "search".
    return len(word) >= _SHORTEST_PART and any(
        len(other) >= _SHORTEST_PART and (other.startswith(word) or word.startswith(other)) for other in words
    )


def _named(tools: Sequence[ToolSpec]) -> str:
    names = ", ".join(tool.name for tool in tools[:_MOST_NAMED])
    more = len(tools) - _MOST_NAMED
    return f"There are {len(tools)} further tools: {names}{f', and {more} more' if more > 0 else ''}."


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _DESCRIPTION_CHARS else f"{line[:_DESCRIPTION_CHARS]}…"
