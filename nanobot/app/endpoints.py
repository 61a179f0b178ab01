"""Where and how a model behind an API is asked: from its settings, its provider and the environment."""

import math
from collections.abc import Mapping
from typing import get_args
from urllib.parse import urlsplit

import msgspec

from nanobot.config import Config, EndpointFields
from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError
from nanobot.core.late_pattern import LatePattern
from nanobot.models.address import BEARER, Address, KeyHeader, ollama_door
from nanobot.models.certificates import trusted
from nanobot.models.keys import KeyCommand, KeyRotation, KeySource
from nanobot.models.providers import ECHO, LOCAL, SHIPPED, ModelName, Provider, Wire
from nanobot.models.providers.environment import address_variable, at_address, find_base_url, find_key
from nanobot.models.proxies import find_proxy
from nanobot.models.transport import Transport

_NAME = LatePattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_HEADER_NAME = LatePattern(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONNECTION_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)
_REQUEST_FIELDS = frozenset({"messages", "model", "stream", "tools"})
"""Fields that cannot be set in any wire format; each has further ones."""
_UNKNOWN_WINDOW_TOKENS = 32_000
"""What a provider's models are taken to have of a window, where nothing says it."""
_KEY_HEADERS: Mapping[Wire, KeyHeader] = {
    "openai": BEARER,
    "responses": BEARER,
    "anthropic": KeyHeader("x-api-key"),
    "gemini": KeyHeader("x-goog-api-key"),
}
"""How keys are sent in each wire format, unless a provider or the settings want it otherwise."""
_SALT_FIELD = "cache_salt"
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def known_providers(config: Config) -> Mapping[str, Provider]:
    """Return the providers that nanobot knows and those of the settings, which come first.

    Raises:
        ConfigError: one of the settings cannot be used.
    """
    configured: dict[str, Provider] = {}
    for name, table in config.providers.items():
        if not _NAME.fullmatch(name) or name in (LOCAL, ECHO):
            raise ConfigError(
                f"[providers.{name}]: the name of a provider has letters, digits, `.`, `_` and `-` in it, "
                f"and is neither {LOCAL} nor {ECHO}",
                tables=(f"providers.{name}",),
            )
        known = SHIPPED.get(name)
        if known is None and table.base_url is None:
            raise ConfigError(
                f"[providers.{name}] has no base_url: say where the provider is",
                tables=(f"providers.{name}",),
            )
        row = known or Provider(name=name, title=name, base_url="", context_tokens=_UNKNOWN_WINDOW_TOKENS)
        configured[name] = _changed(row, table)
    return {**configured, **{name: row for name, row in SHIPPED.items() if name not in configured}}


def _changed(provider: Provider, table: EndpointFields) -> Provider:
    """Return the row `provider` with what is different in the settings; `Endpoint` reads the rest."""
    changes: dict[str, object] = {"retired": None if table.base_url else provider.retired}
    if table.base_url:
        changes |= {
            "base_url": table.base_url,
            "blanks": {},
            "base_url_variables": (),
            "host_variables": (),
            "lists_all": False,
        }
    if table.key_variable:
        changes |= {"key_variables": (table.key_variable,), "token_variables": ()}
    if table.context_tokens:
        changes["context_tokens"] = table.context_tokens
    if default_model := getattr(table, "default_model", None):
        changes |= {"default_model": default_model, "model_variables": ()}
    return msgspec.structs.replace(provider, **changes)


def wire_of(provider: Provider, fields: EndpointFields) -> Wire:
    """Return the wire format that a model is asked in.

    Raises:
        ConfigError: there is none of that name.
    """
    if fields.wire is None:
        return provider.wire
    known: tuple[Wire, ...] = get_args(Wire)
    for wire in known:
        if wire == fields.wire:
            return wire
    raise ConfigError(f"wire is {fields.wire!r}; known are {', '.join(known)}")


