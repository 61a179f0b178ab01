"""Models of each wire format, each in front of a scripted server."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nanobot.core.errors import ModelTimeout
from nanobot.core.model import Model
from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.http import Timeouts
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.openai_responses.responses import OpenAIResponses
from nanobot.models.remote_settings import RemoteSettings
from tests import anthropic_api, gemini_api, responses_api, upstream
from tests.clock import PausedClock
from tests.contract.models.stage import BEGINNING, FAULTS, RETRY_AFTER_S, Ability, Fault
from tests.upstream import CUT, HANG, Asked, Gate, Reply, Upstream, refused, spoken, streamed


class RemoteStage:
    """A model in front of a scripted server."""

    lacks: Mapping[Ability | Fault, str] = {}

    async def open(self, folder: Path) -> None:
        self._upstream = await Upstream(self._usual).__aenter__()
        self._hasty: list[Model] = []
        self._patient = self._model()
        self.model: Model = self._patient

    async def close(self) -> None:
        await self.reset()
        await self._patient.close()
        await self._upstream.__aexit__(None, None, None)

    async def reset(self) -> None:
        self._upstream.answer = self._usual
        self.model = self._patient
        while self._hasty:
            await self._hasty.pop().close()

    def fails(self, fault: Fault) -> None:
        if FAULTS[fault] is ModelTimeout:
            limits = Timeouts(first_chunk_s=0.2) if fault == "no first byte" else Timeouts(idle_s=0.2)
            self._hasty.append(self._model(timeouts=limits))
            self.model = self._hasty[-1]
        self._answer(self._failure(fault))

    async def abandoned(self) -> None:
        await self._upstream.idle()

    def _usual(self, asked: Asked) -> Reply:
        """Return how the server answers where nothing is set up."""
        raise NotImplementedError

    def _failure(self, fault: Fault) -> Reply:
        raise NotImplementedError

    def _model(self, **options: Any) -> Model:
        raise NotImplementedError

    def _answer(self, reply: Reply) -> None:
        self._upstream.answer = lambda asked: reply

    def _settings(self, name: str, **options: Any) -> RemoteSettings:
        return RemoteSettings(
            **{"base_url": self._upstream.url, **options},
            name=name,
            model="m",
            api_key="sk-test",
            context_tokens=8_192,
        )


class OpenAIStage(RemoteStage):
    """`OpenAIChat` in front of a scripted server."""

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

    def _usual(self, asked: Asked) -> Reply:
        return upstream.greet(asked)

    def _failure(self, fault: Fault) -> Reply:
        return reply_of(fault)

    def _model(self, **options: Any) -> Model:
        settings = self._settings("test:m", **options)
        return OpenAIChat(settings, clock=PausedClock(), random=random.Random(1))


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


class AnthropicStage(RemoteStage):
    """`AnthropicMessages` in front of a scripted server that holds requests to the API's rules."""

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

    def _usual(self, asked: Asked) -> Reply:
        return anthropic_api.answer(asked)

    def _failure(self, fault: Fault) -> Reply:
        return anthropic_reply_of(fault)

    def _model(self, **options: Any) -> Model:
        settings = self._settings("anthropic:m", **options)
        return AnthropicMessages(settings, clock=PausedClock(), random=random.Random(1))


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


class ResponsesStage(RemoteStage):
    """`OpenAIResponses` in front of a scripted server that holds requests to the API's rules."""

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

    def _usual(self, asked: Asked) -> Reply:
        return responses_api.answer(asked)

    def _failure(self, fault: Fault) -> Reply:
        return responses_reply_of(fault)

    def _model(self, **options: Any) -> Model:
        settings = self._settings("openai:m", **options)
        return OpenAIResponses(settings, clock=PausedClock(), random=random.Random(1))


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


class GeminiStage(RemoteStage):
    """`GeminiContent` in front of a scripted server that holds requests to the API's rules."""

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

    def _usual(self, asked: Asked) -> Reply:
        return gemini_api.answer(asked)

    def _failure(self, fault: Fault) -> Reply:
        return gemini_reply_of(fault)

    def _model(self, **options: Any) -> Model:
        settings = self._settings("gemini:m", base_url=self._upstream.url.removesuffix("/v1"), **options)
        return GeminiContent(settings, clock=PausedClock(), random=random.Random(1))


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
