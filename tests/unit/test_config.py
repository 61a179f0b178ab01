"""Settings: where each may stand, which place wins, and what is said of a wrong one."""

import os
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.config import Config, McpServerTable, default_data_directory, load
from nanobot.core.accounts import Price
from nanobot.core.errors import ConfigError

# Every setting, with three values that it may have ------------------------------------------------

TABLES: dict[str, Any] = {
    field.name: field.type for field in msgspec.structs.fields(Config) if isinstance(field.type, type)
}
ONLY_IN_THE_FILE = {"sessions.ttl", "sessions.history", "sessions.ephemeral"}
RELATIVE = {"agent.instructions_file", "mcp.file"}
"""Names of files: in the file, relative to its folder."""
SETTINGS = [
    (table, field)
    for table, kind in TABLES.items()
    for field in msgspec.structs.fields(kind)
    if f"{table}.{field.name}" not in ONLY_IN_THE_FILE
]
NAMES = [f"{table}.{field.name}" for table, field in SETTINGS]


def three_values(field: msgspec.structs.FieldInfo) -> tuple[Any, Any, Any]:
    """Return values for file, environment and command line; where there are not three, neighbours differ."""
    kind = field.type
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(option for option in typing.get_args(kind) if option is not type(None))
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is typing.Literal:
        options = typing.get_args(kind)
        return options[0], options[1], options[2 % len(options)]
    if typing.get_origin(kind) is tuple:
        return ("a", "b"), ("c", "d"), ("e",)
    if kind == dict[str, McpServerTable]:
        return tuple({each: McpServerTable(command=each)} for each in ("a", "b", "c"))  # type: ignore[return-value]
    if typing.get_origin(kind) is dict:
        return {"a": "1"}, {"b": "2"}, {"c": "3"}
    if field.name == "top_p" or field.name.endswith("_share"):
        return 0.25, 0.4, 0.5
    values: dict[Any, tuple[Any, Any, Any]] = {
        Price: (Price(1, 2), Price(3, 4), Price(5, 6)),
        bool: (not field.default, bool(field.default), not field.default),
        int: (2_001, 2_002, 2_003),
        float: (11.5, 12.5, 13.5),
        str: ("one", "two", "three"),
    }
    return values[kind]


def as_text(value: Any) -> str:
    if isinstance(value, dict | Price):
        return msgspec.json.encode(value).decode()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def write(directory: Path, **tables: dict[str, Any]) -> Path:
    file = directory / "settings.toml"
    lines = [
        line
        for table, values in tables.items()
        for line in (f"[{table}]", *(f"{k} = {toml(v)}" for k, v in values.items()))
    ]
    file.write_text("\n".join(lines))
    return file


def toml(value: Any) -> str:
    if isinstance(value, dict | msgspec.Struct):
        fields = value if isinstance(value, dict) else msgspec.structs.asdict(value)
        return f"{{{', '.join(f'{key} = {toml(each)}' for key, each in fields.items() if each is not None)}}}"
    return msgspec.json.encode(value).decode()


def setting(loaded: Config, table: str, name: str) -> Any:
    return getattr(getattr(loaded, table), name)


# Precedence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "field"), SETTINGS, ids=NAMES)
def test_the_command_line_wins_over_the_environment_the_file_and_the_default(
    table: str, field: msgspec.structs.FieldInfo, tmp_path: Path
) -> None:
    in_file, in_environment, in_options = three_values(field)
    file = write(tmp_path, **{table: {field.name: in_file}})
    environment = {f"NANOBOT_{table}_{field.name}".upper(): as_text(in_environment)}
    options = {table: {field.name: as_text(in_options)}}
    if f"{table}.{field.name}" in RELATIVE:
        in_file = str(tmp_path / in_file)
    assert setting(load(file, {}, {}), table, field.name) == in_file
    assert setting(load(file, environment, {}), table, field.name) == in_environment
    assert setting(load(file, environment, options), table, field.name) == in_options
    assert setting(load(None, environment, {table: {field.name: None}}), table, field.name) == in_environment
    assert in_file != in_environment != in_options


