"""The names of models: `provider:model`."""

from collections.abc import Mapping

import msgspec

from nanobot.core.errors import ConfigError
from nanobot.models.providers.row import Provider
from nanobot.models.providers.shipped import PROVIDERS

LOCAL = "local"
ECHO = "echo"
SHIPPED: Mapping[str, Provider] = {provider.name: provider for provider in PROVIDERS}


class ModelName(msgspec.Struct, frozen=True):
    """A model's name in its parts: `openai:gpt-5-mini` is provider `openai`, model `gpt-5-mini`.

    `echo` and `local` have no model part.
    """

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


def parse_name(text: str, providers: Mapping[str, Provider] = SHIPPED) -> ModelName:
    """Return the model that `text` names.

    Raises:
        ConfigError: there is no such provider, or it needs a model, or has no model of that name.
    """
    provider, _, model = text.strip().partition(":")
    if (provider == ECHO and not model) or provider == LOCAL:
        return ModelName(provider, model)
    if provider == ECHO:
        raise ConfigError(f"model {text!r}: {ECHO} has one model, name it as {ECHO}")
    known = providers.get(provider)
    if known is None:
        hint = "" if model or not provider else f" (for a model of that name: PROVIDER:{provider})"
        names = ", ".join([LOCAL, ECHO, *(f"{name}:MODEL" for name in providers)])
        raise ConfigError(f"model {text!r}: there is no provider {provider!r}{hint}; known are {names}")
    if not model and known.default_model is None:
        raise ConfigError(f"model {text!r}: say which, as {provider}:MODEL")
    return ModelName(provider, model or known.default_model or "")


def provider_of(name: ModelName, providers: Mapping[str, Provider] = SHIPPED) -> Provider:
    """Return the provider of a name that `parse_name` returned; not for `local` and `echo`."""
    return providers[name.provider]
