"""Wishes to note something down, to forget it, or to hear all that is noted: carried out, and answered by
what came of them.

A small model says `I will remember that.` and calls nothing. So a message that is such a wish and nothing
else is recognised by its words, is a call of `remember`, `forget` or `recall` with the user's own words, and
the answer says what the tool did. Where the tools are not offered, the message is answered like any other.
"""

import re
from collections.abc import AsyncGenerator, Sequence

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.event import Delta, TextDelta
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.models.local.conversation import words_of, words_of_user
from nanobot.models.local.expected import current_turn
from nanobot.models.local.notation import FORGET, RECALL_FACTS, REMEMBER
from nanobot.models.local.note_words import LANGUAGES, NoteWords
from nanobot.models.local.statements import note_of

_LONGEST = 400
_CURLY = str.maketrans("’", "'")
_ASKS = re.compile(r"[?？]|[吗嗎呢][。.!！]?\s*\Z|か[。！]?\s*\Z")
_NOTED_ID = re.compile(r"\ARemembered[^:\n]*: .*\((mem_\w+)", re.DOTALL)
_SENTENCES = re.compile(r"(?<=[.!;])(?<!\d\.)\s+|(?<=[。！；])|\n+")
_FOUND = re.compile(r"\[mem_\w+, [^\]]*\] (.+)")
_MOST_SAID = 12
_OF_GROUP = "Remembered for this group:"


_POINTS_BACK = re.compile(
    r"(?:that|this|it|das|es|ça|cela|eso|esto|lo|ciò|questo|isso|isto|这个|这点|它|それ|これ)\W*",
    re.IGNORECASE,
)


class Wish(msgspec.Struct, frozen=True):
    """A wish that a `tool` does something. `fact`: what it is about, in the user's words, or the id of what
    was noted last; empty where nothing was.
    """

    tool: str
    fact: str
    words: NoteWords


def wish_of(messages: Sequence[Message], tools: Sequence[str]) -> Wish | None:
    """Return what the current turn wishes that one of the `tools` does; None where it is something else."""
    turn = current_turn(tuple(messages))
    if not turn or not all(isinstance(part, Text) for part in turn[0].parts):
        return None
    text = words_of(turn[0]).strip().translate(_CURLY)
    if not text or len(text) > _LONGEST:
        return None
    asked = next((words for words in LANGUAGES if words.ask.fullmatch(text)), None)
    if RECALL_FACTS in tools and asked is not None:
        return Wish(RECALL_FACTS, "", asked)
    if _ASKS.search(text):
        return None
    before = messages[: len(messages) - len(turn)]
    for words in LANGUAGES:
        if REMEMBER in tools and (found := words.remember.fullmatch(text)):
            fact = _fact_in(found) or _said_before(before)
            return Wish(REMEMBER, fact, words) if _says_nothing_else(fact) else None
        if FORGET in tools and (found := words.forget.fullmatch(text)):
            return Wish(FORGET, _fact_in(found) or _noted_last(before), words)
    return None


def _fact_in(found: re.Match[str]) -> str:
    fact = next((each for each in found.groups() if each), "").strip().rstrip(".!。！ ")
    return "" if _POINTS_BACK.fullmatch(fact) else fact


def _says_nothing_else(fact: str) -> bool:
    """Return whether there is something to note down, and no other wish behind it."""
    first, *more = [each for each in _SENTENCES.split(fact) if each.strip()] or [""]
    return bool(first) and all(note_of(each).openings for each in more)


def _said_before(messages: Sequence[Message]) -> str:
    """Return what the user said last, where that is no question."""
    said = words_of_user(tuple(messages))
    last = said[-1].strip() if said else ""
    return last if len(last) <= _LONGEST and not _ASKS.search(last) else ""


def _noted_last(messages: Sequence[Message]) -> str:
    """Return the id of the fact that was noted down last and not forgotten since; empty where there is
    none.
    """
    noted: list[str] = []
    names = {call.id: call for message in messages for call in message.tool_calls}
    for message in messages:
        for result in message.tool_results:
            call = names.get(result.call_id)
            if call is None or result.is_error:
                continue
            if call.name == REMEMBER and (found := _NOTED_ID.match(result.content)):
                noted.append(found[1])
            elif call.name == FORGET:
                noted = [each for each in noted if each not in call.arguments]
    return noted[-1] if noted else ""


