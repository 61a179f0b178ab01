"""A running server: its parts, in the order in which they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from starlette.types import ASGIApp

from nanobot.access.admission import Gate, PartGate
from nanobot.access.keyring import REFRESH_S, KeyRing
from nanobot.access.quotas import Quotas
from nanobot.agent.loop import Agent
from nanobot.agent.other_sessions import KnownPeople
from nanobot.agent.permissions import Permissions
from nanobot.agent.recaller import Recaller
from nanobot.agent.toolset import Toolset
from nanobot.api.server import build_api
from nanobot.app import settings
from nanobot.app.models import Models
from nanobot.app.periodic import PeriodicJob, PeriodicJobs
from nanobot.app.personas import REFRESH_S as PERSONAS_REFRESH_S
from nanobot.app.personas import PersonasInUse, SettingsSource
from nanobot.app.policy import approval_settings, policy_rules, read_policy
from nanobot.app.skills import SkillsInUse, open_skills, takes_skills
from nanobot.app.tools import all_tools, web_tools, workspace_tools
from nanobot.config import Config
from nanobot.core.accounts import PriceList, TurnSettled, UnendedTurn
from nanobot.core.clock import Clock, SystemClock
from nanobot.core.extraction import Extracting
from nanobot.core.ids import Randomness, SystemRandomness
from nanobot.core.model import Model
from nanobot.core.observer import Observer, Observers
from nanobot.core.persona import Personas
from nanobot.core.policy import Policy
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.engine.compactor import Compactor
from nanobot.engine.local import LocalEngine
from nanobot.models.local.model import LocalModel
from nanobot.reading.documents import DocumentReader
from nanobot.reading.fetch import Fetcher
from nanobot.reading.schemas import WorkerSchemas
from nanobot.stores.audit_log import AuditLog
from nanobot.stores.retention import delete_unused
from nanobot.stores.secret import load_secret
from nanobot.stores.sqlite.store import open_store
from nanobot.stores.workspaces.folder import WorkspaceFolder
from nanobot.stores.workspaces.local import LocalWorkspaces
from nanobot.stores.workspaces.orphans import delete_orphans
from nanobot.stores.workspaces.tree import is_supported
from nanobot.submit.attachments import Attachments
from nanobot.submit.deliveries import FLUSH_EVERY_S, Deliveries
from nanobot.submit.followers import Followers
from nanobot.submit.kept_files import KeptFiles
from nanobot.submit.submitter import Submitter
from nanobot.telemetry.metrics import Metrics
from nanobot.tools.delegate import Delegations, delegate
from nanobot.tools.mcp.names import group_of
from nanobot.tools.memory import memory_tools
from nanobot.tools.sharing import share_fact
from nanobot.tools.workspace.files import AgentFiles
from nanobot.workers.pool import WorkerPool

if TYPE_CHECKING:
    from nanobot.tools.mcp.servers import McpServers

CLEANUP_EVERY_S = 600.0
_DAY_S = 86_400.0
_SWEEP_EVERY_S = 6 * 3600.0
_log = logging.getLogger(__name__)


class App:
    """A running server:

    `asgi` is its HTTP API, `submitter` takes requests for turns. `open_app` makes one.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        models: Models,
        clock: Clock,
        randomness: Randomness,
        tools: Sequence[Tool],
        metrics: Metrics,
        observer: Observer,
        secret: bytes,
        workspaces: LocalWorkspaces | None,
        fetcher: Fetcher | None = None,
        source: SettingsSource | None = None,
        jobs: Sequence[PeriodicJob] = (),
        personas: Personas | None = None,
        skills: SkillsInUse | None = None,
        mcp: McpServers | None = None,
    ) -> None:
        self.jobs = jobs
        self.skills = skills
        self.mcp = mcp
        self._metrics = metrics
        self.config = config
        self.store = store
        self.models = models
        self.clock = clock
        self.randomness = randomness
        self.keys = KeyRing(settings.configured_keys(config))
        self.quotas = Quotas(settings.pattern_quotas(config), clock)
        # Before the engine starts: no turn may begin or end without being counted.
        store.listen(self._follow_accounts)
        self.audit = AuditLog(config.data, settings.audit_keeping(config)) if config.audit.enabled else None
        self.deliveries = Deliveries(store)
        self.followers = Followers(store, clock, config.api.disconnect_grace_s, self.deliveries)
        self.workers = WorkerPool(clock=clock)
        schemas = WorkerSchemas(self.workers, settings.schema_bytes(config))
        documents = DocumentReader(self.workers, settings.document_bounds(config))
        fetcher = fetcher or Fetcher(settings.fetch_bounds(config), hosts=settings.host_rules(config))
        web = web_tools(config.web, fetcher, documents, randomness, reads_urls=config.files.fetch)
        remembering = _memory_tools(config, store, clock, randomness)
        self.workspaces = workspaces
        files = None if workspaces is None else AgentFiles(workspaces, store)
        gate = PartGate(store, self.quotas, self.keys)
        self.delegations = Delegations(gate, store, settings.delegation_settings(config))
        delegating = (delegate(self.delegations, files),) if config.delegation.max_parts else ()
        reading = (
            skills.tools(
                files, self.workers, randomness, has_commands=any(tool.group == "shell" for tool in tools)
            )
            if skills is not None
            else ()
        )
        further = (*delegating, *remembering, *workspace_tools(files, self.workers), *reading, *web, *tools)
        if mcp is not None:
            further += mcp.tools
        self.known_people = KnownPeople(store, settings.scope_rules(config))
        others = self.known_people if config.recall.people else None
        toolset = Toolset(
            all_tools(
                clock,
                store,
                documents,
                further,
                recall_result_tokens=config.recall.result_tokens,
                files=files,
                others=others,
            ),
            observer,
        )
        names = toolset.names
        servers = tuple(mcp.settings) if mcp is not None else ()
        if mcp is not None:
            mcp.follow(lambda server, offered: toolset.replace(group_of(server), offered))
        policy = read_policy(config, toolset.tools, servers)
        self.personas = PersonasInUse(
            config,
            models.names,
            names,
            source,
            personas,
            servers,
            lambda changed: partial(policy.set, policy_rules(changed, toolset.tools, servers)),
        )
        personas = self.personas.personas
        agent = Agent(
            toolset,
            clock,
            settings.agent_settings(config, models),
            schemas,
            observer,
            secret=secret,
            personas=personas,
            recaller=Recaller(store, tokens=config.recall.tokens, others=others, has_own=_is_small),
            permissions=Permissions(
                policy,
                store,
                clock,
                randomness,
                approval_settings(config),
                self.audit,
            ),
            skills=skills.indexes if skills is not None else None,
        )
        self.compactor = Compactor(
            store,
            agent,
            models,
            clock,
            settings.compaction_settings(config, models),
            is_small=_is_small,
        )
        self.extracting = _extracting(
            config, store, agent, models, clock, randomness, toolset, personas, policy
        )
        self.engine = _engine(
            config, store, models, clock, agent, observer, self.compactor, self.extracting, self.delegations
        )
        attachments = _attachments(config, store, documents, fetcher, clock, randomness)
        self.submitter = Submitter(
            store,
            Gate(store, self.quotas, self.followers.left),
            attachments,
            schemas,
            self.followers,
            self.audit,
            clock,
            randomness,
            check_length=lambda turn: agent.check_length(turn, models.get(turn.model or turn.default_model)),
            model_of=lambda session_key: personas.of(session_key).model,
            audio_models=settings.audio_models(models),
            most_pictures=lambda name: settings.most_pictures(models, config.agent.window_tokens, name),
        )
        self.asgi: ASGIApp = build_api(
            store,
            self.submitter,
            attachments,
            clock,
            randomness,
            access=settings.http_access(config),
            keys=self.keys,
            audit=self.audit,
            settings=settings.api_settings(
                config, models, tools_tokens=agent.tools_tokens, personas=personas
            ),
            file_settings=settings.file_settings(config),
            check_model=lambda: models.default.check(),
            render_metrics=self._render_metrics,
            compacting=self.compactor,
            secret=secret,
            workspaces=workspaces,
            observer=observer,
        )

    def _follow_accounts(self, news: UnendedTurn | TurnSettled) -> None:
        self.quotas.follow(news)
        if isinstance(news, TurnSettled) and news.cost is not None:
            self._metrics.turn_paid(news.cost)

    async def load_accounts(self) -> None:
        """Read which API keys there are, how much of the quotas is used up, and which accounts are linked.

        Raises:
            StoreError
        """
        await self.keys.refresh(self.store)
        await self.quotas.load(self.store)
        await self.known_people.refresh()

    async def _render_metrics(self) -> str:
        return self._metrics.text(waiting=await self.store.waiting(), running=self.engine.running)

    async def drain(self) -> None:
        """Let running turns end within the grace period, give the rest back to the store, and tell those who
        still follow.
        """
        await self.engine.drain(self.config.server.shutdown_grace_s)
        self.store.hang_up()


