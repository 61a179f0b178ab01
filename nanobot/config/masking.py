"""Settings as they may be shown to anybody: without what is a secret, or may have one in it."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from nanobot.core.late_pattern import LatePattern

HIDDEN = "***"
_SECRETS = ("key", "client_secret", "api_key", "api_keys", "key_command", "proxy", "search_key", "hash")
"""Settings whose value is a secret, or may have one in it. Of a key that somebody thought of, its hash is
enough to find it.
"""
_TABLES_OF_SECRETS = ("headers", "body", "env")
"""Settings whose parts may be secrets; their names are not."""
_URLS = ("base_url", "search_url", "issuer", "client_metadata_url")
_OPTION = LatePattern(r"(-[A-Za-z]|--[a-z][a-z0-9-]*)(?:=(.*))?", re.DOTALL)
_VARIABLES = LatePattern(r"(?:\$\{(?:env:)?[A-Za-z_][A-Za-z0-9_]*\})+")


def masked(name: str, value: Any) -> object:
    """Return the value of the setting called `name`, in plain values of JSON."""
    if not value:
        return _plain(value)
    if name in _SECRETS:
        return [HIDDEN] * len(value) if isinstance(value, tuple) else HIDDEN
    if isinstance(value, msgspec.Struct):
        return _masked_table(value)
    if name in _TABLES_OF_SECRETS:
        return dict.fromkeys(value, HIDDEN)
    if name == "servers":
        return {server: _masked_table(table) for server, table in value.items()}
    if name == "command":
        return masked_command(value)
    if name == "args":
        return masked_arguments(value)
    if name == "url":
        return masked_server_url(value)
    return masked_url(value) if name in _URLS else _plain(value)


def _masked_table(table: msgspec.Struct) -> dict[str, object]:
    """Return the settings of a table within a table that have not their default."""
    return {
        field.name: masked(field.name, value)
        for field in msgspec.structs.fields(table)
        if (value := getattr(table, field.name)) != field.default and value
    }


def _plain(value: object) -> object:
    return msgspec.to_builtins(value, builtin_types=(bytes,))


def masked_url(url: str) -> str:
    """Return the URL without user, password, query and fragment."""
    parts = _split(url)
    return HIDDEN if parts is None else urlunsplit((parts[0], parts[1], parts[2], "", ""))


def masked_server_url(url: str) -> str:
    """Return where the server is that has the URL. Its path is not shown: some servers give each user one
    which is all that lets them in.
    """
    parts = _split(url)
    if parts is None:
        return url if _VARIABLES.fullmatch(url) else HIDDEN
    scheme, host, path = parts
    return f"{scheme}://{host}/{HIDDEN if path.strip('/') else ''}"


def _split(url: str) -> tuple[str, str, str] | None:
    """Return scheme, host with its port, and path; None where it is no URL."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2]
    return (parts.scheme, host, parts.path) if parts.scheme and host else None


def masked_command(command: str) -> str:
    """Return the program of a command. Where it is a whole line, what stands behind the program is shown as
    arguments are, and so is what sets a variable for it.
    """
    words = command.split()
    if not words or _VARIABLES.fullmatch(command):
        return command
    program = HIDDEN if "=" in words[0] else words[0]
    return " ".join((program, *masked_arguments(words[1:])))


def masked_arguments(arguments: Iterable[str]) -> list[str]:
    """Return the arguments of a command: of each, the name of an option, and the variables of the environment
    that it names as `${NAME}`.
    """
    return [_masked_argument(each) for each in arguments]


def _masked_argument(argument: str) -> str:
    if _VARIABLES.fullmatch(argument):
        return argument
    option = _OPTION.fullmatch(argument)
    if option is None:
        return HIDDEN
    name, value = option.groups()
    return name if not value else f"{name}={value if _VARIABLES.fullmatch(value) else HIDDEN}"
