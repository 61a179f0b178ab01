"""The tools that a request declares: which of them the model is offered, and as what.

Functions are offered as they are. A tool that takes a text (`custom`) is offered as a function with the one
argument `input`, the functions of a `namespace` under names of their own; calls go back to the client in the
way it declared the tool. Tools that only OpenAI's own servers run (`web_search`, `mcp`, …) are left out.
"""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from nanobot.api.wire.request_bounds import RequestBounds
from nanobot.api.wire.tools import FunctionTool, ToolMode, tool_choice, tool_specs
from nanobot.core.errors import InvalidRequest
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import ClientTool
from nanobot.core.tool import ToolChoice, ToolSpec

_FREEFORM = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
    b'"additionalProperties":false}'
)
_BETWEEN = "__"
_NOT_IN_NAME = LatePattern(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME = 64
_DIGEST_CHARS = 8


class TextFormat(msgspec.Struct):
    """What the text for a tool must be: any, or one that follows a grammar."""

    type: str = "text"
    syntax: str | None = None
    definition: str | None = None
    grammar: "TextFormat | None" = None


class Declared(msgspec.Struct, frozen=True):
    """The tools of a request. `forms`: how the client knows those that are offered as something else;
    `left_out`: the types of those that are not offered.
    """

    specs: tuple[ToolSpec, ...] = ()
    forms: tuple[ClientTool, ...] = ()
    left_out: tuple[str, ...] = ()


NOTHING = Declared()


class Declarations:
    """Collects what a request declares, tool by tool; `path` is the tool's place in the request."""

    def __init__(self) -> None:
        self._functions: list[tuple[str, FunctionTool]] = []
        self._forms: list[ClientTool] = []
        self._left_out: list[str] = []

    def function(self, path: str, tool: FunctionTool, namespace: str | None = None) -> None:
        if namespace is not None:
            own = name_in(namespace, tool.name)
            self._forms.append(ClientTool(own, tool.name, namespace))
            tool = msgspec.structs.replace(tool, name=own)
        self._functions.append((path, tool))

    def freeform(
        self,
        path: str,
        name: str,
        description: str | None,
        format_: TextFormat | None,
        namespace: str | None = None,
    ) -> None:
        own = name if namespace is None else name_in(namespace, name)
        described = "\n\n".join(filter(None, (description, _format_described(format_))))
        self._functions.append((path, FunctionTool(own, described, _FREEFORM)))
        self._forms.append(ClientTool(own, name, namespace, is_freeform=True))

    def leave_out(self, kind: str) -> None:
        self._left_out.append(kind)

    def declared(self, bounds: RequestBounds) -> Declared:
        """Return what was collected.

        Raises:
            InvalidRequest
        """
        return Declared(tool_specs(self._functions, bounds), tuple(self._forms), tuple(self._left_out))


def name_in(namespace: str, name: str) -> str:
    """Return the name under which the model knows a function of a namespace."""
    joined = f"{namespace}{'' if namespace.endswith(_BETWEEN) else _BETWEEN}{name}"
    fitting = _NOT_IN_NAME.sub("_", joined)
    if fitting == joined and len(joined) <= _LONGEST_NAME:
        return joined
    digest = hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_CHARS // 2)
    return f"{fitting[: _LONGEST_NAME - _DIGEST_CHARS - 1]}_{digest.hexdigest()}"


def _format_described(format_: TextFormat | None) -> str:
    grammar = None if format_ is None else format_.grammar or format_
    if grammar is None or not grammar.definition:
        return ""
    return f"The input must follow this grammar ({grammar.syntax or 'unnamed'}):\n{grammar.definition}"


def only(
    allowed: Iterable[tuple[str, str | None]],
    mode: ToolMode | None,
    tools: tuple[ToolSpec, ...],
    path: str,
) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    """Return which of the `tools` a request allows, and whether one must be called; of those it allows, the
    type and the name.

    Raises:
        InvalidRequest: one is not among the tools, or all are of types that are left out.
    """
    allowed = list(allowed)
    names = {name or "" for kind, name in allowed if kind in CALLABLE}
    for name in names:
        tool_choice(None, name, tools, f"{path}.tools")
    if allowed and not names:
        raise InvalidRequest(
            f"{path}.tools allows {allowed[0][0][:60]!r} only, which this server cannot offer to the model",
            param=f"{path}.tools",
        )
    kept = tuple(tool for tool in tools if tool.name in names)
    return kept, tool_choice(mode, None, kept, f"{path}.mode")


CALLABLE: Sequence[str] = ("function", "custom")
"""The types of tools that a client runs."""
