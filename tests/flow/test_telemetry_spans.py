"""Traces of whole turns, by the packages of OpenTelemetry."""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from nanobot.app import Models, open_app
from nanobot.cli.tracing import tracing
from nanobot.config import Config, load
from nanobot.core.errors import ConfigError, ModelOverloaded
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.core.model import Model
from nanobot.telemetry.logs import SessionNames
from nanobot.telemetry.spans import Exporting, Spans
from nanobot.testing import Say, ScriptedModel
from tests.asgi import Door
from tests.harness import configured

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


class Traced:
    """A house whose spans are kept in memory."""

    def __init__(self, data: Path, *, content: bool = False) -> None:
        self._data = data
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._spans = Spans(provider, SessionNames(data, plain=False), content=content)

    @contextlib.asynccontextmanager
    async def open(self, model: Model) -> AsyncIterator[Door]:
        async with open_app(configured(self._data, {}), Models(model, {}), observers=(self._spans,)) as app:
            door = Door(app.asgi)
            yield door
            await door.close()

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}

    @property
    def written(self) -> str:
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


def calculating() -> ScriptedModel:
    asks = Message(
        "assistant", (ToolCall("call-1", "calculate", '{"expression":"6*7"}'),), "tool_calls", Usage(30, 4)
    )
    says = Message("assistant", (Text("secret answer 42"),), "stop", Usage(50, 6, 30))
    return ScriptedModel(
        Say(message=asks), Say(("secret answer 42",), message=says), name="openai:gpt-scripted"
    )


async def run(traced: Traced, model: Model) -> dict[str, ReadableSpan]:
    async with traced.open(model) as door:
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        await door.chat("wx:dm:alice", "secret question", headers, temperature=0.5)
    return traced.spans


async def test_request_turn_model_and_tool_hang_together_below_the_callers_span(tmp_path: Path) -> None:
    spans = await run(Traced(tmp_path), calculating())
    request, turn = spans["POST /v1/chat/completions"], spans["invoke_agent nanobot"]
    chat, tool = spans["chat gpt-scripted"], spans["execute_tool calculate"]
    assert request.parent is not None and format(request.parent.span_id, "016x") == CALLER
    for inner, outer in ((turn, request), (chat, turn), (tool, turn)):
        assert (
            inner.parent is not None
            and outer.context is not None
            and inner.parent.span_id == outer.context.span_id
        )
    assert {format(span.context.trace_id, "032x") for span in spans.values() if span.context} == {TRACE}
    assert (request.kind, turn.kind, chat.kind, tool.kind) == (
        SpanKind.SERVER,
        SpanKind.INTERNAL,
        SpanKind.CLIENT,
        SpanKind.INTERNAL,
    )


async def test_spans_have_the_attributes_of_the_conventions(tmp_path: Path) -> None:
    spans = await run(Traced(tmp_path), calculating())
    request = dict(spans["POST /v1/chat/completions"].attributes or {})
    assert request["http.route"] == "/v1/chat/completions"
    assert request["http.response.status_code"] == 200
    turn = dict(spans["invoke_agent nanobot"].attributes or {})
    assert turn["gen_ai.operation.name"] == "invoke_agent"
    assert turn["gen_ai.usage.input_tokens"] == 80
    assert turn["nanobot.turn.outcome"] == "done"
    chat = dict(spans["chat gpt-scripted"].attributes or {})
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.provider.name"] == "openai"
    assert chat["gen_ai.request.model"] == "gpt-scripted"
    assert chat["gen_ai.request.temperature"] == 0.5
    assert chat["gen_ai.usage.output_tokens"] == 6
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 30
    assert chat["gen_ai.response.finish_reasons"] == ("stop",)
    tool = dict(spans["execute_tool calculate"].attributes or {})
    assert tool["gen_ai.tool.name"] == "calculate"
    assert str(tool["gen_ai.tool.call.id"]).startswith("call-1")


async def test_what_was_said_is_in_no_span_and_neither_is_the_session_key(tmp_path: Path) -> None:
    traced = Traced(tmp_path)
    await run(traced, calculating())
    for word in ("secret", "6*7", "alice"):
        assert word not in traced.written


async def test_what_was_said_is_in_the_spans_where_the_setting_asks(tmp_path: Path) -> None:
    spans = await run(Traced(tmp_path, content=True), calculating())
    assert "secret question" in str((spans["invoke_agent nanobot"].attributes or {})["gen_ai.input.messages"])
    assert "secret answer" in str((spans["chat gpt-scripted"].attributes or {})["gen_ai.output.messages"])
    assert (spans["execute_tool calculate"].attributes or {})["gen_ai.tool.call.result"] == "42"


async def test_what_failed_says_with_which_error(tmp_path: Path) -> None:
    spans = await run(Traced(tmp_path), ScriptedModel(ModelOverloaded("busy"), name="openai:gpt-scripted"))
    for name in ("invoke_agent nanobot", "chat gpt-scripted"):
        assert (spans[name].attributes or {})["error.type"] == "model_overloaded"
        assert spans[name].status.status_code is StatusCode.ERROR
    assert (spans["POST /v1/chat/completions"].attributes or {})["error.type"] == "503"


# Whether there are traces at all ------------------------------------------------------------------


def wanted(environment: dict[str, str], traces: str = "auto") -> bool:
    made = tracing(load(None, {}, {"telemetry": {"traces": traces}}), environment)
    if made is not None:
        made.close()
    return made is not None


def test_traces_are_made_where_the_environment_names_an_exporter() -> None:
    assert not wanted({})
    assert wanted({"OTEL_TRACES_EXPORTER": "console"})
    assert not wanted({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert not wanted({"OTEL_TRACES_EXPORTER": "console"}, "off")
    assert not wanted({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"})


def test_spans_leave_under_the_name_of_the_program_or_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for given, shown in (("", "nanobot"), ("my-agent", "my-agent")):
        monkeypatch.setenv("OTEL_SERVICE_NAME", given)
        exporting = Exporting("console")
        span = exporting.provider.get_tracer("test").start_span("one")
        exporting.close()
        assert isinstance(span, ReadableSpan) and span.resource.attributes["service.name"] == shown


def test_an_exporter_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="OTEL_TRACES_EXPORTER is 'zipkin'"):
        tracing(Config(), {"OTEL_TRACES_EXPORTER": "zipkin"})


def test_without_the_packages_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # what an absent package looks like
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r'pip install "nanobot-server\[telemetry\]"'):
        wanted({}, "on")
    assert not wanted({"OTEL_TRACES_EXPORTER": "console"})
