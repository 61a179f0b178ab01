"""Tools: what the agent can do besides talking."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

Schema = dict[str, object]
"""A JSON schema, as the providers take it."""
Decision = Literal["allow", "ask", "deny"]
"""Whether calls of a tool run: at once, only when a person has agreed to the call, or never."""


class ToolContext(msgspec.Struct, frozen=True):
    """The turn that a call belongs to, as far as a tool may know it.

    `result_tokens`: how long a result may be that the window is to hold beside the rest.
    """

    turn_id: str
    session_key: str
    call_id: str
    result_tokens: int = 4_000


class ToolSpec(msgspec.Struct, frozen=True):
    """What a model is told of a tool.

    `parameters` is a JSON schema as JSON text: most of its readers only pass it on.
    """

    name: str
    description: str
    parameters: msgspec.Raw

    @property
    def schema(self) -> Schema:
        """The schema of the arguments, decoded."""
        schema: Schema = msgspec.json.decode(self.parameters)
        return schema


def tool_spec(name: str, description: str, schema: Schema) -> ToolSpec:
    """Return the spec of a tool whose arguments follow `schema`."""
    return ToolSpec(name, description, msgspec.Raw(msgspec.json.encode(schema)))


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which of the client's tools the model may call: any or none (`auto`), `none`, at least one
    (`required`), or only the one called `name`.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool. It is made with what it needs; a call brings only its parsed arguments.

    `arguments` is a msgspec Struct type: it gives the JSON schema that the model is shown, and checks what
    the model wrote. `run` returns the text for the model; the text of a `ToolError` goes to the model too,
    any other exception is a bug. `repeatable`: a call that had started when the server died may be run again.
    `concurrent`: calls of one step may overlap. `reads_on`: it is offered only where the window does not show
    all of the conversation's files and results; `looks_back`: only where it does not show all of its
    messages. `demanding`: it is offered only to models with the ability `reading_on`. `group`: the group
    under which a policy may name it; `by_default`: what holds where no policy says anything of it.
    """

    name: str
    description: str
    arguments: type[msgspec.Struct]
    run: Callable[..., Awaitable[str]]
    timeout_s: float = 30.0
    repeatable: bool = False
    concurrent: bool = True
    reads_on: bool = False
    looks_back: bool = False
    demanding: bool = False
    group: str = ""
    by_default: Decision = "allow"

    @property
    def spec(self) -> ToolSpec:
        """What the model is told, with the schema of `arguments` inlined."""
        return tool_spec(self.name, self.description, _schema(self.arguments))


def _schema(arguments: type[msgspec.Struct]) -> Schema:
    (_,), parts = msgspec.json.schema_components([arguments])
    schema = dict(parts[arguments.__name__])
    # They are of the Struct; the tool has a name and a description of its own.
    schema.pop("title", None)
    schema.pop("description", None)
    return schema
