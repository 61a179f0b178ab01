"""All settings together, and the folders that they name."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from nanobot.config.models import ModelTable, ProviderTable
from nanobot.config.tables import (
    AgentTable,
    ApiTable,
    ApprovalsTable,
    AuditTable,
    CompactionTable,
    DelegationTable,
    EngineTable,
    FilesTable,
    KeyTable,
    LocalTable,
    LogTable,
    McpTable,
    MemoryTable,
    PersonaTable,
    PolicyTable,
    QuotaTable,
    RecallTable,
    ScopeTable,
    ServerTable,
    SessionsTable,
    ShellTable,
    SkillsTable,
    StoreTable,
    TelemetryTable,
    WebTable,
    WorkspaceTable,
)
from nanobot.core.accounts import Price
from nanobot.core.errors import ConfigError


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting.

    `models` are presets: further names that a request may give as its `model`. `providers` are further
    providers, and changes of those that nanobot knows. The keys of `prices` are `provider:model`.
    """

    server: ServerTable = ServerTable()
    api: ApiTable = ApiTable()
    files: FilesTable = FilesTable()
    web: WebTable = WebTable()
    workspace: WorkspaceTable = WorkspaceTable()
    shell: ShellTable = ShellTable()
    skills: SkillsTable = SkillsTable()
    mcp: McpTable = McpTable()
    engine: EngineTable = EngineTable()
    agent: AgentTable = AgentTable()
    agents: tuple[PersonaTable, ...] = ()
    policy: tuple[PolicyTable, ...] = ()
    approvals: ApprovalsTable = ApprovalsTable()
    delegation: DelegationTable = DelegationTable()
    compaction: CompactionTable = CompactionTable()
    recall: RecallTable = RecallTable()
    memory: MemoryTable = MemoryTable()
    model: ModelTable = ModelTable()
    local: LocalTable = LocalTable()
    models: dict[str, ModelTable] = {}
    providers: dict[str, ProviderTable] = {}
    sessions: SessionsTable = SessionsTable()
    store: StoreTable = StoreTable()
    log: LogTable = LogTable()
    telemetry: TelemetryTable = TelemetryTable()
    audit: AuditTable = AuditTable()
    scopes: tuple[ScopeTable, ...] = ()
    keys: tuple[KeyTable, ...] = ()
    quotas: tuple[QuotaTable, ...] = ()
    prices: dict[str, Price] = {}

    @property
    def data(self) -> Path:
        """The data directory.

        Raises:
            ConfigError: it is in a home directory that does not exist.
        """
        return _folder("server.data", self.server.data, default_data_directory)

    @property
    def skills_folder(self) -> Path:
        """Where the operator's skills are.

        Raises:
            ConfigError: it is in a home directory that does not exist.
        """
        return _folder("skills.folder", self.skills.folder, lambda: self.data / "skills")

    @property
    def models_dir(self) -> Path:
        """Where the weights of local models are kept.

        Raises:
            ConfigError: it is in a home directory that does not exist.
        """
        return _folder("local.models_dir", self.local.models_dir, lambda: default_data_directory() / "models")


def _folder(setting: str, chosen: str | None, default: Callable[[], Path]) -> Path:
    """Return the folder that a setting names, or the default one.

    Raises:
        ConfigError: it is in a home directory that does not exist.
    """
    try:
        return Path(chosen).expanduser() if chosen else default()
    except RuntimeError as error:
        if chosen:
            why = f"is {chosen!r}: there is no such home directory, name it in full"
        else:
            why = (
                "is not set, and the user that nanobot runs as has no home directory for it: name a directory"
            )
        raise ConfigError(f"{setting} {why}") from error


def default_data_directory() -> Path:
    """Return where conversations are kept by default: where the platform keeps the data of applications."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "nanobot"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "nanobot"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "nanobot"
