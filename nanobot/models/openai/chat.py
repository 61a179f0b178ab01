"""A model behind OpenAI's chat completions, on any server that speaks them."""

import random
import re
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Literal, get_args

from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError, ModelLacksAbility
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import Ability, ModelRequest
from nanobot.models.answer import FormatTerms
from nanobot.models.client import Exchange, ProviderClient
from nanobot.models.http import BEARER, Address, KeyHeader, ProviderConnection, Timeouts
from nanobot.models.openai.answer import ChatAnswerReader
from nanobot.models.openai.lessons import Lessons
from nanobot.models.openai.request import RESERVED_FIELDS, encode
from nanobot.models.refusals import ErrorSource, RequestFailed

__all__ = ["OpenAIChat", "Timeouts"]

EVERYTHING: frozenset[Ability] = frozenset(get_args(Ability))
_COMPLETIONS_PATH = re.compile(r"/chat/completions/*(?=[?#]|\Z)")
_OPENAI_HOST = "api.openai.com"
_TERMS = FormatTerms(answer="chat completion", content="choice", ending="finish_reason")


class OpenAIChat:
    """A model behind an OpenAI-compatible API.

    A failed request is sent again, at most `max_retries` times and only while nothing of its answer was
    yielded. `base_url` may end with the path of the completions. `auth`: how the key is sent. `socket_path`:
    connect to this Unix socket; `base_url` then only says the path. `extra_body`: further fields of each
    request.

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
        socket_path: str | None = None,
        extra_body: Mapping[str, object] | None = None,
        abilities: frozenset[Ability] = EVERYTHING,
    ) -> None:
        address = Address(_COMPLETIONS_PATH.sub("", base_url.strip()))
        if api_key and not api_key.isprintable():
            raise ConfigError(f"API key of {name}: a line break or another control character is in it")
        if reserved := RESERVED_FIELDS.intersection(extra_body or ()):
            raise ConfigError(f"extra_body of {name}: {', '.join(sorted(reserved))} cannot be set there")
        self._name = name
        self._context_tokens = context_tokens
        self._abilities = abilities
        self._random = random
        self._extra = dict(extra_body or {})
        self._is_openai = address.host == _OPENAI_HOST
        self._limit_field: Literal["max_tokens", "max_completion_tokens"] = (
            "max_completion_tokens" if self._is_openai else "max_tokens"
        )
        self._includes_usage = True
        self._lessons = Lessons(clock)
        self._source = ErrorSource(name, model, address.shown, api_key or None)
        self._client = ProviderClient(
            self._source,
            ProviderConnection(self._source, auth=auth, timeouts=timeouts, socket_path=socket_path),
            answer_url=address.url("/chat/completions"),
            check_url=address.url("/models"),
            terms=_TERMS,
            timeouts=timeouts,
            clock=clock,
            random=random,
            max_retries=max_retries,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    @property
    def abilities(self) -> frozenset[Ability]:
        return self._abilities

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, then the message; closing the generator cuts the connection.

        Raises:
            ModelError: as `models.refusals` maps what the server answered.
        """
        return self._client.stream(partial(self._exchange, request))

    async def warm(self) -> None:
        await self._client.warm()

    async def check(self) -> None:
        """Return when the server answers and accepts the key; a good result is valid for 30 s.

        Raises:
            ModelError: it does not.
        """
        await self._client.check()

    async def close(self) -> None:
        """Cut all connections. Safe to call twice; requests after it raise `ModelUnreachable`."""
        await self._client.close()

    def _exchange(self, request: ModelRequest) -> Exchange:
        includes_usage = self._includes_usage
        body = encode(
            request,
            model=self._source.model,
            limit_field=self._limit_field,
            includes_usage=includes_usage,
            includes_openai_fields=self._is_openai,
            extra=self._extra,
            abilities=self._abilities,
        )
        reader = ChatAnswerReader(self._source, request.messages, self._random, self._lessons)
        return Exchange(body, reader, partial(self._adapts, request, includes_usage))

    def _adapts(self, request: ModelRequest, included_usage: bool, status: int, body: bytes) -> bool:
        """Learn from a refusal what the server does not know.

        Return whether it is `stream_options`, which the next requests leave out.

        Raises:
            RequestFailed: it is `response_format`, of a kind that the model does not claim any more.
        """
        if status not in (400, 422):
            return False
        if included_usage and b"stream_options" in body:
            self._includes_usage = False
            return True
        if request.format is not None and self._lacks_format(request.format.kind, body):
            self._abilities -= {request.format.kind}
            raise RequestFailed(
                ModelLacksAbility(f"{self._name} does not take response_format {request.format.kind}")
            )
        return False

    def _lacks_format(self, kind: Ability, body: bytes) -> bool:
        # OpenAI knows response_format: a refusal that names it there means the schema.
        is_named = b"response_format" in body and b"chema for" not in body
        return is_named and kind in self._abilities and not self._is_openai
