"""`openai-agents`, as released: its chat completions model, and its responses model."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    WebSearchTool,
    function_tool,
    handoff,
    set_tracing_disabled,
)
from agents.models.interface import Model
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.clients.pictures import pixel

set_tracing_disabled(True)


class Person(BaseModel):
    name: str
    age: int


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@pytest.fixture(params=["chat completions", "responses"])
async def model(request: pytest.FixtureRequest, address: str, key: str) -> AsyncIterator[Model]:
    async with AsyncOpenAI(
        base_url=f"{address}/v1", api_key="unused", default_headers={"x-session-key": key}, max_retries=0
    ) as client:
        if request.param == "responses":
            yield OpenAIResponsesModel("nanobot", client)
        else:
            yield OpenAIChatCompletionsModel("nanobot", client)


async def test_an_agent_answers(model: Model) -> None:
    result = await Runner.run(
        Agent(name="Guide", instructions="Be brief.", model=model), "Hello, who are you?"
    )
    assert result.final_output == "You said: Hello, who are you?"
    assert result.context_wrapper.usage.total_tokens > 0


async def test_an_agent_uses_its_tools(model: Model) -> None:
    agent = Agent(name="Guide", model=model, tools=[get_weather])
    result = await Runner.run(agent, "What is the weather in Paris and Tokyo?")
    assert result.final_output == "The tools said: sunny in Paris; sunny in Tokyo"
    assert [item.type for item in result.new_items].count("tool_call_item") == 2


async def test_an_agent_streams_and_uses_its_tools(model: Model) -> None:
    run = Runner.run_streamed(
        Agent(name="Guide", model=model, tools=[get_weather]), "What is the weather in Paris?"
    )
    said = ""
    kinds = []
    async for event in run.stream_events():
        kinds.append(event.type)
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            said += event.data.delta
    assert said == run.final_output == "The tools said: sunny in Paris"
    assert "run_item_stream_event" in kinds


async def test_an_agent_answers_with_a_type(model: Model) -> None:
    result = await Runner.run(Agent(name="Clerk", model=model, output_type=Person), "My friend Ada is 36")
    assert result.final_output == Person(name="Ada", age=36)


async def test_an_agent_answers_with_a_type_after_its_tools(model: Model) -> None:
    agent = Agent(name="Clerk", model=model, tools=[get_weather], output_type=Person)
    assert (await Runner.run(agent, "What is the weather in Paris? It is 21")).final_output == Person(
        name="Paris", age=21
    )


async def test_a_forced_tool_is_called(model: Model) -> None:
    agent = Agent(
        name="Guide",
        model=model,
        tools=[get_weather],
        model_settings=ModelSettings(tool_choice="get_weather"),
    )
    assert (await Runner.run(agent, "Hello dear Rome")).final_output == "The tools said: sunny in Rome"


async def test_the_input_of_an_earlier_run_is_not_heard_twice(model: Model) -> None:
    agent = Agent(name="Guide", model=model)
    first = await Runner.run(agent, "My cat is Mia")
    again: list[Any] = [*first.to_input_list(), {"role": "user", "content": "What do you see?"}]
    seen = cast(str, (await Runner.run(agent, again)).final_output)
    assert "roles system user assistant user;" in seen
    assert seen.endswith("said My cat is Mia | What do you see?")


async def test_an_image_and_a_file_reach_the_model(model: Model) -> None:
    parts = [
        {"type": "input_text", "text": "What do you see?"},
        {"type": "input_image", "image_url": pixel(), "detail": "auto"},
        {
            "type": "input_file",
            "filename": "note.txt",
            "file_data": "data:text/plain;base64,VGhlIGNvZGUgaXMga3VtcXVhdC4=",
        },
    ]
    asked: Any = [{"role": "user", "content": parts}]
    seen = cast(str, (await Runner.run(Agent(name="Guide", model=model), asked)).final_output)
    assert "images 1" in seen
    assert "kumquat" in seen


async def test_one_agent_hands_over_to_another(model: Model) -> None:
    """A hand-over is a tool call as well; the next agent goes on with the same history."""
    weather = Agent(name="weather", model=model, instructions="You know the weather.")
    first = Agent(name="Guide", model=model, handoffs=[handoff(weather)])
    result = await Runner.run(first, "Please transfer me")
    assert result.last_agent.name == "weather"


async def test_a_run_goes_on_from_the_previous_response(address: str) -> None:
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client:
        agent = Agent(name="Guide", model=OpenAIResponsesModel("nanobot", client), tools=[get_weather])
        first = await Runner.run(agent, "What is the weather in Paris?", auto_previous_response_id=True)
        assert first.final_output == "The tools said: sunny in Paris"
        second = await Runner.run(agent, "What do you see?", previous_response_id=first.last_response_id)
    assert second.final_output.endswith("said What is the weather in Paris? | What do you see?")


async def test_runs_share_a_conversation(address: str) -> None:
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client:
        agent = Agent(name="Guide", model=OpenAIResponsesModel("nanobot", client), tools=[get_weather])
        conversation = await client.conversations.create()
        await Runner.run(agent, "What is the weather in Paris?", conversation_id=conversation.id)
        seen = await Runner.run(agent, "What do you see?", conversation_id=conversation.id)
    assert seen.final_output.endswith("said What is the weather in Paris? | What do you see?")


async def test_the_sdks_own_session_keeps_its_items_in_a_conversation(address: str) -> None:
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client:
        agent = Agent(name="Guide", model=OpenAIResponsesModel("nanobot", client), tools=[get_weather])
        session = OpenAIConversationsSession(openai_client=client)
        await Runner.run(agent, "What is the weather in Paris?", session=session)
        seen = await Runner.run(agent, "What do you see?", session=session)
        kept = [item.get("type") for item in await session.get_items()]
        await session.clear_session()
    assert seen.final_output.endswith("said What is the weather in Paris? | What do you see?")
    assert kept == ["message", "function_call", "function_call_output", "message", "message", "message"]


async def test_what_an_agent_may_be_set_to_is_taken(address: str) -> None:
    settings = ModelSettings(
        store=False,
        truncation="auto",
        temperature=0.3,
        parallel_tool_calls=False,
        response_include=["reasoning.encrypted_content"],
    )
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client:
        agent = Agent(
            name="Guide",
            model=OpenAIResponsesModel("nanobot", client),
            tools=[get_weather],
            model_settings=settings,
        )
        assert (
            await Runner.run(agent, "What is the weather in Paris?")
        ).final_output == "The tools said: sunny in Paris"


async def test_a_hosted_tool_of_openai_is_left_out(address: str) -> None:
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client:
        agent = Agent(name="Guide", model=OpenAIResponsesModel("nanobot", client), tools=[WebSearchTool()])
        assert (await Runner.run(agent, "Hello")).final_output


CALCULATE = 'call calculate {"expression": "6*7"}\nanswer with: It is 42'


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
async def test_calls_of_the_servers_tools_are_shown_and_not_run(
    address: str, key: str, is_streamed: bool
) -> None:
    async with AsyncOpenAI(
        base_url=f"{address}/v1",
        api_key="unused",
        default_headers={"x-session-key": key, "x-events": "tools"},
        max_retries=0,
    ) as client:
        agent = Agent(name="Guide", model=OpenAIResponsesModel("nanobot", client), tools=[get_weather])
        if is_streamed:
            run = Runner.run_streamed(agent, CALCULATE)
            async for _ in run.stream_events():
                pass
            asked, said, items = run.to_input_list(), run.final_output, run.new_items
        else:
            result = await Runner.run(agent, CALCULATE)
            asked, said, items = result.to_input_list(), result.final_output, result.new_items
        assert said == "It is 42"
        assert [item.type for item in items] == ["tool_call_item", "message_output_item"]
        call: Any = items[0].raw_item
        assert (call.type, call.name, call.output) == ("mcp_call", "calculate", "42")
        # What the SDK keeps is the history of the next run, in which its own tool is called.
        again: list[Any] = [*asked, {"role": "user", "content": "What is the weather in Paris?"}]
        assert (await Runner.run(agent, again)).final_output == "The tools said: sunny in Paris"
        shown = cast(
            str, (await Runner.run(Agent(name="Guide", model=agent.model), "What do you see?")).final_output
        )
        assert shown.count("answer with: It is 42") == 1
