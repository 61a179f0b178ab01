"""What is read from the answers of the Messages API."""

import pytest

from nanobot.core.message import Message, StopReason, Text, Thinking, ToolCall, ToolResult, Usage, user
from nanobot.core.model import AnswerTooLong, ModelRequest
from nanobot.models.anthropic.messages import AnthropicMessages
from tests.anthropic_api import (
    PING,
    STOP,
    answered,
    block,
    called,
    named,
    redacted,
    said,
    start,
    stopped,
    text_delta,
    thought,
    whole,
)
from tests.unit.models.anthropic.talk import LOOK, state
from tests.unit.models.asking import body_of, heard
from tests.upstream import COMMENT, DONE, Upstream, spoken


async def test_thinking_has_its_signature_and_redacted_thinking_its_data(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(
        answered(
            *thought("h", "m", signature="a+/="),
            *redacted("secret", index=1),
            *thought(signature="only", index=2),
            *said("so", index=3),
        )
    )
    _, message = await heard(model)
    assert message.parts == (
        Thinking("hm", state("signature", "a+/=")),
        Thinking("", state("redacted_thinking", "secret")),
        Thinking("", state("signature", "only")),
        Text("so"),
    )


async def test_what_came_goes_back_byte_for_byte(upstream: Upstream, model: AnthropicMessages) -> None:
    upstream.then(
        answered(
            *thought("h\n m", signature="a+/="),
            *redacted("secret", index=1),
            *said("I look.", index=2),
            *called("toolu_1", "look", '{"at": ', '"x"}', index=3),
            reason="tool_use",
        )
    )
    _, message = await heard(model, ModelRequest("", (user("go"),), (LOOK,)))
    result = Message("tool", (ToolResult("toolu_1", "found"),))
    body = await body_of(upstream, model, ModelRequest("", (user("go"), message, result), (LOOK,)))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "h\n m", "signature": "a+/="},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "x"}},
    ]
    assert b'"input":{"at": "x"}' in upstream.requests[-1].body


async def test_calls_side_by_side_keep_their_arguments_apart(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(
        answered(*called("a", "look", '{"at":', '"x"}'), *called("b", "look", index=1), reason="tool_use")
    )
    _, message = await heard(model)
    assert message.parts == (ToolCall("a", "look", '{"at":"x"}'), ToolCall("b", "look", "{}"))
    assert message.stop_reason == "tool_calls"


async def test_arguments_may_come_with_the_start_of_a_call(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    start_of_call = {"type": "tool_use", "id": 7, "name": "look", "input": {"at": "x"}}
    upstream.then(answered(*block(0, start_of_call), reason="tool_use"))
    assert (await heard(model))[1].tool_calls == (ToolCall("7", "look", '{"at":"x"}'),)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("tool_use", "stop"),
    ],
)
async def test_each_stop_reason_has_its_meaning(
    upstream: Upstream, model: AnthropicMessages, reason: str, expected: StopReason
) -> None:
    """`tool_use` here comes without a call."""
    upstream.then(answered(*said("so"), reason=reason))
    assert (await heard(model))[1].stop_reason == expected


