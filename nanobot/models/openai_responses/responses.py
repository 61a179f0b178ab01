"""A model behind OpenAI's Responses API, on any server that speaks it."""

import logging
import random
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import get_args

from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import FORMAT_WITH_TOOLS, Ability, ModelRequest
from nanobot.models.address import BEARER, OPENAI_OPERATION, Address, KeyHeader
from nanobot.models.answer import FormatTerms
from nanobot.models.client import MAX_ANSWER_CHARS, Exchange
from nanobot.models.http import Timeouts
from nanobot.models.lessons import NOTHING, Lesson, named
from nanobot.models.negotiation import Negotiation, has_new_image, lacks
from nanobot.models.openai_responses.answer import ResponseReader
from nanobot.models.openai_responses.items import REASONING, Taken, fingerprints
from nanobot.models.openai_responses.proposals import NO_REPLAY, proposals
from nanobot.models.openai_responses.refused import RefusedReasoning
from nanobot.models.openai_responses.request import RESERVED_FIELDS, encode
from nanobot.models.remote_model import RemoteModel
from nanobot.models.transport import DIRECT, Transport

_log = logging.getLogger(__name__)

ABILITIES: frozenset[Ability] = frozenset(get_args(Ability)) - {"audio"}
"""What the format has fields for."""

_OPENAI_HOST = "api.openai.com"
_TERMS = FormatTerms(answer="response", content="output", ending="response.completed")


class OpenAIResponses(RemoteModel):
    """A model behind an API that speaks OpenAI's Responses.

    A failed request is sent again, at most `max_retries` times and only while nothing of its answer was
    yielded. `base_url` may end with the path of an operation. `auth`: how the key is sent. `transport`: what
    goes with each request besides. `extra_body`: further fields of each request. `abilities`: those of them
    that the format has are claimed.

    Raises:
        ConfigError: the base URL, the key or the extra fields cannot be used.
    """

    def __init__(
        self,
        *,
        name: str,
        model: str,
        base_url: str,
        api_key: str | None,
        context_tokens: int,
        clock: Clock,
        random: random.Random,
        auth: KeyHeader = BEARER,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        max_retries: int = 2,
        transport: Transport = DIRECT,
        max_answer_chars: int = MAX_ANSWER_CHARS,
        extra_body: Mapping[str, object] | None = None,
        abilities: frozenset[Ability] = ABILITIES,
    ) -> None:
        address = Address(base_url, OPENAI_OPERATION)
        super().__init__(
            name=name,
            model=model,
            address=address,
            answer_url=address.url("/responses"),
            api_key=api_key,
            context_tokens=context_tokens,
            abilities=abilities & ABILITIES,
            clock=clock,
            random=random,
            auth=auth,
            timeouts=timeouts,
            max_retries=max_retries,
            max_answer_chars=max_answer_chars,
            transport=transport,
            extra_body=extra_body,
            reserved=RESERVED_FIELDS,
            terms=_TERMS,
        )
        self._salt_field = transport.salt_field
        self._is_openai = address.host == _OPENAI_HOST
        self._refused = RefusedReasoning(clock)
        self._settings = _settings(abilities)
        self._proposals = partial(proposals, name)
        self._everything = Taken(self._provider)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, then the message; closing the generator cuts the connection.

        Raises:
            ModelError: as `models.refusals` maps what the server answered.
        """
        negotiation = Negotiation(
            self._source, self._lessons, request, self._proposals, talk="input", settings=self._settings
        )
        return self._client.stream(partial(self._exchange, negotiation, request), request.audience)

    def _exchange(self, negotiation: Negotiation, request: ModelRequest) -> Exchange:
        """Return the next try of `request`."""
        lessons = negotiation.lessons
        if lessons:
            self._check(request, lessons)
        body = encode(
            request,
            model=self._source.model,
            includes_openai_fields=self._is_openai,
            extra=self._extra,
            salt_field=self._salt_field,
            abilities=self._abilities,
            taken=self._taken(lessons),
            lessons=lessons,
        )
        reader = ResponseReader(
            self._source,
            request.messages,
            self._random,
            # A response that fails as a request is refused says so with a status of success.
            adapts=partial(negotiation.adapts, body, 400),
            answered=partial(self._answered, negotiation, request),
        )
        return Exchange(body, reader, partial(negotiation.adapts, body))

    def _taken(self, lessons: frozenset[Lesson]) -> Taken:
        refused = self._refused.known()
        if not lessons and not refused:
            return self._everything
        no_state = named(lessons, "no_state") | ({REASONING} if NO_REPLAY in lessons else set())
        has_images = Lesson("text_only", "images") not in lessons
        return Taken(self._provider, refused=refused, no_state=no_state, images=has_images)

    def _answered(self, negotiation: Negotiation, request: ModelRequest) -> None:
        """Remember what the request went without, now that it has been answered."""
        negotiation.answered()
        if NO_REPLAY in negotiation.lessons:
            _log.warning("%s refused reasoning that came from it; it is left out for an hour", self._name)
            self._refused.confirm(fingerprints(request.messages, self._provider))

    def _check(self, request: ModelRequest, lessons: frozenset[Lesson]) -> None:
        """Check that the request needs nothing that the model is known to lack.

        Raises:
            RequestFailed: `ModelLacksAbility`.
        """
        lacking = named(lessons, "lacks")
        if request.tools and "tools" in lacking:
            raise lacks("tools", f"{self._name} does not take tools: send the request without them")
        form = request.format
        if form is not None and request.tools and FORMAT_WITH_TOOLS in lacking - request.lacking:
            raise lacks(FORMAT_WITH_TOOLS, f"{self._name} takes no form of the answer beside tools")
        if Lesson("text_only", "images") in lessons and has_new_image(request):
            raise lacks(None, f"{self._name} does not take images: send the request without them")


def _settings(abilities: frozenset[Ability]) -> frozenset[Lesson]:
    """Return as lessons what the settings say that the model lacks."""
    lacking = {Lesson("lacks", "tools")} if "tools" not in abilities else set()
    return (
        frozenset(lacking | ({Lesson("text_only", "images")} if "images" not in abilities else set()))
        or NOTHING
    )
