"""A model behind Anthropic's Messages API, on any server that speaks it."""

import random
from collections.abc import AsyncGenerator, Mapping
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
from nanobot.models.client import MAX_ANSWER_CHARS, Exchange
from nanobot.models.http import Timeouts
from nanobot.models.negotiation import Negotiation
from nanobot.models.remote_model import RemoteModel
from nanobot.models.transport import DIRECT, Transport

ABILITIES: frozenset[Ability] = frozenset({"images", "tools", "reading_on"})
"""What the API's models can do. A form of the answer is asked for in words, and checked: the API can hold a
model to few of the schemas that clients send.
"""

API_KEY = KeyHeader("x-api-key")
_OPERATION = ending(r"(?:v1/)?(?:messages(?:/\w+)?|complete)|v1")
_HEADERS = {"anthropic-version": "2023-06-01"}
_TERMS = FormatTerms(answer="answer of the Messages API", content="message", ending="stop_reason")


class AnthropicMessages(RemoteModel):
    """A model behind an API that speaks Anthropic's Messages.

    `base_url` may end with `/v1` and the path of an operation, or be without. A failed request is sent
    again, at most `max_retries` times and only while nothing of its answer was yielded. `auth`: how the key
    is sent. `transport`: what goes with each request besides. `extra_body`: further fields of each request.
    `abilities`: those of them that the format has are claimed.

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
        auth: KeyHeader = API_KEY,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        max_retries: int = 2,
        transport: Transport = DIRECT,
        extra_body: Mapping[str, object] | None = None,
        max_answer_chars: int = MAX_ANSWER_CHARS,
        abilities: frozenset[Ability] = ABILITIES,
    ) -> None:
        address = Address(base_url, _OPERATION, "/v1")
        super().__init__(
            name=name,
            model=model,
            address=address,
            answer_url=address.url("/messages"),
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
            headers=_HEADERS,
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
