"""Cross-origin requests: which web pages of other sites may use the server, as browsers ask for it."""

from collections.abc import Iterable

from starlette.types import Scope

Headers = tuple[tuple[bytes, bytes], ...]
# Browsers hide every header from a page that is not listed here, but for a few harmless ones.
_EXPOSED = (
    b"x-request-id, x-turn-id, x-turn-joined, x-history, x-model, x-model-passed-over, retry-after,"
    b" x-should-retry, "
    + b", ".join(
        b"x-ratelimit-%b-%b" % (what, of)
        for of in (b"requests", b"tokens")
        for what in (b"limit", b"remaining", b"reset")
    )
)
_METHODS = b"GET, POST, PUT, PATCH, DELETE"
_KEPT_S = b"600"


class Cors:
    """Answers for the listed origins (`https://chat.example`); `*` is any."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.rstrip("/").lower().encode() for origin in origins)

    def lets(self, origin: bytes, *, is_keyless: bool) -> bool:
        """Return whether pages of the origin may use the server.

        Where the server asks for no key, `*` is not enough: any page that the user opens could use it.
        """
        return origin.lower() in self._origins or (b"*" in self._origins and not is_keyless)

    def headers(self, scope: Scope) -> Headers:
        """Return the headers of every answer to a page, errors included; `vary` alone where the origin is not
        listed.
        """
        origin = requested = None
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
            elif name == b"access-control-request-headers":
                requested = value
        if origin is None or not self.lets(origin, is_keyless=False):
            # A shared cache must not serve one origin's answer to another.
            return ((b"vary", b"origin"),)
        headers = (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )
        if not is_preflight(scope):
            return headers
        # Echoed: `*` would not include `authorization`, and SDKs send many headers of their own.
        allowed = () if requested is None else ((b"access-control-allow-headers", requested),)
        return (
            *headers,
            (b"access-control-allow-methods", _METHODS),
            *allowed,
            (b"access-control-max-age", _KEPT_S),
        )


def is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks what a page may do before it sends the page's request."""
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )
