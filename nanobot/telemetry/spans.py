"""OpenTelemetry traces, by its GenAI conventions: the request, the turn, each model call, each tool call.

Imported only where traces are on: its packages belong to the extra `telemetry`. Spans carry no content of
messages unless `content` is set.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

import msgspec
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from nanobot import __version__
from nanobot.core.errors import NanobotError
from nanobot.core.event import TurnEnded
from nanobot.core.message import Message, Text, ToolCall, ToolResult
from nanobot.core.observer import Head, Observer
from nanobot.core.turn import Turn
from nanobot.telemetry.logs import SessionNames

AGENT = "nanobot"
_PROPAGATED = (b"traceparent", b"tracestate", b"baggage")


class _TurnSpans:
    """The span of a turn, the context for its children, and those of them that are open."""

    __slots__ = ("context", "model", "span", "tools")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.context = trace.set_span_in_context(span, Context())
        self.model: Span | None = None
        self.tools: dict[str, Span] = {}


class Spans(Observer):
    """An observer that records spans."""

    def __init__(self, provider: TracerProvider, sessions: SessionNames, *, content: bool) -> None:
        self._tracer = provider.get_tracer("nanobot", __version__)
        self._sessions = sessions
        self._content = content
        self._requests: dict[str, Span] = {}
        self._offered: dict[str, Context] = {}
        self._turns: dict[str, _TurnSpans] = {}

    # Requests -------------------------------------------------------------------------------------

    def request_began(self, request_id: str, method: str, head: Head) -> None:
        carrier = {name.decode(): value.decode("latin-1") for name, value in head if name in _PROPAGATED}
        parent = propagate.extract(carrier, Context())
        attributes = {"http.request.method": method, "nanobot.request.id": request_id}
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        self._requests[request_id] = span
        # Never detached: the task belongs to the request, and its context ends with it.
        otel_context.attach(trace.set_span_in_context(span, parent))

    def request_ended(
        self, request_id: str, method: str, route: str | None, status: int, seconds: float
    ) -> None:
        span = self._requests.pop(request_id, None)
        if span is None:
            return
        if route is not None:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _fail(span, str(status))
        span.end()

    # Turns ----------------------------------------------------------------------------------------

    def turn_offered(self, turn: Turn) -> None:
        self._offered[turn.id] = otel_context.get_current()

    def turn_dropped(self, turn: Turn) -> None:
        self._offered.pop(turn.id, None)

    def turn_withdrawn(self, turn_id: str) -> None:
        self._offered.pop(turn_id, None)

    def turn_started(self, turn: Turn, attempt: int) -> None:
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": AGENT,
            "gen_ai.conversation.id": self._sessions.of(turn.session_key),
            "nanobot.turn.id": turn.id,
            "nanobot.turn.attempt": attempt,
        }
        if self._content:
            attributes["gen_ai.input.messages"] = _shown(turn.input)
        # A turn from before the last start has lost its request, and begins a trace of its own.
        parent = self._offered.pop(turn.id, None) or Context()
        self._turns[turn.id] = _TurnSpans(
            self._tracer.start_span(f"invoke_agent {AGENT}", parent, SpanKind.INTERNAL, attributes)
        )

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        spans = self._turns.pop(turn.id, None)
        if spans is None:
            return
        outcome = "given_back" if end is None else end.outcome
        spans.span.set_attribute("nanobot.turn.outcome", outcome)
        if end is not None:
            spans.span.set_attribute("gen_ai.usage.input_tokens", end.usage.prompt_tokens)
            spans.span.set_attribute("gen_ai.usage.output_tokens", end.usage.completion_tokens)
            if end.error is not None:
                _fail(spans.span, end.error.code)
        spans.span.end()

    # Models ---------------------------------------------------------------------------------------

    def model_asked(self, turn: Turn, model: str) -> None:
        spans = self._turns.get(turn.id)
        if spans is None:
            return
        provider, _, name = model.partition(":")
        attributes: dict[str, str | int | float] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": name or provider,
        }
        attributes |= _sampling(turn)
        if spans.model is not None:
            # Another one is asked at once in its place.
            _fail(spans.model, "not_asked")
            spans.model.end()
        spans.model = self._tracer.start_span(
            f"chat {name or provider}", spans.context, SpanKind.CLIENT, attributes
        )

    def model_spoke(self, turn: Turn, model: str) -> None:
        spans = self._turns.get(turn.id)
        if spans is not None and spans.model is not None:
            spans.model.add_event("first_token")

    def model_answered(self, turn: Turn, model: str, message: Message) -> None:
        span = self._take_model(turn)
        if span is None:
            return
        if message.model:
            span.set_attribute("gen_ai.response.model", message.model.rpartition(":")[2])
        if message.stop_reason:
            span.set_attribute("gen_ai.response.finish_reasons", [message.stop_reason])
        if message.usage is not None:
            span.set_attribute("gen_ai.usage.input_tokens", message.usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", message.usage.completion_tokens)
            if message.usage.cached_tokens:
                span.set_attribute("gen_ai.usage.cache_read.input_tokens", message.usage.cached_tokens)
        if self._content:
            span.set_attribute("gen_ai.output.messages", _shown((message,)))
        span.end()

    def model_failed(self, turn: Turn, model: str, error: NanobotError | None) -> None:
        span = self._take_model(turn)
        if span is not None:
            _fail(span, "cancelled" if error is None else error.code)
            span.end()

    def model_passed_over(self, turn: Turn, model: str, code: str) -> None:
        span = self._take_model(turn)
        if span is not None:
            _fail(span, code)
            span.end()

    def _take_model(self, turn: Turn) -> Span | None:
        spans = self._turns.get(turn.id)
        if spans is None:
            return None
        span, spans.model = spans.model, None
        return span

    # Tools ----------------------------------------------------------------------------------------

    def tool_started(self, turn_id: str, call: ToolCall) -> None:
        spans = self._turns.get(turn_id)
        if spans is None:
            return
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.call.id": call.id,
            "gen_ai.tool.type": "function",
        }
        if self._content:
            attributes["gen_ai.tool.call.arguments"] = call.arguments
        spans.tools[call.id] = self._tracer.start_span(
            f"execute_tool {call.name}", spans.context, SpanKind.INTERNAL, attributes
        )

    def tool_ended(self, turn_id: str, call: ToolCall, result: ToolResult | None, *, is_known: bool) -> None:
        spans = self._turns.get(turn_id)
        span = spans.tools.pop(call.id, None) if spans is not None else None
        if span is None:
            return
        if result is None or result.is_error:
            _fail(span, "cancelled" if result is None else "tool_error")
        if self._content and result is not None:
            span.set_attribute("gen_ai.tool.call.result", result.content)
        span.end()


def _fail(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


def _sampling(turn: Turn) -> dict[str, float]:
    sampling = turn.sampling
    attributes = {
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.max_tokens": sampling.max_output_tokens,
        "gen_ai.request.seed": sampling.seed,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _shown(messages: tuple[Message, ...]) -> str:
    """Return the messages as the conventions have them: role and parts, here only texts and tool calls."""
    shown = []
    for message in messages:
        parts: list[Mapping[str, str]] = [
            {"type": "text", "content": part.text} for part in message.parts if isinstance(part, Text)
        ]
        parts += [
            {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
            for call in message.tool_calls
        ]
        shown.append(
            {"role": message.role, "parts": parts}
            | ({"finish_reason": message.stop_reason} if message.stop_reason else {})
        )
    return msgspec.json.encode(shown).decode()


# Where spans go -----------------------------------------------------------------------------------


class Exporting:
    """A tracer provider that exports spans as the `OTEL_…` variables say. `close` sends what is left."""

    def __init__(self, kind: str) -> None:
        # Imported here: spans can be recorded with the API alone, exporting them needs the SDK.
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider as SdkProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            # The SDK chooses such a name where OTEL_SERVICE_NAME is not set.
            resource = resource.merge(Resource({SERVICE_NAME: AGENT}))
        self._provider = SdkProvider(resource=resource)
        if kind == "console":
            self._provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    @property
    def provider(self) -> TracerProvider:
        return cast("TracerProvider", self._provider)

    def close(self) -> None:
        """Send the spans that are left. Blocks: call it in a thread."""
        self._provider.shutdown()
