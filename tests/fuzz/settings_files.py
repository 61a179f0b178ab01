"""Settings: files in TOML, the environment, the command line."""

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot import config
from nanobot.config import Config
from nanobot.config.tables import LONGEST_S
from nanobot.core.errors import ConfigError
from tests.fuzz.target import Target, drawn

_SEED = (
    b'[server]\nhost = "0.0.0.0"\nport = 80\ndata = "~/x"\n'
    b'[api]\nsession_headers = ["a", "b"]\nmax_body_mb = 1.5\n'
    b'[model]\nname = "echo"\n[models.fast]\nname = "openai:gpt"\napi_key = "k"\n'
    b'[store]\nsynchronous = "normal"\n[log]\nlevel = "debug"\n'
)
_directory = TemporaryDirectory(prefix="nanobot-fuzz-")
_file = Path(_directory.name) / "nanobot.toml"


def check_file(content: bytes) -> None:
    """A file with any content."""
    _file.write_bytes(content)
    _load({}, {})


def _load(environment: dict[str, str], options: dict[str, dict[str, str]], secret: str | None = None) -> None:
    try:
        found = config.load(_file, environment, options)
        assert isinstance(found.data, Path)
    except ConfigError as error:
        assert "\n" not in error.message, f"an error of more than one line: {error.message!r}"
        assert secret is None or secret not in error.message, f"a secret is told: {error.message!r}"
        error.message.encode()
        return
    _check_bounds(found)


def _check_bounds(found: Config) -> None:
    """Whatever was given, a time is a time: comparable, and within its bounds."""
    for table in (found.server, found.api, found.engine):
        for name in table.__struct_fields__:
            value = getattr(table, name)
            if isinstance(value, float):
                assert -1 <= value <= LONGEST_S, f"{name} is {value}"
    msgspec.json.encode(
        msgspec.structs.replace(found, server=msgspec.structs.replace(found.server, data=None))
    )  # any path but the data's is text


_SECRET = "sk-0123456789"
_tables = {
    field.name: field.type.__struct_fields__
    for field in msgspec.structs.fields(Config)
    if hasattr(field.type, "__struct_fields__")
}
_settings = st.sampled_from([(table, name) for table, names in _tables.items() for name in names])
_given = st.sampled_from(
    [
        "",
        "1",
        "-1",
        "0",
        "nan",
        "inf",
        "1e999",
        "true",
        "yes",
        "a,b",
        ",",
        "~",
        "~nobody/x",
        "debug",
        "full",
        "x\ny",
        "\udcff",
        "9" * 30,
    ]
) | st.text(st.characters(exclude_characters="\0"), max_size=8)


@given(st.dictionaries(_settings, _given, max_size=4), st.dictionaries(_settings, _given, max_size=2))
def _given_otherwise(environment: dict[tuple[str, str], str], options: dict[tuple[str, str], str]) -> None:
    _file.write_bytes(b"")
    by_table: dict[str, dict[str, str]] = {}
    for (table, name), value in options.items():
        by_table.setdefault(table, {})[name] = value
    given_ = {f"NANOBOT_{table}_{name}".upper(): value for (table, name), value in environment.items()}
    _load({**given_, "NANOBOT_API_KEY": _SECRET, "NANOBOT_MODEL_API_KEY": _SECRET}, by_table, _SECRET)


_WORDS = (
    *(f"[{name}]".encode() for name in (*_tables, "models", 'models."a.b"', "providers.x")),
    *(name.encode() for names in _tables.values() for name in names),
    b"nan", b"inf", b"1979-05-27", b'"""', b"[[", b" = ", b"true", b"~nobody/x", b"\\u0000", b"\\n",
)  # fmt: skip
TARGETS = (
    Target(
        "settings-file",
        check_file,
        (_SEED, b"[models]\na = 1\n", b"server = 1\n", b"[server]\nport = 1979-05-27\n"),
        _WORDS,
    ),
    drawn("settings-environment", _given_otherwise),
)
