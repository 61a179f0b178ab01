"""The models that the suite runs on, each with a provider behind it that answers and fails on demand."""

import asyncio
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec

from nanobot.core.clock import SystemClock
from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
    ModelUnreachable,
)
from nanobot.core.message import user
from nanobot.core.model import Model, ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.core.turn import Sampling
from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.breaker import Breaker
from nanobot.models.configured import ConfiguredModel
from nanobot.models.echo import EchoModel
from nanobot.models.fallback import ChainLink, FallbackModel
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.http import ProviderConnection, Timeouts
from nanobot.models.local.model import LocalModel
from nanobot.models.ollama import OllamaModel
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.openai_responses.responses import OpenAIResponses
from nanobot.models.own_cache import OwnCacheModel
from nanobot.models.refusals import ErrorSource
from nanobot.models.remote_settings import RemoteSettings
from nanobot.testing import Say, ScriptedModel, call
from tests import anthropic_api, gemini_api, responses_api, upstream
from tests.clock import PausedClock
from tests.small_engine import EngineRoutes
from tests.upstream import CUT, HANG, Asked, Gate, Reply, Upstream, refused, spoken, streamed
from tests.weights import TINY, tiny_weights

Fault = Literal[
    "bad key",
    "rate limit",
    "overload",
    "unreachable",
    "rejected request",
    "overflow",
    "malformed answer",
    "cut answer",
    "no first byte",
    "stalled answer",
]
Ability = Literal["thinking", "tools", "pauses", "closing"]
FAULTS: Mapping[Fault, type[ModelError]] = {
    "bad key": ModelRefusedKey,
    "rate limit": ModelRateLimited,
    "overload": ModelOverloaded,
    "unreachable": ModelUnreachable,
    "rejected request": ModelRejectedRequest,
    "overflow": ContextOverflow,
    "malformed answer": ModelBadAnswer,
    "cut answer": ModelBadAnswer,
    "no first byte": ModelTimeout,
    "stalled answer": ModelTimeout,
}
MIDWAY: frozenset[Fault] = frozenset({"cut answer", "stalled answer"})
"""These come after the first delta, which is `BEGINNING`."""
BEGINNING = "It "
RETRY_AFTER_S = 21.0
"""What a rate limit asks for: more than is waited for."""
TOOL = tool_spec("look", "Look something up.", {"type": "object", "properties": {"at": {"type": "string"}}})
REQUEST = ModelRequest("Be brief.", (user("hi"),), (TOOL,), sampling=Sampling(max_output_tokens=8))


class Stage(Protocol):
    """One implementation. What it `lacks`, and why, is a sentence for the skipped test.

    Each of the methods that set up the next answer may be called once between two calls of `reset`.
    """

    model: Model
    lacks: Mapping[Ability | Fault, str]

    async def open(self, folder: Path) -> None: ...

    async def close(self) -> None: ...

    async def reset(self) -> None:
        """Go back to the state after `open`."""
        ...

    def says(self, *pieces: str) -> str | None:
        """Answer with the text in `pieces`; return what the message will say, None where that is not
        known.
        """
        ...

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        """Answer with `first`, and with `second` once the returned function is called."""
        ...

    def thinks(self, thought: str, text: str) -> None: ...

    def calls(self, name: str, arguments: str) -> None: ...

    def fails(self, fault: Fault) -> None:
        """Fail each request, tries of the model's own included."""
        ...

    async def abandoned(self) -> None:
        """Return when the provider works on no request any more."""
        ...


def reply_of(fault: Fault) -> Reply:
    """Return how an OpenAI-compatible server fails."""
    return {
        "bad key": refused(401, "Incorrect API key provided"),
        "rate limit": refused(429, "slow down", headers={"Retry-After": f"{RETRY_AFTER_S:g}"}),
        "overload": refused(529, "overloaded"),
        "unreachable": upstream.dropped(),
        "rejected request": refused(400, "temperature must be below 2"),
        "overflow": upstream.too_long(),
        "malformed answer": spoken(upstream.event("{nope")),
        "cut answer": streamed(upstream.text(BEGINNING), CUT),
        "no first byte": upstream.silent(),
        "stalled answer": streamed(upstream.text(BEGINNING), HANG),
    }[fault]


