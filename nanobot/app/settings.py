"""The settings of each package, read out of the configuration."""

import datetime
import ipaddress
import math
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from nanobot.agent.limits import AgentSettings
from nanobot.api.files import FileSettings
from nanobot.api.settings import ApiSettings, HistoryRule
from nanobot.api.wire.request_bounds import RequestBounds
from nanobot.app.models import Models
from nanobot.app.places import in_tables
from nanobot.config import Config, KeyTable
from nanobot.core.accounts import (
    RIGHTS,
    ApiKey,
    PatternQuota,
    Price,
    check_key,
    check_pattern,
    digest_of,
)
from nanobot.core.errors import ConfigError
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import TOKENS_PER_IMAGE
from nanobot.core.persona import Personas
from nanobot.core.scopes import ScopePattern, ScopeRules
from nanobot.core.sessions import RetentionRule
from nanobot.core.store import Limits
from nanobot.core.workspace import WorkspaceLimits
from nanobot.engine.compactor import CompactionSettings
from nanobot.http.guard import Access
from nanobot.http.origin import LOOPBACK
from nanobot.models.providers import PRICES
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.fetch import FetchBounds
from nanobot.reading.hosts import HostRules
from nanobot.stores.audit_log import Keeping
from nanobot.submit.request import AGENT, preset_of
from nanobot.tools.delegate import DelegationSettings

