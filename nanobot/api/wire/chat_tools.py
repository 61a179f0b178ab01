"""The tools of chat completions: what a request declares, and which of them the model must call."""

from typing import Annotated, Literal

import msgspec

from nanobot.api.wire.client_tools import Declarations, Declared, TextFormat, only
from nanobot.api.wire.request_bounds import RequestBounds
from nanobot.api.wire.tools import NAME_PATTERN, FunctionTool, ToolMode, tool_choice
from nanobot.core.errors import InvalidRequest
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.http.schema_extra import schema_extra


class _Custom(msgspec.Struct):
    name: Annotated[str, schema_extra(pattern=NAME_PATTERN)]
    description: str | None = None
    format: TextFormat | None = None


class ChatTool(msgspec.Struct):
    """A `function` or a `custom` tool; those of other types are left out."""

    type: str
    function: FunctionTool | None = None
    custom: _Custom | None = None


class _Named(msgspec.Struct):
    name: str


class _ChatAllowed(msgspec.Struct):
    type: str
    function: _Named | None = None
    custom: _Named | None = None
    name: str | None = None


class _AllowedTools(msgspec.Struct):
    mode: Literal["auto", "required"] | None = None
    tools: list[_ChatAllowed] | None = None


class ChatToolChoice(msgspec.Struct):
    type: Annotated[str, schema_extra(enum=["function", "custom", "allowed_tools"])]
    function: _Named | None = None
    custom: _Named | None = None
    name: str | None = None
    allowed_tools: _AllowedTools | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[_ChatAllowed] | None = None


def chat_tools(offered: list[ChatTool], bounds: RequestBounds) -> Declared:
    """Return what the request's tools are.

    Raises:
        InvalidRequest
    """
    bounds.check_tools(len(offered))
    declarations = Declarations()
    for index, tool in enumerate(offered):
        path = f"tools[{index}]"
        if tool.type == "function":
            if tool.function is None:
                raise InvalidRequest(
                    f"Missing required parameter: '{path}.function'.", param=f"{path}.function"
                )
            declarations.function(f"{path}.function", tool.function)
        elif tool.type == "custom":
            custom = tool.custom
            if custom is None:
                raise InvalidRequest(f"Missing required parameter: '{path}.custom'.", param=f"{path}.custom")
            declarations.freeform(f"{path}.custom", custom.name, custom.description, custom.format)
        else:
            declarations.leave_out(tool.type)
    return declarations.declared(bounds)


def chat_tool_choice(
    choice: ToolMode | ChatToolChoice | None, tools: tuple[ToolSpec, ...]
) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    """Return which tools are offered, and which of them must be called.

    Raises:
        InvalidRequest
    """
    if not isinstance(choice, ChatToolChoice):
        return tools, tool_choice(choice, None, tools, "tool_choice")
    if choice.type == "function" and choice.function is not None:
        return tools, tool_choice(None, choice.function.name, tools, "tool_choice.function.name")
    if choice.type == "custom" and any(tool.name == _name(choice) for tool in tools):
        return tools, ToolChoice("required", _name(choice))
    if choice.type == "allowed_tools":
        # The Responses API has the list in the choice itself, and some clients send it so here, too.
        listed = choice.allowed_tools or choice
        allowed = [(tool.type, _name(tool)) for tool in listed.tools or ()]
        return only(allowed, listed.mode, tools, "tool_choice.allowed_tools")
    raise InvalidRequest(
        f"tool_choice.type is {choice.type[:60]!r}: a function can be named, as "
        "{'type': 'function', 'function': {'name': …}}, a custom tool of the request, or "
        "allowed_tools listed",
        param="tool_choice.type",
    )


def _name(named: _ChatAllowed | ChatToolChoice) -> str | None:
    tool = named.function or named.custom
    return named.name if tool is None else tool.name
