"""The small model on this machine: an engine in a process of its own, asked over a socket.

It cannot call tools by itself. Before an answer it is asked, under a grammar, what the message needs
(`routing.py`): a tool, something of the conversation itself, or nothing. A tool's result is then told as text
(`plain_text.py`).
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ModelBadAnswer, ModelError, ModelUnavailable, ModelUnreachable
from nanobot.core.event import Delta
from nanobot.core.ids import new_id
from nanobot.core.message import Message, ToolCall, Usage, user
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Sampling
from nanobot.models.local import routing
from nanobot.models.local.plain_text import Plain, plain
from nanobot.models.local.process import Endpoint, Process
from nanobot.models.local.routing import Decision
from nanobot.models.local.window import Window, estimate_tokens
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.weights.installed import find

CONTEXT_TOKENS = 8_192
DEFAULT_ANSWER_TOKENS = 1_024
_TEMPERATURE = 0.2
_MAX_ROUTINGS = 2
_ABILITIES: frozenset[Ability] = frozenset({"json_object", "json_schema"})
_EXTRA = {"cache_prompt": True}


class LocalModel:
    """A model that runs in a child process, from weights that are on this machine already.

    Args: name: `local`, `local:small`, `local:tiny`, or `local:` and the path of a GGUF file. models_dir:
      Where fetched weights are kept. log_path: What the engine prints goes here. warm_system, warm_tools:
      What most requests begin with; it is read once after each start, so that the first answer comes soon.
      sleep_idle_s: After so long without a request the engine gives its memory back; -1 never.

    Raises:
        ConfigError: the name means nothing.
        ModelUnavailable: the weights are not there.
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
        sleep_idle_s: int = 1_800,
        context_tokens: int = CONTEXT_TOKENS,
    ) -> None:
        path = find(name, models_dir)
        if path is None:
            raise ModelUnavailable(
                f"the weights of {name} are not in {models_dir}: fetch them with `nanobot model pull {name}`"
            )
        self._name = name
        self._clock = clock
        self._random = random
        self._context_tokens = context_tokens
        self._window = Window(context_tokens)
        self._warm_system = warm_system
        self._warm_tools = warm_tools
        self._process = Process(
            name=name,
            model_path=path,
            models_dir=models_dir,
            log_path=log_path,
            context_tokens=context_tokens,
            clock=clock,
            sleep_idle_s=sleep_idle_s,
            warm=self._warm,
        )
        self._kept: tuple[Endpoint, OpenAIChat] | None = None
        self.warmed = asyncio.Event()

    @property
    def name(self) -> str:
        return self._name

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    @property
    def abilities(self) -> frozenset[Ability]:
        return _ABILITIES

    @property
    def pid(self) -> int | None:
        """The engine's process id while it runs."""
        return self._process.pid

    async def warm(self) -> None:
        """Begin to load the weights, in the background; a request that comes meanwhile waits for them."""
        self._process.start()

    async def check(self) -> None:
        """Return when the engine has loaded the model; at once where it has.

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
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept[1].close()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield the answer, or a message that calls tools; as `core.model.Model` has it.

        Raises:
            ModelError: the engine cannot run here, or failed.
        """
        route, spent = await self._route(request)
        if route.wishes:
            yield self._calling(route, spent)
            return
        if request.tool_choice.mode == "required":
            raise ModelBadAnswer(f"the model {self._name} did not manage to call a tool")
        asked = plain(request, None if request.format else route.recall)
        is_exact = route.recall is not None or (
            bool(request.messages) and request.messages[-1].role == "tool"
        )
        async with aclosing(self._ask(asked, _sampling(request.sampling, is_exact=is_exact))) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    yield msgspec.structs.replace(
                        piece, usage=spent + (piece.usage or Usage()), model=self._name
                    )
                else:
                    yield piece

    # Routing --------------------------------------------------------------------------------------

    async def _route(self, request: ModelRequest) -> tuple[Decision, Usage]:
        """Return what the last message needs, and what it cost to know."""
        turn = _current_turn(request.messages)
        steps = sum(1 for message in turn if message.tool_calls)
        must_call = request.tool_choice.mode == "required"
        if not turn or (not must_call and (steps >= _MAX_ROUTINGS or (steps and not _failed(turn)))):
            return Decision(), Usage()
        most_calls = 1 if request.sampling.parallel_tool_calls is False else routing.MAX_CALLS
        said = await self._decide(
            request.tools, routing.question(request.messages), request.tool_choice, most_calls
        )
        route = routing.read(said.text, request.tools, most_calls=most_calls)
        made = {(call.name, call.arguments) for message in turn for call in message.tool_calls}
        fresh = tuple(wish for wish in route.wishes if (wish.name, wish.arguments) not in made)
        return Decision(fresh, None if steps else route.recall), said.usage or Usage()

    async def _decide(
        self,
        tools: tuple[ToolSpec, ...],
        question: Message,
        choice: ToolChoice = routing.ANY,
        most_calls: int = routing.MAX_CALLS,
    ) -> Message:
        asked = ModelRequest(routing.instructions(tools), (*routing.examples(tools), question))
        sampling = Sampling(temperature=0.0, max_output_tokens=routing.MAX_ROUTE_TOKENS)
        return await self._whole(
            Plain(asked, routing.grammar(tools, choice=choice, most_calls=most_calls)), sampling
        )

    def _calling(self, route: Decision, spent: Usage) -> Message:
        now = self._clock.now()
        calls = tuple(
            ToolCall(new_id("call", now, self._random), wish.name, wish.arguments) for wish in route.wishes
        )
        return Message("assistant", calls, stop_reason="tool_calls", usage=spent, model=self._name)

    # Asking the engine ----------------------------------------------------------------------------

    async def _ask(self, asked: Plain, sampling: Sampling) -> AsyncGenerator[Delta | Message, None]:
        """Yield the engine's answer; where the engine died before the answer began, it is asked once more
        when it is up again.
        """
        request = msgspec.structs.replace(asked.request, sampling=sampling)
        begun = died = False
        self._process.start()
        async with self._window.room(
            estimate_tokens(request) + (sampling.max_output_tokens or DEFAULT_ANSWER_TOKENS)
        ):
            while True:
                endpoint = await self._process.ready()
                try:
                    async with (
                        self._line(endpoint, asked.grammar) as line,
                        aclosing(line.stream(request)) as answer,
                    ):
                        async for piece in answer:
                            begun = True
                            yield piece
                    return
                except (ModelUnreachable, ModelBadAnswer):
                    if begun or died:
                        raise
                    died = True

    async def _whole(self, asked: Plain, sampling: Sampling) -> Message:
        async with aclosing(self._ask(asked, sampling)) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    return piece
        raise ModelBadAnswer(f"the model {self._name} ended without an answer")

    @asynccontextmanager
    async def _line(self, endpoint: Endpoint, grammar: str) -> AsyncIterator[OpenAIChat]:
        """Lend the line to the engine; one under a grammar is made for its request alone, as grammars differ
        without end.
        """
        if grammar:
            line = self._connect(endpoint, {**_EXTRA, "grammar": grammar})
            try:
                yield line
            finally:
                await line.close()
            return
        if self._kept is None or self._kept[0] != endpoint:
            kept, self._kept = self._kept, (endpoint, self._connect(endpoint, _EXTRA))
            if kept is not None:
                await kept[1].close()
        yield self._kept[1]

    def _connect(self, endpoint: Endpoint, extra: Mapping[str, object]) -> OpenAIChat:
        return OpenAIChat(
            name=self._name,
            model="local",
            base_url=endpoint.base_url,
            abilities=_ABILITIES,
            api_key=endpoint.api_key,
            context_tokens=self._context_tokens,
            clock=self._clock,
            random=self._random,
            max_retries=1,
            socket_path=endpoint.socket_path,
            extra_body=extra,
        )

    async def _warm(self, endpoint: Endpoint) -> None:
        """Have the engine read what most requests begin with.

        Nothing is lost where it fails: the first request then reads it.
        """
        try:
            await self._decide(self._warm_tools, user("hello"))
            await self._whole(
                Plain(ModelRequest(self._warm_system, (user("hello"),))), Sampling(max_output_tokens=1)
            )
        except ModelError:
            return
        self.warmed.set()


def _current_turn(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the newest messages, from the user's last one on; empty where nothing waits for an answer."""
    if not messages or messages[-1].role == "assistant":
        return ()
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=len(messages))
    return messages[last:]


def _failed(turn: tuple[Message, ...]) -> bool:
    """Return whether the newest results are errors, so that another call may do better."""
    results = turn[-1].tool_results
    return bool(results) and any(result.is_error for result in results)


def _sampling(wanted: Sampling, *, is_exact: bool) -> Sampling:
    """Return `wanted` with our choices where it leaves them open: what repeats something is exact, other
    answers are a little free.
    """
    temperature = wanted.temperature if wanted.temperature is not None else 0.0 if is_exact else _TEMPERATURE
    limit = wanted.max_output_tokens or DEFAULT_ANSWER_TOKENS
    return msgspec.structs.replace(wanted, temperature=temperature, max_output_tokens=limit)
