"""One call: found, checked, run within its time, its failure told to the model."""

import asyncio
import logging
from typing import Annotated, Any

import msgspec
import pytest

from nanobot.agent.toolset import MAX_RESULT_CHARS, MalformedCall, Toolset
from nanobot.core.errors import ToolError
from nanobot.core.message import ToolCall, ToolResult
from nanobot.core.tool import Tool, ToolContext


class Add(msgspec.Struct, frozen=True):
    a: Annotated[int, msgspec.Meta(ge=0)]
    b: int = 1


async def add(arguments: Add, context: ToolContext) -> str:
    return str(arguments.a + arguments.b)


ADD = Tool("add", "Add two numbers.", Add, add)


def call(arguments: str, name: str = "add") -> ToolCall:
    return ToolCall("c1", name, arguments)


async def run(tool: Tool, arguments: str = '{"a": 1}') -> ToolResult:
    return await Toolset([tool]).run(call(arguments, tool.name), turn_id="turn_1", session_key="k")


async def test_a_call_is_answered_with_what_the_tool_returns() -> None:
    assert await run(ADD, '{"a": 1, "b": 2}') == ToolResult("c1", "3")


async def test_arguments_that_are_left_out_have_their_defaults() -> None:
    assert (await run(ADD, '{"a": 1}')).content == "2"


async def test_numbers_written_as_text_are_taken_as_numbers() -> None:
    """Small models quote them."""
    assert (await run(ADD, '{"a": "4", "b": "5"}')).content == "9"


@pytest.mark.parametrize("nothing", ["", " ", "{}"])
async def test_a_call_without_arguments_has_none(nothing: str) -> None:
    class Nothing(msgspec.Struct, frozen=True):
        a: int = 7

    async def tell(arguments: Nothing, context: ToolContext) -> str:
        return str(arguments.a)

    assert (await run(Tool("tell", "", Nothing, tell), nothing)).content == "7"


