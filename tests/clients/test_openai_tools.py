"""The `openai` package for Python, as released: function tools and structured output by chat completions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel

from tests.clients.serving import Provider

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
NEWS: Any = {
    "type": "function",
    "function": {"name": "get_news", "parameters": {"type": "object", "properties": {}}},
}


class Person(BaseModel):
    name: str
    age: int


class Family(BaseModel):
    people: list[Person]
    surname: str | None


def asking(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def results(message: Any, text: str = "sunny") -> list[Any]:
    return [
        {"role": "tool", "tool_call_id": call.id, "content": f"{text} {number}"}
        for number, call in enumerate(message.tool_calls)
    ]


@pytest.fixture
def client(address: str, key: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{address}/v1", api_key="unused", default_headers={"x-session-key": key}, max_retries=0
    ) as client:
        yield client


# Tools --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resends", [True, False], ids=["with the whole history", "with the results only"])
def test_a_tool_is_called_and_its_result_used(client: OpenAI, resends: bool) -> None:
    messages = asking("What is the weather in Paris?")
    first = client.chat.completions.create(model="nanobot", messages=messages, tools=[WEATHER])
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    news = results(choice.message)
    messages = [*messages, choice.message, *news] if resends else news
    last = client.chat.completions.create(model="nanobot", messages=messages, tools=[WEATHER])
    assert last.choices[0].message.content == "The tools said: sunny 0"
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].message.tool_calls is None


def test_several_calls_at_once_are_answered_in_any_order(client: OpenAI) -> None:
    messages = asking("What is the weather in Paris and Tokyo?")
    message = (
        client.chat.completions.create(model="nanobot", messages=messages, tools=[WEATHER]).choices[0].message
    )
    assert message.tool_calls is not None
    assert [
        json.loads(call.function.arguments)["city"] for call in message.tool_calls if call.type == "function"
    ] == ["Paris", "Tokyo"]
    assert len({call.id for call in message.tool_calls}) == 2
    messages += [message, *reversed(results(message))]
    last = client.chat.completions.create(model="nanobot", messages=messages, tools=[WEATHER])
    assert set((last.choices[0].message.content or "").removeprefix("The tools said: ").split("; ")) == {
        "sunny 0",
        "sunny 1",
    }


def test_one_call_at_a_time_where_the_client_wants_it(client: OpenAI, provider: Provider) -> None:
    messages = asking("What is the weather in Paris and Tokyo?")
    answer = client.chat.completions.create(
        model="nanobot", messages=messages, tools=[WEATHER], parallel_tool_calls=False
    )
    assert len(answer.choices[0].message.tool_calls or ()) == 1
    assert provider.requests[-1].json["parallel_tool_calls"] is False


def test_a_streamed_call_adds_up(client: OpenAI) -> None:
    messages = asking("What is the weather in Paris and Tokyo?")
    with client.chat.completions.stream(model="nanobot", messages=messages, tools=[WEATHER]) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.delta" in kinds
    assert kinds.count("tool_calls.function.arguments.done") == 2
    assert message.tool_calls is not None
    assert [json.loads(call.function.arguments)["city"] for call in message.tool_calls] == ["Paris", "Tokyo"]
    messages += [message, *results(message)]
    chunks = list(
        client.chat.completions.create(model="nanobot", messages=messages, tools=[WEATHER], stream=True)
    )
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        == "The tools said: sunny 0; sunny 1"
    )
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_raw_chunks_of_a_call_carry_index_id_and_name_first(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="nanobot", messages=asking("Tell me the weather in Rome"), tools=[WEATHER], stream=True
    )
    chunks = list(stream)
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or ()]
    assert pieces[0].id
    assert pieces[0].function is not None
    assert pieces[0].function.name == "get_weather"
    assert {piece.index for piece in pieces} == {0}
    assert json.loads("".join(piece.function.arguments or "" for piece in pieces if piece.function)) == {
        "city": "Rome"
    }
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", ["get_weather"]),
        ("required", ["get_weather", "get_news"]),
        ({"type": "function", "function": {"name": "get_news"}}, ["get_news"]),
    ],
)
def test_the_choice_of_tools_is_the_clients(
    client: OpenAI, provider: Provider, choice: Any, called: list[str]
) -> None:
    answer = client.chat.completions.create(
        model="nanobot",
        messages=asking("What is the weather like?"),
        tools=[WEATHER, NEWS],
        tool_choice=choice,
    )
    calls = [
        call.function.name for call in answer.choices[0].message.tool_calls or () if call.type == "function"
    ]
    assert set(called) <= set(calls) if choice == "required" else calls == called


def test_tools_of_client_and_server_in_one_step(client: OpenAI) -> None:
    """The server runs its own; the client sees only the call that is the client's to answer."""
    messages = asking("Tell me the time and the weather in UTC")
    message = (
        client.chat.completions.create(model="nanobot", messages=messages, tools=[WEATHER]).choices[0].message
    )
    assert [call.function.name for call in message.tool_calls or () if call.type == "function"] == [
        "get_weather"
    ]
    last = client.chat.completions.create(model="nanobot", messages=results(message), tools=[WEATHER])
    said = last.choices[0].message.content or ""
    assert "sunny 0" in said
    assert "UTC" in said


