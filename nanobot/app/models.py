"""Which models answer, and how each is made from its settings."""

import importlib.util
import random
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nanobot.app.endpoints import check_body, find_access, known_providers, wire_of
from nanobot.app.tools import own_tools
from nanobot.config import Config, EndpointFields, ModelTable
from nanobot.context import prompt
from nanobot.core.clock import Clock
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError, ModelNotFound
from nanobot.core.model import Ability, Model
from nanobot.core.turn import Sampling
from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.configured import ConfiguredModel
from nanobot.models.echo import EchoModel
from nanobot.models.http import ProviderConnection
from nanobot.models.local import openmp
from nanobot.models.local.model import CONTEXT_TOKENS, LocalModel
from nanobot.models.ollama import OllamaModel
from nanobot.models.openai.chat import EVERYTHING, OpenAIChat, Timeouts
from nanobot.models.openai_responses.responses import OpenAIResponses
from nanobot.models.providers import (
    ECHO,
    LOCAL,
    ModelName,
    Provider,
    Wire,
    find_in_environment,
    parse_name,
)
from nanobot.models.providers.environment import find_key
from nanobot.models.refusals import ErrorSource
from nanobot.models.weights.installed import find as find_weights

_BY_WIRE: Mapping[Wire, type[OpenAIChat] | type[OpenAIResponses] | type[AnthropicMessages]] = {
    "openai": OpenAIChat,
    "responses": OpenAIResponses,
    "anthropic": AnthropicMessages,
}
"""The model's class, by the provider's wire format."""


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
    providers = known_providers(config)
    if config.model.name is not None:
        return DefaultModel(parse_name(config.model.name, providers), "as configured")
    configured = _configured_default(config, environment, providers)
    if configured is not None:
        return configured
    detected = find_in_environment(environment, providers)
    if detected is not None:
        return DefaultModel(detected.model, f"found {detected.variable} in the environment")
    return DefaultModel(
        ModelName(LOCAL, ""), "no model or provider key is configured: the small model on this machine"
    )


def _configured_default(
    config: Config, environment: Mapping[str, str], providers: Mapping[str, Provider]
) -> DefaultModel | None:
    """Return the default model that the settings give a provider which has what it needs to be asked."""
    for name, table in config.providers.items():
        provider = providers[name]
        has_key = table.api_key or table.api_keys or table.key_command or find_key(provider, environment)
        if table.default_model and (has_key or not provider.needs_key):
            return DefaultModel(ModelName(name, table.default_model), f"as [providers.{name}] says")
    return None


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
            raise ModelNotFound(f"The model `{name}` does not exist any more.", param="model")
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
    providers = known_providers(config)
    presets: dict[str, Model] = {}
    for preset, table in config.models.items():
        if table.name is None:
            raise ConfigError(
                f"[models.{preset}] has no name: say which model it is, as name = 'provider:model'"
            )
        presets[preset] = make_model(parse_name(table.name, providers), table, config, environment, clock)
    return Models(make_model(chosen.name, config.model, config, environment, clock), presets)


def make_model(
    name: ModelName, table: ModelTable, config: Config, environment: Mapping[str, str], clock: Clock
) -> Model:
    """Return the model `name` with the settings of its table, and of its provider in `config`.

    Raises:
        ConfigError: its key is missing, or a setting cannot be used.
        ModelUnavailable: the weights of a local model are not on this machine yet.
    """
    if name.provider == ECHO:
        return EchoModel()
    if name.provider == LOCAL:
        return _local_model(name, table, clock, config.data)
    return _remote_model(name, table, config, environment, clock)


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


def _remote_model(
    name: ModelName, table: ModelTable, config: Config, environment: Mapping[str, str], clock: Clock
) -> Model:
    provider = known_providers(config)[name.provider]
    changed = config.providers.get(name.provider)
    fields = table if changed is None else table.over(changed)
    check_body(name, fields.body)
    access = find_access(name, provider, fields, environment, clock)
    model: Model = _BY_WIRE[wire_of(provider, fields)](
        name=str(name),
        model=name.model,
        base_url=access.base_url,
        api_key=access.api_key,
        auth=access.auth,
        transport=access.transport,
        extra_body=fields.body,
        context_tokens=fields.context_tokens or provider.context_tokens,
        clock=clock,
        random=random.Random(),  # noqa: S311 - jitter and ids of tool calls, no secrets
        timeouts=Timeouts(
            connect_s=table.connect_timeout_s,
            first_chunk_s=table.first_byte_timeout_s,
            idle_s=table.idle_timeout_s,
        ),
        max_retries=table.max_retries,
        abilities=_abilities(fields, provider),
    )
    if provider.tells_window:
        model = OllamaModel(
            model,
            ProviderConnection(
                ErrorSource(str(name), name.model, access.base_url, access.api_key),
                auth=access.auth,
                timeouts=Timeouts(connect_s=table.connect_timeout_s),
                transport=access.transport,
            ),
            model=name.model,
            base_url=access.base_url,
            most_tokens=fields.context_tokens,
            clock=clock,
        )
    return _configured(model, fields)


def _configured(model: Model, fields: EndpointFields) -> Model:
    """Return the model within what its settings say; itself where they say nothing."""
    sampling = Sampling(
        temperature=fields.temperature,
        top_p=fields.top_p,
        max_output_tokens=fields.max_tokens,
        reasoning_effort=fields.reasoning_effort,
    )
    choices: tuple[tuple[Ability, str], ...] = (("images", fields.images), ("tools", fields.tools))
    lacks = frozenset(ability for ability, choice in choices if choice == "no")
    return ConfiguredModel(model, sampling, lacks) if lacks or sampling != Sampling() else model


def _abilities(fields: EndpointFields, provider: Provider) -> frozenset[Ability]:
    """Return the abilities to begin with: a model drops those that it turns out to lack."""
    takes_audio = provider.takes_audio if fields.audio == "auto" else fields.audio == "yes"
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
    providers = known_providers(config)
    names.extend(
        parse_name(table.name, providers) for table in config.models.values() if table.name is not None
    )
    local = tuple(dict.fromkeys(str(name) for name in names if name.provider == LOCAL))
    if local and importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            f"the model {local[0]} runs on this machine, and its engine is not installed: "
            f"{install_command('local')}; "
            "or name another model with --model, or set a provider's key, e.g. OPENAI_API_KEY"
        )
    return local