async def test_what_is_given_to_a_tool_without_arguments_does_not_matter() -> None:
    """Some models cannot write a call that gives nothing."""

    class NoArguments(msgspec.Struct, frozen=True):
        """None."""

    async def tell(arguments: NoArguments, context: ToolContext) -> str:
        return "noon"

    assert (await run(Tool("tell", "", NoArguments, tell), '{"dummy": ""}')).content == "noon"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{", "not valid JSON"),
        ("a=1", "not valid JSON"),
        ("[]", "do not fit"),
        ("null", "do not fit"),
        ("{}", "missing required field `a`"),
        ('{"a": "many"}', "$.a"),
        ('{"a": -1}', ">= 0"),
        ('{"a": [1]}', "$.a"),
        ('{"a": 1, "c": 2}', "add has no argument 'c'; it has: a, b"),
        pytest.param('{"a": 1, "zz": ' + "[" * 100_000, "add", id="deep"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_with_what_is_wrong(arguments: str, says: str) -> None:
    with pytest.raises(MalformedCall):
        Toolset([ADD]).check(call(arguments))
    result = await run(ADD, arguments)
    assert result.is_error
    assert result.content.startswith("Error: ")
    assert says in result.content


async def test_an_unknown_tool_is_told_with_the_names_of_those_there_are() -> None:
    result = await Toolset([ADD]).run(call("{}", "subtract"), turn_id="t", session_key="k")
    assert result == ToolResult("c1", "Error: there is no tool 'subtract'; the tools are: add", is_error=True)
    assert (await Toolset([]).run(call("{}"), turn_id="t", session_key="k")).content.endswith(
        "the tools are: none"
    )


async def test_a_tools_own_error_is_told_as_it_says() -> None:
    async def refuse(arguments: Add, context: ToolContext) -> str:
        raise ToolError("the shop is closed")

    assert await run(Tool("refuse", "", Add, refuse)) == ToolResult(
        "c1", "Error: the shop is closed", is_error=True
    )


@pytest.mark.parametrize(
    "bug",
    [
        KeyError("secret-path"),
        TimeoutError("secret-path"),
        OSError("secret-path"),
        ExceptionGroup("secret-path", [ValueError()]),
    ],
)
async def test_any_other_exception_is_logged_whole_and_told_as_a_failure(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The model, and so the user, learns nothing of the server's inside."""

    async def fail(arguments: Add, context: ToolContext) -> str:
        raise bug

    with caplog.at_level(logging.ERROR):
        assert await run(Tool("fail", "", Add, fail)) == ToolResult("c1", "Error: tool failed", is_error=True)
    (record,) = caplog.records
    assert "fail" in record.getMessage()
    assert "turn_1" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is bug


async def test_a_tool_that_does_not_end_in_time_is_stopped_and_told_so() -> None:
    stopped = asyncio.Event()

    async def hang(arguments: Add, context: ToolContext) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return "never"

    result = await run(Tool("hang", "", Add, hang, timeout_s=0.01))
    assert result == ToolResult("c1", "Error: hang did not end within 0.01 s and was stopped", is_error=True)
    assert stopped.is_set()


async def test_a_cancelled_call_stays_cancelled() -> None:
    """A stop of the turn is no failure of the tool."""
    started = asyncio.Event()

    async def hang(arguments: Add, context: ToolContext) -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    task = asyncio.create_task(run(Tool("hang", "", Add, hang)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("over", [0, 1, 12_345])
async def test_a_result_is_cut_at_its_limit_and_says_how_much_is_missing(over: int) -> None:
    async def flood(arguments: Add, context: ToolContext) -> str:
        return "x" * (MAX_RESULT_CHARS + over)

    content = (await run(Tool("flood", "", Add, flood))).content
    assert content.startswith("x" * MAX_RESULT_CHARS)
    cut = f"\n[cut: {over} of {MAX_RESULT_CHARS + over} characters left out]" if over else ""
    assert content[MAX_RESULT_CHARS:] == cut


async def test_a_tool_is_told_its_turn_session_and_call() -> None:
    async def tell(arguments: Add, context: ToolContext) -> str:
        return f"{context.turn_id} {context.session_key} {context.call_id}"

    assert (await run(Tool("tell", "", Add, tell))).content == "turn_1 k c1"


def test_two_tools_with_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        Toolset([ADD, ADD])


def test_a_tools_traits_are_those_of_its_value_and_an_unknown_one_is_harmless() -> None:
    """A call of no tool of ours does nothing: it may overlap, and may be tried again."""
    alone = Tool("alone", "", Add, add, concurrent=False)
    again = Tool("again", "", Add, add, repeatable=True)
    tools = Toolset([alone, again])
    traits = [
        (tools.is_concurrent(call("{}", name)), tools.is_repeatable(call("{}", name)))
        for name in ("alone", "again", "unknown")
    ]
    assert traits == [(False, False), (True, True), (True, True)]


def test_the_schema_shown_to_the_model_is_flat_and_whole() -> None:
    assert ADD.spec.schema == {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"type": "integer", "default": 1}},
        "required": ["a"],
    }


def other(name: str) -> Tool:
    async def run(arguments: dict[str, Any], context: ToolContext) -> str:
        return msgspec.json.encode(arguments).decode()

    schema = msgspec.Raw(b'{"type":"object","properties":{"a":{}}}')
    return Tool(name, "Of others.", dict[str, Any], run, parameters=schema, group="mcp__s")


async def test_a_tool_of_others_gets_whatever_object_the_model_writes() -> None:
    tool = other("mcp__s__x")
    assert (await run(tool, '{"a": [1, {"b": null}]}')).content == '{"a":[1,{"b":null}]}'
    assert (await run(tool, "[]")).is_error
    assert bytes(tool.spec.parameters) == b'{"type":"object","properties":{"a":{}}}'


def test_the_tools_of_a_group_can_be_replaced() -> None:
    toolset = Toolset([ADD, other("mcp__s__x")])
    toolset.replace("mcp__s", [other("mcp__s__y"), other("add")])
    assert toolset.names == ("add", "mcp__s__y") and toolset.version == 1
    assert toolset.check(call('{"a": 1}'))[0] is ADD
    assert [spec.name for spec in toolset.specs] == ["add", "mcp__s__y"]


def test_a_call_of_a_tool_that_is_gone_is_not_made_again() -> None:
    """It may have run before its server went."""
    assert not Toolset([ADD]).is_repeatable(call("{}", "mcp__s__x"))
