"""What the Messages API is asked."""

import random

import pytest

from nanobot.core.errors import ConfigError
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolChoice, tool_spec
from nanobot.core.turn import Labels, Sampling
from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock
from tests.unit.models.anthropic.talk import KEY, LOOK, model_at
from tests.unit.models.asking import HELLO, body_of, failure, heard
from tests.upstream import Upstream


async def test_a_request_has_this_form(upstream: Upstream, model: AnthropicMessages) -> None:
    request = ModelRequest(
        "Be brief.",
        (user("what time?"),),
        (LOOK,),
        "Today is Monday.",
        Sampling(0.5, stop=("END", " "), seed=7, presence_penalty=1, verbosity="low"),
        labels=Labels(user="ann@example.com", safety_identifier="h4sh"),
    )
    await heard(model, request)
    (asked,) = upstream.requests
    assert asked.path == "/v1/messages"
    assert asked.headers["x-api-key"] == KEY
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in asked.headers
    mark = {"type": "ephemeral"}
    assert asked.json == {
        "model": "claude-haiku-5-5",
        "max_tokens": 32_000,
        "stream": True,
        "metadata": {"user_id": "h4sh"},
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "tools": [
            {
                "name": "look",
                "description": "Look.",
                "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
                "cache_control": mark,
            }
        ],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what time?", "cache_control": mark},
                    {"type": "text", "text": "Today is Monday."},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (ToolChoice(), None, None),
        (ToolChoice(), True, None),
        (ToolChoice(), False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), None, None),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required", "look"), None, {"type": "tool", "name": "look"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
async def test_the_choice_of_tools_is_passed_on(
    upstream: Upstream,
    model: AnthropicMessages,
    choice: ToolChoice,
    parallel: bool | None,
    sent: dict[str, object] | None,
) -> None:
    """A client's `none` keeps its own tools from being offered; the server's may still be called."""
    request = ModelRequest(
        "", (user("hi"),), (LOOK,), sampling=Sampling(parallel_tool_calls=parallel), tool_choice=choice
    )
    assert (await body_of(upstream, model, request)).get("tool_choice") == sent


async def test_tools_that_were_called_are_named_where_none_may_be_called_any_more(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    step = (Message("assistant", (ToolCall("a", "look", "{}"),)), Message("tool", (ToolResult("a", "x"),)))
    body = await body_of(upstream, model, ModelRequest("", (user("go"), *step)))
    assert [tool["name"] for tool in body["tools"]] == ["look"]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("parameters", [{}, {"properties": {}}, {"type": "string"}])
async def test_the_schema_of_a_tool_says_that_it_is_an_object(
    upstream: Upstream, model: AnthropicMessages, parameters: dict[str, object]
) -> None:
    body = await body_of(upstream, model, ModelRequest("", (user("hi"),), (tool_spec("f", "", parameters),)))
    assert body["tools"][0]["input_schema"]["type"] == "object"


@pytest.mark.parametrize(
    ("sampling", "sent"),
    [
        (Sampling(temperature=1.7), {"temperature": 1.0}),
        (Sampling(top_p=0.9), {"top_p": 0.9}),
        (Sampling(temperature=0, top_p=0.9), {"temperature": 0.0}),
        (Sampling(temperature=0.2, reasoning_effort="low"), {}),
    ],
)
async def test_sampling_is_what_the_api_takes(
    upstream: Upstream, model: AnthropicMessages, sampling: Sampling, sent: dict[str, float]
) -> None:
    body = await body_of(upstream, model, ModelRequest("", (user("hi"),), sampling=sampling))
    assert {field: body[field] for field in ("temperature", "top_p") if field in body} == sent


@pytest.mark.parametrize(
    ("name", "effort", "thinking", "config"),
    [
        ("claude-haiku-5-5", None, None, None),
        ("claude-haiku-5-5", "minimal", "adaptive", {"effort": "low"}),
        ("claude-opus-4-6", "high", "adaptive", {"effort": "high"}),
        ("claude-opus-4-7", "xhigh", "adaptive", {"effort": "xhigh"}),
        ("claude-haiku-5-5", "none", "disabled", None),
        ("claude-sonnet-4-5-20250929", "low", "enabled", None),
        ("claude-opus-4-20250514", "high", "enabled", None),
        ("claude-3-7-sonnet-latest", "high", "enabled", None),
        ("claude-haiku-4-5", "none", None, None),
        ("claude-3-5-haiku-latest", "high", None, None),
    ],
)
async def test_an_effort_is_asked_for_in_the_way_of_the_model(
    upstream: Upstream,
    clock: PausedClock,
    name: str,
    effort: str | None,
    thinking: str | None,
    config: dict[str, str] | None,
) -> None:
    model = model_at(upstream.url, clock, model=name)
    request = ModelRequest("", (user("hi"),), sampling=Sampling(reasoning_effort=effort))
    body = await body_of(upstream, model, request)
    assert body.get("thinking", {}).get("type") == thinking
    assert body.get("output_config") == config
    await model.close()


async def test_a_forced_call_goes_without_thinking(upstream: Upstream, model: AnthropicMessages) -> None:
    request = ModelRequest(
        "",
        (user("hi"),),
        (LOOK,),
        sampling=Sampling(reasoning_effort="low"),
        tool_choice=ToolChoice("required"),
    )
    body = await body_of(upstream, model, request)
    assert "thinking" not in body
    assert body["output_config"] == {"effort": "low"}


@pytest.mark.parametrize(("window", "limit"), [(8_000, 2_000), (128_000, 32_000), (1_000_000, 32_000)])
async def test_the_limit_of_an_answer_is_a_quarter_of_the_window_at_most_32_000(
    upstream: Upstream, clock: PausedClock, window: int, limit: int
) -> None:
    model = AnthropicMessages(
        RemoteSettings(
            name="anthropic:m",
            model="m",
            base_url=upstream.url,
            api_key=KEY,
            context_tokens=window,
        ),
        clock=clock,
        random=random.Random(1),
    )
    assert (await body_of(upstream, model, HELLO))["max_tokens"] == limit
    asked = ModelRequest("", (user("hi"),), sampling=Sampling(max_output_tokens=7))
    assert (await body_of(upstream, model, asked))["max_tokens"] == 7
    await model.close()


@pytest.mark.parametrize(
    "ending",
    ["", "/", "/v1", "/v1/", "/v1/messages", "/v1/messages/", "/v1/messages/count_tokens", "/v1/complete"],
)
async def test_an_address_may_be_set_with_its_path_or_without(
    upstream: Upstream, clock: PausedClock, ending: str
) -> None:
    model = model_at(upstream.url.removesuffix("/v1") + ending, clock)
    await heard(model)
    await model.check()
    assert [asked.path for asked in upstream.requests] == ["/v1/messages", "/v1/models"]
    await model.close()


@pytest.mark.parametrize("ending", ["", "/v1", "/v1/messages"])
async def test_a_query_of_the_address_stays_behind_the_path(
    upstream: Upstream, clock: PausedClock, ending: str
) -> None:
    model = model_at(upstream.url.removesuffix("/v1") + ending + "?beta=true", clock)
    await failure(model)
    assert upstream.requests[0].path == "/v1/messages?beta=true"
    await model.close()


def test_a_key_with_a_line_break_is_refused(clock: PausedClock) -> None:
    with pytest.raises(ConfigError, match="line break"):
        model_at("https://api.anthropic.com", clock, api_key="sk\n")


def test_it_claims_images_and_leaves_output_formats_to_words(clock: PausedClock) -> None:
    assert model_at("https://api.anthropic.com", clock).abilities == {"images", "tools", "reading_on"}
