"""Which models answer, and how each is made from its settings."""

import importlib.util
import random
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nanobot.app.chains import Chains, fallback_names
from nanobot.app.tools import own_tools
from nanobot.config import Config, ModelTable
from nanobot.context import prompt
from nanobot.core.clock import Clock
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError, ModelNotFound
from nanobot.core.model import Ability, Model
from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.echo import EchoModel
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.local import openmp
from nanobot.models.local.model import CONTEXT_TOKENS, LocalModel
from nanobot.models.openai.chat import EVERYTHING, OpenAIChat, Timeouts
from nanobot.models.openai_responses.responses import OpenAIResponses
from nanobot.models.providers import (
    ECHO,
    LOCAL,
    ModelName,
    Provider,
    Wire,
    at_address,
    find_in_environment,
    parse_name,
    provider_of,
)
from nanobot.models.weights.installed import find as find_weights

_BY_WIRE: Mapping[
    Wire, type[OpenAIChat] | type[OpenAIResponses] | type[AnthropicMessages] | type[GeminiContent]
] = {
    "openai": OpenAIChat,
    "responses": OpenAIResponses,
    "anthropic": AnthropicMessages,
    "gemini": GeminiContent,
}
"""The model's class, by the provider's wire format."""

_SHORT_PAUSE_S = 2.0
"""The longest pause that a provider may ask for where another model stands in."""


class DefaultModel(msgspec.Struct, frozen=True):
    """The model that answers where a request names no preset. `why` tells the user who chose it."""

    name: ModelName
    why: str


def choose_model(config: Config, environment: Mapping[str, str]) -> DefaultModel:
    """Return the default model: the configured one, else that of a provider whose key or address is in the
    environment, else the one on this machine.

    Raises:
        ConfigError: the configured name is not one of a model.
    """
    if config.model.name is not None:
        return DefaultModel(parse_name(config.model.name), "as configured")
    detected = find_in_environment(environment)
    if detected is not None:
        return DefaultModel(detected.model, f"found {detected.variable} in the environment")
    return DefaultModel(
        ModelName(LOCAL, ""), "no model or provider key is configured: the small model on this machine"
    )


