"""A stranger's URL leads to the public web or nowhere: whatever it is written as, resolves to, or redirects
to.
"""

import asyncio
import gzip
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from nanobot.core.errors import NanobotError, UrlRefused, UrlUnreadable
from nanobot.reading.addresses import Address, is_public
from nanobot.reading.fetch import FetchBounds, Fetched, Fetcher
from nanobot.reading.resolving import resolve_with_system
from tests.certificate import certificate
from tests.upstream import CUT, HANG, Reply, Upstream, raw

HERE = ipaddress.ip_address("127.0.0.1")
PUBLIC = "93.184.216.34"


class Names:
    """A resolver that knows what it was told, in order, and remembers what it was asked."""

    def __init__(self, **told: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._told = {name.replace("_", "."): list(addresses) for name, addresses in told.items()}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self._told:
            raise OSError("no such host")
        found = self._told[host]
        return [found.pop(0) if len(found) > 1 else found[0]]


def here_too(address: Address) -> bool:
    """Let the server of the test through, and what is public; nothing else of this machine."""
    return address == HERE or is_public(address)


def fetcher(upstream: Upstream, names: Names | None = None, **bounds: float) -> Fetcher:
    ports = frozenset({80, 443, port_of(upstream)})
    limits = FetchBounds(ports=ports, **bounds)  # type: ignore[arg-type]
    return Fetcher(limits, resolve=names or Names(web_example=["127.0.0.1"]), permit=here_too)


def port_of(upstream: Upstream) -> int:
    return int(upstream.url.rpartition(":")[2].partition("/")[0])


def at(upstream: Upstream, path: str = "/page", host: str = "web.example") -> str:
    return f"http://{host}:{port_of(upstream)}{path}"


def page(body: bytes, kind: str = "text/plain; charset=utf-8", **headers: str) -> Reply:
    return Reply(
        (body,),
        headers={"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()},
        framing="length",
    )


def redirect(to: str, status: int = 302) -> Reply:
    return Reply((b"",), status, headers={"Location": to}, framing="length")


# What comes ---------------------------------------------------------------------------------------


async def test_a_page_is_fetched_under_its_name_without_cookies_or_credentials() -> None:
    async with Upstream() as upstream:
        upstream.then(page(b"hello", Set_Cookie="a=b"), page(b"again"))
        fetch = fetcher(upstream).fetch
        assert await fetch(at(upstream)) == Fetched(b"hello", "text/plain", "utf-8", at(upstream))
        assert (await fetch(at(upstream, "/other?a=b#part"))).url == at(upstream, "/other?a=b")
        first, second = upstream.requests
        assert first.headers["host"] == f"web.example:{port_of(upstream)}"
        assert first.headers["user-agent"] == "nanobot"
        assert second.path == "/other?a=b"
        assert not {"cookie", "authorization", "referer"} & set(second.headers)


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with Upstream() as upstream:
        upstream.then(page(b"hello"))
        assert (await fetcher(upstream).fetch(at(upstream))).content == b"hello"


async def test_a_redirect_is_followed_and_its_place_told() -> None:
    async with Upstream() as upstream:
        upstream.then(redirect("/next", 301), redirect(at(upstream, "/last")), page(b"there"))
        found = await fetcher(upstream).fetch(at(upstream))
        assert (found.content, found.url) == (b"there", at(upstream, "/last"))


async def test_a_packed_page_is_unpacked_though_nobody_asked_for_it() -> None:
    async with Upstream() as upstream:
        upstream.then(page(gzip.compress(b"hello"), Content_Encoding="gzip"))
        assert (await fetcher(upstream).fetch(at(upstream))).content == b"hello"
        assert upstream.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("web.example.", "web.example."),
        ("WEB.Example", "web.example"),
    ],
)
async def test_a_name_of_any_script_or_spelling_is_resolved_as_it_is_connected_to(
    host: str, asked: str
) -> None:
    async with Upstream() as upstream:
        upstream.then(page(b"hello"))
        names: list[str] = []

        async def resolve(name: str, port: int) -> Sequence[str]:
            names.append(name)
            return ["127.0.0.1"]

        found = await Fetcher(
            FetchBounds(ports=frozenset({port_of(upstream)})), resolve=resolve, permit=here_too
        ).fetch(at(upstream, host=host))
        assert (found.content, names) == (b"hello", [asked])


