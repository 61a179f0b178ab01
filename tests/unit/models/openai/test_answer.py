"""Answers in all the shapes that providers stream them: text, thinking, stop reasons, usage."""

from itertools import groupby
from typing import Any

import msgspec
import pytest

from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, ProviderState, StopReason, Text, Thinking, ToolCall, Usage
from nanobot.models.http import Timeouts
from nanobot.models.openai.chat import OpenAIChat
from tests.clock import PausedClock
from tests.unit.models.asking import heard
from tests.unit.models.openai.asking import model_at
from tests.upstream import (
    COMMENT,
    CUT,
    DONE,
    HANG,
    Gate,
    Reply,
    Upstream,
    call,
    chunk,
    counted,
    event,
    finish,
    reasoning,
    spoken,
    streamed,
    text,
    usage,
    whole,
)

# What is heard ------------------------------------------------------------------------------------


def runs(deltas: list[Delta]) -> list[list[Delta]]:
    """Return the deltas by kind; what arrives together may come as one."""
    return [list(run) for _, run in groupby(deltas, type)]


async def test_text_comes_in_deltas_and_as_one_message(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(text("Hel"), text("lo"), count=(12, 3, 8, 1)))
    deltas, message = await heard(model)
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    assert "".join(delta.text for delta in deltas) == "Hello"
    assert message == Message("assistant", (Text("Hello"),), "stop", Usage(12, 3, 8, 1), "test:test-model")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_thinking_in_order_of_arrival(
    upstream: Upstream, model: OpenAIChat, field: str
) -> None:
    upstream.then(
        streamed(reasoning("h", field), reasoning("m", field), text("a"), reasoning("x", field), text("b"))
    )
    deltas, message = await heard(model)
    assert [(type(run[0]), "".join(delta.text for delta in run)) for run in runs(deltas)] == [
        (ThinkingDelta, "hm"),
        (TextDelta, "a"),
        (ThinkingDelta, "x"),
        (TextDelta, "b"),
    ]
    state = ProviderState("test", field, msgspec.Raw(b"null"))
    assert message.parts == (Thinking("hm", state), Text("a"), Thinking("x", state), Text("b"))


async def test_think_tags_cut_across_chunks_are_thinking(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(text("<th"), text("ink>h"), text("m</thi"), text("nk>\n"), text("\nyes")))
    _, message = await heard(model)
    assert message.parts == (Thinking("hm"), Text("yes"))


async def test_what_looked_like_a_tag_at_the_very_end_is_text(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(text("<thi")))
    assert (await heard(model))[1].text == "<thi"


async def test_a_refusal_is_visible_text(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(chunk({"refusal": "I cannot."})))
    assert (await heard(model))[1].text == "I cannot."


async def test_content_in_parts_is_read(upstream: Upstream, model: OpenAIChat) -> None:
    """As Mistral's reasoning models write it."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "yes"},
    ]
    upstream.then(streamed(chunk({"content": parts})))
    assert (await heard(model))[1].parts == (Thinking("hm"), Text("yes"))


async def test_characters_and_lines_cut_by_the_network_are_whole(
    upstream: Upstream, model: OpenAIChat
) -> None:
    stream = b"".join((text("ä€😀"), finish(), DONE)).replace(b"\n", b"\r\n")
    upstream.then(spoken(*(stream[at : at + 1] for at in range(len(stream)))))
    assert (await heard(model))[1].text == "ä€😀"


async def test_odd_chunks_do_no_harm(upstream: Upstream, model: OpenAIChat) -> None:
    """Unknown fields, nulls for lists, no choices, other choices, comments, empty events."""
    upstream.then(
        spoken(
            COMMENT,
            event({"choices": [], "prompt_filter_results": []}),
            event({"choices": None, "x": {"y": 1}}),
            event({}),
            event(""),
            event(
                {
                    "choices": [
                        {
                            "delta": {"content": None, "tool_calls": None, "role": "assistant", "z": 1},
                            "logprobs": None,
                        }
                    ]
                }
            ),
            event(
                {
                    "choices": [
                        {"index": 1, "delta": {"content": "other"}},
                        {"index": 0, "delta": {"content": "this"}},
                    ]
                }
            ),
            event({"choices": [{"delta": None}], "error": None, "usage": None}),
            finish(),
            b"data: [DONE] \n\n",
        )
    )
    assert await heard(model) == (
        [TextDelta("this")],
        Message("assistant", (Text("this"),), "stop", None, "test:test-model"),
    )


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        ("eos", "stop"),
    ],
)
async def test_the_finish_reason_is_the_stop_reason(
    upstream: Upstream, model: OpenAIChat, said: str, meant: StopReason
) -> None:
    upstream.then(streamed(text("a"), reason=said))
    assert (await heard(model))[1].stop_reason == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "tool_calls"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("length", "length"),
    ],
)
async def test_an_answer_with_calls_stops_for_them_unless_it_was_cut(
    upstream: Upstream, model: OpenAIChat, said: str, meant: StopReason
) -> None:
    upstream.then(streamed(call(0, "a", "f", "{}"), reason=said))
    assert (await heard(model))[1].stop_reason == meant


@pytest.mark.parametrize(
    "steps",
    [
        (finish(), usage(12, 3, 8, 1)),
        (event({"choices": [], "usage": counted(12, 3, 8, 1)}), finish()),
        (chunk({}, "stop", usage=counted(12, 3, 8, 1)),),
        (chunk({}, None, usage=counted(1, 1)), finish(), usage(12, 3, 8, 1)),
        (chunk({}, "stop", usage=counted(12, 3, 8, 1)), usage(0, 0)),
        (chunk({}, "stop", x_groq={"usage": counted(12, 3, 8, 1)}),),
        (event({"choices": [{"delta": {}, "finish_reason": "stop", "usage": counted(12, 3, 8, 1)}]}),),
    ],
)
async def test_usage_is_found_wherever_it_stands(
    upstream: Upstream, model: OpenAIChat, steps: tuple[bytes, ...]
) -> None:
    upstream.then(spoken(text("a"), *steps, DONE))
    assert (await heard(model))[1].usage == Usage(12, 3, 8, 1)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"input_tokens": 12, "output_tokens": 3}, Usage(12, 3)),
        ({"input_tokens": "12", "output_tokens": "3"}, Usage(12, 3)),
        ({**counted(12, 3, 0, 90), "total_tokens": 105}, Usage(12, 93, 0, 90)),
    ],
)
async def test_usage_in_the_way_of_another_provider_is_read(
    upstream: Upstream, model: OpenAIChat, said: dict[str, object], meant: Usage
) -> None:
    """Some have the names of another format; xAI counts thinking beside the answer's tokens."""
    upstream.then(spoken(text("ok"), finish(), event({"choices": [], "usage": said}), DONE))
    assert (await heard(model))[1].usage == meant