MIB = 1024 * 1024
DAY_S = 86_400.0
_HOST = LatePattern(
    r"(\*?\.?[\w-]+(\.[\w-]+)*\.?|\[[0-9a-f:.]+\])(:\d{1,5})?|[0-9a-f:]*:[0-9a-f:.]*", re.I | re.A
)
_ROOT_NAME = LatePattern(r"[0-9A-Za-z][\w.-]{0,63}", re.A)
_STRONG_CHARS = 32
"""An `api.key` this long was hardly chosen by a person."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def http_access(config: Config) -> Access:
    """Return which hosts and origins the server answers, and whether it insists on an API key."""
    allowed = frozenset(name.lower() for name in config.api.allowed_hosts)
    own = LOOPBACK | {config.server.host.lower()}
    # Without a list, a server that others can reach answers to any name.
    hosts = allowed | own if allowed or is_loopback(config.server.host) else allowed
    return Access(
        hosts,
        frozenset(config.api.cors_origins),
        always_asks=not is_loopback(config.server.host),
        max_bad_keys=config.api.max_bad_keys,
        audits_polls=config.audit.polls,
    )


def configured_keys(config: Config) -> tuple[ApiKey, ...]:
    """Return the API keys of the settings: `api.key`, which may do everything, and those of `[[keys]]`.

    Raises:
        ConfigError: one of them is not valid, or two have the same name or hash.
    """
    keys: list[ApiKey] = []
    for number, table in enumerate(config.keys):
        with in_tables(f"keys[{number}]"):
            keys.append(check_key(_api_key(table), f"keys[{number}]"))
    if config.api.key:
        keys.insert(0, _master_key(config.api.key))
    if len({key.id for key in keys}) < len(keys) or len({key.digest for key in keys}) < len(keys):
        raise ConfigError(
            "keys: two of them have the same name or the same hash: each needs its own", tables=("keys",)
        )
    return tuple(keys)


def _master_key(key: str) -> ApiKey:
    return ApiKey(
        id="api.key",
        name="api.key",
        digest=digest_of(key.encode()),
        rights=RIGHTS,
        is_strong=len(key) >= _STRONG_CHARS,
    )


def _api_key(table: KeyTable) -> ApiKey:
    expires = table.expires
    if expires is not None and expires.tzinfo is None:
        # Not the zone of the server, which may change.
        expires = expires.replace(tzinfo=datetime.UTC)
    return ApiKey(
        id=f"config:{table.name}",
        name=table.name,
        digest=bytes.fromhex(table.hash.removeprefix("sha256:")),
        rights=table.scopes,
        patterns=table.sessions,
        session_key=table.session_key,
        history=table.history,
        quota=table.quota,
        expires_at=expires.timestamp() if expires is not None else None,
    )


def pattern_quotas(config: Config) -> tuple[PatternQuota, ...]:
    """Return the quotas of session patterns.

    Raises:
        ConfigError: a pattern is not valid.
    """
    for number, table in enumerate(config.quotas):
        with in_tables(f"quotas[{number}]"):
            check_pattern(table.pattern, f"quotas[{number}]")
    return tuple(PatternQuota(table.pattern, table.quota, table.per) for table in config.quotas)


def scope_rules(config: Config) -> ScopeRules:
    """Return whom session keys speak of.

    Raises:
        ConfigError: a pattern makes no sense.
    """
    try:
        return _scope_rules(tuple(ScopePattern(table.pattern, table.channel) for table in config.scopes))
    except ConfigError as error:
        # It begins with the table at fault.
        error.tables = (error.message.partition(":")[0],)
        raise


@lru_cache(4)
def _scope_rules(patterns: tuple[ScopePattern, ...]) -> ScopeRules:
    """Return the rules, the same for all who ask: they remember of many keys whom these speak of."""
    return ScopeRules(patterns)


def audit_keeping(config: Config) -> Keeping:
    """Return how the audit log writes session keys, and how much of it is kept."""
    return Keeping(config.audit.session_keys, int(config.audit.max_mb * MIB), config.audit.keep)


def document_bounds(config: Config) -> DocumentBounds:
    """Return what reading a file may cost."""
    table = config.files
    return DocumentBounds(
        max_bytes=int(table.max_file_mb * MIB),
        max_characters=table.max_characters,
        wall_s=table.read_timeout_s,
        cpu_s=math.ceil(table.read_timeout_s),
        memory_bytes=table.read_memory_mb * MIB,
    )


def fetch_bounds(config: Config) -> FetchBounds:
    """Return what fetching a URL may cost."""
    return FetchBounds(max_bytes=int(config.files.max_fetch_mb * MIB), total_s=config.files.fetch_timeout_s)


def host_rules(config: Config) -> HostRules:
    """Return which hosts the server reads.

    Raises:
        ConfigError: an entry can be no host.
    """
    table = config.web
    for name in ("allowed_hosts", "blocked_hosts", "private_hosts"):
        for entry in getattr(table, name):
            if not _HOST.fullmatch(entry):
                raise ConfigError(
                    f"web.{name} has {entry!r}, which is no host: write it as example.org, 192.0.2.7 or"
                    " [2001:db8::7], letters beyond ASCII as xn--…",
                    tables=("web",),
                )
            if name != "private_hosts" and re.fullmatch(r"[^:]+:\d+|\[.*\]:\d+", entry):
                raise ConfigError(
                    f"web.{name} has {entry!r}: only web.private_hosts knows ports", tables=("web",)
                )
    return HostRules(table.allowed_hosts, table.blocked_hosts, table.private_hosts)


def workspace_limits(config: Config) -> WorkspaceLimits:
    """Return what the workspace of a session may hold."""
    table = config.workspace
    return WorkspaceLimits(int(table.quota_mb * MIB), table.max_files, int(table.max_file_mb * MIB))


def shared_roots(config: Config) -> dict[str, Path]:
    """Return the folders that all sessions may read, by name.

    Raises:
        ConfigError: a name cannot be that of a folder, a path is not absolute, or the data directory would be
            among them.
    """
    data = config.data.resolve()
    roots: dict[str, Path] = {}
    for name, written in config.workspace.roots.items():
        path = Path(written).expanduser()
        if not _ROOT_NAME.fullmatch(name):
            raise ConfigError(
                f"workspace.roots has the name {name!r}: use letters, digits, `.`, `_` and `-`",
                tables=("workspace",),
            )
        if not path.is_absolute():
            raise ConfigError(
                f"workspace.roots.{name} is {written!r}: it must be an absolute path", tables=("workspace",)
            )
        resolved = path.resolve()
        if resolved == data or resolved in data.parents or data in resolved.parents:
            raise ConfigError(
                f"workspace.roots.{name} is {written!r}, which has the data directory in it or is part of it:"
                " every session could read all others; choose another folder",
                tables=("workspace",),
            )
        roots[name] = resolved
    return roots


def file_settings(config: Config) -> FileSettings:
    """Return the settings of the routes for uploads."""
    table = config.files
    return FileSettings(
        max_file_bytes=int(table.max_file_mb * MIB),
        quota_bytes=int(table.quota_mb * MIB),
        ttl_s=table.ttl_days * DAY_S,
        timeout_s=config.api.body_timeout_s,
    )


def audio_models(models: Models) -> frozenset[str]:
    """Return the names of the models that take audio."""
    named = {AGENT: models.default, **{name: models.get(name) for name in models.names}}
    return frozenset(name for name, model in named.items() if "audio" in model.abilities)


def most_pictures(models: Models, window_tokens: int, name: str) -> int:
    """Return how many pictures out of files the model of that name may be shown with one message: as many as
    take a quarter of its window, none if it sees none.
    """
    model = models.default if name == AGENT or name not in models.names else models.get(name)
    if "images" not in model.abilities:
        return 0
    return min(model.context_tokens, window_tokens) // 4 // TOKENS_PER_IMAGE


def request_bounds(config: Config) -> RequestBounds:
    """Return how much one request may bring."""
    table = config.api
    return RequestBounds(
        max_messages=table.max_messages,
        max_new_messages=table.max_new_messages,
        max_parts=table.max_parts,
        # Clients send answers back.
        max_text_chars=max(
            table.max_text_chars,
            config.model.max_answer_chars,
            *(each.max_answer_chars for each in config.models.values()),
        ),
        max_tools=table.max_tools,
        max_tools_bytes=table.max_tools_kb * 1024,
        max_schema_depth=table.max_schema_depth,
    )


def prices(config: Config, models: Models) -> dict[str, Price]:
    """Return what models cost, by their names: list prices, then what the settings say, of a provider, in
    `[prices]`, of a preset, of the model that answers by default.
    """
    of_providers = {
        f"{provider}:{model}": price
        for provider, table in config.providers.items()
        for model, price in table.prices.items()
    }
    of_models = {
        models.get(name).name: table.price
        for name, table in ((*config.models.items(), (None, config.model)))
        if table.price is not None
    }
    return {**PRICES, **of_providers, **config.prices, **of_models}


def api_settings(
    config: Config, models: Models, *, tools_tokens: Callable[[], int], personas: Personas
) -> ApiSettings:
    """Return the settings that the routes share."""
    return ApiSettings(
        models=models.names,
        stream=config.api.stream,
        session_headers=config.api.session_headers,
        history=tuple(HistoryRule(rule.pattern, rule.mode) for rule in config.sessions.history),
        ephemeral=tuple(rule.pattern for rule in config.sessions.ephemeral),
        max_body_bytes=int(config.api.max_body_mb * MIB),
        max_bodies_bytes=int(config.api.max_bodies_mb * MIB),
        max_json_entries=config.api.max_json_entries,
        bounds=request_bounds(config),
        body_timeout_s=config.api.body_timeout_s,
        ping_s=config.api.ping_s,
        metrics_open=config.api.metrics_open,
        tools_tokens=tools_tokens,
        personas=personas,
    )


def agent_settings(config: Config, models: Models) -> AgentSettings:
    """Return the bounds of a turn."""
    table = config.agent
    return AgentSettings(
        max_steps=table.max_steps,
        max_turn_tokens=table.max_turn_tokens,
        max_turn_cost=table.max_turn_cost,
        max_turn_s=table.max_turn_s,
        prices=prices(config, models) if table.max_turn_cost else {},
        window_tokens=table.window_tokens,
        result_share=table.result_share,
        max_calls_per_step=table.max_calls_per_step,
        tools_tokens=table.tools_tokens,
        profile_tokens=config.memory.profile_tokens if config.memory.enabled else 0,
    )


def delegation_settings(config: Config) -> DelegationSettings:
    """Return how much of its work a turn may have done by others."""
    table = config.delegation
    return DelegationSettings(table.max_parts, table.max_steps, table.max_tokens, table.timeout_s)


def compaction_settings(config: Config, models: Models) -> CompactionSettings:
    """Return when and how long conversations are summarised.

    Raises:
        ConfigError: there is no such preset, or the newest messages would keep more than the limit.
    """
    table = config.compaction
    preset = preset_of(table.model) if table.model is not None else None
    if preset is not None and preset not in models.names:
        raise ConfigError(
            f"compaction.model: there is no preset {preset!r}: add [models.{preset}], or name one of"
            f" {', '.join(sorted(models.names)) or 'none'}"
        )
    if table.keep_share >= table.soft_share:
        raise ConfigError(
            f"compaction.keep_share is {table.keep_share:g}: it must be less than compaction.soft_share"
            f" ({table.soft_share:g})"
        )
    return CompactionSettings(
        enabled=table.enabled,
        soft_share=table.soft_share,
        keep_share=table.keep_share,
        model=preset,
        summary_tokens=table.summary_tokens,
    )


def store_limits(config: Config) -> Limits:
    """Return the bounds that the store holds at admission."""
    return Limits(
        max_queue=config.api.max_queue,
        max_waiting=config.engine.max_waiting_turns,
        max_attempts=config.engine.max_attempts,
        retry_window_s=config.api.retry_window_s,
        memory=config.memory.rules,
    )


def retention_rules(config: Config) -> tuple[RetentionRule, ...]:
    """Return after how long without use a session is deleted, by pattern of its key."""
    return tuple(RetentionRule(rule.pattern, rule.days * DAY_S) for rule in config.sessions.ttl)


def schema_bytes(config: Config) -> int:
    """Return how large the JSON schema of an answer may be."""
    return config.api.max_schema_kb * 1024