class ProviderAccess(msgspec.Struct, frozen=True):
    """Where a model is asked, in which format, with which key, and what goes with each request.
    `tells_window`: as of the provider.
    """

    base_url: str
    wire: Wire
    api_key: str | None
    auth: KeyHeader
    transport: Transport
    tells_window: bool = False


class _Key(msgspec.Struct, frozen=True):
    """One key, or a source of keys, and how a key is sent."""

    auth: KeyHeader
    one: str | None = None
    source: KeySource | None = None


def find_access(
    name: ModelName,
    provider: Provider,
    fields: EndpointFields,
    environment: Mapping[str, str],
    clock: Clock,
    *,
    key_setting: str = "model.api_key",
) -> ProviderAccess:
    """Return how the model `name` of `provider` is reached. `fields` are the settings of both, `key_setting`
    is where its key may be put.

    Raises:
        ConfigError: a key is missing, or a setting or a variable cannot be used.
    """
    has_own_address = fields.base_url or address_variable(provider, environment)
    if provider.retired and not has_own_address:
        raise ConfigError(
            f"model {name}: {provider.title} was shut down on {provider.retired}: choose another provider, "
            "or set base_url"
        )
    base_url = fields.base_url or find_base_url(provider, environment)
    # Checked before anything takes it apart.
    _check_address(base_url, fields, address_variable(provider, environment), key_setting)
    provider = at_address(provider, base_url)
    if provider.tells_window:
        base_url = ollama_door(base_url)
    key = _find_key(provider, fields, environment, clock)
    is_keyless = key.one is None and key.source is None and fields.auth != "none"
    if is_keyless and provider.needs_key and not has_own_address:
        raise ConfigError(
            f"model {name}: no key for {provider.name}; set {places_of_key(provider, fields, key_setting)}"
        )
    transport = Transport(
        headers=_headers(name, provider, fields, environment),
        keys=key.source,
        proxy=_proxy(name, base_url, fields, environment),
        ca_file=_ca_file(name, base_url, fields, environment),
        lists_all=provider.lists_all and not has_own_address,
        salt_field=_SALT_FIELD if _salts_cache(provider, fields) else "",
    )
    return ProviderAccess(
        base_url, wire_of(provider, fields), key.one, key.auth, transport, provider.tells_window
    )


def _check_address(base_url: str, fields: EndpointFields, variable: str | None, key_setting: str) -> None:
    """Return where `base_url` is an address.

    Raises:
        ConfigError: it is none; the message says where it was set.
    """
    try:
        Address(base_url)
    except ConfigError as error:
        set_in = f"{key_setting.rpartition('.')[0]}.base_url"
        where = set_in if fields.base_url or variable is None else variable
        raise ConfigError(f"{where}: {error.message}") from None


def places_of_key(provider: Provider, fields: EndpointFields, setting: str) -> str:
    """Return where a key of the provider may be put: in a variable, or in `setting`."""
    variable = fields.key_variable or provider.key_variable
    return f"{f'{variable}, or ' if variable else ''}{setting} in the config file"


# Keys ---------------------------------------------------------------------------------------------


def _find_key(
    provider: Provider, fields: EndpointFields, environment: Mapping[str, str], clock: Clock
) -> _Key:
    auth = _auth(provider, fields)
    if fields.auth == "none":
        return _Key(auth)
    keys = tuple(dict.fromkeys(filter(None, (fields.api_key, *fields.api_keys))))
    if len(keys) > 1:
        return _Key(auth, source=KeyRotation(keys, clock))
    if keys:
        return _Key(auth, keys[0])
    if fields.key_variable:
        value = environment.get(fields.key_variable, "").strip()
        if not value:
            raise ConfigError(
                f"key_variable is {fields.key_variable!r}: the environment has no such variable"
            )
        return _Key(auth, value)
    if fields.key_command:
        return _Key(auth, source=KeyCommand(fields.key_command, clock))
    found = find_key(provider, environment)
    if found is not None:
        is_token = found.variable in provider.token_variables
        return _Key(found.auth if is_token and not fields.auth else auth, found.value)
    if provider.key_command:
        return _Key(auth, source=KeyCommand(provider.key_command, clock))
    return _Key(auth)


