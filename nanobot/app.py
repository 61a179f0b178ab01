"""The composition root: the only file that knows every room.

Builds the house from its settings and takes it down again.
"""

import asyncio
import contextlib
import datetime
import importlib.util
import ipaddress
import logging
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec
from starlette.types import ASGIApp

from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Quotas
from nanobot.agent.loop import Agent, AgentSettings
from nanobot.agent.toolset import Toolset
from nanobot.api.chat import ChatSettings
from nanobot.api.files import FileSettings
from nanobot.api.models import AGENT
from nanobot.api.server import build_door
from nanobot.config import Config, ModelTable
from nanobot.context import prompt
from nanobot.core.accounts import (
    RIGHTS,
    ApiKey,
    PatternQuota,
    PriceList,
    TurnCost,
    check_key,
    check_pattern,
    digest_of,
)
from nanobot.core.clock import Clock, SystemClock
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError, ModelNotFound, StoreError
from nanobot.core.ids import Randomness, SystemRandomness
from nanobot.core.model import Model
from nanobot.core.observer import Observer, Observers
from nanobot.core.store import Limits
from nanobot.core.tool import Tool
from nanobot.engine.local import LocalEngine
from nanobot.http.guard import LOOPBACK, Access
from nanobot.models.echo import EchoModel
from nanobot.models.local import openmp
from nanobot.models.local.model import CONTEXT_TOKENS, LocalModel
from nanobot.models.openai.chat import EVERYTHING, OpenAIChat, Timeouts
from nanobot.models.providers import (
    ECHO,
    LOCAL,
    PRICES,
    ModelName,
    find_in_environment,
    parse_name,
    provider_of,
)
from nanobot.models.weights.installed import find as find_weights
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.documents import Documents
from nanobot.reading.fetch import FetchBounds, Fetcher
from nanobot.stores.audit import AuditLog, Keeping
from nanobot.stores.retention import Sweeper, Unused
from nanobot.stores.sqlite import SqliteStore, open_store
from nanobot.submit.attachments import Attachments
from nanobot.submit.followers import Followers
from nanobot.telemetry.metrics import Metrics
from nanobot.tools.facts import calculate, current_time

MIB = 1024 * 1024
SWEEP_S = 600.0
_log = logging.getLogger(__name__)


class Choice(msgspec.Struct, frozen=True):
    """The model that answers by default, and who chose it, in words for the user."""

    name: ModelName
    why: str


def choose_model(config: Config, environment: Mapping[str, str]) -> Choice:
    """Return the default model: the configured one, else a provider that the environment speaks of, else the
    local one.

    Raises:
        ConfigError: the configured name means nothing.
    """
    if config.model.name is not None:
        return Choice(parse_name(config.model.name), "as configured")
    found = find_in_environment(environment)
    if found is not None:
        return Choice(found.model, f"found {found.variable} in the environment")
    return Choice(
        ModelName(LOCAL, ""), "no model or provider key is configured: the small model on this machine"
    )


class Models:
    """The models that turns may name: None is the default one, the others are presets."""

    def __init__(self, default: Model, presets: Mapping[str, Model]) -> None:
        self.default = default
        self._presets = dict(presets)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._presets)

    @property
    def price_names(self) -> dict[str | None, str]:
        """The models' own names, by the names that turns may ask for."""
        return {None: self.default.name, **{preset: model.name for preset, model in self._presets.items()}}

    def get(self, name: str | None) -> Model:
        if name is None:
            return self.default
        model = self._presets.get(name)
        if model is None:
            raise ModelNotFound(f"The model `{name}` does not exist any more.", param="model")
        return model

    async def warm(self) -> None:
        """Load what the first request needs, while nobody waits for it."""
        if isinstance(self.default, OpenAIChat):
            await self.default.warm()
        elif isinstance(self.default, LocalModel):
            await self.default.start()

    async def close(self) -> None:
        for model in (self.default, *self._presets.values()):
            await model.close()


def make_model(
    name: ModelName, table: ModelTable, environment: Mapping[str, str], clock: Clock, data: Path
) -> Model:
    """Return the model `name`, set up as its table says.

    Raises:
        ConfigError: its key is missing, or a setting cannot be used.
        ModelUnavailable: the weights of a local model are not on this machine yet.
    """
    if name.provider == ECHO:
        return EchoModel()
    if name.provider == LOCAL:
        return LocalModel(
            name=str(name),
            models_dir=data / "models",
            log_path=data / "local-model.log",
            clock=clock,
            random=random.Random(),  # noqa: S311 - ids of tool calls, no secrets
            warm_system=prompt.system(""),
            warm_tools=tuple(tool.spec for tool in own_tools(clock)),
            context_tokens=table.context_tokens or CONTEXT_TOKENS,
        )
    provider = provider_of(name)
    base_url = table.base_url or (
        environment.get(provider.base_url_variable) if provider.base_url_variable else None
    )
    key = table.api_key or (environment.get(provider.key_variable) if provider.key_variable else None)
    if provider.key_variable and not key and base_url is None:
        raise ConfigError(
            f"model {name}: no key for {provider.name}; set {provider.key_variable}, or model.api_key in the config file"
        )
    return OpenAIChat(
        name=str(name),
        model=name.model,
        base_url=base_url or provider.base_url,
        api_key=key,
        context_tokens=table.context_tokens or provider.context_tokens,
        clock=clock,
        random=random.Random(),  # noqa: S311 - jitter and ids of tool calls, no secrets
        timeouts=Timeouts(
            connect_s=table.connect_timeout_s,
            first_chunk_s=table.first_byte_timeout_s,
            idle_s=table.idle_timeout_s,
        ),
        max_retries=table.max_retries,
        abilities=EVERYTHING
        if table.audio == "yes" or (table.audio == "auto" and provider.hears)
        else EVERYTHING - {"audio"},
    )


