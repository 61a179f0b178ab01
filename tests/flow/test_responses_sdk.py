"""Responses and conversations through the official `openai` SDK, as it is installed, against the app on a
real port.

What comes over the wire is held to the SDK's own types, strictly: the SDK itself lets pass what does not fit.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, get_args, get_type_hints

import msgspec
import openai
import pytest
from openai.types.conversations import Conversation, ConversationItem
from openai.types.responses import Response, ResponseItem, ResponseStreamEvent
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from pydantic import BaseModel, TypeAdapter

from nanobot.core.message import Message, Text, Thinking, ToolCall, Usage
from nanobot.testing import Say, ScriptedModel, call
from tests.flow.test_api_sdk import connected as connected_with_key
from tests.harness import Harness, OpenHarness
from tests.own_settings import forget_own_settings

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)
CONVERSATION_ITEM: TypeAdapter[Any] = TypeAdapter(ConversationItem)
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
THOUGHTFUL = Say(
    (), Message("assistant", (Thinking("let me see"), Text("It is 42")), "stop", Usage(10, 5, 4, 2))
)


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_own_settings(monkeypatch)


def connected(harness: Harness, **options: Any) -> Any:
    """A client that names no session."""
    return connected_with_key(harness, **{"default_headers": {}, "max_retries": 0, **options})


def checked(made: Any) -> Any:
    """Return the response, whose JSON fits the SDK's type to the letter."""
    Response.model_validate(made.model_dump(mode="json", by_alias=True, exclude_unset=True), strict=False)
    return made


async def events_of(stream: AsyncIterator[Any]) -> list[Any]:
    """Return the events of a stream, each of which fits the SDK's type, with their numbers in order."""
    events = [event async for event in stream]
    for event in events:
        EVENTS.validate_python(event.model_dump(mode="json", by_alias=True, exclude_unset=True))
    return events


def numbers(events: Sequence[Any]) -> list[int]:
    return [event.sequence_number for event in events]


def text_of(events: Sequence[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


# One response -------------------------------------------------------------------------------------


async def test_a_response_is_made_kept_and_deleted(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel("I am nanobot"))) as client:
        made = checked(
            await client.responses.create(
                model="nanobot", input="Hello", metadata={"topic": "x"}, instructions="Be kind."
            )
        )
        assert (made.object, made.status, made.error, made.model, made.output_text) == (
            "response",
            "completed",
            None,
            "nanobot",
            "I am nanobot",
        )
        assert (made.instructions, made.metadata, made.truncation) == ("Be kind.", {"topic": "x"}, "auto")
        assert made.usage is not None
        assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
        assert (await client.responses.retrieve(made.id)).model_dump() == made.model_dump()
        items = await client.responses.input_items.list(made.id)
        assert [
            ITEM.validate_python(item.model_dump(mode="json", exclude_unset=True)).content[0].text
            for item in items.data
        ] == ["Hello"]
        await client.responses.delete(made.id)
        for gone in (
            client.responses.retrieve,
            client.responses.input_items.list,
            client.responses.cancel,
            client.responses.delete,
        ):
            with pytest.raises(openai.NotFoundError):
                await gone(made.id)
        assert made.conversation is not None
        kept = await client.conversations.items.list(made.conversation.id, order="asc")
        assert [item.role for item in kept.data] == ["user", "assistant"]


async def test_what_the_model_thinks_is_an_item_of_its_own(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel(THOUGHTFUL))) as client:
        made = checked(await client.responses.create(model="nanobot", input="How much?"))
        assert [item.type for item in made.output] == ["reasoning", "message"]
        assert made.output[0].content[0].text == "let me see"
        assert made.usage.output_tokens_details.reasoning_tokens == 2
        summed = checked(
            await client.responses.create(model="nanobot", input="How much?", reasoning={"summary": "auto"})
        )
        assert summed.output[0].summary[0].text == "let me see"


async def test_an_answer_that_was_cut_is_incomplete(open_harness: OpenHarness) -> None:
    cut = Say(("Once upon",), Message("assistant", (Text("Once upon"),), "length", Usage(1, 2)))
    async with connected(await open_harness(ScriptedModel(cut))) as client:
        made = checked(await client.responses.create(model="nanobot", input="A tale", max_output_tokens=2))
        assert (made.status, made.incomplete_details.reason, made.output[0].status) == (
            "incomplete",
            "max_output_tokens",
            "incomplete",
        )
        events = await events_of(
            await client.responses.create(model="nanobot", input="A tale", max_output_tokens=2, stream=True)
        )
        assert events[-1].type == "response.incomplete"


