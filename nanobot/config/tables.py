"""The tables of the settings, but for those of models and providers, and the bounds that many share.

docs/settings.md describes each setting.
"""

import datetime
from typing import Annotated, Literal

import msgspec

from nanobot.core.accounts import HistoryMode, Quota, Right
from nanobot.core.memory import MemoryRules
from nanobot.core.policy import PolicyOrigin
from nanobot.core.tool import Decision

LONGEST_S = 1_000_000_000
Positive = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
AtLeast1 = Annotated[int, msgspec.Meta(ge=1)]


class ServerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens and how it stops."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8900
    data: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    forwarded_allow_ips: tuple[str, ...] = ()
    shutdown_grace_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] = 30.0


class ApiTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP API."""

    key: str | None = None
    stream: bool = True
    session_headers: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_bad_keys: Annotated[int, msgspec.Meta(ge=0)] = 10
    metrics_open: bool = False
    max_body_mb: Positive = 20.0
    max_bodies_mb: Positive = 150.0
    max_json_entries: AtLeast1 = 100_000
    max_messages: AtLeast1 = 10_000
    max_new_messages: AtLeast1 = 256
    max_parts: AtLeast1 = 20_000
    max_text_chars: AtLeast1 = 1_000_000
    max_tools: AtLeast1 = 128
    max_tools_kb: AtLeast1 = 1_000
    max_schema_kb: AtLeast1 = 100
    max_schema_depth: AtLeast1 = 100
    body_timeout_s: Positive = 30.0
    ping_s: Positive = 15.0
    max_queue: AtLeast1 = 16
    retry_window_s: Positive = 600.0
    disconnect_grace_s: Annotated[float, msgspec.Meta(ge=-1, le=LONGEST_S)] = 30.0


class FilesTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files and URLs in requests, and uploads."""

    max_file_mb: Positive = 20.0
    max_characters: Annotated[int, msgspec.Meta(ge=1_000)] = 80_000
    read_timeout_s: Positive = 30.0
    read_memory_mb: Annotated[int, msgspec.Meta(ge=256)] = 1_024
    fetch: bool = True
    max_fetch_mb: Positive = 10.0
    fetch_timeout_s: Positive = 20.0
    quota_mb: Positive = 500.0
    ttl_days: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 30.0


class WebTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agent's tools of the web, and which hosts the server reads. `fetch` None: as `files.fetch`.

    `search`: the search engine, None: none. `search_url`: where it is, None: at its provider.
    """

    fetch: bool | None = None
    allowed_hosts: tuple[str, ...] = ()
    blocked_hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    search: Literal["brave", "tavily", "exa", "searxng", "duckduckgo"] | None = None
    search_key: str | None = None
    search_url: str | None = None


class WorkspaceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files that the agent keeps for each session. `roots`: folders that all may read, by name."""

    enabled: bool = True
    quota_mb: Positive = 100.0
    max_files: AtLeast1 = 2_000
    max_file_mb: Positive = 20.0
    roots: dict[str, str] = {}


class ShellTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands of the agent: `sessions` are patterns of the session keys that may run some; what they may
    use, each with all that it starts. `sandbox_exec`: whether they are run on macOS.
    """

    sessions: tuple[str, ...] = ()
    timeout_s: Positive = 600.0
    memory_mb: Annotated[int, msgspec.Meta(ge=64)] = 2_048
    disk_mb: AtLeast1 = 1_024
    processes: Annotated[int, msgspec.Meta(ge=16)] = 256
    max_commands: AtLeast1 = 16
    live_lines: Annotated[int, msgspec.Meta(ge=0, le=4_000)] = 10
    readable: tuple[str, ...] = ()
    python: Literal["fresh", "session"] = "fresh"
    python_idle_s: Annotated[float, msgspec.Meta(ge=1, le=LONGEST_S)] = 900.0
    max_interpreters: AtLeast1 = 8
    network: Literal["none", "allow"] = "none"
    allowed_hosts: tuple[str, ...] = ()
    network_mb: AtLeast1 = 1_024
    connections: AtLeast1 = 1_000
    max_connections: Annotated[int, msgspec.Meta(ge=4)] = 64
    sandbox_exec: bool = False


class SkillsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instructions for kinds of work that the agent reads when it needs them. `own`: whether nanobot's own
    are among them. `folder`: where the operator's are; None: `skills` in the data directory.
    """

    enabled: bool = True
    own: bool = True
    folder: str | None = None
    index_tokens: Annotated[int, msgspec.Meta(ge=0, le=4_000)] = 600


class McpOAuthTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As what a client is known at the authorization server of an MCP server. Without it, it registers
    itself. `grant`: whether a person logs in, or the client has a secret of its own. `issuer`: the
    authorization server. `client_auth`: whether the secret is sent in a header or in the body.
    `redirect_port`: where a login comes back to on this machine; 0: to any free port. `client_metadata_url`:
    a page that describes the client.
    """

    grant: Literal["authorization_code", "client_credentials"] = "authorization_code"
    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None
    issuer: str | None = None
    client_auth: Literal["basic", "post"] = "basic"
    redirect_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    client_metadata_url: str | None = None


class McpServerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An MCP server: a command that is started, or a URL. `sessions` None: as `mcp.sessions` has it; `tools`
    None: all. `protocol`: the newest that both know, or the last one with sessions.
    """

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    oauth: McpOAuthTable | None = None
    enabled: bool = True
    sessions: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    timeout_s: Positive = 60.0
    connect_timeout_s: Positive = 30.0
    max_calls: AtLeast1 = 8
    per_session: bool = False
    trust_annotations: bool = False
    protocol: Literal["newest", "2025-11-25"] = "newest"


class McpTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Servers of tools, by the Model Context Protocol. `sessions`: patterns of the session keys that may use
    those servers that do not say it themselves. `file`: a JSON file with further servers, as other clients
    have it.
    """

    sessions: tuple[str, ...] = ()
    file: str | None = None
    servers: dict[str, McpServerTable] = {}


class EngineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How turns are run."""

    max_running_turns: AtLeast1 = 1_000
    max_waiting_turns: AtLeast1 = 10_000
    max_attempts: AtLeast1 = 3
    turn_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] = 3600.0


class _PersonaFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers; None: as the table for all sessions says, else as nanobot has it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    instructions: str | None = None
    instructions_file: str | None = None
    language: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    tools: tuple[str, ...] | None = None
    skills: tuple[str, ...] | None = None
    memory: bool | None = None
    own_instructions: bool | None = None
    own_model: bool | None = None


class PersonaTable(_PersonaFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who answers in the sessions whose key matches `pattern`, with the model of a preset."""

    pattern: str
    model: str | None = None


class AgentTable(_PersonaFields, frozen=True, forbid_unknown_fields=True):
    """Who answers, and the bounds of a turn."""

    max_steps: AtLeast1 = 50
    max_turn_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_turn_cost: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    max_turn_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] = 0.0
    window_tokens: Annotated[int, msgspec.Meta(ge=1024)] = 32_000
    result_share: Annotated[float, msgspec.Meta(ge=0.05, le=0.5)] = 0.25
    max_calls_per_step: AtLeast1 = 64
    tools_tokens: Annotated[int, msgspec.Meta(ge=0)] = 1_500


class DelegationTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parts of its work that the agent has done by another: how many in a turn, and the budget of each."""

    max_parts: Annotated[int, msgspec.Meta(ge=0)] = 8
    max_steps: AtLeast1 = 25
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] = 200_000
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=LONGEST_S)] = 600.0


class PolicyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which tools may be called in the sessions whose key matches `pattern`, for turns from `origins` (none:
    from anywhere). `tools`: what holds for a tool's name, an `@group` of tools, or `*`.
    """

    tools: dict[str, Decision]
    pattern: str = "*"
    origins: tuple[PolicyOrigin, ...] = ()
    calls_per_turn: AtLeast1 | None = None


class ApprovalsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls of tools that a person is asked about."""

    timeout_s: Annotated[float, msgspec.Meta(ge=10, le=LONGEST_S)] = 3600.0
    max_pending: AtLeast1 = 32
    keep_days: Annotated[float, msgspec.Meta(ge=1, le=36_500)] = 30.0


class CompactionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When and how the beginning of long conversations is summarised."""

    enabled: bool = True
    soft_share: Annotated[float, msgspec.Meta(ge=0.2, le=0.95)] = 0.6
    keep_share: Annotated[float, msgspec.Meta(ge=0.05, le=0.9)] = 0.3
    model: str | None = None
    summary_tokens: Annotated[int, msgspec.Meta(ge=200, le=20_000)] = 1_500


class RecallTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of earlier messages the model is shown again, and how much a search of them may return.

    `people`: whether also of the person's other private chats, and in a group of what its members said there.
    `max_wait_ms`: how long a turn waits for the search by meaning.
    """

    tokens: Annotated[int, msgspec.Meta(ge=0, le=4_000)] = 400
    people: bool = True
    max_wait_ms: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 200
    result_tokens: Annotated[int, msgspec.Meta(ge=400, le=20_000)] = 2_000


class MemoryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered beyond a conversation, and who is told. `private_in_groups`: turns of a group are
    told all facts of the person who speaks, not only those that are public. `background_model`: the preset
    that looks for facts in ended turns, once a conversation has paused for `background_idle_s`; None: none
    does. `vectors`: facts and earlier messages are compared by meaning, too; it needs the extra `vectors`.
    """

    enabled: bool = True
    vectors: bool = False
    profile_tokens: Annotated[int, msgspec.Meta(ge=0, le=4_000)] = 300
    max_facts: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000
    private_in_groups: bool = False
    background_model: str | None = None
    background_idle_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 120
    background_tokens_per_day: Annotated[int, msgspec.Meta(ge=1_000, le=100_000_000)] = 20_000

    @property
    def rules(self) -> MemoryRules:
        """What the store keeps to."""
        is_read = self.enabled and bool(self.profile_tokens)
        return MemoryRules(is_read, self.max_facts, self.private_in_groups)


class LocalTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Models that run on this machine. `models_dir`: where their weights are kept; by default one folder for
    all data directories of a user.
    """

    models_dir: str | None = None


class RetentionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long after its last use a session is kept whose key matches `pattern`. `days` 0: forever."""

    pattern: str
    days: Annotated[float, msgspec.Meta(ge=0, le=36_500)]


class HistoryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the messages of a request are where the session key matches `pattern`; `whole`: all of the
    conversation.
    """

    pattern: str
    mode: HistoryMode


class EphemeralTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Turns of sessions whose key matches `pattern` leave no trace."""

    pattern: str


class SessionsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long sessions are kept, and how the history that clients send is taken."""

    ttl: tuple[RetentionTable, ...] = ()
    history: tuple[HistoryTable, ...] = ()
    ephemeral: tuple[EphemeralTable, ...] = ()


class StoreTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How conversations are stored. `normal`: a power cut (not a crash) may lose the last turns."""

    synchronous: Literal["full", "normal"] = "full"


class LogTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged, to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    format: Literal["console", "json"] = "console"
    session_keys: bool = False


class TelemetryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Traces by OpenTelemetry. The environment's `OTEL_…` variables say where they go."""

    traces: Literal["auto", "on", "off"] = "auto"
    content: bool = False


class AuditTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The audit log: who did what."""

    enabled: bool = True
    polls: bool = False
    arguments: bool = True
    session_keys: Literal["plain", "hashed"] = "plain"
    max_mb: Positive = 100.0
    keep: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 10


class ScopeTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the session keys that `pattern` fits speak of; `channel`: of keys that do not name theirs."""

    pattern: str
    channel: str | None = None


class _QuotaFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much an API key or sessions may use."""

    requests_per_minute: AtLeast1 | None = None
    running_turns: AtLeast1 | None = None
    tokens_per_day: AtLeast1 | None = None
    money_per_day: Annotated[float, msgspec.Meta(gt=0)] | None = None

    @property
    def quota(self) -> Quota:
        return Quota(self.requests_per_minute, self.running_turns, self.tokens_per_day, self.money_per_day)


class KeyTable(_QuotaFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An API key.

    `hash`: `sha256:` and the SHA-256 of the key in hex, never the key itself.
    """

    name: str
    hash: Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
    scopes: tuple[Right, ...] = ("chat", "sessions:read", "sessions:write", "files")
    sessions: tuple[str, ...] = ()
    session_key: str | None = None
    history: HistoryMode = "auto"
    expires: datetime.datetime | None = None


class QuotaTable(_QuotaFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much the sessions that match a pattern may use, together or each."""

    pattern: str
    per: Literal["pattern", "session"] = "pattern"