def test_how_long_sessions_are_kept_stands_in_tables_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[[sessions.ttl]]\npattern = "wx:vip:*"\ndays = 0\n[[sessions.ttl]]\npattern = "wx:*"\ndays = 30\n'
    )
    assert [(rule.pattern, rule.days) for rule in load(file, {}, {}).sessions.ttl] == [
        ("wx:vip:*", 0),
        ("wx:*", 30),
    ]
    file.write_text('[[sessions.ttl]]\npattern = "wx:*"\ndays = -1\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {}, {})
    assert "sessions.ttl[0].days" in caught.value.message


def test_without_any_setting_all_have_their_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}, {}) == Config()
    assert (Config().server.host, Config().server.port) == ("127.0.0.1", 8900)


def test_a_file_in_the_working_directory_is_read_without_being_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nanobot.toml").write_text("[server]\nport = 4444\n")
    assert load(None, {}, {}).server.port == 4444


def test_the_short_names_of_data_and_model_work(tmp_path: Path) -> None:
    file = write(tmp_path, server={"data": "/in/file"}, model={"name": "echo"})
    loaded = load(file, {"NANOBOT_DATA": "/in/environment", "NANOBOT_MODEL": "openai:x"}, {})
    assert loaded.data == Path("/in/environment")
    assert loaded.model.name == "openai:x"
    assert load(file, {"NANOBOT_DATA": "/x"}, {"server": {"data": "/in/options"}}).data == Path("/in/options")


def test_a_variable_that_is_empty_is_not_set(tmp_path: Path) -> None:
    file = write(tmp_path, server={"port": 4444})
    assert (
        load(file, {"NANOBOT_SERVER_PORT": "", "NANOBOT_DATA": "", "NANOBOT_MODEL": ""}, {}).server.port
        == 4444
    )


def test_one_setting_of_a_table_leaves_the_others(tmp_path: Path) -> None:
    file = write(tmp_path, server={"port": 4444, "host": "10.0.0.1"})
    loaded = load(file, {"NANOBOT_SERVER_SHUTDOWN_GRACE_S": "3"}, {"server": {"port": "5555"}})
    assert (loaded.server.host, loaded.server.port, loaded.server.shutdown_grace_s) == ("10.0.0.1", 5555, 3.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("FALSE", False), ("0", False)],
)
def test_a_switch_is_read_from_text(text: str, value: bool) -> None:
    assert load(None, {"NANOBOT_API_STREAM": text}, {}).api.stream is value


def test_a_list_is_read_from_text() -> None:
    assert load(None, {"NANOBOT_API_SESSION_HEADERS": " x-chat-id , x-room,, "}, {}).api.session_headers == (
        "x-chat-id",
        "x-room",
    )


def test_a_home_directory_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert load(None, {"NANOBOT_DATA": "~/bot"}, {}).data == Path("/home/ann/bot")


def test_data_is_kept_where_the_platform_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert default_data_directory() == Path("/xdg/nanobot")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_data_directory() == Path("/home/ann/.local/share/nanobot")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_data_directory() == Path("/home/ann/Library/Application Support/nanobot")


def test_presets_are_tables_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[models.fast]\nname = "groq:x"\nmax_retries = 0\n'
        '[models."big one"]\nname = "openai:y"\ncontext_tokens = 5000\n'
    )
    presets = load(file, {}, {}).models
    assert list(presets) == ["fast", "big one"]
    assert (presets["fast"].name, presets["fast"].max_retries, presets["fast"].idle_timeout_s) == (
        "groq:x",
        0,
        120.0,
    )
    assert presets["big one"].context_tokens == 5_000


# Errors -------------------------------------------------------------------------------------------

WRONG = [
    ("server", "port", "eighty", "int"),
    ("server", "port", 70_000, "65535"),
    ("server", "port", -1, ">= 0"),
    ("server", "shutdown_grace_s", -1, ">= 0"),
    ("api", "stream", "maybe", "bool"),
    ("api", "max_body_mb", 0, "> 0"),
    ("api", "max_queue", 0, ">= 1"),
    ("api", "ping_s", "often", "float"),
    ("api", "disconnect_grace_s", -2, ">= -1"),
    ("engine", "max_running_turns", 0, ">= 1"),
    ("engine", "max_attempts", 1.5, "int"),
    ("engine", "turn_timeout_s", "soon", "float"),
    ("agent", "max_steps", 0, ">= 1"),
    ("agent", "window_tokens", 100, ">= 1024"),
    ("model", "context_tokens", 5, ">= 1024"),
    ("model", "max_retries", -1, ">= 0"),
    ("store", "synchronous", "never", "normal"),
    ("log", "level", "loud", "warning"),
]


