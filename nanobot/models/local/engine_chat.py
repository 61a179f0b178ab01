"""Asking the engine: one answer, within the window that all requests share."""

import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ModelBadAnswer, ModelError, ModelUnreachable
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Part, StopReason, Text, Thinking, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.turn import Sampling
from nanobot.models.local.engine_api import EngineApi
from nanobot.models.local.loops import LoopBrake
from nanobot.models.local.prefix import SavedPrefix
from nanobot.models.local.process import SLOTS, Endpoint, Engine
from nanobot.models.local.slots import Slot, Slots
from nanobot.models.local.window import Window, estimate_tokens
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.openai.request import OpeningMessage
from nanobot.models.remote_settings import RemoteSettings

DEFAULT_ANSWER_TOKENS = 1_024
_SLOW_S = 60.0
# The longer a run of words is that was written before, the less likely is its next one.
_VARIED = {"dry_multiplier": 1.5, "dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": 400}
_log = logging.getLogger(__name__)
ABILITIES: frozenset[Ability] = frozenset({"json_object", "json_schema", "tools", "noting"})


class Prompt(msgspec.Struct, frozen=True):
    """What the engine is asked. Its answer keeps to `grammar`; where that is empty it may be anything.

    `kind`: prompts of one kind begin alike. `opening` stands before the request's own messages, and has
    `opening_tokens`. `is_usual`: many requests have this grammar. `is_single`: no other request goes on with
    it. `is_varied`: what its answer has said it does not say again.
    """

    kind: str
    request: ModelRequest
    grammar: str = ""
    opening: tuple[OpeningMessage, ...] = ()
    opening_tokens: int = 0
    is_usual: bool = False
    is_single: bool = False
    is_varied: bool = False

    @property
    def session(self) -> str:
        """Whose slot it is answered in: that of no session where none will go on."""
        return "" if self.is_single else self.request.session_hint


