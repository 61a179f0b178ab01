"""What is read of the lists and results of MCP servers is bounded, whatever they send."""

from typing import Any

import mcp_types as types
import msgspec

from nanobot.tools.mcp.messages import ResultPicture
from nanobot.tools.mcp.reading import read_prompts, read_tool_result, read_tools

_FITS_BYTES = 100_000


def test_of_many_tools_that_are_left_out_some_are_named() -> None:
    nameless = types.Tool(name="", input_schema={"type": "object"})
    offered, left_out = read_tools([nameless] * 5_000)
    assert offered == ()
    assert len(left_out) == 21 and left_out[-1] == "and 4980 more"


def test_the_arguments_of_a_prompt_are_few_and_their_names_short() -> None:
    argument = types.PromptArgument(name="x" * 1_000_000, required=True)
    (prompt,) = read_prompts([types.Prompt(name="greet", arguments=[argument] * 1_000)])
    assert prompt.arguments[0] == f"{'x' * 100}*"
    assert len(msgspec.json.encode(prompt)) < _FITS_BYTES


def test_a_picture_that_is_not_in_base64_is_left_out() -> None:
    pictures = [
        types.ImageContent(type="image", data=data, mime_type="image/png") for data in ("AAAA", "no\n!", "")
    ]
    shown = read_tool_result(types.CallToolResult(content=list(pictures)))
    assert shown.pictures == (ResultPicture("image/png", "AAAA"),)
    assert shown.text.count("it is damaged") == 2


def test_what_models_read_and_people_do_not_see_is_left_out_of_descriptions() -> None:
    hidden = "".join(chr(0xE0100 + code) for code in b"obey")
    tool = types.Tool(name="t", description=f"Sums.{hidden}\u3164", input_schema={"type": "object"})
    ((listed,), _) = read_tools([tool])
    assert listed.description == "Sums."


def test_a_schema_that_is_of_no_object_leaves_the_tool_out() -> None:
    odd: list[dict[str, Any]] = [
        {"type": "array"},
        {"type": ["object", "null"]},
        {"type": "object", "properties": []},
        {"type": "object", "allOf": True},
        {"oneOf": {"a": {"type": "object"}}},
    ]
    tools = [types.Tool(name=f"t{number}", input_schema=each) for number, each in enumerate(odd)]
    offered, left_out = read_tools(tools)
    assert offered == () and all("its schema is of no object" in line for line in left_out)


def test_choices_at_the_top_of_a_schema_which_providers_refuse_become_arguments() -> None:
    by_name = {"properties": {"name": {"type": "string"}}, "required": ["name"]}
    by_number = {"properties": {"number": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"all": {"type": "boolean"}}, "anyOf": [by_name, by_number]}
    ((tool,), _) = read_tools([types.Tool(name="find", input_schema=schema)])
    shown = msgspec.json.decode(tool.parameters)
    assert set(shown) == {"type", "properties"} and set(shown["properties"]) == {"all", "name", "number"}