def told(file: Path | None, environment: dict[str, str], options: dict[str, dict[str, Any]]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, environment, options)
    assert "\n" not in caught.value.message
    assert "`" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("table", "name", "value", "allowed"), WRONG, ids=[f"{t}.{n}={v}" for t, n, v, _ in WRONG]
)
def test_a_wrong_value_is_told_in_one_line_with_place_and_what_is_allowed(
    table: str, name: str, value: Any, allowed: str, tmp_path: Path
) -> None:
    file = write(tmp_path, **{table: {name: value}})
    variable = f"NANOBOT_{table}_{name}".upper()
    for message, place in (
        (told(file, {}, {}), str(file)),
        (told(None, {variable: str(value)}, {}), variable),
        (told(None, {}, {table: {name: str(value)}}), f"--{name.replace('_', '-')}"),
    ):
        assert place in message
        assert name in message or place.startswith("--")
        assert str(value) in message
        assert allowed in message


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999"])
@pytest.mark.parametrize(
    "name", ["server.shutdown_grace_s", "api.max_body_mb", "engine.turn_timeout_s", "model.idle_timeout_s"]
)
def test_a_number_without_an_end_is_refused(name: str, text: str, tmp_path: Path) -> None:
    """Timers and sizes are made of them; 0 or -1 say "no limit" where there may be none."""
    table, _, field = name.partition(".")
    variable = f"NANOBOT_{table}_{field}".upper()
    assert variable in told(None, {variable: text}, {})
    if text != "1e999":
        file = tmp_path / "settings.toml"
        file.write_text(f"[{table}]\n{field} = {text}\n")
        assert field in told(file, {}, {})


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[server]\nprot = 1\n", ["prot", "server"]),
        ("[sever]\nport = 1\n", ["sever"]),
        ("port = 1\n", ["port"]),
        ('[models.fast]\nname = "echo"\nsped = 1\n', ["sped", "models.fast"]),
    ],
)
def test_an_unknown_setting_of_the_file_is_refused_by_its_name(
    text: str, names: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    message = told(file, {}, {})
    assert all(name in message for name in (*names, str(file)))


@pytest.mark.parametrize(
    "text", ["[server", "port 1", '[server]\nport = "a\n', "[server]\nport = 1\n[server]\n", "\ufeff\x00"]
)
def test_a_file_that_is_no_toml_is_told_with_its_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert str(file) in told(file, {}, {})


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path: Path) -> None:
    assert told(tmp_path / "none.toml", {}, {}) == f"--config {tmp_path / 'none.toml'}: there is no such file"
    assert str(tmp_path) in told(tmp_path, {}, {})
    (tmp_path / "latin.toml").write_bytes(b'[server]\nhost = "\xe9"\n')
    assert "latin.toml" in told(tmp_path / "latin.toml", {}, {})


@pytest.mark.skipif(sys.platform == "win32", reason="has no permission to enter a folder")
def test_a_folder_that_this_user_may_not_enter_is_told_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `sudo -u nanobot nanobot …` meets it in root's home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    home.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        message = told(None, {}, {})
    finally:
        if is_root:
            os.seteuid(0)
        home.chmod(0o700)
    assert message == (
        f"{home}: this user may not enter the current folder, where nanobot.toml would be: "
        "change to another one, or name the file with --config"
    )


