"""The OpenAI-compatible provider against a real server on this machine."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from email.utils import formatdate
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import (
    ConfigError,
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelLacksAbility,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
    ModelUnreachable,
)
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, ProviderState, StopReason, Text, Thinking, ToolCall, Usage, user
from nanobot.core.model import Model, ModelRequest
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.openai.chat import OpenAIChat, Timeouts
from tests.clock import PausedClock
from tests.unit.models.openai.asking import HELLO, KEY, failure, heard, model_at
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
    dropped,
    event,
    finish,
    json_reply,
    raw,
    reasoning,
    refused,
    silent,
    spoken,
    streamed,
    text,
    too_long,
    usage,
    whole,
)

SHORT = Timeouts(first_chunk_s=0.5, idle_s=0.3)


@pytest.fixture
async def hasty(upstream: Upstream, clock: PausedClock) -> AsyncIterator[OpenAIChat]:
    """A model with the time-outs in `SHORT`."""
    model = model_at(upstream.url, clock, timeouts=SHORT)
    yield model
    await model.close()


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
    upstream: Upstream, hasty: OpenAIChat, step: Any
) -> None:
    upstream.then(spoken(text("a"), finish(), step))
    assert (await heard(hasty))[1].text == "a"


# Tool calls ---------------------------------------------------------------------------------------


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


# What is asked ------------------------------------------------------------------------------------


async def test_the_request_goes_to_chat_completions_with_key_and_json(
    upstream: Upstream, model: OpenAIChat
) -> None:
    await heard(model)
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.body == (
        b'{"model":"test-model","stream":true,"stream_options":{"include_usage":true},'
        b'"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}'
    )


async def test_without_a_key_none_is_sent(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url + "/", clock, api_key=None)
    await heard(model)
    await model.close()
    assert "authorization" not in upstream.requests[0].headers
    assert upstream.requests[0].path == "/v1/chat/completions"


async def test_a_query_of_the_base_url_stays_behind_the_path(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url + "?api-version=1", clock)
    await heard(model)
    await model.close()
    assert upstream.requests[0].path == "/v1/chat/completions?api-version=1"


@pytest.mark.parametrize("ending", ["/chat/completions", "/chat/completions/", "/chat/completions?a=1"])
async def test_a_base_url_with_the_path_of_the_completions_is_understood(
    upstream: Upstream, clock: PausedClock, ending: str
) -> None:
    model = model_at(upstream.url + ending, clock)
    await heard(model)
    await model.check()
    await model.close()
    assert [asked.path.partition("?")[0] for asked in upstream.requests] == [
        "/v1/chat/completions",
        "/v1/models",
    ]


@pytest.mark.parametrize("reply", [refused(404, "Not Found"), spoken(b"<html>welcome</html>")])
async def test_where_the_base_url_has_no_path_the_failure_says_which_one_is_usual(
    upstream: Upstream, clock: PausedClock, reply: Reply
) -> None:
    upstream.then(reply, reply)
    bare, whole = (model_at(url, clock) for url in (upstream.url.removesuffix("/v1"), upstream.url))
    assert "/v1" in (await failure(bare)).message
    assert "no path" not in (await failure(whole)).message
    await bare.close()
    await whole.close()


async def test_openai_alone_gets_its_own_fields(tmp_path: Path, clock: PausedClock) -> None:
    """`max_completion_tokens` and `prompt_cache_key` are OpenAI's; others get `max_tokens`."""
    request = ModelRequest("", (user("hi"),), sampling=Sampling(max_output_tokens=9), session_hint="hint")
    path = str(tmp_path / "s")
    async with Upstream(socket_path=path) as upstream:
        for url in ("http://api.openai.com/v1", "http://example.com/v1"):
            model = model_at(url, clock, socket_path=path)
            await heard(model, request)
            await model.close()
        openai, other = (asked.json for asked in upstream.requests)
    assert (openai["max_completion_tokens"], openai["prompt_cache_key"]) == (9, "hint")
    assert other["max_tokens"] == 9
    assert "max_tokens" not in openai
    assert not {"max_completion_tokens", "prompt_cache_key"} & set(other)