async def test_usage_with_nulls_or_with_another_name_for_cached_tokens_is_read(
    upstream: Upstream, model: OpenAIChat
) -> None:
    count = {
        "prompt_tokens": 9,
        "completion_tokens": None,
        "prompt_cache_hit_tokens": 4,
        "completion_tokens_details": None,
    }
    upstream.then(spoken(text("a"), finish(), event({"usage": count}), DONE))
    assert (await heard(model))[1].usage == Usage(9, 0, 4, 0)


async def test_a_server_that_does_not_stream_is_heard_all_the_same(
    upstream: Upstream, model: OpenAIChat
) -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]
    upstream.then(
        whole({"content": "<think>hm</think>yes", "tool_calls": calls}, "tool_calls", (12, 3, 8, 1))
    )
    deltas, message = await heard(model)
    assert deltas == [ThinkingDelta("hm"), TextDelta("yes")]
    assert message.parts == (Thinking("hm"), Text("yes"), ToolCall("a", "f", '{"x":1}'))
    assert (message.stop_reason, message.usage) == ("tool_calls", Usage(12, 3, 8, 1))


async def test_a_whole_answer_may_begin_with_blanks_and_lack_its_finish_reason(
    upstream: Upstream, model: OpenAIChat
) -> None:
    reply = whole({"content": "yes"}, None, None)
    upstream.then(Reply((b"\n", b"\r\n ", *reply.steps), headers=reply.headers))
    assert (await heard(model))[1].text == "yes"


@pytest.mark.parametrize("ending", [(finish(),), (DONE,), (finish().removesuffix(b"\n\n"),)])
async def test_a_finish_reason_or_done_ends_an_answer(
    upstream: Upstream, model: OpenAIChat, ending: tuple[bytes, ...]
) -> None:
    upstream.then(spoken(text("a"), *ending, framing="close"))
    assert (await heard(model))[1].stop_reason == "stop"


@pytest.mark.parametrize("step", [CUT, HANG])
async def test_a_finished_answer_is_not_lost_with_its_connection(
    upstream: Upstream, clock: PausedClock, step: Any
) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(idle_s=1.0))
    upstream.then(spoken(text("a"), finish(), step))
    assert (await heard(model))[1].text == "a"
    await model.close()


# What is asked -------------------------------------------------------------------------------------


async def test_the_message_does_not_wait_for_the_end_of_the_body(
    upstream: Upstream, model: OpenAIChat
) -> None:
    """The connection is kept meanwhile, for the server to end the answer properly."""
    gate = Gate()
    upstream.then(spoken(text("a"), finish(), DONE, gate))
    assert (await heard(model))[1].text == "a"
    await heard(model)
    assert upstream.open_connections == 2
    gate.open()


async def test_a_server_that_does_not_end_the_body_loses_its_connection(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(spoken(text("a"), finish(), DONE, HANG))
    await heard(model)
    await upstream.deserted()
