"""`nanobot config show`, and errors of settings that name their place."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.config import Config
from nanobot.config.masking import masked
from tests.unit.cli.commandline import Nanobot

SECRETS = """\
[api]
key = "canary-1"
[model]
name = "echo"
api_key = "canary-2"
api_keys = ["canary-3", "canary-4"]
key_command = "print canary-5"
proxy = "http://user:canary-6@proxy:3128"
headers = {Authorization = "canary-7"}
body = {token = "canary-8"}
[models.fast]
name = "openai:x"
base_url = "http://h/v1?key=canary-9"
[providers.work]
base_url = "https://user:canary-10@host/v1"
api_key = "canary-11"
[web]
search_key = "canary-12"
search_url = "https://user:canary-13@searx/search?token=canary-14"
[mcp.servers.hub]
command = "npx"
args = ["-y", "canary-15", "--token", "canary-16", "--api-key=canary-17", "-pcanary-18",
    "--root=${ROOT}", "${TOKEN}"]
env = {TOKEN = "canary-19"}
[mcp.servers.far]
url = "https://mcp:8443/s/canary-20/mcp?key=canary-21#canary-22"
headers = {X-Token = "canary-23"}
[mcp.servers.far.oauth]
client_id = "me"
client_secret = "canary-24"
issuer = "https://me:canary-25@as/realm"
client_metadata_url = "https://me/about?canary-26"
[[keys]]
name = "ann"
hash = "sha256:ca9aca9aca9aca9aca9aca9aca9aca9aca9aca9aca9aca9aca9aca9aca9aca9a"
"""


def test_every_setting_is_shown_with_where_it_comes_from(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nanobot.toml").write_text("\n[server]\nport = 9123\n")
    monkeypatch.setenv("NANOBOT_LOG_LEVEL", "debug")
    ran = nanobot("config", "show", "--data", "/srv/bot", "--model", "echo")
    assert ran.status == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0] == f"# config file: {tmp_path / 'nanobot.toml'}"
    assert "port = 9123 # nanobot.toml:3" in lines
    assert 'host = "127.0.0.1" # default' in lines
    assert 'data = "/srv/bot" # --data' in lines
    assert 'level = "debug" # NANOBOT_LOG_LEVEL' in lines
    assert 'name = "echo" # --model' in lines
    assert "# tls_cert is not set" in lines
    changed = nanobot("config", "show", "--changed").out
    assert "9123" in changed and "127.0.0.1" not in changed


def test_as_json_each_setting_has_its_value_and_its_origin(nanobot: Nanobot, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text('[[keys]]\nname = "a"\nhash = "sha256:%s"\n' % ("0" * 64))
    shown = msgspec.json.decode(nanobot("config", "show", "--json").out)
    assert shown["server.port"] == {"value": 8900, "origin": "default"}
    assert shown["keys[0].name"] == {"value": "a", "origin": "nanobot.toml:2"}


NAMES_OF_SECRETS = re.compile(
    r"(^|_)(key|keys|hash|secret|token|password|command|proxy|headers|body|env|args|url)$"
)
NO_SECRETS = {"tls_key", "session_key", "session_keys", "session_headers", "command"}
"""A path, whose session it is, names of headers, a program: nothing that lets anybody in."""


def test_no_secret_is_shown(nanobot: Nanobot, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text(SECRETS)
    for form in ("--json", "--changed"):
        ran = nanobot("config", "show", form)
        assert ran.status == 0
        assert "canary" not in ran.out + ran.err and "ca9a" not in ran.out
        for shown in ("***", "Authorization", "http://h/v1", "https://searx/search", "https://mcp:8443/***"):
            assert shown in ran.out, shown
    shown = msgspec.json.decode(nanobot("config", "show", "--json").out)["mcp.servers"]["value"]
    assert shown["hub"]["args"] == [
        *("-y", "***", "--token", "***", "--api-key=***", "***", "--root=${ROOT}", "${TOKEN}")
    ]
    assert shown["far"]["oauth"] == {
        "client_id": "me",
        "client_secret": "***",
        "issuer": "https://as/realm",
        "client_metadata_url": "https://me/about",
    }


def test_a_setting_that_is_called_like_a_secret_is_not_shown() -> None:
    for field in (each for table in tables_in(Config) for each in msgspec.structs.fields(table)):
        kind = str(field.type)
        if not NAMES_OF_SECRETS.search(field.name) or field.name in NO_SECRETS or "str" not in kind:
            continue
        text = "https://canary@host/"
        value = {"x": text} if "dict" in kind else (text,) if "tuple" in kind else text
        assert "canary" not in repr(masked(field.name, value)), field.name


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("npx", "npx"),
        ("/opt/bin/thing", "/opt/bin/thing"),
        ("${PROGRAM}", "${PROGRAM}"),
        ("env TOKEN=canary thing --key=canary -v", "env *** *** --key=*** -v"),
        ("TOKEN=canary", "***"),
        ("TOKEN=canary thing", "*** ***"),
        ("sh -c 'thing --key canary'", "sh -c *** --key ***"),
    ],
)
def test_a_command_that_is_a_whole_line_shows_only_its_program(command: str, shown: str) -> None:
    assert masked("command", command) == shown


def tables_in(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the tables that a type of settings has in it, its own included."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from tables_in(field.type)
    for part in typing.get_args(kind):
        yield from tables_in(part)


def test_the_list_of_mcp_servers_shows_no_secret(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "canary-value")
    monkeypatch.setenv("ROOT", "/srv")
    settings = SECRETS.replace("me:canary-25@", "")
    (tmp_path / "nanobot.toml").write_text(settings)
    ran = nanobot("mcp", "list")
    assert ran.status == 0, ran.err
    assert "canary" not in ran.out + ran.err
    assert "npx -y *** --token *** --api-key=*** *** --root=${ROOT} ${TOKEN}" in ran.out
    assert "https://mcp:8443/***" in ran.out


def test_without_a_file_it_says_so_and_where_one_would_be(nanobot: Nanobot, tmp_path: Path) -> None:
    assert nanobot("config", "show").out.startswith(
        f"# no config file: there is no {tmp_path / 'nanobot.toml'}\n"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[models.fast]\nname = "opanai:x"\n', "nanobot.toml:2: model 'opanai:x'"),
        ("[models.fast]\nmax_retries = 1\n", "nanobot.toml:1: [models.fast] has no name"),
        ('[model]\nname = "openai:x"\napi_key = "k"\nauth = "a b\\u0000"\n', "nanobot.toml:4: auth is "),
        (
            '[model]\nname = "openai:x"\napi_key = "k"\n[providers.openai]\nwire = "smoke"\n',
            "nanobot.toml:5: wire is ",
        ),
        ('[model]\nname = "openai:x"\n', "nanobot.toml:2: model openai:x: no key for openai"),
        ('[model]\nname = "echo"\nfallback = ["x:y"]\n', "nanobot.toml:3: model.fallback: "),
        ('[providers.work]\nkey_variable = "X"\n', "nanobot.toml:1: [providers.work] has no base_url"),
        ('[model]\nname = "echo"\n[server]\nhost = "0.0.0.0"\n', "nanobot.toml:4: host 0.0.0.0 can be "),
        ('[model]\nname = "echo"\n[server]\ntls_key = "k"\n', "nanobot.toml:4: server.tls_key is k"),
        ('[model]\nname = "echo"\n[[quotas]]\npattern = ""\n', "nanobot.toml:4: quotas[0]: "),
    ],
)
def test_an_error_that_shows_only_at_the_start_names_its_line_too(
    text: str, place: str, nanobot: Nanobot, tmp_path: Path
) -> None:
    (tmp_path / "nanobot.toml").write_text(text)
    ran = nanobot("serve", "--port", "0", "--data", str(tmp_path / "data"))
    assert ran.status == 2
    assert ran.err.startswith(f"nanobot: {place}"), ran.err
    assert ran.err.count("\n") == 1


def test_an_error_of_a_variable_names_the_variable(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOBOT_SERVER_HOST", "0.0.0.0")
    ran = nanobot("serve", "--model", "echo", "--data", str(tmp_path / "data"))
    assert ran.err.startswith("nanobot: NANOBOT_SERVER_HOST: host 0.0.0.0 can be reached")


def test_a_file_without_a_setting_is_told(nanobot: Nanobot, tmp_path: Path) -> None:
    file = tmp_path / "nanobot.toml"
    file.write_text("# nothing yet\n")
    assert nanobot("config", "show").out.startswith(f"# config file: {file}, which has no settings\n")
