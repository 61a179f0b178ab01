"""What the results of MCP servers say, as text and pictures, within bounds."""

import base64
import itertools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import mcp_types as types
import msgspec

from nanobot.core.unseen import without_unseen
from nanobot.tools.mcp.messages import ListedPrompt, ListedTool, ResultPicture

MAX_TEXT_CHARS = 1_000_000
_MAX_PICTURES = 8
_MAX_PICTURE_CHARS = 7_000_000
"""Some 5 MB in base64."""
_PICTURE_MIMES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_MAX_DESCRIPTION_CHARS = 2_000
_MAX_SCHEMA_BYTES = 64 * 1024
_MAX_NAME_CHARS = 256
_MOST_LISTED = 200
_MOST_LEFT_OUT = 20
"""So many are named, with the reason."""
_MOST_PROMPT_ARGUMENTS, _MAX_ARGUMENT_CHARS = 20, 100
_CHOICES = ("allOf", "anyOf", "oneOf")
_LEFT_OUT_OF_SCHEMAS = frozenset(("$schema", "title", "not", "enum", "const", *_CHOICES))
"""At the top: providers refuse every request with a tool whose arguments are described by some of these."""


class ShownResult(NamedTuple):
    """What a model is shown of a result."""

    text: str
    pictures: tuple[ResultPicture, ...]


