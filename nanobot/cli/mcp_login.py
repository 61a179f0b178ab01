"""`nanobot mcp login|logout`: get a token of an MCP server with a person's consent, and forget it."""

import asyncio
import importlib
import os
from pathlib import Path

import click

from nanobot.app.mcp import check_installed, mcp_settings
from nanobot.cli import audit_log
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.redirect import Redirect, RedirectListener, redirect_of
from nanobot.cli.terminal import neutral
from nanobot.config import Config
from nanobot.core.errors import ConfigError
from nanobot.tools.mcp.messages import HttpServer
from nanobot.tools.mcp.settings import McpSettings
from nanobot.tools.mcp.token_file import TokenFile

_PASTE_PORT = 8976
"""Nobody listens there: the address in the browser's bar is what counts."""
_RENEWAL_S = 60.0
"""Longer than any renewal of a token takes."""


@click.command("login")
@click.argument("name", metavar="NAME")
@click.option(
    "--paste",
    is_flag=True,
    help="Nothing listens here: paste the address that the browser ends at, as on a machine without one.",
)
@click.option("--within", "within_s", type=click.FloatRange(1), default=300.0, help="Seconds to wait [300].")
@CONFIG
@DATA
def login(name: str, paste: bool, within_s: float, config_file: Path | None, data: str | None) -> None:
    """Log in at the MCP server NAME: prints the address to open in a browser, and waits for that."""
    config = settings(config_file, server={"data": data})
    server = _found(config, name)
    check_installed()
    said = asyncio.run(_log_in(server, paste=paste, within_s=within_s))
    if said is None:
        click.echo(f"{name} wants no login")
        return
    audit_log.record(config, "nanobot mcp login", target=name)
    click.echo(f"logged in at {name}: {said}")


@click.command("logout")
@click.argument("name", metavar="NAME")
@CONFIG
@DATA
def logout(name: str, config_file: Path | None, data: str | None) -> None:
    """Forget the token of the MCP server NAME. The authorization server may still know it."""
    config = settings(config_file, server={"data": data})
    transport = _transport(_found(config, name))
    if not asyncio.run(_forget(TokenFile.of(config.data, name, transport.url), name)):
        click.echo(f"there was no login at {name}")
        return
    audit_log.record(config, "nanobot mcp logout", target=name)
    click.echo(f"logged out of {name}: a running server uses its token until it connects anew")


async def _forget(file: TokenFile, name: str) -> bool:
    """Delete the login, and return whether there was one.

    Raises:
        ConfigError
    """
    if not file.path.exists():
        return False
    try:
        # Not while it is being renewed, which would bring it back.
        async with file.locked(_RENEWAL_S):
            return file.delete()
    except TimeoutError:
        raise ConfigError(
            f"another process has been renewing the login at {name} for {_RENEWAL_S:g} s: try again"
        ) from None


def _found(config: Config, name: str) -> McpSettings:
    servers = mcp_settings(config, os.environ)
    found = next((each for each in servers if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in servers) or "none"
        raise ConfigError(f"there is no MCP server {name!r} in the settings: there are {known}")
    _transport(found)
    return found


def _transport(server: McpSettings) -> HttpServer:
    transport = server.entry.transport
    if not isinstance(transport, HttpServer):
        raise ConfigError(
            f"the MCP server {server.name} is a command, which has no login: give it its secrets by env"
        )
    return transport


async def _log_in(server: McpSettings, *, paste: bool, within_s: float) -> str | None:
    """Return what the token allows, once a person has logged in; None: the server wants no login.

    Raises:
        ConfigError: it did not work; it says why.
    """
    # The SDK is loaded by those alone who log in.
    signing_in = importlib.import_module("nanobot.tools.mcp.signing_in")
    transport = _transport(server)
    port = _PASTE_PORT if paste else 0
    async with RedirectListener(server.redirect_port or port, listens=not paste) as listener:

        async def show(address: str) -> None:
            click.echo(f"open this address in a browser, and agree:\n\n{neutral(address)}\n")

        async def returned() -> Redirect:
            if not paste:
                click.echo(f"waiting for the browser to come back to {listener.uri} …")
                return await listener.wait()
            text = await asyncio.to_thread(
                click.prompt, "then paste the address at which the browser ends (it need not load)"
            )
            return redirect_of(text.strip())

        try:
            async with asyncio.timeout(within_s):
                allowed: str | None = await signing_in.log_in(transport, listener.uri, show, returned)
        except TimeoutError:
            raise ConfigError(
                f"nobody came back from the browser within {within_s:g} s; on a machine without a browser:"
                f" nanobot mcp login {server.name} --paste"
            ) from None
        except signing_in.LoginFailed as error:
            raise ConfigError(f"the login at {server.name} failed: {error}") from error
    return allowed
