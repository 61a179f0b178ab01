"""The policy of the settings, as the agent has it."""

from collections.abc import Collection, Sequence

from nanobot.agent.permissions import ApprovalSettings
from nanobot.app.places import in_tables
from nanobot.config import Config
from nanobot.core.accounts import check_pattern
from nanobot.core.errors import ConfigError
from nanobot.core.policy import ANY_TOOL, GROUP_SIGN, PolicyRule
from nanobot.core.tool import Tool
from nanobot.tools.mcp.names import may_be_of


def policy_rules(
    config: Config, tools: Sequence[Tool], servers: Collection[str] = ()
) -> tuple[PolicyRule, ...]:
    """Return the rules; they may name `tools`, the server's own, and their groups, and whatever the MCP
    `servers` may have.

    Raises:
        ConfigError: a rule names no tool, or one that is not there, or its pattern is not valid.
    """
    groups = sorted({GROUP_SIGN + tool.group for tool in tools if tool.group})
    known = [ANY_TOOL, *groups, *sorted(tool.name for tool in tools)]
    rules: list[PolicyRule] = []
    for number, table in enumerate(config.policy):
        name = f"policy[{number}]"
        with in_tables(name):
            check_pattern(table.pattern, name)
            if not table.tools:
                raise ConfigError(f"{name}.tools is empty: name a tool, as web_fetch = 'ask'")
            missing = set(table.tools) - set(known)
            if unknown := sorted(each for each in missing if not may_be_of(each, servers)):
                raise ConfigError(
                    f"{name}.tools: there is no tool {unknown[0]!r}: there are {', '.join(known)}"
                )
        rules.append(
            PolicyRule(name, table.tools, table.pattern, frozenset(table.origins), table.calls_per_turn)
        )
    return tuple(rules)


def approval_settings(config: Config) -> ApprovalSettings:
    """Return how long a question stands, how many may be open in one session, and what is written down."""
    table = config.approvals
    return ApprovalSettings(table.timeout_s, table.max_pending, config.audit.arguments)
