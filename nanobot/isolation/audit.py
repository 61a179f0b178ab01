"""The course of an isolation audit: tenants are seeded batch by batch, and attacked by all the others."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import msgspec

from nanobot.isolation.attacker import own_sessions
from nanobot.isolation.attempts import ATTEMPTS
from nanobot.isolation.cache_attack import attack_caches
from nanobot.isolation.caching_models import CachingModel
from nanobot.isolation.canaries import PAST
from nanobot.isolation.client import Attempt, Leak, Requester
from nanobot.isolation.scan import scan_prompts
from nanobot.isolation.seed import Seeder
from nanobot.isolation.tenants import Resources, Tenant, fictitious
from nanobot.isolation.testbed import Testbed

EXPIRED_KEY = "nb-expired"
_COMPARE_EVERY = 4
"""Of so many pairs of tenants, one also asks for things that never existed."""
_DELETE_EVERY = 5
"""Of so many tenants, one has its sessions deleted before it begins again."""
Job = Callable[[], Awaitable[None]]


class IsolationOptions(msgspec.Struct, frozen=True):
    """The extent of an audit.

    `parallel`: how many things happen at a time. Of `sample` sessions everything is asked for by each of the
    others among them. `refusal_timeout_s`: a refusal that takes longer does not count as one.
    """

    sessions: int = 200
    parallel: int = 32
    seed: int = 0
    sample: int = 12
    refusal_timeout_s: float = 10.0


class IsolationAudit:
    """One run. While a batch of tenants is seeded, all tenants attack the batch before.

    `needs_key`: the operations, and whether each needs an API key. `owners`: the owner of each session key,
    kept up to date while tenants are deleted. `caching_models`: those whose prefix caches are attacked.
    `prompt_leaks`: what `run` found in prompts.
    """

    def __init__(
        self,
        testbed: Testbed,
        tenants: Sequence[Tenant],
        needs_key: dict[str, bool],
        owners: dict[str, int],
        options: IsolationOptions,
        rng: random.Random,
        show_progress: Callable[[str], None],
        caching_models: Sequence[CachingModel] = (),
    ) -> None:
        self._testbed = testbed
        self._client = testbed.client
        self._tenants = tenants
        self._needs_key = needs_key
        self._routes = [route for route in needs_key if route in ATTEMPTS]
        self._owners = owners
        self._options = options
        self._rng = rng
        self._show_progress = show_progress
        self._caching_models = caching_models
        self._seeders: dict[int, Seeder] = {}
        self.prompt_leaks: list[Leak] = []

    async def run(self) -> None:
        await self._seed_and_delete_some()
        size = self._options.parallel
        batches = [self._tenants[start : start + size] for start in range(0, len(self._tenants), size)]
        seeded: Sequence[Tenant] = ()
        for number, batch in enumerate((*batches, ()), 1):
            self._show_progress(
                f"round {number} of {len(batches) + 1}: "
                f"seeding {len(batch)} sessions, attacking {len(seeded)}"
            )
            await self._run_all([*(self._seed(tenant) for tenant in batch), *self._attacks_on(seeded)])
            await self._run_all([self._release(tenant) for tenant in seeded])
            seeded = batch
        self._show_progress("asking for everything that a sample of the sessions has")
        await self._run_all(
            [*self._attacks_in_sample(), *self._attacks_by_strangers(), *self._attacks_on_deleted()]
        )
        await self._run_all([self._check_damage(tenant) for tenant in self._tenants])
        tokens, self.prompt_leaks = scan_prompts(self._testbed.model.prompts)
        await self._run_all(
            [self._check_usage(tenant, tokens.get(tenant.number, 0)) for tenant in self._tenants]
        )
        self._show_progress("guessing how other sessions begin, by what the caches of models have")
        await attack_caches(self._testbed, self._caching_models, self._tenants[: self._options.sample])

    async def _run_all(self, jobs: list[Job]) -> None:
        """Run all jobs in random order, `parallel` at a time."""
        self._rng.shuffle(jobs)
        # One iterator for all workers: each takes the next job.
        waiting = iter(jobs)

        async def work() -> None:
            for job in waiting:
                await job()

        async with asyncio.TaskGroup() as group:
            for _ in range(self._options.parallel):
                group.create_task(work())

    # Seeding --------------------------------------------------------------------------------------

    async def _seed_and_delete_some(self) -> None:
        """Seed some tenants and delete their sessions, before they begin again under the same keys."""
        if "DELETE /v1/sessions/{key}" not in self._needs_key:
            return
        tenants = self._tenants[::_DELETE_EVERY]
        self._show_progress(f"seeding {len(tenants)} sessions, and deleting them while they are in use")
        await self._run_all([self._seed_and_delete(tenant) for tenant in tenants])

    def _seed_and_delete(self, tenant: Tenant) -> Job:
        async def job() -> None:
            owner = PAST + tenant.number
            self._owners.update(dict.fromkeys(tenant.keys, owner))
            seeder = Seeder(tenant, owner, self._testbed)
            await seeder.seed()
            await seeder.delete_while_running()
            tenant.deleted = seeder.resources
            self._owners.update(dict.fromkeys(tenant.keys, tenant.number))

        return job

    def _seed(self, tenant: Tenant) -> Job:
        async def job() -> None:
            seeder = Seeder(tenant, tenant.number, self._testbed)
            await seeder.seed()
            tenant.resources = seeder.resources
            self._seeders[tenant.number] = seeder

        return job

    def _release(self, tenant: Tenant) -> Job:
        async def job() -> None:
            await self._testbed.release(tenant.number)

        return job

    # Attacks --------------------------------------------------------------------------------------

    def _attacks_on(self, victims: Sequence[Tenant]) -> list[Job]:
        """Return the attacks of all tenants on these.

        Each pair gets some of the routes, spread so that every tenant attacks on each route, and every route
        of a victim is attacked.
        """
        others, count = len(self._tenants) - 1, len(self._routes)
        share = -(-count // others) if others else 0
        jobs = []
        for victim in victims:
            for attacker in self._tenants:
                distance = (victim.number - attacker.number) % len(self._tenants) - 1
                if distance < 0:
                    continue
                picks = [distance * share + attacker.number + more for more in range(share)]
                routes = [(self._routes[pick % count], pick // count) for pick in picks]
                if distance % _COMPARE_EVERY == 0:
                    jobs.append(self._comparing_attack(attacker, victim, routes))
                else:
                    jobs.append(self._attack(attacker, victim, routes))
        return jobs

    def _attack(self, attacker: Tenant, victim: Tenant, routes: list[tuple[str, int]]) -> Job:
        """Return the attack by one attempt on each route: the one of that number, counted round."""

        async def job() -> None:
            own = own_sessions(attacker)
            for route, number in routes:
                if attempts := tuple(ATTEMPTS[route](route, own, victim.resources)):
                    await self._client.expect_refusal(_requester(attacker), attempts[number % len(attempts)])

        return job

    def _comparing_attack(self, attacker: Tenant, victim: Tenant, routes: list[tuple[str, int]]) -> Job:
        """Return the same attack, with every answer compared to that for things that never existed."""

        async def job() -> None:
            own, unreal = own_sessions(attacker), fictitious(victim.resources, self._rng)
            for route, number in routes:
                if attempts := tuple(ATTEMPTS[route](route, own, victim.resources)):
                    at = number % len(attempts)
                    twin = tuple(ATTEMPTS[route](route, own, unreal))[at]
                    await self._expect_same_refusal(attacker, attempts[at], twin, victim.resources, unreal)

        return job

    def _attacks_in_sample(self) -> list[Job]:
        """Return every attempt on everything that a sample of tenants has, by each of them."""
        size = self._options.sample
        sample = self._tenants
        if len(self._tenants) > size:
            sample = [*self._tenants[: size - size // 2], *self._tenants[-(size // 2) :]]
        return [
            self._full_attack(attacker, victim)
            for attacker in sample
            for victim in sample
            if attacker is not victim
        ]

    def _full_attack(self, attacker: Tenant, victim: Tenant) -> Job:
        async def job() -> None:
            own, unreal = own_sessions(attacker), fictitious(victim.resources, self._rng)
            for route in self._routes:
                build = ATTEMPTS[route]
                for attempt, twin in zip(
                    build(route, own, victim.resources), build(route, own, unreal), strict=True
                ):
                    await self._expect_same_refusal(attacker, attempt, twin, victim.resources, unreal)

        return job

    async def _expect_same_refusal(
        self, attacker: Tenant, attempt: Attempt, twin: Attempt, real: Resources, unreal: Resources
    ) -> None:
        names = tuple(zip(real.names(), unreal.names(), strict=True))
        await self._client.expect_refusal(_requester(attacker), attempt, fictitious=twin, names=names)

    def _attacks_by_strangers(self) -> list[Job]:
        """Return the attempts of requesters without an API key, with a wrong one, and with an expired one."""
        strangers = (
            Requester("no API key", None),
            Requester("a wrong API key", "nb-wrong"),
            Requester("an expired API key", EXPIRED_KEY),
        )
        return [
            self._attack_by_stranger(stranger, victim)
            for stranger in strangers
            for victim in self._tenants[-2:]
        ]

    def _attack_by_stranger(self, stranger: Requester, victim: Tenant) -> Job:
        async def job() -> None:
            for route in self._routes:
                for attempt in ATTEMPTS[route](route, own_sessions(victim), victim.resources):
                    reply = await self._client.send(stranger, attempt)
                    if self._needs_key[route] and reply.status != HTTPStatus.UNAUTHORIZED:
                        detail = f"{attempt.target} was answered with {reply.status}"
                        self._client.report("not refused", route, stranger.name, detail=detail)

        return job

    def _attacks_on_deleted(self) -> list[Job]:
        """Return the attempts of tenants on what they had under the same keys before it was deleted."""
        return [
            self._attack_on_deleted(tenant, tenant.deleted)
            for tenant in self._tenants
            if tenant.deleted is not None
        ]

    def _attack_on_deleted(self, tenant: Tenant, deleted: Resources) -> Job:
        async def job() -> None:
            for route in self._routes:
                for attempt in ATTEMPTS[route](route, own_sessions(tenant), deleted):
                    if attempt.refers_by == "id":
                        await self._client.expect_refusal(_requester(tenant), attempt)

        return job

    # Checks at the end ----------------------------------------------------------------------------

    def _check_damage(self, tenant: Tenant) -> Job:
        """Return the check that everything of the tenant is as it left it."""

        async def job() -> None:
            for damage in await self._seeders[tenant.number].damage():
                detail = "(another session changed or stopped it)"
                self._client.report("damaged", damage, f"session {tenant.number}", detail=detail)

        return job

    def _check_usage(self, tenant: Tenant, tokens: int) -> Job:
        """Return the check that the tenant is shown no more tokens than its own."""

        async def job() -> None:
            route = "GET /v1/usage"
            if route not in self._needs_key:
                return
            reply = await self._client.send(_requester(tenant), Attempt(route=route, target="/v1/usage"))
            shown = msgspec.json.decode(reply.text, type=_Usage).totals.total_tokens
            if shown > tokens:
                detail = f"shows {shown} tokens, its own are {tokens}"
                self._client.report("usage", route, f"session {tenant.number}", detail=detail)

        return job


class _Totals(msgspec.Struct):
    total_tokens: int


class _Usage(msgspec.Struct):
    totals: _Totals


def _requester(tenant: Tenant) -> Requester:
    return Requester(f"session {tenant.number}", tenant.token, tenant.number)
