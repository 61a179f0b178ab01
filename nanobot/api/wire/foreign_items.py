"""Items of tools that this server does not run: those of OpenAI's servers (`web_search_call`, `mcp_call`, …)
and of clients that know tools of their own kind (`local_shell_call`).

What such a tool was asked and what came of it is shown to the model as a call and its result where both are
text; everything else is left out.
"""

from collections.abc import Sequence

import msgspec

from nanobot.api.wire.input_shapes import InputItem
from nanobot.api.wire.tools import first_byte, is_given
from nanobot.core.message import Message, ToolCall, ToolResult

_OWN = frozenset({"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"})
_ENDINGS = ("_call", "_call_output")
_OTHERS = frozenset(
    {
        "additional_tools",
        "compaction",
        "compaction_summary",
        "compaction_trigger",
        "configuration_update",
        "context_compaction",
        "ghost_snapshot",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_list_tools",
        "program",
        "program_output",
        "tool_search_output",
    }
)
_LONGEST_NAME = 64


class ForeignItems:
    """Makes messages of the foreign items among `items`, whose types are `kinds`; `left_out` has the types of
    those that there is no message for.
    """

    def __init__(self, items: Sequence[InputItem]) -> None:
        self.left_out: list[str] = []
        self.kinds = frozenset(filter(_is_foreign, {item.type for item in items}))
        self._answered: set[str | None] = set()
        if self.kinds:
            foreign = [item for item in items if item.type in self.kinds and item.call_id is not None]
            calls = {item.call_id for item in foreign if not is_given(item.output)}
            self._answered = calls & {item.call_id for item in foreign if _has_text(item.output)}

    def messages(self, item: InputItem) -> tuple[Message, ...]:
        """Return what the item says; nothing where it is left out."""
        kind, call_id = item.type or "", item.call_id
        name = kind.removesuffix("_output").removesuffix("_call")
        if call_id is not None and call_id in self._answered:
            if is_given(item.output):
                return (_result(call_id, item.output),)
            return (_call(call_id, name, item),)
        if kind == "mcp_call" and item.id is not None and item.name is not None:
            if _has_text(item.output):
                return (_call(item.id, item.name, item), _result(item.id, item.output))
            if is_given(item.error):
                return (_call(item.id, item.name, item), _result(item.id, item.error, is_error=True))
        self.left_out.append(kind)
        return ()


def _is_foreign(kind: str | None) -> bool:
    return kind is not None and kind not in _OWN and (kind.endswith(_ENDINGS) or kind in _OTHERS)


def _has_text(raw: msgspec.Raw) -> bool:
    # A list: the outputs of a shell; an object: the picture of a screen.
    return first_byte(raw) in (b'"', b"[")


def _call(call_id: str, name: str, item: InputItem) -> Message:
    fields = (item.action, item.operation, item.arguments, item.input)
    arguments = next((_plain(raw) for raw in fields if is_given(raw)), "{}")
    return Message("assistant", (ToolCall(call_id, name[:_LONGEST_NAME], arguments, True),), "tool_calls")


def _result(call_id: str, output: msgspec.Raw, *, is_error: bool = False) -> Message:
    return Message("tool", (ToolResult(call_id, _plain(output), is_error),))


def _plain(raw: msgspec.Raw) -> str:
    """Return a text without its quotation marks, anything else as its JSON."""
    return msgspec.json.decode(raw, type=str) if first_byte(raw) == b'"' else bytes(raw).decode()
