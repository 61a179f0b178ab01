"""What all models behind an HTTP API have in common, whatever their wire format."""

import random
from collections.abc import Mapping

from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError
from nanobot.core.model import Ability
from nanobot.models.address import Address, KeyHeader, error_source
from nanobot.models.answer import FormatTerms
from nanobot.models.client import ProviderClient
from nanobot.models.http import ProviderConnection, Timeouts
from nanobot.models.lessons import Lessons
from nanobot.models.transport import Transport


class RemoteModel:
    """A `core.model.Model` but for `stream`, which a wire format adds.

    `context_tokens` and `abilities` are what the settings say, until a refusal teaches that the model has
    less. `reserved`: the fields that the wire format writes, which `extra_body` must not have. `headers` go
    with each request. The rest is as each wire format documents it.

    Raises:
        ConfigError: the key or the extra fields cannot be used.
    """

    def __init__(
        self,
        *,
        name: str,
        model: str,
        address: Address,
        answer_url: str,
        api_key: str | None,
        context_tokens: int,
        abilities: frozenset[Ability],
        clock: Clock,
        random: random.Random,
        auth: KeyHeader,
        timeouts: Timeouts,
        max_retries: int,
        max_answer_chars: int,
        transport: Transport,
        extra_body: Mapping[str, object] | None,
        reserved: frozenset[str],
        terms: FormatTerms,
        headers: Mapping[str, str] | None = None,
        socket_path: str | None = None,
    ) -> None:
        if refused := reserved.intersection(extra_body or ()):
            raise ConfigError(f"extra_body of {name}: {', '.join(sorted(refused))} cannot be set there")
        self._name = name
        self._provider = name.partition(":")[0]
        self._context_tokens = context_tokens
        self._abilities = abilities
        self._random = random
        self._extra = dict(extra_body or {})
        self._lessons = Lessons(clock)
        self._source = error_source(name, model, address, api_key, transport)
        self._client = ProviderClient(
            self._source,
            ProviderConnection(
                self._source,
                auth=auth,
                headers=headers,
                timeouts=timeouts,
                socket_path=socket_path,
                transport=transport,
            ),
            answer_url=answer_url,
            check_url=address.url("/models"),
            terms=terms,
            timeouts=timeouts,
            clock=clock,
            random=random,
            max_retries=max_retries,
            max_answer_chars=max_answer_chars,
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
