"""What is asked of an MCP server on a connection that stands: tools, resources, prompts."""

import asyncio
from typing import Any

import mcp_types as types
import msgspec
from mcp import Client, MCPError
from mcp_types import URL_ELICITATION_REQUIRED

from nanobot.tools.mcp.asking import SEVERAL, ServerAsks, answer, links_in, requests_in
from nanobot.tools.mcp.listing import all_pages, list_templates
from nanobot.tools.mcp.messages import (
    Answer,
    Answered,
    CallTool,
    GetPrompt,
    InputRequired,
    ListResources,
    ReadResource,
)
from nanobot.tools.mcp.reading import (
    ShownResult,
    plain,
    read_prompt,
    read_resource,
    read_resource_list,
    read_tool_result,
)

_MOST_EMPTY_ROUNDS = 20
"""A server may want to be asked again without an answer: it is not ready."""
_ROUND_PAUSE_S = 0.25
_MAX_SO_FAR_CHARS = 500
_ASKS_IN_RESULTS = "2026-07-28"
"""The version of the protocol since which a server's questions are results."""


class InputWanted(Exception):
    """The server asks for something before it shows a resource or a prompt."""


async def call_tool(client: Client, order: CallTool, asks: ServerAsks) -> Answer:
    """Return what a tool answers, or asks back.

    Raises:
        MCPError: the server says that it cannot.
    """
    arguments = msgspec.json.decode(order.arguments, type=dict[str, Any])
    is_new = client.protocol_version >= _ASKS_IN_RESULTS
    given: types.InputResponses | None = None
    if is_new and order.answers:
        given = {key: answer(each) for key, each in order.answers.items()}
    state = order.state if is_new else None
    for _ in range(_MOST_EMPTY_ROUNDS):
        with asks.during(order) as call:
            try:
                result = await client.session.call_tool(
                    order.tool,
                    arguments,
                    input_responses=given,
                    request_state=state,
                    allow_input_required=True,
                )
            except MCPError as error:
                if error.error.code != URL_ELICITATION_REQUIRED:
                    raise
                return InputRequired(order.id, links_in(error.error.data))
        if isinstance(result, types.CallToolResult):
            shown = read_tool_result(result)
            if call.asked is not None:
                so_far = plain(shown.text)[:_MAX_SO_FAR_CHARS]
                return InputRequired(order.id, (call.asked,), keeps_answers=True, so_far=so_far)
            text = f"{shown.text}\n({SEVERAL})" if call.is_unclear else shown.text
            return Answered(order.id, text, shown.pictures, bool(result.is_error))
        if requests := requests_in(result):
            return InputRequired(order.id, requests, result.request_state)
        given, state = None, result.request_state
        await asyncio.sleep(_ROUND_PAUSE_S)
    return Answered(order.id, "the server asks to be called again and again", is_error=True)


async def shown_by(client: Client, order: ListResources | ReadResource | GetPrompt) -> ShownResult:
    """Return what a server shows besides its tools.

    Raises:
        InputWanted
        MCPError: the server says that it cannot.
    """
    session = client.session
    if isinstance(order, ReadResource):
        read = await session.read_resource(order.uri, allow_input_required=True)
        if isinstance(read, types.InputRequiredResult):
            raise InputWanted
        return read_resource(read)
    if isinstance(order, GetPrompt):
        got = await session.get_prompt(order.prompt, order.arguments, allow_input_required=True)
        if isinstance(got, types.InputRequiredResult):
            raise InputWanted
        return read_prompt(got)
    more: list[str] = []
    resources = await all_pages(client.list_resources, "resources", more)
    shown = read_resource_list(resources, await list_templates(client))
    return ShownResult("\n".join((shown.text, *(f"({line})" for line in more))), ()) if more else shown
