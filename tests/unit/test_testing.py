"""The fakes that we use and hand to users."""

import asyncio

import pytest

from nanobot.core.dispatch import Claim
from nanobot.core.errors import ModelOverloaded
from nanobot.core.event import Delta, MessageAdded, TextDelta, TurnEnded
from nanobot.core.message import Message, Text, ToolCall, Usage, user
from nanobot.core.model import ModelRequest
from nanobot.core.turn import Identity, Turn
from nanobot.testing import FakeClock, MemoryData, Say, ScriptedModel, call, open_memory_store, say
from tests.asgi import BOUND_S


def asking(text: str = "hi") -> ModelRequest:
    return ModelRequest("", (user(text),))


async def heard(model: ScriptedModel, request: ModelRequest | None = None) -> list[Delta | Message]:
    return [item async for item in model.stream(request or asking())]


async def test_a_text_comes_in_two_deltas_and_then_as_a_message() -> None:
    first, second, message = await heard(ScriptedModel("hello"))
    assert (first, second) == (TextDelta("he"), TextDelta("llo"))
    assert isinstance(message, Message)
    assert (message.text, message.stop_reason, message.model) == ("hello", "stop", "scripted")
    assert message.usage is not None


async def test_the_script_is_followed_and_its_last_answer_repeated() -> None:
    model = ScriptedModel("one", "two")
    said = [(await heard(model))[-1] for _ in range(3)]
    assert [message.text for message in said if isinstance(message, Message)] == ["one", "two", "two"]


async def test_without_a_script_it_says_ok() -> None:
    assert (await heard(ScriptedModel()))[-1] == Message(
        "assistant", (Text("ok"),), "stop", Usage(10, 2), "scripted"
    )


async def test_an_answer_may_depend_on_the_request() -> None:
    model = ScriptedModel(lambda request: f"re: {request.messages[-1].text}")
    message = (await heard(model, asking("what?")))[-1]
    assert isinstance(message, Message)
    assert message.text == "re: what?"


async def test_it_writes_down_what_it_was_asked() -> None:
    model = ScriptedModel("ok")
    assert not model.asked.is_set()
    await heard(model, asking("what?"))
    assert model.asked.is_set()
    assert model.requests == [asking("what?")]


async def test_an_error_of_the_script_is_raised_at_its_place() -> None:
    with pytest.raises(ModelOverloaded):
        await heard(ScriptedModel(ModelOverloaded("busy")))
    stream = ScriptedModel(Say(("It ", "is"), error=ModelOverloaded("busy"))).stream(asking())
    assert [await anext(stream), await anext(stream)] == [TextDelta("It "), TextDelta("is")]
    with pytest.raises(ModelOverloaded):
        await anext(stream)


async def test_a_scripted_call_calls_its_tool() -> None:
    text, message = await heard(ScriptedModel(call("look", '{"at": 1}', id="c7", text="Wait.")))
    assert text == TextDelta("Wait.")
    assert isinstance(message, Message)
    assert message.tool_calls == (ToolCall("c7", "look", '{"at": 1}'),)
    assert message.stop_reason == "tool_calls"


async def test_the_model_can_be_held_before_and_between_its_deltas() -> None:
    before, between = asyncio.Event(), asyncio.Event()
    stream = ScriptedModel(Say(("a", "b"), before=before, between=between)).stream(asking())
    first = asyncio.ensure_future(anext(stream))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not first.done()
    before.set()
    assert await first == TextDelta("a")
    second = asyncio.ensure_future(anext(stream))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not second.done()
    between.set()
    assert await second == TextDelta("b")
    await stream.aclose()


async def test_a_closed_stream_is_counted_once_however_it_ended() -> None:
    model = ScriptedModel("hello")
    stream = model.stream(asking())
    await anext(stream)
    await stream.aclose()
    await heard(model)
    assert model.closed_streams == 2


def test_a_text_is_cut_in_two() -> None:
    assert say("hello").deltas == ("he", "llo")
    assert say("").deltas == ("", "")


# The clock ----------------------------------------------------------------------------------------


def test_the_clock_stands_still_until_it_is_turned() -> None:
    clock = FakeClock(100.0)
    assert clock.now() == clock.now() == 100.0
    clock.advance(2.5)
    assert clock.now() == 102.5


async def test_sleepers_wake_in_order_when_their_time_has_come() -> None:
    clock = FakeClock(0.0)
    woken: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [
        asyncio.create_task(sleep(name, seconds))
        for name, seconds in (("late", 3), ("soon", 1), ("also soon", 1))
    ]
    await asyncio.sleep(0)
    assert list(clock.sleepers) == [1, 1, 3]
    clock.advance(0.9)
    await asyncio.sleep(0)
    assert woken == []
    clock.advance(0.1)
    await asyncio.sleep(0)
    assert woken == ["soon", "also soon"]
    assert list(clock.sleepers) == [3]
    clock.advance(10)
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(*tasks)
    assert woken == ["soon", "also soon", "late"]
    assert clock.slept == [3, 1, 1]


async def test_who_was_cancelled_while_asleep_sleeps_no_more() -> None:
    clock = FakeClock(0.0)
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    assert not clock.sleepers
    clock.advance(2)


async def test_a_sleep_of_no_time_ends_when_the_clock_is_touched() -> None:
    clock = FakeClock(0.0)
    task = asyncio.create_task(clock.sleep(0))
    await asyncio.sleep(0)
    clock.advance(0)
    async with asyncio.timeout(BOUND_S):
        await task


async def test_a_store_in_memory_runs_turns_and_keeps_them_for_the_next_store_on_its_data() -> None:
    data, clock = MemoryData(), FakeClock()
    store = await open_memory_store(data, clock)
    await store.admit(Turn("turn_1", "a", (user("hello"),), "api"), Identity(b"1" * 32))
    async for command in store.orders(1):
        assert isinstance(command, Claim)
        answer = Message("assistant", (Text("hi"),), "stop")
        await store.append(command, (MessageAdded(answer), TurnEnded("done")))
        break
    await store.close()
    store = await open_memory_store(data, clock)
    assert [row.message.text for row in await store.messages("a", limit=10)] == ["hello", "hi"]
    await store.close()
    data.close()
