"""Errors of settings name the file, the line, and what was probably meant."""

from pathlib import Path

import pytest

from nanobot.config import load, origins
from nanobot.config.lines import setting_lines
from nanobot.core.errors import ConfigError

FILE = """\
# a comment with [brackets] and port = 1
[server]
host = "127.0.0.1"   # port = 2

port = 8901
forwarded_allow_ips = [
  "10.0.0.0/8",
  "port = 3",
]

[model]
name = '''
port = 4
'''
price.input = 1
price.output = 2

[models.fast]
name = "echo"
headers = {"X-Title" = "a"}

[models."big one"]
name = "echo"

[[keys]]
name = "a"
hash = "sha256:x"
[[keys]]
name = "b"
hash = "sha256:y"
"""


def refusal(
    text: str, tmp_path: Path, environment: dict[str, str] | None = None, file: str = "settings.toml"
) -> str:
    path = tmp_path / file
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environment or {}, {})
    return caught.value.message.removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_line_of_each_setting_is_known_whatever_its_form(newline: str) -> None:
    lines = setting_lines(FILE.replace("\n", newline))
    assert {
        name: lines[name]
        for name in (
            "server",
            "server.host",
            "server.port",
            "server.forwarded_allow_ips",
            "model.name",
            "model.price.input",
            "model.price.output",
            "models.fast",
            "models.fast.headers.X-Title",
            "models.big one.name",
            "keys",
            "keys[0].hash",
            "keys[1]",
            "keys[1].hash",
        )
    } == {
        "server": 2,
        "server.host": 3,
        "server.port": 5,
        "server.forwarded_allow_ips": 6,
        "model.name": 12,
        "model.price.input": 15,
        "model.price.output": 16,
        "models.fast": 18,
        "models.fast.headers.X-Title": 20,
        "models.big one.name": 23,
        "keys": 25,
        "keys[0].hash": 27,
        "keys[1]": 28,
        "keys[1].hash": 30,
    }


def test_only_line_feeds_count_as_ends_of_lines() -> None:
    assert setting_lines('[model]\nname = "a\u2028b\x85c"\nproxy = "x"')["model.proxy"] == 3


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[api]\nstream = true\n\n# here\nmax_queue = 0\n", "settings.toml:5: api.max_queue: "),
        ('[server]\nport = """\n80\n80"""\n', "settings.toml:2: server.port: "),
        ('server = {host = "a",\n port = -1}\n', "settings.toml:"),
        (
            '[models.a]\nname = "echo"\n[models.b]\nmax_retries = -1\n',
            "settings.toml:4: models.b.max_retries: ",
        ),
        (
            '[[quotas]]\npattern = "a"\n[[quotas]]\npattern = "b"\nper = "x"\n',
            "settings.toml:5: quotas[1].per: ",
        ),
        ('[[quotas]]\npattern = "a"\n[[quotas]]\nper = "session"\n', "settings.toml:3: quotas[1]: "),
        ('[log]\nlevel = "loud"\n', "settings.toml:2: log.level: must be one of debug, "),
        (
            '[web]\nsearch = "gogle"\n',
            "settings.toml:2: web.search: must be one of brave, tavily, exa, searxng",
        ),
        ('[prices."a:b"]\ninput = 1\n', "settings.toml:"),
        (
            '[mcp.servers.x]\nurl = "http://a"\n[mcp.servers.x.oauth]\ngrant = "password"\n',
            "settings.toml:4: mcp.servers.x.oauth.grant: must be one of authorization_code, client_cred",
        ),
        (
            '[mcp.servers.y]\ncommand = "a"\n[mcp.servers.x]\ncommand = "a"\nargs = ["b", 1]\n',
            "settings.toml:5: mcp.servers.x.args[1]: expected str, got int",
        ),
        (
            '[[policy]]\ntools = { web_search = "ask", web_fetch = "alow" }\n',
            "settings.toml:2: policy[0].tools.web_fetch: must be one of allow, ask, deny",
        ),
        ('[policy]\ntools = { "*" = "ask" }\n', "settings.toml:1: policy: must be a list: write [[policy]]"),
        ("server = 3\n", "settings.toml:1: server: must be a table: write [server]"),
        ("[server]\n\nport 80\n", "settings.toml:3: not valid TOML: "),
        ("[server]\nport = 80\n[server]\n", "settings.toml:"),
        ('models = "echo"\n', "settings.toml:1: models must be tables"),
    ],
)
def test_an_error_begins_with_the_file_and_the_line_of_the_setting(
    text: str, start: str, tmp_path: Path
) -> None:
    assert refusal(text, tmp_path).startswith(start)


