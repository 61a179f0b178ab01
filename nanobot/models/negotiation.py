"""One request, and what its refusals are about: the next try leaves it out or gives it another name.

The same for all wire formats; what a refusal proposes is theirs. A lesson is remembered for the model once a
request that followed it was answered, and only where the refusal itself named the thing.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from nanobot.core.errors import ContextOverflow, ModelLacksAbility
from nanobot.core.message import Image
from nanobot.core.model import FORMAT_WITH_TOOLS, ModelRequest
from nanobot.models.lessons import NOTHING, Lesson, Lessons, named
from nanobot.models.objections import RefusalText
from nanobot.models.refusal_body import read_refusal
from nanobot.models.refusals import ErrorSource, RequestFailed, Understand, refusal
from nanobot.models.wordings import understand

_log = logging.getLogger(__name__)

_STATUSES = frozenset({400, 404, 422})
_SERVER_ERRORS = frozenset({500, 501})
"""What some servers refuse with that lack an ability (llama.cpp, Ollama), and what passes, too: their words
alone count.
"""
_MIN_WINDOW_TOKENS = 256


class Proposal(NamedTuple):
    """What the next try follows: `lesson`. `learnt` is remembered of the model once that try was answered;
    None where the refusal may mean this one request.
    """

    lesson: Lesson
    learnt: Lesson | None


Proposals = Callable[[ModelRequest, RefusalText, frozenset[Lesson]], Iterator[Proposal]]
"""Yields what may be changed in a request that was refused, the likeliest first; given the refusal, and the
lessons that the request followed.

Raises `RequestFailed` where the asker has to change the request, as it needs an ability that the model lacks.
"""


class Negotiation:
    """The tries of one request. `settings`: what is known of the model besides what it has taught. `talk`:
    the field that holds the conversation. `lessons`: what the next try has to follow.
    """

    __slots__ = ("_known", "_proposals", "_request", "_source", "_talk", "_tried", "lessons")

    def __init__(
        self,
        source: ErrorSource,
        known: Lessons,
        request: ModelRequest,
        proposals: Proposals,
        *,
        talk: str = "messages",
        settings: frozenset[Lesson] = NOTHING,
    ) -> None:
        self._source = source
        self._known = known
        self._request = request
        self._proposals = proposals
        self._talk = talk
        self._tried: list[Lesson] = []
        self.lessons = known.known() | settings

    def adapts(self, sent: bytes, status: int, body: bytes) -> bool:
        """Return whether another try of the request, of which `sent` was refused, differs.

        Raises:
            RequestFailed: the asker has to change the request, as it lacks an ability of the model.
        """
        if status not in _STATUSES and status not in _SERVER_ERRORS:
            return False
        text = RefusalText(read_refusal(body), sent, self._talk)
        if status in _SERVER_ERRORS and not text.objects:
            return False
        own = partial(understand, is_quoted=text.quotes)
        understood = own(text.words)
        if understood is not None:
            if understood.limit is not None and text.is_quoted(str(understood.limit)):
                raise self._without_limit(status, body, own)
            if understand(text.words) != understood:
                # What it quotes says something else, and would be found first.
                raise refusal(self._source, status, body, None, own)
            return False
        for lesson, learnt in self._proposals(self._request, text, self.lessons):
            if lesson not in self.lessons:
                if learnt is not None:
                    self._tried.append(learnt)
                self.lessons |= {lesson}
                return True
        if understand(text.words) is not None:
            # What it merely quotes must not be taken for its reason.
            raise refusal(self._source, status, body, None, own)
        return False

    def answered(self) -> None:
        """Remember what this request went without, now that it has been answered."""
        request = self._request
        if not self._tried and not request.lacking and request.window_tokens is None:
            return
        lessons = [*self._tried, *(Lesson("lacks", ability) for ability in request.lacking)]
        if request.window_tokens is not None and request.window_tokens >= _MIN_WINDOW_TOKENS:
            lessons.append(Lesson("window", str(request.window_tokens)))
        known = self._known.known()
        for lesson in lessons:
            if lesson not in known:
                _log.warning("%s, for the next hour: %s %s", self._source.name, lesson.topic, lesson.name)
        self._known.confirm(lessons)

    def _without_limit(self, status: int, body: bytes, own: Understand) -> RequestFailed:
        """Return the refusal without the limit, which may be a number of the user's."""
        failed = refusal(self._source, status, body, None, own)
        if isinstance(failed.error, ContextOverflow):
            failed.error.limit_tokens = None
        return failed


def check_abilities(
    request: ModelRequest, lessons: frozenset[Lesson], name: str, *, form: str = "response_format"
) -> None:
    """Check that the request needs nothing that the model `name` is known to lack. `form`: what its wire
    format calls the form of an answer.

    Raises:
        RequestFailed: `ModelLacksAbility`.
    """
    lacking = named(lessons, "lacks")
    if request.tools and "tools" in lacking:
        raise lacks("tools", f"{name} does not take tools: send the request without them")
    if request.format is not None and request.tools and FORMAT_WITH_TOOLS in lacking - request.lacking:
        raise lacks(FORMAT_WITH_TOOLS, f"{name} takes no {form} beside tools")
    if Lesson("text_only", "images") in lessons and has_new_image(request):
        raise lacks(None, f"{name} does not take images: send the request without them")


def has_new_image(request: ModelRequest) -> bool:
    """Return whether an image is in what the user said last."""
    newest = takewhile(lambda message: message.role != "assistant", reversed(request.messages))
    return any(isinstance(part, Image) for message in newest for part in message.parts)


def lacks(ability: str | None, message: str) -> RequestFailed:
    """Return the failure of a request that needs what the model lacks, as `ModelLacksAbility` names it."""
    return RequestFailed(ModelLacksAbility(message, ability=ability))