def _auth(provider: Provider, fields: EndpointFields) -> KeyHeader:
    """Return how a key is sent: as the settings say, else as the wire format or the provider wants it."""
    if fields.auth:
        return parse_auth(fields.auth)
    if fields.wire and fields.wire != provider.wire:
        return _KEY_HEADERS[wire_of(provider, fields)]
    return provider.auth


def parse_auth(text: str) -> KeyHeader:
    """Return how a key is sent: `bearer`, or the name of a header, with what stands before the key in it.

    Raises:
        ConfigError: it is not the name of a header.
    """
    if text in ("bearer", "none"):
        return BEARER
    header, _, prefix = text.strip().partition(" ")
    is_header = _HEADER_NAME.fullmatch(header) and header.lower() not in _CONNECTION_HEADERS
    if not is_header or not (prefix.isprintable() and prefix.isascii()):
        raise ConfigError(
            f"auth is {text!r}: it is `bearer`, `none`, or the name of a header such as `x-api-key`"
        )
    return KeyHeader(header, f"{prefix.strip()} " if prefix.strip() else "")


# What goes with each request ----------------------------------------------------------------------


def _headers(
    name: ModelName, provider: Provider, fields: EndpointFields, environment: Mapping[str, str]
) -> dict[str, str]:
    headers = {
        header: value
        for header, variable in provider.header_variables.items()
        if (value := environment.get(variable, "").strip())
    }
    headers.update(fields.headers)
    for header, value in headers.items():
        if not _HEADER_NAME.fullmatch(header) or header.lower() in _CONNECTION_HEADERS:
            raise ConfigError(f"model {name}: {header!r} cannot be set as a header")
        if not (value.isprintable() and value.isascii()):
            raise ConfigError(f"model {name}: the header {header} has a character that cannot be sent")
    return headers


def _salts_cache(provider: Provider, fields: EndpointFields) -> bool:
    return provider.salts_cache if fields.cache_salt == "auto" else fields.cache_salt == "yes"


def check_body(name: ModelName, body: Mapping[str, object]) -> None:
    """Check that further fields of requests are JSON, and none that every request is made of.

    Raises:
        ConfigError: they are not.
    """
    if reserved := _REQUEST_FIELDS.intersection(body):
        raise ConfigError(f"model {name}: {', '.join(sorted(reserved))} cannot be set in body")
    for field, value in body.items():
        if not _is_json(value):
            raise ConfigError(
                f"model {name}: the field {field} of body is no JSON: dates, inf and nan are not"
            )


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_json(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


# The way out --------------------------------------------------------------------------------------


def _proxy(
    name: ModelName, base_url: str, fields: EndpointFields, environment: Mapping[str, str]
) -> str | None:
    if fields.proxy == "none":
        return None
    found = (fields.proxy, "proxy") if fields.proxy else find_proxy(base_url, environment)
    if found is None:
        return None
    proxy, where = found
    try:
        parts = urlsplit(proxy)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_usable = False
    if not is_usable:
        # Not the value: it may have a password in it.
        raise ConfigError(
            f"model {name}: {where} is no URL of an HTTP proxy, such as http://proxy.example:3128; SOCKS is "
            "not supported"
        )
    return proxy


def _ca_file(
    name: ModelName, base_url: str, fields: EndpointFields, environment: Mapping[str, str]
) -> str | None:
    if not base_url.startswith("https:"):
        return None
    found = [(environment[variable], variable) for variable in _CA_VARIABLES if environment.get(variable)]
    if fields.ca_file:
        found.insert(0, (fields.ca_file, "ca_file"))
    if not found:
        return None
    path, where = found[0]
    try:
        trusted(path)
    except ConfigError as error:
        raise ConfigError(f"model {name}: {where}: {error.message}") from None
    return path