async def test_an_answer_is_parsed_into_the_clients_own_type(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel('{"name": "Ada", "age": 36}'))) as client:
        made = await client.responses.parse(model="nanobot", input="My friend Ada is 36", text_format=Person)
        assert made.output_parsed == Person(name="Ada", age=36)
        assert checked(made).text.format.type == "json_schema"


async def test_what_can_be_asked_reaches_the_model(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    async with connected(await open_harness(model)) as client:
        parts: list[Any] = [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
        ]
        await client.responses.create(
            model="nanobot",
            input=[{"role": "developer", "content": "Speak French."}, {"role": "user", "content": parts}],
            instructions="Be brief.",
            temperature=0.5,
            top_p=0.5,
            max_output_tokens=100,
            reasoning={"effort": "low"},
            text={"verbosity": "low"},
            parallel_tool_calls=False,
        )
    request = model.requests[0]
    assert "Be brief.\n\nSpeak French." in request.system
    assert request.messages[-1].text == "What is this?"
    assert [type(part).__name__ for part in request.messages[-1].parts] == ["Text", "Image"]
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_output_tokens) == (0.5, 0.5, 100)
    assert (sampling.reasoning_effort, sampling.verbosity, sampling.parallel_tool_calls) == (
        "low",
        "low",
        False,
    )


# Streams ------------------------------------------------------------------------------------------


async def test_a_stream_has_the_events_of_the_sdk_in_their_order(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel("It is 42"))) as client:
        events = await events_of(
            await client.responses.create(model="nanobot", input="How much?", stream=True)
        )
    assert numbers(events) == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta",) * 3,
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "It is 42"


async def test_the_stream_helper_adds_the_same_response_up(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel("I am nanobot, your servant"))) as client:
        async with client.responses.stream(model="nanobot", input="Hello") as stream:
            said = "".join(
                [event.delta async for event in stream if event.type == "response.output_text.delta"]
            )
            final = await stream.get_final_response()
        assert said == final.output_text == "I am nanobot, your servant"
        kept = await client.responses.retrieve(final.id)
        assert [item.id for item in kept.output] == [item.id for item in final.output]


async def test_a_stream_is_taken_up_again_with_exactly_the_rest_wherever_it_broke(
    open_harness: OpenHarness,
) -> None:
    """The text came in two pieces; afterwards it is stored as one, and still gives the same events."""
    async with connected(
        await open_harness(ScriptedModel("I am nanobot, 一个小机器人, your  servant"))
    ) as client:
        events = await events_of(await client.responses.create(model="nanobot", input="Hello", stream=True))
        id_ = events[0].response.id
        for heard in range(len(events)):
            rest = await events_of(await client.responses.retrieve(id_, stream=True, starting_after=heard))
            expected = events[heard + 1 :] or events[-1:]
            assert [event.type for event in rest] == [event.type for event in expected]
            if events[heard + 1 :]:
                assert [event.model_dump() for event in rest] == [event.model_dump() for event in expected]
        whole = await events_of(await client.responses.retrieve(id_, stream=True))
        assert [event.model_dump() for event in whole] == [event.model_dump() for event in events]


# Tools --------------------------------------------------------------------------------------------


def two_calls(text: str = "") -> Say:
    calls = tuple(
        ToolCall(f"call{city}", "get_weather", f'{{"city": "{city}"}}') for city in ("Paris", "Tokyo")
    )
    return Say(
        (text,) if text else (),
        Message("assistant", ((Text(text),) if text else ()) + calls, "tool_calls", Usage(1, 1)),
    )


async def test_function_tools_and_their_outputs(open_harness: OpenHarness) -> None:
    model = ScriptedModel(two_calls("Let me look."), "Sunny in both")
    async with connected(await open_harness(model)) as client:
        first = checked(
            await client.responses.create(
                model="nanobot", input="The weather?", tools=[WEATHER], tool_choice="auto"
            )
        )
        assert [item.type for item in first.output] == ["message", "function_call", "function_call"]
        assert first.tools[0].name == "get_weather"
        outputs = [
            {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
            for item in first.output
            if item.type == "function_call"
        ]
        last = await client.responses.create(
            model="nanobot", input=outputs, previous_response_id=first.id, tools=[WEATHER]
        )
        assert last.output_text == "Sunny in both"
        assert [message.role for message in model.requests[-1].messages] == [
            "user",
            "assistant",
            "tool",
            "tool",
        ]
        items = await client.conversations.items.list(first.conversation.id, order="asc")
        kinds = [
            CONVERSATION_ITEM.validate_python(item.model_dump(mode="json", exclude_unset=True)).type
            for item in items.data
        ]
        assert kinds == [
            "message",
            "message",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output",
            "message",
        ]
        shown = {item.id for item in items.data}
        assert {item.id for item in (*first.output, *last.output)} <= shown


async def test_streamed_calls_have_their_events(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel(two_calls()))) as client:
        events = await events_of(
            await client.responses.create(model="nanobot", input="?", tools=[WEATHER], stream=True)
        )
        done = [event for event in events if event.type == "response.function_call_arguments.done"]
        pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
        assert [event.arguments for event in done] == pieces == ['{"city": "Paris"}', '{"city": "Tokyo"}']
        assert [event.output_index for event in done] == [0, 1]


