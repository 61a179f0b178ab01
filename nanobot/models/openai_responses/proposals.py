"""What a refusal of a response proposes to leave out, and what the asker has to."""

import re
from collections.abc import Iterator
from typing import Any

from nanobot.core.late_pattern import LatePattern
from nanobot.core.model import FORMAT_WITH_TOOLS, ModelRequest
from nanobot.models.lessons import Lesson, named
from nanobot.models.negotiation import Proposal, has_new_image, lacks
from nanobot.models.objections import RefusalText
from nanobot.models.openai_responses.items import PHASE, REASONING

NO_REPLAY = Lesson("replay", "none")
"""The request goes without all reasoning that came before."""

_ADDED = frozenset(
    {"include", "prompt_cache_key", "cache_salt", "user", "safety_identifier", "reasoning.summary"}
)
"""Fields that nobody asked for: a refusal that names one need not say more."""
_KEPT = frozenset({"model", "input", "instructions", "stream", "store", "tools", "text.format"})
_BAD_REASONING = LatePattern(
    r"invalid_encrypted_content"
    r"|encrypted content\b.{0,200}\bcould not be (?:verified|decrypted|parsed)"
    r"|item (?:with id )?'rs_\w*'"
    r"|'reasoning' (?:was provided )?without its required"
    r"|without its required 'reasoning' item"
    r"|duplicate item found with id",
    re.IGNORECASE | re.DOTALL,
)
"""What reasoning in one conversation causes."""
_NO_REASONING = LatePattern(
    r"(?:invalid|unknown|unsupported|unrecognized)[^.]{0,40}['\"]reasoning['\"]"
    r"|(?:unknown|unsupported|unrecognized)[^.]{0,40}\bencrypted_content\b",
    re.IGNORECASE,
)
"""What the reasoning of any conversation causes."""
_NO_PHASE = LatePattern(r"(?:invalid|unknown|unsupported|unrecognized).{0,40}\bphase\b", re.IGNORECASE)


def proposals(
    name: str, request: ModelRequest, text: RefusalText, lessons: frozenset[Lesson]
) -> Iterator[Proposal]:
    """Yield what may be left out, the likeliest first; the names of `omit` are fields, and fields within one,
    as `reasoning.summary`. `name`: the model's, for errors.

    Raises:
        RequestFailed: as `models.negotiation.Proposals`.
    """
    _check_abilities(name, request, text, lessons)
    body = text.request
    if any(item["type"] == "reasoning" for item in body["input"]):
        if text.says(_BAD_REASONING):
            yield Proposal(NO_REPLAY, None)
        if text.says(_NO_REASONING):
            yield _certain(Lesson("no_state", REASONING))
    if any("phase" in item for item in body["input"]) and text.says(_NO_PHASE):
        yield _certain(Lesson("no_state", PHASE))
    if any(_has_image(item) for item in body["input"]) and text.objection("images"):
        yield _certain(Lesson("text_only", "images"))
    for field in sorted(_fields(body) - _KEPT, key=len, reverse=True):
        if text.names(field) and (field in _ADDED or text.says_unsupported):
            lesson = Lesson("omit", field)
            is_certain = text.names_exactly(field) or not text.is_said_by_others(field)
            yield Proposal(lesson, lesson if is_certain else None)


def _certain(lesson: Lesson) -> Proposal:
    return Proposal(lesson, lesson)


def _check_abilities(name: str, request: ModelRequest, text: RefusalText, lessons: frozenset[Lesson]) -> None:
    """Raise what the asker has to change the request for: the server does not take tools, or a form."""
    body = text.request
    if "format" in body.get("text", {}) and request.format is not None:
        if "tools" in body and text.objection("format_with_tools"):
            raise lacks(FORMAT_WITH_TOOLS, f"{name} takes no form of the answer beside tools")
        # A schema that the server cannot use is the asker's, and is told as it is.
        is_refused = text.objection("format") or text.names_exactly("text.format")
        if is_refused and "chema for" not in text.words:
            kind = request.format.kind
            raise lacks(kind, f"{name} does not take text.format {kind}")
    if "tools" in body and (
        text.objection("tools") or (text.names_exactly("tools") and text.says_unsupported)
    ):
        raise lacks("tools", f"{name} does not take tools: send the request without them")
    if has_new_image(request) and "images" not in named(lessons, "text_only") and text.objection("images"):
        raise lacks(None, f"{name} does not take images: send the request without them")


def _fields(body: dict[str, Any]) -> set[str]:
    """Return the fields of a request, and those within its settings."""
    inner = {f"{name}.{field}" for name in ("reasoning", "text") for field in body.get(name, ())}
    return inner | body.keys() - {"text"}


def _has_image(item: dict[str, Any]) -> bool:
    content = item.get("content")
    return isinstance(content, list) and any(part.get("type") == "input_image" for part in content)
