"""The audit: a house on a directory of its own, tenants who live in it, and everybody asking for everybody
else's.
"""

import asyncio
import datetime
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import msgspec

from nanobot.app import App, Models, open_app
from nanobot.config import Config, KeyTable
from nanobot.http.guard import Guard
from nanobot.isolation.attempts import FILLERS, seat_of
from nanobot.isolation.canaries import PAST, Canaries
from nanobot.isolation.client import Attempt, AuditCaller, AuditClient, Leak
from nanobot.isolation.listening import listening
from nanobot.isolation.report import Asked, Planted, Report
from nanobot.isolation.scan import NAMES, LogWatch, scan_audit_log, scan_prompts
from nanobot.isolation.seed import House, Life
from nanobot.isolation.tenants import Aim, Tenant, hash_of, make_tenants, never
from nanobot.isolation.witness import Witness, vault

_COMPARED = 4
"""Of so many pairs, one is also asked about what never was."""
_EXPIRED = "nb-expired"
_PAST_OF = 5
"""Of so many tenants, one has had another life."""
Tell = Callable[[str], None]
Job = Callable[[], Awaitable[None]]


class AuditPlan(msgspec.Struct, frozen=True):
    """How much is to be audited.

    `patience_s`: a refusal that takes longer is none. Of `sample` sessions everything is asked for by each of
    the others among them.
    """

    sessions: int = 200
    parallel: int = 32
    seed: int = 0
    sample: int = 12
    patience_s: float = 10.0


async def audit(config: Config, wish: AuditPlan, tell: Tell = lambda _: None) -> Report:
    """Return what came to light. Nothing is sent anywhere, and the data directory of `config` is not touched.

    Raises:
        ConfigError, StoreError: the house cannot be opened with these settings.
    """
    chance = random.Random(wish.seed)  # noqa: S311 - secrets of a house that is pulled down afterwards
    canaries = Canaries(chance)
    tenants = make_tenants(wish.sessions, canaries, chance)
    witness = Witness(canaries)
    owners: dict[str, int] = {key: tenant.number for tenant in tenants for key in tenant.keys}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nanobot-audit-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        models = Models(witness, dict.fromkeys(config.models, witness))
        with LogWatch(canaries, NAMES) as log:
            async with (
                open_app(
                    audited(config, data, tenants, wish), models, tools=(vault(canaries, owners),)
                ) as app,
                listening(app.asgi) as origin,
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
                ) as client,
                asyncio.TaskGroup() as group,
            ):
                asking = AuditClient(client, origin, canaries, wish.patience_s)
                rights = offered(app)
                house = House(asking, canaries, witness, rights, group)
                run = IsolationAudit(house, tenants, rights, owners, wish, chance, tell)
                await run.run()
        written, leaks = scan_audit_log(data, canaries, NAMES | {"key"})
    return Report(
        sessions=wish.sessions,
        parallel=wish.parallel,
        seed=wish.seed,
        seconds=time.monotonic() - started,
        planted=tuple(
            Planted(name, count, len(canaries.seen.get(name, ())))
            for name, count in sorted(canaries.planted.items())
        ),
        asked=tuple(
            Asked(route, asking.asked[route], asking.compared[route]) for route in rights if route in FILLERS
        ),
        answers={str(status): count for status, count in sorted(asking.answers.items())},
        prompts=len(witness.prompts),
        log_lines=log.count,
        audit_log_lines=written,
        unknown=unknown(rights),
        broken=asking.broken,
        leaks=(*asking.leaks, *run.shown, *log.leaks, *leaks),
    )


def audited(config: Config, data: Path, tenants: Sequence[Tenant], wish: AuditPlan) -> Config:
    """Return the settings for the audit: the user's, but on a directory of its own, with its own keys, and
    with room for all that it asks.
    """
    replace = msgspec.structs.replace
    ended = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    stale = KeyTable(name="expired", hash=hash_of(_EXPIRED), expires=ended)
    return replace(
        config,
        server=replace(config.server, host="127.0.0.1", data=str(data), shutdown_grace_s=0.0),
        api=replace(
            config.api, key=None, stream=True, max_bad_keys=0, max_queue=max(config.api.max_queue, 64)
        ),
        engine=replace(
            config.engine, max_running_turns=max(config.engine.max_running_turns, 4 * wish.parallel)
        ),
        store=replace(config.store, synchronous="normal"),
        keys=(*(tenant.table() for tenant in tenants), stale),
        quotas=(),
    )


