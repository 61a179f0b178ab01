"""Where an API is, and how its key is sent."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec

from nanobot.core.errors import ConfigError
from nanobot.core.late_pattern import LatePattern
from nanobot.models.refusals import ErrorSource
from nanobot.models.transport import Transport


class KeyHeader(msgspec.Struct, frozen=True):
    """How an API key is sent: in the header `name`, behind `prefix`."""

    name: str
    prefix: str = ""


BEARER = KeyHeader("Authorization", "Bearer ")


_PUBLIC_HEADERS = frozenset(
    {
        "accept",
        "accept-language",
        "anthropic-beta",
        "anthropic-version",
        "http-referer",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "referer",
        "user-agent",
        "x-goog-user-project",
        "x-title",
    }
)
"""Headers that tell a provider who asks, and for what; of all others the value may be a secret."""
_VALUES_WITHIN = LatePattern(r"[\s;,=]+")


def ending(operations: str) -> LatePattern[str]:
    """Return the pattern of what an address ends with that was copied with the path of an operation;
    `operations` is a regular expression.
    """
    return LatePattern(rf"/(?:{operations})/*\Z", re.IGNORECASE)


OPENAI_OPERATION = ending(r"(?:chat/)?completions|responses|embeddings")
_OLLAMA_API = ending(r"v1(?:/(?:(?:chat/)?completions|models))?|api(?:/\w+)?")


class Address:
    """The base URL of an API, taken apart once: `host`, and `shown` for messages, without the query."""

    def __init__(self, base_url: str, operation: LatePattern[str] | None = None, below: str = "") -> None:
        """Read `base_url`; it may end with the path of an `operation`, in whose place `below` is put, at its
        end otherwise.

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
        path = parts.path if operation is None else operation.sub("", parts.path)
        self._parts = parts._replace(path=path.rstrip("/") + below, fragment="")
        self.host = host
        self.shown = urlunsplit(self._parts._replace(query=""))

    @property
    def query_values(self) -> tuple[str, ...]:
        """What the query says, as it is written and as it is meant, but for the version of the API."""
        fields = [part for part in self._parts.query.split("&") if not part.startswith("api-version=")]
        meant = (value for _, value in parse_qsl("&".join(fields)))
        written = (part.partition("=")[2] for part in fields)
        return tuple(filter(None, dict.fromkeys((*meant, *written))))

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of `path`, which begins with a slash; behind it stands the query of the base URL,
        then `query`.
        """
        whole = "&".join(part for part in (self._parts.query, query) if part)
        return urlunsplit(self._parts._replace(path=self._parts.path + path, query=whole))


def ollama_door(base_url: str) -> str:
    """Return where Ollama's API is that is like OpenAI's, for an address without a path, with that of its own
    API, or with that of an operation.
    """
    parts = urlsplit(base_url.strip())
    if not parts.path.strip("/") or _OLLAMA_API.search(parts.path) is not None:
        path = _OLLAMA_API.sub("", parts.path).rstrip("/")
        parts = parts._replace(path=f"{path}/v1")
    return urlunsplit(parts)


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
    further = (*address.query_values, *_secrets_in(transport.headers))
    return ErrorSource(name, model, address.shown, api_key or None, keys, further)


def _secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what must not be shown of headers: their values, and what stands in these behind the name of a
    scheme or of a cookie.
    """
    for name, value in headers.items():
        if name.lower() not in _PUBLIC_HEADERS:
            yield value
            yield from _VALUES_WITHIN.split(value)
