"""A model behind Google's Gemini API, on any server that speaks it."""

import random
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import get_args
from urllib.parse import quote, urlsplit, urlunsplit

from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import FORMAT_WITH_TOOLS, Ability, ModelRequest
from nanobot.models.address import Address, KeyHeader, ending
from nanobot.models.answer import FormatTerms
from nanobot.models.client import MAX_ANSWER_CHARS, Exchange
from nanobot.models.gemini.answer import ContentReader
from nanobot.models.gemini.conversation import wire_name
from nanobot.models.gemini.proposals import proposals
from nanobot.models.gemini.request import RESERVED_FIELDS, encode
from nanobot.models.http import Timeouts
from nanobot.models.lessons import Lesson, named
from nanobot.models.negotiation import Negotiation, has_new_image, lacks
from nanobot.models.remote_model import RemoteModel
from nanobot.models.transport import DIRECT, Transport

ABILITIES: frozenset[Ability] = frozenset(get_args(Ability))

API_KEY = KeyHeader("x-goog-api-key")
_OPERATION = ending(r"models(?:/[^/]+:\w+)?")
_TERMS = FormatTerms(answer="answer of the Gemini API", content="candidate", ending="finishReason")


class GeminiContent(RemoteModel):
    """A model behind an API that speaks `generateContent`.

    `base_url` may end with the version (`/v1beta`) and `/models` or an operation, or be without. `model` may
    be the path of one that is elsewhere (`tunedModels/mine`). A failed request is sent again, at most
    `max_retries` times and only while nothing of its answer was yielded. `auth`: how the key is sent.
    `transport`: what goes with each request besides. `extra_body`: further fields of each request; objects
    are joined field by field.

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
        address = Address(_root(base_url))
        path = quote(model if "/" in model else f"models/{model}")
        super().__init__(
            name=name,
            model=model,
            address=address,
            answer_url=address.url(f"/{path}:streamGenerateContent", query="alt=sse"),
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
        self._proposals = partial(proposals, name)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, then the message; closing the generator cuts the connection.

        Raises:
            ModelError: as `models.refusals` maps what the server answered.
        """
        negotiation = Negotiation(self._source, self._lessons, request, self._proposals, talk="contents")
        return self._client.stream(partial(self._exchange, request, negotiation), request.audience)

    def _exchange(self, request: ModelRequest, negotiation: Negotiation) -> Exchange:
        self._check(request, negotiation.lessons)
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

    def _check(self, request: ModelRequest, lessons: frozenset[Lesson]) -> None:
        """Check that the request needs nothing that the model is known to lack.

        Raises:
            RequestFailed: `ModelLacksAbility`.
        """
        name, lacking = self._name, named(lessons, "lacks")
        if request.tools and ("tools" in lacking or "tools" not in self._abilities):
            raise lacks("tools", f"{name} does not take tools: send the request without them")
        if request.format is not None and request.tools and FORMAT_WITH_TOOLS in lacking - request.lacking:
            raise lacks(FORMAT_WITH_TOOLS, f"{name} takes no response_format beside tools")
        if has_new_image(request) and (
            "images" not in self._abilities or Lesson("text_only", "images") in lessons
        ):
            raise lacks(None, f"{name} does not take images: send the request without them")


def _root(base_url: str) -> str:
    """Return the address below which `/models` is: it is set with its version or an operation, and without.

    Raises:
        ConfigError: it is no address.
    """
    Address(base_url)
    parts = urlsplit(base_url.strip())
    path = _OPERATION.sub("", parts.path).rstrip("/")
    return urlunsplit(parts._replace(path=path or "/v1beta"))
