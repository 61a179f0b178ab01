"""A running server: its parts, in the order in which they start and stop."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

from starlette.types import ASGIApp

from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Quotas
from nanobot.agent.loop import Agent
from nanobot.agent.toolset import Toolset
from nanobot.api.server import build_door
from nanobot.app import settings
from nanobot.app.models import Models
from nanobot.app.tools import own_tools
from nanobot.config import Config
from nanobot.core.accounts import PriceList, TurnCost
from nanobot.core.clock import Clock, SystemClock
from nanobot.core.errors import StoreError
from nanobot.core.ids import Randomness, SystemRandomness
from nanobot.core.observer import Observer, Observers
from nanobot.core.tool import Tool
from nanobot.engine.local import LocalEngine
from nanobot.models.providers import PRICES
from nanobot.reading.documents import Documents
from nanobot.reading.fetch import Fetcher
from nanobot.stores.audit import AuditLog
from nanobot.stores.retention import Sweeper
from nanobot.stores.sqlite import SqliteStore, open_store
from nanobot.submit.attachments import Attachments
from nanobot.submit.followers import Followers
from nanobot.telemetry.metrics import Metrics

SWEEP_S = 600.0
_log = logging.getLogger(__name__)


class App:
    """A running server. `door` is its HTTP side; `open_app` makes one."""

    def __init__(
        self,
        config: Config,
        store: SqliteStore,
        models: Models,
        clock: Clock,
        randomness: Randomness,
        tools: Sequence[Tool],
        metrics: Metrics,
        observer: Observer,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._metrics = metrics
        self.config = config
        self.store = store
        self.models = models
        self.clock = clock
        self.randomness = randomness
        self.keys = KeyRing(settings.configured_keys(config))
        self.quotas = Quotas(settings.pattern_quotas(config), clock)
        store.on_spent = self._count_spent
        self.audit = AuditLog(config.data, settings.audit_keeping(config)) if config.audit.enabled else None
        self.followers = Followers(store, clock, config.api.disconnect_grace_s)
        self.engine = LocalEngine(
            store,
            Agent(
                Toolset([*own_tools(clock), *tools], observer),
                clock,
                settings.agent_settings(config),
                observer,
            ),
            models,
            clock,
            max_running_turns=config.engine.max_running_turns,
            turn_timeout_s=config.engine.turn_timeout_s or None,
            observer=observer,
        )
        self.door: ASGIApp = build_door(
            store,
            self.followers,
            clock,
            randomness,
            access=settings.http_access(config),
            keys=self.keys,
            quotas=self.quotas,
            audit=self.audit,
            settings=settings.chat_settings(config, models),
            contents=_attachments(config, store, fetcher),
            file_settings=settings.file_settings(config),
            check_model=lambda: models.default.check(),
            render_metrics=self._render_metrics,
            observer=observer,
        )

    def _count_spent(self, spent: TurnCost) -> None:
        self.quotas.count(spent)
        self._metrics.turn_paid(spent)

    async def load_accounts(self) -> None:
        """Read which API keys there are, and how much of the quotas is used up.

        Raises:
            StoreError
        """
        await self.keys.refresh(self.store)
        await self.quotas.load(self.store)

    async def _render_metrics(self) -> str:
        return self._metrics.text(waiting=await self.store.waiting(), running=self.engine.running)

    async def drain(self) -> None:
        """Let running turns end within the grace period, give the rest back to the store, and tell those who
        still follow.
        """
        await self.engine.drain(self.config.server.shutdown_grace_s)
        self.store.hang_up()


def _attachments(config: Config, store: SqliteStore, fetcher: Fetcher | None) -> Attachments:
    fetcher = fetcher or Fetcher(settings.fetch_bounds(config))
    documents = Documents(settings.document_bounds(config))
    return Attachments(store, documents, fetcher if config.files.fetch else None)


@contextlib.asynccontextmanager
async def open_app(
    config: Config,
    models: Models,
    *,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    tools: Sequence[Tool] = (),
    fetcher: Fetcher | None = None,
    observers: Sequence[Observer] = (),
) -> AsyncIterator[App]:
    """Open the store and start the engine; yield the running server, and take it down in order afterwards.

    `tools` are added to the agent's own, `observers` to the metrics. `fetcher` replaces the one that the
    settings describe, for tests whose web is on this machine.

    Raises:
        StoreError: the data directory cannot be used.
    """
    clock = clock or SystemClock()
    metrics = Metrics(clock)
    observer = Observers((metrics, *observers)) if observers else metrics
    prices = PriceList(models.price_names, {**PRICES, **config.prices})
    store = await open_store(
        config.data, clock, settings.store_limits(config), config.store.synchronous, observer, prices
    )
    audit: AuditLog | None = None
    try:
        app = App(
            config, store, models, clock, randomness or SystemRandomness(), tools, metrics, observer, fetcher
        )
        audit = app.audit
        await app.load_accounts()
        # One group: an engine that fails takes the server down with it, so nothing is admitted that nobody runs.
        async with asyncio.TaskGroup() as group:
            engine = group.create_task(app.engine.run())
            sweeper = group.create_task(_sweep(store, clock))
            watch = group.create_task(app.keys.watch(store, clock))
            retention = group.create_task(Sweeper(store, clock, settings.retention_rules(config)).run())
            try:
                yield app
            finally:
                await app.drain()
                await app.followers.close()
                engine.cancel()
                sweeper.cancel()
                watch.cancel()
                retention.cancel()
    finally:
        await models.close()
        await store.close()
        if audit is not None:
            await asyncio.to_thread(audit.close)


async def _sweep(store: SqliteStore, clock: Clock) -> None:
    """Delete what has expired, from time to time; nobody sees it meanwhile."""
    while True:
        await clock.sleep(SWEEP_S)
        try:
            await store.delete_expired_uploads()
        except StoreError as error:
            _log.error(
                "uploads that have expired could not be deleted, next try in %g s: %s", SWEEP_S, error.message
            )
