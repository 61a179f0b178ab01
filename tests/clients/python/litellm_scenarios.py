"""`litellm`, as released: any code that names its models `openai/…`."""

import json
from typing import Any

import litellm
from pydantic import BaseModel

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Person(BaseModel):
    name: str
    age: int


def client(address: str, key: str, **headers: str) -> dict[str, Any]:
    return {
        "model": "openai/nanobot",
        "api_base": f"{address}/v1",
        "api_key": "unused",
        "extra_headers": {"x-session-key": key, **headers},
        "num_retries": 0,
    }


def asking(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def said(answer: Any) -> Any:
    return answer.choices[0].message.content


def test_a_question_is_answered(address: str, key: str) -> None:
    answer: Any = litellm.completion(messages=asking("Hello, who are you?"), **client(address, key))
    assert said(answer) == "You said: Hello, who are you?"
    assert answer.usage.total_tokens == 15


def test_a_stream_adds_up(address: str, key: str) -> None:
    chunks = list(
        litellm.completion(
            messages=asking("Hello, who are you?"),
            stream=True,
            stream_options={"include_usage": True},
            **client(address, key),
        )
    )
    whole: Any = litellm.stream_chunk_builder(chunks)
    assert said(whole) == "You said: Hello, who are you?"
    assert whole.usage.total_tokens == 15


def test_the_server_remembers(address: str, key: str) -> None:
    litellm.completion(messages=asking("My cat is Mia"), **client(address, key))
    answer = litellm.completion(messages=asking("What do you see?"), **client(address, key))
    assert said(answer).endswith("said My cat is Mia | What do you see?")


def test_a_tool_is_called_and_the_whole_history_sent_back(address: str, key: str) -> None:
    messages = asking("What is the weather in Paris and Tokyo?")
    first: Any = litellm.completion(messages=messages, tools=[WEATHER], **client(address, key))
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["city"] for call in message.tool_calls] == ["Paris", "Tokyo"]
    messages.append(message.model_dump())
    for call in message.tool_calls:
        result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "sunny"}
        messages.append(result)
    last: Any = litellm.completion(messages=messages, tools=[WEATHER], **client(address, key))
    assert said(last) == "The tools said: sunny; sunny"


def test_a_streamed_tool_call_adds_up(address: str, key: str) -> None:
    question = asking("What is the weather in Rome and Oslo?")
    stream = litellm.completion(messages=question, tools=[WEATHER], stream=True, **client(address, key))
    whole: Any = litellm.stream_chunk_builder(list(stream))
    calls = whole.choices[0].message.tool_calls
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Rome", "Oslo"]


def test_an_answer_is_parsed_into_a_type(address: str, key: str) -> None:
    answer = litellm.completion(
        messages=asking("My friend Ada is 36"), response_format=Person, **client(address, key)
    )
    assert Person.model_validate_json(said(answer)) == Person(name="Ada", age=36)


def test_responses_go_on_from_one_another(address: str, key: str) -> None:
    first: Any = litellm.responses(input="My cat is Mia", **client(address, key))
    options = client(address, key)
    del options["extra_headers"]
    second: Any = litellm.responses(input="What do you see?", previous_response_id=first.id, **options)
    assert second.output[0].content[0].text.endswith("said My cat is Mia | What do you see?")


def test_failures_are_its_own(address: str, key: str) -> None:
    try:
        litellm.completion(messages=asking("status 429"), **client(address, key))
    except litellm.RateLimitError as error:
        assert "as you asked" in str(error)
    else:
        raise AssertionError("no error")


def test_sessions_stay_apart(address: str, key: str) -> None:
    litellm.completion(messages=asking("My cat is Mia"), **client(address, key))
    other = litellm.completion(messages=asking("What do you see?"), **client(address, key + " of another"))
    assert "Mia" not in said(other)
