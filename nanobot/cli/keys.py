"""`nanobot keys create|list|revoke`: they work beside a running server, which takes note within a second."""

import datetime
import re
import typing
from pathlib import Path
from typing import Any

import click
import msgspec

from nanobot.cli import audit_log
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.store import offline_store
from nanobot.cli.terminal import neutral
from nanobot.core.accounts import RIGHTS, ApiKey, HistoryMode, Quota, Right, check_key, digest_of, new_token
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.ids import SystemRandomness, new_id

_DEFAULT_SCOPES = ("chat", "sessions:read", "sessions:write", "files")
_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}


@click.group("keys", cls=Group)
def command() -> None:
    """Create, list and revoke API keys, also while a server runs."""


@command.command("create")
@click.argument("name")
@click.option(
    "--sessions",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="Session keys it may see, e.g. 'wx:dm:*'; repeatable [all].",
)
@click.option(
    "--scope",
    "scopes",
    metavar="SCOPE",
    multiple=True,
    type=click.Choice(RIGHTS),
    help="What it may do; repeatable [all but admin].",
)
@click.option("--session-key", metavar="KEY", help="The conversation of requests that name none.")
@click.option(
    "--history",
    type=click.Choice(typing.get_args(HistoryMode)),
    default="auto",
    help="What its requests send: the whole conversation, or its end [auto].",
)
@click.option(
    "--expires",
    metavar="WHEN",
    help="A day or time (2026-12-31, 2026-12-31T18:00Z), or a span (12h, 30d, 1y) [never].",
)
@click.option(
    "--requests-per-minute",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most requests a minute [no limit].",
)
@click.option(
    "--running-turns",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most turns that run or wait at a time [no limit].",
)
@click.option(
    "--tokens-per-day", type=click.IntRange(min=1), metavar="N", help="Most tokens a day (UTC) [no limit]."
)
@click.option(
    "--money-per-day",
    type=click.FloatRange(min=0, min_open=True),
    metavar="USD",
    help="Most US dollars a day (UTC) [no limit].",
)
@click.option("--for-config", is_flag=True, help="Store nothing: print a [[keys]] table for the config file.")
@CONFIG
@DATA
def create(
    name: str,
    patterns: tuple[str, ...],
    scopes: tuple[str, ...],
    session_key: str | None,
    history: HistoryMode,
    expires: str | None,
    for_config: bool,
    config_file: Path | None,
    data: str | None,
    **quota: Any,
) -> None:
    """Create an API key called NAME, and show it: this once, as only its hash is kept."""
    config = settings(config_file, server={"data": data})
    randomness, now = SystemRandomness(), SystemClock().now()
    token = new_token(randomness)
    key = check_key(
        ApiKey(
            id=new_id("key", now, randomness),
            name=name,
            digest=digest_of(token.encode()),
            rights=tuple(right for right in RIGHTS if right in (scopes or _DEFAULT_SCOPES)),
            patterns=patterns,
            session_key=session_key,
            history=history,
            quota=Quota(**quota),
            created_at=now,
            expires_at=None if expires is None else parse_expiry(expires, now),
        ),
        "nanobot keys create",
    )
    if for_config:
        click.echo(as_table(key))
    else:
        with offline_store(config).write_api_keys() as keys:
            keys.insert(key)
        audit_log.record(config, "nanobot keys create", target=key.id)
        click.echo(f"{neutral(key.name)} ({key.id}): {_described(key)}", err=True)
    click.echo("This is the key. It is shown this once:", err=True)
    # By itself on the standard output, so that scripts can take it.
    click.echo(token)


