"""A running server: its parts, in the order in which they start and stop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from nanobot.access.admission import Gate, PartGate
from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Quotas
from nanobot.agent.loop import Agent
from nanobot.agent.other_sessions import KnownPeople
from nanobot.agent.permissions import Permissions
from nanobot.agent.recaller import Recaller
from nanobot.agent.toolset import Toolset
from nanobot.api.server import build_api
from nanobot.app import settings
from nanobot.app.models import Models, is_small
from nanobot.app.periodic import PeriodicJob
from nanobot.app.personas import PersonasInUse, SettingsSource
from nanobot.app.policy import approval_settings, policy_rules, read_policy
from nanobot.app.skills import SkillsInUse
from nanobot.app.tools import all_tools, web_tools, workspace_tools
from nanobot.config import Config
from nanobot.core.accounts import TurnSettled, UnendedTurn
from nanobot.core.clock import Clock
from nanobot.core.extraction import Extracting
from nanobot.core.ids import Randomness
from nanobot.core.observer import Observer
from nanobot.core.persona import Personas
from nanobot.core.policy import Policy
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.engine.compactor import Compactor
from nanobot.engine.local import LocalEngine
from nanobot.reading.documents import DocumentReader
from nanobot.reading.fetch import Fetcher
from nanobot.reading.schemas import WorkerSchemas
from nanobot.stores.audit_log import AuditLog
from nanobot.stores.workspaces.local import LocalWorkspaces
from nanobot.submit.attachments import Attachments
from nanobot.submit.deliveries import Deliveries
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

_log = logging.getLogger(__name__)


class App:
    """A running server.

    `asgi` is its HTTP API, `submitter` takes requests for turns. `open_app` makes one.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        models: Models,
        clock: Clock,
        randomness: Randomness,
        *,
        tools: Sequence[Tool],
        metrics: Metrics,
        observer: Observer,
        secret: bytes,
        audit: AuditLog | None,
        workspaces: LocalWorkspaces | None,
        fetcher: Fetcher | None,
        source: SettingsSource | None,
        jobs: Sequence[PeriodicJob],
        personas: Personas,
        skills: SkillsInUse | None,
        mcp: McpServers | None,
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
        self.audit = audit
        self.deliveries = Deliveries(store)
        self.followers = Followers(store, clock, config.api.disconnect_grace_s, self.deliveries)
        self.workers = WorkerPool(clock=clock)
        schemas = WorkerSchemas(self.workers, settings.schema_bytes(config))
        documents = DocumentReader(self.workers, settings.document_bounds(config))
        fetcher = fetcher or Fetcher(settings.fetch_bounds(config), hosts=settings.host_rules(config))
        self.workspaces = workspaces
        files = None if workspaces is None else AgentFiles(workspaces, store)
        gate = PartGate(store, self.quotas, self.keys)
        self.delegations = Delegations(gate, store, settings.delegation_settings(config))
        self.known_people = KnownPeople(store, settings.scope_rules(config))
        others = self.known_people if config.recall.people else None
        further = (
            *((delegate(self.delegations, files),) if config.delegation.max_parts else ()),
            *_memory_tools(config, store, clock, randomness),
            *workspace_tools(files, self.workers),
            *_skill_tools(skills, files, self.workers, randomness, tools),
            *web_tools(config.web, fetcher, documents, randomness, reads_urls=config.files.fetch),
            *tools,
            *(mcp.tools if mcp is not None else ()),
        )
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
        servers = tuple(mcp.settings) if mcp is not None else ()
        if mcp is not None:
            mcp.follow(lambda server, offered: toolset.replace(group_of(server), offered))
        policy = read_policy(config, toolset.tools, servers)
        self.personas = PersonasInUse(
            config,
            models.names,
            toolset.names,
            source,
            personas,
            servers,
            lambda changed: partial(policy.set, policy_rules(changed, toolset.tools, servers)),
        )
        personas = self.personas.personas
        recaller = Recaller(store, tokens=config.recall.tokens, others=others, has_own=is_small)
        permissions = Permissions(policy, store, clock, randomness, approval_settings(config), self.audit)
        agent = Agent(
            toolset,
            clock,
            settings.agent_settings(config, models),
            schemas,
            observer,
            secret=secret,
            personas=personas,
            recaller=recaller,
            permissions=permissions,
            skills=skills.indexes if skills is not None else None,
        )
        self._agent = agent
        compaction = settings.compaction_settings(config, models)
        self.compactor = Compactor(store, agent, models, clock, compaction, is_small=is_small)
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
                config, models, tools_tokens=lambda: agent.tools_tokens, personas=personas
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

    async def warm(self) -> None:
        """Prepare what the first turn needs, so that it need not wait for that; once the server listens."""
        self._agent.warm()
        await self.models.warm()

    async def _render_metrics(self) -> str:
        return self._metrics.text(waiting=await self.store.waiting(), running=self.engine.running)

    async def drain(self) -> None:
        """Let running turns end within the grace period, give the rest back to the store, and tell those who
        still follow.
        """
        await self.engine.drain(self.config.server.shutdown_grace_s)
        self.store.hang_up()


def _skill_tools(
    skills: SkillsInUse | None,
    files: AgentFiles | None,
    workers: WorkerPool,
    randomness: Randomness,
    tools: Sequence[Tool],
) -> tuple[Tool, ...]:
    if skills is None:
        return ()
    has_commands = any(tool.group == "shell" for tool in tools)
    return skills.tools(files, workers, randomness, has_commands=has_commands)


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
        config, store, agent, models, clock, randomness, is_small=is_small, remembers=remembers
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
    kept_files = KeptFiles(
        store,
        clock,
        randomness,
        quota_bytes=keeping.quota_bytes,
        ttl_s=keeping.ttl_s,
        commands=config.shell.sessions,
    )
    return Attachments(store, documents, fetcher if config.files.fetch else None, kept_files)
