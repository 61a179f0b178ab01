"""find_tools finds tools by words of their names and descriptions, and never more than there is room for."""

import pytest

from nanobot.core.errors import ToolError
from nanobot.core.tool import DeferredTools, ToolContext, ToolOutput, ToolSpec, tool_spec
from nanobot.tools.find_tools import FindToolsArguments, find_tools, matches


def spec(name: str, description: str = "") -> ToolSpec:
    return tool_spec(name, description, {"type": "object"})


TOOLS = (
    spec("github_create_issue", "Open an issue in a repository."),
    spec("github_list_issues", "List the issues of a repository."),
    spec("tracker_searchTickets", "Search the tickets of the team."),
    spec("files_read", "Read a file of the repository."),
)


async def found(query: str, deferred: DeferredTools) -> ToolOutput:
    output = await find_tools().run(FindToolsArguments(query), ToolContext("t", "k", "c", deferred=deferred))
    assert isinstance(output, ToolOutput)
    return output


def names(query: str) -> list[str]:
    return [tool.name for tool in matches(query, TOOLS)]


def test_the_one_that_has_most_of_the_words_comes_first() -> None:
    assert names("create an issue")[0] == "github_create_issue"
    assert names("list issues")[0] == "github_list_issues"
    assert names("ticket search") == ["tracker_searchTickets"]


def test_its_whole_name_finds_a_tool_first() -> None:
    assert names("files_read")[0] == "files_read"


def test_a_word_that_few_tools_have_says_more_than_one_that_all_have() -> None:
    assert names("read repository")[0] == "files_read"


async def test_a_search_without_words_names_all_and_brings_in_none() -> None:
    output = await found("", DeferredTools(TOOLS, most_tokens=1_000))
    assert all(tool.name in output.text for tool in TOOLS)
    assert output.found == ()


async def test_where_nothing_matches_the_model_is_told_what_there_is() -> None:
    with pytest.raises(ToolError, match=r"no tool has these words.*4 further tools: github_create_issue"):
        await found("weather", DeferredTools(TOOLS, most_tokens=1_000))


async def test_what_was_found_before_stays_where_it_was() -> None:
    deferred = DeferredTools(TOOLS, found=(TOOLS[3],), most_tokens=1_000)
    assert (await found("tickets", deferred)).found == ("files_read", "tracker_searchTickets")
    assert (await found("files_read", DeferredTools(TOOLS, (TOOLS[3],), 1_000))).found[0] == "files_read"


async def test_where_there_is_no_room_the_oldest_go() -> None:
    tools = tuple(spec(f"tool{number}", "x" * 300) for number in range(10))
    deferred = DeferredTools(tools, tools[:4], most_tokens=4 * tools[0].tokens)
    assert (await found("tool9", deferred)).found == ("tool3", "tool9")


async def test_one_search_brings_in_no_more_than_there_is_room_for() -> None:
    tools = tuple(spec(f"weather_{number}", "x" * 300) for number in range(10))
    output = await found("weather", DeferredTools(tools, most_tokens=2 * tools[0].tokens))
    assert output.found == ("weather_0", "weather_1")
    assert "weather_2" not in output.text


async def test_what_it_returns_is_bounded() -> None:
    tools = tuple(spec(f"tool_number_{number}", "weather " * 500) for number in range(500))
    assert len((await found("weather", DeferredTools(tools, most_tokens=10**9))).text) < 1_500
    assert len((await found("", DeferredTools(tools))).text) < 2_000
