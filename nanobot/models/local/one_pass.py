"""Answers in one pass: a small model writes calls into its text, as examples before the conversation show.

    question ─▶ text
             ─▶ [calculate 17 * 23]    a call of a tool, which the agent runs, and asks again
             ─▶ [recall]               asked again at once, with what the user said

The engine reads the examples once. After them and the session's salt, prompts only grow at their end.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.event import Delta, TextDelta
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message, Text, Thinking, ToolCall, Usage
from nanobot.core.model import ModelRequest
from nanobot.core.persona import DEFAULT_NAME
from nanobot.core.tool import ToolSpec
from nanobot.models.local import notation, recall
from nanobot.models.local.conversation import conversation, recalling, words_of_user
from nanobot.models.local.engine_chat import EngineChat, Prompt, limited
from nanobot.models.local.examples import BOUNDARY, OPENING, opening_of
from nanobot.models.local.expected import current_turn, expected, results_of
from nanobot.models.local.languages import not_in_english
from nanobot.models.local.note_words import claims_of_notes
from nanobot.models.local.persons import not_to_begin_with
from nanobot.models.local.salt import salt_of, salted_system, without_luck
from nanobot.models.local.shown import CALL_TOKENS, Shown
from nanobot.models.local.stories import asks_for_verse
from nanobot.models.local.truths import MakerGuard
from nanobot.models.openai.request import OpeningMessage

_TEMPERATURE = 0.2
_TEMPERATURE_OF_VERSE = 0.6
ONE_PASS = "one pass"  # noqa: S105 - no password
"""The kind of these prompts."""
OPENING_TOKENS = sum(3 + len(message.content.encode()) // 4 for message in OPENING)
"""An estimate of how long the opening is, for any tokenizer."""


def kind_of(name: str) -> str:
    """Return the kind of the prompts of the agent of that name."""
    return ONE_PASS if name == DEFAULT_NAME else f"{ONE_PASS} of {name}"


def opening_with(salt: str, name: str = DEFAULT_NAME) -> tuple[OpeningMessage, ...]:
    """Return what the engine reads before the words of a session with that salt."""
    return (*opening_of(name), OpeningMessage("system", salted_system(BOUNDARY, BOUNDARY, salt)))


class OnePass:
    """Answers requests without a client's tools and without a form.

    `shared_system`: what the system prompt of most requests begins with, but for the agent's name; the
    examples say as much. `opening_tokens`: how long the opening is in the engine's tokens, for the names of
    agents of which that is known.
    """

    def __init__(self, chat: EngineChat, shared_system: str, clock: Clock, random: Randomness) -> None:
        self._chat = chat
        self._shared_system = shared_system
        self._before_name, _, self._after_name = shared_system.partition(DEFAULT_NAME)
        self._clock = clock
        self._random = random
        self.opening_tokens: dict[str, int] = {}

    def takes(self, request: ModelRequest, own_tools: tuple[ToolSpec, ...]) -> bool:
        """Return whether the request can be answered in one pass."""
        return (
            request.format is None
            and request.tool_choice.mode != "required"
            and all(tool.name in notation.NAMES and tool in own_tools for tool in request.tools)
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield the answer, or a message that calls tools, in the form of `core.model.Model`.

        Raises:
            ModelError: the engine cannot run here, or failed.
        """
        messages = request.messages
        said = words_of_user(messages)
        if messages and messages[-1].role == "user" and self._asks_for_words(request, said):
            answer = self._from_list(request, said)
        elif messages and messages[-1].role == "assistant":
            # It goes on right behind what is there: no grammar fits.
            answer = self._shown(request, self._prompt(request, ""), Usage())
        else:
            answer = self._called_or_said(request, said)
        async with aclosing(answer) as pieces:
            async for piece in pieces:
                yield piece

    def _asks_for_words(self, request: ModelRequest, said: list[str]) -> bool:
        """Return whether the last message asks for what the user said, or for what only the user could have
        said, at the beginning of a conversation.
        """
        if recall.asks_for_words(said[-1]):
            return True
        is_first = len(said) == 1 and request.context is None
        _, instructions = self.split(request.system)
        return is_first and not instructions and recall.asks_of_user(said[-1])

    # The ways to answer ---------------------------------------------------------------------------

    async def _called_or_said(
        self, request: ModelRequest, said: list[str]
    ) -> AsyncGenerator[Delta | Message, None]:
        turn = current_turn(request.messages)
        name, instructions = self.split(request.system)
        comes = expected(request, turn, None if instructions else name)
        temperature = 0.0 if len(turn) > 1 else _TEMPERATURE
        prompt = self._prompt(request, comes.grammar, temperature, is_usual=comes.is_usual)
        usage = Usage()
        shown = self._shown(request, prompt, usage, checks=results_of(turn), may_call=comes.may_call)
        async with aclosing(shown) as answer:
            async for piece in answer:
                if not isinstance(piece, Message) or not piece.text.startswith("["):
                    yield piece
                    continue
                # Nothing of it has been shown.
                usage = piece.usage or Usage()
                written = piece.text
                if piece.stop_reason == "length":
                    written, more = await self._whole_call(prompt)
                    usage += more
                break
            else:
                return
        if written.strip() == notation.RECALL:
            # One that asks for no words is answered with what they mean.
            again = self._from_list(request, said, usage, quotes=recall.speaks_of_words(said[-1]))
        elif calls := self._new_calls(written, turn):
            yield Message("assistant", calls, stop_reason="tool_calls", usage=usage, model=self._chat.name)
            return
        else:
            # The same call again would bring the same result, and one without an end none.
            grammar = notation.text_grammar(not_in_english(said))
            again = self._shown(request, self._prompt(request, grammar, 0.0), usage)
        async with aclosing(again) as answer:
            async for piece in answer:
                yield piece

    async def _from_list(
        self,
        request: ModelRequest,
        said: list[str],
        usage: Usage = Usage(),  # noqa: B008 - frozen
        *,
        quotes: bool = True,
    ) -> AsyncGenerator[Delta | Message, None]:
        """Yield an answer from the list of what the user said, which it may quote or not."""
        claims = claims_of_notes(request.messages)
        not_first = (*not_to_begin_with(said[-1]), *not_in_english(said), *claims)
        prompt = self._prompt(
            request,
            recall.grammar(said[:-1] if quotes else [], not_first),
            0.0,
            recalling(said),
            is_usual=False,
        )
        async with aclosing(self._shown(request, prompt, usage)) as answer:
            async for piece in answer:
                yield recall.marked(piece) if isinstance(piece, Message) else piece

    async def _whole_call(self, prompt: Prompt) -> tuple[str, Usage]:
        """Return a call that the asker's limit has cut off, which is none of the answer's length."""
        sampling = msgspec.structs.replace(prompt.request.sampling, max_output_tokens=CALL_TOKENS)
        message = await self._chat.whole(
            msgspec.structs.replace(
                prompt, request=msgspec.structs.replace(prompt.request, sampling=sampling)
            )
        )
        return message.text, message.usage or Usage()

    def _new_calls(self, written: str, turn: tuple[Message, ...]) -> tuple[ToolCall, ...]:
        earlier = {(call.name, call.arguments) for message in turn for call in message.tool_calls}
        now = self._clock.now()
        return tuple(
            ToolCall(new_id("call", now, self._random), call.name, call.arguments)
            for call in notation.read(written)
            if (call.name, call.arguments) not in earlier
        )

    # Asking ---------------------------------------------------------------------------------------

    def _prompt(
        self,
        request: ModelRequest,
        grammar: str,
        temperature: float = _TEMPERATURE,
        added: tuple[Message, ...] = (),
        *,
        is_usual: bool = True,
    ) -> Prompt:
        said = words_of_user(request.messages)
        is_verse = bool(said) and asks_for_verse(said[-1])
        if is_verse:
            temperature = max(temperature, _TEMPERATURE_OF_VERSE)
        name, own = self.split(request.system)
        shared = f"{BOUNDARY}\n\n{own}" if own else BOUNDARY
        system = salted_system(shared, BOUNDARY, salt_of(request.session_hint))
        asked = ModelRequest(
            system,
            (*conversation(request.messages), *added),
            sampling=limited(request.sampling, temperature=temperature),
            session_hint=request.session_hint,
            audience=request.audience,
        )
        opening_tokens = self.opening_tokens.get(name, OPENING_TOKENS)
        return Prompt(
            kind_of(name),
            asked,
            grammar,
            opening_of(name),
            opening_tokens,
            is_usual,
            is_varied=is_verse,
        )

    def split(self, system: str) -> tuple[str, str]:
        """Return the agent's name in a system prompt, and what stands there beside the server's own words.

        A prompt that begins otherwise is the default agent's, with all of it as its own.
        """
        if self._after_name and system.startswith(self._before_name):
            name, found, own = system.removeprefix(self._before_name).partition(self._after_name)
            if found and "\n" not in name:
                return name, own.strip("\n")
        return DEFAULT_NAME, system.removeprefix(self._shared_system).strip("\n")

    async def _shown(
        self,
        request: ModelRequest,
        prompt: Prompt,
        usage: Usage,
        *,
        checks: tuple[tuple[str, str], ...] = (),
        may_call: bool = False,
    ) -> AsyncGenerator[Delta | Message, None]:
        """Yield the engine's answer as far as it may be shown; a call is yielded as one message of text.

        `usage`: of what was asked before. `checks`: expressions and results that the answer must say.
        `may_call`: calls may stand in it.
        """
        question = next((each.text for each in reversed(request.messages) if each.role == "user"), "")
        name, _ = self.split(request.system)
        filtered = Shown(MakerGuard(question, request.system, name), checks, may_call=may_call)
        async with aclosing(self._chat.ask(prompt)) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    if filtered.is_call:
                        call = msgspec.structs.replace(piece, parts=(Text(filtered.call),))
                        yield self._counted(call, usage, name)
                        return
                    if rest := filtered.end():
                        yield TextDelta(rest)
                    thoughts = tuple(part for part in piece.parts if isinstance(part, Thinking))
                    spoken = (Text(filtered.text),) if filtered.text else ()
                    whole = msgspec.structs.replace(piece, parts=(*thoughts, *spoken))
                    yield self._counted(whole, usage, name)
                    return
                if not isinstance(piece, TextDelta):
                    yield piece
                elif text := filtered.pass_on(piece.text):
                    yield TextDelta(text)
                if filtered.is_over:
                    break
        # The engine's count did not come: it is stopped in the middle.
        used = Usage(completion_tokens=filtered.pieces)
        if filtered.is_call:
            yield self._counted(Message("assistant", (Text(filtered.call),), "stop", usage=used), usage, name)
            return
        if rest := filtered.end():
            yield TextDelta(rest)
        yield self._counted(Message("assistant", (Text(filtered.text),), "stop", usage=used), usage, name)

    def _counted(self, message: Message, before: Usage, name: str) -> Message:
        usage = without_luck(message.usage or Usage(), self.opening_tokens.get(name, 0)) + before
        return msgspec.structs.replace(message, usage=usage, model=self._chat.name)
