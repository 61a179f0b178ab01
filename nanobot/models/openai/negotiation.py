"""One request, and what its refusals are about: the next try leaves it out or gives it another name.

A lesson is remembered for the model once a request that followed it was answered, and only where the refusal
itself named the thing.
"""

import logging
from collections.abc import Iterator
from typing import Any

from nanobot.core.errors import ContextOverflow, ModelLacksAbility
from nanobot.core.model import FORMAT_WITH_TOOLS, ModelRequest
from nanobot.models.images import has_new_image
from nanobot.models.openai.lessons import Lesson, Lessons, named
from nanobot.models.openai.objections import Objection, RefusalText
from nanobot.models.refusals import ErrorSource, RequestFailed, read_refusal, refusal
from nanobot.models.wordings import understand

_log = logging.getLogger(__name__)

_STATUSES = frozenset({400, 404, 422})
_ADDED = frozenset({"stream_options", "prompt_cache_key", "user", "safety_identifier"})
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
_MIN_WINDOW_TOKENS = 256


class Negotiation:
    """The tries of one request. `settings`: what is known of the model besides what it has taught. `lessons`:
    what the next try has to follow.
    """

    __slots__ = ("_known", "_request", "_source", "_tried", "lessons")

    def __init__(
        self, source: ErrorSource, known: Lessons, request: ModelRequest, settings: frozenset[Lesson]
    ) -> None:
        self._source = source
        self._known = known
        self._request = request
        self._tried: dict[Lesson, bool] = {}
        self.lessons = known.known() | settings

    def adapts(self, sent: bytes, status: int, body: bytes) -> bool:
        """Return whether another try of the request, of which `sent` was refused, differs.

        Raises:
            RequestFailed: the asker has to change the request, as it lacks an ability of the model.
        """
        if status not in _STATUSES:
            return False
        refused = read_refusal(body)
        text = RefusalText(refused, sent)
        understood = understand(text.words)
        if understood is not None:
            if understood.limit is not None and text.is_quoted(str(understood.limit)):
                raise self._without_limit(status, body)
            return False
        self._check_abilities(text, refused.words)
        for lesson, is_certain in self._proposals(text):
            if lesson not in self.lessons:
                self._tried[lesson] = is_certain
                self.lessons |= {lesson}
                return True
        return False

    def answered(self) -> None:
        """Remember what this request went without, now that it has been answered."""
        request = self._request
        if not self._tried and not request.lacking and request.window_tokens is None:
            return
        lessons = [lesson for lesson, is_certain in self._tried.items() if is_certain]
        lessons.extend(Lesson("lacks", ability) for ability in request.lacking)
        if request.window_tokens is not None and request.window_tokens >= _MIN_WINDOW_TOKENS:
            lessons.append(Lesson("window", str(request.window_tokens)))
        known = self._known.known()
        for lesson in lessons:
            if lesson not in known:
                _log.warning("%s, for the next hour: %s %s", self._source.name, lesson.topic, lesson.name)
        self._known.confirm(lessons)

    # What the asker has to change -----------------------------------------------------------------

    def _check_abilities(self, text: RefusalText, words: str) -> None:
        """Raise what the asker has to change the request for: the server does not take tools, or a form."""
        request, body, name = self._request, text.request, self._source.name
        if "response_format" in body and request.format is not None:
            if "tools" in body and text.objection("format_with_tools"):
                raise lacks(FORMAT_WITH_TOOLS, f"{name} takes no response_format beside tools")
            # A schema that the server cannot use is the asker's, and is told as it is.
            is_refused = text.objection("format") or text.names_exactly("response_format")
            if is_refused and "chema for" not in words:
                kind = request.format.kind
                raise lacks(kind, f"{name} does not take response_format {kind}")
        if "tools" in body and (
            text.objection("tools") or (text.names_exactly("tools") and text.says_unsupported)
        ):
            raise lacks("tools", f"{name} does not take tools: send the request without them")
        if (
            has_new_image(request)
            and "images" not in named(self.lessons, "text_only")
            and text.objection("images")
        ):
            raise lacks(None, f"{name} does not take images: send the request without them")

    def _without_limit(self, status: int, body: bytes) -> RequestFailed:
        """Return the refusal without the limit, which may be a number of the user's."""
        failed = refusal(self._source, status, body, None)
        if isinstance(failed.error, ContextOverflow):
            failed.error.limit_tokens = None
        return failed

    # What the next try changes --------------------------------------------------------------------

    def _proposals(self, text: RefusalText) -> Iterator[tuple[Lesson, bool]]:
        """Yield what may be changed, the likeliest first, and whether the refusal is certain to mean it."""
        body = text.request
        yield from _state_proposals(text)
        for kind, objection in _PART_OBJECTIONS:
            if any(_has(message, kind) for message in body["messages"]) and text.objection(objection):
                yield Lesson("text_only", objection), True
        for field, other in _LIMIT_FIELDS.items():
            if field in body and (text.names(other) or (text.names(field) and text.says_unsupported)):
                yield Lesson("limit_field", other), not text.is_said_by_others(field)
        for field in sorted(body.keys() - _KEPT, key=len, reverse=True):
            if text.names(field) and (field in _ADDED or text.says_unsupported):
                is_certain = text.names_exactly(field) or not text.is_said_by_others(field)
                yield Lesson("omit", field), is_certain


def _state_proposals(text: RefusalText) -> Iterator[tuple[Lesson, bool]]:
    assistants = [message for message in text.request["messages"] if message["role"] == "assistant"]
    calls = [call for message in assistants for call in message.get("tool_calls", ())]
    is_missing = any(word in text.words.lower() for word in _MISSING_WORDS)
    if is_missing and text.names("thought_signature") and any("extra_content" not in call for call in calls):
        yield Lesson("empty_state", "thought_signature"), not text.is_said_by_others("thought_signature")
    if is_missing and text.names("reasoning_content"):
        if any("reasoning_content" not in message for message in assistants):
            yield Lesson("empty_state", "reasoning_content"), not text.is_said_by_others("reasoning_content")
        return
    fields = {field for part in (*assistants, *calls) for field in part} - _OWN_FIELDS
    for field in sorted(fields, key=len, reverse=True):
        if text.names(field) or (field == "extra_content" and text.names("thought_signature")):
            yield Lesson("no_state", field), not text.is_said_by_others(field)


def _has(message: dict[str, Any], kind: str) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part.get("type") == kind for part in content)


def lacks(ability: str | None, message: str) -> RequestFailed:
    """Return the failure of a request that needs what the model lacks, as `ModelLacksAbility` names it."""
    return RequestFailed(ModelLacksAbility(message, ability=ability))
