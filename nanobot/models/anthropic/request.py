"""A request as the Messages API takes it: the same values always give the same bytes.

Source: https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.models.anthropic.conversation import (
    MARK,
    CacheMark,
    Replay,
    TextBlock,
    WireMessage,
    may_think,
    tool_names,
    wire_messages,
)
from nanobot.models.lessons import NOTHING, Lesson, named

MAX_DEFAULT_OUTPUT_TOKENS = 32_000
"""The most that is asked for where the request sets no limit; all current models can write that much."""

_NEVER_THINK = LatePattern(r"claude-(?:2|instant|3-(?:5|haiku|sonnet|opus))")
_THINK_WITH_BUDGET = LatePattern(
    r"claude-3-7|claude-(?:opus|sonnet|haiku)-4-(?:[015](?!\d)|20)|claude-4-(?:opus|sonnet)"
)
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 24_576}
_MIN_BUDGET = 1_024
_MAX_TEMPERATURE = 1.0


class _Tool(msgspec.Struct, omit_defaults=True):
    name: str
    description: str
    input_schema: msgspec.Raw
    cache_control: CacheMark | None = None


class _Body(msgspec.Struct, omit_defaults=True):
    """A field that is None is left out. The messages come last: each turn's body begins as the last one's."""

    model: str
    max_tokens: int
    stream: bool
    metadata: dict[str, str] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    thinking: dict[str, object] | None = None
    output_config: dict[str, object] | None = None
    tool_choice: dict[str, object] | None = None
    tools: list[_Tool] | None = None
    system: list[TextBlock] | None = None
    messages: list[WireMessage] = []


RESERVED_FIELDS = frozenset({"model", "messages", "stream", "system", "tools"})
"""Fields that are written from the request; extra fields cannot replace them."""

_encode = msgspec.json.Encoder().encode


def encode(
    request: ModelRequest,
    *,
    model: str,
    provider: str,
    context_tokens: int,
    lessons: frozenset[Lesson] = NOTHING,
    extra: Mapping[str, object] | None = None,
) -> bytes:
    """Return the body of the request, as JSON, without what the `lessons` say that the model does not take.
    `extra`: further fields.

    Marks for the prompt cache stand at the end of the tools, of the system prompt, and in the messages where
    `wire_messages` puts them. What the API has no field for is left out: seed, penalties, verbosity.
    """
    wire = wire_messages(
        request.messages, notes=request.notes, provider=provider, replay=_replay(request, lessons)
    )
    omitted = named(lessons, "omit")
    limit = request.sampling.max_output_tokens or default_output_tokens(context_tokens)
    limit = min((limit, *map(int, named(lessons, "output_limit"))))
    body = _Body(model, limit, stream=True, messages=wire)
    if request.labels.safety_identifier:
        body.metadata = {"user_id": request.labels.safety_identifier}
    body.stop_sequences = [stop for stop in request.sampling.stop if stop.strip()] or None
    if request.system.strip():
        body.system = [TextBlock(request.system, MARK)]
    _offer_tools(body, request, omitted)
    _set_thinking(body, request.sampling.reasoning_effort, omitted)
    if body.thinking is None and "sampling" not in omitted:
        _sample(body, request)
    return _encode(_joined(body, extra, omitted) if extra else body)


def _joined(body: _Body, extra: Mapping[str, object], omitted: frozenset[str]) -> dict[str, object]:
    """Return the body's fields, with `extra` in their place or before the messages."""
    fields = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    messages = fields.pop("messages")
    further = {name: value for name, value in extra.items() if name not in omitted}
    return {**fields, **further, "messages": messages}


def default_output_tokens(context_tokens: int) -> int:
    """Return the limit of an answer where the request sets none: a quarter of the window, at most 32,000."""
    return max(1, min(context_tokens // 4, MAX_DEFAULT_OUTPUT_TOKENS))


def _replay(request: ModelRequest, lessons: frozenset[Lesson]) -> Replay:
    # Newer models check that nothing before their thinking has changed, the tools included; without tools the
    # request is another one than those before it.
    has_other_tools = not request.tools and any(message.tool_calls for message in request.messages)
    refused = named(lessons, "replay")
    if has_other_tools or "none" in refused:
        return "none"
    return "turn" if refused else "all"


def _offer_tools(body: _Body, request: ModelRequest, omitted: frozenset[str]) -> None:
    choice: dict[str, object] | None = None
    if request.tools:
        body.tools = [_tool(spec) for spec in request.tools]
        if request.tool_choice.mode == "required" and "tool_choice" not in omitted:
            name = request.tool_choice.name
            choice = {"type": "tool", "name": name} if name else {"type": "any"}
        if request.sampling.parallel_tool_calls is False:
            choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    else:
        # The API wants tools with a conversation that has calls in it; here they are not to be called.
        body.tools = [
            _Tool(name, "", msgspec.Raw(b'{"type":"object"}')) for name in tool_names(body.messages)
        ]
        choice = {"type": "none"}
    if not body.tools:
        body.tools = None
        return
    body.tools[-1].cache_control = MARK
    body.tool_choice = choice


def _tool(spec: ToolSpec) -> _Tool:
    return _Tool(spec.name, spec.description, _input_schema(bytes(spec.parameters)))


@lru_cache(maxsize=256)
def _input_schema(parameters: bytes) -> msgspec.Raw:
    """Return the schema of a tool's arguments with the type that the API wants to see at its top."""
    schema = msgspec.json.decode(parameters)
    if isinstance(schema, dict) and schema.get("type") == "object":
        return msgspec.Raw(parameters)
    return msgspec.Raw(_encode({**(schema if isinstance(schema, dict) else {}), "type": "object"}))


def _set_thinking(body: _Body, effort: str | None, omitted: frozenset[str]) -> None:
    """Ask for as much thinking as `effort` names, in the way that the model takes."""
    if effort is None or "thinking" in omitted or _NEVER_THINK.search(body.model):
        return
    is_forced = body.tool_choice is not None and body.tool_choice["type"] in ("any", "tool")
    if _THINK_WITH_BUDGET.search(body.model):
        budget = min(_BUDGETS.get(effort, 0), body.max_tokens // 2)
        if budget >= _MIN_BUDGET and not is_forced and may_think(body.messages):
            body.thinking = {"type": "enabled", "budget_tokens": budget}
    elif effort == "none":
        body.thinking = {"type": "disabled"}
    else:
        body.output_config = {"effort": "low" if effort == "minimal" else effort}
        if not is_forced:
            body.thinking = {"type": "adaptive", "display": "summarized"}


def _sample(body: _Body, request: ModelRequest) -> None:
    # Newer models refuse the two together; the temperature is what people set.
    if request.sampling.temperature is not None:
        body.temperature = min(request.sampling.temperature, _MAX_TEMPERATURE)
    else:
        body.top_p = request.sampling.top_p