@command.command("list")
@click.option("--all", "all_", is_flag=True, help="Include those that were revoked or have expired.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(all_: bool, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List the API keys: what each may do, never the key itself."""
    config = settings(config_file, server={"data": data})
    now = SystemClock().now()
    keys = [key for key in offline_store(config).api_keys() if all_ or _state(key, now) == "valid"]
    if as_json:
        click.echo(msgspec.json.encode([_listed(key, now) for key in keys]))
        return
    if not keys:
        click.echo("there is no API key yet: `nanobot keys create NAME` makes one")
        return
    width = max(len(neutral(key.name)) for key in keys)
    for key in keys:
        click.echo(f"{neutral(key.name):{width}}  {key.id}  {_state(key, now):7}  {_described(key)}")


@command.command("revoke")
@click.argument("name")
@click.option(
    "--forget",
    is_flag=True,
    help="Also remove it from the list. Without any key a server on this machine asks for none.",
)
@CONFIG
@DATA
def revoke(name: str, forget: bool, config_file: Path | None, data: str | None) -> None:
    """Make the API key NAME (or its id) invalid, forever."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).write_api_keys() as keys:
        change = keys.forget if forget else keys.revoke
        key = change(name, SystemClock().now())
    audit_log.record(config, "nanobot keys revoke", target=key.id)
    click.echo(f"{neutral(key.name)} ({key.id}) is revoked: a running server refuses it within a second")


# Times and texts ----------------------------------------------------------------------------------


def parse_expiry(text: str, now: float) -> float:
    """Return the moment that `text` names: the end of a day (UTC), a time, or a span from `now` on.

    Raises:
        ConfigError: it names none, or a past one.
    """
    if span := re.fullmatch(r"(\d{1,6})([mhdwy])", text):
        return now + int(span[1]) * _UNITS[span[2]]
    try:
        moment = datetime.datetime.fromisoformat(text)
        if not moment.tzinfo:
            moment = moment.replace(tzinfo=datetime.UTC)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            moment += datetime.timedelta(days=1)
        expiry = moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"--expires {text!r} is no time: name a day (2026-12-31), a time (2026-12-31T18:00Z), "
            "or a span (30d, 12h)"
        ) from error
    if expiry <= now:
        raise ConfigError(f"--expires {text!r} is past: name a time to come")
    return expiry


def as_table(key: ApiKey) -> str:
    """Return the key as a table of the config file."""
    lines = [
        "[[keys]]",
        f"name = {_toml(key.name)}",
        f'hash = "sha256:{key.digest.hex()}"',
        f"scopes = {_toml(key.rights)}",
    ]
    if key.patterns:
        lines.append(f"sessions = {_toml(key.patterns)}")
    if key.session_key is not None:
        lines.append(f"session_key = {_toml(key.session_key)}")
    if key.history != "auto":
        lines.append(f"history = {_toml(key.history)}")
    if key.expires_at is not None:
        lines.append(f"expires = {_time(key.expires_at)}")
    quota: dict[str, object] = msgspec.to_builtins(key.quota)
    lines.extend(f"{name} = {value}" for name, value in quota.items())
    return "\n".join(lines)


def _toml(value: object) -> str:
    """Return a text, or a list of texts, as TOML, whose strings are written like those of JSON."""
    return msgspec.json.encode(value).decode()


def _time(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _state(key: ApiKey, now: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "valid"


def _described(key: ApiKey) -> str:
    """Return what the key may do, as text."""
    quota: dict[str, object] = msgspec.to_builtins(key.quota)
    parts = [", ".join(key.rights), f"sessions {neutral(', '.join(key.patterns)) or 'all'}"]
    if key.session_key is not None:
        parts.append(f"by default {neutral(key.session_key)}")
    if key.history != "auto":
        parts.append("sends the whole conversation")
    if key.expires_at is not None:
        parts.append(f"until {_time(key.expires_at)}")
    parts.extend(f"{value} {name.replace('_', ' ')}" for name, value in quota.items())
    return "; ".join(parts)


class _ListedKey(msgspec.Struct, frozen=True):
    """A key as `nanobot keys list --json` prints it."""

    id: str
    name: str
    state: str
    scopes: tuple[Right, ...]
    sessions: tuple[str, ...]
    session_key: str | None
    history: HistoryMode
    quota: Quota
    created_at: float
    expires_at: float | None
    revoked_at: float | None


def _listed(key: ApiKey, now: float) -> _ListedKey:
    return _ListedKey(
        key.id,
        key.name,
        _state(key, now),
        key.rights,
        key.patterns,
        key.session_key,
        key.history,
        key.quota,
        key.created_at,
        key.expires_at,
        key.revoked_at,
    )
