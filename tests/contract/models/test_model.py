"""The suite that every `Model` passes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta, ModelChosen, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Text, Thinking, ToolCall
from nanobot.core.model import Model, ModelRequest
from tests.asgi import BOUND_S
from tests.contract.models.stage import (
    BEGINNING,
    FAULTS,
    MIDWAY,
    REQUEST,
    RETRY_AFTER_S,
    Ability,
    Fault,
    Stage,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


def needs(stage: Stage, what: Ability | Fault) -> None:
    """Skip the test where the model lacks what it is about."""
    if what in stage.lacks:
        pytest.skip(stage.lacks[what])


async def said_next(stream: AsyncGenerator[ModelChosen | Delta | Message, None]) -> Delta | Message:
    """Return the next thing that the model says."""
    while isinstance(item := await anext(stream), ModelChosen):
        continue
    return item


async def answer(model: Model, request: ModelRequest = REQUEST) -> tuple[list[Delta], Message]:
    """Return the deltas and the message of one answer, and hold the model to the form that all have."""
    *deltas, message = [item async for item in model.stream(request) if not isinstance(item, ModelChosen)]
    assert isinstance(message, Message)
    assert message.role == "assistant"
    assert message.model in (None, model.name)
    assert message.stop_reason is not None
    assert all(isinstance(delta, TextDelta | ThinkingDelta) and delta.text for delta in deltas)
    only_deltas = [delta for delta in deltas if isinstance(delta, TextDelta | ThinkingDelta)]
    parts = [part for part in message.parts if isinstance(part, Text | Thinking)]
    assert "".join(delta.text for delta in only_deltas) == "".join(part.text for part in parts)
    return only_deltas, message


# Answers ------------------------------------------------------------------------------------------


async def test_text_comes_in_deltas_and_then_as_one_message(stage: Stage) -> None:
    expected = stage.says("Hel", "lo")
    deltas, message = await answer(stage.model)
    assert deltas
    assert message.text == (expected or message.text) != ""
    assert message.tool_calls == ()


async def test_a_second_request_is_answered_like_the_first(stage: Stage) -> None:
    stage.says("Hel", "lo")
    assert (await answer(stage.model))[1].parts
    assert (await answer(stage.model))[1].parts


async def test_requests_are_answered_side_by_side(stage: Stage) -> None:
    stage.says("Hel", "lo")
    answers = await asyncio.gather(*(answer(stage.model) for _ in range(3)))
    assert all(message.text for _, message in answers)


async def test_usage_counts_prompt_and_answer(stage: Stage) -> None:
    stage.says("Hel", "lo")
    _, message = await answer(stage.model)
    assert message.usage is not None
    assert message.usage.prompt_tokens > 0
    assert message.usage.completion_tokens > 0


async def test_thinking_is_told_apart_from_text(stage: Stage) -> None:
    needs(stage, "thinking")
    stage.thinks("hm", "yes")
    deltas, message = await answer(stage.model)
    assert deltas == [ThinkingDelta("hm"), TextDelta("yes")]
    thinking, said = message.parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, said) == ("hm", Text("yes"))
    assert message.text == "yes"


async def test_a_tool_call_has_an_id_and_its_arguments_as_they_were_written(stage: Stage) -> None:
    needs(stage, "tools")
    stage.calls("look", '{"at": "x"}')
    _, message = await answer(stage.model)
    (call,) = message.tool_calls
    assert call == ToolCall(call.id, "look", '{"at": "x"}')
    assert call.id
    assert message.stop_reason == "tool_calls"


async def test_a_delta_is_yielded_before_the_next_one_exists(stage: Stage) -> None:
    needs(stage, "pauses")
    resume = stage.pauses("Hel", "lo")
    async with asyncio.timeout(BOUND_S), aclosing(stage.model.stream(REQUEST)) as stream:
        assert await said_next(stream) == TextDelta("Hel")
        resume()
        assert await said_next(stream) == TextDelta("lo")
        assert isinstance(await said_next(stream), Message)
        assert [item async for item in stream] == []


# Failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failure_is_an_error_of_its_class_and_never_text(stage: Stage, fault: Fault) -> None:
    needs(stage, fault)
    stage.fails(fault)
    items: list[ModelChosen | Delta | Message] = []
    with pytest.raises(ModelError) as caught:
        async with asyncio.timeout(BOUND_S):
            async for item in stage.model.stream(REQUEST):
                items.append(item)  # noqa: PERF401 - what came before the failure counts
    assert type(caught.value) is FAULTS[fault]
    said = [item for item in items if not isinstance(item, ModelChosen)]
    assert said == ([TextDelta(BEGINNING)] if fault in MIDWAY else [])
    assert caught.value.message
    await stage.abandoned()
    await stage.reset()
    assert (await answer(stage.model))[1].text


async def test_a_rate_limit_says_when_to_come_back(stage: Stage) -> None:
    needs(stage, "rate limit")
    stage.fails("rate limit")
    with pytest.raises(ModelError) as caught:
        await answer(stage.model)
    assert caught.value.retry_after_s == RETRY_AFTER_S


# The end ------------------------------------------------------------------------------------------


async def test_closing_the_stream_stops_the_request(stage: Stage) -> None:
    needs(stage, "pauses")
    stage.pauses("Hel", "lo")
    async with asyncio.timeout(BOUND_S), aclosing(stage.model.stream(REQUEST)) as stream:
        assert await said_next(stream) == TextDelta("Hel")
    await stage.abandoned()


async def test_cancelling_the_reader_stops_the_request(stage: Stage) -> None:
    needs(stage, "pauses")
    stage.pauses("Hel", "lo")
    begun = asyncio.Event()

    async def read() -> None:
        async with aclosing(stage.model.stream(REQUEST)) as stream:
            async for _ in stream:
                begun.set()

    reader = asyncio.create_task(read())
    async with asyncio.timeout(BOUND_S):
        await begun.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await stage.abandoned()


async def test_it_may_be_warmed_again_and_again_and_is_ready(stage: Stage) -> None:
    await stage.model.warm()
    await stage.model.warm()
    await stage.model.check()
    stage.says("Hel", "lo")
    assert (await answer(stage.model))[1].text


async def test_it_has_a_name_a_window_and_abilities(stage: Stage) -> None:
    assert stage.model.name
    assert stage.model.context_tokens > 0
    assert isinstance(stage.model.abilities, frozenset)


async def test_it_may_be_closed_twice(own_stage: Stage) -> None:
    await own_stage.model.close()
    await own_stage.model.close()


async def test_closing_the_model_ends_the_requests_that_run(own_stage: Stage) -> None:
    needs(own_stage, "pauses")
    needs(own_stage, "closing")
    own_stage.pauses("Hel", "lo")
    async with asyncio.timeout(BOUND_S), aclosing(own_stage.model.stream(REQUEST)) as stream:
        assert await said_next(stream) == TextDelta("Hel")
        await own_stage.model.close()
        with pytest.raises(ModelError):
            await said_next(stream)
