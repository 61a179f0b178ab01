"""A request as `generateContent` takes it: the same values always give the same bytes.

Source: https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.model import FORMAT_WITH_TOOLS, Ability, ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.models.gemini.conversation import ContentTerms, PlainPart, wire_contents, wire_name
from nanobot.models.gemini.schema import openapi_schema
from nanobot.models.lessons import NOTHING, Lesson, named

_WITHOUT_SIGNATURES = LatePattern(r"gemini-(?:1|2)(?![0-9])|gemma|learnlm")
"""Models whose calls need no signature."""
_NEVER_THINK = LatePattern(r"gemini-(?:1|2\.0)(?![0-9])|gemma|learnlm|-image|-tts")
_THINK_WITH_BUDGET = LatePattern(r"gemini-2\.5|robotics-er-1\.5")
_BUDGETS = {"none": 0, "minimal": 512, "low": 1_024, "medium": 8_192, "high": 24_576}
_MAX_BUDGET = 24_576
_MIN_BUDGET_PRO = 128
_LEVELS = {"none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium"}
_MAX_STOPS = 5

_encode = msgspec.json.Encoder().encode


RESERVED_FIELDS = frozenset({"model", "contents", "messages", "stream", "systemInstruction", "tools"})
"""Fields that are written from the request; extra fields cannot replace them."""


def encode(
    request: ModelRequest,
    *,
    model: str,
    provider: str,
    abilities: frozenset[Ability],
    lessons: frozenset[Lesson] = NOTHING,
    extra: Mapping[str, object] | None = None,
) -> bytes:
    """Return the body of the request, as JSON, without what the `lessons` say that the model does not take.
    `extra`: further fields.

    The contents come last: each turn's body begins as the last one's. What the API has no field for is left
    out: verbosity, labels, whether calls may stand side by side.
    """
    omitted = named(lessons, "omit")
    contents = wire_contents(
        request.messages, _terms(model, provider, abilities, lessons), notes=request.notes
    )
    body: dict[str, object] = {}
    if request.system.strip():
        system = PlainPart(request.system)
        if "systemInstruction" in omitted:
            contents[0].parts.insert(0, system)
        else:
            body["systemInstruction"] = {"parts": [system]}
    if request.tools:
        is_plain = "parametersJsonSchema" in omitted
        body["tools"] = [{"functionDeclarations": [_declaration(spec, is_plain) for spec in request.tools]}]
        if request.tool_choice.mode == "required":
            body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice.name)}
    if config := _generation_config(request, model, abilities, omitted):
        body["generationConfig"] = config
    if extra:
        _join(body, extra, omitted)
    body["contents"] = contents
    return _encode(body)


def _join(body: dict[str, object], extra: Mapping[str, object], omitted: frozenset[str]) -> None:
    """Add `extra` to the body; objects that both have are joined."""
    for name, value in extra.items():
        if name in omitted:
            continue
        known = body.get(name)
        body[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value


def _terms(
    model: str, provider: str, abilities: frozenset[Ability], lessons: frozenset[Lesson]
) -> ContentTerms:
    kinds = named(lessons, "text_only")
    is_required = bool(named(lessons, "empty_state"))
    return ContentTerms(
        provider,
        replays=not named(lessons, "no_state"),
        needs_signatures=is_required or not _WITHOUT_SIGNATURES.search(model),
        sends_ids="id" not in named(lessons, "omit"),
        images="images" in abilities and "images" not in kinds,
        audio="audio" in abilities and "audio" not in kinds,
    )


def _declaration(spec: ToolSpec, is_plain: bool) -> dict[str, object]:
    declaration: dict[str, object] = {"name": wire_name(spec.name), "description": spec.description}
    if is_plain:
        parameters = _plain_parameters(bytes(spec.parameters))
        # A schema without a property is refused; without a schema the tool takes no arguments.
        if parameters is not None:
            declaration["parameters"] = parameters
    else:
        declaration["parametersJsonSchema"] = spec.parameters
    return declaration


@lru_cache(maxsize=256)
def _plain_parameters(parameters: bytes) -> msgspec.Raw | None:
    schema = openapi_schema(msgspec.json.decode(parameters))
    return msgspec.Raw(_encode({**schema, "type": "object"})) if schema.get("properties") else None


def _calling(name: str | None) -> dict[str, object]:
    return {"mode": "ANY", "allowedFunctionNames": [wire_name(name)]} if name else {"mode": "ANY"}


def _generation_config(
    request: ModelRequest, model: str, abilities: frozenset[Ability], omitted: frozenset[str]
) -> dict[str, object]:
    sampling = request.sampling
    settings = (
        ("temperature", sampling.temperature),
        ("topP", sampling.top_p),
        ("maxOutputTokens", sampling.max_output_tokens),
        ("stopSequences", [stop for stop in sampling.stop if stop][:_MAX_STOPS] or None),
        ("seed", sampling.seed),
        ("presencePenalty", sampling.presence_penalty),
        ("frequencyPenalty", sampling.frequency_penalty),
        ("thinkingConfig", _thinking(model, sampling.reasoning_effort, omitted)),
    )
    config: dict[str, object] = {
        field: value for field, value in settings if value is not None and field not in omitted
    }
    form = request.format
    if form is None or form.kind not in abilities or form.kind in request.lacking:
        return config
    if request.tools and FORMAT_WITH_TOOLS in request.lacking:
        return config
    config["responseMimeType"] = "application/json"
    if form.kind == "json_schema":
        config["responseJsonSchema"] = form.schema
    return config


def _thinking(model: str, effort: str | None, omitted: frozenset[str]) -> dict[str, object] | None:
    """Return the settings of thinking, whose summary is asked for wherever the model may think."""
    if _NEVER_THINK.search(model):
        return None
    config: dict[str, object] = {"includeThoughts": True}
    if effort is None:
        return config
    if _THINK_WITH_BUDGET.search(model):
        budget = _BUDGETS.get(effort, _MAX_BUDGET)
        if "thinkingBudget" not in omitted:
            config["thinkingBudget"] = max(budget, _MIN_BUDGET_PRO) if "-pro" in model else budget
        if effort == "none":
            config["includeThoughts"] = False
    elif "thinkingLevel" not in omitted:
        level = _LEVELS.get(effort, "high")
        # The larger models have no lower one.
        config["thinkingLevel"] = "low" if level == "minimal" and "-pro" in model else level
    return config