async def test_a_unix_socket_is_spoken_to_as_well(tmp_path: Path, clock: PausedClock) -> None:
    path = str(tmp_path / "s")
    async with Upstream(socket_path=path) as upstream:
        model = model_at("http://localhost/v1", clock, socket_path=path)
        assert (await heard(model))[1].text == "Hello there"
        await model.check()
        await model.close()
        assert [asked.path for asked in upstream.requests] == ["/v1/chat/completions", "/v1/models"]


async def test_extra_fields_are_sent_and_come_before_the_servers_own_settings(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream.url, clock, extra_body={"top_k": 3, "temperature": 0})
    await heard(model, ModelRequest("", (user("hi"),), sampling=Sampling(temperature=1.0)))
    await model.close()
    assert (upstream.requests[0].json["top_k"], upstream.requests[0].json["temperature"]) == (3, 0)


async def test_a_server_without_stream_options_is_asked_without_them_from_then_on(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock
) -> None:
    upstream.then(refused(400, "Unrecognized request argument supplied: stream_options"))
    assert (await heard(model))[1].text == "Hello there"
    await heard(model)
    assert ["stream_options" in asked.json for asked in upstream.requests] == [True, False, False]
    assert clock.pauses == []


async def test_a_server_that_still_complains_of_stream_options_is_told_once(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "bad stream_options"), refused(400, "bad stream_options"))
    assert isinstance(await failure(model), ModelRejectedRequest)
    assert len(upstream.requests) == 2


JSON = OutputFormat("json_schema", "x", msgspec.Raw(b'{"type":"object"}'))


async def test_a_server_without_response_format_says_so_and_does_not_claim_it_any_more(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "This response_format type is unavailable now"))
    assert "json_schema" in model.abilities
    assert isinstance(await failure(model, ModelRequest("", (user("hi"),), format=JSON)), ModelLacksAbility)
    assert "json_schema" in model.abilities, "until a request without it was answered"
    await heard(model, ModelRequest("", (user("hi"),), format=JSON, lacking=frozenset({"json_schema"})))
    assert "json_schema" not in model.abilities and "json_object" in model.abilities
    assert ["response_format" in asked.json for asked in upstream.requests] == [True, False]


async def test_a_server_that_does_not_like_the_schema_is_believed(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "Invalid schema for response_format 'x': additionalProperties is required"))
    assert isinstance(
        await failure(model, ModelRequest("", (user("hi"),), format=JSON)), ModelRejectedRequest
    )
    assert "json_schema" in model.abilities


async def test_a_body_of_megabytes_arrives_whole(upstream: Upstream, model: OpenAIChat) -> None:
    await heard(model, ModelRequest("", (user("x" * 3_000_000),)))
    assert len(upstream.requests[0].json["messages"][0]["content"]) == 3_000_000


async def test_one_connection_serves_one_call_after_another(upstream: Upstream, model: OpenAIChat) -> None:
    await model.warm()
    for _ in range(3):
        await heard(model)
    assert {asked.connection for asked in upstream.requests} == {1}


async def test_many_calls_run_side_by_side(upstream: Upstream, model: OpenAIChat) -> None:
    gates = [Gate() for _ in range(120)]
    upstream.then(*(streamed(gate, text("a")) for gate in gates))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(heard(model)) for _ in gates]
        await asyncio.gather(*(gate.reached.wait() for gate in gates))
        for gate in gates:
            gate.open()
    assert {call.result()[1].text for call in calls} == {"a"}


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


async def test_cookies_are_not_kept(tmp_path: Path, clock: PausedClock) -> None:
    greeting = streamed(text("a"))
    async with Upstream(socket_path=str(tmp_path / "s")) as upstream:
        model = model_at("http://example.com/v1", clock, socket_path=str(tmp_path / "s"))
        upstream.then(Reply(greeting.steps, headers={**greeting.headers, "Set-Cookie": "a=b"}))
        await heard(model)
        await heard(model)
        await model.close()
        assert "cookie" not in upstream.requests[1].headers


# Stopping -----------------------------------------------------------------------------------------


async def test_closing_the_stream_cuts_the_connection(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(text("a"), HANG))
    async with aclosing(model.stream(HELLO)) as stream:
        assert await anext(stream) == TextDelta("a")
    await upstream.deserted()