class OpenAIStage:
    """`OpenAIChat` in front of a scripted server."""

    lacks: Mapping[Ability | Fault, str] = {}

    async def open(self, folder: Path) -> None:
        self._upstream = await Upstream().__aenter__()
        self._hasty: list[Model] = []
        self._patient = self._model()
        self.model: Model = self._patient

    async def close(self) -> None:
        await self.reset()
        await self._patient.close()
        await self._upstream.__aexit__(None, None, None)

    async def reset(self) -> None:
        self._upstream.answer = upstream.greet
        self.model = self._patient
        while self._hasty:
            await self._hasty.pop().close()

    def says(self, *pieces: str) -> str | None:
        self._answer(streamed(*map(upstream.text, pieces)))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        gate = Gate()
        self._answer(streamed(upstream.text(first), gate, upstream.text(second)))
        return gate.open

    def thinks(self, thought: str, text: str) -> None:
        self._answer(streamed(upstream.reasoning(thought), upstream.text(text)))

    def calls(self, name: str, arguments: str) -> None:
        self._answer(streamed(upstream.call(0, "call_7", name, arguments), reason="tool_calls"))

    def fails(self, fault: Fault) -> None:
        if FAULTS[fault] is ModelTimeout:
            limits = Timeouts(first_chunk_s=0.2) if fault == "no first byte" else Timeouts(idle_s=0.2)
            self._hasty.append(self._model(timeouts=limits))
            self.model = self._hasty[-1]
        self._answer(reply_of(fault))

    async def abandoned(self) -> None:
        await self._upstream.idle()

    def _answer(self, reply: Reply) -> None:
        self._upstream.answer = lambda asked: reply

    def _model(self, **options: Any) -> Model:
        return OpenAIChat(
            RemoteSettings(
                name="test:m",
                model="m",
                base_url=self._upstream.url,
                api_key="sk-test",
                context_tokens=8_192,
                **options,
            ),
            clock=PausedClock(),
            random=random.Random(1),
        )


class FallbackStage(OpenAIStage):
    """A chain of two models, both in front of the same server."""

    async def reset(self) -> None:
        await super().reset()
        # A chain remembers which of its models failed.
        await self._patient.close()
        self.model = self._patient = self._model()

    def _model(self, **options: Any) -> Model:
        clock = PausedClock()
        links = [ChainLink(super(FallbackStage, self)._model(**options), Breaker(clock)) for _ in range(2)]
        return FallbackModel(links, clock, budget_s=600.0)


class ConfiguredStage(OpenAIStage):
    """A model within what its settings say."""

    def _model(self, **options: Any) -> Model:
        return ConfiguredModel(super()._model(**options), Sampling(temperature=0.5), frozenset({"images"}))


class OwnCacheStage(OpenAIStage):
    """A model of whose cache a session is told its own part."""

    def _model(self, **options: Any) -> Model:
        return OwnCacheModel(super()._model(**options))


class OllamaStage(OpenAIStage):
    """A model whose server also has, or lacks, the API that tells its window."""

    def _model(self, **options: Any) -> Model:
        source = ErrorSource("ollama:m", "m", self._upstream.url)
        return OllamaModel(
            super()._model(**options),
            ProviderConnection(source, timeouts=Timeouts(check_s=0.2)),
            model="m",
            base_url=self._upstream.url,
            most_tokens=None,
            clock=PausedClock(),
        )


