"""Items as a client may send them: the shapes, and what the OpenAPI document says of them."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from nanobot.api.wire.content import IMAGE_URL, AudioFormat, Detail
from nanobot.http.schema_extra import schema_extra

TEXTS = ("input_text", "output_text", "text")
CONTENT_TYPES = (*TEXTS, "refusal", "input_image", "input_file", "input_audio")


def _of(kinds: Sequence[str], *required: str, **properties: object) -> dict[str, object]:
    """Return the schema of what has one of these types and the fields that belong to it."""
    return {"properties": {"type": {"enum": list(kinds)}, **properties}, "required": ["type", *required]}


CONTENT = schema_extra(
    anyOf=[
        _of(TEXTS, "text", text={"type": "string"}),
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
_SAID = {"type": ["string", "array"], "minItems": 1}
_MESSAGE = {"type": {"enum": ["message", None]}}
ITEM = schema_extra(
    anyOf=[
        {
            "properties": {**_MESSAGE, "role": {"const": "user"}, "content": _SAID},
            "required": ["role", "content"],
        },
        {"properties": {**_MESSAGE, "role": {"const": "assistant"}}, "required": ["role"]},
        {
            "properties": {
                **_MESSAGE,
                "role": {"enum": ["system", "developer"]},
                "content": {"items": {"properties": {"type": {"enum": [*TEXTS, "refusal"]}}}},
            },
            "required": ["role"],
        },
        _of(["function_call"], "call_id", "name", call_id={"type": "string"}, name={"type": "string"}),
        _of(
            ["function_call_output"],
            "call_id",
            "output",
            call_id={"type": "string"},
            output={"type": ["string", "array"]},
        ),
        _of(["custom_tool_call"], "call_id", "name", call_id={"type": "string"}, name={"type": "string"}),
        _of(
            ["custom_tool_call_output"],
            "call_id",
            "output",
            call_id={"type": "string"},
            output={"type": ["string", "array"]},
        ),
        _of(["item_reference"], "id", id={"type": "string"}),
        _of(["reasoning", "web_search_call", "mcp_list_tools", "compaction"]),
    ]
)
"""What the document says of an item: the fields of each type."""


class _ItemAudio(msgspec.Struct):
    data: Annotated[str, msgspec.Meta(min_length=1), schema_extra(contentEncoding="base64")]
    format: AudioFormat


class ItemPart(msgspec.Struct):
    """A part of what was said, or of the output of a call."""

    type: Annotated[str, schema_extra(enum=list(CONTENT_TYPES))]
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
    """A message (`role`, `content`), a call of a client's tool or its output, an `item_reference`; or an item
    of OpenAI's own tools and of other kinds that this server makes none of.

    What those have in a field may be of any type, so that it is decoded only once the type is known.
    """

    type: str | None = None
    role: str | None = None
    content: str | list[Annotated[ItemPart, CONTENT]] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Annotated[msgspec.Raw, schema_extra(type=["string", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    input: Annotated[msgspec.Raw, schema_extra(type=["string", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    output: Annotated[msgspec.Raw, schema_extra(type=["string", "array", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    error: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    encrypted_content: Annotated[msgspec.Raw, schema_extra(type=["string", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    action: Annotated[msgspec.Raw, schema_extra(type=["object", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    operation: Annotated[msgspec.Raw, schema_extra(type=["object", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