class _Writer:
    """Puts the parts of a result together."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._pictures: list[ResultPicture] = []

    def add(self, text: str) -> None:
        self._texts.append(text)

    def add_binary(self, what: str, mime: str, data: str) -> None:
        """Add a picture, if it is one that models see; otherwise say what there is."""
        if mime not in _PICTURE_MIMES:
            self.add(f"({what}, {mime or 'of no known type'}, {_size(data)}: it cannot be shown)")
        elif len(data) > _MAX_PICTURE_CHARS or len(self._pictures) == _MAX_PICTURES:
            self.add(f"({what}, {mime}, {_size(data)}: left out, it is too large or one too many)")
        elif not _is_base64(data):
            self.add(f"({what}, {mime}: left out, it is damaged)")
        else:
            self._pictures.append(ResultPicture(mime, data))
            self.add(f"({what} {len(self._pictures)}, {mime})")

    def shown(self) -> ShownResult:
        text = "\n".join(self._texts)
        if len(text) > MAX_TEXT_CHARS:
            text = f"{text[:MAX_TEXT_CHARS]}\n(cut: {len(text) - MAX_TEXT_CHARS} of {len(text)} characters)"
        return ShownResult(text, tuple(self._pictures))


def read_tool_result(result: types.CallToolResult) -> ShownResult:
    """Return what a tool has answered. Structured content is added where no text says the same."""
    writer = _Writer()
    for block in result.content:
        _add_block(writer, block)
    structured = result.structured_content
    if structured is not None and not any(_says(block, structured) for block in result.content):
        writer.add(json.dumps(structured, ensure_ascii=False))
    return writer.shown()


def read_resource(result: types.ReadResourceResult) -> ShownResult:
    """Return what a resource has in it."""
    writer = _Writer()
    for content in result.contents:
        _add_contents(writer, content, is_named=len(result.contents) > 1)
    return writer.shown()


def read_prompt(result: types.GetPromptResult) -> ShownResult:
    """Return the messages of a prompt, each with who says it."""
    writer = _Writer()
    if result.description:
        writer.add(result.description)
    for message in result.messages:
        writer.add(f"{message.role}:")
        _add_block(writer, message.content)
    return writer.shown()


def read_resource_list(
    resources: Sequence[types.Resource], templates: Sequence[types.ResourceTemplate]
) -> ShownResult:
    """Return the resources and the templates of resources, a line each."""
    writer = _Writer()
    for resource in resources:
        writer.add(_line(resource.uri, resource.name, resource.description, resource.mime_type))
    for template in templates:
        writer.add(_line(template.uri_template, template.name, template.description, template.mime_type))
    return writer.shown() if resources or templates else ShownResult("(there are no resources)", ())


def _line(uri: str, name: str, description: str | None, mime: str | None) -> str:
    about = f": {' '.join(description.split())}" if description else ""
    return f"{uri} {name}{f' ({mime})' if mime else ''}{about}"


def _add_block(writer: _Writer, block: types.ContentBlock) -> None:
    if isinstance(block, types.TextContent):
        writer.add(block.text)
    elif isinstance(block, types.ImageContent):
        writer.add_binary("picture", block.mime_type, block.data)
    elif isinstance(block, types.AudioContent):
        writer.add_binary("recording", block.mime_type, block.data)
    elif isinstance(block, types.EmbeddedResource):
        _add_contents(writer, block.resource, is_named=True)
    else:
        writer.add(f"Resource {_line(block.uri, block.name, block.description, block.mime_type)}")


def _add_contents(
    writer: _Writer, contents: types.TextResourceContents | types.BlobResourceContents, *, is_named: bool
) -> None:
    if isinstance(contents, types.TextResourceContents):
        writer.add(f"Resource {contents.uri}:\n{contents.text}" if is_named else contents.text)
    else:
        writer.add_binary(f"resource {contents.uri}", contents.mime_type or "", contents.blob)


def _says(block: types.ContentBlock, structured: object) -> bool:
    """Return whether the block is the structured content as text, as servers add it for older clients."""
    if not isinstance(block, types.TextContent):
        return False
    try:
        said = json.loads(block.text)
    except (ValueError, RecursionError):
        # A server that wraps a result in an object often shows it without.
        return isinstance(structured, dict) and list(structured.values()) == [block.text]
    return said == structured or (isinstance(structured, dict) and list(structured.values()) == [said])


def _is_base64(data: str) -> bool:
    """Return whether models can be shown it: one that is not fails every later request with it."""
    try:
        return bool(base64.b64decode(data, validate=True))
    except ValueError:
        return False


def _size(data: str) -> str:
    return f"{len(data) * 3 // 4:,} bytes"


# Lists ---------------------------------------------------------------------------------------------


def read_tools(tools: Sequence[types.Tool]) -> tuple[tuple[ListedTool, ...], tuple[str, ...]]:
    """Return the tools that can be offered, and why others are not."""
    offered: list[ListedTool] = []
    left_out: list[str] = []
    names: set[str] = set()
    for tool in tools:
        why = "its name is empty, too long, or given twice"
        if tool.name and len(tool.name) <= _MAX_NAME_CHARS and tool.name not in names:
            schema = _schema(tool.input_schema)
            if schema is not None and len(offered) < _MOST_LISTED:
                names.add(tool.name)
                offered.append(_listed(tool, schema))
                continue
            why = f"at most {_MOST_LISTED} are offered"
            if schema is None:
                why = (
                    f"its schema is of no object, broken, too deep, or larger than {_MAX_SCHEMA_BYTES} bytes"
                )
        left_out.append(f"{plain(tool.name[:_MAX_NAME_CHARS])}: {why}")
    more = len(left_out) - _MOST_LEFT_OUT
    if more > 0:
        left_out[_MOST_LEFT_OUT:] = [f"and {more} more"]
    return tuple(offered), tuple(left_out)


def _listed(tool: types.Tool, schema: msgspec.Raw) -> ListedTool:
    hints = tool.annotations or types.ToolAnnotations()
    return ListedTool(
        name=tool.name,
        description=_description(tool.description or tool.title or hints.title or ""),
        parameters=schema,
        reads_only=bool(hints.read_only_hint),
        is_idempotent=bool(hints.read_only_hint or hints.idempotent_hint),
    )


def _schema(schema: dict[str, Any]) -> msgspec.Raw | None:
    """Return the schema as providers take it; None: it is of no object, broken, or too large."""
    if schema.get("type", "object") != "object" or not isinstance(schema.get("properties", {}), dict):
        return None
    choices = [schema[word] for word in _CHOICES if word in schema]
    if not all(isinstance(choice, list) for choice in choices):
        return None
    whole = {
        "type": "object",
        **{name: part for name, part in schema.items() if name not in _LEFT_OUT_OF_SCHEMAS},
    }
    # What may be given in one of several ways may be given; the server says what does not go together.
    for branch in itertools.chain(*choices):
        if isinstance(branch, dict) and isinstance(branch.get("properties"), dict):
            whole["properties"] = {**branch["properties"], **whole.get("properties", {})}
    try:
        text = plain(json.dumps(whole, ensure_ascii=False, separators=(",", ":")))
    except (ValueError, RecursionError):
        return None
    content = text.encode("utf-8", "replace")
    return msgspec.Raw(content) if len(content) <= _MAX_SCHEMA_BYTES else None


def read_prompts(prompts: Sequence[types.Prompt]) -> tuple[ListedPrompt, ...]:
    """Return what is listed of prompts."""
    return tuple(
        ListedPrompt(
            prompt.name,
            _description(prompt.description or prompt.title or ""),
            tuple(
                f"{plain(each.name[:_MAX_ARGUMENT_CHARS])}{'*' if each.required else ''}"
                for each in (prompt.arguments or [])[:_MOST_PROMPT_ARGUMENTS]
            ),
        )
        for prompt in prompts[:_MOST_LISTED]
        # A name with what nobody sees is of no use: it is called by what is seen.
        if prompt.name and len(prompt.name) <= _MAX_NAME_CHARS and plain(prompt.name) == prompt.name
    )


def _description(text: str) -> str:
    text = plain(text).strip()
    return text if len(text) <= _MAX_DESCRIPTION_CHARS else text[:_MAX_DESCRIPTION_CHARS].rstrip() + "…"


def plain(text: str) -> str:
    """Return the text without what people do not see and models read: control and format characters, and
    those that spell words invisibly.
    """
    return without_unseen(text, lambda each: " " if each.isspace() else "")
