"""What a provider attaches to its answers goes back to it, under the name that it came in."""

from typing import Any

import msgspec
import pytest

from nanobot.core.message import Message, ProviderState, Text, Thinking, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.openai.state import NO_SIGNATURE
from tests.clock import PausedClock
from tests.unit.models.asking import heard
from tests.unit.models.openai.asking import model_at
from tests.upstream import (
    Reply,
    Upstream,
    call,
    chunk,
    finish,
    reasoning,
    refused,
    spoken,
    streamed,
    text,
    whole,
)

SIGNED = {"google": {"thought_signature": "S+/=="}}


def signed_call() -> bytes:
    function = {"name": "f", "arguments": "{}"}
    return chunk(
        {"tool_calls": [{"id": "c1", "type": "function", "function": function, "extra_content": SIGNED}]}
    )


async def second_turn(upstream: Upstream, model: OpenAIChat, *replies: Reply) -> dict[str, Any]:
    """Return the body of a request that shows the model the first answer among `replies`."""
    upstream.then(*replies)
    first = (await heard(model))[1]
    stored = msgspec.json.decode(msgspec.json.encode(first), type=Message)
    results = tuple(Message("tool", (ToolResult(made.id, "2"),)) for made in stored.tool_calls)
    await heard(model, ModelRequest("", (user("hi"), stored, *results, *(() if results else (user("go"),)))))
    body: dict[str, Any] = upstream.requests[-1].json
    return body


def assistant(body: dict[str, Any]) -> dict[str, Any]:
    (message,) = (message for message in body["messages"] if message["role"] == "assistant")
    return dict(message)


async def test_a_signature_of_a_call_goes_back_with_the_call(upstream: Upstream, model: OpenAIChat) -> None:
    message = assistant(await second_turn(upstream, model, spoken(signed_call(), finish())))
    assert message["tool_calls"][0]["extra_content"] == SIGNED
    assert "extra_content" not in message


async def test_a_signature_of_a_text_goes_back_with_the_message(
    upstream: Upstream, model: OpenAIChat
) -> None:
    answer = spoken(text("yes"), chunk({"content": "", "extra_content": SIGNED}), finish())
    assert assistant(await second_turn(upstream, model, answer))["extra_content"] == SIGNED


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thinking_goes_back_in_the_field_that_it_came_in(
    upstream: Upstream, model: OpenAIChat, field: str
) -> None:
    answer = streamed(reasoning("h", field), reasoning("m", field), text("ok"), call(0, "c1", "f", "{}"))
    message = assistant(await second_turn(upstream, model, answer))
    assert (message[field], message["content"]) == ("hm", "ok")
    assert len({"reasoning", "reasoning_content"} & set(message)) == 1


async def test_details_of_reasoning_go_back_whole_in_their_order(
    upstream: Upstream, model: OpenAIChat
) -> None:
    pieces: list[list[dict[str, Any]]] = [
        [{"type": "reasoning.text", "text": "Let ", "index": 0, "format": "x", "signature": None}],
        [{"type": "reasoning.text", "text": "me", "index": 0, "format": "x"}],
        [{"type": "reasoning.text", "signature": "sig", "index": 0}],
        [{"type": "reasoning.encrypted", "data": "AA", "index": 1, "id": "r1"}],
        [{"type": "reasoning.encrypted", "data": "BB", "index": 1, "id": "r1"}],
    ]
    answer = streamed(
        *(chunk({"reasoning_details": piece}) for piece in pieces), text("ok"), call(0, "c1", "f", "{}")
    )
    message = assistant(await second_turn(upstream, model, answer))
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Let me", "index": 0, "format": "x", "signature": "sig"},
        *pieces[3],
        *pieces[4],
    ]


