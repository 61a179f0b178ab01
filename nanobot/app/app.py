"""A running server: its parts, in the order in which they are made."""

from __future__ import annotations

from starlette.types import ASGIApp

from nanobot.access.admission import PartGate
from nanobot.api.server import ApiResources, build_api
from nanobot.app import settings
from nanobot.app.accounts import AccountsInUse
from nanobot.app.agent import make_agent, make_personas, make_policy, make_toolset
from nanobot.app.models import is_small
from nanobot.app.reading import Reading
from nanobot.app.resources import AppResources
from nanobot.app.submitting import Submitting
from nanobot.core.extraction import Extracting
from nanobot.engine.compactor import Compactor
from nanobot.engine.local import LocalEngine
from nanobot.tools.delegate import Delegations


class App:
    """A running server.

    `asgi` is its HTTP API, `submitter` takes requests for turns. `open_app` makes one.

    Raises:
        ConfigError: a setting cannot be used.
    """

    def __init__(self, resources: AppResources) -> None:
        self.resources = resources
        self.config = resources.config
        self.store = resources.store
        self.models = resources.models
        self.clock = resources.clock
        self.randomness = resources.randomness

        self.accounts = AccountsInUse(resources)
        self.reading = Reading(resources)
        self.delegations = self._delegations()

        others = self.accounts.people if resources.config.recall.people else None
        self.toolset = make_toolset(resources, self.reading, self.delegations, others)
        self.policy = make_policy(resources, self.toolset)
        self.personas = make_personas(resources, self.toolset, self.policy)
        self.agent = make_agent(resources, self.reading, self.toolset, self.policy, others)

        self.compactor = self._compactor()
        self.extracting = self._extracting()
        self.engine = self._engine()

        self.submitting = Submitting(resources, self.accounts, self.reading, self.agent)
        self.submitter = self.submitting.submitter
        self.asgi: ASGIApp = self._api()

    async def warm(self) -> None:
        """Prepare what the first turn needs, so that it need not wait for that; once the server listens."""
        self.agent.warm()
        await self.store.warm()
        await self.models.warm()

    async def drain(self) -> None:
        """Let running turns end within the grace period, give the rest back to the store, and tell those who
        still follow.
        """
        await self.engine.drain(self.config.server.shutdown_grace_s)
        self.store.hang_up()

    def _delegations(self) -> Delegations:
        gate = PartGate(self.store, self.accounts.quotas, self.accounts.keys)
        return Delegations(gate, self.store, settings.delegation_settings(self.config))

    def _compactor(self) -> Compactor:
        return Compactor(
            self.store,
            self.agent,
            self.models,
            self.clock,
            settings.compaction_settings(self.config, self.models),
            is_small=is_small,
        )

    def _extracting(self) -> Extracting | None:
        """Return what reads ended turns for facts; None where the settings name no model for it."""
        if self.config.memory.background_model is None or not self.config.memory.enabled:
            return None
        # Most servers have none.
        from nanobot.app.extraction import make_extractor

        return make_extractor(self.resources, self.agent, self.toolset, self.policy)

    def _engine(self) -> LocalEngine:
        config = self.config
        return LocalEngine(
            self.store,
            self.agent,
            self.models,
            self.clock,
            max_running_turns=config.engine.max_running_turns,
            turn_timeout_s=config.engine.turn_timeout_s or None,
            observer=self.resources.observer,
            compactor=self.compactor,
            extracting=self.extracting,
            after_turn=self.delegations.turn_ended if config.delegation.max_parts else None,
        )

    def _api(self) -> ASGIApp:
        config, resources, agent = self.config, self.resources, self.agent
        api_settings = settings.api_settings(
            config, self.models, tools_tokens=lambda: agent.tools_tokens, personas=resources.personas
        )
        return build_api(
            ApiResources(
                store=self.store,
                submitter=self.submitter,
                attachments=self.submitting.attachments,
                clock=self.clock,
                randomness=self.randomness,
                keys=self.accounts.keys,
                settings=api_settings,
                file_settings=settings.file_settings(config),
                check_model=lambda: self.models.default.check(),
                render_metrics=self._render_metrics,
                compacting=self.compactor,
                secret=resources.secret,
                workspaces=resources.workspaces,
            ),
            access=settings.http_access(config),
            audit=resources.audit,
            observer=resources.observer,
        )

    async def _render_metrics(self) -> str:
        metrics = self.resources.metrics
        return metrics.text(waiting=await self.store.waiting(), running=self.engine.running)
