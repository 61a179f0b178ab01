"""`nanobot mcp list|check|login|logout|serve`: the MCP servers of the settings, and whether they can be
connected to.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from nanobot.app.mcp import check_installed, mcp_settings
from nanobot.cli import mcp_login, mcp_serve
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.terminal import neutral
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.ids import SystemRandomness
from nanobot.core.tool import Tool
from nanobot.tools.mcp.messages import ServerListing, StdioServer
from nanobot.tools.mcp.names import group_of
from nanobot.tools.mcp.servers import McpServers, ServerState
from nanobot.tools.mcp.settings import McpSettings
from nanobot.tools.mcp.token_file import TokenFile

_SPARE_S = 10.0
_LOG_IN = "log in with nanobot mcp login {}"


class ServerReport(msgspec.Struct, frozen=True):
    """What is known of a server, as `--json` prints it."""

    server: str
    where: str
    sessions: tuple[str, ...]
    ok: bool
    error: str = ""
    protocol: str = ""
    title: str = ""
    seconds: float | None = None
    tools: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()


@click.group("mcp", cls=Group)
def command() -> None:
    """List the MCP servers of the settings, and check that they can be connected to; be one."""


command.add_command(mcp_serve.command)
command.add_command(mcp_login.login)
command.add_command(mcp_login.logout)


@command.command("list")
@CONFIG
@DATA
def list_(config_file: Path | None, data: str | None) -> None:
    """List the servers of the settings, and who may use them. Nothing is connected to."""
    servers = mcp_settings(settings(config_file, server={"data": data}), os.environ)
    if not servers:
        click.echo("there is no MCP server in the settings: add [mcp.servers.NAME], or set mcp.file")
    for server in servers:
        click.echo(f"{server.name:24}  {neutral(server.place)}\n{'':24}  {_users(server)}")
        if (state := _login_state(server)) is not None:
            click.echo(f"{'':24}  {state}")


@command.command("check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def check(names: tuple[str, ...], as_json: bool, config_file: Path | None, data: str | None) -> None:
    """Connect to the servers, or to those called NAME, and list what they offer. Exit status 1 where one
    cannot be connected to.
    """
    servers = mcp_settings(settings(config_file, server={"data": data}), os.environ)
    known = [each.name for each in servers]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"there is no MCP server {unknown[0]!r} in the settings: there are {', '.join(known) or 'none'}"
        )
    chosen = [each for each in servers if not names or each.name in names]
    if not chosen:
        raise ConfigError("there is no MCP server in the settings: add [mcp.servers.NAME], or set mcp.file")
    reports = asyncio.run(examined(chosen))
    if as_json:
        click.echo(msgspec.json.encode(reports))
    for report in reports if not as_json else ():
        _print(report)
    sys.exit(0 if all(report.ok for report in reports) else 1)


async def examined(servers: Sequence[McpSettings]) -> list[ServerReport]:
    """Return what there is to say of each server, once it was connected to.

    Raises:
        ConfigError: the SDK is not installed.
    """
    check_installed()
    # What happens is reported, and not logged besides.
    logging.getLogger("nanobot.tools.mcp").addHandler(logging.NullHandler())
    mcp = McpServers(servers, SystemClock(), SystemRandomness())
    mcp.start()
    try:
        await mcp.tried(max(each.entry.connect_timeout_s for each in servers) + _SPARE_S)
    finally:
        await mcp.close()
    return [_report(each, mcp.states[each.name], mcp.tools) for each in servers]


def _report(server: McpSettings, state: ServerState, tools: tuple[Tool, ...]) -> ServerReport:
    if not state.is_connected or state.listing is None:
        why = state.why or "it did not answer in time"
        return ServerReport(server.name, server.place, server.sessions, ok=False, error=why)
    listing: ServerListing = state.listing
    group = group_of(server.name)
    return ServerReport(
        server.name,
        server.place,
        server.sessions,
        ok=True,
        protocol=listing.protocol,
        title=listing.title,
        seconds=round(state.after_s, 2),
        tools=tuple((tool.name, tool.by_default) for tool in tools if tool.group == group),
        left_out=listing.left_out,
    )


def _print(report: ServerReport) -> None:
    if not report.ok:
        click.echo(f"fail  {report.server}: {neutral(report.error)}\n      {neutral(report.where)}")
        return
    title = f"{neutral(report.title)}, " if report.title else ""
    click.echo(
        f"ok    {report.server}: {title}MCP {neutral(report.protocol)}, connected in {report.seconds:g} s,"
        f" {len(report.tools)} tools"
    )
    if not report.sessions:
        click.echo("      no session may use it: set mcp.sessions, or sessions of the server")
    for name, decision in report.tools:
        click.echo(f"      {decision:5}  {name}")
    for line in report.left_out:
        click.echo(f"      left out: {neutral(line)}")


def _login_state(server: McpSettings) -> str | None:
    """Return how the login at the server stands, as far as this machine knows; None: there is none."""
    transport = server.entry.transport
    if isinstance(transport, StdioServer) or transport.tokens is None:
        return None
    login = TokenFile(Path(transport.tokens), transport.url).load()
    if login is None:
        if transport.oauth is None:
            return None
        return "gets its token by itself" if transport.oauth.is_machine else _LOG_IN.format(server.name)
    if login.expires_at is None or login.expires_at > SystemClock().now():
        return "logged in"
    if login.tokens.get("refresh_token") or (transport.oauth is not None and transport.oauth.is_machine):
        return "logged in: its token has expired, and is renewed with the next connection"
    return f"the login has expired: {_LOG_IN.format(server.name)}"


def _users(server: McpSettings) -> str:
    if not server.sessions:
        return "no session may use it: set mcp.sessions, or sessions of the server"
    each = ", each with a connection of its own" if server.per_session else ""
    return f"for the sessions {', '.join(map(neutral, server.sessions))}{each}"