async def test_details_are_shown_as_thinking_where_nothing_else_shows_it(
    upstream: Upstream, model: OpenAIChat
) -> None:
    """As MiniMax sends them, each time with all that there is by now."""
    pieces = [
        [{"type": "reasoning.text", "index": 0, "text": words}] for words in ("Let", "Let me", "Let me see")
    ]
    upstream.then(streamed(*(chunk({"reasoning_details": piece}) for piece in pieces), text("ok")))
    message = (await heard(model))[1]
    thinking, said = message.parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, said) == ("Let me see", Text("ok"))


async def test_details_beside_readable_reasoning_are_shown_once_and_sent_once(
    upstream: Upstream, model: OpenAIChat
) -> None:
    piece = {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}
    message = assistant(await second_turn(upstream, model, streamed(chunk(piece), text("ok"))))
    assert "reasoning" not in message
    assert message["reasoning_details"] == [{"type": "reasoning.text", "text": "hm"}]


async def test_details_that_show_nothing_are_kept_too(upstream: Upstream, model: OpenAIChat) -> None:
    details = [{"type": "reasoning.encrypted", "data": "AA"}]
    reply = whole({"content": "ok", "reasoning_details": details})
    assert assistant(await second_turn(upstream, model, reply))["reasoning_details"] == details


async def test_thinking_in_tags_goes_back_in_its_tags_to_minimax_alone(
    upstream: Upstream, clock: PausedClock
) -> None:
    for name, content in (("minimax:MiniMax-M2", "<think>\nhm\n</think>\n\nyes"), ("test:test-model", "yes")):
        model = model_at(upstream.url, clock, name=name)
        message = assistant(await second_turn(upstream, model, streamed(text("<think>hm</think>yes"))))
        await model.close()
        assert message["content"] == content


STATE = ProviderState("test", "reasoning_content", msgspec.Raw(b"null"))
HISTORY = (
    user("hi"),
    Message("assistant", (Thinking("hm", STATE), ToolCall("c1", "f", "{}")), "tool_calls"),
    Message("tool", (ToolResult("c1", "2"),)),
    Message("assistant", (Text("two"),), "stop"),
    user("and?"),
)
REQUEST = ModelRequest("", HISTORY)


async def test_another_provider_does_not_get_it(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, name="other:test-model")
    await heard(model, REQUEST)
    await model.close()
    assert b"hm" not in upstream.requests[0].body


async def test_a_model_that_refuses_the_field_does_not_get_it_again(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "property 'reasoning_content' is unsupported"))
    await heard(model, REQUEST)
    await heard(model, REQUEST)
    assert [b"reasoning_content" in asked.body for asked in upstream.requests] == [True, False, False]


@pytest.mark.parametrize(
    "words",
    [
        "Missing `reasoning_content` field in the assistant message at message index 2",
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
    ],
)
async def test_where_the_field_is_missing_an_empty_one_is_sent_and_stored_ones_stay(
    upstream: Upstream, model: OpenAIChat, words: str
) -> None:
    upstream.then(refused(400, words))
    await heard(model, REQUEST)
    await heard(model, REQUEST)
    assert len(upstream.requests) == 3, "remembered"
    for asked in upstream.requests[1:]:
        assistants = [message for message in asked.json["messages"] if message["role"] == "assistant"]
        assert [message["reasoning_content"] for message in assistants] == ["hm", ""]


async def test_where_a_signature_is_missing_the_documented_stand_in_is_sent(
    upstream: Upstream, model: OpenAIChat
) -> None:
    words = "Function call is missing a thought_signature in functionCall parts."
    upstream.then(refused(400, words, "INVALID_ARGUMENT"))
    await heard(model, REQUEST)
    (made,) = upstream.requests[1].json["messages"][1]["tool_calls"]
    assert made["extra_content"] == NO_SIGNATURE


async def test_what_cannot_be_stored_is_not_kept(upstream: Upstream, model: OpenAIChat) -> None:
    odd = b'data: {"choices":[{"delta":{"content":"ok","extra_content":{"a":"\xff"}}}]}\n\n'
    upstream.then(spoken(odd, finish()))
    assert (await heard(model))[1].parts == (Text("ok"),)
