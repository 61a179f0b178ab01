"""A model behind OpenAI's chat completions, on any server that speaks them."""

import random
from collections.abc import AsyncGenerator, Mapping
from functools import partial

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import EVERYTHING, FORMAT_WITH_TOOLS, Ability, ModelRequest
from nanobot.models.address import BEARER, OPENAI_OPERATION, Address, KeyHeader
from nanobot.models.answer import FormatTerms
from nanobot.models.client import MAX_ANSWER_CHARS, Exchange
from nanobot.models.http import Timeouts
from nanobot.models.lessons import NOTHING, Lesson, named
from nanobot.models.negotiation import Negotiation, has_new_image, lacks
from nanobot.models.openai.answer import ChatAnswerReader
from nanobot.models.openai.canonical import canonical
from nanobot.models.openai.proposals import proposals
from nanobot.models.openai.request import RESERVED_FIELDS, LimitField, OpeningMessage, SentTools, encode
from nanobot.models.remote_model import RemoteModel
from nanobot.models.transport import DIRECT, Transport

__all__ = ["OpenAIChat", "Timeouts"]

_OPENAI_HOST = "api.openai.com"
_TERMS = FormatTerms(answer="chat completion", content="choice", ending="finish_reason")


class OpenAIChat(RemoteModel):
    """A model behind an OpenAI-compatible API.

    A failed request is sent again, at most `max_retries` times and only while nothing of its answer was
    yielded. `base_url` may end with the path of an operation. `auth`: how the key is sent. `socket_path`:
    connect to this Unix socket; `base_url` then only says the path. `transport`: what goes with each request
    besides. `extra_body`: further fields of each request. `opening`: messages that each request begins with.

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
        max_answer_chars: int = MAX_ANSWER_CHARS,
        socket_path: str | None = None,
        transport: Transport = DIRECT,
        extra_body: Mapping[str, object] | None = None,
        abilities: frozenset[Ability] = EVERYTHING,
        opening: tuple[OpeningMessage, ...] = (),
    ) -> None:
        address = Address(base_url, OPENAI_OPERATION)
        super().__init__(
            name=name,
            model=model,
            address=address,
            answer_url=address.url("/chat/completions"),
            api_key=api_key,
            context_tokens=context_tokens,
            abilities=abilities,
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
            socket_path=socket_path,
        )
        self._opening = opening
        self._sent_tools = SentTools()
        self._salt_field = transport.salt_field
        self._is_openai = address.host == _OPENAI_HOST
        self._limit_field: LimitField = "max_completion_tokens" if self._is_openai else "max_tokens"
        self._settings = _settings(abilities)
        self._proposals = partial(proposals, name)

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
            self._check(request, lessons)
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
            raise lacks(FORMAT_WITH_TOOLS, f"{self._name} takes no response_format beside tools")
        if Lesson("text_only", "images") in lessons and has_new_image(request):
            raise lacks(None, f"{self._name} does not take images: send the request without them")

    def _limit_field_by(self, lessons: frozenset[Lesson]) -> LimitField:
        """Return the field for the limit of the answer that the model is known to take."""
        known = named(lessons, "limit_field")
        other: LimitField = (
            "max_tokens" if self._limit_field == "max_completion_tokens" else "max_completion_tokens"
        )
        return other if other in known else self._limit_field


def _settings(abilities: frozenset[Ability]) -> frozenset[Lesson]:
    """Return as lessons what the settings say that the model lacks."""
    lacking = {Lesson("lacks", "tools")} if "tools" not in abilities else set()
    return (
        frozenset(lacking | ({Lesson("text_only", "images")} if "images" not in abilities else set()))
        or NOTHING
    )