class AnthropicStage:
    """`AnthropicMessages` in front of a scripted server that holds requests to the API's rules."""

    lacks: Mapping[Ability | Fault, str] = {}

    async def open(self, folder: Path) -> None:
        self._upstream = await Upstream(anthropic_api.answer).__aenter__()
        self._hasty: list[AnthropicMessages] = []
        self._patient = self._model()
        self.model: Model = self._patient

    async def close(self) -> None:
        await self.reset()
        await self._patient.close()
        await self._upstream.__aexit__(None, None, None)

    async def reset(self) -> None:
        self._upstream.answer = anthropic_api.answer
        self.model = self._patient
        while self._hasty:
            await self._hasty.pop().close()

    def says(self, *pieces: str) -> str | None:
        self._answer(anthropic_api.answered(*anthropic_api.said(*pieces)))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        gate = Gate()
        opened, one, two, ended = anthropic_api.said(first, second)
        self._answer(anthropic_api.answered(opened, one, gate, two, ended))
        return gate.open

    def thinks(self, thought: str, text: str) -> None:
        thinking = anthropic_api.thought(thought, signature=None)
        self._answer(anthropic_api.answered(*thinking, *anthropic_api.said(text, index=1)))

    def calls(self, name: str, arguments: str) -> None:
        call = anthropic_api.called("toolu_7", name, arguments[:3], arguments[3:])
        self._answer(anthropic_api.answered(*call, reason="tool_use"))

    def fails(self, fault: Fault) -> None:
        if FAULTS[fault] is ModelTimeout:
            limits = Timeouts(first_chunk_s=0.2) if fault == "no first byte" else Timeouts(idle_s=0.2)
            self._hasty.append(self._model(timeouts=limits))
            self.model = self._hasty[-1]
        self._answer(anthropic_reply_of(fault))

    async def abandoned(self) -> None:
        await self._upstream.idle()

    def _answer(self, reply: Reply) -> None:
        self._upstream.answer = lambda asked: reply

    def _model(self, **options: Any) -> AnthropicMessages:
        return AnthropicMessages(
            RemoteSettings(
                name="anthropic:m",
                model="m",
                base_url=self._upstream.url,
                api_key="sk-test",
                context_tokens=8_192,
                **options,
            ),
            clock=PausedClock(),
            random=random.Random(1),
        )


def anthropic_reply_of(fault: Fault) -> Reply:
    """Return how Anthropic's API fails."""
    failed, invalid = anthropic_api.failed, anthropic_api.invalid
    begun = anthropic_api.said(BEGINNING)[:2]
    slow_down = {"Retry-After": f"{RETRY_AFTER_S:g}"}
    return {
        "bad key": failed(401, "authentication_error", "invalid x-api-key"),
        "rate limit": failed(429, "rate_limit_error", "Number of requests has exceeded", slow_down),
        "overload": failed(529, "overloaded_error", "Overloaded"),
        "unreachable": upstream.dropped(),
        "rejected request": invalid("stop_sequences: Input should be a valid list"),
        "overflow": invalid("prompt is too long: 210000 tokens > 200000 maximum"),
        "malformed answer": spoken(upstream.event("{nope")),
        "cut answer": spoken(anthropic_api.start(), *begun, CUT),
        "no first byte": upstream.silent(),
        "stalled answer": spoken(anthropic_api.start(), *begun, HANG),
    }[fault]