class Notes:
    """Carries out such wishes. `tools`: those that note down and forget, as they are offered."""

    def __init__(self, name: str, tools: tuple[ToolSpec, ...], clock: Clock, random: Randomness) -> None:
        self._name = name
        self._tools = tools
        self._clock = clock
        self._random = random

    def wish_of(self, request: ModelRequest) -> Wish | None:
        """Return what the request wishes to have noted down or forgotten; None where it wishes nothing such,
        or may not.
        """
        offered = [tool.name for tool in request.tools if tool in self._tools]
        if not offered or request.format is not None or request.tool_choice.mode == "required":
            return None
        wish = wish_of(request.messages, offered)
        if wish is not None and wish.tool == RECALL_FACTS and _found_nothing(request.messages):
            # Then there is what was said in the chat.
            return None
        return wish

    def without_tools(self, request: ModelRequest) -> ModelRequest:
        """Return the request without these tools, and as if nobody had looked for notes where there are none:
        the model cannot call them.
        """
        if not any(tool in self._tools for tool in request.tools):
            return request
        tools = tuple(tool for tool in request.tools if tool not in self._tools)
        messages = request.messages
        if _found_nothing(messages):
            messages = messages[: 1 - len(current_turn(messages))]
        return msgspec.structs.replace(request, tools=tools, messages=messages)

    async def stream(self, request: ModelRequest, wish: Wish) -> AsyncGenerator[Delta | Message, None]:
        """Yield the call that carries the wish out, or the answer once it was."""
        turn = current_turn(request.messages)
        result = next((each for message in turn[::-1] for each in message.tool_results), None)
        if result is None and (wish.fact or wish.tool == RECALL_FACTS):
            arguments = msgspec.json.encode({"fact": wish.fact} if wish.fact else {}).decode()
            call = ToolCall(new_id("call", self._clock.now(), self._random), wish.tool, arguments)
            yield Message("assistant", (call,), stop_reason="tool_calls", model=self._name)
            return
        text = _listed(wish, result, request) if wish.tool == RECALL_FACTS else _answer(wish, result)
        yield TextDelta(text)
        yield Message("assistant", (Text(text),), stop_reason="stop", model=self._name)


def _answer(wish: Wish, result: ToolResult | None) -> str:
    words = wish.words
    if result is None:
        return words.nothing_noted
    said = result.content.strip()
    if result.is_error:
        failed = words.not_noted if wish.tool == REMEMBER else words.not_forgotten
        return failed.format(said.removeprefix("Error: "))
    if wish.tool == FORGET:
        return words.forgotten.format(said.partition(": ")[2] or said)
    return (words.noted_for_group if said.startswith(_OF_GROUP) else words.noted).format(wish.fact)


def _found_nothing(messages: Sequence[Message]) -> bool:
    """Return whether the current turn has looked for what is noted, and there was nothing."""
    turn = current_turn(tuple(messages))
    if len(turn) != 3 or [call.name for call in turn[1].tool_calls] != [RECALL_FACTS]:
        return False
    return not any(_FOUND.match(line) for each in turn[2].tool_results for line in each.content.splitlines())


def _listed(wish: Wish, result: ToolResult | None, request: ModelRequest) -> str:
    """Return an answer with all that was found, and what else the user told in the chat."""
    lines = result.content.splitlines() if result is not None else []
    facts = [found[1].strip() for line in lines if (found := _FOUND.match(line))]
    known = {fact.casefold() for fact in facts}
    before = request.messages[: len(request.messages) - len(current_turn(request.messages))]
    said = [
        text
        for each in words_of_user(before)
        if (text := each.strip().rstrip(".!。！")) and note_of(each).openings and text.casefold() not in known
        if wish_of((user(each),), (REMEMBER, FORGET)) is None
    ]
    parts = [wish.words.known, *(f"- {fact}" for fact in facts)]
    if said:
        parts += ["", wish.words.said, *(f"- {text}" for text in dict.fromkeys(said[-_MOST_SAID:]))]
    return "\n".join(parts)
