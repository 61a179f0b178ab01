"""Tool calls put together from the pieces in which providers stream them."""

import pytest

from nanobot.core.errors import ModelBadAnswer
from nanobot.core.message import Message, Text, ToolCall, user
from nanobot.core.model import ModelRequest
from nanobot.models.openai.chat import OpenAIChat
from tests.unit.models.asking import failure, heard
from tests.upstream import Upstream, call, chunk, streamed, text


@pytest.mark.parametrize(
    "steps",
    [
        (call(0, "a", "f", '{"x":1}'), call(1, "b", "g", '{"y":2}')),
        (
            call(0, "a", "f", ""),
            call(0, None, None, '{"x"'),
            call(0, None, None, ":1}"),
            call(1, "b", "g", '{"y":2}'),
        ),
        (
            call(0, "a", "f"),
            call(1, "b", "g"),
            call(0, None, None, '{"x"'),
            call(1, None, None, '{"y":2}'),
            call(0, None, None, ":1}"),
        ),
        (call(1, "b", "g", '{"y":2}'), call(0, "a", "f", '{"x":1}')),
        (call(None, "a", "f", '{"x":1}'), call(None, "b", "g", '{"y":2}')),
        (
            call(None, "a", "f", '{"x"'),
            call(None, None, None, ":1}"),
            call(None, "b", "g", '{"y"'),
            call(None, None, None, ":2}"),
        ),
        (
            call(None, "a", "f"),
            call(None, "b", "g"),
            call(None, "a", None, '{"x":1}'),
            call(None, "b", None, '{"y":2}'),
        ),
        (call(0, "a", "f", '{"x":1}'), call(0, "b", "g", '{"y":2}')),
        (call(0, "a", "f", '{"x"'), call(0, "a", "f", ":1}"), call(1, "b", "g", '{"y":2}')),
        (
            chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]}),
            call(1, "b", "g", '{"y":2}'),
        ),
    ],
    ids=[
        "whole",
        "pieces",
        "interleaved",
        "backwards",
        "no index",
        "no index, pieces",
        "ids only",
        "all 0",
        "id in each",
        "object",
    ],
)
async def test_calls_are_put_together_from_any_shape_of_pieces(
    upstream: Upstream, model: OpenAIChat, steps: tuple[bytes, ...]
) -> None:
    upstream.then(streamed(text("ok"), *steps, reason="tool_calls"))
    assert (await heard(model))[1].parts == (
        Text("ok"),
        ToolCall("a", "f", '{"x":1}'),
        ToolCall("b", "g", '{"y":2}'),
    )


async def test_calls_without_id_get_one_each(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(call(None, None, "f", "{}"), call(None, None, "f", "{}")))
    first, second = (await heard(model))[1].tool_calls
    assert first.id.startswith("call_")
    assert second.id.startswith("call_")
    assert first.id != second.id


async def test_an_id_that_the_conversation_has_already_is_replaced(
    upstream: Upstream, model: OpenAIChat
) -> None:
    """Servers that count calls from zero in each answer would make two calls look like one."""
    asked = ModelRequest(
        "", (user("hi"), Message("assistant", (ToolCall("call_0", "f", "{}"),), "tool_calls"))
    )
    upstream.then(
        streamed(call(0, "call_0", "f", "{}"), call(1, "call_1", "f", "{}"), call(2, "call_1", "f", "{}"))
    )
    ids = [made.id for made in (await heard(model, asked))[1].tool_calls]
    assert len({"call_0", *ids}) == 4
    assert "call_1" in ids


async def test_the_old_function_call_is_a_tool_call(upstream: Upstream, model: OpenAIChat) -> None:
    pieces = [
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
    ]
    upstream.then(streamed(*pieces, reason="function_call"))
    message = (await heard(model))[1]
    assert [(made.name, made.arguments) for made in message.tool_calls] == [("f", "{}")]
    assert message.stop_reason == "tool_calls"


async def test_malformed_arguments_stay_as_the_model_wrote_them(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(streamed(call(0, "a", "f", '{"x": oops')))
    assert (await heard(model))[1].tool_calls == (ToolCall("a", "f", '{"x": oops'),)


async def test_a_call_without_a_name_is_a_bad_answer(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(call(0, "a", None, "{}")))
    assert isinstance(await failure(model), ModelBadAnswer)
