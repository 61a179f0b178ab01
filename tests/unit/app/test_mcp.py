"""The MCP servers of the settings, and of the file of another client."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.app.mcp import mcp_settings
from nanobot.config import Config, load
from nanobot.core.errors import ConfigError
from nanobot.tools.mcp.messages import HttpServer, OAuthClient, StdioServer
from nanobot.tools.mcp.settings import McpSettings


def read(environment: dict[str, str] | None = None, **mcp: Any) -> tuple[McpSettings, ...]:
    return mcp_settings(msgspec.convert({"mcp": mcp}, Config), environment or {})


def refused(**server: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        read(servers={"s": server})
    assert raised.value.tables == ("mcp.servers.s",)
    return raised.value.message


def _without_file(server: McpSettings) -> HttpServer:
    """Return where the server is, without the file that a login at it is kept in."""
    assert isinstance(server.entry.transport, HttpServer) and server.entry.transport.tokens is not None
    assert server.entry.transport.tokens.endswith(f"mcp-logins/{server.name}.json")
    return msgspec.structs.replace(server.entry.transport, tokens=None)


def test_a_client_of_an_authorization_server_is_whole_or_refused() -> None:
    (server,) = read(
        {"SECRET": "canary"},
        servers={
            "s": {
                "url": "https://h/mcp",
                "oauth": {
                    "grant": "client_credentials",
                    "client_id": "it",
                    "client_secret": "${SECRET}",
                    "issuer": "https://as",
                    "client_auth": "post",
                },
            }
        },
    )
    assert _without_file(server).oauth == OAuthClient(
        "it", "canary", None, "https://as", is_machine=True, sends_secret_in_body=True
    )
    at = {"url": "https://h/mcp"}
    assert "needs client_id" in refused(**at, oauth={"grant": "client_credentials", "client_id": "it"})
    assert "set client_id" in refused(**at, oauth={"client_secret": "canary"})
    assert "a URL of https" in refused(**at, oauth={"client_metadata_url": "http://h/me"})
    assert "set one of both" in refused(**at, headers={"authorization": "canary"}, oauth={})
    assert "a command has none" in refused(command="x", oauth={})


def test_a_server_has_the_sessions_of_all_unless_it_has_its_own() -> None:
    one, other = read(
        sessions=["a:*"],
        servers={"one": {"command": "x"}, "other": {"url": "http://h/mcp", "sessions": ["b"]}},
    )
    assert (one.sessions, other.sessions) == (("a:*",), ("b",))
    assert one.entry.transport == StdioServer("x")
    assert _without_file(other) == HttpServer("http://h/mcp")
    assert one.entry.is_kept


def test_variables_of_the_environment_stand_for_their_values() -> None:
    (server,) = read(
        {"A": "1", "EMPTY": ""},
        servers={"s": {"command": "x", "args": ["${A}", "${env:A}${B:-2}"], "env": {"C": "${EMPTY:-}"}}},
    )
    assert server.entry.transport == StdioServer("x", ("1", "12"), {"C": ""})


def test_what_makes_no_sense_is_refused_without_its_value() -> None:
    assert "either command" in refused()
    assert "either command" in refused(command="x", url="http://h")
    assert "headers: a command has none" in refused(command="x", headers={"A": "canary"})
    assert "args, env and cwd are for a command" in refused(url="http://h", env={"A": "canary"})
    assert "needs the environment variable NOPE" in refused(command="x", env={"A": "${NOPE}"})
    for url in ("ftp://h", "http://user:canary@h", "h/mcp", "http://", "http://h:99999999"):
        message = refused(url=url)
        assert "must be a URL" in message and "canary" not in message
    message = refused(url="http://h", headers={"A": "can\nary"})
    assert "headers.A has characters" in message and "ary" not in message.replace("ary of", "")
    assert "which is no directory" in refused(command="x", cwd="/no/such/place")
    with pytest.raises(ConfigError, match="the name of a server"):
        read(servers={"a__b": {"command": "x"}})


def test_a_disabled_server_is_as_none() -> None:
    assert read(servers={"s": {"command": "x", "env": {"A": "${NOPE}"}, "enabled": False}}) == ()


def test_the_file_of_another_client_is_read(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text(
        '{"mcpServers": {"My Server": {"command": "x", "args": ["-y"], "autoApprove": ["a"]},'
        ' "web": {"type": "http", "url": "https://h/mcp", "headers": {"K": "${K}"}},'
        ' "off": {"type": "sse", "url": "https://h", "disabled": true},'
        ' "same": {"command": "y"}}, "other": 1}'
    )
    (tmp_path / "nanobot.toml").write_text(
        '[mcp]\nfile = "mcp.json"\nsessions = ["*"]\n[mcp.servers.same]\ncommand = "z"\n'
    )
    found = {each.name: each for each in mcp_settings(load(tmp_path / "nanobot.toml", {}, {}), {"K": "1"})}
    assert set(found) == {"My-Server", "web", "same"}
    assert found["My-Server"].entry.transport == StdioServer("x", ("-y",))
    assert _without_file(found["web"]) == HttpServer("https://h/mcp", {"K": "1"})
    assert found["same"].entry.transport == StdioServer("z")
    assert found["web"].sessions == ("*",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "has no mcpServers"),
        ('{"servers": {}}', "has no mcpServers"),
        ('{"mcpServers": {"a": {"type": "sse", "url": "http://h"}}}', "of the type 'sse'"),
        ('{"mcpServers": {"a b": {"command": "x"}, "a.b": {"command": "y"}}}', "nearly that of another"),
        ('{"mcpServers": {"...": {"command": "x"}}}', "is no name of a server"),
        ("[" * 100_000, "has no mcpServers"),
    ],
)
def test_a_file_that_is_no_such_file_is_refused(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "mcp.json").write_text(content)
    with pytest.raises(ConfigError, match=why):
        read(file=str(tmp_path / "mcp.json"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read(file=str(tmp_path / "none.json"))
