"""What is read from the answers of the Gemini API."""

import pytest

from nanobot.core.message import Message, StopReason, Text, Thinking, ToolCall, ToolResult, Usage, user
from nanobot.core.model import AnswerTooLong, ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.models.gemini.generate import GeminiContent
from tests.gemini_api import (
    answered,
    blocked,
    call_part,
    candidate,
    chunk,
    finished,
    listed,
    said,
    text_part,
    thought_part,
    whole,
)
from tests.unit.models.asking import body_of, heard
from tests.unit.models.gemini.speech import LOOK, state
from tests.upstream import COMMENT, DONE, Upstream, event, spoken

GO = ModelRequest("", (user("go"),), (LOOK,))


async def test_thinking_is_told_apart_and_signatures_stay_at_their_parts(
    upstream: Upstream, model: GeminiContent
) -> None:
    upstream.then(
        answered(
            chunk(thought_part("h")),
            chunk(thought_part("m")),
            *said("It ", "is"),
            chunk(text_part(" so.", "YQ==")),
            chunk(text_part("", "Yg==")),
        )
    )
    _, message = await heard(model)
    assert message.parts == (
        Thinking("hm"),
        Text("It is"),
        Text(" so.", state("YQ==")),
        Text("", state("Yg==")),
    )
    assert message.text == "It is so."


async def test_what_came_goes_back_byte_for_byte(upstream: Upstream, model: GeminiContent) -> None:
    first = call_part("look", {"at": "x"}, id_="f1", signature="YQ==")
    second = call_part("look", {"at": "y"})
    upstream.then(answered(chunk(text_part("I look.")), chunk(first, second)))
    _, message = await heard(model, GO)
    assert message.stop_reason == "tool_calls"
    results = tuple(ToolResult(call.id, "found") for call in message.tool_calls)
    history = (user("go"), message, *(Message("tool", (result,)) for result in results))
    body = await body_of(upstream, model, ModelRequest("", history, (LOOK,)))
    assert body["contents"][1]["parts"] == [text_part("I look."), first, second]
    assert [part["functionResponse"].get("id") for part in body["contents"][2]["parts"]] == ["f1", None]


async def test_calls_have_ids_of_their_own(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(answered(chunk(call_part("look", id_="1"), call_part("look", id_="1"), call_part("look"))))
    asked = (user("go"), Message("assistant", (ToolCall("1", "look", "{}"),)), Message("tool", ()))
    _, message = await heard(model, ModelRequest("", asked, (LOOK,)))
    ids = [call.id for call in message.tool_calls]
    assert len({"1", *ids}) == 4


@pytest.mark.parametrize("name", ["2nd", "_2nd", "default_api:_2nd", "default_api._2nd"])
async def test_calls_have_the_names_of_the_tools_that_were_offered(
    upstream: Upstream, model: GeminiContent, name: str
) -> None:
    upstream.then(answered(chunk(call_part(name))))
    tool = tool_spec("2nd", "", {"type": "object"})
    _, message = await heard(model, ModelRequest("", (user("go"),), (tool,)))
    assert message.tool_calls[0].name == "2nd"


@pytest.mark.parametrize("args", [None, {}])
async def test_a_call_without_arguments_has_an_empty_object(
    upstream: Upstream, model: GeminiContent, args: object
) -> None:
    upstream.then(answered(chunk({"functionCall": {"name": "look", "args": args}})))
    assert (await heard(model, GO))[1].tool_calls[0].arguments == "{}"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
    ],
)
async def test_each_finish_reason_has_its_meaning(
    upstream: Upstream, model: GeminiContent, reason: str, expected: StopReason
) -> None:
    upstream.then(answered(*said("so"), reason=reason))
    assert (await heard(model))[1].stop_reason == expected


@pytest.mark.parametrize("reason", ["OTHER", "SOMETHING_NEW"])
async def test_a_reason_that_nobody_knows_is_taken_for_a_cut_that_is_final(
    upstream: Upstream, model: GeminiContent, reason: str
) -> None:
    upstream.then(answered(*said("so"), reason=reason))
    with pytest.raises(AnswerTooLong, match=reason) as caught:
        await heard(model)
    assert (caught.value.answer.text, caught.value.answer.stop_reason) == ("so", "length")


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "OTHER", "BLOCKLIST"])
async def test_a_prompt_that_is_blocked_has_an_empty_answer(
    upstream: Upstream, model: GeminiContent, reason: str
) -> None:
    upstream.then(blocked(reason))
    _, message = await heard(model)
    assert (message.parts, message.stop_reason) == ((), "content_filter")
    assert message.usage == Usage(9)


