"""The `openai` package for Python, as released: responses and conversations."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.clients.pictures import pixel

NOTE = b"The launch code is kumquat."
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(address: str) -> Iterator[OpenAI]:
    """A client that names no session: each response without a reference to another begins a conversation."""
    with OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_a_response_is_made_kept_and_deleted(client: OpenAI) -> None:
    made = client.responses.create(model="nanobot", input="Hello, who are you?")
    assert (made.object, made.status, made.error, made.model) == ("response", "completed", None, "nanobot")
    assert made.output_text == "You said: Hello, who are you?"
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
    kept = client.responses.retrieve(made.id)
    assert (kept.id, kept.output_text) == (made.id, made.output_text)
    (item,) = client.responses.input_items.list(made.id)
    assert item.type == "message"
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_instructions_hold_for_one_response(client: OpenAI) -> None:
    made = client.responses.create(
        model="nanobot", input="Hello", instructions="Speak like a pirate.", metadata={"topic": "sea"}
    )
    assert (made.instructions, made.metadata) == ("Speak like a pirate.", {"topic": "sea"})


def test_a_response_goes_on_from_another(client: OpenAI) -> None:
    first = client.responses.create(model="nanobot", input="My cat is Mia")
    second = client.responses.create(model="nanobot", input="What do you see?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert second.output_text.endswith("said My cat is Mia | What do you see?")
    branch = client.responses.create(model="nanobot", input="What do you see?", previous_response_id=first.id)
    assert branch.output_text == second.output_text
    alone = client.responses.create(model="nanobot", input="What do you see?")
    assert alone.output_text.endswith("said What do you see?")


def test_a_stream_has_the_events_that_the_package_knows_in_their_order(client: OpenAI) -> None:
    events = list(client.responses.create(model="nanobot", input="Hello", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    for kind in ("response.output_item.added", "response.content_part.added", "response.output_text.delta"):
        assert kind in kinds
    assert kinds[-4:-1] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta")
        == "You said: Hello"
    )
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "You said: Hello"


def test_the_stream_helper_adds_the_same_response_up(client: OpenAI) -> None:
    with client.responses.stream(model="nanobot", input="Hello") as stream:
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert said == final.output_text == "You said: Hello"


def test_a_stream_is_taken_up_again_where_it_broke(client: OpenAI) -> None:
    events = list(client.responses.create(model="nanobot", input="Hello", stream=True))
    first = events[0]
    assert first.type == "response.created"
    rest = list(client.responses.retrieve(first.response.id, stream=True, starting_after=2))
    assert rest[0].sequence_number == 3
    assert rest[-1].type == "response.completed"


def test_a_response_in_the_background_is_asked_for_later(client: OpenAI) -> None:
    made = client.responses.create(model="nanobot", input="Hello", background=True)
    assert made.status in ("queued", "in_progress", "completed")
    with client.responses.retrieve(made.id, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.completed"
    assert client.responses.retrieve(made.id).output_text == "You said: Hello"


def test_function_tools_and_their_outputs(client: OpenAI) -> None:
    first = client.responses.create(
        model="nanobot", input="What is the weather in Paris and Tokyo?", tools=[WEATHER]
    )
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Paris", "Tokyo"]
    outputs: list[Any] = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls
    ]
    last = client.responses.create(
        model="nanobot", input=outputs, previous_response_id=first.id, tools=[WEATHER]
    )
    assert last.output_text == "The tools said: sunny; sunny"


def test_function_tools_with_the_whole_history_resent(client: OpenAI) -> None:
    """What agents do that keep the history themselves: the input has the calls and their outputs."""
    history: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = client.responses.create(model="nanobot", input=history, tools=[WEATHER], store=False)
    history += first.output
    history += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
        for item in first.output
        if item.type == "function_call"
    ]
    last = client.responses.create(model="nanobot", input=history, tools=[WEATHER], store=False)
    assert last.output_text == "The tools said: sunny"


def test_a_streamed_call_has_its_events(client: OpenAI) -> None:
    events = list(
        client.responses.create(
            model="nanobot", input="Tell me the weather in Rome", tools=[WEATHER], stream=True
        )
    )
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert json.loads("".join(pieces)) == json.loads(done.arguments) == {"city": "Rome"}


def test_an_answer_is_parsed_into_the_clients_own_type(client: OpenAI) -> None:
    made = client.responses.parse(model="nanobot", input="My friend Ada is 36", text_format=Person)
    assert made.output_parsed == Person(name="Ada", age=36)


def test_a_conversation_is_the_session(client: OpenAI, address: str) -> None:
    conversation = client.conversations.create(metadata={"topic": "cats"})
    client.responses.create(model="nanobot", input="My cat is Mia", conversation=conversation.id)
    second = client.responses.create(model="nanobot", input="What do you see?", conversation=conversation.id)
    assert second.conversation is not None
    assert second.conversation.id == conversation.id
    assert second.output_text.endswith("said My cat is Mia | What do you see?")
    assert client.conversations.retrieve(conversation.id).metadata == {"topic": "cats"}
    roles = [
        item.role
        for item in client.conversations.items.list(conversation.id, order="asc")
        if item.type == "message"
    ]
    assert roles == ["user", "assistant", "user", "assistant"]
    client.conversations.delete(conversation.id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(conversation.id)


def test_both_doors_lead_to_one_transcript(client: OpenAI, key: str) -> None:
    client.responses.create(model="nanobot", input="My cat is Mia", conversation=key)
    seen = client.chat.completions.create(
        model="nanobot",
        messages=[{"role": "user", "content": "What do you see?"}],
        extra_headers={"x-session-key": key},
    )
    assert (seen.choices[0].message.content or "").endswith("said My cat is Mia | What do you see?")


def test_an_image_and_a_file_in_the_input(client: OpenAI) -> None:
    made = client.files.create(
        file=("note.txt", NOTE), purpose="user_data", extra_headers={"x-session-key": "test:dm:files"}
    )
    parts: list[Any] = [
        {"type": "input_text", "text": "What do you see?"},
        {"type": "input_image", "image_url": pixel(), "detail": "auto"},
        {"type": "input_file", "file_id": made.id},
    ]
    answer = client.responses.create(
        model="nanobot", input=[{"role": "user", "content": parts}], conversation="test:dm:files"
    )
    assert "images 1" in answer.output_text
    assert "kumquat" in answer.output_text


def test_what_does_not_exist_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_unknown")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nanobot", input="Hello", previous_response_id="resp_unknown")


def test_a_tool_of_openai_that_is_not_here_is_left_out_and_named(client: OpenAI) -> None:
    tools: list[Any] = [{"type": "file_search", "vector_store_ids": ["vs_1"]}]
    raw = client.responses.with_raw_response.create(model="nanobot", input="Hello", tools=tools)
    assert raw.headers["x-tools-left-out"] == "file_search"
    assert raw.parse().output_text
    with pytest.raises(openai.BadRequestError, match="file_search"):
        client.responses.create(
            model="nanobot", input="Hello", tools=tools, tool_choice={"type": "file_search"}
        )


def test_the_tokens_of_a_request_are_counted(client: OpenAI) -> None:
    short = client.responses.input_tokens.count(model="nanobot", input="Hello")
    long = client.responses.input_tokens.count(model="nanobot", input="Hello " * 500)
    assert short.object == "response.input_tokens"
    assert 0 < short.input_tokens < long.input_tokens - 500


def test_the_items_of_a_conversation_are_given_added_and_looked_up(client: OpenAI) -> None:
    begun: list[Any] = [
        {"role": "user", "content": "My cat is Mia"},
        {"role": "assistant", "content": "What a name!"},
    ]
    conversation = client.conversations.create(items=begun)
    more: list[Any] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "My dog is Rex"}]}
    ]
    (added,) = client.conversations.items.create(conversation.id, items=more).data
    assert added.id is not None
    assert client.conversations.items.retrieve(added.id, conversation_id=conversation.id).type == "message"
    assert client.conversations.update(conversation.id, metadata={"topic": "pets"}).metadata == {
        "topic": "pets"
    }
    seen = client.responses.create(
        model="nanobot", input="What do you see?", conversation={"id": conversation.id}
    )
    assert seen.output_text.endswith("said My cat is Mia | My dog is Rex\n\nWhat do you see?")


def test_a_response_in_the_background_is_cancelled_or_was_quicker(client: OpenAI) -> None:
    made = client.responses.create(model="nanobot", input="Hello", background=True)
    assert client.responses.cancel(made.id).status in ("cancelled", "completed")


def test_a_tool_is_forced(client: OpenAI) -> None:
    choice: Any = {"type": "function", "name": "get_weather"}
    made = client.responses.create(
        model="nanobot", input="Hello dear Rome", tools=[WEATHER], tool_choice=choice
    )
    assert [json.loads(item.arguments) for item in made.output if item.type == "function_call"] == [
        {"city": "Rome"}
    ]


def test_what_packages_send_besides_is_taken(client: OpenAI) -> None:
    made = client.responses.create(
        model="nanobot",
        input="Hello",
        store=False,
        truncation="auto",
        include=["reasoning.encrypted_content"],
        reasoning={"effort": "low"},
        max_output_tokens=50,
        top_p=0.5,
        service_tier="auto",
        prompt_cache_key="a",
        safety_identifier="b",
    )
    assert made.output_text == "You said: Hello"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input": "status 429"}, openai.RateLimitError),
        ({"input": "status 429", "stream": True}, openai.RateLimitError),
        ({"model": "gpt-9"}, openai.NotFoundError),
        ({"temperature": 9}, openai.BadRequestError),
    ],
)
def test_failures_are_the_packages_own_exceptions(
    client: OpenAI, fields: dict[str, Any], expected: type[openai.APIStatusError]
) -> None:
    with pytest.raises(expected) as caught:
        client.responses.create(**{"model": "nanobot", "input": "Hello", **fields})
    assert type(caught.value) is expected
    assert caught.value.code
