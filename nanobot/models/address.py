"""Where an API is, and how its key is sent."""

from urllib.parse import urlsplit, urlunsplit

import msgspec

from nanobot.core.errors import ConfigError
from nanobot.models.refusals import ErrorSource
from nanobot.models.transport import Transport


class KeyHeader(msgspec.Struct, frozen=True):
    """How an API key is sent: in the header `name`, behind `prefix`."""

    name: str
    prefix: str = ""


BEARER = KeyHeader("Authorization", "Bearer ")


class Address:
    """The base URL of an API, taken apart once: `host`, and `shown` for messages, without the query."""

    def __init__(self, base_url: str) -> None:
        """Read `base_url`.

        Raises:
            ConfigError: it is no http(s) URL, or has a user or password in it.
        """
        example = "it looks like https://api.example.com/v1"
        try:
            parts = urlsplit(base_url.strip())
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ConfigError(f"base_url of a provider: not a URL; {example}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigError(f"base_url of a provider: not a URL of http or https; {example}")
        if "@" in parts.netloc:
            raise ConfigError(
                f"base_url of the provider at {host}: user and password stand in it; set the API key instead"
            )
        self._parts = parts._replace(path=parts.path.rstrip("/"), fragment="")
        self.host = host
        self.shown = urlunsplit(self._parts._replace(query=""))

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of `path`, which begins with a slash; behind it stands the query of the base URL,
        then `query`.
        """
        whole = "&".join(part for part in (self._parts.query, query) if part)
        return urlunsplit(self._parts._replace(path=self._parts.path + path, query=whole))


def error_source(
    name: str, model: str, address: Address, api_key: str | None, transport: Transport
) -> ErrorSource:
    """Return what error messages say of a model at `address`, and what they must not.

    Raises:
        ConfigError: a key cannot be sent.
    """
    keys = transport.keys
    for key in (api_key or "", *(keys.secrets if keys is not None else ())):
        if not (key.isprintable() and key.isascii()):
            raise ConfigError(f"API key of {name}: a line break, or a character that is not ASCII, is in it")
    return ErrorSource(name, model, address.shown, api_key or None, keys, tuple(transport.headers.values()))