@pytest.mark.parametrize("reply", [silent(), streamed(HANG), streamed(text("a"), HANG)])
async def test_cancelling_cuts_the_connection(upstream: Upstream, model: OpenAIChat, reply: Reply) -> None:
    upstream.then(reply)
    task = asyncio.create_task(heard(model))
    await upstream.asked(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.deserted()


async def test_a_slow_listener_is_no_idle_provider(upstream: Upstream, hasty: OpenAIChat) -> None:
    """The provider's time-outs run only while it is waited for."""
    gate = Gate()
    upstream.then(streamed(text("a"), gate, text("b")))
    stream = hasty.stream(HELLO)
    assert await anext(stream) == TextDelta("a")
    timer_passed = asyncio.Event()
    asyncio.get_running_loop().call_later(3 * SHORT.idle_s, timer_passed.set)
    await timer_passed.wait()
    gate.open()
    assert await anext(stream) == TextDelta("b")
    await stream.aclose()


@pytest.mark.parametrize("reply", [silent(), streamed(HANG), streamed(text("a"), HANG)])
async def test_close_ends_the_wait_of_whoever_listens(
    upstream: Upstream, model: OpenAIChat, reply: Reply
) -> None:
    upstream.then(reply)
    task = asyncio.create_task(failure(model))
    await upstream.asked(1)
    await model.close()
    async with asyncio.timeout(20):
        assert isinstance(await task, ModelUnreachable)
    await upstream.deserted()


async def test_close_ends_what_runs_and_may_come_twice(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(streamed(text("a"), HANG))
    stream = model.stream(HELLO)
    await anext(stream)
    await model.close()
    await model.close()
    with pytest.raises(ModelUnreachable, match="closed"):
        await anext(stream)
    assert isinstance(await failure(model), ModelUnreachable)
    with pytest.raises(ModelUnreachable):
        await model.warm()


# Time-outs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [silent(), spoken(HANG), spoken(COMMENT, HANG)])
async def test_an_answer_that_does_not_begin_times_out(
    upstream: Upstream, hasty: OpenAIChat, reply: Reply
) -> None:
    upstream.then(reply)
    error = await failure(hasty)
    assert isinstance(error, ModelTimeout)
    assert error.message == "test:test-model: no answer began within 0.5 s"
    assert len(upstream.requests) == 1
    await upstream.deserted()


async def test_an_answer_that_stops_in_the_middle_times_out(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(idle_s=0.3))
    upstream.then(streamed(text("a"), HANG))
    async with asyncio.timeout(20):
        error = await failure(model)
    assert isinstance(error, ModelTimeout)
    assert "nothing came for 0.3 s" in error.message
    await upstream.deserted()
    await model.close()


class Ticking:
    """A gate opened again and again by a timer: the server sends one piece per tick."""

    def __init__(self, count: int, every_s: float) -> None:
        self.gates = [Gate() for _ in range(count)]
        loop = asyncio.get_running_loop()
        for number, gate in enumerate(self.gates, 1):
            loop.call_later(number * every_s, gate.open)

    def steps(self, piece: bytes) -> list[Any]:
        return [step for gate in self.gates for step in (gate, piece)]


async def test_keep_alive_comments_hold_an_answer_that_has_begun(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(idle_s=1.0))
    upstream.then(streamed(text("a"), *Ticking(15, 0.08).steps(COMMENT), text("b")))
    assert (await heard(model))[1].text == "ab"
    await model.close()


async def test_keep_alive_comments_do_not_stand_for_a_first_chunk(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(first_chunk_s=0.3))
    upstream.then(spoken(*Ticking(12, 0.05).steps(COMMENT), HANG))
    assert "no answer began within 0.3 s" in (await failure(model)).message
    await model.close()


# Failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (refused(400, "temperature must be below 2"), ModelRejectedRequest, "temperature must be below 2"),
        (refused(422, "no"), ModelRejectedRequest, "422"),
        (refused(409, "conflict"), ModelRejectedRequest, "conflict"),
        (json_reply({"detail": [{"loc": ["body"], "msg": "bad"}]}, 422), ModelRejectedRequest, '"msg":"bad"'),
        (
            json_reply({"object": "error", "message": "older vLLM", "code": 400}, 400),
            ModelRejectedRequest,
            "older vLLM",
        ),
        (
            json_reply([{"error": {"code": 400, "message": "in a list", "status": "INVALID_ARGUMENT"}}], 400),
            ModelRejectedRequest,
            "in a list",
        ),
        (json_reply({"error": "only words"}, 400), ModelRejectedRequest, "only words"),
        (
            Reply((b"",), 302, {"Location": "http://elsewhere"}, framing="length"),
            ModelRejectedRequest,
            "not the API's address",
        ),
        (refused(405), ModelRejectedRequest, "not the API's address"),
        (refused(404, "no such model"), ModelRejectedRequest, "'test-model'"),
        (refused(401, "bad key"), ModelRefusedKey, "check the API key"),
        (refused(402, "no credit"), ModelRefusedKey, "no credit"),
        (refused(403, "not your country"), ModelRefusedKey, "not your country"),
        (too_long(), ContextOverflow, "8192 tokens"),
        (refused(400, "x", "exceed_context_size_error"), ContextOverflow, "larger window"),
        (refused(400, "x", kind="exceed_context_size_error"), ContextOverflow, "larger window"),
        (refused(400, "This model's maximum context length is 10 tokens"), ContextOverflow, "10 tokens"),
        (refused(400, "Your input exceeds the context window of this model"), ContextOverflow, "exceeds"),
        (
            refused(400, "The input token count (12) exceeds the maximum number of tokens allowed (10)"),
            ContextOverflow,
            "12",
        ),
        (refused(400, "prompt is too long: 12 tokens > 10 maximum"), ContextOverflow, "12"),
        (refused(500, "the request exceeds the available context size"), ContextOverflow, "context size"),
        (refused(413), ContextOverflow, "413"),
        (refused(501), ModelRejectedRequest, "501"),
        (raw(b"garbage\r\n\r\n"), ModelBadAnswer, "HTTP"),
        (spoken(event("{nope")), ModelBadAnswer, "not one of a chat completion"),
        (spoken(event('{"choices":3}')), ModelBadAnswer, "not one of a chat completion"),
        (
            spoken(event('{"choices":[{"delta":{"content":' + "[" * 5000)),
            ModelBadAnswer,
            "not one of a chat completion",
        ),
        (spoken(b"<html>welcome</html>"), ModelBadAnswer, "no chat completion"),
        (json_reply({"message": "hello"}), ModelBadAnswer, "without a choice"),
        (spoken(event({"error": {"message": "key", "code": "invalid_api_key"}})), ModelRefusedKey, "key"),
        (
            spoken(
                event({"error": {"message": "too long", "code": 400, "type": "exceed_context_size_error"}})
            ),
            ContextOverflow,
            "too long",
        ),
        (
            json_reply({"error": {"message": "odd", "type": "invalid_request_error"}}),
            ModelRejectedRequest,
            "odd",
        ),
        (
            spoken(event(b'{"object":"error","message":"no \xff","code":400}')),
            ModelRejectedRequest,
            "no \ufffd",
        ),
    ],
)
async def test_a_failure_that_would_come_again_is_raised_at_once(
    upstream: Upstream,
    model: OpenAIChat,
    clock: PausedClock,
    reply: Reply,
    kind: type[ModelError],
    words: str,
) -> None:
    upstream.then(reply)
    error = await failure(model)
    assert type(error) is kind
    assert words in error.message
    assert error.message.startswith("test:test-model")
    assert len(upstream.requests) == 1
    assert clock.pauses == []


