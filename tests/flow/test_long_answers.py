"""Answers that do not stop, and steps with calls without number: what is kept of them is bounded."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from nanobot.core.message import Message, ToolCall, Usage
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from nanobot.testing import Say, ScriptedModel
from tests.asgi import BOUND_S
from tests.clock import PausedClock
from tests.harness import OpenHarness
from tests.upstream import HANG, Step, Upstream, call, finish, reasoning, spoken, text

LIMIT = 10_000


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIChat]:
    model = OpenAIChat(
        RemoteSettings(
            name="test:test-model",
            model="test-model",
            base_url=upstream.url,
            api_key=None,
            context_tokens=32_000,
            max_answer_chars=LIMIT,
        ),
        clock=PausedClock(),
        random=random.Random(1),
    )
    yield model
    await model.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [1, 999, 3 * LIMIT])
async def test_an_answer_that_does_not_stop_is_kept_up_to_the_limit(
    upstream: Upstream,
    model: OpenAIChat,
    open_harness: OpenHarness,
    size: int,
    stream: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream.then(spoken(*[text("x" * size)] * (2 * LIMIT // size + 1), HANG))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi", stream=stream)
    assert reply.status == 200
    assert reply.said == "x" * LIMIT
    choice = (reply.chunks[-1] if stream else reply.json)["choices"][0]
    assert choice["finish_reason"] == "length"
    # Its connection is cut, and the model is not asked to go on.
    async with asyncio.timeout(BOUND_S):
        await upstream.deserted()
    assert len(upstream.requests) == 1
    assert "wrote more than 10000 characters (model.max_answer_chars)" in caplog.text
    assert (await harness.door.get(f"/v1/turns/{reply.turn_id}")).json["status"] == "done"
    upstream.then(spoken(text("Hello"), finish()))
    assert (await harness.door.chat("k", "and now?")).said == "Hello"


@pytest.mark.parametrize(
    ("reason", "asked"), [("repetition", 1), ("banana", 1), ("pause", 2), ("max_output", 2)]
)
async def test_an_answer_that_was_cut_goes_on_only_where_the_reason_is_known(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness, reason: str, asked: int
) -> None:
    """A model that repeats itself would only do so again."""
    upstream.then(spoken(text("La la"), finish(reason)))
    upstream.then(spoken(text(" land"), finish()))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert reply.said == ("La la" if asked == 1 else "La la land")
    assert reply.json["choices"][0]["finish_reason"] == ("length" if asked == 1 else "stop")
    assert len(upstream.requests) == asked


async def test_thinking_counts_as_part_of_the_answer(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness
) -> None:
    upstream.then(spoken(text("It is "), *[reasoning("hm " * 100)] * 200, HANG))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert (reply.status, reply.said) == (200, "It is ")
    message = reply.json["choices"][0]["message"]
    assert len(message["content"]) + len(message["reasoning_content"]) == LIMIT


@pytest.mark.parametrize("said", [(), (text("Let me see."),)])
async def test_arguments_of_calls_count_too_and_half_a_call_is_not_run(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness, said: tuple[Step, ...]
) -> None:
    pieces = [call(0, arguments="1+" * 50)] * 200
    upstream.then(spoken(*said, call(0, "a", "calculate", '{"expression": "'), *pieces, HANG))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert len(upstream.requests) == 1
    if said:
        choice = reply.json["choices"][0]
        assert (reply.said, choice["finish_reason"]) == ("Let me see.", "length")
    else:
        assert (reply.status, reply.error["code"]) == (502, "model_answer_too_long")
        assert "10000 characters (model.max_answer_chars)" in reply.error["message"]
        assert reply.headers["x-should-retry"] == "false"


async def test_an_answer_of_just_the_limit_is_whole(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness
) -> None:
    upstream.then(spoken(text("x" * LIMIT), finish()))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert (reply.said, reply.json["choices"][0]["finish_reason"]) == ("x" * LIMIT, "stop")


async def test_calls_without_number_in_one_answer_are_all_answered_and_few_are_run(
    open_harness: OpenHarness,
) -> None:
    calls = tuple(ToolCall("c", "calculate", '{"expression": "6*7"}') for _ in range(200))
    model = ScriptedModel(Say((), Message("assistant", calls, "tool_calls", Usage(1, 1))), "42")
    harness = await open_harness(model, agent={"max_calls_per_step": 3})
    assert (await harness.door.chat("k", "hi")).said == "42"
    results = [result.content for message in model.requests[1].messages for result in message.tool_results]
    assert len(results) == 200
    assert [result for result in results if "too many calls at once" not in result] == ["42"] * 3
    assert "at most 3 are" in results[-1]


async def test_a_stream_of_a_step_with_too_many_calls_goes_on_where_it_broke(
    open_harness: OpenHarness,
) -> None:
    calls = tuple(ToolCall(f"c{number}", "calculate", '{"expression": "6*7"}') for number in range(5))
    step = Message("assistant", calls, "tool_calls", Usage(1, 1))
    model = ScriptedModel(Say((), step), "Forty-two.")
    harness = await open_harness(model, agent={"max_calls_per_step": 3})
    shows_tools = {"x-events": "tools"}
    live = await harness.door.chat("k", "hi", stream=True, headers=shows_tools)
    ids = [event.id for event in live.events if event.id]
    assert live.text.count("event: tool_started") == live.text.count("event: tool_finished") == 5
    for at, id_ in enumerate(ids):
        after = id_.rpartition(":")[2]
        rest = await harness.door.get(f"/v1/turns/{live.turn_id}/stream?after={after}", headers=shows_tools)
        # What came in several pieces comes in one.
        assert {event.id for event in rest.events if event.id} <= {*(ids[at + 1 :] or ids[-1:]), id_}


async def test_of_thousands_of_calls_in_one_answer_some_hundreds_are_kept_and_answered(
    open_harness: OpenHarness, caplog: pytest.LogCaptureFixture
) -> None:
    calls = tuple(ToolCall(f"c{number}", "calculate", '{"expression": "6*7"}') for number in range(4_000))
    model = ScriptedModel(Say((), Message("assistant", calls, "tool_calls", Usage(1, 1))), "42")
    harness = await open_harness(model)
    assert (await harness.door.chat("k", "hi")).said == "42"
    shown = model.requests[1].messages
    made = [call.id for message in shown for call in message.tool_calls]
    answered = [result.call_id for message in shown for result in message.tool_results]
    assert len(made) == 256 and sorted(made) == sorted(answered)
    assert "made 4000 calls in one message: 256 are kept" in caplog.text
