"""What a model refuses is left out, and remembered for a while."""

from typing import Any

import pytest

from nanobot.core.errors import ModelRejectedRequest
from nanobot.core.message import Message, Text, Thinking, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolChoice
from nanobot.core.turn import Sampling
from nanobot.models.anthropic.messages import AnthropicMessages
from tests.anthropic_api import invalid
from tests.clock import PausedClock
from tests.unit.models.anthropic.talk import LOOK, model_at, state
from tests.unit.models.asking import HELLO, body_of, failure, heard
from tests.upstream import Upstream

SIGNED = Message(
    "assistant", (Thinking("hm", state("signature", "s")), ToolCall("a", "look", "{}")), "tool_calls"
)
RESULT = Message("tool", (ToolResult("a", "x"),))
TWO_TURNS = ModelRequest(
    "",
    (user("1"), SIGNED, RESULT, Message("assistant", (Text("one"),), "stop"), user("2"), SIGNED, RESULT),
    (LOOK,),
    sampling=Sampling(temperature=0.2),
    tool_choice=ToolChoice("required"),
)
EFFORT = ModelRequest("", (user("hi"),), sampling=Sampling(reasoning_effort="xhigh"))
BOUND = (
    "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different "
    "conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior`."
)


def field_of(body: dict[str, Any], name: str) -> object:
    """Return a field of a request; `signatures`: how many are in its messages."""
    if name == "signatures":
        return sum("signature" in part for message in body["messages"] for part in message["content"])
    return body.get(name)


REFUSALS = [
    ("`temperature` is deprecated for this model.", TWO_TURNS, "temperature", None),
    ("`temperature` and `top_p` cannot both be specified for this model.", TWO_TURNS, "temperature", None),
    ('tool_choice: type "tool" and "any" are not supported for this model.', TWO_TURNS, "tool_choice", None),
    ("tool_choice forces tool use is not compatible with this model", TWO_TURNS, "tool_choice", None),
    ("Thinking may not be enabled when tool_choice forces tool use.", TWO_TURNS, "tool_choice", None),
    ("adaptive thinking is not supported on this model", EFFORT, "thinking", None),
    ('"thinking.type.disabled" is not supported for this model.', EFFORT, "thinking", None),
    ("This model does not support the effort parameter.", EFFORT, "output_config", None),
    ("output_config.effort: Input should be 'low', 'medium' or 'high'", EFFORT, "output_config", None),
    (BOUND, TWO_TURNS, "signatures", 0),
    (
        "messages.5.content.0: `thinking` or `redacted_thinking` blocks cannot be modified.",
        TWO_TURNS,
        "signatures",
        0,
    ),
    ("messages.1.content.0.type: Expected `thinking`, but found `text`.", TWO_TURNS, "signatures", 0),
    ("messages.1.content.0.thinking.signature: Field required", TWO_TURNS, "signatures", 0),
    (
        "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for m",
        HELLO,
        "max_tokens",
        8192,
    ),
]


@pytest.mark.parametrize(("words", "request_", "field", "left"), REFUSALS)
async def test_what_is_refused_is_left_out_and_the_request_sent_once_more(
    upstream: Upstream,
    model: AnthropicMessages,
    words: str,
    request_: ModelRequest,
    field: str,
    left: object,
) -> None:
    upstream.then(invalid(words))
    assert (await heard(model, request_))[1].text == "Hello there"
    first, second = upstream.requests
    assert field_of(first.json, field) != left
    assert field_of(second.json, field) == left


@pytest.mark.parametrize("words", [REFUSALS[0][0], REFUSALS[2][0]])
async def test_it_is_left_out_of_later_requests_for_an_hour(
    upstream: Upstream, model: AnthropicMessages, clock: PausedClock, words: str
) -> None:
    field = "temperature" if "temperature" in words else "tool_choice"
    upstream.then(invalid(words))
    await heard(model, TWO_TURNS)
    assert field not in await body_of(upstream, model, TWO_TURNS)
    await clock.sleep(3_601)
    assert field in await body_of(upstream, model, TWO_TURNS)


