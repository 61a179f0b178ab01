"""Connects to the MCP servers of the settings, and of a file that other clients have, too."""

import contextlib
import importlib.util
import logging
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nanobot.app.places import in_tables
from nanobot.config import Config, McpServerTable
from nanobot.config.masking import masked_arguments, masked_command, masked_server_url
from nanobot.core.accounts import check_pattern
from nanobot.core.clock import Clock
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError
from nanobot.core.ids import Randomness
from nanobot.tools.mcp.messages import HttpServer, OAuthClient, ServerEntry, StdioServer
from nanobot.tools.mcp.names import MAX_SERVER_CHARS, SERVER_NAME
from nanobot.tools.mcp.servers import McpServers
from nanobot.tools.mcp.settings import McpSettings
from nanobot.tools.mcp.token_file import TokenFile

_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9-]+")
_HTTP_TYPES = (None, "http", "streamable-http", "streamableHttp", "streamable_http")
_log = logging.getLogger(__name__)
_MAX_FILE_BYTES = 1024 * 1024


class _FileEntry(msgspec.Struct, frozen=True):
    """A server as other clients write it; what else they write is theirs."""

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None
    type: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    disabled: bool = False


class _ServersFile(msgspec.Struct, frozen=True):
    servers: dict[str, _FileEntry] = msgspec.field(name="mcpServers")


@contextlib.asynccontextmanager
async def open_mcp(config: Config, clock: Clock, randomness: Randomness) -> AsyncIterator[McpServers | None]:
    """Yield the servers of the settings, None where there are none. They are being connected to; nobody has
    to wait for that. Afterwards they are disconnected.

    Raises:
        ConfigError: the settings of a server make no sense, or the SDK is not installed.
    """
    servers = mcp_settings(config, os.environ)
    if not servers:
        yield None
        return
    check_installed()
    for each in servers:
        if not each.sessions:
            _log.warning(
                "no session may use the MCP server %s: set mcp.sessions, or sessions of mcp.servers.%s",
                each.name,
                each.name,
            )
    mcp = McpServers(servers, clock, randomness, config.data)
    await mcp.load()
    mcp.start()
    try:
        yield mcp
    finally:
        await mcp.close()


