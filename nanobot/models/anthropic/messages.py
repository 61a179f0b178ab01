"""A model behind Anthropic's Messages API, on any server that speaks it."""

import random
from collections.abc import AsyncGenerator
from functools import partial

from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import Ability, ModelRequest
from nanobot.models.address import Address, KeyHeader, ending
from nanobot.models.answer import FormatTerms
from nanobot.models.anthropic.answer import MessagesAnswerReader
from nanobot.models.anthropic.proposals import proposals
from nanobot.models.anthropic.request import RESERVED_FIELDS, encode
from nanobot.models.client import Exchange
from nanobot.models.negotiation import Negotiation
from nanobot.models.remote_model import ModelFormat, RemoteModel
from nanobot.models.remote_settings import RemoteSettings

ABILITIES: frozenset[Ability] = frozenset({"images", "tools", "reading_on"})
"""What the API's models can do. A form of the answer is asked for in words, and checked: the API can hold a
model to few of the schemas that clients send.
"""

_OPERATION = ending(r"(?:v1/)?(?:messages(?:/\w+)?|complete)|v1")
_WIRE = ModelFormat(
    terms=FormatTerms(answer="answer of the Messages API", content="message", ending="stop_reason"),
    reserved=RESERVED_FIELDS,
    auth=KeyHeader("x-api-key"),
    headers={"anthropic-version": "2023-06-01"},
    abilities=ABILITIES,
)


class AnthropicMessages(RemoteModel):
    """A model behind an API that speaks Anthropic's Messages.

    The base URL may end with `/v1` and the path of an operation, or be without.

    Raises:
        ConfigError: the base URL, the key or the extra fields cannot be used.
    """

    def __init__(self, settings: RemoteSettings, *, clock: Clock, random: random.Random) -> None:
        address = Address(settings.base_url, _OPERATION, "/v1")
        super().__init__(
            settings, _WIRE, address=address, answer_url=address.url("/messages"), clock=clock, random=random
        )

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, then the message; closing the generator cuts the connection.

        Raises:
            ModelError: as `models.refusals` maps what the server answered.
        """
        negotiation = Negotiation(self._source, self._lessons, request, proposals)
        return self._client.stream(partial(self._exchange, request, negotiation), request.audience)

    def _exchange(self, request: ModelRequest, negotiation: Negotiation) -> Exchange:
        body = encode(
            request,
            model=self._source.model,
            provider=self._provider,
            context_tokens=self._context_tokens,
            lessons=negotiation.lessons,
            extra=self._extra,
        )
        reader = MessagesAnswerReader(self._source, self._provider, self._random, negotiation.answered)
        return Exchange(body, reader, partial(negotiation.adapts, body))
