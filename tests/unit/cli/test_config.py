"""`nanobot config show`, and errors of settings that name their place."""

from pathlib import Path

import msgspec
import pytest

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


def test_no_secret_is_shown(nanobot: Nanobot, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text(SECRETS)
    for form in ("--json", "--changed"):
        ran = nanobot("config", "show", form)
        assert ran.status == 0
        assert "canary" not in ran.out + ran.err
        assert "***" in ran.out and "Authorization" in ran.out and "http://h/v1" in ran.out


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
