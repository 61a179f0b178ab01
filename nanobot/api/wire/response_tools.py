"""The tools of responses: what a request declares, which of them the model must call, what the response
repeats of both.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec

from nanobot.api.wire.client_tools import Declarations, Declared, TextFormat, name_in, only
from nanobot.api.wire.request_bounds import RequestBounds
from nanobot.api.wire.response_answer import WireTool
from nanobot.api.wire.tools import FunctionTool, ToolMode, is_given, tool_choice
from nanobot.core.errors import InvalidRequest
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.http.schema_extra import schema_extra


class NamespaceTool(msgspec.Struct):
    """A tool of a namespace: a `function`, or a `custom` tool."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Annotated[msgspec.Raw, schema_extra(type=["object", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    strict: bool | None = None
    format: TextFormat | None = None


class ResponseTool(NamespaceTool):
    """A `function`, a `custom` tool, or a `namespace` of `tools`; those of other types are left out."""

    tools: list[NamespaceTool] | None = None


class _AllowedTool(msgspec.Struct):
    type: str
    name: str | None = None
    namespace: str | None = None


class ResponseToolChoice(msgspec.Struct):
    type: Annotated[str, schema_extra(enum=["function", "custom", "allowed_tools"])]
    name: str | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[_AllowedTool] | None = None


def response_tools(offered: Sequence[ResponseTool], bounds: RequestBounds) -> Declared:
    """Return what the request's tools are.

    Raises:
        InvalidRequest
    """
    bounds.check_tools(len(offered))
    declarations = Declarations()
    for index, tool in enumerate(offered):
        path = f"tools[{index}]"
        if tool.type != "namespace":
            _declare(declarations, tool, path, None)
            continue
        namespace = _name(tool, path)
        for inner, member in enumerate(tool.tools or ()):
            _declare(declarations, member, f"{path}.tools[{inner}]", namespace)
    return declarations.declared(bounds)


def _declare(declarations: Declarations, tool: NamespaceTool, path: str, namespace: str | None) -> None:
    if tool.type == "function":
        function = FunctionTool(_name(tool, path), tool.description, tool.parameters, tool.strict)
        declarations.function(path, function, namespace)
    elif tool.type == "custom":
        declarations.freeform(path, _name(tool, path), tool.description, tool.format, namespace)
    else:
        declarations.leave_out(tool.type)


def _name(tool: NamespaceTool, path: str) -> str:
    if tool.name is None:
        raise InvalidRequest(f"Missing required parameter: '{path}.name'.", param=f"{path}.name")
    return tool.name


def response_tool_choice(
    choice: ToolMode | ResponseToolChoice | None, tools: tuple[ToolSpec, ...]
) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    """Return which tools are offered, and which of them must be called.

    Raises:
        InvalidRequest
    """
    if not isinstance(choice, ResponseToolChoice):
        return tools, tool_choice(choice, None, tools, "tool_choice")
    if choice.type in ("function", "custom") and choice.name is not None:
        return tools, tool_choice(None, _offered_name(choice), tools, "tool_choice.name")
    if choice.type == "allowed_tools":
        allowed = [(tool.type, _offered_name(tool)) for tool in choice.tools or ()]
        return only(allowed, choice.mode, tools, "tool_choice")
    raise InvalidRequest(
        f"tool_choice.type is {choice.type[:60]!r}: a function can be named, as "
        f"{{'type': 'function', 'name': …}}, a custom tool, or allowed_tools listed",
        param="tool_choice.type",
    )


def _offered_name(named: _AllowedTool | ResponseToolChoice) -> str | None:
    if named.name is None or named.namespace is None:
        return named.name
    return name_in(named.namespace, named.name)


# What a response repeats --------------------------------------------------------------------------


def echoed_tools(offered: Iterable[ResponseTool]) -> tuple[WireTool, ...]:
    """Return the tools that the model was offered, as functions."""
    return tuple(
        WireTool(
            name=tool.name or "",
            description=tool.description,
            parameters=raw_copy(tool.parameters, b"null"),
            strict=tool.strict,
        )
        for tool in offered
        if tool.type == "function"
    )


def echoed_choice(choice: ToolMode | ResponseToolChoice | None) -> bytes:
    """Return the choice as JSON."""
    if not isinstance(choice, ResponseToolChoice):
        return msgspec.json.encode(choice or "auto")
    if choice.type in ("function", "custom"):
        return msgspec.json.encode({"type": choice.type, "name": choice.name})
    return msgspec.json.encode(
        {"type": choice.type, "mode": choice.mode or "auto", "tools": choice.tools or []}
    )


def raw_copy(raw: msgspec.Raw, missing: bytes) -> msgspec.Raw:
    """Return the JSON text by itself, not as a view of the whole body; `missing` where there is none."""
    return msgspec.Raw(bytes(raw) if is_given(raw) else missing)