async def test_a_call_in_a_withheld_answer_is_not_to_be_run(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(answered(chunk(text_part("I")), chunk(call_part("look")), reason="SAFETY"))
    _, message = await heard(model, GO)
    assert (message.parts, message.stop_reason) == ((Text("I"),), "content_filter")


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"])
async def test_a_call_that_the_model_got_wrong_is_asked_for_again(
    upstream: Upstream, model: GeminiContent, reason: str
) -> None:
    upstream.then(spoken(event(candidate(finish=reason))))
    assert (await heard(model, GO))[1].text == "Hello there"
    assert len({asked.body for asked in upstream.requests}) == 1


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 30,
                "toolUsePromptTokenCount": 5,
            },
            Usage(105, 37, 60, 30),
        ),
        ({"promptTokenCount": 2**63, "candidatesTokenCount": -1, "thoughtsTokenCount": "x"}, Usage(0, 0)),
        ({"promptTokenCount": "12", "candidatesTokenCount": 3.0}, Usage(12, 3)),
        ({"promptTokenCount": None}, Usage(0, 0)),
    ],
)
async def test_usage_counts_thinking_among_the_answer(
    upstream: Upstream, model: GeminiContent, counts: dict[str, object], usage: Usage
) -> None:
    """The last ones are no counts; the answer is not lost for them."""
    upstream.then(spoken(event(candidate(text_part("so"), usage=counts)), finished(usage={})))
    assert (await heard(model))[1].usage == usage


def one(*parts: dict[str, object], **fields: object) -> bytes:
    return event({**candidate(*parts, finish="STOP"), **fields})


ODD: dict[str, tuple[bytes, ...]] = {
    "comments and blank events": (COMMENT, b"\n\n", *said("so"), COMMENT, finished()),
    "a chunk without candidates": (
        event({"usageMetadata": {"promptTokenCount": 3}}),
        *said("so"),
        finished(),
    ),
    "nulls": (
        event({"candidates": None, "usageMetadata": None}),
        event({"candidates": [{"content": None}]}),
        event({"candidates": [{"content": {"parts": None}}]}),
        *said("so"),
        finished(),
    ),
    "a reason in each chunk": (chunk(text_part("s"), finish="STOP"), chunk(text_part("o"), finish="STOP")),
    "no content at the end": (*said("so"), event(candidate(finish="STOP"))),
    "parts of a later version": (
        one({"text": "so"}, {"executableCode": {"code": "1"}}, {"brandNew": {}}, brandNew=7),
    ),
    "a second candidate": (
        event({"candidates": [{"index": 1, "content": {"parts": [{"text": "no"}]}}]}),
        *said("so"),
        finished(),
    ),
    "the end of another format": (*said("so"), finished(), DONE),
    "a signature of another type": (one({"text": "so", "thoughtSignature": {"a": 1}}),),
    "characters that are none": (
        event(b'{"candidates":[{"content":{"parts":[{"text":"so"}]},"x":"\xff","finishReason":"STOP"}]}'),
    ),
}


@pytest.mark.parametrize("steps", ODD.values(), ids=ODD.keys())
async def test_odd_streams_are_read(
    upstream: Upstream, model: GeminiContent, steps: tuple[bytes, ...]
) -> None:
    upstream.then(spoken(*steps))
    _, message = await heard(model)
    assert (message.parts, message.stop_reason) == ((Text("so"),), "stop")


async def test_a_stream_cut_anywhere_by_the_network_is_whole(
    upstream: Upstream, model: GeminiContent
) -> None:
    stream = b"".join((chunk(thought_part("hm")), *said("ä€", "😀"), finished()))
    upstream.then(spoken(*(stream[at : at + 1] for at in range(len(stream)))))
    assert (await heard(model))[1].text == "ä€😀"


async def test_an_array_of_chunks_is_read(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(listed(candidate(text_part("s")), candidate(text_part("o"), finish="STOP")))
    assert (await heard(model))[1].parts == (Text("so"),)


async def test_an_answer_in_one_piece_is_read(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(whole(thought_part("hm"), text_part("so"), call_part("look", {"at": "x"}, id_="a")))
    _, message = await heard(model, GO)
    assert message.parts == (Thinking("hm"), Text("so"), ToolCall("a", "look", '{"at":"x"}'))
    assert (message.stop_reason, message.usage) == ("tool_calls", Usage(10, 5))


PARTS = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"candidates": [{"index": "0", **PARTS}]}, id="index"),
        pytest.param(
            {"candidates": {"content": {"parts": {"text": "hi"}}, "finishReason": "STOP"}}, id="no lists"
        ),
        pytest.param({"candidates": ["x", PARTS, 7]}, id="elements"),
        pytest.param({"candidates": [PARTS], "usageMetadata": []}, id="usage"),
        pytest.param({"candidates": [PARTS], "promptFeedback": "ok"}, id="feedback"),
    ],
)
async def test_what_has_another_type_costs_no_answer(
    upstream: Upstream, model: GeminiContent, odd: object
) -> None:
    upstream.then(spoken(event(b"null"), event(odd)))
    assert (await heard(model))[1].text == "hi"


async def test_arguments_in_a_string_are_an_object(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(answered(chunk(call_part("look", '{"at":"x"}'))))
    (made,) = (await heard(model, GO))[1].tool_calls
    assert made.arguments == '{"at":"x"}'
