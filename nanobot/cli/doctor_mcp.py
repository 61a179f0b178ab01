"""The checks of `nanobot doctor` on the MCP servers: each is connected to."""

import os

from nanobot.app.mcp import mcp_settings
from nanobot.cli.check_result import CheckResult
from nanobot.cli.mcp import examined
from nanobot.cli.options import placed
from nanobot.config import Config
from nanobot.core.errors import ConfigError


async def examine(config: Config) -> tuple[CheckResult, ...]:
    """Check that the servers of the settings can be connected to, and that some session may use them."""
    try:
        servers = mcp_settings(config, os.environ)
        reports = await examined(servers) if servers else ()
    except ConfigError as error:
        return (CheckResult("mcp", "fail", placed(error)),)
    results: list[CheckResult] = []
    for report in reports:
        name = f"mcp {report.server}"
        if not report.ok:
            results.append(
                CheckResult(name, "warn", report.error, f"check its settings: mcp.servers.{report.server}")
            )
        elif not report.sessions:
            results.append(
                CheckResult(
                    name,
                    "warn",
                    "no session may use it",
                    f"set mcp.sessions, or sessions of mcp.servers.{report.server}",
                )
            )
        else:
            text = f"MCP {report.protocol}, {len(report.tools)} tools, connected in {report.seconds:g} s"
            results.append(CheckResult(name, "ok", text))
    return tuple(results)
