"""Opening a server: its store, what the settings switch on, and the parts that run, taken down in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from nanobot.app import settings
from nanobot.app.app import App
from nanobot.app.jobs import periodic_jobs
from nanobot.app.models import Models
from nanobot.app.periodic import PeriodicJob, PeriodicJobs
from nanobot.app.personas import SettingsSource
from nanobot.app.resources import AppResources
from nanobot.app.skills import SkillsInUse, open_skills, takes_skills
from nanobot.config import Config
from nanobot.core.accounts import PriceList
from nanobot.core.clock import Clock, SystemClock
from nanobot.core.ids import Randomness, SystemRandomness
from nanobot.core.observer import Observer, Observers
from nanobot.core.persona import Personas
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.engine.embedder import Embedder
from nanobot.reading.fetch import Fetcher
from nanobot.stores.audit_log import AuditLog
from nanobot.stores.secret import load_secret
from nanobot.stores.sqlite.store import open_store
from nanobot.stores.workspaces.folder import WorkspaceFolder
from nanobot.stores.workspaces.leftovers import set_aside
from nanobot.stores.workspaces.local import LocalWorkspaces
from nanobot.stores.workspaces.tree import is_supported
from nanobot.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from nanobot.app.shell import Shell
    from nanobot.stores.vectors.process import VectorProcess
    from nanobot.tools.mcp.servers import McpServers

_log = logging.getLogger(__name__)


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
    source: SettingsSource | None = None,
) -> AsyncIterator[App]:
    """Open the store and start the engine; yield the running server, and take it down in order afterwards.

    `tools` are added to the agent's own, `observers` to the metrics. `fetcher` replaces the one that the
    settings describe, for tests whose web is on this machine. `source`: where the settings came from, which
    is read again when it changes.

    Raises:
        StoreError: the data directory cannot be used.
        ConfigError: texts are to be compared by meaning, and cannot be here.
    """
    clock, randomness = clock or SystemClock(), randomness or SystemRandomness()
    metrics = Metrics(clock)
    # Without others, events go to the metrics directly.
    observer = Observers((metrics, *observers)) if observers else metrics
    vectors = _vectors(config, clock, observer)
    async with contextlib.AsyncExitStack() as stack:
        audit = await stack.enter_async_context(_audit_log(config))
        store = await stack.enter_async_context(_store(config, models, clock, observer, vectors))
        stack.push_async_callback(models.close)
        secret = await asyncio.to_thread(load_secret, config.data)
        await asyncio.to_thread(set_aside, config.data)
        workspaces = await stack.enter_async_context(_workspaces(config, store))
        personas = Personas()
        skills, skill_jobs = await _skills(config, personas, models)
        shell = await stack.enter_async_context(
            _shell(config, workspaces, clock, randomness, skills, audit, store)
        )
        mcp = await stack.enter_async_context(_mcp(config, clock, randomness))
        app = App(
            AppResources(
                config=config,
                models=models,
                clock=clock,
                randomness=randomness,
                metrics=metrics,
                observer=Observers((observer, shell.observer)) if shell else observer,
                store=store,
                secret=secret,
                audit=audit,
                workspaces=workspaces,
                personas=personas,
                source=source,
                skills=skills,
                mcp=mcp,
                fetcher=fetcher,
                tools=(*tools, *shell.tools) if shell else tools,
                jobs=(*shell.jobs, *skill_jobs) if shell else skill_jobs,
            )
        )
        await app.accounts.load()
        embedder = Embedder(store, vectors, clock, observer) if vectors is not None else None
        await stack.enter_async_context(_running(app, embedder))
        yield app


@contextlib.asynccontextmanager
async def _audit_log(config: Config) -> AsyncIterator[AuditLog | None]:
    if not config.audit.enabled:
        yield None
        return
    audit = AuditLog(config.data, settings.audit_keeping(config))
    try:
        yield audit
    finally:
        # It writes what is left to the disk.
        await asyncio.to_thread(audit.close)


@contextlib.asynccontextmanager
async def _store(
    config: Config, models: Models, clock: Clock, observer: Observer, vectors: VectorProcess | None
) -> AsyncIterator[Store]:
    """Yield the store, with what compares its texts by meaning, where something does.

    Raises:
        StoreError: the data directory cannot be used.
    """
    store = await open_store(
        config.data,
        clock,
        settings.store_limits(config),
        config.store.synchronous,
        observer,
        PriceList(models.price_names, settings.prices(config, models)),
        settings.scope_rules(config),
        vectors,
    )
    try:
        yield store
    finally:
        if vectors is not None:
            await vectors.close()
        await store.close()


async def _skills(
    config: Config, personas: Personas, models: Models
) -> tuple[SkillsInUse | None, tuple[PeriodicJob, ...]]:
    """Return the skills, and what keeps them as their folder has them; read where a model takes any."""
    skills = open_skills(config, personas)
    if skills is None or not any(takes_skills(model) for model in models.all):
        return skills, ()
    await skills.load()
    return skills, (skills.job,)


@contextlib.asynccontextmanager
async def _shell(
    config: Config,
    workspaces: LocalWorkspaces | None,
    clock: Clock,
    randomness: Randomness,
    skills: SkillsInUse | None,
    audit: AuditLog | None,
    store: Store,
) -> AsyncIterator[Shell | None]:
    if not config.shell.sessions:
        yield None
        return
    # Most servers run no commands.
    from nanobot.app.shell import open_shell

    async with open_shell(config, workspaces, clock, randomness, skills, audit, store) as shell:
        yield shell


@contextlib.asynccontextmanager
async def _mcp(config: Config, clock: Clock, randomness: Randomness) -> AsyncIterator[McpServers | None]:
    if not config.mcp.servers and config.mcp.file is None:
        yield None
        return
    # Most servers have no tools of others.
    from nanobot.app.mcp import open_mcp

    async with open_mcp(config, clock, randomness) as mcp:
        yield mcp


@contextlib.asynccontextmanager
async def _running(app: App, embedder: Embedder | None) -> AsyncIterator[None]:
    """Run the engine and the periodic jobs meanwhile. An engine that fails takes the server down with it:
    otherwise turns would be admitted that nobody runs.
    """
    async with asyncio.TaskGroup() as group:
        engine = group.create_task(app.engine.run())
        background = [group.create_task(job()) for job in (app.compactor.run, app.delegations.run)]
        if app.extracting is not None:
            background.append(group.create_task(app.extracting.run()))
        if embedder is not None:
            background.append(group.create_task(embedder.run()))
        periodic = group.create_task(PeriodicJobs(periodic_jobs(app), app.clock).run())
        try:
            yield
        finally:
            # Draining needs the engine at work, so its task is stopped only afterwards.
            await app.drain()
            await app.submitting.followers.close()
            await app.submitting.deliveries.close()
            await app.reading.workers.close()
            engine.cancel()
            for task in background:
                task.cancel()
            periodic.cancel()


def _vectors(config: Config, clock: Clock, observer: Observer) -> VectorProcess | None:
    """Return what compares texts by meaning, where the settings want that.

    Raises:
        ConfigError: it cannot run here.
    """
    if not config.memory.vectors:
        return None
    # Most servers compare texts by their words.
    from nanobot.app.vectors import make_vectors

    return make_vectors(config, clock, observer)


@contextlib.asynccontextmanager
async def _workspaces(config: Config, store: Store) -> AsyncIterator[LocalWorkspaces | None]:
    """Yield the workspaces, which commands run in, too; None where the settings or this system have none.

    Raises:
        ConfigError: a shared folder cannot be one.
    """
    if not config.workspace.enabled:
        yield None
        return
    roots = settings.shared_roots(config)
    if not is_supported():
        _log.warning(
            "the agent keeps no files: this system cannot open files relative to folders (on Windows use"
            " WSL2); workspace.enabled = false switches this message off"
        )
        yield None
        return
    folder = WorkspaceFolder(config.data)
    workspaces = LocalWorkspaces(folder, store.identify, settings.workspace_limits(config), roots)
    try:
        yield workspaces
    finally:
        await workspaces.close()
