"""Items that a client sends, to a response or into a conversation, and the messages that they are."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from nanobot.api.wire.content import IMAGE_URL, AudioFormat, Detail, file_part, image_part
from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Audio, Message, Part, Text, ToolCall, ToolResult
from nanobot.http.schema_extra import schema_extra

ReferencedMessages = Mapping[str, Message]
"""The messages that items only refer to, by the ids of the items."""


_TEXTS = ("input_text", "output_text", "text")


def _of(kinds: Sequence[str], *required: str, **properties: object) -> dict[str, object]:
    """Return the schema of what has one of these types and the fields that belong to it."""
    return {"properties": {"type": {"enum": list(kinds)}, **properties}, "required": ["type", *required]}


def _of_text() -> msgspec.Meta:
    return schema_extra(anyOf=[_of(_TEXTS, "text", text={"type": "string"})])


_CONTENT = schema_extra(
    anyOf=[
        _of(_TEXTS, "text", text={"type": "string"}),
        _of(["refusal"], "refusal", refusal={"type": "string"}),
        _of(
            ["input_image"],
            "image_url",
            image_url={"type": "string", "pattern": IMAGE_URL},
        ),
        _of(["input_image"], "file_id", file_id={"type": "string"}, image_url={"type": "null"}),
        _of(
            ["input_file"],
            "file_data",
            file_data={"type": "string"},
            file_url={"type": "null"},
            file_id={"type": "null"},
        ),
        _of(
            ["input_file"],
            "file_url",
            file_data={"type": "null"},
            file_url={"type": "string"},
            file_id={"type": "null"},
        ),
        _of(
            ["input_file"],
            "file_id",
            file_data={"type": "null"},
            file_url={"type": "null"},
            file_id={"type": "string"},
        ),
        _of(["input_audio"], "input_audio", input_audio={"type": "object"}),
    ]
)
_ROLES = ("user", "assistant", "system", "developer")
_SAID = {"type": ["string", "array"], "minItems": 1}
_MESSAGE = {"type": {"enum": ["message", None]}}
ITEM = schema_extra(
    anyOf=[
        {
            "properties": {**_MESSAGE, "role": {"const": "user"}, "content": _SAID},
            "required": ["role", "content"],
        },
        {"properties": {**_MESSAGE, "role": {"enum": list(_ROLES[1:])}}, "required": ["role"]},
        _of(["function_call"], "call_id", "name", call_id={"type": "string"}, name={"type": "string"}),
        _of(
            ["function_call_output"],
            "call_id",
            "output",
            call_id={"type": "string"},
            output={"type": ["string", "array"]},
        ),
        _of(["item_reference"], "id", id={"type": "string"}),
        _of(["reasoning"]),
    ]
)
"""What the document says of an item: the fields of each type."""


class _ItemAudio(msgspec.Struct):
    data: Annotated[str, msgspec.Meta(min_length=1), schema_extra(contentEncoding="base64")]
    format: AudioFormat


class _Content(msgspec.Struct):
    type: Literal["input_text", "output_text", "text", "refusal", "input_image", "input_file", "input_audio"]
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: Detail | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _ItemAudio | None = None


class InputItem(msgspec.Struct):
    """A message (`role`, `content`), a `function_call`, a `function_call_output`, an `item_reference`, or a
    `reasoning` item, which is ignored.
    """

    type: str | None = None
    role: str | None = None
    content: str | list[Annotated[_Content, _CONTENT]] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Annotated[_Content, _of_text()]] | None = None


def referred(items: Sequence[InputItem]) -> tuple[tuple[str, str], ...]:
    """Return the ids that the items only refer to, each with its path in the request."""
    return tuple(
        (item.id or "", f"input[{index}].id")
        for index, item in enumerate(items)
        # OpenAI lets a reference leave out its type.
        if item.type in ("item_reference", None) and item.role is None
    )


def input_messages(
    items: Sequence[InputItem], referenced: ReferencedMessages, where: str
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Return `(messages, instructions)`. The items of one answer (its texts, then its calls) become one
    message.

    Raises:
        InvalidRequest: an item is not valid, or not supported; `param` names it.
    """
    messages: list[Message] = []
    instructions: list[str] = []
    for index, item in enumerate(items):
        path = f"{where}[{index}]"
        if item.type in (None, "message") and item.role in ("system", "developer"):
            instructions.append(
                "".join(
                    part.text for part in _content(item.content, f"{path}.content") if isinstance(part, Text)
                )
            )
            continue
        if item.type == "reasoning":
            continue
        message = _message(item, referenced, path)
        if not message.parts and message.role == "assistant":
            continue
        if (
            message.role == "assistant"
            and messages
            and messages[-1].role == "assistant"
            and _continues(messages[-1], message)
        ):
            messages[-1] = _joined(messages[-1], message)
        else:
            messages.append(message)
    return tuple(messages), tuple(instructions)


