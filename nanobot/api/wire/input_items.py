"""Items that a client sends, to a response or into a conversation, and the messages that they are."""

from collections.abc import Mapping, Sequence

import msgspec

from nanobot.api.wire.client_tools import name_in
from nanobot.api.wire.content import file_part, image_part, instruction, tool_result
from nanobot.api.wire.foreign_items import ForeignItems
from nanobot.api.wire.input_shapes import CONTENT_TYPES, TEXTS, InputItem, ItemPart
from nanobot.api.wire.items import ref_of
from nanobot.api.wire.request_bounds import DEFAULT_BOUNDS, RequestBounds
from nanobot.api.wire.tools import first_byte, is_given
from nanobot.core.errors import InvalidRequest
from nanobot.core.message import (
    Audio,
    ClientTool,
    Message,
    Part,
    Text,
    ToolCall,
    ToolResult,
    freeform_arguments,
)

NO_SUMMARIES: Mapping[int, Message] = {}
ReferencedMessages = Mapping[str, Message]
"""The messages that items only refer to, by the ids of the items."""
_decode_contents = msgspec.json.Decoder(list[ItemPart]).decode
_MOST_SHOWN = 40
_decode_text = msgspec.json.Decoder(str).decode


class InputMessages(msgspec.Struct, frozen=True):
    """What the items of a request say. `left_out`: the types of those that the model is not shown; `known`:
    of those that this server made, and the model is shown from the transcript only.
    """

    messages: tuple[Message, ...]
    instructions: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def referred(items: Sequence[InputItem]) -> tuple[tuple[str, str], ...]:
    """Return the ids that the items only refer to, each with its path in the request."""
    return tuple(
        (item.id or "", f"input[{index}].id")
        for index, item in enumerate(items)
        # OpenAI lets a reference leave out its type.
        if item.type in ("item_reference", None) and item.role is None
    )


def input_messages(
    items: Sequence[InputItem],
    referenced: ReferencedMessages,
    where: str,
    bounds: RequestBounds = DEFAULT_BOUNDS,
    summaries: Mapping[int, Message] = NO_SUMMARIES,
    *,
    is_all: bool = False,
) -> InputMessages:
    """Return what the items say. Those of one answer (its texts, then its calls) become one message.
    `summaries`: what some of them stand for, by their places. `is_all`: the model is shown nothing but them,
    so that calls of this server's tools are shown like those of others.

    Raises:
        InvalidRequest: an item is not valid, or not supported, or there are too many parts; `param` names
            it.
    """
    conversation = _SaidMessages()
    parts = 0
    instructions: list[str] = []
    known: list[str] = []
    foreign = ForeignItems(items)
    for index, item in enumerate(items):
        path = f"{where}[{index}]"
        if item.type in (None, "message") and item.role in ("system", "developer"):
            content = f"{path}.content"
            instructions.append(instruction(_content(item.content, content), item.role, content))
            continue
        if item.type == "reasoning":
            continue
        if not is_all and item.type == "mcp_call" and item.id is not None and ref_of(item.id) is not None:
            known.append(item.type)
            continue
        if index in summaries:
            conversation.add(summaries[index])
            parts += 1
            continue
        said = foreign.messages(item) if item.type in foreign.kinds else (_message(item, referenced, path),)
        for message in said:
            conversation.add(message)
            parts += len(message.parts)
        bounds.check_parts(parts, where)
    messages = conversation.messages()
    bounds.check_message_parts(messages, where)
    return InputMessages(messages, tuple(instructions), tuple(foreign.left_out), tuple(known))