PASSING = [
    (refused(408), ModelTimeout),
    (refused(429), ModelRateLimited),
    (refused(500), ModelBadAnswer),
    (refused(502), ModelOverloaded),
    (refused(503), ModelOverloaded),
    (refused(504), ModelTimeout),
    (refused(529), ModelOverloaded),
    (Reply((b"<html>Bad gateway</html>",), 502, framing="length"), ModelOverloaded),
    (dropped(), ModelUnreachable),
    (spoken(), ModelBadAnswer),
    (spoken(CUT), ModelBadAnswer),
    (streamed(CUT), ModelBadAnswer),
    (streamed(call(0, "a", "f", '{"x'), CUT), ModelBadAnswer),
    (streamed(reason=None, count=None, done=False), ModelBadAnswer),
    (spoken(chunk({}, "error")), ModelBadAnswer),
    (spoken(chunk({}, "insufficient_system_resource")), ModelOverloaded),
    (spoken(event({"error": {"message": "slow", "code": 429}})), ModelRateLimited),
    (spoken(event({"error": {"message": "slow", "type": "overloaded_error"}})), ModelOverloaded),
    (
        spoken(b"event: error\n" + event({"error": {"message": "oops", "code": "server_error"}})),
        ModelBadAnswer,
    ),
    (spoken(event({"object": "error", "message": "busy", "code": 503})), ModelOverloaded),
]


