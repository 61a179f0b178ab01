"""All settings. Precedence: command line, environment (`NANOBOT_…`), `nanobot.toml`, default.

The setting `name` of the table `[table]` is `NANOBOT_TABLE_NAME` in the environment. docs/settings.md
describes each of them.

Knows: the names, types and bounds of the settings, and where they may stand. Does not know: what they do.
Start at `config.py`, which has all tables; they are in `tables.py`, those of models and providers in
`models.py`. `load.py` reads them, `lines.py` knows on which line of the file each stands, `unknown.py` what
a wrong name was meant to be, `masking.py` what of a value may be shown.
"""

from nanobot.config.config import Config, default_data_directory
from nanobot.config.load import FILE, load, log_format, origins, sets_nothing
from nanobot.config.models import EndpointFields, ModelTable, ProviderTable
from nanobot.config.tables import (
    AgentTable,
    ApiTable,
    ApprovalsTable,
    AuditTable,
    DelegationTable,
    EngineTable,
    FilesTable,
    KeyTable,
    LocalTable,
    McpOAuthTable,
    McpServerTable,
    McpTable,
    PersonaTable,
    PolicyTable,
    QuotaTable,
    ServerTable,
    WebTable,
)

__all__ = [
    "FILE",
    "AgentTable",
    "ApiTable",
    "ApprovalsTable",
    "AuditTable",
    "Config",
    "DelegationTable",
    "EndpointFields",
    "EngineTable",
    "FilesTable",
    "KeyTable",
    "LocalTable",
    "McpOAuthTable",
    "McpServerTable",
    "McpTable",
    "ModelTable",
    "PersonaTable",
    "PolicyTable",
    "ProviderTable",
    "QuotaTable",
    "ServerTable",
    "WebTable",
    "default_data_directory",
    "load",
    "log_format",
    "origins",
    "sets_nothing",
]
