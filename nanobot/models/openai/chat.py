"""A model behind OpenAI's chat completions, on any server that speaks them."""

import random
from collections.abc import AsyncGenerator
from functools import partial

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import ModelRequest
from nanobot.models.address import OPENAI_OPERATION, Address
from nanobot.models.answer import FormatTerms
from nanobot.models.client import Exchange
from nanobot.models.lessons import Lesson, missing, named
from nanobot.models.negotiation import Negotiation, check_abilities
from nanobot.models.openai.answer import ChatAnswerReader
from nanobot.models.openai.canonical import canonical
from nanobot.models.openai.proposals import proposals
from nanobot.models.openai.request import RESERVED_FIELDS, LimitField, OpeningMessage, SentTools, encode
from nanobot.models.remote_model import ModelFormat, RemoteModel
from nanobot.models.remote_settings import RemoteSettings

_OPENAI_HOST = "api.openai.com"
_WIRE = ModelFormat(
    terms=FormatTerms(answer="chat completion", content="choice", ending="finish_reason"),
    reserved=RESERVED_FIELDS,
)


class OpenAIChat(RemoteModel):
    """A model behind an OpenAI-compatible API.

    The base URL may end with the path of an operation. `opening`: messages that each request begins with.

    Raises:
        ConfigError: the base URL, the key or the extra fields cannot be used.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        *,
        clock: Clock,
        random: random.Random,
        opening: tuple[OpeningMessage, ...] = (),
    ) -> None:
        address = Address(settings.base_url, OPENAI_OPERATION)
        super().__init__(
            settings,
            _WIRE,
            address=address,
            answer_url=address.url("/chat/completions"),
            clock=clock,
            random=random,
        )
        self._opening = opening
        self._sent_tools = SentTools()
        self._salt_field = settings.transport.salt_field
        self._is_openai = address.host == _OPENAI_HOST
        self._limit_field: LimitField = "max_completion_tokens" if self._is_openai else "max_tokens"
        self._settings = missing(settings.abilities)
        self._proposals = partial(proposals, settings.name)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, then the message; closing the generator cuts the connection.

        Raises:
            ModelError: as `models.refusals` maps what the server answered.
        """
        asked = request.messages
        messages = canonical(asked)
        if messages is not asked:
            request = msgspec.structs.replace(request, messages=messages)
        negotiation = Negotiation(
            self._source, self._lessons, request, self._proposals, settings=self._settings
        )
        return self._client.stream(partial(self._exchange, negotiation, request, asked), request.audience)

    def _exchange(
        self, negotiation: Negotiation, request: ModelRequest, asked: tuple[Message, ...]
    ) -> Exchange:
        """Return the next try of `request`; `asked` are its messages as the asker has them."""
        lessons = negotiation.lessons
        if lessons:
            check_abilities(request, lessons, self._name)
        body = encode(
            request,
            model=self._source.model,
            limit_field=self._limit_field_by(lessons) if lessons else self._limit_field,
            includes_usage=True,
            includes_openai_fields=self._is_openai,
            extra=self._extra,
            salt_field=self._salt_field,
            abilities=self._abilities,
            provider=self._provider,
            lessons=lessons,
            opening=self._opening,
            tools=self._sent_tools,
        )
        reader = ChatAnswerReader(
            self._source, asked, self._random, self._lessons, negotiation.answered, request.tools
        )
        return Exchange(body, reader, partial(negotiation.adapts, body), reader.rescued)

    def _limit_field_by(self, lessons: frozenset[Lesson]) -> LimitField:
        """Return the field for the limit of the answer that the model is known to take."""
        known = named(lessons, "limit_field")
        other: LimitField = (
            "max_tokens" if self._limit_field == "max_completion_tokens" else "max_completion_tokens"
        )
        return other if other in known else self._limit_field
