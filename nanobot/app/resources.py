"""What the parts of a server share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from nanobot.app.models import Models
from nanobot.app.periodic import PeriodicJob
from nanobot.app.personas import SettingsSource
from nanobot.app.skills import SkillsInUse
from nanobot.config import Config
from nanobot.core.clock import Clock
from nanobot.core.ids import Randomness
from nanobot.core.observer import Observer
from nanobot.core.persona import Personas
from nanobot.core.store import Store
from nanobot.core.tool import Tool
from nanobot.reading.fetch import Fetcher
from nanobot.stores.audit_log import AuditLog
from nanobot.stores.workspaces.local import LocalWorkspaces
from nanobot.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from nanobot.tools.mcp.servers import McpServers


class AppResources(msgspec.Struct, frozen=True, kw_only=True):
    """What is open before the parts of a server are made, and is closed after them.

    None: the settings, or this machine, have none. `secret` signs what the server hands out and takes back.
    `personas`: who answers in which sessions, which the server keeps as the settings say. `source`: where the
    settings came from, which is read again when it changes. `fetcher`: the one to use in place of that of the
    settings. `tools` and `jobs`: those that the server has besides its own.
    """

    config: Config
    models: Models
    clock: Clock
    randomness: Randomness
    metrics: Metrics
    observer: Observer
    store: Store
    secret: bytes
    audit: AuditLog | None
    workspaces: LocalWorkspaces | None
    personas: Personas
    source: SettingsSource | None
    skills: SkillsInUse | None
    mcp: McpServers | None
    fetcher: Fetcher | None
    tools: Sequence[Tool]
    jobs: Sequence[PeriodicJob]
