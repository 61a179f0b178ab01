"""A model whose provider keeps one prefix cache for all sessions: each is told only of its own part of it.

A provider that reads the beginning of a prompt from its cache says how long that beginning was, whoever it
was that sent it before. Passed on, the number would tell one session how another's conversation begins.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from nanobot.core.event import Delta, ModelChosen
from nanobot.core.message import Message
from nanobot.core.model import Ability, Model, ModelRequest

Item = Delta | ModelChosen | Message
_MAX_SESSIONS = 10_000
_KEPT_PROMPTS = 2


class _Prompt(NamedTuple):
    """A prompt that a session has sent: a digest of its messages, how many they are, and their tokens."""

    digest: int
    messages: int
    tokens: int


class OwnCacheModel:
    """The model `inner`, of whose cached tokens a session is told those that it has sent itself.

    Known are the last prompts of the sessions that were active last, from when the provider first says that
    it has a cache. A session's first answer, and its first one after a restart, count nothing as cached.
    """

    def __init__(self, inner: Model) -> None:
        self.inner = inner
        self._has_cache = False
        self._sent: OrderedDict[tuple[str, int], tuple[_Prompt, ...]] = OrderedDict()

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def context_tokens(self) -> int:
        return self.inner.context_tokens

    @property
    def abilities(self) -> frozenset[Ability]:
        return self.inner.abilities

    def stream(self, request: ModelRequest) -> AsyncGenerator[Item, None]:
        """As `inner`.

        Raises:
            ModelError: as `inner`.
        """
        return _OwnItems(self.inner.stream(request), partial(self._with_own_cache, request))

    async def warm(self) -> None:
        await self.inner.warm()

    async def check(self) -> None:
        """Return when the model could answer now.

        Raises:
            ModelError: why it could not.
        """
        await self.inner.check()

    async def close(self) -> None:
        await self.inner.close()

    def _with_own_cache(self, request: ModelRequest, answer: Message) -> Message:
        usage = answer.usage
        if not usage:
            return answer
        self._has_cache = self._has_cache or usage.cached_tokens > 0
        if not self._has_cache:
            return answer
        # Another system prompt, or other tools: no part of what was sent before is the beginning of this.
        key = (request.session_hint, hash((request.system, _digest(request.tools))))
        before = self._sent.get(key, ())
        own, digest = _own_tokens(request.messages, before)
        # The notes stand at the end and change from turn to turn: they are no part of the next prompt.
        sent = _Prompt(digest, len(request.messages), max(0, usage.prompt_tokens - len(request.notes)))
        self._sent[key] = (*before, sent)[-_KEPT_PROMPTS:]
        self._sent.move_to_end(key)
        if len(self._sent) > _MAX_SESSIONS:
            self._sent.popitem(last=False)
        if usage.cached_tokens <= own:
            return answer
        return msgspec.structs.replace(answer, usage=msgspec.structs.replace(usage, cached_tokens=own))


class _OwnItems(AsyncGenerator[Item, None]):
    """The items of another stream, messages among them as `own` returns them. All of an answer pass here: a
    generator around the other one would cost more.
    """

    def __init__(self, items: AsyncGenerator[Item, None], own: Callable[[Message], Message]) -> None:
        self._items = items
        self._own = own

    async def __anext__(self) -> Item:
        item = await anext(self._items)
        return self._own(item) if isinstance(item, Message) else item

    async def asend(self, value: None) -> Item:
        item = await self._items.asend(value)
        return self._own(item) if isinstance(item, Message) else item

    async def athrow(self, *error: Any) -> Item:
        item = await self._items.athrow(*error)
        return self._own(item) if isinstance(item, Message) else item

    async def aclose(self) -> None:
        await self._items.aclose()


def _own_tokens(messages: tuple[Message, ...], sent: tuple[_Prompt, ...]) -> tuple[int, int]:
    """Return how many tokens at the beginning of `messages` are of prompts that were `sent`, and the digest
    of them all.
    """
    own = digest = 0
    for number, message in enumerate(messages, 1):
        # Python's own hash of strings: keyed for each process, and by far the cheapest.
        digest = hash((digest, message.role, message.name, _digest(message.parts)))
        for prompt in sent:
            if prompt.messages == number and prompt.digest == digest:
                own = max(own, prompt.tokens)
    return own, digest


def _digest(values: tuple[object, ...]) -> int:
    try:
        return hash(values)
    except TypeError:
        # What is kept as JSON has no hash.
        return hash(msgspec.json.encode(values))