def _is_small(model: Model) -> bool:
    """Return whether it is the small model of this machine."""
    return isinstance(model, LocalModel)


def _workspaces(config: Config, store: Store) -> LocalWorkspaces | None:
    """Return the workspaces, which commands run in, too; None where the settings or this system have none.

    Raises:
        ConfigError: a shared folder cannot be one.
    """
    if not config.workspace.enabled:
        return None
    roots = settings.shared_roots(config)
    if not is_supported():
        _log.warning(
            "the agent keeps no files: this system cannot open files relative to folders (on Windows use"
            " WSL2); workspace.enabled = false switches this message off"
        )
        return None
    folder = WorkspaceFolder(config.data)
    return LocalWorkspaces(folder, store.identify, settings.workspace_limits(config), roots)


def _memory_tools(config: Config, store: Store, clock: Clock, randomness: Randomness) -> tuple[Tool, ...]:
    if not config.memory.enabled:
        return ()
    sharing = share_fact(store, clock, randomness, settings.scope_rules(config).of)
    return (*memory_tools(store, clock, randomness), sharing)


def _extracting(
    config: Config,
    store: Store,
    agent: Agent,
    models: Models,
    clock: Clock,
    randomness: Randomness,
    toolset: Toolset,
    personas: Personas,
    policy: Policy,
) -> Extracting | None:
    """Return what reads ended turns for facts; None where the settings name no model for it.

    Raises:
        ConfigError
    """
    if config.memory.background_model is None or not config.memory.enabled:
        return None
    # Most servers have none.
    from nanobot.app.extraction import make_extractor, may_remember

    remembers = may_remember(toolset, personas, policy)
    return make_extractor(
        config, store, agent, models, clock, randomness, is_small=_is_small, remembers=remembers
    )