async def test_the_whole_history_can_be_resent_and_leaves_nothing(open_harness: OpenHarness) -> None:
    """What agents do that keep the history themselves."""
    model = ScriptedModel(two_calls("Let me look."), "Sunny")
    harness = await open_harness(model)
    async with connected(harness) as client:
        history: list[Any] = [{"role": "user", "content": "The weather?"}]
        first = await client.responses.create(model="nanobot", input=history, tools=[WEATHER], store=False)
        history += first.output
        history += [
            {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
            for item in first.output
            if item.type == "function_call"
        ]
        last = await client.responses.create(model="nanobot", input=history, tools=[WEATHER], store=False)
        assert last.output_text == "Sunny"
        assert [message.role for message in model.requests[-1].messages] == [
            "user",
            "assistant",
            "tool",
            "tool",
        ]
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(last.id)
    assert await harness.app.store.sessions(limit=10) == ()


async def test_items_can_be_referred_to(open_harness: OpenHarness) -> None:
    model = ScriptedModel(two_calls("Let me look."), "Sunny")
    async with connected(await open_harness(model)) as client:
        first = await client.responses.create(model="nanobot", input="The weather?", tools=[WEATHER])
        history: list[Any] = [{"role": "user", "content": "The weather?"}]
        history += [{"type": "item_reference", "id": item.id} for item in first.output]
        history += [
            {"type": "function_call_output", "call_id": f"call{city}", "output": "sunny"}
            for city in ("Paris", "Tokyo")
        ]
        await client.responses.create(model="nanobot", input=history, tools=[WEATHER])
        resent = model.requests[-1].messages
        assert [message.role for message in resent] == ["user", "assistant", "tool", "tool"]
        assert (resent[1].text, [call.id for call in resent[1].tool_calls]) == (
            "Let me look.",
            ["callParis", "callTokyo"],
        )
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(
                model="nanobot", input=[*history, {"type": "item_reference", "id": "msg_unknown"}]
            )


async def test_only_allowed_tools_are_offered(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    async with connected(await open_harness(model)) as client:
        other = {**WEATHER, "name": "get_time"}
        choice: Any = {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "get_time"}],
        }
        made = checked(
            await client.responses.create(
                model="nanobot", input="?", tools=[WEATHER, other], tool_choice=choice
            )
        )
        assert len(made.tools) == 2
    names = [tool.name for tool in model.requests[0].tools]
    assert "get_time" in names
    assert "get_weather" not in names


async def test_the_servers_own_calls_are_not_shown(open_harness: OpenHarness) -> None:
    async with connected(
        await open_harness(
            ScriptedModel(call("calculate", '{"expression": "6*7"}', text="Let me see."), "42")
        )
    ) as client:
        made = checked(await client.responses.create(model="nanobot", input="6*7?"))
        assert [item.content[0].text for item in made.output] == ["Let me see.", "42"]
        items = await client.conversations.items.list(made.conversation.id, order="asc")
        assert [item.type for item in items.data] == ["message"] * 3
        assert [item.id for item in items.data[1:]] == [item.id for item in made.output]


# Where a response belongs -------------------------------------------------------------------------


def said(model: ScriptedModel) -> list[str]:
    return [message.text for message in model.requests[-1].messages]