def test_a_tool_of_the_clients_wins_over_the_servers_of_that_name(client: OpenAI) -> None:
    own: Any = {
        "type": "function",
        "function": {"name": "calculate", "parameters": WEATHER["function"]["parameters"]},
    }
    answer = client.chat.completions.create(
        model="nanobot", messages=asking("Please calculate Rome"), tools=[own]
    )
    calls = [call.function for call in answer.choices[0].message.tool_calls or () if call.type == "function"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [("calculate", {"city": "Rome"})]


def test_a_session_goes_on_when_the_results_never_came(client: OpenAI) -> None:
    client.chat.completions.create(
        model="nanobot", messages=asking("What is the weather in Paris?"), tools=[WEATHER]
    )
    answer = client.chat.completions.create(model="nanobot", messages=asking("Never mind. Hello!"))
    assert answer.choices[0].message.content == "You said: Never mind. Hello!"


def test_a_session_remembers_what_tools_said(client: OpenAI, provider: Provider) -> None:
    messages = asking("What is the weather in Paris?")
    message = (
        client.chat.completions.create(model="nanobot", messages=messages, tools=[WEATHER]).choices[0].message
    )
    client.chat.completions.create(model="nanobot", messages=results(message, "foggy"), tools=[WEATHER])
    client.chat.completions.create(model="nanobot", messages=asking("Thank you"))
    assert "foggy 0" in provider.requests[-1].body.decode()


# Structured output --------------------------------------------------------------------------------


def test_an_answer_is_parsed_into_the_clients_own_type(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="nanobot", messages=asking("My friend Ada is 36"), response_format=Person
    )
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)
    assert answer.choices[0].finish_reason == "stop"


def test_nested_types_are_parsed(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="nanobot", messages=asking("My friend Ada is 36"), response_format=Family
    )
    assert answer.choices[0].message.parsed is not None
    assert answer.choices[0].message.parsed.people == [Person(name="Ada", age=36)]


def test_a_streamed_answer_is_parsed_at_its_end(client: OpenAI) -> None:
    messages = asking("My friend Ada is 36")
    with client.chat.completions.stream(model="nanobot", messages=messages, response_format=Person) as stream:
        for _ in stream:
            pass
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert parsed == Person(name="Ada", age=36)


def test_a_json_object_without_a_schema(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="nanobot", messages=asking("As JSON: hi"), response_format={"type": "json_object"}
    )
    assert json.loads(answer.choices[0].message.content or "") == {"said": "As JSON: hi"}


def test_a_tool_made_from_a_type_is_parsed(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="nanobot",
        messages=asking("This person is Ada, 36"),
        tools=[pydantic_function_tool(Person, name="save_person")],
    )
    assert answer.choices[0].message.tool_calls is not None
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Person(name="Ada", age=36)


def test_tools_first_and_then_an_object(client: OpenAI) -> None:
    messages = asking("What is the weather in Paris? It is 21")
    first = client.chat.completions.parse(
        model="nanobot", messages=messages, tools=[WEATHER], response_format=Person
    )
    message: Any = first.choices[0].message
    assert message.tool_calls
    last = client.chat.completions.parse(
        model="nanobot",
        messages=[*messages, message, *results(message)],
        tools=[WEATHER],
        response_format=Person,
    )
    assert last.choices[0].message.parsed == Person(name="Paris", age=21)
