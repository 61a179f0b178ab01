"""The background pass that looks for facts in ended turns, as the settings say."""

from collections.abc import Callable

from nanobot.agent.loop import Agent
from nanobot.agent.toolset import Toolset
from nanobot.app.models import Models, is_small
from nanobot.app.places import in_tables
from nanobot.app.resources import AppResources
from nanobot.config import Config
from nanobot.core.errors import ConfigError
from nanobot.core.persona import Personas
from nanobot.core.policy import Policy
from nanobot.engine.extractor import ExtractionSettings, Extractor
from nanobot.submit.request import preset_of
from nanobot.tools.memory import REMEMBER, new_fact_id


def _settings(config: Config, models: Models) -> ExtractionSettings:
    table = config.memory
    preset = preset_of(table.background_model or "")
    with in_tables("memory"):
        if preset not in models.names:
            raise ConfigError(
                f"memory.background_model: there is no preset {preset!r}: add [models.{preset}], or name one"
                f" of {', '.join(sorted(models.names)) or 'none'}"
            )
        if is_small(models.get(preset)):
            raise ConfigError(
                f"memory.background_model: {preset!r} is the small model of this machine, which finds facts"
                " where there are none: name a preset of a larger one"
            )
    return ExtractionSettings(preset, table.background_idle_s, table.background_tokens_per_day)


def _may_remember(toolset: Toolset, personas: Personas, policy: Policy) -> Callable[[str], bool]:
    """Return a function that says of a session whether the model may note down facts there: what it may not
    do in a turn is not done behind it either.
    """
    tool = next(tool for tool in toolset.tools if tool.name == REMEMBER)

    def may(session_key: str) -> bool:
        persona = personas.of(session_key)
        if not persona.remembers or (persona.tools is not None and REMEMBER not in persona.tools):
            return False
        return policy.of(session_key, "api").ruling(tool).decision == "allow"

    return may


def make_extractor(resources: AppResources, agent: Agent, toolset: Toolset, policy: Policy) -> Extractor:
    """Return what reads ended turns for facts, with the model that the settings name.

    Raises:
        ConfigError: there is no such preset, or it is the small model of this machine.
    """
    clock, randomness = resources.clock, resources.randomness
    return Extractor(
        resources.store,
        agent,
        resources.models,
        clock,
        _settings(resources.config, resources.models),
        fact_id=lambda: new_fact_id(clock.now(), randomness),
        remembers=_may_remember(toolset, resources.personas, policy),
    )
