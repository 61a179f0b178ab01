"""A model behind Google's Gemini API, on any server that speaks it."""

import random
from collections.abc import AsyncGenerator
from functools import partial
from urllib.parse import quote, urlsplit, urlunsplit

from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import ModelRequest
from nanobot.models.address import Address, KeyHeader, ending
from nanobot.models.answer import FormatTerms
from nanobot.models.client import Exchange
from nanobot.models.gemini.answer import ContentReader
from nanobot.models.gemini.conversation import wire_name
from nanobot.models.gemini.proposals import proposals
from nanobot.models.gemini.request import RESERVED_FIELDS, encode
from nanobot.models.lessons import missing
from nanobot.models.negotiation import Negotiation, check_abilities
from nanobot.models.remote_model import ModelFormat, RemoteModel
from nanobot.models.remote_settings import RemoteSettings

_OPERATION = ending(r"models(?:/[^/]+:\w+)?")
_WIRE = ModelFormat(
    terms=FormatTerms(answer="answer of the Gemini API", content="candidate", ending="finishReason"),
    reserved=RESERVED_FIELDS,
    auth=KeyHeader("x-goog-api-key"),
)


class GeminiContent(RemoteModel):
    """A model behind an API that speaks `generateContent`.

    The base URL may end with the version (`/v1beta`) and `/models` or an operation, or be without. The model
    may be the path of one that is elsewhere (`tunedModels/mine`). Objects among the extra fields are joined
    field by field.

    Raises:
        ConfigError: the base URL, the key or the extra fields cannot be used.
    """

    def __init__(self, settings: RemoteSettings, *, clock: Clock, random: random.Random) -> None:
        address = Address(_root(settings.base_url))
        model = settings.model
        path = quote(model if "/" in model else f"models/{model}")
        super().__init__(
            settings,
            _WIRE,
            address=address,
            answer_url=address.url(f"/{path}:streamGenerateContent", query="alt=sse"),
            clock=clock,
            random=random,
        )
        self._missing = missing(settings.abilities)
        self._proposals = partial(proposals, settings.name)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, then the message; closing the generator cuts the connection.

        Raises:
            ModelError: as `models.refusals` maps what the server answered.
        """
        negotiation = Negotiation(self._source, self._lessons, request, self._proposals, talk="contents")
        return self._client.stream(partial(self._exchange, request, negotiation), request.audience)

    def _exchange(self, request: ModelRequest, negotiation: Negotiation) -> Exchange:
        check_abilities(request, negotiation.lessons | self._missing, self._name)
        body = encode(
            request,
            model=self._source.model,
            provider=self._provider,
            abilities=self._abilities,
            lessons=negotiation.lessons,
            extra=self._extra,
        )
        reader = ContentReader(
            self._source,
            self._provider,
            request.messages,
            {wire_name(tool.name): tool.name for tool in request.tools},
            self._random,
            negotiation.answered,
        )
        return Exchange(body, reader, partial(negotiation.adapts, body))


def _root(base_url: str) -> str:
    """Return the address below which `/models` is: it is set with its version or an operation, and without.

    Raises:
        ConfigError: it is no address.
    """
    Address(base_url)
    parts = urlsplit(base_url.strip())
    path = _OPERATION.sub("", parts.path).rstrip("/")
    return urlunsplit(parts._replace(path=path or "/v1beta"))