@pytest.mark.parametrize(("reply", "kind"), PASSING)
async def test_a_passing_failure_is_tried_again(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, reply: Reply, kind: type[ModelError]
) -> None:
    upstream.then(reply, reply)
    assert (await heard(model))[1].text == "Hello there"
    assert len(upstream.requests) == 3
    assert len({asked.body for asked in upstream.requests}) == 1
    assert len(clock.pauses) == 2


@pytest.mark.parametrize(("reply", "kind"), PASSING)
async def test_a_failure_that_does_not_pass_is_raised(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, reply: Reply, kind: type[ModelError]
) -> None:
    upstream.then(reply, reply, reply)
    assert type(await failure(model)) is kind
    assert len(upstream.requests) == 3
    assert len(clock.pauses) == 2


@pytest.mark.parametrize(
    "ending", [(CUT,), (), (event({"error": {"message": "slow", "code": 429}}),), (event("{nope"),)]
)
async def test_after_the_first_delta_nothing_is_tried_again(
    upstream: Upstream, model: OpenAIChat, ending: tuple[Any, ...]
) -> None:
    """What was said cannot be taken back, and half an answer is never passed for a whole one."""
    upstream.then(spoken(text("a"), *ending))
    stream = model.stream(HELLO)
    assert await anext(stream) == TextDelta("a")
    with pytest.raises(ModelError):
        await anext(stream)
    assert len(upstream.requests) == 1


async def test_pauses_grow_and_are_jittered(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, max_retries=7)
    upstream.then(*[refused(503)] * 8)
    await failure(model)
    await model.close()
    dice = random.Random(1)
    assert clock.pauses == [dice.uniform(0.0, longest) for longest in (0.5, 1, 2, 4, 8, 8, 8)]


async def test_without_retries_the_first_failure_is_final(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, max_retries=0)
    upstream.then(refused(503))
    assert isinstance(await failure(model), ModelOverloaded)
    await model.close()


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "20"}, 20.0),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9.0),
        ({"Retry-After": formatdate(1_700_000_012, usegmt=True)}, 12.0),
    ],
)
async def test_the_pause_is_the_one_asked_for(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, headers: dict[str, str], pause_s: float
) -> None:
    upstream.then(refused(429, headers=headers))
    await heard(model)
    assert clock.pauses == [pause_s]


@pytest.mark.parametrize(
    "value", ["0", "-3", "nan", "inf", "soon", "", "Mon, 99 Foo 2023", formatdate(1_600_000_000, usegmt=True)]
)
async def test_a_pause_that_makes_no_sense_is_our_own(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, value: str
) -> None:
    upstream.then(refused(503, headers={"Retry-After": value}))
    await heard(model)
    assert len(clock.pauses) == 1
    assert 0 < clock.pauses[0] <= 0.5


@pytest.mark.parametrize("status", [429, 503])
async def test_a_longer_pause_is_left_to_the_asker(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock, status: int
) -> None:
    upstream.then(refused(status, headers={"Retry-After": "21"}))
    assert (await failure(model)).retry_after_s == 21.0
    assert clock.pauses == []


@pytest.mark.parametrize("field", ["code", "type"])
async def test_a_used_up_quota_is_not_tried_again(upstream: Upstream, model: OpenAIChat, field: str) -> None:
    error = {"message": "You exceeded your current quota", field: "insufficient_quota"}
    upstream.then(json_reply({"error": error}, 429))
    assert isinstance(await failure(model), ModelRateLimited)
    assert len(upstream.requests) == 1


async def test_nobody_listening_is_unreachable(clock: PausedClock) -> None:
    async with Upstream() as upstream:
        url = upstream.url
    model = model_at(url, clock)
    error = await failure(model)
    assert isinstance(error, ModelUnreachable)
    assert error.message == f"test:test-model: no connection to {url}: Connection refused"
    assert len(clock.pauses) == 2
    await model.close()


