"""Where there are many tools, a model is offered those that it looks for, in this session from then on."""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from nanobot.context.build import tools_size
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import ScriptedModel, call
from tests.harness import OpenHarness

ASK = {"role": "user", "content": "What is the weather in Rome?"}


class PlaceArguments(msgspec.Struct, frozen=True):
    place: Annotated[str, msgspec.Meta(description="a city, as it is called in English. " * 8)]


def tool(name: str, description: str, *, deferrable: bool = True) -> Tool:
    async def run(arguments: PlaceArguments, context: ToolContext) -> str:
        return f"{name} of {arguments.place}"

    return Tool(
        name, description, PlaceArguments, run, deferrable=deferrable, repeatable=True, demanding=True
    )


MANY = (
    tool("weather_now", "Tell the weather at a place."),
    tool("tides_next", "Tell when the next tide is at a place."),
    *(tool(f"other_{number}", f"Do the {number}th other thing.") for number in range(20)),
)


def names(request: ModelRequest) -> list[str]:
    return [each.name for each in request.tools]


def find(query: str, id: str = "f1") -> Any:  # noqa: A002
    return call("find_tools", msgspec.json.encode({"query": query}).decode(), id)


async def test_few_tools_are_all_offered_at_once(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model, tools=MANY[:1], agent={"tools_tokens": 2_500})
    await harness.door.chat("k", [ASK])
    assert "weather_now" in names(model.requests[0])
    assert "find_tools" not in names(model.requests[0])


async def test_of_many_none_is_offered_before_it_is_found(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        find("weather"), call("weather_now", '{"place": "Rome"}', "w1"), "It is weather_now of Rome."
    )
    harness = await open_harness(model, tools=MANY)
    assert (await harness.door.chat("k", [ASK])).said == "It is weather_now of Rome."
    first, second, third = model.requests
    assert tools_size(first.tools) <= 1_500
    assert "find_tools" in names(first) and "weather_now" not in names(first)
    # What the cache of a provider holds is still the beginning of the request.
    assert second.tools == (*first.tools, MANY[0].spec)
    assert third.tools == second.tools
    assert second.system == first.system and second.messages[: len(first.messages)] == first.messages
    assert third.messages[-1].tool_results[0].content == "weather_now of Rome"


async def test_those_that_are_not_deferrable_are_always_offered(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model, tools=(*MANY, tool("own", "Ours.", deferrable=False)))
    await harness.door.chat("k", [ASK])
    assert "own" in names(model.requests[0]) and "current_time" in names(model.requests[0])


async def test_what_was_found_is_offered_in_later_turns_and_after_a_restart(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    model = ScriptedModel(find("weather"), "one", find("tide", "f2"), "two", "three")
    harness = await open_harness(model, tools=MANY, data=tmp_path / "data")
    await harness.door.chat("k", "What is the weather in Rome?")
    await harness.door.chat("k", "When is the tide?")
    await harness.close()
    again = await open_harness(model, tools=MANY, data=tmp_path / "data")
    await again.door.chat("k", "And now?")
    assert names(model.requests[-1])[-2:] == ["weather_now", "tides_next"]
    assert model.requests[-1].tools[: len(model.requests[0].tools)] == model.requests[0].tools


async def test_another_session_is_not_offered_what_one_has_found(open_harness: OpenHarness) -> None:
    model = ScriptedModel(find("weather"), "ok")
    harness = await open_harness(model, tools=MANY)
    await harness.door.chat("a", [ASK])
    await harness.door.chat("b", [ASK])
    assert "weather_now" not in names(model.requests[-1])


async def test_a_turn_that_leaves_no_trace_leaves_no_found_tools(open_harness: OpenHarness) -> None:
    model = ScriptedModel("hello", find("weather"), "ok", "later")
    harness = await open_harness(model, tools=MANY)
    await harness.door.chat("k", [ASK])
    await harness.door.chat("k", [ASK], store=False)
    assert "weather_now" in names(model.requests[2])
    await harness.door.chat("k", [ASK])
    assert "weather_now" not in names(model.requests[-1])


async def test_a_deferred_tool_that_is_called_all_the_same_runs(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("tides_next", '{"place": "Brest"}'), "ok")
    harness = await open_harness(model, tools=MANY)
    await harness.door.chat("k", [ASK])
    assert model.requests[-1].messages[-1].tool_results[0].content == "tides_next of Brest"


async def test_tools_of_the_client_are_neither_deferred_nor_replaced(open_harness: OpenHarness) -> None:
    model = ScriptedModel(find("weather"), "ok")
    harness = await open_harness(model, tools=MANY)
    parameters = {"type": "object", "properties": {"x": {"type": "string", "description": "x" * 9_000}}}
    own = {"type": "function", "function": {"name": "weather_now", "parameters": parameters}}
    await harness.door.chat("k", [ASK], tools=[own])
    for request in model.requests:
        (offered,) = [each for each in request.tools if each.name == "weather_now"]
        assert "x" * 9_000 in bytes(offered.parameters).decode()


async def test_a_persona_with_a_list_of_tools_is_offered_them_all(open_harness: OpenHarness) -> None:
    chosen = [each.name for each in MANY]
    model = ScriptedModel("ok")
    harness = await open_harness(model, tools=MANY, agent={"tools": chosen})
    await harness.door.chat("k", [ASK])
    assert names(model.requests[0]) == chosen


async def test_a_tool_that_a_policy_denies_is_not_found(open_harness: OpenHarness) -> None:
    model = ScriptedModel(find("weather"), "ok")
    harness = await open_harness(
        model, tools=MANY, policy=[{"pattern": "*", "tools": {"weather_now": "deny"}}]
    )
    await harness.door.chat("k", [ASK])
    assert "weather_now" not in names(model.requests[-1])
    assert "no tool has these words" in model.requests[-1].messages[-1].tool_results[0].content


async def test_the_limit_is_a_setting(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model, tools=MANY, agent={"tools_tokens": 100_000})
    await harness.door.chat("k", [ASK])
    assert "weather_now" in names(model.requests[0])
