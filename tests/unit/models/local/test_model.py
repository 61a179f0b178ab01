"""The local model with the real engine, one process for all of these tests.

They look at the form of its answers: what such small weights say is nonsense.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from nanobot.core.errors import ContextOverflow
from nanobot.core.event import TextDelta
from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.core.tool import Schema, ToolChoice, tool_spec
from nanobot.core.turn import Sampling
from nanobot.models.local.model import LocalModel
from tests.unit.models.local.real import TINY, answer, local, request

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]
PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "kind": {"enum": ["a", 'b "quoted"', 3, None]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "integer"}}},
        "extra": {},
    },
    "required": ["name", "kind", "tags", "where", "extra"],
}
TOOL = tool_spec("register", "Register a thing.", PARAMETERS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalModel]:
    model = local(models_dir, tmp_path_factory.mktemp("engine"))
    yield model
    await model.close()


async def test_it_answers_and_counts_the_tokens(model: LocalModel) -> None:
    """The first request starts the engine by itself."""
    text, message = await answer(model, request(user("Hello, who are you?")))
    assert text == message.text != ""
    assert message.model == TINY
    assert message.stop_reason in ("stop", "length")
    assert message.usage is not None
    assert 0 < message.usage.completion_tokens <= 8
    assert message.usage.prompt_tokens > 100
    await model.check()


async def test_the_prompt_that_most_requests_share_is_read_once(model: LocalModel) -> None:
    await model.warm()
    async with asyncio.timeout(60):
        await model.warmed.wait()
    _, message = await answer(model, request(user("Hello")))
    assert message.usage is not None
    assert message.usage.cached_tokens > message.usage.prompt_tokens * 0.8


async def test_conversations_take_turns_without_losing_what_was_read(model: LocalModel) -> None:
    """A second conversation in between does not push the first one out."""
    first = user("Tell me of the sea. " * 20)
    _, reply = await answer(model, request(first))
    await answer(model, request(user("Now of the mountains, please. " * 20)))
    _, again = await answer(model, request(first, msgspec.structs.replace(reply, usage=None), user("Go on.")))
    assert again.usage is not None
    assert again.usage.cached_tokens > again.usage.prompt_tokens * 0.7


async def test_the_grammar_of_a_tool_holds_the_model_to_its_arguments(model: LocalModel) -> None:
    """The engine takes the grammar whatever the schema; what comes out of it are whole arguments."""
    must_call = request(
        user("Register a thing named x of kind a."), tools=(TOOL,), choice=ToolChoice("required")
    )
    _, message = await answer(model, must_call)
    assert message.stop_reason == "tool_calls"
    for call in message.tool_calls:
        arguments = msgspec.json.decode(call.arguments)
        assert list(arguments) == ["name", "kind", "tags", "where", "extra"]
        assert arguments["kind"] in ("a", 'b "quoted"', 3, None)


async def test_after_a_result_it_answers_in_words(model: LocalModel) -> None:
    call = Message("assistant", (ToolCall("1", "register", '{"name":"x"}'),))
    result = Message("tool", (ToolResult("1", "done"),))
    _, message = await answer(model, request(user("Register x."), call, result, tools=(TOOL,)))
    assert message.tool_calls == ()
    assert message.text != ""


async def test_several_are_answered_at_once(model: LocalModel) -> None:
    answers = await asyncio.gather(
        *(answer(model, request(user(f"Count from {number}."))) for number in range(5))
    )
    assert all(message.text for _, message in answers)


async def test_more_than_the_window_holds_is_an_overflow(model: LocalModel) -> None:
    with pytest.raises(ContextOverflow):
        await answer(model, request(user("word " * 5_000)))


async def test_closing_the_stream_stops_the_model(model: LocalModel) -> None:
    """Else the next request would wait for an answer that no one reads: here one of the whole window, under a
    time limit.
    """
    endless = request(
        user("Count to one million, every number."),
        sampling=Sampling(temperature=0.0, max_output_tokens=1_900),
    )
    async with aclosing(model.stream(endless)) as pieces:
        async for piece in pieces:
            assert isinstance(piece, TextDelta)
            break
    _, message = await answer(model, request(user("Hello")))
    assert message.text