def _continues(before: Message, message: Message) -> bool:
    """Return whether both are of one answer: texts come before calls."""
    return not before.tool_calls or bool(message.tool_calls)


def _joined(before: Message, message: Message) -> Message:
    texts = [text for text in (before.text, message.text) if text]
    parts: tuple[Part, ...] = (
        ((Text("\n\n".join(texts)),) if texts else ()) + before.tool_calls + message.tool_calls
    )
    return Message("assistant", parts, message.stop_reason)


def _message(item: InputItem, referenced: ReferencedMessages, path: str) -> Message:
    kind = item.type or ("message" if item.role is not None else "item_reference")
    if kind == "message":
        return _spoken(item, path)
    if kind == "function_call":
        return Message(
            "assistant",
            (
                ToolCall(
                    _required(item.call_id, f"{path}.call_id"),
                    _required(item.name, f"{path}.name"),
                    item.arguments or "",
                    True,
                ),
            ),
            "tool_calls",
        )
    if kind == "function_call_output":
        return Message(
            "tool", (ToolResult(_required(item.call_id, f"{path}.call_id"), _output(item, f"{path}.output")),)
        )
    if kind == "item_reference" and item.id is not None and item.id in referenced:
        return referenced[item.id]
    raise InvalidRequest(
        f"{path}.type is {kind[:60]!r}: message, function_call, function_call_output, item_reference and "
        "reasoning are supported",
        param=f"{path}.type",
    )


def _spoken(item: InputItem, path: str) -> Message:
    parts = _content(item.content, f"{path}.content")
    if item.role == "user":
        if not parts:
            raise InvalidRequest(
                f"{path}.content is missing: a string or a list of parts is needed", param=f"{path}.content"
            )
        return Message("user", parts)
    if item.role == "assistant":
        return Message("assistant", parts, "stop")
    raise InvalidRequest(
        f"{path}.role is {(item.role or '')[:40]!r}: it must be user, assistant, system or developer",
        param=f"{path}.role",
    )


def _output(item: InputItem, path: str) -> str:
    if item.output is None:
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    if isinstance(item.output, str):
        return item.output
    parts = _content(item.output, path)
    for index, part in enumerate(parts):
        if not isinstance(part, Text):
            raise InvalidRequest(
                f"{path}[{index}].type: the output of a call may only be text", param=f"{path}[{index}].type"
            )
    return "".join(part.text for part in parts if isinstance(part, Text))


def _content(content: str | list[_Content] | None, path: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: _Content, path: str) -> Part:
    if part.type in _TEXTS:
        return Text(_required(part.text, f"{path}.text"))
    if part.type == "refusal":
        return Text(_required(part.refusal, f"{path}.refusal"))
    if part.type == "input_image":
        if part.image_url is not None:
            return image_part(part.image_url, part.detail, f"{path}.image_url")
        return file_part(None, None, _required(part.file_id, f"{path}.image_url"), path)
    if part.type == "input_file":
        return file_part(part.file_data or part.file_url, part.filename, part.file_id, path)
    if part.input_audio is None:
        raise InvalidRequest(
            f"Missing required parameter: '{path}.input_audio'.", param=f"{path}.input_audio"
        )
    return Audio(part.input_audio.data, part.input_audio.format)


def _required(value: str | None, path: str) -> str:
    if value is None:
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    return value
