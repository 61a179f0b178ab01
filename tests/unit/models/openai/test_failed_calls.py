"""Calls that a server could not read are read from what its error quotes, where they are plainly there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import TextDelta
from nanobot.core.message import Text
from nanobot.core.model import ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.openai.failed_calls import FailedCall, calls_in
from tests.unit.models.asking import HELLO, failure, heard
from tests.upstream import Reply, Upstream, event, json_reply, spoken, text

LOOK = tool_spec("look", "Look.", {"type": "object"})
ASKED = ModelRequest("Be brief.", HELLO.messages, (LOOK,))
AT_X = '{"at": "x"}'


def error(generation: str) -> dict[str, object]:
    words = "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details."
    return {"error": {"message": words, "code": "tool_use_failed", "failed_generation": generation}}


def refusal(generation: str) -> Reply:
    return json_reply(error(generation), 400)


@pytest.mark.parametrize(
    "generation",
    [
        f"<function=look{AT_X}</function>",
        f"<function=look>{AT_X}</function>",
        f"<function=look> {AT_X} </function>\n",
        f"<function(look){AT_X}</function>",
        f"look{AT_X}</function>",
        f"<|python_tag|><function=look>{AT_X}</function>",
        '{"name": "look", "arguments": {"at": "x"}}',
        '{"name": "look", "parameters": {"at": "x"}}',
        '{"type": "function", "function": {"name": "look", "arguments": "{\\"at\\": \\"x\\"}"}}',
        '```\n{"tool_calls": [{"id": "1", "name": "look", "arguments": {"at": "x"}}]}\n```',
        '<tool-use>{"tool_calls": [{"function": {"name": "look", "parameters": {"at": "x"}}}]}</tool-use>',
        '[{"name": "look", "parameters": {"at": "x"}}]',
        '<tool_call>{"name": "look", "arguments": {"at": "x"}}</tool_call>',
    ],
)
def test_a_text_that_is_a_call_is_read(generation: str) -> None:
    (call,) = calls_in(generation, {"look"})
    assert (call.name, json.loads(call.arguments)) == ("look", {"at": "x"})


def test_several_calls_are_read_in_order_and_arguments_stay_as_they_were_written() -> None:
    text = f"<function=look>{AT_X}</function>\n<function=find>{{}}</function>"
    assert calls_in(text, {"look", "find"}) == [FailedCall("look", AT_X), FailedCall("find", "{}")]


@pytest.mark.parametrize(
    "generation",
    [
        "",
        "I look.",
        f"I look. <function=look>{AT_X}</function>",
        f"<function=look>{AT_X}</function> And then I",
        f"<function=other>{AT_X}</function>",
        "<function=look>{at: x}</function>",
        "<function=look>[1]</function>",
        '{"name": "look"}',
        '{"name": "look", "arguments": "x"}',
        "Tool use failed: JSON does not match the expected schema for tool calls",
        '{"a":' * 5_000,
        "[" * 100_000,
    ],
)
def test_anything_else_is_no_call(generation: str) -> None:
    assert calls_in(generation, {"look"}) == []


@given(st.text(alphabet='<>{}[]"=:,look tion/fuc\n', max_size=60))
def test_no_text_is_too_odd(generation: str) -> None:
    assert all(call.name == "look" for call in calls_in(generation, {"look"}))


async def test_the_call_in_a_refusal_is_the_answer(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refusal(f"<function=look>{AT_X}</function>"))
    _, message = await heard(model, ASKED)
    (call,) = message.tool_calls
    assert (call.name, call.arguments, message.stop_reason) == ("look", AT_X, "tool_calls")
    assert call.id
    assert len(upstream.requests) == 1


async def test_the_call_in_an_error_of_a_stream_is_the_answer(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(spoken(text("I look."), event(error(f"<function=look>{AT_X}</function>"))))
    deltas, message = await heard(model, ASKED)
    assert deltas == [TextDelta("I look.")]
    assert message.parts[0] == Text("I look.")
    assert message.tool_calls[0].arguments == AT_X


async def test_what_is_not_plainly_a_call_is_asked_for_again(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refusal(f"I think <function=look>{AT_X}"))
    assert (await heard(model, ASKED))[1].text == "Hello there"
    upstream.then(*[refusal("look(")] * 3)
    assert isinstance(await failure(model, ASKED), ModelBadAnswer)


async def test_without_tools_there_is_nothing_to_call(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refusal(f"<function=look>{AT_X}</function>"))
    assert (await heard(model))[1].text == "Hello there"
