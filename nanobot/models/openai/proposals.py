"""What a refusal of a chat completion proposes to change, and what the asker has to."""

from collections.abc import Iterator
from typing import Any

from nanobot.core.model import FORMAT_WITH_TOOLS, ModelRequest
from nanobot.models.lessons import Lesson, named
from nanobot.models.negotiation import Proposal, has_new_image, lacks
from nanobot.models.objections import Objection, RefusalText

_ADDED = frozenset({"stream_options", "prompt_cache_key", "cache_salt", "user", "safety_identifier"})
"""Fields that nobody asked for: a refusal that names one need not say more."""
_KEPT = frozenset(
    {"model", "messages", "stream", "tools", "response_format", "max_tokens", "max_completion_tokens"}
)
_LIMIT_FIELDS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_PART_OBJECTIONS: tuple[tuple[str, Objection], ...] = (("image_url", "images"), ("input_audio", "audio"))
_OWN_FIELDS = frozenset({"role", "content", "tool_calls", "id", "type", "function", "name"})
_MISSING_WORDS = (
    "missing",
    "must be",
    "required",
    "should be",
    "is empty",
    "not found",
    "passed back",
    "pass back",
)


def proposals(
    name: str, request: ModelRequest, text: RefusalText, lessons: frozenset[Lesson]
) -> Iterator[Proposal]:
    """Yield what may be changed, the likeliest first. `name`: the model's, for errors.

    Raises:
        RequestFailed: as `models.negotiation.Proposals`.
    """
    _check_abilities(name, request, text, lessons)
    body = text.request
    yield from _state_proposals(text)
    for kind, objection in _PART_OBJECTIONS:
        if any(_has(message, kind) for message in body["messages"]) and text.objection(objection):
            yield _proposal(Lesson("text_only", objection), is_certain=True)
    for field, other in _LIMIT_FIELDS.items():
        if field in body and (text.names(other) or (text.names(field) and text.says_unsupported)):
            yield _proposal(Lesson("limit_field", other), is_certain=not text.is_said_by_others(field))
    for field in sorted(body.keys() - _KEPT, key=len, reverse=True):
        if text.names(field) and (field in _ADDED or text.says_unsupported):
            is_certain = text.names_exactly(field) or not text.is_said_by_others(field)
            yield _proposal(Lesson("omit", field), is_certain=is_certain)


def _proposal(lesson: Lesson, *, is_certain: bool) -> Proposal:
    return Proposal(lesson, lesson if is_certain else None)


def _check_abilities(name: str, request: ModelRequest, text: RefusalText, lessons: frozenset[Lesson]) -> None:
    """Raise what the asker has to change the request for: the server does not take tools, or a form."""
    body = text.request
    if "response_format" in body and request.format is not None:
        if "tools" in body and text.objection("format_with_tools"):
            raise lacks(FORMAT_WITH_TOOLS, f"{name} takes no response_format beside tools")
        # A schema that the server cannot use is the asker's, and is told as it is.
        is_refused = text.objection("format") or text.names_exactly("response_format")
        if is_refused and "chema for" not in text.words:
            kind = request.format.kind
            raise lacks(kind, f"{name} does not take response_format {kind}")
    is_unsupported = text.says_unsupported and (
        text.names_exactly("tools")
        # The server means what it chooses itself where there are tools.
        or ("tool_choice" not in body and text.names("tool_choice"))
    )
    if "tools" in body and (text.objection("tools") or is_unsupported):
        raise lacks("tools", f"{name} does not take tools: send the request without them")
    if has_new_image(request) and "images" not in named(lessons, "text_only") and text.objection("images"):
        raise lacks(None, f"{name} does not take images: send the request without them")


def _state_proposals(text: RefusalText) -> Iterator[Proposal]:
    assistants = [message for message in text.request["messages"] if message["role"] == "assistant"]
    calls = [call for message in assistants for call in message.get("tool_calls", ())]
    is_missing = any(word in text.words.lower() for word in _MISSING_WORDS)
    if is_missing and text.names("thought_signature") and any("extra_content" not in call for call in calls):
        is_certain = not text.is_said_by_others("thought_signature")
        yield _proposal(Lesson("empty_state", "thought_signature"), is_certain=is_certain)
    if is_missing and text.names("reasoning_content"):
        is_certain = not text.is_said_by_others("reasoning_content")
        if any("reasoning_content" not in message for message in assistants):
            yield _proposal(Lesson("empty_state", "reasoning_content"), is_certain=is_certain)
        elif any(message["reasoning_content"] == "" for message in assistants):
            yield _proposal(Lesson("blank_state", "reasoning_content"), is_certain=is_certain)
        return
    fields = {field for part in (*assistants, *calls) for field in part} - _OWN_FIELDS
    for field in sorted(fields, key=len, reverse=True):
        if text.names(field) or (field == "extra_content" and text.names("thought_signature")):
            yield _proposal(Lesson("no_state", field), is_certain=not text.is_said_by_others(field))


def _has(message: dict[str, Any], kind: str) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part.get("type") == kind for part in content)
