"""An operator says which hosts are read, and which of them may be in a private network."""

import ipaddress

import pytest

from nanobot.core.errors import UrlRefused
from nanobot.reading.addresses import is_public
from nanobot.reading.fetch import FetchBounds, Fetcher
from nanobot.reading.hosts import HostRules
from tests.unit.reading.test_fetch import Names, at, page, port_of, redirect
from tests.upstream import Upstream


def test_a_domain_stands_for_all_below_it_and_for_nothing_that_only_ends_alike() -> None:
    rules = HostRules(allowed=("example.org",), blocked=("*.bad.example.org",))
    assert rules.refusal("example.org") is None and rules.refusal("Docs.Example.org.") is None
    assert "web.allowed_hosts" in (rules.refusal("notexample.org") or "")
    assert "web.blocked_hosts" in (rules.refusal("very.bad.example.org") or "")


@pytest.mark.parametrize(
    ("address", "is_permitted"),
    [
        ("10.1.2.3", True),
        ("127.0.0.1", True),
        ("fd12::1", True),
        ("93.184.216.34", True),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("100.100.100.200", False),
        ("100.64.0.7", True),
        ("::ffff:10.1.2.3", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::1", False),
        ("fc00::1%eth0", False),
    ],
)
def test_a_private_host_is_reached_wherever_a_host_may_be(address: str, is_permitted: bool) -> None:
    permit = HostRules(private=("wiki.lan",)).permit("wiki.lan", is_public)
    assert permit(ipaddress.ip_address(address)) is is_permitted


async def test_a_private_host_is_read_at_the_port_that_it_has() -> None:
    async with Upstream() as upstream:
        upstream.then(page(b"inside"))
        rules = HostRules(allowed=("example.org",), private=(f"wiki.lan:{port_of(upstream)}",))
        names = Names(wiki_lan=["127.0.0.1"], other_lan=["127.0.0.1"])
        fetch = Fetcher(resolve=names, hosts=rules).fetch
        assert (await fetch(at(upstream, host="wiki.lan"))).content == b"inside"
        for host in ("other.lan", "127.0.0.1", "wiki.lan.example.com"):
            with pytest.raises(UrlRefused):
                await fetch(at(upstream, host=host))
        assert len(upstream.requests) == 1


async def test_a_redirect_of_a_private_host_leads_to_no_other() -> None:
    async with Upstream() as upstream:
        ports = frozenset({port_of(upstream)})
        upstream.then(redirect(at(upstream, host="inner.lan")))
        names = Names(wiki_lan=["127.0.0.1"], inner_lan=["127.0.0.1"])
        fetcher = Fetcher(FetchBounds(ports=ports), resolve=names, hosts=HostRules(private=("wiki.lan",)))
        with pytest.raises(UrlRefused):
            await fetcher.fetch(at(upstream, host="wiki.lan"))
        assert len(upstream.requests) == 1


async def test_a_redirect_to_a_blocked_host_is_not_followed() -> None:
    async with Upstream() as upstream:
        upstream.then(redirect("http://bad.example/"))
        rules = HostRules(blocked=("bad.example",), private=(f"wiki.lan:{port_of(upstream)}",))
        names = Names(wiki_lan=["127.0.0.1"], bad_example=["93.184.216.34"])
        with pytest.raises(UrlRefused, match=r"web\.blocked_hosts"):
            await Fetcher(resolve=names, hosts=rules).fetch(at(upstream, host="wiki.lan"))
        assert names.asked == ["wiki.lan"]
