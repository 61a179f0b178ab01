"""A model behind OpenAI's Responses API, on any server that speaks it."""

import logging
import random
from collections.abc import AsyncGenerator
from functools import partial

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import Ability, ModelRequest
from nanobot.models.address import OPENAI_OPERATION, Address
from nanobot.models.answer import FormatTerms
from nanobot.models.client import Exchange
from nanobot.models.lessons import Lesson, missing, named
from nanobot.models.negotiation import Negotiation, check_abilities
from nanobot.models.openai_responses.answer import ResponseReader
from nanobot.models.openai_responses.items import REASONING, Taken, fingerprints
from nanobot.models.openai_responses.proposals import NO_REPLAY, proposals
from nanobot.models.openai_responses.refused import RefusedReasoning
from nanobot.models.openai_responses.request import RESERVED_FIELDS, encode
from nanobot.models.remote_model import ModelFormat, RemoteModel
from nanobot.models.remote_settings import RemoteSettings

_log = logging.getLogger(__name__)

ABILITIES: frozenset[Ability] = frozenset({"json_object", "json_schema", "images", "tools", "reading_on"})
"""What the format has fields for."""

_OPENAI_HOST = "api.openai.com"
_WIRE = ModelFormat(
    terms=FormatTerms(answer="response", content="output", ending="response.completed"),
    reserved=RESERVED_FIELDS,
    abilities=ABILITIES,
)


class OpenAIResponses(RemoteModel):
    """A model behind an API that speaks OpenAI's Responses.

    The base URL may end with the path of an operation.

    Raises:
        ConfigError: the base URL, the key or the extra fields cannot be used.
    """

    def __init__(self, settings: RemoteSettings, *, clock: Clock, random: random.Random) -> None:
        address = Address(settings.base_url, OPENAI_OPERATION)
        super().__init__(
            settings,
            _WIRE,
            address=address,
            answer_url=address.url("/responses"),
            clock=clock,
            random=random,
        )
        self._salt_field = settings.transport.salt_field
        self._is_openai = address.host == _OPENAI_HOST
        self._refused = RefusedReasoning(clock)
        self._settings = missing(settings.abilities)
        self._proposals = partial(proposals, settings.name)
        self._everything = Taken(self._provider, original=self._is_openai)

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
            check_abilities(request, lessons, self._name, form="form of the answer")
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
        return msgspec.structs.replace(
            self._everything, refused=refused, no_state=no_state, images=has_images
        )

    def _answered(self, negotiation: Negotiation, request: ModelRequest) -> None:
        """Remember what the request went without, now that it has been answered."""
        negotiation.answered()
        if NO_REPLAY in negotiation.lessons:
            _log.warning("%s refused reasoning that came from it; it is left out for an hour", self._name)
            self._refused.confirm(fingerprints(request.messages, self._provider))
