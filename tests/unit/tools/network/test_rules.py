"""Which hosts and ports commands may reach."""

import pytest

from nanobot.reading.hosts import HostRules
from nanobot.tools.network.rules import NetworkRules, parse_allowed, parse_authority


def rules(*entries: str, web: HostRules | None = None) -> NetworkRules:
    allowed = tuple(host for entry in entries if (host := parse_allowed(entry)) is not None)
    assert len(allowed) == len(entries)
    return NetworkRules(allowed, web or HostRules())


def test_a_name_stands_for_itself_alone_and_with_a_star_for_all_below_a_domain() -> None:
    found = rules("pypi.org", "*.pythonhosted.org")
    assert found.refusal("pypi.org", 443) is None
    assert found.refusal("files.pythonhosted.org", 443) is None
    assert found.refusal("a.files.pythonhosted.org", 80) is None
    for host in (
        "test.pypi.org",
        "pythonhosted.org",
        "xpypi.org",
        "pypi.org.example.net",
        "evilpythonhosted.org",
        "org",
        "",
    ):
        assert "shell.allowed_hosts" in (found.refusal(host, 443) or "")


def test_only_the_ports_of_the_web_unless_another_one_is_named() -> None:
    found = rules("pypi.org", "git.example.org:8443", "*.lan:3000")
    assert found.refusal("pypi.org", 80) is None
    assert found.refusal("pypi.org", 22) is not None
    assert found.refusal("git.example.org", 8443) is None
    assert found.refusal("git.example.org", 443) is not None
    assert found.refusal("a.lan", 3000) is None


def test_a_host_that_the_server_does_not_read_is_not_reached() -> None:
    found = rules("*.example.org", web=HostRules(blocked=("bad.example.org",)))
    assert found.refusal("good.example.org", 443) is None
    assert "web.blocked_hosts" in (found.refusal("bad.example.org", 443) or "")


def test_entries_are_shown_as_they_are_written() -> None:
    entries = ("pypi.org", "*.example.org", "*.lan:3000")
    assert rules(*entries).names() == entries


@pytest.mark.parametrize(
    "entry",
    [
        *("", "*", "*.", "http://example.org", "example.org/", "a b", "example..org", "b\u00fccher.de"),
        *("example.org:0", "example.org:65536", "example.org:x", "[", "a.*.org", "**.org", "example.org\n"),
    ],
)
def test_what_is_no_host_is_no_entry(entry: str) -> None:
    assert parse_allowed(entry) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Example.ORG.:443", ("example.org", 443)),
        (b"[::1]:443", ("::1", 443)),
        (b"127.0.0.1:1", ("127.0.0.1", 1)),
        *((text, None) for text in (b"a", b"a:", b":443", b"a:b", b"a:443:80", b"a@b:443", b"a%00:443")),
        *((text, None) for text in (b"a/b:443", b"a:443\r\nx", b"a:99999", b"\xe2\x91\xa0:443", b".:443")),
    ],
)
def test_an_authority_is_a_host_and_a_port_and_nothing_else(
    text: bytes, expected: tuple[str, int] | None
) -> None:
    assert parse_authority(text, None) == expected
