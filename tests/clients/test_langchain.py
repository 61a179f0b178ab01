"""`langchain-openai`, as released: by chat completions, and by responses."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.clients.pictures import pixel
from tests.clients.serving import Provider


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def chat(address: str, key: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="nanobot",
        base_url=f"{address}/v1",
        api_key=SecretStr("unused"),
        default_headers={"x-session-key": key},
        max_retries=0,
        stream_usage=True,
        **options,
    )


@pytest.fixture(params=[False, True], ids=["chat completions", "responses"])
def model(request: pytest.FixtureRequest, address: str, key: str) -> ChatOpenAI:
    return chat(address, key, use_responses_api=request.param)


def run(message: AIMessage) -> list[ToolMessage]:
    """Do what an agent does: run the calls of the message."""
    return [get_weather.invoke(call) for call in message.tool_calls]


def test_a_question_is_answered(model: ChatOpenAI) -> None:
    answer = model.invoke([SystemMessage("Be brief."), HumanMessage("Hello, who are you?")])
    assert answer.text == "You said: Hello, who are you?"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] > 0


def test_a_stream_adds_up(model: ChatOpenAI) -> None:
    whole: BaseMessage | None = None
    for chunk in model.stream("Hello, who are you?"):
        assert isinstance(chunk, AIMessageChunk)
        whole = chunk if whole is None else whole + chunk  # type: ignore[assignment]
    assert isinstance(whole, AIMessageChunk)
    assert whole.text == "You said: Hello, who are you?"
    assert whole.usage_metadata is not None


# the package keeps one connection pool for all models, in the loop it first met
@pytest.mark.asyncio(loop_scope="module")
async def test_it_streams_asynchronously(model: ChatOpenAI) -> None:
    said = [chunk.text async for chunk in model.astream("Hello, who are you?")]
    assert "".join(said) == "You said: Hello, who are you?"


def test_a_conversation_kept_by_the_caller_is_heard_once(model: ChatOpenAI) -> None:
    history: list[BaseMessage] = [HumanMessage("My cat is Mia")]
    history.append(model.invoke(history))
    history.append(HumanMessage("What do you see?"))
    seen = model.invoke(history).text
    assert "roles system user assistant user;" in seen
    assert seen.endswith("said My cat is Mia | What do you see?")


def test_tools_are_called_and_their_results_used(model: ChatOpenAI) -> None:
    history: list[BaseMessage] = [HumanMessage("What is the weather in Paris and Tokyo?")]
    with_tools = model.bind_tools([get_weather])
    called = with_tools.invoke(history)
    assert isinstance(called, AIMessage)
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Tokyo"}),
    ]
    answer = with_tools.invoke([*history, called, *run(called)])
    assert answer.text == "The tools said: sunny in Paris; sunny in Tokyo"


def test_a_streamed_call_adds_up(model: ChatOpenAI) -> None:
    whole: Any = None
    for chunk in model.bind_tools([get_weather]).stream("What is the weather in Paris?"):
        whole = chunk if whole is None else whole + chunk
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("get_weather", {"city": "Paris"})]


def test_a_tool_can_be_forced(model: ChatOpenAI) -> None:
    called = model.bind_tools([get_weather], tool_choice="get_weather").invoke("Hello dear Rome")
    assert isinstance(called, AIMessage)
    assert [call["args"] for call in called.tool_calls] == [{"city": "Rome"}]


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_an_answer_is_parsed_into_the_callers_type(model: ChatOpenAI, method: Any) -> None:
    if method == "json_mode":
        answer = model.with_structured_output(None, method=method).invoke("As JSON: hi")
        assert answer == {"said": "As JSON: hi"}
        return
    assert model.with_structured_output(Person, method=method).invoke("My friend Ada is 36") == Person(
        name="Ada", age=36
    )


def test_an_image_reaches_the_model(model: ChatOpenAI) -> None:
    content: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "What do you see?"},
        {"type": "image", "base64": pixel().partition(",")[2], "mime_type": "image/png"},
    ]
    assert "images 1" in model.invoke([HumanMessage(content)]).text


def test_a_file_reaches_the_model(model: ChatOpenAI) -> None:
    content: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "What do you see?"},
        {
            "type": "file",
            "base64": "VGhlIGNvZGUgaXMga3VtcXVhdC4=",
            "mime_type": "text/plain",
            "filename": "note.txt",
        },
    ]
    assert "kumquat" in model.invoke([HumanMessage(content)]).text


def test_the_previous_response_is_followed_by_id(address: str, key: str) -> None:
    model = chat(address, key, use_responses_api=True, use_previous_response_id=True)
    history: list[BaseMessage] = [HumanMessage("My cat is Mia")]
    history.append(model.invoke(history))
    history.append(HumanMessage("What do you see?"))
    assert model.invoke(history).text.endswith("said My cat is Mia | What do you see?")


def test_a_chain_that_keeps_everything_itself(address: str, key: str) -> None:
    model = chat(address, key, use_responses_api=True, store=False, include=["reasoning.encrypted_content"])
    history: list[BaseMessage] = [HumanMessage("My cat is Mia")]
    history.append(model.invoke(history))
    history.append(HumanMessage("What do you see?"))
    assert model.invoke(history).text.endswith("said My cat is Mia | What do you see?")


def test_sessions_stay_apart(address: str, key: str, provider: Provider) -> None:
    chat(address, key).invoke("My cat is Mia")
    chat(address, key + " of another").invoke("What do you see?")
    assert "Mia" not in provider.requests[-1].body.decode()


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_calls_of_the_servers_tools_are_shown_and_not_run(address: str, key: str, is_streamed: bool) -> None:
    model = ChatOpenAI(
        model="nanobot",
        base_url=f"{address}/v1",
        api_key=SecretStr("unused"),
        default_headers={"x-session-key": key, "x-events": "tools"},
        max_retries=0,
        use_responses_api=True,
    ).bind_tools([get_weather])
    history: list[BaseMessage] = [HumanMessage('call calculate {"expression": "6*7"}\nanswer with: It is 42')]
    if is_streamed:
        whole: Any = None
        for chunk in model.stream(history):
            whole = chunk if whole is None else whole + chunk
        answer = whole
    else:
        answer = model.invoke(history)
    assert answer.text == "It is 42"
    assert not answer.tool_calls
    shown = [block for block in answer.content if block["type"] == "mcp_call"]
    assert [(block["name"], block["output"]) for block in shown] == [("calculate", "42")]
    history += [answer, HumanMessage("What is the weather in Paris?")]
    asked = model.invoke(history)
    assert [call["name"] for call in asked.tool_calls] == ["get_weather"]
    history += [asked, *run(asked)]
    assert model.invoke(history).text == "The tools said: sunny in Paris"
