"""The small model on this machine: an engine in a process of its own, asked over a socket.

It is too small to call tools by itself. Before each answer it is asked, under a grammar, what the message
needs (`routing.py`): tools, a part of the conversation itself, or nothing. The tools' results are then put
into the prompt as plain text (`plain_text.py`).
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.cut_file import READ_FILE
from nanobot.core.errors import ModelBadAnswer, ModelError, ModelUnavailable, ModelUnreachable
from nanobot.core.event import Delta
from nanobot.core.ids import new_id
from nanobot.core.message import Message, ToolCall, Usage, user
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Sampling
from nanobot.models.local import routing
from nanobot.models.local.plain_text import PlainRequest, plain
from nanobot.models.local.process import Endpoint, EngineProcess
from nanobot.models.local.routing import Decision, PlannedCall
from nanobot.models.local.salt import MEASURES, salt_of, salted_question, salted_system, without_luck
from nanobot.models.local.window import Window, estimate_tokens
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.weights.installed import find

CONTEXT_TOKENS = 8_192
DEFAULT_ANSWER_TOKENS = 1_024
_TEMPERATURE = 0.2
_MAX_ROUTINGS = 2
_ABILITIES: frozenset[Ability] = frozenset({"json_object", "json_schema", "tools"})
_EXTRA = {"cache_prompt": True}


class LocalModel:
    """A model that runs in a child process, from weights that are on this machine already.

    Args:
        name: `local`, `local:small`, `local:tiny`, or `local:` and the path of a GGUF file.
        models_dir: where fetched weights are kept.
        log_path: the file that the engine's output goes to.
        warm_system, warm_tools: what most requests begin with. The engine reads it after each start, so that
            the first answer comes soon.
        sleep_idle_s: the engine frees its memory after so long without a request; -1: never.

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
        # How long they are in the engine's tokens; 0 until it has read them.
        self._routing_tokens = self._answer_tokens = 0
        self._process = EngineProcess(
            name=name,
            model_path=path,
            models_dir=models_dir,
            log_path=log_path,
            context_tokens=context_tokens,
            clock=clock,
            sleep_idle_s=sleep_idle_s,
            warm=self._warm,
        )
        self._chat: tuple[Endpoint, OpenAIChat] | None = None
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
        chat, self._chat = self._chat, None
        if chat is not None:
            await chat[1].close()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield the answer, or a message that calls tools, in the form of `core.model.Model`.

        Raises:
            ModelError: the engine cannot run here, or failed.
        """
        # It finds neither the names of files nor places in them: a tool for these only misleads it.
        tools = tuple(tool for tool in request.tools if tool.name != READ_FILE)
        request = msgspec.structs.replace(request, tools=tools) if tools != request.tools else request
        route, routing_usage = await self._route(request)
        if route.calls:
            yield self._call_message(route.calls, routing_usage)
            return
        if request.tool_choice.mode == "required":
            raise ModelBadAnswer(f"the model {self._name} did not manage to call a tool")
        salted = msgspec.structs.replace(
            request, system=salted_system(request.system, self._warm_system, salt_of(request.session_hint))
        )
        prompt = plain(salted, None if request.format else route.recall)
        repeats = route.recall is not None or (bool(request.messages) and request.messages[-1].role == "tool")
        # What was said, or looked up, is to be repeated exactly.
        sampling = _sampling(request.sampling, temperature=0.0 if repeats else _TEMPERATURE)
        async with aclosing(self._ask(prompt, sampling)) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    shared = self._answer_tokens if request.system.startswith(self._warm_system) else 0
                    usage = routing_usage + without_luck(piece.usage or Usage(), shared)
                    yield msgspec.structs.replace(piece, usage=usage, model=self._name)
                else:
                    yield piece

    # Routing --------------------------------------------------------------------------------------

    async def _route(self, request: ModelRequest) -> tuple[Decision, Usage]:
        """Return what the last message needs, and the usage of asking for it."""
        turn = _current_turn(request.messages)
        steps = sum(1 for message in turn if message.tool_calls)
        must_call = request.tool_choice.mode == "required"
        if not turn or (not must_call and (steps >= _MAX_ROUTINGS or (steps and not _failed(turn)))):
            return Decision(), Usage()
        max_calls = 1 if request.sampling.parallel_tool_calls is False else routing.MAX_CALLS
        salt = salt_of(request.session_hint)
        decision = await self._decide(
            request.tools, routing.question(request.messages), salt, request.tool_choice, max_calls
        )
        route = routing.read(decision.text, request.tools, max_calls=max_calls)
        earlier = {(call.name, call.arguments) for message in turn for call in message.tool_calls}
        # The same call again would bring the same result.
        calls = tuple(call for call in route.calls if (call.name, call.arguments) not in earlier)
        shared = self._routing_tokens if request.tools == self._warm_tools else 0
        usage = without_luck(decision.usage or Usage(), shared)
        return Decision(calls, None if steps else route.recall), usage

    async def _decide(
        self,
        tools: tuple[ToolSpec, ...],
        question: Message,
        salt: str,
        choice: ToolChoice = routing.ANY,
        max_calls: int = routing.MAX_CALLS,
    ) -> Message:
        """Return the model's decision about `question`, in the words of `routing.grammar`."""
        system = routing.instructions(tools)
        if tools == self._warm_tools:
            question = salted_question(question, salt)
        else:
            # A client's tools are a part of its conversation.
            system = salted_system(system, "", salt)
        request = ModelRequest(system, (*routing.examples(tools), question))
        sampling = Sampling(temperature=0.0, max_output_tokens=routing.MAX_ROUTE_TOKENS)
        grammar = routing.grammar(tools, choice=choice, max_calls=max_calls)
        return await self._whole(PlainRequest(request, grammar), sampling)

    def _call_message(self, planned: tuple[PlannedCall, ...], usage: Usage) -> Message:
        now = self._clock.now()
        calls = tuple(
            ToolCall(new_id("call", now, self._random), call.name, call.arguments) for call in planned
        )
        return Message("assistant", calls, stop_reason="tool_calls", usage=usage, model=self._name)

    # Asking the engine ----------------------------------------------------------------------------

    async def _ask(self, prompt: PlainRequest, sampling: Sampling) -> AsyncGenerator[Delta | Message, None]:
        """Yield the engine's answer.

        Where the engine died before the answer began, it is asked once more when it is up again.
        """
        request = msgspec.structs.replace(prompt.request, sampling=sampling)
        answer_tokens = sampling.max_output_tokens or DEFAULT_ANSWER_TOKENS
        begun = died = False
        self._process.start()
        async with self._window.reserve(estimate_tokens(request) + answer_tokens):
            while True:
                endpoint = await self._process.ready()
                try:
                    async with (
                        self._chat_at(endpoint, prompt.grammar) as chat,
                        aclosing(chat.stream(request)) as answer,
                    ):
                        async for piece in answer:
                            begun = True
                            yield piece
                    return
                except (ModelUnreachable, ModelBadAnswer):
                    if begun or died:
                        raise
                    died = True

    async def _whole(self, prompt: PlainRequest, sampling: Sampling) -> Message:
        async with aclosing(self._ask(prompt, sampling)) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    return piece
        raise ModelBadAnswer(f"the model {self._name} ended without an answer")

    @asynccontextmanager
    async def _chat_at(self, endpoint: Endpoint, grammar: str) -> AsyncIterator[OpenAIChat]:
        """Lend a model at `endpoint`: one for all requests, or one for this request under its grammar, as the
        number of grammars has no limit.
        """
        if grammar:
            chat = self._connect(endpoint, {**_EXTRA, "grammar": grammar})
            try:
                yield chat
            finally:
                await chat.close()
            return
        if self._chat is None or self._chat[0] != endpoint:
            before, self._chat = self._chat, (endpoint, self._connect(endpoint, _EXTRA))
            if before is not None:
                await before[1].close()
        yield self._chat[1]

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
        """Have the engine read what most requests begin with, and say how long it is: as much as it has read
        already when it is asked with another salt.

        Where that fails, the first request reads it.
        """
        routing_tokens = answer_tokens = 0
        try:
            for salt in MEASURES:
                decision = await self._decide(self._warm_tools, user("hello"), salt)
                routing_tokens = _cached(decision)
            for salt in MEASURES:
                system = salted_system(self._warm_system, self._warm_system, salt)
                request = ModelRequest(system, (user("hello"),))
                answer_tokens = _cached(
                    await self._whole(PlainRequest(request), Sampling(max_output_tokens=1))
                )
        except ModelError:
            return
        self._routing_tokens, self._answer_tokens = routing_tokens, answer_tokens
        self.warmed.set()


def _cached(message: Message) -> int:
    return message.usage.cached_tokens if message.usage is not None else 0


def _current_turn(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages from the user's last one on; empty where the last message is an answer."""
    if not messages or messages[-1].role == "assistant":
        return ()
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=len(messages))
    return messages[last:]


def _failed(turn: tuple[Message, ...]) -> bool:
    """Return whether the newest results hold an error, so that another call may do better."""
    results = turn[-1].tool_results
    return bool(results) and any(result.is_error for result in results)


def _sampling(requested: Sampling, *, temperature: float) -> Sampling:
    """Return `requested`, with `temperature` and the usual limit where it leaves them open."""
    if requested.temperature is not None:
        temperature = requested.temperature
    limit = requested.max_output_tokens or DEFAULT_ANSWER_TOKENS
    return msgspec.structs.replace(requested, temperature=temperature, max_output_tokens=limit)
