"""The hosts of the settings are hosts, or the server does not start."""

import msgspec
import pytest

from nanobot.app.settings import host_rules
from nanobot.config import Config
from nanobot.core.errors import ConfigError


def config(**web: list[str]) -> Config:
    return msgspec.convert({"web": web}, Config)


@pytest.mark.parametrize(
    "entry",
    [
        "example.org",
        "*.example.org",
        ".example.org",
        "localhost",
        "10.0.0.7",
        "[::1]",
        "::1",
        "xn--bcher-kva.de",
    ],
)
def test_a_domain_or_an_address_is_a_host(entry: str) -> None:
    rules = host_rules(
        config(blocked_hosts=[entry], private_hosts=[f"[{entry}]:80" if entry == "::1" else entry])
    )
    name = entry.strip("[]").removeprefix("*").removeprefix(".")
    assert rules.refusal(name) is not None


@pytest.mark.parametrize(
    "entry", ["http://example.org", "example.org/path", "10.0.0.0/8", "b\u00fccher.de", "a b", "", "*"]
)
@pytest.mark.parametrize("setting", ["allowed_hosts", "blocked_hosts", "private_hosts"])
def test_anything_else_is_refused_by_name(setting: str, entry: str) -> None:
    with pytest.raises(ConfigError, match=f"web.{setting}"):
        host_rules(config(**{setting: [entry]}))


def test_only_private_hosts_have_ports() -> None:
    assert host_rules(config(private_hosts=["wiki.lan:3000", "[::1]:3000"])).opens("::1", 3000)
    for entry in ("wiki.lan:3000", "[::1]:3000"):
        with pytest.raises(ConfigError, match="ports"):
            host_rules(config(blocked_hosts=[entry]))
