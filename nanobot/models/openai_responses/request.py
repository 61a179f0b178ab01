"""A request as the Responses API takes it: the same values always give the same bytes.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Mapping

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.model import FORMAT_WITH_TOOLS, Ability, ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.core.turn import OutputFormat
from nanobot.models.lessons import NOTHING, Lesson, named
from nanobot.models.openai_responses.items import Taken, input_items

RESERVED_FIELDS = frozenset({"model", "input", "instructions", "stream", "store", "tools"})
"""Fields that are written from the request; extra fields cannot replace them."""

MIN_OUTPUT_TOKENS = 16
"""The API refuses a smaller limit."""
ENCRYPTED = "reasoning.encrypted_content"

_NEVER_REASON = LatePattern(r"(?:^|/)(?:gpt-[34]|chatgpt-)")


class _FunctionTool(msgspec.Struct, gc=False, tag_field="type", tag="function"):
    name: str
    description: str
    parameters: msgspec.Raw
    # Without it the API holds calls to the schema, and takes only some schemas.
    strict: bool = False


_encode = msgspec.json.Encoder().encode


def encode(
    request: ModelRequest,
    *,
    model: str,
    includes_openai_fields: bool,
    extra: Mapping[str, object],
    salt_field: str = "",
    abilities: frozenset[Ability],
    taken: Taken,
    lessons: frozenset[Lesson] = NOTHING,
) -> bytes:
    """Return the body of the request, as JSON, without what the `lessons` say that the model refuses.

    Nothing is stored at the provider: the reasoning comes encrypted, and goes back so. What the API has no
    field for is left out: stop sequences, seed, penalties. `includes_openai_fields`: with those that OpenAI
    alone knows. `salt_field`: the one that gets the session's name, to keep the server's cache apart by it.

    The input comes last: each turn's body begins as the last one's.
    """
    body: dict[str, object] = {"model": model, "stream": True, "store": False}
    reasons = not _NEVER_REASON.search(model)
    if reasons:
        body["include"] = [ENCRYPTED]
    if includes_openai_fields:
        labels = request.labels
        fields = (
            ("prompt_cache_key", request.session_hint),
            ("user", labels.user),
            ("safety_identifier", labels.safety_identifier),
        )
        body.update({field: value for field, value in fields if value})
    _offer_tools(body, request)
    _sample(body, request, reasons=reasons)
    if text := _text(request, abilities):
        body["text"] = text
    if salt_field and request.session_hint:
        body[salt_field] = request.session_hint
    body.update(extra)
    for field in named(lessons, "omit"):
        _omit(body, field)
    if request.system.strip():
        body["instructions"] = request.system
    body["input"] = input_items(request.messages, notes=request.notes, taken=taken)
    return _encode(body)


def _offer_tools(body: dict[str, object], request: ModelRequest) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(spec) for spec in request.tools]
    choice = request.tool_choice
    if choice.mode == "required":
        body["tool_choice"] = {"type": "function", "name": choice.name} if choice.name else "required"
    if request.sampling.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.sampling.parallel_tool_calls


def _tool(spec: ToolSpec) -> _FunctionTool:
    return _FunctionTool(spec.name, spec.description, spec.parameters)


def _sample(body: dict[str, object], request: ModelRequest, *, reasons: bool) -> None:
    sampling = request.sampling
    limit = sampling.max_output_tokens
    settings = (
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("max_output_tokens", None if limit is None else max(limit, MIN_OUTPUT_TOKENS)),
    )
    body.update({field: value for field, value in settings if value is not None})
    effort = sampling.reasoning_effort
    if effort is not None and reasons:
        # Without a summary nothing of the reasoning is shown.
        body["reasoning"] = {"effort": effort} | ({"summary": "auto"} if effort != "none" else {})


def _text(request: ModelRequest, abilities: frozenset[Ability]) -> dict[str, object]:
    """Return the settings of the answer's text: its form, and how long it is to be."""
    text: dict[str, object] = {}
    form = request.format
    if form is not None and form.kind in abilities and not _is_lacking(request, form):
        text["format"] = _format(form)
    if request.sampling.verbosity is not None:
        text["verbosity"] = request.sampling.verbosity
    return text


def _is_lacking(request: ModelRequest, form: OutputFormat) -> bool:
    """Return whether the request has to go without its format."""
    lacking = request.lacking
    return form.kind in lacking or (FORMAT_WITH_TOOLS in lacking and bool(request.tools))


def _format(wanted: OutputFormat) -> dict[str, object]:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    form: dict[str, object] = {
        "type": "json_schema",
        "name": wanted.name,
        "schema": wanted.schema,
        "strict": wanted.strict,
    }
    if wanted.description:
        form["description"] = wanted.description
    return form


def _omit(body: dict[str, object], field: str) -> None:
    """Leave out a field; `reasoning.summary` is a field within another one."""
    outer, _, inner = field.partition(".")
    if not inner:
        body.pop(outer, None)
        return
    fields = body.get(outer)
    if isinstance(fields, dict) and inner in fields:
        fields = {name: value for name, value in fields.items() if name != inner}
        body[outer] = fields
        if not fields:
            del body[outer]