class ResponsesStage:
    """`OpenAIResponses` in front of a scripted server that holds requests to the API's rules."""

    lacks: Mapping[Ability | Fault, str] = {}

    async def open(self, folder: Path) -> None:
        self._upstream = await Upstream(responses_api.answer).__aenter__()
        self._hasty: list[OpenAIResponses] = []
        self._patient = self._model()
        self.model: Model = self._patient

    async def close(self) -> None:
        await self.reset()
        await self._patient.close()
        await self._upstream.__aexit__(None, None, None)

    async def reset(self) -> None:
        self._upstream.answer = responses_api.answer
        self.model = self._patient
        while self._hasty:
            await self._hasty.pop().close()

    def says(self, *pieces: str) -> str | None:
        self._answer(responses_api.answered(responses_api.said(*pieces)))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        gate = Gate()
        said = responses_api.said(first, second)
        steps = responses_api.numbered(
            [*responses_api.begun(), *responses_api.payloads(said), responses_api.ended(said)]
        )
        at = next(at for at, step in enumerate(steps) if f'"delta":"{second}"'.encode() in step)
        self._answer(spoken(*steps[:at], gate, *steps[at:]))
        return gate.open

    def thinks(self, thought: str, text: str) -> None:
        self._answer(responses_api.answered(responses_api.thought(thought), responses_api.said(text)))

    def calls(self, name: str, arguments: str) -> None:
        self._answer(
            responses_api.answered(responses_api.called("call_7", name, arguments[:3], arguments[3:]))
        )

    def fails(self, fault: Fault) -> None:
        if FAULTS[fault] is ModelTimeout:
            limits = Timeouts(first_chunk_s=0.2) if fault == "no first byte" else Timeouts(idle_s=0.2)
            self._hasty.append(self._model(timeouts=limits))
            self.model = self._hasty[-1]
        self._answer(responses_reply_of(fault))

    async def abandoned(self) -> None:
        await self._upstream.idle()

    def _answer(self, reply: Reply) -> None:
        self._upstream.answer = lambda asked: reply

    def _model(self, **options: Any) -> OpenAIResponses:
        return OpenAIResponses(
            RemoteSettings(
                name="openai:m",
                model="m",
                base_url=self._upstream.url,
                api_key="sk-test",
                context_tokens=8_192,
                **options,
            ),
            clock=PausedClock(),
            random=random.Random(1),
        )


def responses_reply_of(fault: Fault) -> Reply:
    """Return how OpenAI's Responses API fails."""
    failed, invalid = responses_api.failed, responses_api.invalid
    begun = [*responses_api.begun(), *responses_api.payloads(responses_api.said(BEGINNING))[:3]]
    slow_down = {"Retry-After": f"{RETRY_AFTER_S:g}"}
    too_long = "Your input exceeds the context window of this model."
    return {
        "bad key": failed(401, "invalid_api_key", "Incorrect API key provided"),
        "rate limit": failed(429, "rate_limit_exceeded", "Rate limit reached", slow_down),
        "overload": failed(503, None, "The engine is currently overloaded, please try again later"),
        "unreachable": upstream.dropped(),
        "rejected request": invalid("No tool output found for function call call_1.", "input"),
        "overflow": invalid(too_long, "input", "context_length_exceeded"),
        "malformed answer": spoken(upstream.event("{nope")),
        "cut answer": responses_api.streamed(begun, CUT),
        "no first byte": upstream.silent(),
        "stalled answer": responses_api.streamed(begun, HANG),
    }[fault]


class GeminiStage:
    """`GeminiContent` in front of a scripted server that holds requests to the API's rules."""

    lacks: Mapping[Ability | Fault, str] = {}

    async def open(self, folder: Path) -> None:
        self._upstream = await Upstream(gemini_api.answer).__aenter__()
        self._hasty: list[GeminiContent] = []
        self._patient = self._model()
        self.model: Model = self._patient

    async def close(self) -> None:
        await self.reset()
        await self._patient.close()
        await self._upstream.__aexit__(None, None, None)

    async def reset(self) -> None:
        self._upstream.answer = gemini_api.answer
        self.model = self._patient
        while self._hasty:
            await self._hasty.pop().close()

    def says(self, *pieces: str) -> str | None:
        self._answer(gemini_api.answered(*gemini_api.said(*pieces)))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        gate = Gate()
        one, two = gemini_api.said(first, second)
        self._answer(gemini_api.answered(one, gate, two))
        return gate.open

    def thinks(self, thought: str, text: str) -> None:
        thinking = gemini_api.chunk(gemini_api.thought_part(thought))
        self._answer(gemini_api.answered(thinking, *gemini_api.said(text)))

    def calls(self, name: str, arguments: str) -> None:
        call = gemini_api.call_part(name, msgspec.Raw(arguments.encode()), id_="f7")
        self._answer(gemini_api.answered(gemini_api.chunk(call)))

    def fails(self, fault: Fault) -> None:
        if FAULTS[fault] is ModelTimeout:
            limits = Timeouts(first_chunk_s=0.2) if fault == "no first byte" else Timeouts(idle_s=0.2)
            self._hasty.append(self._model(timeouts=limits))
            self.model = self._hasty[-1]
        self._answer(gemini_reply_of(fault))

    async def abandoned(self) -> None:
        await self._upstream.idle()

    def _answer(self, reply: Reply) -> None:
        self._upstream.answer = lambda asked: reply

    def _model(self, **options: Any) -> GeminiContent:
        return GeminiContent(
            RemoteSettings(
                name="gemini:m",
                model="m",
                base_url=self._upstream.url.removesuffix("/v1"),
                api_key="sk-test",
                context_tokens=8_192,
                **options,
            ),
            clock=PausedClock(),
            random=random.Random(1),
        )


