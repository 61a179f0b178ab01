"""The client's own tools, and the format that it wants its answer in, as both of OpenAI's APIs describe
them.
"""

from typing import Annotated, Literal

import msgspec

from nanobot.api.wire.request_bounds import RequestBounds
from nanobot.core.errors import InvalidRequest
from nanobot.core.late_pattern import LatePattern
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Labels, OutputFormat
from nanobot.http.schema_extra import schema_extra

ToolMode = Literal["auto", "none", "required"]
FormatKind = Literal["text", "json_object", "json_schema"]
_NAME = LatePattern(r"[a-zA-Z0-9_-]{1,64}")
NAME_PATTERN = f"^{_NAME.pattern}$"
_NAMED = schema_extra(pattern=NAME_PATTERN)
_NO_ARGUMENTS = msgspec.Raw(b'{"type":"object","properties":{}}')


class FunctionTool(msgspec.Struct):
    """A tool that the client runs. `parameters` is the JSON schema of its arguments."""

    name: Annotated[str, _NAMED]
    description: str | None = None
    parameters: Annotated[msgspec.Raw, schema_extra(type=["object", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    strict: bool | None = None


class JsonSchema(msgspec.Struct):
    name: Annotated[str, _NAMED]
    description: str | None = None
    schema: Annotated[msgspec.Raw, schema_extra(type=["object", "boolean", "null"])] = msgspec.field(
        default_factory=msgspec.Raw
    )
    strict: bool | None = None


def is_given(raw: msgspec.Raw) -> bool:
    """Return whether the field is there, and not null."""
    return bytes(raw) not in (b"", b"null")


def first_byte(raw: msgspec.Raw) -> bytes:
    """Return the byte that tells what kind of value it is; none where the field is not there."""
    return memoryview(raw)[:1].tobytes()


def tool_specs(tools: list[tuple[str, FunctionTool]], bounds: RequestBounds) -> tuple[ToolSpec, ...]:
    """Return the tools; each comes with its path in the request.

    Raises:
        InvalidRequest
    """
    bounds.check_tools(len(tools))
    specs: dict[str, ToolSpec] = {}
    size_bytes = 0
    for path, tool in tools:
        if not _NAME.fullmatch(tool.name):
            raise InvalidRequest(
                f"{path}.name is {tool.name[:80]!r}: it must match [a-zA-Z0-9_-]{{1,64}}",
                param=f"{path}.name",
            )
        if tool.name in specs:
            raise InvalidRequest(
                f"{path}.name is {tool.name!r}: another tool of the request has that name",
                param=f"{path}.name",
            )
        parameters = tool.parameters if is_given(tool.parameters) else _NO_ARGUMENTS
        # A copy: the raw value would keep the whole body of the request in memory.
        text = bytes(parameters)
        if not text.startswith(b"{"):
            raise InvalidRequest(
                f"{path}.parameters is {text.decode()[:40]}: it must be an object, a JSON schema",
                param=f"{path}.parameters",
            )
        bounds.check_depth(text, f"{path}.parameters")
        size_bytes += len(text) + len(tool.description or "")
        specs[tool.name] = ToolSpec(tool.name, tool.description or "", msgspec.Raw(text))
    bounds.check_tools_size(size_bytes)
    return tuple(specs.values())


def tool_choice(
    mode: ToolMode | None, name: str | None, tools: tuple[ToolSpec, ...], path: str
) -> ToolChoice:
    """Return which tool must be called: by `mode` (`auto`, `none`, `required`), or by the `name` of the only
    one that may.

    Raises: InvalidRequest
    """
    if name is not None:
        if not any(tool.name == name for tool in tools):
            raise InvalidRequest(
                f"{path} names the tool {name!r}, which is not among the tools of the request", param=path
            )
        return ToolChoice("required", name)
    if mode in (None, "auto"):
        return ToolChoice()
    if mode == "none":
        return ToolChoice("none")
    if not tools:
        raise InvalidRequest(f"{path} is 'required', and the request has no tools", param=path)
    return ToolChoice("required")


def check_name(name: str, path: str) -> None:
    """Return where the name of a form is one.

    Raises:
        InvalidRequest
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"{path} is {name[:80]!r}: it must match [a-zA-Z0-9_-]{{1,64}}", param=path)


def output_format(
    kind: FormatKind, described: JsonSchema | None, path: str, bounds: RequestBounds
) -> OutputFormat | None:
    """Return what the answer must be; None where it may be any text.

    Raises:
        InvalidRequest
    """
    schema = bytes(described.schema) if described and is_given(described.schema) else b"{}"
    # Whether it is a JSON schema is found out later, at a cost.
    if schema[:1] != b"{" and schema not in (b"true", b"false"):
        raise InvalidRequest(f"{path}.schema is no JSON schema: it must be an object", param=f"{path}.schema")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat("json_object")
    if described is None:
        raise InvalidRequest(
            f"Missing required parameter: '{path}.json_schema'.", param=f"{path}.json_schema"
        )
    check_name(described.name, f"{path}.name")
    bounds.check_depth(schema, f"{path}.schema")
    raw = msgspec.Raw(schema)
    return OutputFormat("json_schema", described.name, raw, bool(described.strict), described.description)


Metadata = Annotated[dict[str, str], msgspec.Meta(max_length=16)]
_LONGEST_NAME, _LONGEST_VALUE = 64, 512


def labels(metadata: dict[str, str] | None, user: str | None, safety_identifier: str | None) -> Labels:
    """Return what the client wants to find again.

    Raises:
        InvalidRequest
    """
    entries = metadata or {}
    for name, value in entries.items():
        if len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE:
            raise InvalidRequest(
                f"metadata.{name[:_LONGEST_NAME]}: names may have {_LONGEST_NAME} characters, values "
                f"{_LONGEST_VALUE}",
                param="metadata",
            )
    for field, label in (("user", user), ("safety_identifier", safety_identifier)):
        if label is not None and len(label) > _LONGEST_VALUE:
            raise InvalidRequest(
                f"{field} has {len(label)} characters: at most {_LONGEST_VALUE} are allowed", param=field
            )
    return Labels(entries, user, safety_identifier)