async def test_a_reason_that_nobody_knows_is_taken_for_a_cut_that_is_final(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(answered(*said("so"), reason="something_new"))
    with pytest.raises(AnswerTooLong, match="something_new") as caught:
        await heard(model)
    assert (caught.value.answer.text, caught.value.answer.stop_reason) == ("so", "length")


async def test_a_refusal_before_any_word_is_an_empty_answer(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(answered(reason="refusal"))
    _, message = await heard(model)
    assert (message.parts, message.stop_reason) == ((), "content_filter")


async def test_a_call_in_a_withheld_answer_is_not_to_be_run(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    upstream.then(answered(*said("I"), *called("a", "look", '{"at"', index=1), reason="refusal"))
    _, message = await heard(model)
    assert (message.parts, message.stop_reason) == ((Text("I"),), "content_filter")


@pytest.mark.parametrize(
    ("first", "last", "usage"),
    [
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": 100,
                "output_tokens": 1,
            },
            {"output_tokens": 7},
            Usage(123, 7, 100),
        ),
        (
            {"input_tokens": 3, "output_tokens": 1},
            {"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 7},
            Usage(10, 7, 6),
        ),
        (
            {"input_tokens": 3},
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}},
            Usage(3, 9, 0, 5),
        ),
        ({"input_tokens": 3, "cache_read_input_tokens": None}, {"output_tokens": None}, Usage(3, 0)),
        ({"input_tokens": 2**63, "output_tokens": -1}, {"output_tokens": "7"}, Usage(0, 0)),
        ({"input_tokens": 3.0}, {"output_tokens": True}, Usage(3, 0)),
    ],
)
async def test_usage_counts_cached_tokens_among_the_prompts(
    upstream: Upstream,
    model: AnthropicMessages,
    first: dict[str, object],
    last: dict[str, object],
    usage: Usage,
) -> None:
    """The last ones are no counts; the answer is not lost for them."""
    upstream.then(spoken(start(first), *said("so"), stopped(usage=last), STOP))
    assert (await heard(model))[1].usage == usage


ODD: dict[str, tuple[bytes, ...]] = {
    "pings and comments anywhere": (PING, COMMENT, start(), PING, *said("so"), PING, stopped(), STOP),
    "events without names": tuple(
        line
        for one in (start(), *said("so"), stopped(), STOP)
        for line in one.splitlines(keepends=True)
        if not line.startswith(b"event:")
    ),
    "events of a later version": (
        start(),
        named({"type": "brand_new", "index": 0, "delta": {"type": "text_delta", "text": "no"}}),
        *block(0, {"type": "brand_new_block", "text": "no"}, {"type": "brand_new_delta", "text": "no"}),
        *block(1, {"type": "text", "text": ""}, {"type": "brand_new_delta", "text": "no"}, text_delta("so")),
        stopped(),
        STOP,
    ),
    "tools that run at the provider": (
        start(),
        *block(
            0,
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "input_json_delta", "partial_json": "{}"},
        ),
        *block(1, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
        *block(
            2, {"type": "text", "text": ""}, {"type": "citations_delta", "citation": {}}, text_delta("so")
        ),
        stopped(),
        STOP,
    ),
    "text in the start of its block": (start(), *block(0, {"type": "text", "text": "so"}), stopped(), STOP),
    "a delta without a start": (
        start(),
        named({"type": "content_block_delta", "index": 0, "delta": text_delta("so")}),
        stopped(),
        STOP,
    ),
    "no message_stop": (start(), *said("so"), stopped()),
    "no message_delta": (start(), *said("so"), STOP),
    "the end of another format": (start(), *said("so"), stopped(), DONE),
    "no message_start": (*said("so"), stopped(), STOP),
    "nulls": (
        start(),
        *said("so"),
        named({"type": "message_delta", "delta": None, "usage": None}),
        stopped(),
        STOP,
    ),
    "more after the end": (start(), *said("so"), stopped(), STOP, *said("more", index=1)),
}


@pytest.mark.parametrize("steps", ODD.values(), ids=ODD.keys())
async def test_odd_streams_are_read(
    upstream: Upstream, model: AnthropicMessages, steps: tuple[bytes, ...]
) -> None:
    upstream.then(spoken(*steps))
    _, message = await heard(model)
    assert (message.parts, message.stop_reason) == ((Text("so"),), "stop")


async def test_a_stream_cut_anywhere_by_the_network_is_whole(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    stream = b"".join((start(), PING, *thought("hm"), *said("ä€😀", index=1), stopped(), STOP))
    upstream.then(spoken(*(stream[at : at + 1] for at in range(len(stream)))))
    assert (await heard(model))[1].text == "ä€😀"


async def test_an_answer_in_one_piece_is_read(upstream: Upstream, model: AnthropicMessages) -> None:
    content = (
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "a", "name": "look", "input": {"at": "x"}},
    )
    upstream.then(whole(*content, reason="tool_use"))
    _, message = await heard(model)
    assert message.parts == (
        Thinking("hm", state("signature", "s")),
        Text("I look."),
        ToolCall("a", "look", '{"at":"x"}'),
    )
    assert (message.stop_reason, message.usage) == ("tool_calls", Usage(10, 5))


