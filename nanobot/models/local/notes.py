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
from nanobot.core.fact_changes import (
    HOME,
    are_of_one_kind,
    correction_of,
    corrects,
    kind_of,
    uncorrected,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.models.local.conversation import words_of, words_of_user
from nanobot.models.local.expected import current_turn
from nanobot.models.local.notation import FORGET, RECALL_FACTS, REMEMBER
from nanobot.models.local.note_words import ASKS_HOME, LANGUAGES, NoteWords
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


_AFTER_ONE_CALL = 3
"""Messages of a turn that has made one call: the question, the call, and its result."""


class _Given(msgspec.Struct):
    """What a call of `remember` was given."""

    fact: str = ""
    replaces: str = ""


_decode_given = msgspec.json.Decoder(_Given).decode
_WORDS_OF = dict(zip(("en", "de", "fr", "es", "it", "pt", "zh", "ja"), LANGUAGES, strict=True))
_OF_USER = re.compile(r"^- The user: (.+)$", re.MULTILINE)


class Wish(msgspec.Struct, frozen=True):
    """A wish that a `tool` does something. `fact`: what it is about, in the user's words, or the id of what
    was noted last; empty where nothing was. `replaces`: what is noted and not so any more. `answer`: what
    is to be said, where nothing needs to be done for it.
    """

    tool: str
    fact: str
    words: NoteWords
    replaces: str = ""
    answer: str = ""


def wish_of(messages: Sequence[Message], tools: Sequence[str], noted: Sequence[str] = ()) -> Wish | None:
    """Return what the current turn wishes that one of the `tools` does; None where it is something else.

    `noted`: what is noted of the user, the newest last. Who corrects that wishes to have it noted anew.
    """
    turn = current_turn(tuple(messages))
    if not turn or not all(isinstance(part, Text) for part in turn[0].parts):
        return None
    text = words_of(turn[0]).strip().translate(_CURLY)
    if not text or len(text) > _LONGEST:
        return None
    asked = next((words for words in LANGUAGES if words.ask.fullmatch(text)), None)
    if RECALL_FACTS in tools and asked is not None:
        return Wish(RECALL_FACTS, "", asked)
    if (home := _home_asked_for(text, noted)) is not None:
        return home
    if _ASKS.search(text):
        return None
    before = messages[: len(messages) - len(turn)]
    corrected, wishes = _corrected_before(text)
    for words in LANGUAGES:
        if REMEMBER in tools and (found := words.remember.fullmatch(wishes)):
            fact = _fact_in(found) or _said_before(before)
            return (
                _corrected(Wish(REMEMBER, fact, words), noted, corrected)
                if _says_nothing_else(fact)
                else None
            )
        if FORGET in tools and (found := words.forget.fullmatch(text)):
            return Wish(FORGET, _fact_in(found) or _noted_last(before), words)
    return _correction(text, noted) if REMEMBER in tools else None


def _home_asked_for(text: str, noted: Sequence[str]) -> Wish | None:
    """Return the answer to where the user lives, where that is noted. A small model takes what the chat had
    before it was corrected.
    """
    for words, question in zip(LANGUAGES, ASKS_HOME, strict=True):
        if question.fullmatch(text) is not None:
            fact = next((each for each in reversed(noted) if kind_of(each) == HOME), None)
            return Wish(RECALL_FACTS, "", words, answer=f"{words.known}\n- {fact}") if fact else None
    return None


def _corrected_before(text: str) -> tuple[str, str]:
    """Return a correction, and the wish behind it that says itself what is to be remembered: `It is Bella,
    not Rex. Remember that my dog is called Bella.` Otherwise nothing, and the text.
    """
    first, *more = [each for each in _SENTENCES.split(text) if each.strip()]
    if len(more) != 1 or not corrects(first):
        return "", text
    found = next(filter(None, (words.remember.fullmatch(more[0]) for words in LANGUAGES)), None)
    return (first, more[0]) if found is not None and _fact_in(found) else ("", text)


def _corrected(wish: Wish, noted: Sequence[str], corrected: str) -> Wish:
    """Return the wish with what it replaces, if anything; `corrected`: what was said before it."""
    if (found := correction_of(wish.fact, noted)) is not None:
        return msgspec.structs.replace(wish, fact=found.text, replaces=found.before)
    found = correction_of(corrected, noted) if corrected else None
    return msgspec.structs.replace(wish, replaces=found.before) if found is not None else wish


def _correction(text: str, noted: Sequence[str]) -> Wish | None:
    """Return the wish of a message that says nothing but that something noted is not so any more."""
    found = correction_of(text, noted) if noted else None
    words = _WORDS_OF.get(found.language) if found is not None else None
    return Wish(REMEMBER, found.text, words, found.before) if found is not None and words else None


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
        wish = wish_of(request.messages, offered, _noted(request))
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
        if wish.answer:
            yield TextDelta(wish.answer)
            yield Message("assistant", (Text(wish.answer),), stop_reason="stop", model=self._name)
            return
        turn = current_turn(request.messages)
        result = next((each for message in turn[::-1] for each in message.tool_results), None)
        if result is None and (wish.fact or wish.tool == RECALL_FACTS):
            yield self._call(wish)
            return
        if result is not None and result.is_error and wish.replaces and len(turn) <= _AFTER_ONE_CALL:
            # It may not be this session's to change: then both stand.
            yield self._call(msgspec.structs.replace(wish, replaces=""))
            return
        text = _listed(wish, result, request) if wish.tool == RECALL_FACTS else _answer(wish, result)
        yield TextDelta(text)
        yield Message("assistant", (Text(text),), stop_reason="stop", model=self._name)

    def _call(self, wish: Wish) -> Message:
        given = {"fact": wish.fact, "replaces": wish.replaces}
        arguments = msgspec.json.encode({name: text for name, text in given.items() if text}).decode()
        call = ToolCall(new_id("call", self._clock.now(), self._random), wish.tool, arguments)
        return Message("assistant", (call,), stop_reason="tool_calls", model=self._name)


def _noted(request: ModelRequest) -> tuple[str, ...]:
    """Return what is noted of the user, the newest last: what the prompt tells of it, and what was noted in
    the conversation.
    """
    turn = current_turn(request.messages)
    before = request.messages[: len(request.messages) - len(turn)]
    failed = {each.call_id for message in before for each in message.tool_results if each.is_error}
    noted: list[str] = []
    for call in (call for message in before for call in message.tool_calls):
        if call.id not in failed and call.name == REMEMBER and (given := _given_of(call)) is not None:
            noted = [each for each in noted if each != given.replaces]
            noted.append(given.fact)
        elif call.id not in failed and call.name == FORGET:
            noted = [each for each in noted if each not in call.arguments]
    return tuple(dict.fromkeys((*noted, *_OF_USER.findall(request.system))))


def _given_of(call: ToolCall) -> _Given | None:
    try:
        return _decode_given(call.arguments)
    except msgspec.DecodeError:
        return None


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


def _is_noted_since(text: str, facts: Sequence[str]) -> bool:
    """Return whether the facts say the same, or what is so instead."""
    plain = uncorrected(text).casefold()
    return any(plain == fact.casefold() or are_of_one_kind(text, fact) for fact in facts)


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
        if not _is_noted_since(text, facts)
    ]
    parts = [wish.words.known, *(f"- {fact}" for fact in facts)]
    if said:
        parts += ["", wish.words.said, *(f"- {text}" for text in dict.fromkeys(said[-_MOST_SAID:]))]
    return "\n".join(parts)