# Where it does not go -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://127.1/", "http://0.0.0.0/", "http://0/", "http://[::1]/", "http://[::]/",
        "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://192.168.0.1/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/", "http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://2130706433/",
        "http://0x7f000001/", "http://0177.0.0.1/", "http://0x7f.1/", "http://localhost/",
        "http://LOCALHOST/", "http://localhost./", "http://①②⑦.0.0.1/", "http://127。0。0。1/",
    ],
)  # fmt: skip
async def test_an_address_that_is_not_public_is_refused_however_it_is_written(url: str) -> None:
    """With this machine's own resolver, which reads numbers as a browser does."""
    with pytest.raises((UrlRefused, UrlUnreadable)) as raised:
        await Fetcher(resolve=resolve_with_system).fetch(url)
    # it is no address to this system, and no name either
    if isinstance(raised.value, UrlUnreadable):
        assert "there is no host" in raised.value.message


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%2", "::ffff:10.0.0.1", "not an address"],
)
async def test_a_name_that_leads_to_such_an_address_is_refused(address: str) -> None:
    with pytest.raises(UrlRefused) as raised:
        await Fetcher(resolve=Names(inner_example=[address])).fetch("http://inner.example/")
    assert address not in raised.value.message, "a stranger learns nothing of this network"


async def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return [PUBLIC, "10.0.0.1"]

    with pytest.raises(UrlRefused):
        await Fetcher(resolve=both).fetch("http://both.example/")


async def test_names_that_do_not_answer_hold_up_nobody_elses_fetches() -> None:
    asked: list[str] = []
    answers = asyncio.Event()

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        await answers.wait()
        raise OSError("no such host")

    reading = Fetcher(FetchBounds(total_s=0.05), resolve=resolve)
    urls = [f"http://{name}.example/" for name in "abcd"]
    # All have given up, but the resolver has not.
    ended = await asyncio.gather(*(reading.fetch(url, owner="k") for url in urls), return_exceptions=True)
    assert all(isinstance(each, UrlUnreadable) for each in ended)
    assert asked == ["a.example", "b.example"]
    with pytest.raises(UrlUnreadable):
        await reading.fetch("http://e.example/", owner="other")
    assert asked == ["a.example", "b.example", "e.example"]
    answers.set()


async def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to() -> None:
    """A name that is public when it is looked at, and private when it is connected to, gains nothing."""
    async with Upstream() as upstream:
        upstream.then(page(b"hello"))
        names = Names(web_example=["127.0.0.1", "10.0.0.1"])
        assert (await fetcher(upstream, names).fetch(at(upstream))).content == b"hello"
        assert names.asked == ["web.example"]


async def test_a_name_that_changes_between_two_hops_is_checked_at_each() -> None:
    async with Upstream() as upstream:
        upstream.then(redirect("/next"))
        names = Names(web_example=["127.0.0.1", "10.0.0.1"])
        with pytest.raises(UrlRefused):
            await fetcher(upstream, names).fetch(at(upstream))
        assert names.asked == ["web.example"] * 2
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "to",
    [
        "http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]/", "http://inner.example/",
        "file:///etc/passwd", "ftp://web.example/", "gopher://web.example/", "http://web.example:22/",
        "http://user:secret@web.example/", "//10.0.0.1/x", "http://[bad", "http://[::1]@",
        "data:text/plain,x",
    ],
)  # fmt: skip
async def test_a_redirect_is_checked_like_the_first_url(to: str) -> None:
    async with Upstream() as upstream:
        upstream.then(redirect(to))
        with pytest.raises(NanobotError) as raised:
            await fetcher(upstream, Names(web_example=["127.0.0.1"], inner_example=["192.168.0.1"])).fetch(
                at(upstream)
            )
        assert raised.value.http_status == 400
        assert "secret" not in raised.value.message
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("file:///etc/passwd", "http"), ("ftp://web.example/a", "http"), ("web.example/a", "http"),
        ("http://", "http"), ("", "http"),
        ("http://web.example:22/", "22"), ("https://web.example:6379/", "6379"),
        ("http://ann:secret@web.example/", "user"), ("http://a:b:c/", "URL"),
        ("http://web.example/" + "a" * 9_000, "characters"),
    ],
)  # fmt: skip
async def test_what_is_no_plain_url_of_the_web_is_refused_and_told_why(url: str, word: str) -> None:
    with pytest.raises(UrlRefused) as raised:
        await Fetcher(resolve=Names(web_example=[PUBLIC])).fetch(url)
    assert word in raised.value.message
    assert "secret" not in raised.value.message
    assert len(raised.value.message) < 300


async def test_the_last_fence_holds_where_all_before_it_fell() -> None:
    """The socket itself is checked: a resolver that tells aiohttp another address than was checked gains
    nothing.
    """
    async with Upstream() as upstream:
        looked_at: list[Address] = []

        def once(address: Address) -> bool:
            looked_at.append(address)
            return len(looked_at) == 1

        guarded = Fetcher(
            FetchBounds(ports=frozenset({port_of(upstream)})),
            resolve=Names(web_example=["127.0.0.1"]),
            permit=once,
        )
        with pytest.raises(UrlUnreadable):
            await guarded.fetch(at(upstream))
        assert looked_at == [HERE, HERE]
        assert upstream.requests == []


# Bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        page(b"x" * 101),
        Reply((b"x" * 60, b"x" * 60), headers={"Content-Type": "text/plain"}),
        page(gzip.compress(b"\0" * 10_000_000), Content_Encoding="gzip"),
        Reply((gzip.compress(b"\0" * 10_000_000),), headers={"Content-Encoding": "deflate"}),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 50),
    ],
    ids=["announced", "chunked", "gzip bomb", "gzip bomb in chunks", "huge length"],
)
async def test_a_page_over_the_size_is_given_up(reply: Reply) -> None:
    async with Upstream() as upstream:
        upstream.then(reply)
        with pytest.raises(UrlUnreadable, match="100"):
            await fetcher(upstream, max_bytes=100).fetch(at(upstream))
        await upstream.deserted()


async def test_a_page_of_just_the_size_is_fetched() -> None:
    async with Upstream() as upstream:
        upstream.then(page(b"x" * 100), page(gzip.compress(b"y" * 100), Content_Encoding="gzip"))
        fetch = fetcher(upstream, max_bytes=100).fetch
        assert (await fetch(at(upstream))).content == b"x" * 100
        assert (await fetch(at(upstream))).content == b"y" * 100


@pytest.mark.parametrize(
    "reply",
    [Reply(before=(HANG,)), Reply((b"x", HANG)), Reply((b"x", HANG), 302, headers={"Location": "/next"})],
)
async def test_a_server_that_hangs_is_left_in_time(reply: Reply) -> None:
    async with Upstream(lambda asked: Reply(before=(HANG,))) as upstream:
        upstream.then(reply)
        with pytest.raises(UrlUnreadable, match=r"0\.2 s"):
            await fetcher(upstream, total_s=0.2).fetch(at(upstream))
        await upstream.deserted()


async def test_too_many_redirects_are_given_up() -> None:
    async with Upstream(lambda asked: redirect("/again")) as upstream:
        with pytest.raises(UrlUnreadable, match="more than 5"):
            await fetcher(upstream).fetch(at(upstream))
        assert len(upstream.requests) == 6


@pytest.mark.parametrize(
    "reply",
    [
        Reply((b"no",), 404, framing="length"),
        Reply((b"",), 204, framing="length"),
        Reply((b"",), 304, framing="length"),
        Reply(before=(CUT,)),
        Reply((b"x", CUT), framing="chunked"),
        raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
        page(b"?", Content_Encoding="br"),
        page(b"not gzip", Content_Encoding="gzip"),
    ],
)
async def test_what_does_not_answer_as_it_should_is_unreadable(reply: Reply) -> None:
    async with Upstream(lambda asked: reply) as upstream:
        with pytest.raises(UrlUnreadable) as raised:
            await fetcher(upstream).fetch(at(upstream))
        assert raised.value.http_status == 400


async def test_a_key_in_a_url_is_not_in_the_error() -> None:
    async with Upstream(lambda asked: Reply((b"",), 404, framing="length")) as upstream:
        with pytest.raises(UrlUnreadable) as raised:
            await fetcher(upstream).fetch(at(upstream, "/page?key=sesame"))
        assert "sesame" not in raised.value.message


# TLS ----------------------------------------------------------------------------------------------


class SecureServer:
    """A server with a certificate for one name. `asked_for`: the names that clients said they wanted."""

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate, key = certificate(folder, name)
        self.asked_for: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._context.sni_callback = lambda connection, wanted, context: self.asked_for.append(wanted)
        self.port = 0

    async def __aenter__(self) -> "SecureServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        writer.close()

    def fetcher(self, *, trusted: bool = True) -> Fetcher:
        context = ssl.create_default_context(cafile=self.certificate) if trusted else True
        names = Names(web_example=["127.0.0.1"])
        return Fetcher(FetchBounds(ports=frozenset({self.port})), resolve=names, permit=here_too, tls=context)


async def test_the_certificate_is_asked_for_and_checked_by_the_name_and_not_by_the_address(
    tmp_path: Path,
) -> None:
    async with SecureServer(tmp_path, "web.example") as server:
        assert (await server.fetcher().fetch(f"https://web.example:{server.port}/")).content == b"hello"
        assert server.asked_for == ["web.example"]


async def test_a_certificate_for_another_name_is_not_taken(tmp_path: Path) -> None:
    async with SecureServer(tmp_path, "other.example") as server:
        with pytest.raises(UrlUnreadable, match="certificate"):
            await server.fetcher().fetch(f"https://web.example:{server.port}/")


async def test_a_certificate_that_nobody_vouches_for_is_not_taken(tmp_path: Path) -> None:
    async with SecureServer(tmp_path, "web.example") as server:
        with pytest.raises(UrlUnreadable, match="certificate"):
            await server.fetcher(trusted=False).fetch(f"https://web.example:{server.port}/")