class Models:
    """The models that turns may name: None is the default one, the others are presets."""

    def __init__(self, default: Model, presets: Mapping[str, Model]) -> None:
        self.default = default
        self._presets = dict(presets)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the presets."""
        return tuple(self._presets)

    @property
    def price_names(self) -> dict[str | None, str]:
        """The names under which prices are listed, by the names that turns may ask for."""
        return {None: self.default.name, **{preset: model.name for preset, model in self._presets.items()}}

    def get(self, name: str | None) -> Model:
        """Return the model of that name, the default one for None.

        Raises:
            ModelNotFound
        """
        if name is None:
            return self.default
        model = self._presets.get(name)
        if model is None:
            raise ModelNotFound(
                f"The model `{name}` does not exist any more: name another one. If the session has chosen it,"
                " choose another with POST /v1/sessions/{key}.",
                param="model",
            )
        return model

    async def warm(self) -> None:
        """Load what the first request to the default model needs, before it comes."""
        await self.default.warm()

    async def close(self) -> None:
        """Close every model."""
        for model in (self.default, *self._presets.values()):
            await model.close()


def make_models(config: Config, environment: Mapping[str, str], clock: Clock) -> Models:
    """Return the default model and the presets.

    Raises:
        ConfigError: one of them cannot be made.
    """
    chosen = choose_model(config, environment)
    presets: dict[str, Model] = {}
    for preset, table in config.models.items():
        if table.name is None:
            raise ConfigError(
                f"[models.{preset}] has no name: say which model it is, as name = 'provider:model'"
            )
        presets[preset] = make_model(parse_name(table.name), table, environment, clock, config.data)
    default = make_model(chosen.name, config.model, environment, clock, config.data)
    chains = Chains(
        presets,
        lambda name: make_model(parse_name(name), ModelTable(), environment, clock, config.data),
        clock,
    )
    return Models(
        chains.chain(default, config.model, None),
        {name: chains.chain(model, config.models[name], name) for name, model in presets.items()},
    )


def make_model(
    name: ModelName, table: ModelTable, environment: Mapping[str, str], clock: Clock, data: Path
) -> Model:
    """Return the model `name` with the settings of its table; `data` is the data directory.

    Raises:
        ConfigError: its key is missing, or a setting cannot be used.
        ModelUnavailable: the weights of a local model are not on this machine yet.
    """
    if name.provider == ECHO:
        return EchoModel()
    if name.provider == LOCAL:
        return _local_model(name, table, clock, data)
    return _remote_model(name, table, environment, clock)


def _local_model(name: ModelName, table: ModelTable, clock: Clock, data: Path) -> LocalModel:
    return LocalModel(
        name=str(name),
        models_dir=data / "models",
        log_path=data / "local-model.log",
        clock=clock,
        random=random.Random(),  # noqa: S311 - ids of tool calls, no secrets
        warm_system=prompt.system(""),
        warm_tools=tuple(tool.spec for tool in own_tools(clock)),
        context_tokens=table.context_tokens or CONTEXT_TOKENS,
    )


def _remote_model(name: ModelName, table: ModelTable, environment: Mapping[str, str], clock: Clock) -> Model:
    provider = provider_of(name)
    base_url = table.base_url or (
        environment.get(provider.base_url_variable) if provider.base_url_variable else None
    )
    key = table.api_key or (environment.get(provider.key_variable) if provider.key_variable else None)
    if provider.key_variable and not key and base_url is None:
        raise ConfigError(
            f"model {name}: no key for {provider.name}; set {provider.key_variable}, "
            "or model.api_key in the config file"
        )
    if base_url:
        provider = at_address(provider, base_url)
    return _BY_WIRE[provider.wire](
        name=str(name),
        model=name.model,
        base_url=base_url or provider.base_url,
        api_key=key,
        auth=provider.auth,
        context_tokens=table.context_tokens or provider.context_tokens,
        clock=clock,
        random=random.Random(),  # noqa: S311 - jitter and ids of tool calls, no secrets
        timeouts=Timeouts(
            connect_s=table.connect_timeout_s,
            first_chunk_s=table.first_byte_timeout_s,
            idle_s=table.idle_timeout_s,
            # Rather than wait for long, another model is asked.
            retry_pause_s=_SHORT_PAUSE_S if table.fallback else Timeouts().retry_pause_s,
        ),
        max_retries=table.max_retries,
        abilities=_abilities(table, provider),
    )


def _abilities(table: ModelTable, provider: Provider) -> frozenset[Ability]:
    """Return the abilities to begin with: a model drops those that it turns out to lack."""
    takes_audio = provider.takes_audio if table.audio == "auto" else table.audio == "yes"
    return EVERYTHING if takes_audio else EVERYTHING - {"audio"}


# Models on this machine ---------------------------------------------------------------------------


def lacks_openmp(config: Config, environment: Mapping[str, str]) -> bool:
    """Return whether a local model is configured, and the library that its engine needs is not on this
    machine.
    """
    return bool(_local_models(config, environment)) and openmp.is_missing(config.data / "models")


def missing_weights(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the local models that are configured, but whose weights are not on this machine yet.

    Raises:
        ConfigError: a name means nothing.
    """
    return tuple(
        name
        for name in _local_models(config, environment)
        if find_weights(name, config.data / "models") is None
    )


def _local_models(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the configured models that run on this machine.

    Raises:
        ConfigError: there are some, and the engine that runs them is not installed.
    """
    names = [choose_model(config, environment).name]
    names.extend(parse_name(table.name) for table in config.models.values() if table.name is not None)
    names.extend(map(parse_name, fallback_names(config)))
    local = tuple(dict.fromkeys(str(name) for name in names if name.provider == LOCAL))
    if local and importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            f"the model {local[0]} runs on this machine, and its engine is not installed: "
            f"{install_command('local')}; "
            "or name another model with --model, or set a provider's key, e.g. OPENAI_API_KEY"
        )
    return local