def own_tools(clock: Clock) -> tuple[Tool, ...]:
    """Return the tools that every agent has."""
    return (current_time(clock), calculate())


class App:
    """The house, running. `door` is its HTTP side; `open_app` makes one."""

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
        self.keys = KeyRing(configured_keys(config))
        self.quotas = Quotas(_pattern_quotas(config), clock)
        store.on_spent = self._count_spent
        self.audit = AuditLog(config.data, audit_keeping(config)) if config.audit.enabled else None
        self.followers = Followers(store, clock, config.api.disconnect_grace_s)
        toolset = Toolset([*own_tools(clock), *tools], observer)
        agent = Agent(
            toolset,
            clock,
            AgentSettings(max_steps=config.agent.max_steps, window_tokens=config.agent.window_tokens),
            observer,
        )
        self.engine = LocalEngine(
            store,
            agent,
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
            access=_access(config),
            keys=self.keys,
            quotas=self.quotas,
            audit=self.audit,
            settings=_chat_settings(config, models),
            contents=_contents(config, store, fetcher),
            file_settings=_file_settings(config),
            check_model=lambda: models.default.check(),
            render_metrics=self._render_metrics,
            observer=observer,
        )

    def _count_spent(self, spent: TurnCost) -> None:
        self.quotas.count(spent)
        self._metrics.turn_paid(spent)

    async def open_books(self) -> None:
        """Read which keys there are, and what was used up.

        Raises:
            StoreError
        """
        await self.keys.refresh(self.store)
        await self.quotas.load(self.store)

    async def _render_metrics(self) -> str:
        return self._metrics.text(waiting=await self.store.waiting(), running=self.engine.running)

    async def drain(self) -> None:
        """Let running turns end within the grace, give the rest back, and tell those who still follow."""
        await self.engine.drain(self.config.server.shutdown_grace_s)
        self.store.hang_up()


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _access(config: Config) -> Access:
    allowed = frozenset(name.lower() for name in config.api.allowed_hosts)
    hosts = LOOPBACK | allowed | {config.server.host.lower()} if is_loopback(config.server.host) else allowed
    return Access(
        hosts,
        frozenset(config.api.cors_origins),
        always_asks=not is_loopback(config.server.host),
        max_bad_keys=config.api.max_bad_keys,
    )


_STRONG_CHARS = 32
"""An `api.key` of so many characters was hardly chosen by a person."""


def configured_keys(config: Config) -> tuple[ApiKey, ...]:
    """Return the keys of the settings: `api.key`, which may do everything, and those of `[[keys]]`.

    Raises:
        ConfigError: one of them makes no sense.
    """
    found: list[ApiKey] = []
    if config.api.key:
        digest = digest_of(config.api.key.encode())
        found.append(
            ApiKey(
                id="api.key",
                name="api.key",
                digest=digest,
                rights=RIGHTS,
                is_strong=len(config.api.key) >= _STRONG_CHARS,
            )
        )
    for number, table in enumerate(config.keys):
        expires = table.expires
        if expires is not None and expires.tzinfo is None:
            expires = expires.replace(tzinfo=datetime.UTC)
        key = ApiKey(
            id=f"config:{table.name}",
            name=table.name,
            digest=bytes.fromhex(table.hash.removeprefix("sha256:")),
            rights=table.scopes,
            patterns=table.sessions,
            session_key=table.session_key,
            quota=table.quota,
            expires_at=expires.timestamp() if expires is not None else None,
        )
        found.append(check_key(key, f"keys[{number}]"))
    if len({key.id for key in found}) < len(found) or len({key.digest for key in found}) < len(found):
        raise ConfigError("keys: two of them have the same name or the same hash: each needs its own")
    return tuple(found)


def _pattern_quotas(config: Config) -> tuple[PatternQuota, ...]:
    for number, table in enumerate(config.quotas):
        check_pattern(table.pattern, f"quotas[{number}]")
    return tuple(PatternQuota(table.pattern, table.quota, table.per) for table in config.quotas)


