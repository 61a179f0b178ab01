"""What a refusal of the Gemini API proposes to change, and what the asker has to."""

import re
from collections.abc import Iterator

from nanobot.core.late_pattern import LatePattern
from nanobot.core.model import FORMAT_WITH_TOOLS, ModelRequest
from nanobot.models.lessons import Lesson, named
from nanobot.models.negotiation import Proposal, has_new_image, lacks
from nanobot.models.objections import RefusalText

_SAMPLING = {
    "temperature": "temperature",
    "topP": "top_p",
    "seed": "seed",
    "stopSequences": "stop_sequences",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
"""Fields of `generationConfig`, and their names in refusals."""
_NO_SCHEMA = LatePattern(r"(?:unknown name|cannot find field).{0,20}parameters_?json_?schema", re.IGNORECASE)
_NO_ID = LatePattern(r"(?:unknown name|cannot find field)[^.]{0,20}\bid\b", re.IGNORECASE)
_NO_SYSTEM = LatePattern(
    r"(?:developer|system) instruction (?:is|are) not (?:enabled|supported)", re.IGNORECASE
)
_NO_PENALTY = LatePattern(r"\bpenalty (?:is|are) not (?:enabled|supported)", re.IGNORECASE)
_THINKING = LatePattern(
    r"\bthinking[ _]?(?:is|mode|budget|level|config)\b.{0,40}|\bbudget \d+ is invalid", re.IGNORECASE
)
_NO_SIGNATURE = LatePattern(r"missing a .?thought[_ ]?signature", re.IGNORECASE)
_BAD_SIGNATURE = LatePattern(
    r"(?:invalid|corrupted|malformed) (?:encrypted )?thought[_ ]?signature"
    r"|thought[_ ]?signature (?:is )?(?:not valid|invalid|corrupted|malformed|not supported)",
    re.IGNORECASE,
)


def proposals(
    name: str, request: ModelRequest, text: RefusalText, lessons: frozenset[Lesson]
) -> Iterator[Proposal]:
    """Yield what may be changed, the likeliest first. `name`: the model's, for errors.

    Raises:
        RequestFailed: as `models.negotiation.Proposals`.
    """
    body = text.request
    if "tools" in body and text.says(_NO_SCHEMA):
        yield _learnt(Lesson("omit", "parametersJsonSchema"))
        return
    if text.says(_NO_ID):
        yield _learnt(Lesson("omit", "id"))
        return
    _check_abilities(name, request, text, lessons)
    yield from _signature_proposals(text)
    for kind in ("images", "audio"):
        if text.objection("images" if kind == "images" else "audio"):
            yield _learnt(Lesson("text_only", kind))
    if "systemInstruction" in body and text.says(_NO_SYSTEM):
        yield _learnt(Lesson("omit", "systemInstruction"))
    yield from _config_proposals(text)


def _learnt(lesson: Lesson) -> Proposal:
    return Proposal(lesson, lesson)


def _check_abilities(name: str, request: ModelRequest, text: RefusalText, lessons: frozenset[Lesson]) -> None:
    """Raise what the asker has to change the request for: the model does not take tools, or a form."""
    body, form = text.request, request.format
    if form is not None and "responseMimeType" in body.get("generationConfig", {}):
        if "tools" in body and text.objection("format_with_tools"):
            raise lacks(FORMAT_WITH_TOOLS, f"{name} takes no response_format beside tools")
        is_unknown = text.names("response_json_schema") and text.says_unsupported
        if text.objection("format") or is_unknown:
            raise lacks(form.kind, f"{name} does not take response_format {form.kind}")
    if "tools" in body and text.objection("tools"):
        raise lacks("tools", f"{name} does not take tools: send the request without them")
    if has_new_image(request) and "images" not in named(lessons, "text_only") and text.objection("images"):
        raise lacks(None, f"{name} does not take images: send the request without them")


def _signature_proposals(text: RefusalText) -> Iterator[Proposal]:
    if text.says(_NO_SIGNATURE):
        yield _learnt(Lesson("empty_state", "thoughtSignature"))
    elif text.says(_BAD_SIGNATURE):
        # That of other conversations may be in order: signatures end with the model that made them.
        yield Proposal(Lesson("no_state", "thoughtSignature"), None)


def _config_proposals(text: RefusalText) -> Iterator[Proposal]:
    config = text.request.get("generationConfig", {})
    thinking = config.get("thinkingConfig", {})
    if thinking and text.says(_THINKING):
        for field in ("thinkingLevel", "thinkingBudget"):
            if field in thinking:
                # The level may be what is wrong with it.
                yield Proposal(Lesson("omit", field), None)
        yield _learnt(Lesson("omit", "thinkingConfig"))
    has_no_penalties = text.says(_NO_PENALTY)
    for field, own_name in _SAMPLING.items():
        is_refused = text.names(own_name) and text.says_unsupported
        if field in config and (is_refused or (has_no_penalties and field.endswith("Penalty"))):
            lesson = Lesson("omit", field)
            is_certain = text.names_exactly(own_name) or not text.is_said_by_others(own_name)
            yield Proposal(lesson, lesson if is_certain else None)
