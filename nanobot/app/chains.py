"""Which models stand in for which, as the settings say."""

from collections.abc import Callable, Mapping, Sequence

from nanobot.app.places import in_tables, preset_table
from nanobot.config import Config, ModelTable
from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError
from nanobot.core.model import Model
from nanobot.models.breaker import Breaker
from nanobot.models.fallback import MOST_MODELS, ChainLink, FallbackModel
from nanobot.submit.request import preset_of


def fallback_names(config: Config) -> tuple[str, ...]:
    """Return the models, as `provider:model`, that stand in for others without being presets themselves."""
    tables = (config.model, *config.models.values())
    named = (name for table in tables for name in table.fallback if preset_of(name) not in config.models)
    return tuple(dict.fromkeys(named))


class Chains:
    """Puts models together to chains. `presets` are made already, `make` makes what is named otherwise; each
    model is made once, and chains that have it in common share what they learn of it.
    """

    def __init__(self, presets: Mapping[str, Model], make: Callable[[str], Model], clock: Clock) -> None:
        self._presets = presets
        self._make = make
        self._clock = clock
        self._links: dict[str, ChainLink] = {}

    def chain(self, model: Model, table: ModelTable, own_name: str | None) -> Model:
        """Return the model with those that stand in for it; itself where there are none. `own_name`: that of
        its preset, None for the default model.

        Raises:
            ConfigError: one of them cannot be made, is named twice, or there are too many.
        """
        if not table.fallback:
            return model
        where = "model.fallback" if own_name is None else f"[models.{own_name}] fallback"
        with in_tables(preset_table(own_name)):
            _check(table.fallback, own_name, where)
            first = self._link(f"nanobot:{own_name}" if own_name is not None else "", model)
            others = tuple(self._named(name, where) for name in table.fallback)
        return FallbackModel((first, *others), self._clock, budget_s=table.fallback_budget_s)

    def _named(self, name: str, where: str) -> ChainLink:
        preset = preset_of(name)
        if preset in self._presets:
            return self._link(f"nanobot:{preset}", self._presets[preset])
        known = self._links.get(name)
        if known is not None:
            return known
        try:
            return self._link(name, self._make(name))
        except ConfigError as error:
            raise ConfigError(f"{where}: {name!r} is no preset, and as a model: {error.message}") from error

    def _link(self, key: str, model: Model) -> ChainLink:
        return self._links.setdefault(key, ChainLink(model, Breaker(self._clock)))


def _check(names: Sequence[str], own_name: str | None, where: str) -> None:
    presets = [preset_of(name) for name in names]
    if len(names) >= MOST_MODELS:
        raise ConfigError(f"{where} names {len(names)} models: at most {MOST_MODELS - 1} are allowed")
    if own_name in presets:
        raise ConfigError(f"{where} names the preset itself: name other models")
    if twice := next((name for name in presets if presets.count(name) > 1), None):
        raise ConfigError(f"{where} names {twice!r} twice: each model is asked once")