class EngineChat:
    """The chat of the engine that `process` runs. `template`: arguments of the weights' own template.

    `saved`: by kind, what prompts begin with, as the engine has it on the disk.
    """

    def __init__(
        self,
        name: str,
        process: Engine,
        *,
        context_tokens: int,
        template: Mapping[str, object],
        clock: Clock,
        random: random.Random,
    ) -> None:
        self.name = name
        self._process = process
        self._context_tokens = context_tokens
        self._extra: dict[str, object] = {"cache_prompt": True}
        if template:
            self._extra["chat_template_kwargs"] = dict(template)
        self._clock = clock
        self._random = random
        self._window = Window(context_tokens)
        self.slots = Slots(SLOTS)
        self.saved: dict[str, SavedPrefix] = {}
        self._chats: dict[tuple[Endpoint, str, str, int], OpenAIChat] = {}
        self._endpoint: Endpoint | None = None

    async def close(self) -> None:
        chats, self._chats = self._chats, {}
        for chat in chats.values():
            await chat.close()

    def meet(self, endpoint: Endpoint) -> None:
        """Note which process answers by now: one that is new has read nothing."""
        if endpoint != self._endpoint:
            self._endpoint = endpoint
            self.slots.forget()

    async def ask(self, prompt: Prompt) -> AsyncGenerator[Delta | Message, None]:
        """Yield the engine's answer, up to where it begins to repeat itself without end.

        Where the engine died before the answer began, it is asked once more when it is up again.

        Raises:
            ModelError: it cannot run here, or failed.
        """
        thought, said = _Braked(), _Braked()
        async with aclosing(self._asked(prompt)) as answer:
            async for piece in answer:
                if isinstance(piece, TextDelta | ThinkingDelta):
                    braked = said if isinstance(piece, TextDelta) else thought
                    piece = msgspec.structs.replace(piece, text=braked.pass_on(piece.text))
                yield piece
                if thought.is_loop or said.is_loop:
                    break
            else:
                return
        parts: list[Part] = [Thinking(thought.text)] if thought.text else []
        if said.text:
            parts.append(Text(said.text))
        # What should have had a form has none.
        reason: StopReason = "stop" if prompt.request.format is None else "length"
        # The engine's own count does not come any more.
        usage = Usage(completion_tokens=thought.pieces + said.pieces)
        yield Message("assistant", tuple(parts), reason, usage=usage, model=self.name)

    async def _asked(self, prompt: Prompt) -> AsyncGenerator[Delta | Message, None]:
        request = prompt.request
        answer_tokens = request.sampling.max_output_tokens or DEFAULT_ANSWER_TOKENS
        begun = died = False
        self._process.start()
        tokens = prompt.opening_tokens + estimate_tokens(request) + answer_tokens
        watch = Watch(self.name, self._clock)
        async with (
            watch,
            self._window.reserve(tokens),
            self.slots.lend(prompt.kind, prompt.session) as slot,
        ):
            watch.lent_at = self._clock.now()
            while True:
                endpoint = await self._process.ready()
                self.meet(endpoint)
                await self._prepare(endpoint, slot, prompt, tokens)
                try:
                    async with (
                        self._chat_at(endpoint, prompt, slot.number) as chat,
                        aclosing(chat.stream(request)) as answer,
                    ):
                        async for piece in answer:
                            begun = True
                            watch.see()
                            if isinstance(piece, Message) and piece.usage is not None:
                                slot.tokens = piece.usage.prompt_tokens + piece.usage.completion_tokens
                            yield piece
                    return
                except (ModelUnreachable, ModelBadAnswer):
                    if begun or died:
                        raise
                    died = True

    async def _prepare(self, endpoint: Endpoint, slot: Slot, prompt: Prompt, tokens: int) -> None:
        """Make room in the window, and put into the slot what prompts of this kind begin with."""
        is_new = slot.kind != prompt.kind
        slot.kind, slot.session = prompt.kind, prompt.session
        slot.tokens = min(tokens, self._context_tokens)
        erased = self.slots.to_erase(self._window.reserved, self._context_tokens)
        saved = self.saved.get(prompt.kind) if is_new else None
        if not erased and saved is None:
            return
        engine = EngineApi(self.name, endpoint)
        try:
            for idle in erased:
                await engine.erase(idle.number)
                idle.kind, idle.session, idle.tokens = None, "", 0
            if saved is not None and not await saved.load(engine, slot.number):
                await saved.make(engine, slot.number)
        except ModelError:
            # The engine then reads it itself, and makes room as far as it can.
            return
        finally:
            await engine.close()

    async def whole(self, prompt: Prompt) -> Message:
        """Return the engine's whole answer.

        Raises:
            ModelError: as `ask`.
        """
        async with aclosing(self.ask(prompt)) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    return piece
        raise ModelBadAnswer(f"the model {self.name} ended without an answer")

    @asynccontextmanager
    async def _chat_at(self, endpoint: Endpoint, prompt: Prompt, slot: int) -> AsyncIterator[OpenAIChat]:
        """Lend a chat with the engine: one that is kept, or one for this prompt under its grammar, as the
        number of grammars has no limit.
        """
        if prompt.is_varied or (prompt.grammar and not prompt.is_usual):
            chat = self._connect(endpoint, prompt, slot)
            try:
                yield chat
            finally:
                await chat.close()
            return
        # Prompts of one kind have one opening.
        key = (endpoint, prompt.grammar, prompt.kind if prompt.opening else "", slot)
        if key not in self._chats:
            self._chats[key] = self._connect(endpoint, prompt, slot)
            # Of an engine that has died.
            dead = [self._chats.pop(each) for each in list(self._chats) if each[0] != endpoint]
            for old in dead:
                await old.close()
        yield self._chats[key]

    def _connect(self, endpoint: Endpoint, prompt: Prompt, slot: int) -> OpenAIChat:
        extra = {**self._extra, "id_slot": slot}
        if prompt.is_varied:
            extra.update(_VARIED)
        if prompt.grammar:
            extra["grammar"] = prompt.grammar
        return OpenAIChat(
            RemoteSettings(
                name=self.name,
                model="local",
                base_url=endpoint.base_url,
                abilities=ABILITIES,
                api_key=endpoint.api_key,
                context_tokens=self._context_tokens,
                max_retries=1,
                socket_path=endpoint.socket_path,
                extra_body=extra,
            ),
            clock=self._clock,
            random=self._random,
            opening=prompt.opening,
        )


class Watch:
    """Says in the log what an answer has waited for that took long."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self.lent_at: float | None = None
        self._first_at: float | None = None
        self._pieces = 0

    async def __aenter__(self) -> None:
        self._asked_at = self._clock.now()

    def see(self) -> None:
        """Note that a piece of the answer came."""
        if self._first_at is None:
            self._first_at = self._clock.now()
        self._pieces += 1

    async def __aexit__(self, *_: object) -> None:
        now = self._clock.now()
        if now - self._asked_at < _SLOW_S:
            return
        lent_at = now if self.lent_at is None else self.lent_at
        first_at = now if self._first_at is None else self._first_at
        _log.warning(
            "%s: an answer took %.0f s: %.0f s behind other answers, %.0f s until its first piece, %.0f s"
            " for %d pieces",
            self._name,
            now - self._asked_at,
            lent_at - self._asked_at,
            first_at - lent_at,
            now - first_at,
            self._pieces,
        )


class _Braked:
    """What was passed on of an answer's words or thoughts, up to where they become a loop."""

    def __init__(self) -> None:
        self._brake = LoopBrake()
        self.text = ""
        self.pieces = 0

    @property
    def is_loop(self) -> bool:
        return self._brake.is_loop

    def pass_on(self, text: str) -> str:
        """Return what may be shown now that the model wrote `text`."""
        self.pieces += 1
        text = self._brake.before_loop(text)
        self.text += text
        return text


def limited(requested: Sampling, *, temperature: float) -> Sampling:
    """Return `requested`, with `temperature` and the usual limit where it leaves them open."""
    if requested.temperature is not None:
        temperature = requested.temperature
    limit = requested.max_output_tokens or DEFAULT_ANSWER_TOKENS
    return msgspec.structs.replace(requested, temperature=temperature, max_output_tokens=limit)