def test_a_table_that_is_no_table_is_told(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    for text in ("server = 5\n", 'models = "echo"\n', '[models]\nfast = "echo"\n', 'model = "openai:gpt"\n'):
        file.write_text(text)
        assert text.split()[0].strip("[]") in told(file, {}, {})
        assert str(file) in told(file, {}, {})


@pytest.mark.parametrize(
    "text",
    [
        '[api]\nkey = ["sk-canary"]\n',
        '[model]\napi_key = ["sk-canary"]\n',
        '[models.fast]\napi_key = {a = "sk-canary"}\n',
        '[api]\nkye = "sk-canary"\n',
        'api = "sk-canary"\n',
        '[api]\nkey = "sk-canary\n',
        '[models]\nfast = "sk-canary"\n',
    ],
)
def test_a_secret_is_never_part_of_an_error(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert "canary" not in told(file, {}, {})


def test_a_secret_of_the_environment_is_never_part_of_an_error() -> None:
    assert load(None, {"NANOBOT_API_KEY": "12345", "NANOBOT_MODEL_API_KEY": "null"}, {}).api.key == "12345"
    environment = {
        "NANOBOT_API_KEY": "sk-canary",
        "NANOBOT_MODEL_API_KEY": "sk-canary",
        "NANOBOT_SERVER_PORT": "x",
    }
    assert "canary" not in told(None, environment, {})


def test_a_setting_that_is_no_text_is_told_in_one_line() -> None:
    for variable in ("NANOBOT_SERVER_PORT", "NANOBOT_SERVER_HOST", "NANOBOT_MODEL"):
        message = told(None, {variable: "a\udcff"}, {})
        assert message.startswith(variable)
        assert message.endswith("is not UTF-8")
    assert told(None, {}, {"model": {"name": "\udcff"}}).startswith("--name")


def test_a_home_directory_that_nobody_has_is_told() -> None:
    config = load(None, {"NANOBOT_DATA": "~nobody-of-that-name/x"}, {})
    with pytest.raises(ConfigError) as caught:
        _ = config.data
    assert "'~nobody-of-that-name/x'" in caught.value.message


@pytest.fixture
def user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process belongs to a user that the system has no entry for, as in many containers."""
    for variable in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    os.setresuid(54_321, 0, 0)
    yield
    os.setresuid(0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.usefixtures("user_without_a_home")
@pytest.mark.parametrize(
    ("folder", "setting"),
    [(lambda config: config.data, "server.data"), (lambda config: config.models_dir, "local.models_dir")],
)
def test_a_user_without_a_home_directory_is_told_which_setting_to_set(
    folder: Callable[[Config], Path], setting: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        folder(load(None, {}, {}))
    assert caught.value.message.startswith(f"{setting} is not set")
    assert "None" not in caught.value.message


def test_the_data_directory_may_have_any_name() -> None:
    assert load(None, {"NANOBOT_DATA": "/a\udcff"}, {}).data == Path("/a\udcff")


@given(st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=40))
def test_whatever_a_variable_holds_is_a_setting_or_one_line(text: str) -> None:
    for variable in (
        "NANOBOT_SERVER_PORT",
        "NANOBOT_API_STREAM",
        "NANOBOT_LOG_LEVEL",
        "NANOBOT_ENGINE_TURN_TIMEOUT_S",
    ):
        try:
            load(None, {variable: text}, {})
        except ConfigError as error:
            assert "\n" not in error.message
            assert error.message.isprintable()
            assert variable in error.message


def test_what_this_file_writes_is_toml(tmp_path: Path) -> None:
    file = write(
        tmp_path, server={"port": 1, "host": "a"}, api={"allowed_hosts": ("a", "b"), "stream": False}
    )
    assert tomllib.loads(file.read_text()) == {
        "server": {"port": 1, "host": "a"},
        "api": {"allowed_hosts": ["a", "b"], "stream": False},
    }


@pytest.mark.parametrize(
    ("text", "place", "allowed"),
    [
        ('[[keys]]\nname = "a"\nhash = "nb-the-key-itself"', "keys[0].hash", "sha256:"),
        (
            f'[[keys]]\nname = "a"\nhash = "sha256:{64 * "0"}"\nscopes = ["chatt"]',
            "keys[0].scopes[0]",
            "sessions:read",
        ),
        ('[[quotas]]\npattern = "a"\nper = "each"', "quotas[0].per", "pattern, session"),
        ('[[quotas]]\npattern = "a"\ntokens_per_day = 0', "quotas[0].tokens_per_day", ">= 1"),
        ('[[quotas]]\npattern = "a"\ntokens = 5', "quotas[0]", "tokens"),
        ('[prices."a:b"]\ninput = 1', "prices", "output"),
        ("[keys]\nname = 1", "keys", "[[keys]]"),
    ],
)
def test_a_wrong_key_quota_or_price_is_told_with_its_place_and_never_shown(
    text: str, place: str, allowed: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as told:
        load(file, {}, {})
    assert place in str(told.value) and allowed in str(told.value)
    assert "nb-the-key" not in str(told.value)


def test_rules_for_histories_are_read_in_order_and_a_mode_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[[sessions.history]]\npattern = "owui:*"\nmode = "whole"\n')
    assert [(rule.pattern, rule.mode) for rule in load(file, {}, {}).sessions.history] == [
        ("owui:*", "whole")
    ]
    file.write_text('[[sessions.history]]\npattern = "owui:*"\nmode = "all"\n')
    with pytest.raises(ConfigError, match=r"sessions.history\[0\].mode: must be one of auto, whole"):
        load(file, {}, {})
