"""Tools: what the agent can do besides talking."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

Schema = dict[str, object]
"""A JSON schema, as the providers take it."""


class ToolContext(msgspec.Struct, frozen=True):
    """What a running call may know of the turn it belongs to."""

    turn_id: str
    session_key: str
    call_id: str


class ToolSpec(msgspec.Struct, frozen=True):
    """What a model is told of a tool.

    `parameters` is a JSON schema as JSON text: most of its readers only pass it on.
    """

    name: str
    description: str
    parameters: msgspec.Raw

    @property
    def schema(self) -> Schema:
        """The schema of the arguments, taken apart."""
        schema: Schema = msgspec.json.decode(self.parameters)
        return schema


def tool_spec(name: str, description: str, schema: Schema) -> ToolSpec:
    """Return what a model is told of a tool whose arguments are as `schema` says."""
    return ToolSpec(name, description, msgspec.Raw(msgspec.json.encode(schema)))


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which of its client's tools a model may call: as it likes (`auto`), none, at least one (`required`), or
    the one that is named.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool. What it needs it got when it was made; a call gets its parsed arguments.

    `arguments` is a msgspec Struct type: the JSON schema shown to the model and the check of what it wrote
    are made from it. `run` returns the text for the model; a `ToolError` from it is told to the model, any
    other exception is a bug. `repeatable`: a call that started and whose end nobody saw may be run again.
    `concurrent`: calls of one step may overlap.
    """

    name: str
    description: str
    arguments: type[msgspec.Struct]
    run: Callable[..., Awaitable[str]]
    timeout_s: float = 30.0
    repeatable: bool = False
    concurrent: bool = True

    @property
    def spec(self) -> ToolSpec:
        """What the model is told: the schema of `arguments`, inlined."""
        return tool_spec(self.name, self.description, _schema(self.arguments))


def _schema(arguments: type[msgspec.Struct]) -> Schema:
    (_,), parts = msgspec.json.schema_components([arguments])
    schema = dict(parts[arguments.__name__])
    schema.pop("title", None)
    schema.pop("description", None)
    return schema