class _SaidMessages:
    """Puts messages in a row; those of one answer become one message."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        # Joined only once it is whole: there may be thousands of pieces.
        self._answer: list[Message] = []

    def add(self, message: Message) -> None:
        if message.role != "assistant":
            self._end_answer()
            self._messages.append(message)
            return
        if not message.parts:
            return
        # Texts come before calls.
        if self._answer and self._answer[-1].tool_calls and not message.tool_calls:
            self._end_answer()
        self._answer.append(message)

    def messages(self) -> tuple[Message, ...]:
        self._end_answer()
        return tuple(self._messages)

    def _end_answer(self) -> None:
        if self._answer:
            self._messages.append(self._answer[0] if len(self._answer) == 1 else _joined(self._answer))
            self._answer = []


def _joined(answer: Sequence[Message]) -> Message:
    texts = [text for message in answer if (text := message.text)]
    calls: list[Part] = [call for message in answer for call in message.tool_calls]
    said: list[Part] = [Text("\n\n".join(texts))] if texts else []
    return Message("assistant", (*said, *calls), answer[-1].stop_reason)


def _message(item: InputItem, referenced: ReferencedMessages, path: str) -> Message:
    kind = item.type or ("message" if item.role is not None else "item_reference")
    if kind == "message":
        return _spoken(item, path)
    if kind in ("function_call", "custom_tool_call"):
        return Message("assistant", (_call(item, path),), "tool_calls")
    if kind in ("function_call_output", "custom_tool_call_output"):
        call_id = _required(item.call_id, f"{path}.call_id")
        return Message("tool", _output(call_id, item.output, f"{path}.output"))
    if kind == "item_reference" and item.id is not None and item.id in referenced:
        return referenced[item.id]
    raise InvalidRequest(
        f"{path}.type is {kind[:60]!r}: message, function_call, function_call_output, custom_tool_call, "
        "custom_tool_call_output, item_reference and reasoning are supported",
        param=f"{path}.type",
    )


def _call(item: InputItem, path: str) -> ToolCall:
    call_id = _required(item.call_id, f"{path}.call_id")
    known = _required(item.name, f"{path}.name")
    name = known if item.namespace is None else name_in(item.namespace, known)
    if item.type == "custom_tool_call":
        declared = ClientTool(name, known, item.namespace, is_freeform=True)
        return ToolCall(
            call_id, name, freeform_arguments(_text(item.input, f"{path}.input")), True, declared=declared
        )
    return ToolCall(
        call_id,
        name,
        _text(item.arguments, f"{path}.arguments"),
        True,
        declared=None if item.namespace is None else ClientTool(name, known, item.namespace),
    )


def _spoken(item: InputItem, path: str) -> Message:
    parts = _content(item.content, f"{path}.content")
    if item.role == "user":
        if not parts:
            raise InvalidRequest(
                f"{path}.content is missing: a string or a list of parts is needed", param=f"{path}.content"
            )
        return Message("user", parts, name=item.name or None)
    if item.role == "assistant":
        return Message("assistant", parts, "stop")
    raise InvalidRequest(
        f"{path}.role is {(item.role or '')[:40]!r}: it must be user, assistant, system or developer",
        param=f"{path}.role",
    )


def _text(raw: msgspec.Raw, path: str) -> str:
    """Return the text of a field that was decoded as it came; nothing where it is not there."""
    if not is_given(raw):
        return ""
    try:
        return _decode_text(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{path} is {_shown(raw)}: it must be a string", param=path) from error


def _shown(raw: msgspec.Raw) -> str:
    return bytes(raw)[:_MOST_SHOWN].decode("utf-8", "replace")


def _output(call_id: str, raw: msgspec.Raw, path: str) -> tuple[Part, ...]:
    """Return the result of a call, and behind it the images and files that came with it."""
    if not is_given(raw):
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    if first_byte(raw) != b"[":
        return (ToolResult(call_id, _text(raw, path)),)
    try:
        contents = _decode_contents(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{path}: {error}", param=path) from error
    return tool_result(call_id, _content(contents, path))


def _content(content: str | list[ItemPart] | None, path: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: ItemPart, path: str) -> Part:
    if part.type in TEXTS:
        return Text(_required(part.text, f"{path}.text"))
    if part.type == "refusal":
        return Text(_required(part.refusal, f"{path}.refusal"))
    if part.type == "input_image":
        if part.image_url is not None:
            return image_part(part.image_url, part.detail, f"{path}.image_url")
        return file_part(None, None, _required(part.file_id, f"{path}.image_url"), path)
    if part.type == "input_file":
        return file_part(part.file_data or part.file_url, part.filename, part.file_id, path)
    if part.type != "input_audio":
        raise InvalidRequest(
            f"{path}.type is {part.type[:_MOST_SHOWN]!r}: it must be one of {', '.join(CONTENT_TYPES)}",
            param=f"{path}.type",
        )
    if part.input_audio is None:
        raise InvalidRequest(
            f"Missing required parameter: '{path}.input_audio'.", param=f"{path}.input_audio"
        )
    return Audio(part.input_audio.data, part.input_audio.format)


def _required(value: str | None, path: str) -> str:
    if value is None:
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    return value