def check_installed() -> None:
    """Return where the SDK is installed.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError(
            f"MCP servers need a package that is not installed: {install_command('mcp')}", tables=("mcp",)
        )


def mcp_settings(config: Config, environment: Mapping[str, str]) -> tuple[McpSettings, ...]:
    """Return the servers of the settings that are enabled, those of the file included.

    Raises:
        ConfigError: one makes no sense, or the file cannot be read.
    """
    with in_tables("mcp"):
        for pattern in config.mcp.sessions:
            check_pattern(pattern, "mcp.sessions")
        tables = {**_from_file(config.mcp.file, environment), **config.mcp.servers}
    found: list[McpSettings] = []
    for name, table in tables.items():
        where = f"mcp.servers.{name}"
        with in_tables(where if name in config.mcp.servers else "mcp"):
            if not SERVER_NAME.fullmatch(name) or len(name) > MAX_SERVER_CHARS:
                raise ConfigError(
                    f"{where}: the name of a server has letters, digits, - and single _ only, at most"
                    f" {MAX_SERVER_CHARS} of them"
                )
            if table.enabled:
                found.append(_settings(name, table, config, environment, where))
    return tuple(found)


def _settings(
    name: str,
    table: McpServerTable,
    config: Config,
    environment: Mapping[str, str],
    where: str,
) -> McpSettings:
    for pattern in table.sessions or ():
        check_pattern(pattern, f"{where}.sessions")
    transport = _transport(table, environment, where)
    if isinstance(transport, HttpServer):
        file = TokenFile.of(config.data, name, transport.url)
        transport = msgspec.structs.replace(
            transport, tokens=str(file.path), oauth=_oauth(table, environment, where)
        )
    elif table.oauth is not None:
        raise ConfigError(f"{where}.oauth: a command has none; it is told its secrets by env")
    entry = ServerEntry(
        name,
        transport,
        table.connect_timeout_s,
        is_kept=not table.per_session,
        is_old=table.protocol != "newest",
    )
    return McpSettings(
        entry,
        sessions=config.mcp.sessions if table.sessions is None else table.sessions,
        tools=table.tools,
        timeout_s=table.timeout_s,
        max_calls=table.max_calls,
        per_session=table.per_session,
        trust_annotations=table.trust_annotations,
        redirect_port=table.oauth.redirect_port if table.oauth is not None else 0,
        place=_place(table),
    )


def _place(table: McpServerTable) -> str:
    """Return the command or the URL, with the names of variables instead of their values."""
    if table.command is None:
        return masked_server_url(table.url or "")
    return " ".join((masked_command(table.command), *masked_arguments(table.args)))


def _transport(table: McpServerTable, environment: Mapping[str, str], where: str) -> StdioServer | HttpServer:
    def filled(text: str, setting: str) -> str:
        return _filled(text, environment, f"{where}.{setting}")

    if (table.command is None) == (table.url is None):
        raise ConfigError(f"{where}: set either command (a program that is started) or url")
    if table.command is not None:
        if table.headers:
            raise ConfigError(f"{where}.headers: a command has none; it is told its secrets by env")
        cwd = Path(filled(table.cwd, "cwd")).expanduser() if table.cwd is not None else None
        if cwd is not None and not cwd.is_dir():
            raise ConfigError(f"{where}.cwd is {str(cwd)!r}, which is no directory")
        return StdioServer(
            str(Path(filled(table.command, "command")).expanduser()),
            tuple(filled(each, "args") for each in table.args),
            {variable: filled(value, f"env.{variable}") for variable, value in table.env.items()},
            str(cwd) if cwd is not None else None,
        )
    if table.args or table.env or table.cwd:
        raise ConfigError(f"{where}: args, env and cwd are for a command; a url has headers")
    headers = {header: filled(value, f"headers.{header}") for header, value in table.headers.items()}
    for header, value in headers.items():
        if not header.isascii() or any(ord(each) < 32 or ord(each) > 126 for each in value):
            # Not its value, which may be a secret.
            raise ConfigError(f"{where}.headers.{header} has characters that no header has")
    return HttpServer(_url(filled(table.url or "", "url"), where), headers)


def _oauth(table: McpServerTable, environment: Mapping[str, str], where: str) -> OAuthClient | None:
    given = table.oauth
    if given is None:
        return None
    where = f"{where}.oauth"

    def filled(text: str | None, setting: str) -> str | None:
        return _filled(text, environment, f"{where}.{setting}") if text is not None else None

    if any(header.lower() == "authorization" for header in table.headers):
        raise ConfigError(f"{where}: headers has an Authorization already: set one of both")
    is_machine = given.grant == "client_credentials"
    if is_machine and not (given.client_id and given.client_secret and given.issuer):
        raise ConfigError(
            f"{where}: grant 'client_credentials' needs client_id, client_secret and issuer, the"
            " authorization server that they are for"
        )
    if given.client_secret is not None and given.client_id is None:
        raise ConfigError(f"{where}.client_secret is that of a client: set client_id")
    if given.client_metadata_url is not None and not given.client_metadata_url.startswith("https://"):
        raise ConfigError(f"{where}.client_metadata_url must be a URL of https")
    return OAuthClient(
        filled(given.client_id, "client_id"),
        filled(given.client_secret, "client_secret"),
        given.scope,
        given.issuer,
        is_machine=is_machine,
        sends_secret_in_body=given.client_auth == "post",
        client_metadata_url=given.client_metadata_url,
    )


def _url(text: str, where: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url or "@" in parts.netloc:
        raise ConfigError(f"{where}.url must be a URL of http or https, without a user or password")
    return text


def _filled(text: str, environment: Mapping[str, str], where: str) -> str:
    """Return the text with the value of each variable of the environment that it names as `${NAME}`.

    Raises:
        ConfigError: there is no such variable, and no default, as in `${NAME:-default}`.
    """

    def value(found: re.Match[str]) -> str:
        default: str | None = found[2]
        text = environment.get(found[1]) or default
        if text is None:
            raise ConfigError(f"{where} needs the environment variable {found[1]}, which is not set")
        return text

    return _VARIABLE.sub(value, text)


def _from_file(name: str | None, environment: Mapping[str, str]) -> dict[str, McpServerTable]:
    """Return the servers of the JSON file, by names that they may have here."""
    if name is None:
        return {}
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise ConfigError(f"mcp.file: {path} has more than {_MAX_FILE_BYTES} bytes")
        given = msgspec.json.decode(content, type=_ServersFile).servers
    except OSError as error:
        raise ConfigError(f"mcp.file: {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"mcp.file: {path} has no mcpServers as other clients read them: {error}"
        ) from error
    tables: dict[str, McpServerTable] = {}
    for title, entry in given.items():
        if entry.disabled:
            continue
        server = _OTHER_CHARACTERS.sub("-", title).strip("-")[:MAX_SERVER_CHARS].strip("-")
        if not server or server in tables:
            raise ConfigError(
                f"mcp.file: {path}: {title!r} is no name of a server, or nearly that of another"
            )
        tables[server] = _table(entry, f"mcp.file: {path}: {title}")
    return tables


def _table(entry: _FileEntry, where: str) -> McpServerTable:
    if entry.url is not None and entry.command is None and entry.type not in _HTTP_TYPES:
        raise ConfigError(
            f"{where} is of the type {entry.type!r}: only streamable HTTP is supported (type 'http')"
        )
    fields: dict[str, Any] = {
        "command": entry.command,
        "args": entry.args,
        "env": entry.env,
        "cwd": entry.cwd,
    }
    if entry.command is None:
        fields = {"url": entry.url, "headers": entry.headers}
    return McpServerTable(**fields)
