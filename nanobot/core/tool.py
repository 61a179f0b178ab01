"""Tools: what the agent can do besides talking."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from nanobot.core.message import Image
from nanobot.core.origin import Origin, ReadOrigin
from nanobot.core.plan import TaskPlan
from nanobot.core.tool_question import AnsweredQuestion, ToolQuestion

Schema = dict[str, object]
"""A JSON schema, as the providers take it."""
Tell = Callable[[str], None]
"""Shows people what a call that runs does for the moment: each text takes the place of the one before."""
Brings = Callable[[Any], ReadOrigin | None]
"""Tells what the result of a call is that nobody in the conversation said."""
PASSING_PREFIX = "mcp__"
"""What the names of tools begin with that come and go with servers of others."""
Decision = Literal["allow", "ask", "deny"]
"""Whether calls of a tool run: at once, only when a person has agreed to the call, or never."""


FIND_TOOLS = "find_tools"
"""The name of the tool that finds those which are deferred."""
_TOKENS_PER_TOOL = 20
_DIGEST_BYTES = 16
_CHARS_PER_TOKEN = 3


class ToolSpec(msgspec.Struct, frozen=True):
    """What a model is told of a tool.

    `parameters` is a JSON schema as JSON text: most of its readers only pass it on.
    """

    name: str
    description: str
    parameters: msgspec.Raw

    @property
    def tokens(self) -> int:
        """An estimate of the tokens that it costs to offer the tool."""
        size = len(self.name) + len(self.description) + len(bytes(self.parameters))
        return _TOKENS_PER_TOOL + size // _CHARS_PER_TOKEN

    @property
    def schema(self) -> Schema:
        """The schema of the arguments, decoded."""
        schema: Schema = msgspec.json.decode(self.parameters)
        return schema


def tool_spec(name: str, description: str, schema: Schema) -> ToolSpec:
    """Return the spec of a tool whose arguments follow `schema`."""
    return ToolSpec(name, description, msgspec.Raw(msgspec.json.encode(schema)))


class DeferredTools(msgspec.Struct, frozen=True):
    """The tools that are offered only once the model has looked for them, and those that it has `found`, in
    order. These may take `most_tokens` together.
    """

    specs: tuple[ToolSpec, ...] = ()
    found: tuple[ToolSpec, ...] = ()
    most_tokens: int = 0

    def with_found(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of all that are found once these are, too: at the end of the others, which stay in
        their order, so that prompts begin as before. Only where they would take too much, the oldest go.
        """
        known = {tool.name for tool in self.found}
        specs = {tool.name: tool for tool in self.specs}
        new = [specs[name] for name in names if name in specs and name not in known]
        while len(new) > 1 and _tokens(new) > self.most_tokens:
            new.pop()
        kept = list(self.found)
        if new and _tokens(kept) + _tokens(new) > self.most_tokens:
            # Half of the room is free then: otherwise each further one would shift all others.
            room = max(0, self.most_tokens // 2 - _tokens(new))
            asked = [tool for tool in kept if tool.name in names]
            while kept != asked and _tokens(kept) > room:
                kept.remove(next(tool for tool in kept if tool not in asked))
        return tuple(tool.name for tool in (*kept, *new))


def _tokens(tools: Iterable[ToolSpec]) -> int:
    return sum(tool.tokens for tool in tools)


NONE_DEFERRED = DeferredTools()


def tell_nobody(text: str) -> None:
    """Show it to nobody."""


class ToolContext(msgspec.Struct, frozen=True):
    """The turn that a call belongs to, as far as a tool may know it.

    `result_tokens`: how long a result may be that the window is to hold beside the rest. `origin`: where what
    the model writes may come from: the conversation, unless the turn has read what nobody in it said.
    `sees_images`: whether the model does. `leaves_trace`: False where nothing of the turn may be kept.
    `deferred`: the tools that may be looked for. `key_id`, `model`, `entry`: the API key that the turn is
    charged to, the preset that answers, and where it came from. `delegated_by`: the session of
    the turn that has delegated this one. `answered`: what this call has asked before, and the answer. `tell`:
    shows people what the call does for the moment.
    """

    turn_id: str
    session_key: str
    call_id: str
    result_tokens: int = 4_000
    origin: Origin = "conversation"
    sees_images: bool = False
    leaves_trace: bool = True
    deferred: DeferredTools = NONE_DEFERRED
    key_id: str | None = None
    model: str | None = None
    entry: Literal["api", "cli"] = "api"
    delegated_by: str | None = None
    answered: AnsweredQuestion | None = None
    tell: Tell = tell_nobody

    @property
    def account_key(self) -> str:
        """The session that the turn is charged to, and with whose other calls its own take turns."""
        return self.delegated_by or self.session_key


class ToolOutput(msgspec.Struct, frozen=True):
    """What a call brings: text for the model, images for one that sees them, and the paths of the files in
    the workspace that it has written. `plan`, `found`, `begun`, `answered`: as in `ToolResult`. `question`:
    what a person has to answer before the call can go on: it is made again with the answer, and `text` says
    what the model reads where nobody can be asked.
    """

    text: str
    images: tuple[Image, ...] = ()
    files: tuple[str, ...] = ()
    plan: TaskPlan | None = None
    found: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    question: ToolQuestion | None = None


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which of the client's tools the model may call: any or none (`auto`), `none`, at least one
    (`required`), or only the one called `name`.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool. It is made with what it needs; a call brings only its parsed arguments.

    `arguments` is a msgspec Struct type: it gives the JSON schema that the model is shown, and checks what
    the model wrote. A tool of others has its schema in `parameters`; its `arguments` are a dict, which they
    check. `run` returns the text for the model, or a `ToolOutput`; the text of a `ToolError` goes to the
    model too, any other exception is a bug. `repeatable`: a call that had started when the server died may be
    run again. `concurrent`: calls of one step may overlap. `reads_on`: it is offered only where the window
    does not show all of the conversation's files and results; `looks_back`: only where it does not show all
    of its messages. `demanding`: it is offered to models with the ability `reading_on`, and to others only
    where it `reads_on`; `noting`: also to models with the ability `noting`. `lasting`: it is about what
    outlasts the turn, and offered only where that leaves a trace. `brings`: what its results are that nobody
    in the conversation said, or a function that tells it of the arguments; None: nothing such. `group`: the
    group under which a policy may name it; `by_default`: what holds where no policy says anything of it.
    `deferrable`: where the tools together take more of the prompt than `agent.tools_tokens`, the model is
    offered it only once it has found it with `find_tools`. That is for tools that come in numbers, as those
    of other programs do; one that any task may need is not deferrable. `sessions`: patterns of the session
    keys that may use it, whatever a policy says; None: all. `is_of_use`: in which sessions it is offered;
    None: in all. `of_session`: it works on what belongs to the session, as its files, its memory and its
    commands; a turn that does a part of another's work, in a session of its own, has no such tools.
    `take_up`: gets the id of a turn that goes on after a restart, the names of the parts of its work that it
    had begun and that are not answered, and the ids of all calls of the tool that it has made.
    """

    name: str
    description: str
    arguments: type[msgspec.Struct] | type[dict[str, Any]]
    run: Callable[..., Awaitable[str | ToolOutput]]
    timeout_s: float = 30.0
    repeatable: bool = False
    concurrent: bool = True
    reads_on: bool = False
    looks_back: bool = False
    demanding: bool = False
    noting: bool = False
    lasting: bool = False
    brings: ReadOrigin | Brings | None = "tool"
    group: str = ""
    by_default: Decision = "allow"
    deferrable: bool = False
    sessions: tuple[str, ...] | None = None
    parameters: msgspec.Raw | None = None
    is_of_use: Callable[[str], bool] | None = None
    of_session: bool = False
    take_up: Callable[[str, Sequence[str], Sequence[str]], None] | None = None

    @property
    def digest(self) -> str:
        """What people agree to when they agree to a tool of others, whose words may change under one name:
        a digest of these words. Empty for a tool of ours.
        """
        if self.parameters is None:
            return ""
        said = f"{len(self.description)} {self.description}".encode("utf-8", "replace")
        return hashlib.blake2b(said + bytes(self.parameters), digest_size=_DIGEST_BYTES).hexdigest()

    @property
    def spec(self) -> ToolSpec:
        """What the model is told, with the schema of `arguments` inlined."""
        if self.parameters is not None:
            return ToolSpec(self.name, self.description, self.parameters)
        return spec_of(self.name, self.description, self.arguments)


def spec_of(name: str, description: str, arguments: type[msgspec.Struct] | type[dict[str, Any]]) -> ToolSpec:
    """Return what models are told of a tool of ours, with the schema of its `arguments` inlined."""
    return tool_spec(name, description, _schema(arguments))


def _schema(arguments: type[msgspec.Struct] | type[dict[str, Any]]) -> Schema:
    (_,), parts = msgspec.json.schema_components([arguments])
    schema = dict(parts[arguments.__name__])
    # They are of the Struct; the tool has a name and a description of its own.
    schema.pop("title", None)
    schema.pop("description", None)
    fields = schema.get("properties")
    if isinstance(fields, dict):
        schema["properties"] = {name: _shortened(field) for name, field in fields.items()}
    if not schema.get("required"):
        schema.pop("required", None)
    return schema


def _shortened(field: Schema) -> Schema:
    """Return the schema of a field without what no model needs: each costs in every request. A value that may
    be left out may also be null; models leave it out.
    """
    kinds = field.get("anyOf")
    if isinstance(kinds, list) and {"type": "null"} in kinds and len(kinds) == 2:
        kind = next(each for each in kinds if each != {"type": "null"})
        field = {**{name: value for name, value in field.items() if name != "anyOf"}, **kind}
    return {name: value for name, value in field.items() if name != "default" or value}