# Servers that imitate the API ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param((rb"a\ud83d", rb"\ude00b"), "a\U0001f600b", id="a character cut in two"),
        pytest.param((rb"a\ud83d", b"b"), "ab", id="half a character"),
        pytest.param((b"a\xff", b"b"), "a\ufffdb", id="no UTF-8"),
    ],
)
async def test_broken_characters_cost_no_answer(
    upstream: Upstream, model: AnthropicMessages, pieces: tuple[bytes, ...], expected: str
) -> None:
    deltas = [
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
        % piece
        for piece in pieces
    ]
    upstream.then(spoken(start(), *deltas, stopped(), STOP))
    assert (await heard(model))[1].text == expected


@pytest.mark.parametrize("count", [b"9" * 5000, b"-1", b'"many"', b"[]"], ids=["huge", "-1", "word", "list"])
async def test_a_count_that_cannot_be_costs_no_answer(
    upstream: Upstream, model: AnthropicMessages, count: bytes
) -> None:
    end = (
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%b}}\n\n'
    )
    upstream.then(spoken(start(), *said("hi"), end % count, STOP))
    assert (await heard(model))[1].text == "hi"


@pytest.mark.parametrize("beat", [b"null", b"{}", b'""'])
async def test_a_heartbeat_without_a_type_adds_nothing(
    upstream: Upstream, model: AnthropicMessages, beat: bytes
) -> None:
    upstream.then(spoken(start(), b"data: %b\n\n" % beat, *said("hi"), stopped(), STOP))
    assert (await heard(model))[1].text == "hi"


async def test_a_delta_under_the_index_of_another_kind_goes_to_its_own(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    """Arguments are no text, and text is no argument."""
    opened, first, *_ = thought("hm", signature=None)
    made = called("toolu_1", "look", '{"at":', index=1)[:-1]
    argument = {"type": "input_json_delta", "partial_json": '"x"}'}
    late = (
        named({"type": "content_block_delta", "index": 0, "delta": argument}),
        named({"type": "content_block_delta", "index": 1, "delta": text_delta("so")}),
    )
    upstream.then(spoken(start(), opened, first, *made, *late, stopped("tool_use"), STOP))
    _, message = await heard(model, ModelRequest("", (user("go"),), (LOOK,)))
    thinking, call, text = message.parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, text) == ("hm", Text("so"))
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"at":"x"}'


async def test_calls_with_one_id_are_told_apart(upstream: Upstream, model: AnthropicMessages) -> None:
    two = (*called("t", "look", "{}"), *called("t", "look", "{}", index=1))
    upstream.then(answered(*two, reason="tool_use"))
    one, other = (await heard(model, ModelRequest("", (user("go"),), (LOOK,))))[1].tool_calls
    assert one.id != other.id


@pytest.mark.parametrize("index", ['"0"', "0.0", "null", "[]", "{}"])
async def test_an_index_of_another_type_costs_no_answer(
    upstream: Upstream, model: AnthropicMessages, index: str
) -> None:
    opened, *deltas = (
        piece.replace(b'"index":0', b'"index":%b' % index.encode()) for piece in said("h", "i")
    )
    upstream.then(spoken(start(), opened, *deltas, stopped(), STOP))
    assert (await heard(model))[1].text == "hi"


async def test_blocks_that_come_in_turns_are_kept_in_the_order_in_which_they_are_shown(
    upstream: Upstream, model: AnthropicMessages
) -> None:
    one, two = said("a", "d"), said("b", "c", index=1)
    upstream.then(spoken(start(), one[0], two[0], two[1], one[1], two[2], one[2], stopped(), STOP))
    assert (await heard(model))[1].text == "bacd"
