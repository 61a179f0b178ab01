"""Calls of the server's own tools as items, for clients that ask for them (`x-events: tools`).

They have the shape of OpenAI's calls of tools that a server runs (`mcp_call`), which clients show and never
run themselves. A client that keeps the history sends them back with it; they are left aside there, because
the transcript has the calls and their results.
"""

from collections.abc import Sequence

import msgspec

from nanobot.core.message import Message, ToolCall, ToolResult

PREFIX = "mcp"
_MOST = 256
"""How many calls of one message are shown: an item's id counts them in two digits."""


class _ErrorText(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    text: str


class CallError(msgspec.Struct, frozen=True, kw_only=True, tag="mcp_tool_execution_error"):
    content: tuple[_ErrorText, ...]


class ToolCallItem(msgspec.Struct, frozen=True, kw_only=True, tag="mcp_call"):
    """A call of one of the server's own tools. `output` and `error`: what came of it, once it has ended."""

    id: str
    status: str
    name: str
    arguments: str
    server_label: str = "nanobot"
    output: str | None = None
    error: CallError | None = None
    approval_request_id: None = None


def shown_calls(message: Message) -> Sequence[ToolCall]:
    """Return the calls of the message that are shown: the server's own, but for those that nobody has agreed
    to.
    """
    if message.role != "assistant":
        return ()
    return [call for call in message.tool_calls if not call.for_client and not call.is_withheld][:_MOST]


def begun(id_: str, call: ToolCall) -> ToolCallItem:
    """Return the call as it runs."""
    arguments = call.arguments if call.arguments.strip() else "{}"
    return ToolCallItem(id=id_, status="in_progress", name=call.name, arguments=arguments)


def finished(item: ToolCallItem, result: ToolResult) -> ToolCallItem:
    """Return the call with its result."""
    if result.is_error:
        error = CallError(content=(_ErrorText(text=result.content),))
        return msgspec.structs.replace(item, status="failed", error=error)
    return msgspec.structs.replace(item, status="completed", output=result.content)


def cut_off(item: ToolCallItem) -> ToolCallItem:
    """Return the call as one that the end of its turn has left without a result."""
    return msgspec.structs.replace(item, status="incomplete")