def offered(app: App) -> dict[str, bool]:
    """Return the operations of the API, as `METHOD /path`, and whether each needs an API key."""
    api = app.asgi
    if not isinstance(api, Guard):
        raise TypeError(f"the API is a {type(api).__name__}: what it offers is not known")
    found = [operation for path in api.paths.values() for operation in path.operations.values()]
    return {
        f"{operation.method} {operation.path.replace(':path', '')}": operation.right is not None
        for operation in found
    }


def unknown(routes: Sequence[str] | dict[str, bool]) -> tuple[str, ...]:
    """Return the routes of which the audit does not know how to ask."""
    return tuple(route for route in routes if route not in FILLERS)


class IsolationAudit:
    """One run.

    Tenants move in batch by batch; while a batch does, everybody asks for what the batch before has.
    """

    def __init__(
        self,
        house: House,
        tenants: Sequence[Tenant],
        rights: dict[str, bool],
        owners: dict[str, int],
        wish: AuditPlan,
        chance: random.Random,
        tell: Tell,
    ) -> None:
        self._house = house
        self._asking = house.asking
        self._tenants = tenants
        self._needs_key = rights
        self._routes = [route for route in rights if route in FILLERS]
        self._owners = owners
        self._wish = wish
        self._chance = chance
        self._tell = tell
        self._lives: dict[int, Life] = {}
        self.shown: list[Leak] = []

    async def run(self) -> None:
        await self._live_before()
        size = self._wish.parallel
        batches = [self._tenants[start : start + size] for start in range(0, len(self._tenants), size)]
        before: Sequence[Tenant] = ()
        for number, batch in enumerate((*batches, ())):
            self._tell(
                f"round {number + 1} of {len(batches) + 1}: {len(batch)} sessions are filled, {len(before)} are attacked"
            )
            await self._together([*(self._moving_in(tenant) for tenant in batch), *self._attacks_on(before)])
            await self._together([self._settling(tenant) for tenant in before])
            before = batch
        self._tell("everything of a few is asked for by each of them")
        await self._together([*self._on_everything(), *self._by_strangers(), *self._on_their_own_past()])
        await self._together([self._checking_harm(tenant) for tenant in self._tenants])
        spent, self.shown = scan_prompts(self._house.witness.prompts)
        await self._together(
            [self._checking_usage(tenant, spent.get(tenant.number, 0)) for tenant in self._tenants]
        )

    async def _together(self, jobs: list[Job]) -> None:
        """Do all of them, mixed, so many at a time."""
        self._chance.shuffle(jobs)
        waiting = iter(jobs)

        async def work() -> None:
            for job in waiting:
                await job()

        async with asyncio.TaskGroup() as group:
            for _ in range(self._wish.parallel):
                group.create_task(work())

    # Living ---------------------------------------------------------------------------------------

    async def _live_before(self) -> None:
        """Let some tenants have had a life: sessions that are deleted before they begin again under the same
        keys.
        """
        if "DELETE /v1/sessions/{key}" not in self._needs_key:
            return
        ended = self._tenants[::_PAST_OF]
        self._tell(f"{len(ended)} sessions are filled, and deleted while they are in use")
        await self._together([self._past_of(tenant) for tenant in ended])

    def _past_of(self, tenant: Tenant) -> Job:
        async def job() -> None:
            owner = PAST + tenant.number
            self._owners.update(dict.fromkeys(tenant.keys, owner))
            life = Life(tenant, owner, self._house)
            await life.begin()
            await life.go_on()
            await life.hold()
            await life.end()
            tenant.past = life.aim
            self._owners.update(dict.fromkeys(tenant.keys, tenant.number))

        return job

    def _moving_in(self, tenant: Tenant) -> Job:
        async def job() -> None:
            life = Life(tenant, tenant.number, self._house)
            await life.begin()
            await life.go_on()
            await life.hold()
            tenant.aim = life.aim
            self._lives[tenant.number] = life

        return job

    def _settling(self, tenant: Tenant) -> Job:
        async def job() -> None:
            await self._house.settle(tenant.number)

        return job

    def _checking_harm(self, tenant: Tenant) -> Job:
        """Return the check that all which a tenant left is there, as it was left."""

        async def job() -> None:
            for what in await self._lives[tenant.number].missing():
                self._asking.report(
                    "harmed",
                    what,
                    f"session {tenant.number}",
                    detail="(somebody else changed it, or stopped it)",
                )

        return job

    # Asking ---------------------------------------------------------------------------------------

    def _attacks_on(self, victims: Sequence[Tenant]) -> list[Job]:
        """Return the attacks of all on these: each pair on some routes, so that everybody asks each route of
        many.
        """
        others, count = len(self._tenants) - 1, len(self._routes)
        share = -(-count // others) if others else 0
        jobs = []
        for victim in victims:
            for asker in self._tenants:
                place = (victim.number - asker.number) % len(self._tenants) - 1
                if place < 0:
                    continue
                picks = [place * share + asker.number + more for more in range(share)]
                jobs.append(
                    self._attack(
                        asker,
                        victim,
                        [(self._routes[pick % count], pick // count) for pick in picks],
                        place % _COMPARED == 0,
                    )
                )
        return jobs

    def _attack(self, asker: Tenant, victim: Tenant, picks: list[tuple[str, int]], is_compared: bool) -> Job:
        async def job() -> None:
            seat, twin = seat_of(asker), never(victim.aim, self._chance)
            for route, number in picks:
                real = tuple(FILLERS[route](route, seat, victim.aim))
                if real:
                    at = number % len(real)
                    other = tuple(FILLERS[route](route, seat, twin))[at] if is_compared else None
                    await self._refused(_caller(asker), real[at], other, victim.aim, twin)

        return job

    def _on_everything(self) -> list[Job]:
        """Return all attempts at all that a few have, by each of them."""
        size = self._wish.sample
        few = (
            self._tenants
            if len(self._tenants) <= size
            else [*self._tenants[: size - size // 2], *self._tenants[-(size // 2) :]]
        )

        def attack(asker: Tenant, victim: Tenant) -> Job:
            async def job() -> None:
                seat, twin = seat_of(asker), never(victim.aim, self._chance)
                for route in self._routes:
                    fill = FILLERS[route]
                    for real, other in zip(
                        fill(route, seat, victim.aim), fill(route, seat, twin), strict=True
                    ):
                        await self._refused(_caller(asker), real, other, victim.aim, twin)

            return job

        return [attack(asker, victim) for asker in few for victim in few if asker is not victim]

    async def _refused(
        self, caller: AuditCaller, real: Attempt, other: Attempt | None, aim: Aim, twin: Aim
    ) -> None:
        await self._asking.refused(
            caller, real, as_if=other, names=tuple(zip(aim.names(), twin.names(), strict=True))
        )

    def _by_strangers(self) -> list[Job]:
        """Return the attempts of those who have no API key, a wrong one, or one that is valid no more."""
        victims = self._tenants[-2:]
        strangers = (
            AuditCaller("nobody", None),
            AuditCaller("a wrong API key", "nb-wrong"),
            AuditCaller("an expired API key", _EXPIRED),
        )

        def attack(stranger: AuditCaller, victim: Tenant) -> Job:
            async def job() -> None:
                for route in self._routes:
                    for attempt in FILLERS[route](route, seat_of(victim), victim.aim):
                        reply = await self._asking.ask(stranger, attempt)
                        if self._needs_key[route] and reply.status != 401:
                            detail = f"{attempt.target} was answered with {reply.status}"
                            self._asking.report("not refused", route, stranger.name, detail=detail)

            return job

        return [attack(stranger, victim) for stranger in strangers for victim in victims]

    def _on_their_own_past(self) -> list[Job]:
        """Return the attempts at what a tenant had under the same keys before they were deleted."""

        def attack(tenant: Tenant, past: Aim) -> Job:
            async def job() -> None:
                for route in self._routes:
                    for attempt in FILLERS[route](route, seat_of(tenant), past):
                        if attempt.names == "id":
                            await self._asking.refused(_caller(tenant), attempt)

            return job

        return [attack(tenant, tenant.past) for tenant in self._tenants if tenant.past is not None]

    def _checking_usage(self, tenant: Tenant, tokens: int) -> Job:
        """Return the check that a tenant is told of no more tokens than its own."""

        async def job() -> None:
            route = "GET /v1/usage"
            if route not in self._needs_key:
                return
            reply = await self._asking.ask(_caller(tenant), Attempt(route=route, target="/v1/usage"))
            told = msgspec.json.decode(reply.text, type=_UsageSeen).totals.total_tokens
            if told > tokens:
                self._asking.report(
                    "usage",
                    route,
                    f"session {tenant.number}",
                    detail=f"{told} tokens are told of, its own are {tokens}",
                )

        return job


class _Totals(msgspec.Struct):
    total_tokens: int


class _UsageSeen(msgspec.Struct):
    totals: _Totals


def _caller(tenant: Tenant) -> AuditCaller:
    return AuditCaller(f"session {tenant.number}", tenant.token, tenant.number)
