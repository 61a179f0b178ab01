"""The attack on prefix caches: whose conversation begins with a guess, as the number of cached tokens tells.

A victim begins a conversation. An attacker sends the very same beginning in a session of its own, and in
another one a beginning of the same length that nobody has ever sent: the right guess must be told no more
than the wrong one, in the answer and in the usage of the session. On the provider's side, the cache must not
have known more of it either, wherever something can keep sessions apart there.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Literal

import msgspec

from nanobot.isolation.caching_models import CachingModel
from nanobot.isolation.caching_provider import AskedPrompt
from nanobot.isolation.client import Attempt, Reply, Requester, path_of
from nanobot.isolation.tenants import Tenant
from nanobot.isolation.testbed import Testbed

_CHAT, _RESPONSES = "POST /v1/chat/completions", "POST /v1/responses"
_WORDS = 60
Shape = Literal["words", "stream", "instructions", "tools", "history", "response"]
SHAPES: tuple[Shape, ...] = ("words", "stream", "instructions", "tools", "history", "response")
"""How a conversation begins, and on which route."""


class _Seen(msgspec.Struct, frozen=True):
    """What a session was told of cached tokens, and what reached the provider."""

    told: tuple[int, ...]
    asked: tuple[AskedPrompt, ...]

    @property
    def cached(self) -> tuple[int, ...]:
        return tuple(each.cached for each in self.asked)


async def attack_caches(testbed: Testbed, models: Sequence[CachingModel], tenants: Sequence[Tenant]) -> None:
    """Have each of the tenants guess at the beginnings of another one, with each of the models."""
    pairs = list(zip(tenants, (*tenants[1:], tenants[0]), strict=True))
    async with asyncio.TaskGroup() as group:
        for model in models:
            group.create_task(CacheAttack(testbed, model).run(pairs))


class CacheAttack:
    """The attack on one model. Its sessions are asked one after the other: so it is known whose request it is
    that reaches the provider.
    """

    def __init__(self, testbed: Testbed, model: CachingModel) -> None:
        self._testbed = testbed
        self._model = model
        self._asked: dict[str, list[AskedPrompt]] = {}

    async def run(self, pairs: Sequence[tuple[Tenant, Tenant]]) -> None:
        """Attack the first tenant of each pair by the second one."""
        # A provider is known to have a cache from its first hit on.
        await self._warm(pairs[0][0])
        for victim, attacker in pairs:
            for shape in SHAPES:
                await self._attack(shape, victim, attacker)
        for field in ("salt", "cache_key"):
            self._check_names(field)

    async def _warm(self, tenant: Tenant) -> None:
        for _ in range(3):
            await self._ask(tenant, "warm", _RequestBody("words", "begin", "here"))

    async def _attack(self, shape: Shape, victim: Tenant, attacker: Tenant) -> None:
        secret = self._testbed.canaries.create(victim.number, "opening")
        wrong = self._testbed.canaries.create(attacker.number, "guess")
        opening = _RequestBody(shape, "so", secret)
        first = await self._ask(victim, shape, opening)
        for _ in range(2):
            later = await self._ask(victim, shape, opening, goes_on=True)
        await self._show(victim, shape)
        # Before the right one: what it leaves in the cache must not make the difference.
        miss = await self._ask(attacker, f"{shape}:wrong", _RequestBody(shape, "no", wrong))
        hit = await self._ask(attacker, f"{shape}:right", opening)
        await self._show(attacker, f"{shape}:wrong")
        where, who = f"{self._model.name}, {shape}", f"session {attacker.number}"
        if not sum(later.told) > sum(first.told):
            detail = f"a session of its own hits nothing: told {first.told}, later {later.told}"
            self._testbed.client.report("not seeded", where, f"session {victim.number}", detail=detail)
        if hit.told != miss.told:
            detail = (
                f"told of {hit.told} cached tokens for the beginning of session {victim.number}, "
                f"of {miss.told} for another one"
            )
            self._testbed.client.report("cache", where, who, detail=detail)
        if self._model.separation != "none" and hit.cached != miss.cached:
            detail = (
                f"the provider's cache had {hit.cached} tokens of the beginning of session {victim.number}, "
                f"{miss.cached} of another one"
            )
            self._testbed.client.report("cache", where, who, detail=detail)

    def _check_names(self, field: str) -> None:
        """Report names in requests, by which a cache is found, that two sessions share or one changes."""
        sessions: dict[str, str] = {}
        for session, asked in self._asked.items():
            names = {getattr(each, field) for each in asked}
            if field == "salt" and self._model.separation == "salt on the wire" and "" in names:
                self._report_name(f"requests of {session} have no salt")
            for name in names - {""}:
                other = sessions.setdefault(name, session)
                if other != session:
                    self._report_name(f"{session} and {other} have the same {field}: {name!r}")
            if len(names) > 1:
                self._report_name(f"{session} has more than one {field}: its own cache is of no use to it")

    def _report_name(self, detail: str) -> None:
        self._testbed.client.report("cache", self._model.name, "the provider", detail=detail)

    # Requests -------------------------------------------------------------------------------------

    async def _ask(self, tenant: Tenant, name: str, body: "_RequestBody", *, goes_on: bool = False) -> _Seen:
        """Send the beginning of a conversation, or what goes on behind it; return what came of it."""
        key = self._key(tenant, name)
        before, number = await self._usage(tenant, key), len(self._model.provider.asked)
        attempt = Attempt(
            route=body.route,
            target=body.route.partition(" ")[2],
            headers={"x-session-key": key},
            body=body.json(self._model.name, goes_on=goes_on),
        )
        reply = await self._send(tenant, attempt)
        after = await self._usage(tenant, key)
        asked = tuple(self._model.provider.asked[number:])
        self._asked.setdefault(key, []).extend(asked)
        return _Seen((*_cached_in(reply), after - before), asked)

    async def _usage(self, tenant: Tenant, key: str) -> int:
        """Return the cached tokens of the session so far, as its usage tells them."""
        route = "GET /v1/sessions/{key}/usage"
        if route not in self._testbed.routes:
            return 0
        target = f"/v1/sessions/{path_of(key)}/usage"
        reply = await self._testbed.client.send(_requester(tenant), Attempt(route=route, target=target))
        return sum(_cached_in(reply))

    async def _show(self, tenant: Tenant, name: str) -> None:
        """Have the owner read the conversation: secrets that nobody can see prove nothing elsewhere."""
        route = "GET /v1/sessions/{key}/messages"
        if route in self._testbed.routes:
            target = f"/v1/sessions/{path_of(self._key(tenant, name))}/messages"
            await self._testbed.client.send(_requester(tenant), Attempt(route=route, target=target))

    async def _send(self, tenant: Tenant, attempt: Attempt) -> Reply:
        reply = await self._testbed.client.send(_requester(tenant), attempt)
        if reply.status != 200:
            detail = f"{reply.status}: {reply.text[:300]}"
            self._testbed.client.report(
                "not seeded", attempt.route, f"session {tenant.number}", detail=detail
            )
        return reply

    def _key(self, tenant: Tenant, name: str) -> str:
        return f"{tenant.cache_key_prefix}{self._model.name}:{name}"


class _RequestBody(msgspec.Struct, frozen=True):
    """The beginning of a conversation: many words from `word` on, with the `secret` among them."""

    shape: Shape
    word: str
    secret: str

    @property
    def route(self) -> str:
        return _RESPONSES if self.shape == "response" else _CHAT

    @property
    def _text(self) -> str:
        words = " ".join(f"{self.word}{number}" for number in range(_WORDS))
        return f"{words} {self.secret} {words}"

    def json(self, model: str, *, goes_on: bool) -> bytes:
        """Return the request with the beginning, or what comes later in the same conversation."""
        long, question = self._text, "And then?" if goes_on else "What of it?"
        said = question if self.shape in ("instructions", "tools") or goes_on else long
        if self.shape == "response":
            return json.dumps({"model": model, "instructions": long, "input": said}).encode()
        messages = [{"role": "user", "content": said}]
        if self.shape == "instructions":
            messages.insert(0, {"role": "system", "content": long})
        if self.shape == "history" and not goes_on:
            messages += [{"role": "assistant", "content": long}, {"role": "user", "content": question}]
        body: dict[str, object] = {"model": model, "messages": messages}
        if self.shape == "tools":
            body["tools"] = [{"type": "function", "function": {"name": "look", "description": long}}]
        if self.shape == "stream":
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(body).encode()


def _cached_in(reply: Reply) -> list[int]:
    """Return every number of cached tokens in an answer, which may be a stream."""
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines()]
    found: list[int] = []
    for text in (reply.text, *lines):
        try:
            found += _numbers(json.loads(text))
        except ValueError:
            continue
    return found


def _numbers(value: object) -> list[int]:
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    if not isinstance(value, dict):
        return []
    found = []
    for name, item in value.items():
        if name == "cached_tokens" and isinstance(item, int):
            found.append(item)
        else:
            found += _numbers(item)
    return found


def _requester(tenant: Tenant) -> Requester:
    return Requester(f"session {tenant.number}", tenant.token, tenant.number)
