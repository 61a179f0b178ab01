"""What all models behind an HTTP API have in common, whatever their wire format."""

import random
from collections.abc import Mapping

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError
from nanobot.core.model import EVERYTHING, Ability
from nanobot.models.address import BEARER, Address, KeyHeader, error_source
from nanobot.models.answer import FormatTerms
from nanobot.models.client import ProviderClient
from nanobot.models.http import ProviderConnection
from nanobot.models.lessons import Lessons
from nanobot.models.remote_settings import RemoteSettings


class ModelFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all models that are asked in one wire format.

    `reserved`: the fields that it writes, which `extra_body` must not have. `auth`: how a key is sent where
    the settings say nothing. `headers` go with each request. `abilities`: those that it has fields for; a
    model claims no others.
    """

    terms: FormatTerms
    reserved: frozenset[str]
    auth: KeyHeader = BEARER
    headers: Mapping[str, str] = {}
    abilities: frozenset[Ability] = EVERYTHING


class RemoteModel:
    """A `core.model.Model` but for `stream`, which each wire format adds: it finds the API at `address`, and
    its answers at `answer_url`.

    Raises:
        ConfigError: the key or the extra fields cannot be used.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        wire: ModelFormat,
        *,
        address: Address,
        answer_url: str,
        clock: Clock,
        random: random.Random,
    ) -> None:
        name, extra = settings.name, settings.extra_body
        if refused := wire.reserved.intersection(extra):
            raise ConfigError(f"extra_body of {name}: {', '.join(sorted(refused))} cannot be set there")
        self._name = name
        self._provider = name.partition(":")[0]
        self._context_tokens = settings.context_tokens
        self._abilities = settings.abilities & wire.abilities
        self._random = random
        self._extra = dict(extra)
        self._lessons = Lessons(clock)
        self._source = error_source(name, settings.model, address, settings.api_key, settings.transport)
        connection = ProviderConnection(
            self._source,
            auth=settings.auth or wire.auth,
            headers=wire.headers,
            timeouts=settings.timeouts,
            socket_path=settings.socket_path,
            transport=settings.transport,
        )
        self._client = ProviderClient(
            self._source,
            connection,
            answer_url=answer_url,
            check_url=address.url("/models"),
            terms=wire.terms,
            timeouts=settings.timeouts,
            clock=clock,
            random=random,
            max_retries=settings.max_retries,
            max_answer_chars=settings.max_answer_chars,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def context_tokens(self) -> int:
        return self._lessons.window(self._context_tokens)

    @property
    def abilities(self) -> frozenset[Ability]:
        return self._lessons.abilities(self._abilities)

    async def warm(self) -> None:
        """See `core.model.Model`."""
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
