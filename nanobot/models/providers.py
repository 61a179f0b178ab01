"""The providers, as data: address, wire format, key, default model. And the names of models."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from nanobot.core.accounts import Price
from nanobot.core.errors import ConfigError
from nanobot.models.http import BEARER, KeyHeader

Wire = Literal["openai", "responses", "anthropic", "gemini"]
"""The wire formats: each has a folder of its name beside this file, `responses` in `openai_responses`."""


class Provider(msgspec.Struct, frozen=True):
    """A server of models.

    Attributes:
        base_url: where its API is; the environment variable `base_url_variable` overrides it.
        key_variable: the environment variable of its API key; None where it works without one.
        default_model: the model when none is named; None where there is no obvious one.
        context_tokens: the context window of its models, unless the settings say otherwise.
        takes_audio: it passes recordings on to those of its models that take them.
        wire: the format of its requests and answers.
        auth: how a key is sent, where there is one.
    """

    name: str
    base_url: str
    key_variable: str | None
    default_model: str | None
    context_tokens: int = 128_000
    base_url_variable: str | None = None
    takes_audio: bool = False
    wire: Wire = "openai"
    auth: KeyHeader = BEARER


# The environment is searched in this order.
PROVIDERS: tuple[Provider, ...] = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        "gpt-5-mini",
        400_000,
        "OPENAI_BASE_URL",
        takes_audio=True,
    ),
    Provider(
        "anthropic",
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        "claude-haiku-5-5",
        200_000,
        "ANTHROPIC_BASE_URL",
        wire="anthropic",
        auth=KeyHeader("x-api-key"),
    ),
    Provider(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        "openrouter/auto",
        takes_audio=True,
    ),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        "gemini-2.5-flash",
        1_000_000,
        takes_audio=True,
        wire="gemini",
        auth=KeyHeader("x-goog-api-key"),
    ),
    Provider("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek-chat", 64_000),
    Provider("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral-small-latest"),
    Provider("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "openai/gpt-oss-120b"),
    Provider("xai", "https://api.x.ai/v1", "XAI_API_KEY", "grok-4"),
    Provider("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "openai/gpt-oss-120b"),
    Provider("ollama", "http://127.0.0.1:11434/v1", None, None, 8_192, "OLLAMA_BASE_URL"),
    Provider("lmstudio", "http://127.0.0.1:1234/v1", None, None, 8_192, "LMSTUDIO_BASE_URL"),
    Provider(
        "vllm", "http://127.0.0.1:8000/v1", "VLLM_API_KEY", None, 32_000, "VLLM_BASE_URL", takes_audio=True
    ),
)
PRICES_OF = "2025-11"
PRICES: Mapping[str, Price] = {
    "openai:gpt-5": Price(1.25, 10, 0.125),
    "openai:gpt-5-mini": Price(0.25, 2, 0.025),
    "openai:gpt-5-nano": Price(0.05, 0.4, 0.005),
    "openai:gpt-4.1": Price(2, 8, 0.5),
    "openai:gpt-4.1-mini": Price(0.4, 1.6, 0.1),
    "openai:gpt-4.1-nano": Price(0.1, 0.4, 0.025),
    "openai:gpt-4o": Price(2.5, 10, 1.25),
    "openai:gpt-4o-mini": Price(0.15, 0.6, 0.075),
    "openai:o3": Price(2, 8, 0.5),
    "openai:o4-mini": Price(1.1, 4.4, 0.275),
    "gemini:gemini-2.5-pro": Price(1.25, 10),
    "gemini:gemini-2.5-flash": Price(0.3, 2.5),
    "gemini:gemini-2.5-flash-lite": Price(0.1, 0.4),
    "xai:grok-4": Price(3, 15, 0.75),
    "echo": Price(0, 0),
    "local": Price(0, 0),
    "local:small": Price(0, 0),
    "local:tiny": Price(0, 0),
}
"""List prices of a few well-known models in `PRICES_OF`, US dollars for a million tokens.

They change; the settings (`[prices]`) take precedence.
"""
LOCAL = "local"
ECHO = "echo"
_BY_NAME = {provider.name: provider for provider in PROVIDERS}


class ModelName(msgspec.Struct, frozen=True):
    """A model's name in its parts: `openai:gpt-5-mini` is provider `openai`, model `gpt-5-mini`.

    `echo` and `local` have no model part.
    """

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


def parse_name(text: str) -> ModelName:
    """Return the model that `text` names.

    Raises:
        ConfigError: there is no such provider, or it needs a model, or has no model of that name.
    """
    provider, _, model = text.strip().partition(":")
    if (provider == ECHO and not model) or provider == LOCAL:
        return ModelName(provider, model)
    if provider == ECHO:
        raise ConfigError(f"model {text!r}: {ECHO} has one model, name it as {ECHO}")
    known = _BY_NAME.get(provider)
    if known is None:
        names = ", ".join([LOCAL, ECHO, *(f"{name}:MODEL" for name in _BY_NAME)])
        raise ConfigError(f"model {text!r}: there is no provider {provider!r}; known are {names}")
    if not model and known.default_model is None:
        raise ConfigError(f"model {text!r}: say which, as {provider}:MODEL")
    return ModelName(provider, model or known.default_model or "")


def provider_of(name: ModelName) -> Provider:
    """Return the provider of a name that `parse_name` returned; not for `local` and `echo`."""
    return _BY_NAME[name.provider]


_OPENAI_PATH = re.compile(r"/(?:openai|v1)(?:/chat/completions)?/*\Z")


def at_address(provider: Provider, base_url: str) -> Provider:
    """Return the provider as it is to be asked at `base_url`: one whose own format is Gemini's also has
    addresses that speak OpenAI's, with `/openai`, `/v1` or `/chat/completions` at the end.
    """
    if provider.wire != "gemini" or not _OPENAI_PATH.search(base_url.strip().partition("?")[0]):
        return provider
    return msgspec.structs.replace(provider, wire="openai", auth=BEARER)


class DetectedProvider(msgspec.Struct, frozen=True):
    """A provider whose key or address is set in the environment, by `variable`."""

    model: ModelName
    variable: str


def find_in_environment(environment: Mapping[str, str]) -> DetectedProvider | None:
    """Return the first provider with a default model whose key or address is set in the environment."""
    for provider in PROVIDERS:
        for variable in (provider.key_variable, provider.base_url_variable):
            if variable is None or not environment.get(variable):
                continue
            model = provider.default_model
            if provider.name == "openai":
                model = environment.get("OPENAI_MODEL") or model
            if model is not None:
                return DetectedProvider(ModelName(provider.name, model), variable)
    return None
