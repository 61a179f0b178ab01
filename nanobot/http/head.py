"""What the head of a request may say: which headers may come once, which codings the server takes."""

from collections.abc import Iterable, Mapping, Sequence

from nanobot.core.errors import InvalidHttp, InvalidRequest, UnsupportedEncoding
from nanobot.core.late_pattern import LatePattern

RawHeaders = Sequence[tuple[bytes, bytes]]
_SINGLE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"origin",
        b"transfer-encoding",
    }
)
_HOST = LatePattern(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""A name or an address, and a port. Not the rest of RFC 3986: no host name has other characters."""


class HeadCheck:
    """Refuses heads that two readers could understand differently.

    `single`: names of headers that may come once only, besides those that decide who asks and how the body is
    framed.
    """

    def __init__(self, single: Iterable[str] = ()) -> None:
        self._single = _SINGLE.union(name.lower().encode() for name in single)

    def check(self, headers: Mapping[bytes, bytes], raw: RawHeaders, version: str) -> None:
        """Return where the head can be taken; `headers` has one value of each of the `raw` names.

        Raises:
            InvalidRequest: a header that may come once comes twice.
            InvalidHttp: the version is not 1.0 or 1.1, Host is missing or no host name, or the transfer
                coding is not supported.
            UnsupportedEncoding: the body is compressed.
        """
        if version not in ("1.1", "1.0"):
            raise InvalidHttp(f"the request is in HTTP/{version}: only 1.1 and 1.0 are supported")
        if len(headers) != len(raw):
            self._refuse_repeated(raw)
        host = headers.get(b"host")
        if host is None and version == "1.1":
            raise InvalidHttp("the request has no header Host: HTTP/1.1 requires one")
        if host and not _HOST.fullmatch(host):
            raise InvalidHttp(
                f"header Host is {_shown(host)}: it must be a host name, with a port or without"
            )
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (version != "1.1" or coding.lower() != b"chunked"):
            raise InvalidHttp(
                f"transfer-encoding is {_shown(coding)} in HTTP/{version}: only chunked in 1.1 is supported"
            )
        encoding = headers.get(b"content-encoding")
        if encoding is not None and encoding.lower() not in (b"", b"identity"):
            raise UnsupportedEncoding(
                f"content-encoding is {_shown(encoding)}: send the body as it is, not compressed"
            )

    def _refuse_repeated(self, raw: RawHeaders) -> None:
        seen: set[bytes] = set()
        for name, _ in raw:
            if name in seen and name in self._single:
                raise InvalidRequest(
                    f"header {name.decode('latin-1')} came more than once: send it once",
                    param=name.decode("latin-1"),
                )
            seen.add(name)


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))