def _engine(
    config: Config,
    store: Store,
    models: Models,
    clock: Clock,
    agent: Agent,
    observer: Observer,
    compactor: Compactor,
    extracting: Extracting | None,
    delegations: Delegations,
) -> LocalEngine:
    return LocalEngine(
        store,
        agent,
        models,
        clock,
        max_running_turns=config.engine.max_running_turns,
        turn_timeout_s=config.engine.turn_timeout_s or None,
        observer=observer,
        compactor=compactor,
        extracting=extracting,
        after_turn=delegations.turn_ended if config.delegation.max_parts else None,
    )


def _attachments(
    config: Config,
    store: Store,
    documents: DocumentReader,
    fetcher: Fetcher,
    clock: Clock,
    randomness: Randomness,
) -> Attachments:
    keeping = settings.file_settings(config)
    kept_files = KeptFiles(store, clock, randomness, quota_bytes=keeping.quota_bytes, ttl_s=keeping.ttl_s)
    return Attachments(store, documents, fetcher if config.files.fetch else None, kept_files)


def _periodic_jobs(app: App) -> tuple[PeriodicJob, ...]:
    store, rules = app.store, settings.retention_rules(app.config)
    return (
        PeriodicJob(
            name="refresh the API keys",
            run=lambda: app.keys.refresh(store),
            every_s=REFRESH_S,
            first_after_s=REFRESH_S,
        ),
        PeriodicJob(
            name="refresh the linked accounts",
            run=app.known_people.refresh,
            every_s=REFRESH_S,
            first_after_s=REFRESH_S,
        ),
        PeriodicJob(
            name="note which answers were delivered", run=app.deliveries.flush, every_s=FLUSH_EVERY_S
        ),
        PeriodicJob(
            name="delete expired uploads",
            run=store.delete_expired_uploads,
            every_s=CLEANUP_EVERY_S,
            first_after_s=CLEANUP_EVERY_S,
        ),
        *_sweeping(app),
        PeriodicJob(
            name="delete old approvals",
            run=lambda: store.delete_old_approvals(app.clock.now() - app.config.approvals.keep_days * _DAY_S),
            every_s=CLEANUP_EVERY_S,
            first_after_s=CLEANUP_EVERY_S,
        ),
        *_watching(app),
        *app.jobs,
        PeriodicJob(
            name="delete unused sessions", run=lambda: delete_unused(store, rules), every_s=CLEANUP_EVERY_S
        ),
    )


