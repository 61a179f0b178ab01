"""What comes beside JSON: forms, queries, files of any kind, URLs of strangers."""

import asyncio
import io
import zipfile
from functools import cache

from starlette.types import Message

from nanobot.core.errors import UrlRefused, UrlUnreadable
from nanobot.http.form import Form, read_form
from nanobot.http.query import Query
from nanobot.http.request import Request
from nanobot.reading.addresses import Address, is_public
from nanobot.reading.archives import open_archive, refuse_declarations
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.fetch import Fetcher
from nanobot.reading.kinds import audio_format, extension, image_type, kind_of
from nanobot.reading.messages import Unreadable
from nanobot.reading.plain import decode, decode_html
from tests.forms import form
from tests.fuzz.target import Target, refused_in_words

_KIND = b"multipart/form-data; boundary=xyz"
_FORM = form(("message", "hell\u00f6\r\n--xy"), ("files", ("a.bin", b"\r\n--xy\0\xff")))


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


# Forms --------------------------------------------------------------------------------------------


def check_form(content: bytes) -> None:
    """The first line is the content type; the rest is the body, which comes in one piece, byte by byte, and
    cut in the middle.
    """
    kind, _, body = content.partition(b"\n")
    middle = len(body) // 2
    whole = _taken(kind, [body])
    assert whole == _taken(kind, [body[:middle], body[middle:]]), "a form in two pieces is another form"
    assert whole == _taken(kind, [body[place : place + 1] for place in range(len(body))]), (
        "a form byte by byte is another form"
    )


def _taken(kind: bytes, pieces: list[bytes]) -> Form | None:
    """Return the form, None where it is refused."""
    waiting = [*pieces, b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    taken = None
    with refused_in_words():
        taken = _runner().run(
            read_form(
                Request({"method": "POST", "raw_path": b"/", "headers": [(b"content-type", kind)]}, receive),
                max_bytes=10_000,
                timeout_s=60,
            )
        )
        assert sum(map(len, (file.content for file in taken.files))) <= sum(map(len, pieces))
    return taken


# Queries ------------------------------------------------------------------------------------------


def check_query(content: bytes) -> None:
    with refused_in_words():
        query = Query(content)
        limit = query.whole("limit", default=20, low=1, high=100)
        assert 1 <= limit <= 100
        assert query.one_of("order", ("asc", "desc"), default="desc") in ("asc", "desc")
        text = query.text("after")
        assert text is None or text.encode()


# Files --------------------------------------------------------------------------------------------


def check_file(content: bytes) -> None:
    """The first line is the name, the second the media type, the third the charset."""
    name, _, rest = content.partition(b"\n")
    mime, _, rest = rest.partition(b"\n")
    charset, _, file = rest.partition(b"\n")
    said = charset.decode("latin-1")
    shown = name.decode("utf-8", "replace")
    kind = kind_of(file, name=shown, mime=mime.decode("latin-1"))
    assert (kind == "image") == (image_type(file[:16]) is not None)
    assert kind != "audio" or audio_format(file[:16]) is not None
    assert extension(shown) == extension(shown).lower()
    decode(file, charset=said or None).encode()
    decode_html(file, charset=said or None).encode()
    decode_html(file).encode()
    if kind == "zip":
        try:
            refuse_declarations(open_archive(file, DocumentBounds()))
        except Unreadable as error:
            assert error.failure.why


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", "<?xml version='1.0'?><a>" + "b" * 40 + "</a>")
        archive.writestr("b.txt", "words")
    return packed.getvalue()


# URLs ---------------------------------------------------------------------------------------------


def check_url(content: bytes) -> None:
    """Nothing is connected to: every name leads to this machine, and no address is permitted."""
    try:
        _runner().run(_fetcher.fetch(content.decode("utf-8", "replace")))
    except (UrlRefused, UrlUnreadable) as error:
        error.message.encode()
        return
    raise AssertionError("a URL was followed whose address is not permitted")


async def _resolve(host: str, port: int) -> list[str]:
    assert host
    assert 0 < port < 65_536
    return ["127.0.0.1", "::1"]


def _permit(address: Address) -> bool:
    if is_public(address):
        assert address.is_global, address
        assert not address.is_multicast, address
        assert not address.is_private, address
    return False


_fetcher = Fetcher(resolve=_resolve, permit=_permit)

TARGETS = (
    Target(
        "form",
        check_form,
        (_KIND + b"\n" + _FORM, b'multipart/form-data; boundary="xyz"\n' + _FORM, _KIND + b"\n--xyz--\r\n",
            b"multipart/form-data\n"),
        (
            b"--xyz", b"--xyz--", b"\r\n", b'Content-Disposition: form-data; name="a"', b'; filename="b"',
            b"filename*=utf-8''%ff", b"boundary=", b"\r\n\r\n", b"; ", b'"', b"\\",
        ),
    ),
    Target("query", check_query, (b"limit=3&order=asc&after=a", b"limit=%31&after=%ff", b"a=1;b=2"),
        (b"limit=", b"order=", b"after=", b"%", b"&", b"desc")),
    Target(
        "files",
        check_file,
        (
            b"a.docx\n\n\n" + _zip(),
            b"a.txt\ntext/plain\nutf-16\n\xff\xfea\0",
            b'a.html\ntext/html\n\n<!-- a --><html><meta charset="shift_jis">',
            b"a.pdf\n\n\n%PDF-1.7",
            b"\n\n\n\x89PNG\r\n\x1a\n",
            b"\n\n\nRIFF0000WAVE",
            b"a.csv\n\nidna\na,b\xe4",
        ),
        (
            b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02", b"%PDF-", b"<meta charset=", b"utf-7", b"idna",
            b"punycode", b"hex", b"zlib", b"rot13", b"utf-32", b"utf_16_be", b"mbcs", b"undefined",
            b"unicode_escape", b"<!DOCTYPE", b"\xef\xbb\xbf", b"\xff\xfe\0\0", b"base64", b"bz2",
        ),
    ),
    Target(
        "urls",
        check_url,
        (
            b"https://example.org/a.png", b"http://[::1]/", b"http://user:pass@127.1:8080/#a",
            b"http://0x7f000001/", "http://\u2460.example/".encode(),
            b"http://[::ffff:127.0.0.1]:80/", b"HTTPS://EXAMPLE.org.", b"http://[64:ff9b::7f00:1]/", b"http://8.8.8.8:443/",
        ),
        (b"http://", b"https://", b"[", b"]", b"@", b":80", b"::", b"ffff:", b"%00", b"xn--", b"\\", b"..",
            b"2002:", b"fe80::1%eth0", b"0x"),
    ),
)  # fmt: skip
