"""What the environment says about providers: addresses, keys, and which one to use."""

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import msgspec

from nanobot.core.errors import ConfigError
from nanobot.core.late_pattern import LatePattern
from nanobot.models.address import BEARER, KeyHeader
from nanobot.models.providers.names import SHIPPED, ModelName
from nanobot.models.providers.row import Provider

_OPENAI_PATH = LatePattern(r"/(?:openai|v1)(?:/chat/completions)?/*\Z")
_AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Credentials of AWS that sign requests, which is not done here."""
_OLLAMA_PORT = 11434
_EVERY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound


class FoundKey(msgspec.Struct, frozen=True):
    """A key in the environment: the variable it is in, and how it is sent."""

    value: str
    variable: str
    auth: KeyHeader


class DetectedProvider(msgspec.Struct, frozen=True):
    """A provider whose key or address is set in the environment, by `variable`."""

    model: ModelName
    variable: str


def find_key(provider: Provider, environment: Mapping[str, str]) -> FoundKey | None:
    """Return the provider's key; None where no variable has one. White space around it is no part of it."""
    for variables, auth in ((provider.token_variables, BEARER), (provider.key_variables, provider.auth)):
        for variable in variables:
            if value := environment.get(variable, "").strip():
                return FoundKey(value, variable, auth)
    return None


def address_variable(provider: Provider, environment: Mapping[str, str]) -> str | None:
    """Return the variable that says where the provider is; None where none does."""
    for variable in (*provider.base_url_variables, *provider.host_variables):
        if environment.get(variable, "").strip():
            return variable
    return None


def find_base_url(provider: Provider, environment: Mapping[str, str]) -> str:
    """Return where the provider's API is.

    Raises:
        ConfigError: its address has a part that no variable gives.
    """
    variable = address_variable(provider, environment)
    if variable is None:
        return _filled(provider, environment)
    value = environment[variable].strip()
    return _completed(value, provider.base_url) if variable in provider.host_variables else value


def at_address(provider: Provider, base_url: str) -> Provider:
    """Return the provider as it is to be asked at `base_url`: one whose own format is Gemini's also has
    addresses that speak OpenAI's, with `/openai`, `/v1` or `/chat/completions` at the end; what listens at
    Ollama's port is asked for its window, whatever it is called.
    """
    if provider.wire == "openai" and urlsplit(base_url.strip()).port == _OLLAMA_PORT:
        return msgspec.structs.replace(provider, tells_window=True)
    if provider.wire != "gemini" or not _OPENAI_PATH.search(base_url.strip().partition("?")[0]):
        return provider
    return msgspec.structs.replace(provider, wire="openai", auth=BEARER)


def find_in_environment(
    environment: Mapping[str, str], providers: Mapping[str, Provider] = SHIPPED
) -> DetectedProvider | None:
    """Return the first provider with a default model whose key or address is set in the environment."""
    for provider in providers.values():
        variable = _variable_of(provider, environment)
        model = default_model(provider, environment)
        if variable is not None and model is not None and not _problem(provider, environment):
            return DetectedProvider(ModelName(provider.name, model), variable)
    return None


def find_unusable(
    environment: Mapping[str, str], providers: Mapping[str, Provider] = SHIPPED
) -> tuple[str, ...]:
    """Return a line for each key or address in the environment that chooses no model: what is missing."""
    lines: list[str] = []
    for provider in providers.values():
        names = (*provider.token_variables, *provider.key_variables)
        lines.extend(
            f"{name} has only white space in it"
            for name in names
            if environment.get(name) and not environment[name].strip()
        )
        variable = _variable_of(provider, environment)
        if variable is not None and (problem := _problem(provider, environment)):
            lines.append(f"{variable}: {problem}")
    aws = next((name for name in _AWS_VARIABLES if environment.get(name)), None)
    if aws is not None and not environment.get("AWS_BEARER_TOKEN_BEDROCK"):
        lines.append(f"{aws}: Bedrock is asked with an API key of its own, AWS_BEARER_TOKEN_BEDROCK")
    if environment.get("GOOGLE_APPLICATION_CREDENTIALS"):
        lines.append("GOOGLE_APPLICATION_CREDENTIALS: name a model to use it, as --model vertex:google/MODEL")
    return tuple(lines)


def _problem(provider: Provider, environment: Mapping[str, str]) -> str:
    """Return why what the environment has of the provider chooses no model; empty where it does."""
    if provider.retired:
        return f"{provider.title} was shut down on {provider.retired}"
    try:
        find_base_url(provider, environment)
    except ConfigError as error:
        return error.message
    if provider.detected and default_model(provider, environment):
        return ""
    return f"name a model to use it, as --model {provider.name}:MODEL"


def default_model(provider: Provider, environment: Mapping[str, str]) -> str | None:
    """Return the provider's model where none is named; None where there is no obvious one."""
    named = (environment.get(variable, "").strip() for variable in provider.model_variables)
    return next(filter(None, named), provider.default_model)


def _variable_of(provider: Provider, environment: Mapping[str, str]) -> str | None:
    """Return the variable that has the provider's key, else its address."""
    key = find_key(provider, environment)
    return key.variable if key is not None else address_variable(provider, environment)


def _filled(provider: Provider, environment: Mapping[str, str]) -> str:
    """Return the provider's address with its blanks filled in."""
    values: dict[str, str] = {}
    for name, blank in provider.blanks.items():
        found = (environment.get(variable, "").strip() for variable in blank.variables)
        value = next(filter(None, found), blank.default)
        if value is None:
            variables = (*provider.host_variables, *blank.variables)
            raise ConfigError(
                f"provider {provider.name}: its address has the {name} in it; set {' or '.join(variables)}, "
                "or base_url in the config file"
            )
        values[name] = value
    # Google's global location has no name of its own in the host.
    return provider.base_url.format_map(values).replace("//global-", "//") if values else provider.base_url


def _completed(value: str, base_url: str) -> str:
    """Return the address `value`, which may be a host alone, with what it lacks from `base_url`."""
    known = urlsplit(base_url)
    has_scheme = "://" in value
    try:
        parts = urlsplit(value if has_scheme else f"{known.scheme}://{value}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return value
    if "@" in parts.netloc:
        return value
    if host in _EVERY_ADDRESS:
        # Where a server listens on every address, it can be reached on the loopback one.
        host = "127.0.0.1"
    if port is None and not has_scheme:
        port = known.port
    netloc = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/") or known.path
    return urlunsplit(parts._replace(netloc=f"{netloc}:{port}" if port else netloc, path=path))