async def test_a_response_goes_on_from_another_and_branches_where_that_is_not_the_newest(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("one", "two", "three", "four")
    async with connected(await open_harness(model)) as client:
        first = await client.responses.create(model="nanobot", input="A")
        second = await client.responses.create(model="nanobot", input="B", previous_response_id=first.id)
        assert said(model) == ["A", "one", "B"]
        assert (second.previous_response_id, second.conversation) == (first.id, first.conversation)
        await client.responses.create(model="nanobot", input="C", previous_response_id=first.id)
        assert said(model) == ["A", "one", "C"]
        await client.responses.create(model="nanobot", input="D")
        assert said(model) == ["D"]


async def test_a_conversation_is_the_session_of_the_other_door(open_harness: OpenHarness) -> None:
    model = ScriptedModel("one", "two", "three")
    harness = await open_harness(model)
    async with connected(harness) as client:
        conversation = await client.conversations.create(
            metadata={"topic": "cats"},
            items=[{"type": "message", "role": "user", "content": "My cat is Mia"}],
        )
        Conversation.model_validate(conversation.model_dump(mode="json"))
        assert conversation.id.startswith("conv_")
        await client.responses.create(model="nanobot", input="B", conversation=conversation.id)
        assert said(model) == ["My cat is Mia", "B"]
        await harness.door.chat(conversation.id, "C")
        assert said(model) == ["My cat is Mia", "B", "one", "C"]
        await client.responses.create(
            model="nanobot", input="D", extra_headers={"x-session-key": conversation.id}
        )
        listed = [
            item async for item in client.conversations.items.list(conversation.id, order="asc", limit=2)
        ]
        assert [item.content[0].text for item in listed] == [
            "My cat is Mia",
            "B",
            "one",
            "C",
            "two",
            "D",
            "three",
        ]
        newest = await client.conversations.items.list(conversation.id)
        assert [item.id for item in newest.data] == [item.id for item in reversed(listed)]
        for item in listed:
            CONVERSATION_ITEM.validate_python(item.model_dump(mode="json", exclude_unset=True))
            assert await client.conversations.items.retrieve(item.id, conversation_id=conversation.id) == item
        changed = await client.conversations.update(conversation.id, metadata={"topic": "dogs"})
        assert (
            changed.metadata
            == (await client.conversations.retrieve(conversation.id)).metadata
            == {"topic": "dogs"}
        )
        added = await client.conversations.items.create(
            conversation.id, items=[{"role": "assistant", "content": "Noted"}]
        )
        assert [item.content[0].text for item in added.data] == ["Noted"]
        deleted = await client.conversations.delete(conversation.id)
        assert (deleted.id, deleted.deleted) == (conversation.id, True)
        with pytest.raises(openai.NotFoundError):
            await client.conversations.retrieve(conversation.id)


async def test_any_session_key_is_a_conversation(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("one"))
    await harness.door.chat("wx:dm:a/b ü", "hello")
    async with connected(harness) as client:
        assert (await client.conversations.retrieve("wx:dm:a/b ü")).id == "wx:dm:a/b ü"
        items = await client.conversations.items.list("wx:dm:a/b ü", order="asc")
        assert [item.role for item in items.data] == ["user", "assistant"]


# In the background --------------------------------------------------------------------------------


async def test_a_response_in_the_background_is_asked_for_later(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel("ok then"))) as client:
        made = checked(await client.responses.create(model="nanobot", input="Hello", background=True))
        assert made.status in ("queued", "in_progress", "completed")
        events = await events_of(await client.responses.retrieve(made.id, stream=True))
        assert [event.type for event in events[:3]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]
        assert events[-1].type == "response.completed"
        assert checked(await client.responses.retrieve(made.id)).output_text == "ok then"


# What the SDK knows -------------------------------------------------------------------------------


def _types(hint: object) -> set[str]:
    """Return the words that a type of the field `type` allows."""
    inner = get_args(hint)
    return {hint} if isinstance(hint, str) else set().union(*map(_types, inner))


ITEM_TYPES = set().union(*(_types(get_type_hints(each)["type"]) for each in get_args(ResponseInputItemParam)))


@pytest.mark.parametrize("kind", sorted(ITEM_TYPES - {"message", "item_reference"}))
async def test_an_item_of_any_type_that_the_sdk_has_may_stand_in_the_history(
    open_harness: OpenHarness, kind: str
) -> None:
    model = ScriptedModel("Done.")
    harness = await open_harness(model)
    question, more = {"role": "user", "content": "q"}, {"role": "user", "content": "more"}
    call_type = kind.removesuffix("_output")
    made = {"type": call_type if call_type in ITEM_TYPES else kind, "id": "x_1", "call_id": "c1", "name": "f"}
    item = {**made, "type": kind, "arguments": "{}", "input": "x", "output": "out", "status": "completed"}
    items = [question, *([made] if kind != made["type"] else []), item, more]
    body = msgspec.json.encode({"model": "nanobot", "input": items})
    reply = await harness.door.call("POST", "/v1/responses", body=body, headers={"x-session-key": "k"})
    assert reply.status == 200, reply.text
    is_seen = len(model.requests[0].messages) > 2 or kind == "reasoning"
    assert is_seen or kind in reply.headers["x-items-left-out"].split(", ")
