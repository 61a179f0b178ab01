"""How much one request may bring: messages, parts, tools, and how deeply their schemas are nested."""

import re
from collections.abc import Sequence

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Message, Part, Text, ToolCall, ToolResult

_STRING = LatePattern(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET = LatePattern(rb"[\[{]|[\]}]")
MOST_PARTS_A_MESSAGE = 1_000


class RequestBounds(msgspec.Struct, frozen=True):
    """The bounds of one request, each a setting of the table `[api]`.

    `max_new_messages`: those behind the last one of the assistant.
    `max_parts`: parts of content and calls, in all messages whose content is not one string.
    `max_text_chars`: the text of one of the earlier messages, its calls and results included.
    `max_tools_bytes`: the descriptions and schemas of all tools. `max_schema_depth`: how deeply objects and
    arrays may be nested in the schema of a tool or of the answer.
    """

    max_messages: int = 10_000
    max_new_messages: int = 256
    max_parts: int = 20_000
    max_text_chars: int = 1_000_000
    max_tools: int = 128
    max_tools_bytes: int = 1_000 * 1024
    max_schema_depth: int = 100

    def check_messages(self, sent: Sequence[object], param: str) -> None:
        """Return where the list in the field `param` is not too long.

        Raises:
            InvalidRequest
        """
        if len(sent) > self.max_messages:
            raise InvalidRequest(
                f"{param} has {len(sent)} entries: at most {self.max_messages} are allowed"
                " (api.max_messages); leave out the oldest",
                param=param,
            )

    def check_new(self, new: Sequence[Message], param: str) -> None:
        """Return where the new messages of the list in the field `param` are not too many, and the ids and
        names of their calls and results, which take no room in the window, not too long.

        Raises:
            InvalidRequest
        """
        if len(new) > self.max_new_messages:
            raise InvalidRequest(
                f"{param} has {len(new)} new messages, behind the last one of the assistant: at most"
                f" {self.max_new_messages} are allowed (api.max_new_messages)",
                param=param,
            )
        size = sum(_id_size(part) for message in new for part in message.parts)
        if size > self.max_text_chars:
            raise InvalidRequest(
                f"the ids and names of calls and results in {param} have {size} characters: at most"
                f" {self.max_text_chars} are allowed (api.max_text_chars)",
                param=param,
            )

    def check_parts(self, count: int, param: str) -> None:
        """Return where so many parts are not too many.

        Raises:
            InvalidRequest
        """
        if count > self.max_parts:
            raise InvalidRequest(
                f"{param} has more than {self.max_parts} parts of content: no more are allowed"
                " (api.max_parts); leave out the oldest messages",
                param=param,
            )

    def check_message_parts(self, messages: Sequence[Message], param: str) -> None:
        """Return where none of the messages has too many parts.

        Raises:
            InvalidRequest
        """
        for message in messages:
            if len(message.parts) > MOST_PARTS_A_MESSAGE:
                raise InvalidRequest(
                    f"{param} has a message with {len(message.parts)} parts and calls: at most"
                    f" {MOST_PARTS_A_MESSAGE} are allowed; join its texts, or send several messages",
                    param=param,
                )

    def check_text(self, earlier: Sequence[Message], param: str) -> None:
        """Return where none of the messages that are taken in as they stand has too much text.

        Raises:
            InvalidRequest
        """
        for message in earlier:
            size = text_size(message)
            if size > self.max_text_chars:
                raise InvalidRequest(
                    f"{param} has a message with {size} characters of text: at most {self.max_text_chars} are"
                    " allowed (api.max_text_chars); shorten it, or leave it out",
                    param=param,
                )

    def check_tools(self, count: int, param: str = "tools") -> None:
        """Return where so many tools are not too many.

        Raises:
            InvalidRequest
        """
        if count > self.max_tools:
            raise InvalidRequest(
                f"{param} has {count} entries: at most {self.max_tools} are allowed (api.max_tools)",
                param=param,
            )

    def check_tools_size(self, size_bytes: int) -> None:
        """Return where so many bytes of tools are not too many.

        Raises:
            InvalidRequest
        """
        if size_bytes > self.max_tools_bytes:
            raise InvalidRequest(
                f"tools has {size_bytes} bytes: at most {self.max_tools_bytes} are allowed"
                " (api.max_tools_kb)",
                param="tools",
            )

    def check_depth(self, schema: bytes, param: str) -> None:
        """Return where the JSON text of a schema is not nested too deeply.

        Raises:
            InvalidRequest
        """
        # No schema is deeper than it has brackets, and most have few.
        if schema.count(b"{") + schema.count(b"[") <= self.max_schema_depth:
            return
        depth = deepest = 0
        for bracket in _BRACKET.finditer(_STRING.sub(b"", schema)):
            depth += 1 if bracket[0] in b"[{" else -1
            deepest = max(deepest, depth)
        if deepest > self.max_schema_depth:
            raise InvalidRequest(
                f"{param} is nested {deepest} levels deep: at most {self.max_schema_depth} are allowed"
                " (api.max_schema_depth)",
                param=param,
            )


def text_size(message: Message) -> int:
    """Return how many characters of text the message has, those of its calls and results included, with their
    ids and names.
    """
    size = 0
    for part in message.parts:
        if isinstance(part, Text):
            size += len(part.text)
        elif isinstance(part, ToolCall):
            size += _id_size(part) + len(part.arguments)
        elif isinstance(part, ToolResult):
            size += _id_size(part) + len(part.content)
    return size


def _id_size(part: Part) -> int:
    if isinstance(part, ToolCall):
        return len(part.id) + len(part.name)
    return len(part.call_id) if isinstance(part, ToolResult) else 0


DEFAULT_BOUNDS = RequestBounds()
