"""The small model on this machine: an engine in a process of its own, asked over a socket.

How it is asked depends on its weights and on the request: in one pass (`one_pass.py`), after a question about
the tools that are needed (`routed.py`), as a task beside a conversation (`side_task.py`), or in the weights'
own form (`native.py`). A wish to note something down is carried out without asking it (`notes.py`).
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import takewhile
from pathlib import Path

from nanobot.core.clock import Clock
from nanobot.core.errors import ModelError, ModelUnavailable, ModelUnreachable
from nanobot.core.event import Delta
from nanobot.core.message import Message, user
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.persona import DEFAULT_NAME
from nanobot.core.tool import ToolSpec
from nanobot.models.local.engine_api import EngineApi
from nanobot.models.local.engine_chat import ABILITIES, EngineChat
from nanobot.models.local.native import NATIVE, Native
from nanobot.models.local.notes import Notes
from nanobot.models.local.one_pass import OPENING_TOKENS, OnePass, kind_of, opening_with
from nanobot.models.local.prefix import SavedPrefix
from nanobot.models.local.process import Endpoint, Engine, EngineProcess, engine_version
from nanobot.models.local.routed import Routed
from nanobot.models.local.salt import MEASURES, salted_system
from nanobot.models.local.side_task import SideTasks
from nanobot.models.openai.request import OpeningMessage
from nanobot.models.weights.installed import PREFIXES, find, format_of, identity_of

CONTEXT_TOKENS = 8_192


class LocalModel:
    """A model that runs in a child process, from weights that are on this machine already.

    Args:
        name: as `nanobot model list` calls it, or `local:` and the path of a GGUF file.
        models_dir: where fetched weights are kept, and what the engine has read of all prompts' beginning.
        log_path: the file that the engine's output goes to.
        warm_system, warm_tools: what most requests begin with. The engine reads it after each start, so that
            the first answer comes soon.
        noting_tools: those that note down and forget what a user asks for, as models are told of them.
        agent_name: the agent whose opening is read then; those of others are read when they are asked first.
        sleep_idle_s: the engine frees its memory after so long without a request; -1: never.
        make_engine: makes the engine, with the arguments of `EngineProcess`.

    Raises:
        ConfigError: there is no local model of that name.
        ModelUnavailable: the weights are not on this machine.
    """

    def __init__(
        self,
        *,
        name: str,
        models_dir: Path,
        log_path: Path,
        clock: Clock,
        random: random.Random,
        warm_system: str = "",
        warm_tools: tuple[ToolSpec, ...] = (),
        noting_tools: tuple[ToolSpec, ...] = (),
        agent_name: str = DEFAULT_NAME,
        sleep_idle_s: int = 1_800,
        context_tokens: int = CONTEXT_TOKENS,
        make_engine: Callable[..., Engine] = EngineProcess,
    ) -> None:
        path = find(name, models_dir)
        if path is None:
            raise ModelUnavailable(
                f"the weights of {name} are not in {models_dir}: fetch them with `nanobot model pull {name}`"
            )
        self._name = name
        self._path = path
        self._clock = clock
        self._context_tokens = context_tokens
        self._sleep_idle_s = sleep_idle_s
        self._warm_system = warm_system
        self._warm_tools = warm_tools
        self._agent_name = agent_name
        self._slots_dir = models_dir / PREFIXES
        self._process = make_engine(
            name=name,
            model_path=path,
            models_dir=models_dir,
            slots_dir=self._slots_dir,
            log_path=log_path,
            context_tokens=context_tokens,
            clock=clock,
            sleep_idle_s=sleep_idle_s,
            warm=self._warm,
        )
        self._format = format_of(name, path)
        self._chat = EngineChat(
            name,
            self._process,
            context_tokens=context_tokens,
            template=self._format.template,
            clock=clock,
            random=random,
        )
        self._one_pass = OnePass(self._chat, warm_system, clock, random)
        self._routed = Routed(self._chat, warm_system, warm_tools, clock, random)
        self._native = Native(self._chat, warm_system)
        self._notes = Notes(name, noting_tools, clock, random)
        self._side_tasks = SideTasks(self._chat, self._one_pass.split)
        self._asked_at = clock.now()
        self._prefix_read = asyncio.Event()
        self.warmed = asyncio.Event()

    @property
    def name(self) -> str:
        return self._name

    @property
    def context_tokens(self) -> int:
        """What the window has beside the examples before every conversation."""
        if self._format.kind == "native":
            return self._context_tokens
        return max(self._context_tokens // 4, self._context_tokens - OPENING_TOKENS)

    @property
    def abilities(self) -> frozenset[Ability]:
        return ABILITIES

    @property
    def pid(self) -> int | None:
        """The engine's process id while it runs."""
        return self._process.pid

    async def warm(self) -> None:
        """Begin to load the weights, in the background; a request that comes meanwhile waits for them."""
        self._process.start()

    async def check(self) -> None:
        """Return when the engine has loaded the model, or raise at once while it has not.

        Raises:
            ModelUnreachable: it is still loading.
            ModelUnavailable: it cannot run here.
        """
        self._process.start()
        if not self._process.is_up and not self._process.has_failed:
            raise ModelUnreachable(f"the model {self._name} is still being loaded", retry_after_s=2.0)
        await self._process.ready()

    async def close(self) -> None:
        """Stop the engine. Safe to call twice."""
        await self._process.close()
        await self._chat.close()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield the answer, or a message that calls tools, in the form of `core.model.Model`.

        Raises:
            ModelError: the engine cannot run here, or failed.
        """
        async with aclosing(await self._answer(request)) as answer:
            async for piece in answer:
                yield piece

    async def _answer(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        if (wish := self._notes.wish_of(request)) is not None:
            return self._notes.stream(request, wish)
        request = self._notes.without_tools(request)
        self._note_sleep()
        if self._format.kind == "native":
            return self._native.stream(request)
        if request.is_side_task:
            return self._side_tasks.stream(request)
        if not self._one_pass.takes(request, self._warm_tools):
            return self._routed.stream(request)
        self._process.start()
        await self._process.ready()
        # It would have to read all of the prefix itself, and both would take longer.
        await self._prefix_read.wait()
        await self._know_opening(self._one_pass.split(request.system)[0])
        return self._one_pass.stream(request)

    # What all prompts begin with ------------------------------------------------------------------

    def _note_sleep(self) -> None:
        """Note where the engine has freed its memory since the last request: it has lost what it had read."""
        now = self._clock.now()
        if 0 < self._sleep_idle_s <= now - self._asked_at:
            self._chat.slots.forget()
        self._asked_at = now

    async def _warm(self, endpoint: Endpoint) -> None:
        """Have the engine read what most prompts begin with, from the disk where it is there.

        Where that fails, the first request reads it.
        """
        self._prefix_read.clear()
        self._chat.meet(endpoint)
        engine = EngineApi(self._name, endpoint)
        try:
            if self._format.kind == "native":
                await self._warm_native(engine)
            else:
                await self._warm_one_pass(engine)
            self.warmed.set()
        except ModelError:
            return
        finally:
            self._prefix_read.set()
            await engine.close()

    async def _warm_one_pass(self, engine: EngineApi) -> None:
        saved = await self._opening(engine, self._agent_name)
        hello = user("hello")
        self._routed.routing_tokens = len(
            await self._shared(
                engine,
                *(_wire(self._routed.asked_for_route(self._warm_tools, hello, salt)) for salt in MEASURES),
            )
        )
        self._routed.answer_tokens = len(await self._shared(engine, *self._salted_systems()))
        if not await saved.load(engine, 0):
            await saved.make(engine, 0)
        name = self._agent_name
        self._chat.slots.read(0, kind_of(name), self._one_pass.opening_tokens[name])

    async def _know_opening(self, name: str) -> None:
        """Learn how long the opening of an agent is, and where it is kept; the request's slot reads it.

        Where that fails, the engine reads the opening with the request.
        """
        if name in self._one_pass.opening_tokens:
            return
        engine = EngineApi(self._name, await self._process.ready())
        try:
            await self._opening(engine, name)
        except ModelError:
            return
        finally:
            await engine.close()

    async def _opening(self, engine: EngineApi, name: str) -> SavedPrefix:
        tokens = await self._shared(engine, *(opening_with(salt, name) for salt in MEASURES))
        identity = await asyncio.to_thread(identity_of, self._name, self._path)
        parts = (identity, engine_version(), str(self._context_tokens))
        self._one_pass.opening_tokens[name] = len(tokens)
        self._chat.saved[kind_of(name)] = saved = SavedPrefix(self._slots_dir, tokens, parts)
        return saved

    async def _warm_native(self, engine: EngineApi) -> None:
        opening = await self._shared(engine, *self._salted_systems())
        await engine.read(opening, 0)
        self._chat.slots.read(0, NATIVE, len(opening))
        self._native.opening_tokens = len(opening)

    def _salted_systems(self) -> tuple[tuple[OpeningMessage, ...], ...]:
        return tuple(
            (OpeningMessage("system", salted_system(self._warm_system, self._warm_system, salt)),)
            for salt in MEASURES
        )

    async def _shared(self, engine: EngineApi, *prompts: tuple[OpeningMessage, ...]) -> tuple[int, ...]:
        """Return the tokens that two prompts, which differ in their salts, begin with in common."""
        one, other = [
            await engine.rendered((*messages, OpeningMessage("user", "hello"))) for messages in prompts
        ]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        return await engine.tokens(one[:same])


def _wire(request: ModelRequest) -> tuple[OpeningMessage, ...]:
    """Return the messages of a request that has only text, as the engine gets them."""
    said = [
        OpeningMessage("assistant" if message.role == "assistant" else "user", message.text)
        for message in request.messages
    ]
    return (OpeningMessage("system", request.system), *said)