def _sweeping(app: App) -> tuple[PeriodicJob, ...]:
    """Return the job that deletes workspaces whose sessions are gone, where there are workspaces."""
    if app.workspaces is None:
        return ()
    folder = WorkspaceFolder(app.config.data)
    return (
        PeriodicJob(
            name="delete the workspaces of deleted sessions",
            run=lambda: delete_orphans(folder, app.store),
            every_s=_SWEEP_EVERY_S,
            first_after_s=CLEANUP_EVERY_S,
        ),
    )


def _watching(app: App) -> tuple[PeriodicJob, ...]:
    """Return the job that reads the settings of the agents again, where they came from a file."""
    if not app.personas.is_watching:
        return ()
    return (
        PeriodicJob(
            name="read the settings of the agents again",
            run=app.personas.refresh,
            every_s=PERSONAS_REFRESH_S,
            first_after_s=PERSONAS_REFRESH_S,
        ),
    )


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
    """
    clock = clock or SystemClock()
    metrics = Metrics(clock)
    # Without others, events go to the metrics directly.
    observer = Observers((metrics, *observers)) if observers else metrics
    prices = PriceList(models.price_names, settings.prices(config, models))
    store = await open_store(
        config.data,
        clock,
        settings.store_limits(config),
        config.store.synchronous,
        observer,
        prices,
        settings.scope_rules(config),
    )
    audit: AuditLog | None = None
    workspaces: LocalWorkspaces | None = None
    randomness = randomness or SystemRandomness()
    try:
        secret = await asyncio.to_thread(load_secret, config.data)
        workspaces = _workspaces(config, store)
        personas = Personas()
        skills = open_skills(config, personas)
        jobs: tuple[PeriodicJob, ...] = ()
        if skills is not None and any(takes_skills(model) for model in models.all):
            await skills.load()
            jobs = (skills.job,)
        async with (
            _shell(config, workspaces, clock, randomness, skills) as shell,
            _mcp(config, clock, randomness) as mcp,
        ):
            app = App(
                config,
                store,
                models,
                clock,
                randomness,
                (*tools, *shell.tools),
                metrics,
                Observers((observer, shell.commands)) if shell.commands else observer,
                secret,
                workspaces,
                fetcher,
                source,
                (*shell.jobs, *jobs),
                personas,
                skills,
                mcp,
            )
            audit = app.audit
            await app.load_accounts()
            async with _running(app):
                yield app
    finally:
        await models.close()
        if workspaces is not None:
            # Commands have left them by now.
            await workspaces.close()
        await store.close()
        if audit is not None:
            # It writes what is left to the disk.
            await asyncio.to_thread(audit.close)


class _Shell(NamedTuple):
    """What the agent's commands need of the server; nothing where they are off."""

    tools: tuple[Tool, ...] = ()
    commands: Observer | None = None
    jobs: tuple[PeriodicJob, ...] = ()


@contextlib.asynccontextmanager
async def _shell(
    config: Config,
    workspaces: LocalWorkspaces | None,
    clock: Clock,
    randomness: Randomness,
    skills: SkillsInUse | None,
) -> AsyncIterator[_Shell]:
    if not config.shell.sessions:
        yield _Shell()
        return
    # Most servers run no commands.
    from nanobot.app.shell import open_shell

    async with open_shell(config, workspaces, clock, randomness, skills) as shell:
        if shell is None:
            yield _Shell()
            return
        sweep = PeriodicJob(
            name="delete temporary files of commands",
            run=shell.sandbox.sweep,
            every_s=CLEANUP_EVERY_S,
            first_after_s=CLEANUP_EVERY_S,
        )
        yield _Shell(shell.tools, shell.commands, (sweep,))


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
async def _running(app: App) -> AsyncIterator[None]:
    """Run the engine and the periodic jobs meanwhile. An engine that fails takes the server down with it:
    otherwise turns would be admitted that nobody runs.
    """
    async with asyncio.TaskGroup() as group:
        engine = group.create_task(app.engine.run())
        background = [group.create_task(job()) for job in (app.compactor.run, app.delegations.run)]
        if app.extracting is not None:
            background.append(group.create_task(app.extracting.run()))
        periodic = group.create_task(PeriodicJobs(_periodic_jobs(app), app.clock).run())
        try:
            yield
        finally:
            # Draining needs the engine at work, so its task is stopped only afterwards.
            await app.drain()
            await app.followers.close()
            await app.deliveries.close()
            await app.workers.close()
            engine.cancel()
            for task in background:
                task.cancel()
            periodic.cancel()