def gemini_reply_of(fault: Fault) -> Reply:
    """Return how Google's API fails."""
    failed, invalid = gemini_api.failed, gemini_api.invalid
    begun = gemini_api.said(BEGINNING)
    slow_down = gemini_api.retry_info(f"{RETRY_AFTER_S:g}s")
    return {
        "bad key": invalid("API key not valid. Please pass a valid API key."),
        "rate limit": failed(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", slow_down),
        "overload": failed(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        "unreachable": upstream.dropped(),
        "rejected request": invalid("Invalid value at 'generation_config.temperature'"),
        "overflow": invalid(
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        ),
        "malformed answer": spoken(upstream.event("{nope")),
        "cut answer": spoken(*begun, CUT),
        "no first byte": upstream.silent(),
        "stalled answer": spoken(*begun, HANG),
    }[fault]


class LocalStage:
    """`LocalModel` with its process, in which a stand-in for the engine forwards to a scripted server."""

    lacks: Mapping[Ability | Fault, str] = {
        "no first byte": "the engine is waited for as long as it loads, whatever a test's patience",
        "stalled answer": "the engine is waited for as long as it loads, whatever a test's patience",
    }

    async def open(self, folder: Path) -> None:
        self._reply: Reply | None = None
        self._route = "none"
        self._routes = EngineRoutes(folder / "prefixes")
        self._upstream = await Upstream(self._choose).__aenter__()
        weights = folder / "stand-in.gguf"
        weights.write_bytes(b"GGUF%d" % int(self._upstream.url.rpartition(":")[2].removesuffix("/v1")))
        # The child process looks for its library where this one does.
        self._stand_in = str(Path(__file__).with_name("stand_in"))
        sys.path.insert(0, self._stand_in)
        model = LocalModel(
            name=f"local:{weights}",
            models_dir=folder,
            log_path=folder / "engine.log",
            clock=PausedClock(),
            random=random.Random(1),
        )
        self.model: Model = model
        await model.warm()
        async with asyncio.timeout(60):
            await model.warmed.wait()

    async def close(self) -> None:
        await self.model.close()
        await self._upstream.__aexit__(None, None, None)
        sys.path.remove(self._stand_in)

    async def reset(self) -> None:
        self._reply, self._route = None, "none"

    def says(self, *pieces: str) -> str | None:
        self._reply = streamed(*map(upstream.text, pieces))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        gate = Gate()
        self._reply = streamed(upstream.text(first), gate, upstream.text(second))
        return gate.open

    def thinks(self, thought: str, text: str) -> None:
        self._reply = streamed(upstream.text(f"<think>{thought}</think>"), upstream.text(text))

    def calls(self, name: str, arguments: str) -> None:
        self._route = f"{name} {arguments}"

    def fails(self, fault: Fault) -> None:
        self._reply = reply_of(fault)

    async def abandoned(self) -> None:
        await self._upstream.idle()

    def _choose(self, asked: Asked) -> Reply:
        if (reply := self._routes(asked)) is not None:
            return reply
        # Before each answer the model asks, under a grammar, which tool it needs.
        if "grammar" in asked.json:
            return streamed(upstream.text(self._route))
        return self._reply or upstream.greet(asked)


class EngineStage:
    """`LocalModel` with the real engine and the smallest weights."""

    lacks: Mapping[Ability | Fault, str] = {
        **dict.fromkeys(get_args(Fault), "the real engine does not fail on demand"),
        "thinking": "the test weights do not think",
        "tools": "which tools so small a model calls cannot be said beforehand",
        "pauses": "the real engine does not wait for a test",
    }

    async def open(self, folder: Path) -> None:
        model = LocalModel(
            name=TINY,
            models_dir=tiny_weights(),
            log_path=folder / "engine.log",
            clock=SystemClock(),
            random=random.Random(7),
            context_tokens=2_048,
        )
        self.model: Model = model
        await model.warm()
        async with asyncio.timeout(60):
            await model.warmed.wait()

    async def close(self) -> None:
        await self.model.close()

    async def reset(self) -> None:
        """Nothing is set up."""

    def says(self, *pieces: str) -> str | None:
        return None

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        raise NotImplementedError

    def thinks(self, thought: str, text: str) -> None:
        raise NotImplementedError

    def calls(self, name: str, arguments: str) -> None:
        raise NotImplementedError

    def fails(self, fault: Fault) -> None:
        raise NotImplementedError

    async def abandoned(self) -> None:
        raise NotImplementedError


class EchoStage:
    """`EchoModel`, which needs no provider."""

    lacks: Mapping[Ability | Fault, str] = {
        **dict.fromkeys(get_args(Fault), "echo asks nobody, so nobody can fail it"),
        "thinking": "echo does not think",
        "tools": "echo calls no tools",
        "pauses": "echo has its whole answer at once",
    }

    async def open(self, folder: Path) -> None:
        self.model: Model = EchoModel()

    async def close(self) -> None:
        await self.model.close()

    async def reset(self) -> None:
        """Nothing is set up."""

    def says(self, *pieces: str) -> str | None:
        return "You said: hi"

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        raise NotImplementedError

    def thinks(self, thought: str, text: str) -> None:
        raise NotImplementedError

    def calls(self, name: str, arguments: str) -> None:
        raise NotImplementedError

    def fails(self, fault: Fault) -> None:
        raise NotImplementedError

    async def abandoned(self) -> None:
        raise NotImplementedError


class ScriptedStage:
    """`ScriptedModel`, whose script is the provider."""

    lacks: Mapping[Ability | Fault, str] = {
        "thinking": "a script's deltas are text",
        "closing": "a script has no request that could be cut",
    }

    async def open(self, folder: Path) -> None:
        self._follow()

    async def close(self) -> None:
        await self._model.close()

    async def reset(self) -> None:
        self._follow()

    def says(self, *pieces: str) -> str | None:
        self._follow(Say(pieces))
        return "".join(pieces)

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        resumed = asyncio.Event()
        self._follow(Say((first, second), between=resumed))
        return resumed.set

    def thinks(self, thought: str, text: str) -> None:
        raise NotImplementedError

    def calls(self, name: str, arguments: str) -> None:
        self._follow(call(name, arguments))

    def fails(self, fault: Fault) -> None:
        pause_s = RETRY_AFTER_S if fault == "rate limit" else None
        error = FAULTS[fault](fault, retry_after_s=pause_s)
        self._follow(Say((BEGINNING,) if fault in MIDWAY else (), error=error))

    async def abandoned(self) -> None:
        assert self._model.closed_streams == len(self._model.requests)

    def _follow(self, *script: str | Say) -> None:
        self._model = ScriptedModel(*script)
        self.model: Model = self._model


STAGES: Mapping[str, Callable[[], Stage]] = {
    "openai": OpenAIStage,
    "fallback": FallbackStage,
    "configured": ConfiguredStage,
    "own cache": OwnCacheStage,
    "ollama": OllamaStage,
    "responses": ResponsesStage,
    "anthropic": AnthropicStage,
    "gemini": GeminiStage,
    "local": LocalStage,
    "engine": EngineStage,
    "echo": EchoStage,
    "scripted": ScriptedStage,
}