async def test_a_missing_socket_is_unreachable(tmp_path: Path, clock: PausedClock) -> None:
    model = model_at("http://localhost/v1", clock, socket_path=str(tmp_path / "none"))
    error = await failure(model)
    assert isinstance(error, ModelUnreachable)
    assert str(tmp_path / "none") in error.message
    await model.close()


async def test_an_event_without_end_is_a_bad_answer(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(spoken(b"data: ", *([b"x" * 1024 * 1024] * 9), HANG))
    error = await failure(model)
    assert isinstance(error, ModelBadAnswer)
    assert "8388608 bytes" in error.message


async def test_a_whole_answer_without_end_is_a_bad_answer(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(spoken(b'{"choices": "', *([b"x" * 1024 * 1024] * 9), HANG))
    assert "8388608 bytes" in (await failure(model)).message


# Secrets ------------------------------------------------------------------------------------------


async def test_the_key_is_cut_out_of_what_the_provider_says(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refused(401, f"Incorrect API key provided: {KEY}"))
    error = await failure(model)
    assert KEY not in error.message
    assert "***" in error.message
    assert error.__cause__ is None
    assert error.__suppress_context__


async def test_the_key_does_not_survive_in_part_where_words_are_cut(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "x" * 290 + KEY + "y" * 1000))
    error = await failure(model)
    assert KEY[:6] not in error.message
    assert len(error.message) < 400


async def test_without_a_key_the_refusal_says_so(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, api_key=None)
    upstream.then(refused(401, "who are you"))
    assert "none is set" in (await failure(model)).message
    await model.close()


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://x/v1",
        "",
        "http://",
        "http://[::1",
        "http://h:99999/v1",
        "http://me:pw@h/v1",
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_without_showing_it(clock: PausedClock, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_at(url, clock)
    assert "pw" not in caught.value.message


def test_a_key_with_a_line_break_is_refused_without_showing_it(clock: PausedClock) -> None:
    with pytest.raises(ConfigError) as caught:
        model_at("http://h/v1", clock, api_key=KEY + "\n")
    assert KEY not in caught.value.message


@pytest.mark.parametrize("field", ["model", "messages", "stream", "tools"])
def test_extra_fields_cannot_replace_the_request(clock: PausedClock, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        model_at("http://h/v1", clock, extra_body={field: 1})


# Check --------------------------------------------------------------------------------------------


async def test_a_check_asks_for_the_models_and_holds_for_half_a_minute(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock
) -> None:
    await model.check()
    clock.time += 29
    await model.check()
    assert [(asked.method, asked.path) for asked in upstream.requests] == [("GET", "/v1/models")]
    clock.time += 1
    await model.check()
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("status", [200, 404, 405, 429])
async def test_any_answer_but_a_refused_key_or_a_failing_server_is_reachable(
    upstream: Upstream, model: OpenAIChat, status: int
) -> None:
    upstream.then(json_reply({}, status))
    await model.check()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refused(401), ModelRefusedKey),
        (refused(403), ModelRefusedKey),
        (refused(503), ModelOverloaded),
        (dropped(), ModelUnreachable),
    ],
)
async def test_a_failed_check_says_why_and_is_not_remembered(
    upstream: Upstream, model: OpenAIChat, reply: Reply, kind: type[ModelError]
) -> None:
    healthy = upstream.answer
    upstream.answer = lambda asked: reply
    with pytest.raises(kind):
        await model.check()
    upstream.answer = healthy
    await model.check()


async def test_a_check_does_not_wait_long(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(check_s=0.1))
    upstream.then(silent())
    with pytest.raises(ModelTimeout, match=r"within 0\.1 s"):
        await model.check()
    await model.close()
    await upstream.deserted()


# The value itself ---------------------------------------------------------------------------------


def test_it_is_a_model(clock: PausedClock) -> None:
    model: Model = model_at("http://h/v1", clock)
    assert (model.name, model.context_tokens) == ("test:test-model", 8192)


def test_aiohttp_is_not_loaded_before_it_is_needed() -> None:
    """It is the slowest import of all; `nanobot --help` and a local model do not pay for it."""
    code = "import sys, nanobot.models.openai.chat; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_timeouts_are_a_frozen_value() -> None:
    assert msgspec.structs.replace(Timeouts(), idle_s=1.0) == Timeouts(idle_s=1.0)