@pytest.mark.parametrize(
    ("words", "request_", "field"),
    [
        ("output_config.effort: Input should be 'low', 'medium' or 'high'", EFFORT, "output_config"),
        ('"thinking.type.disabled" is not supported for this model.', EFFORT, "thinking"),
        ("tool_choice: Tool 'weather' not found in provided tools", TWO_TURNS, "tool_choice"),
        ("`temperature` may only be set to 1 when thinking is enabled.", TWO_TURNS, "temperature"),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", TWO_TURNS, "signatures"),
    ],
)
async def test_what_is_wrong_with_one_request_alone_is_not_remembered(
    upstream: Upstream, model: AnthropicMessages, words: str, request_: ModelRequest, field: str
) -> None:
    upstream.then(invalid(words))
    await heard(model, request_)
    first, second = upstream.requests
    assert field_of(second.json, field) != field_of(first.json, field)
    assert await body_of(upstream, model, request_) == first.json


async def test_several_things_may_be_refused_one_after_the_other(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(invalid(REFUSALS[0][0]), invalid(REFUSALS[2][0]), invalid(BOUND))
    assert (await heard(model, TWO_TURNS))[1].text == "Hello there"


async def test_a_model_that_binds_its_thinking_is_shown_that_of_the_running_turn(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(invalid(BOUND))
    await heard(model, TWO_TURNS)
    assert field_of(await body_of(upstream, model, TWO_TURNS), "signatures") == 1
    upstream.then(invalid(BOUND))
    await heard(model, TWO_TURNS)
    assert field_of(await body_of(upstream, model, TWO_TURNS), "signatures") == 0


async def test_what_a_second_request_does_not_confirm_is_not_remembered(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(invalid(REFUSALS[0][0]), invalid("system: no"))
    assert type(await failure(model, TWO_TURNS)) is ModelRejectedRequest
    assert "temperature" in await body_of(upstream, model, TWO_TURNS)


@pytest.mark.parametrize(
    "words",
    [
        "Input was flagged: 'what is the temperature?'",
        "could not process: tool_choice thinking messages.1.content.0: signature",
        "system: `temperature` is deprecated for this model.",
    ],
)
async def test_words_that_quote_the_request_teach_nothing(
    upstream: Upstream, model: AnthropicMessages, words: str
) -> None:
    upstream.then(invalid(words))
    assert type(await failure(model, TWO_TURNS)) is ModelRejectedRequest
    assert len(upstream.requests) == 1


async def test_a_thing_that_was_not_sent_is_not_left_out(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(*[invalid(REFUSALS[0][0])] * 2)
    assert type(await failure(model, TWO_TURNS)) is ModelRejectedRequest
    assert len(upstream.requests) == 2


async def test_a_step_without_its_thinking_is_gone_on_with_without_a_budget(
    upstream: Upstream, clock: PausedClock
) -> None:
    """Models that think by a budget want the running step to begin with its thinking."""
    model = model_at(upstream.url, clock, model="claude-sonnet-4-5")
    sampling = Sampling(reasoning_effort="high")
    bare = Message("assistant", (ToolCall("a", "look", "{}"),), "tool_calls")
    signed = await body_of(
        upstream, model, ModelRequest("", (user("go"), SIGNED, RESULT), (LOOK,), sampling=sampling)
    )
    assert signed["thinking"] == {"type": "enabled", "budget_tokens": 16_000}
    unsigned = await body_of(
        upstream, model, ModelRequest("", (user("go"), bare, RESULT), (LOOK,), sampling=sampling)
    )
    assert "thinking" not in unsigned
    await model.close()


async def test_words_of_the_user_at_the_beginning_of_a_refusal_teach_nothing(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    words = "`temperature` is deprecated for this model. Is it?"
    upstream.then(invalid(words))
    request = ModelRequest("", (user(words),), sampling=Sampling(temperature=0.2))
    assert type(await failure(model, request)) is ModelRejectedRequest
    assert len(upstream.requests) == 1