@pytest.mark.parametrize(
    ("text", "line", "name", "meant"),
    [
        ("[server]\nprot = 1\n", 2, "server.prot", "server.port"),
        ("[server]\n\ntls_certificate = '/a'\n", 3, "server.tls_certificate", "server.tls_cert"),
        ("[api]\nport = 80\n", 2, "api.port", "server.port"),
        ("[server]\nwindow_tokens = 8000\n", 2, "server.window_tokens", "agent.window_tokens"),
        ("[sever]\nport = 1\n", 1, "sever", "[server]"),
        ("\nport = 1\n", 2, "port", "server.port"),
        (
            '[models.fast]\nname = "echo"\nmax_retrys = 1\n',
            3,
            "models.fast.max_retrys",
            "models.fast.max_retries",
        ),
        ('[mcp.servers.x]\ncomand = "a"\n', 2, "mcp.servers.x.comand", "mcp.servers.x.command"),
        (
            '[mcp.servers.x]\nurl = "http://a"\n[mcp.servers.x.oauth]\nclient_secrt = "a"\n',
            4,
            "mcp.servers.x.oauth.client_secrt",
            "mcp.servers.x.oauth.client_secret",
        ),
        ('[prices."a:b"]\ninptu = 1\n', 2, "prices.a:b.inptu", "prices.a:b.input"),
        ('[providers.work]\nbaseurl = "http://x"\n', 2, "providers.work.baseurl", "providers.work.base_url"),
        ('[[sessions.ttl]]\npattern = "a"\nday = 1\n', 3, "sessions.ttl[0].day", "sessions.ttl[0].days"),
        (
            '[[quotas]]\npattern = "a"\ntoken_per_day = 1\n',
            3,
            "quotas[0].token_per_day",
            "quotas[0].tokens_per_day",
        ),
    ],
)
def test_a_name_that_is_no_setting_is_refused_with_the_nearest_one(
    text: str, line: int, name: str, meant: str, tmp_path: Path
) -> None:
    expected = f"settings.toml:{line}: {name}: there is no such setting; did you mean {meant}?"
    assert refusal(text, tmp_path) == expected


def test_a_name_like_nothing_is_refused_without_a_guess(tmp_path: Path) -> None:
    assert refusal("[server]\nxyzzy = 1\n", tmp_path).endswith("server.xyzzy: there is no such setting")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("NANOBOT_DATA_DIR", "NANOBOT_DATA"),
        ("NANOBOT_SERVER_PROT", "NANOBOT_SERVER_PORT"),
        ("NANOBOT_PORT", "NANOBOT_SERVER_PORT"),
        ("NANOBOT_PROT", "NANOBOT_SERVER_PORT"),
        ("NANOBOT_API_PROT", "NANOBOT_SERVER_PORT"),
        ("NANOBOT_API_MAX_BODY", "NANOBOT_API_MAX_BODY_MB"),
        ("NANOBOT_SERVER_MAX_QUEUE", "NANOBOT_API_MAX_QUEUE"),
        ("NANOBOT_APIKEY", "NANOBOT_API_KEY"),
        ("NANOBOT_LOGLEVEL", "NANOBOT_LOG_LEVEL"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_nearest_one(
    variable: str, meant: str, tmp_path: Path
) -> None:
    message = refusal("", tmp_path, {variable: "canary"})
    assert message == f"{variable}: there is no such setting; did you mean {meant}?"


def test_a_variable_that_is_empty_or_of_another_program_is_no_error(tmp_path: Path) -> None:
    load(None, {"NANOBOT_DATA_DIR": "", "NANOBOTANY": "x", "_NANOBOT_COMPLETE": "x"}, {})
    file = tmp_path / "settings.toml"
    file.write_text('[providers.openai]\nkey_variable = "NANOBOT_OPENAI"\n')
    load(file, {"NANOBOT_OPENAI": "sk"}, {})


def test_what_kubernetes_sets_beside_a_service_called_nanobot_is_no_error() -> None:
    load(
        None,
        {
            "NANOBOT_SERVICE_HOST": "10.0.0.1",
            "NANOBOT_SERVICE_PORT": "8900",
            "NANOBOT_SERVICE_PORT_HTTP": "8900",
            "NANOBOT_PORT": "tcp://10.0.0.1:8900",
            "NANOBOT_PORT_8900_TCP": "tcp://10.0.0.1:8900",
            "NANOBOT_PORT_8900_TCP_PROTO": "tcp",
            "NANOBOT_WEB_SERVICE_HOST": "10.0.0.1",
        },
        {},
    )


def test_where_each_setting_comes_from_is_known(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[server]\nport = 1\nhost = "a"\n[model]\nname = "echo"\n')
    environment = {"NANOBOT_SERVER_HOST": "b", "NANOBOT_DATA": "/x"}
    found = origins(file, environment, {"model": {"name": "echo"}, "server": {"port": None}})
    assert found["server.port"] == f"{file}:2"
    assert (found["server.host"], found["server.data"], found["model.name"]) == (
        "NANOBOT_SERVER_HOST",
        "NANOBOT_DATA",
        "--name",
    )
    assert "server.tls_cert" not in found
