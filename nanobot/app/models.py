"""Which models answer, and how each is made from its settings."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nanobot.app.chains import Chains, fallback_names
from nanobot.app.endpoints import known_providers, places_of_key
from nanobot.app.places import in_tables
from nanobot.app.remote import remote_model
from nanobot.app.tools import own_tools
from nanobot.config import Config, ModelTable, ProviderTable
from nanobot.context import prompt
from nanobot.core.clock import Clock
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError, ModelNotFound
from nanobot.core.model import Model
from nanobot.core.persona import DEFAULT_NAME
from nanobot.models.echo import EchoModel
from nanobot.models.providers import (
    ECHO,
    LOCAL,
    ModelName,
    Provider,
    find_in_environment,
    parse_name,
)
from nanobot.models.providers.environment import find_key
from nanobot.models.weights.choice import recommended
from nanobot.models.weights.installed import PREFIXES, Weights, located
from nanobot.models.weights.installed import find as find_weights
from nanobot.models.weights.installed import parse as parse_weights
from nanobot.models.weights.machine import Machine, this_machine

if TYPE_CHECKING:
    from nanobot.models.local.model import LocalModel


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
        with in_tables("model"):
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
        if table.default_model and (_has_key(table, provider, environment) or not provider.needs_key):
            return DefaultModel(ModelName(name, table.default_model), f"as [providers.{name}] says")
    return None


def _has_key(table: ProviderTable, provider: Provider, environment: Mapping[str, str]) -> bool:
    keys = table.api_key or table.api_keys or table.key_command or table.auth == "none"
    return bool(keys or find_key(provider, environment))


def passed_over(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each provider of the settings that would have been the default model's, if it had
    its key or a model; none where the settings name the default model.

    Raises:
        ConfigError: a setting is not valid.
    """
    if config.model.name is not None:
        return ()
    chosen = choose_model(config, environment).name
    providers = known_providers(config)
    lines: list[str] = []
    for name, table in config.providers.items():
        if name == chosen.provider:
            break
        provider = providers[name]
        has_key = _has_key(table, provider, environment)
        if table.default_model and provider.needs_key and not has_key:
            places = places_of_key(provider, table, f"providers.{name}.api_key")
            lines.append(f"[providers.{name}] has no key: set {places}")
        elif (
            not table.default_model
            and has_key
            and not any(each.name and each.name.partition(":")[0] == name for each in config.models.values())
        ):
            lines.append(
                f"[providers.{name}] has a key, and nothing says which of its models to ask: "
                "set its default_model, or model.name"
            )
    return tuple(lines)


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
    def all(self) -> tuple[Model, ...]:
        """The default model, and those of the presets."""
        return (self.default, *self._presets.values())

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
        ModelUnavailable: the weights of a local model are not on this machine yet.
    """
    return _models(config, environment, clock, make_model)


def check_models(config: Config, environment: Mapping[str, str], clock: Clock) -> None:
    """Check the settings of all models, before the weights of a local one are fetched.

    Raises:
        ConfigError: one of them cannot be made; a key may be missing.
    """

    def make(
        name: ModelName, table: ModelTable, config: Config, environment: Mapping[str, str], clock: Clock
    ) -> Model:
        return EchoModel() if name.provider == LOCAL else make_model(name, table, config, environment, clock)

    _models(config, environment, clock, make)


_Make = Callable[[ModelName, ModelTable, Config, Mapping[str, str], Clock], Model]


def _models(config: Config, environment: Mapping[str, str], clock: Clock, make: _Make) -> Models:
    chosen = choose_model(config, environment)
    providers = known_providers(config)
    presets: dict[str, Model] = {}
    for preset, table in config.models.items():
        with in_tables(f"models.{preset}"):
            if table.name is None:
                raise ConfigError(
                    f"[models.{preset}] has no name: say which model it is, as name = 'provider:model'"
                )
            name = parse_name(table.name, providers)
        with in_tables(f"models.{preset}", f"providers.{name.provider}"):
            presets[preset] = make(name, table, config, environment, clock)
    with in_tables("model", f"providers.{chosen.name.provider}"):
        default = make(chosen.name, config.model, config, environment, clock)
    chains = Chains(
        presets,
        lambda name: make(parse_name(name, providers), ModelTable(), config, environment, clock),
        clock,
    )
    return Models(
        chains.chain(default, config.model, None),
        {name: chains.chain(model, config.models[name], name) for name, model in presets.items()},
    )


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
        return _local_model(name, table, clock, config)
    return remote_model(name, table, config, environment, clock)


def _local_model(name: ModelName, table: ModelTable, clock: Clock, config: Config) -> LocalModel:
    # A tenth of what a start loads; most servers ask models elsewhere.
    from nanobot.models.local.model import CONTEXT_TOKENS, LocalModel
    from nanobot.tools.memory import noting_specs

    return LocalModel(
        name=str(name),
        models_dir=weights_directory(config, str(name)),
        log_path=config.data / "local-model.log",
        clock=clock,
        random=random.Random(),  # noqa: S311 - ids of tool calls, no secrets
        warm_system=prompt.system(""),
        warm_tools=tuple(tool.spec for tool in own_tools(clock)),
        noting_tools=noting_specs(),
        agent_name=config.agent.name or DEFAULT_NAME,
        context_tokens=table.context_tokens or CONTEXT_TOKENS,
    )


def is_small(model: Model) -> bool:
    """Return whether it is the small model of this machine, whose module is loaded where there is one."""
    local = sys.modules.get("nanobot.models.local.model")
    return local is not None and isinstance(model, local.LocalModel)


# Models on this machine ---------------------------------------------------------------------------


def weights_directory(config: Config, name: str) -> Path:
    """Return where the weights of `name` are, or are to be fetched to: the folder of the user, unless the
    data directory has them, where they were kept formerly.

    Raises:
        ConfigError: there is no local model of that name, or the folder cannot be named.
    """
    former = config.data / "models"
    weights = parse_weights(name)
    has_them = isinstance(weights, Weights) and located(weights, former) is not None
    return former if has_them else config.models_dir


def better_weights(config: Config, name: ModelName, machine: Machine | None = None) -> Weights | None:
    """Return the weights that this machine has room for and that answer better than `local`, where that is
    the model `name`; None where there are none.

    `machine`: None: this one.
    """
    if config.model.name is not None or str(name) != LOCAL:
        return None
    best = recommended(machine or this_machine())
    return best if best is not None and best.size_bytes > _size_of_default() else None


def reads_examples_first(config: Config, name: str) -> bool:
    """Return whether the model `name` reads its examples before its first answer, which takes a while: their
    state is kept, so that later starts have it.
    """
    weights = parse_weights(name) if name.partition(":")[0] == LOCAL else None
    if not isinstance(weights, Weights) or weights.format.kind != "examples":
        return False
    return not any((weights_directory(config, name) / PREFIXES).glob("prefix-*.slot"))


def _size_of_default() -> int:
    default = parse_weights(LOCAL)
    return default.size_bytes if isinstance(default, Weights) else 0


def missing_openmp(config: Config, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders of weights for which the library is missing that the engine needs; none where the
    machine has it, or no local model is configured.
    """
    folders = dict.fromkeys(weights_directory(config, name) for name in _local_models(config, environment))
    if not folders:
        return ()
    # With the local model.
    from nanobot.models.local import openmp

    return tuple(folder for folder in folders if openmp.is_missing(folder))


def missing_weights(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the local models that are configured, but whose weights are not on this machine yet.

    Raises:
        ConfigError: a name means nothing.
    """
    return tuple(
        name
        for name in _local_models(config, environment)
        if find_weights(name, weights_directory(config, name)) is None
    )


def _local_models(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the configured models that run on this machine.

    Raises:
        ConfigError: there are some, and the engine that runs them is not installed.
    """
    names = [choose_model(config, environment).name]
    providers = known_providers(config)
    named = [table.name for table in config.models.values() if table.name is not None]
    names.extend(parse_name(name, providers) for name in (*named, *fallback_names(config)))
    local = tuple(dict.fromkeys(str(name) for name in names if name.provider == LOCAL))
    if local and importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            f"the model {local[0]} runs on this machine, and its engine is not installed: "
            f"{install_command('local')}; "
            "or name another model with --model, or set a provider's key, e.g. OPENAI_API_KEY"
        )
    return local