def audit_keeping(config: Config) -> Keeping:
    """Return how the audit log is kept."""
    return Keeping(config.audit.session_keys, int(config.audit.max_mb * 1024 * 1024), config.audit.keep)


def _contents(config: Config, store: SqliteStore, fetcher: Fetcher | None) -> Attachments:
    table = config.files
    bounds = DocumentBounds(
        max_bytes=int(table.max_file_mb * MIB),
        max_characters=table.max_characters,
        wall_s=table.read_timeout_s,
        cpu_s=math.ceil(table.read_timeout_s),
        memory_bytes=table.read_memory_mb * MIB,
    )
    bounded = Fetcher(FetchBounds(max_bytes=int(table.max_fetch_mb * MIB), total_s=table.fetch_timeout_s))
    return Attachments(store, Documents(bounds), (fetcher or bounded) if table.fetch else None)


def _file_settings(config: Config) -> FileSettings:
    table = config.files
    return FileSettings(
        max_file_bytes=int(table.max_file_mb * MIB),
        quota_bytes=int(table.quota_mb * MIB),
        ttl_s=table.ttl_days * 86_400,
        timeout_s=config.api.body_timeout_s,
    )


def _chat_settings(config: Config, models: Models) -> ChatSettings:
    named = {AGENT: models.default, **{name: models.get(name) for name in models.names}}
    return ChatSettings(
        models=models.names,
        listeners=frozenset(name for name, model in named.items() if "audio" in model.abilities),
        stream=config.api.stream,
        session_headers=config.api.session_headers,
        max_body_bytes=int(config.api.max_body_mb * MIB),
        body_timeout_s=config.api.body_timeout_s,
        ping_s=config.api.ping_s,
        metrics_open=config.api.metrics_open,
    )


def _unused(config: Config) -> tuple[Unused, ...]:
    return tuple(Unused(rule.pattern, rule.days * 86_400) for rule in config.sessions.ttl)


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
    """Open the store, start the engine, and hand over the house; take it down in order afterwards. `tools`
    are added to the agent's own, `observers` to the metrics.

    `fetcher` stands in for the one that the settings describe: a test's, whose web is on this machine.

    Raises:
        StoreError: the data directory cannot be used.
    """
    clock = clock or SystemClock()
    limits = Limits(
        max_queue=config.api.max_queue,
        max_attempts=config.engine.max_attempts,
        retry_window_s=config.api.retry_window_s,
    )
    metrics = Metrics(clock)
    observer = Observers((metrics, *observers)) if observers else metrics
    prices = PriceList(models.price_names, {**PRICES, **config.prices})
    store = await open_store(config.data, clock, limits, config.store.synchronous, observer, prices)
    audit: AuditLog | None = None
    try:
        app = App(
            config, store, models, clock, randomness or SystemRandomness(), tools, metrics, observer, fetcher
        )
        audit = app.audit
        await app.open_books()
        # an engine that dies takes the house down: nothing is admitted that nobody runs
        async with asyncio.TaskGroup() as group:
            engine = group.create_task(app.engine.run())
            sweeper = group.create_task(_sweep(store, clock))
            watch = group.create_task(app.keys.watch(store, clock))
            retention = group.create_task(Sweeper(store, clock, _unused(config)).run())
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


def lacks_openmp(config: Config, environment: Mapping[str, str]) -> bool:
    """Return whether a local model is configured, and the library that its engine needs is not on this
    machine.
    """
    return bool(_local_models(config, environment)) and openmp.is_missing(config.data / "models")


def missing_weights(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the local models that are configured, but whose weights are not on this machine yet.

    Raises:
        ConfigError: a name means nothing.
    """
    return tuple(
        name
        for name in _local_models(config, environment)
        if find_weights(name, config.data / "models") is None
    )


def _local_models(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the configured models that run on this machine.

    Raises:
        ConfigError: there are some, and the engine that runs them is not installed.
    """
    names = [choose_model(config, environment).name]
    names.extend(parse_name(table.name) for table in config.models.values() if table.name is not None)
    local = tuple(dict.fromkeys(str(name) for name in names if name.provider == LOCAL))
    if local and importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            f"the model {local[0]} runs on this machine, and its engine is not installed: "
            f"{install_command('local')}; "
            "or name another model with --model, or set a provider's key, e.g. OPENAI_API_KEY"
        )
    return local


def make_models(config: Config, environment: Mapping[str, str], clock: Clock) -> Models:
    """Return the default model and the presets.

    Raises:
        ConfigError: one of them cannot be made.
    """
    choice = choose_model(config, environment)
    presets: dict[str, Model] = {}
    for preset, table in config.models.items():
        if table.name is None:
            raise ConfigError(
                f"[models.{preset}] has no name: say which model it is, as name = 'provider:model'"
            )
        presets[preset] = make_model(parse_name(table.name), table, environment, clock, config.data)
    return Models(make_model(choice.name, config.model, environment, clock, config.data), presets)
