"""Makes the models behind an API from their settings."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nanobot.app.endpoints import check_body, find_access, known_providers
from nanobot.config import Config, EndpointFields, ModelTable
from nanobot.core.clock import Clock
from nanobot.core.model import EVERYTHING, Ability, Model
from nanobot.core.turn import Sampling
from nanobot.models.address import BEARER
from nanobot.models.configured import ConfiguredModel
from nanobot.models.http import ProviderConnection, Timeouts
from nanobot.models.own_cache import OwnCacheModel
from nanobot.models.providers import ModelName, Provider, Wire
from nanobot.models.refusals import ErrorSource
from nanobot.models.remote_settings import RemoteSettings

if TYPE_CHECKING:
    from nanobot.models.anthropic.messages import AnthropicMessages
    from nanobot.models.gemini.generate import GeminiContent
    from nanobot.models.openai.chat import OpenAIChat
    from nanobot.models.openai_responses.responses import OpenAIResponses

_SHORT_PAUSE_S = 2.0
"""The longest pause that a provider may ask for where another model stands in."""


def remote_model(
    name: ModelName, table: ModelTable, config: Config, environment: Mapping[str, str], clock: Clock
) -> Model:
    """Return the model `name` behind its provider's API.

    Raises:
        ConfigError: its key is missing, or a setting cannot be used.
    """
    provider = known_providers(config)[name.provider]
    changed = config.providers.get(name.provider)
    fields = table if changed is None else table.over(changed)
    check_body(name, fields.body)
    access = find_access(
        name, provider, fields, environment, clock, key_setting=_key_setting(name, table, config)
    )
    settings = RemoteSettings(
        name=str(name),
        model=name.model,
        base_url=access.base_url,
        api_key=access.api_key,
        auth=access.auth,
        transport=access.transport,
        extra_body=fields.body,
        context_tokens=fields.context_tokens or provider.context_tokens,
        timeouts=_timeouts(table),
        max_retries=table.max_retries,
        max_answer_chars=table.max_answer_chars,
        abilities=_abilities(fields, provider),
    )
    model: Model = _class_of(access.wire)(
        settings,
        clock=clock,
        random=random.Random(),  # noqa: S311 - jitter and ids of tool calls, no secrets
    )
    if access.tells_window:
        model = _with_told_window(model, settings, clock, most_tokens=fields.context_tokens)
    # Also where a salt keeps caches apart: a server may refuse the field, and is asked without it then.
    return _configured(OwnCacheModel(model), fields)


def _timeouts(table: ModelTable) -> Timeouts:
    return Timeouts(
        connect_s=table.connect_timeout_s,
        first_chunk_s=table.first_byte_timeout_s,
        idle_s=table.idle_timeout_s,
        # Rather than wait for long, another model is asked.
        retry_pause_s=_SHORT_PAUSE_S if table.fallback else Timeouts().retry_pause_s,
    )


def _with_told_window(
    model: Model, settings: RemoteSettings, clock: Clock, *, most_tokens: int | None
) -> Model:
    """Return the model with the window that its server tells."""
    # Few providers do.
    from nanobot.models.ollama import OllamaModel

    source = ErrorSource(settings.name, settings.model, settings.base_url, settings.api_key)
    connection = ProviderConnection(
        source, auth=settings.auth or BEARER, timeouts=settings.timeouts, transport=settings.transport
    )
    return OllamaModel(
        model,
        connection,
        model=settings.model,
        base_url=settings.base_url,
        most_tokens=most_tokens,
        clock=clock,
    )


def _class_of(
    wire: Wire,
) -> type[OpenAIChat] | type[OpenAIResponses] | type[AnthropicMessages] | type[GeminiContent]:
    """Return the class of models that are asked in this wire format."""
    # Most servers use one format; all of them together are a twentieth of what a start loads.
    match wire:
        case "openai":
            from nanobot.models.openai.chat import OpenAIChat

            return OpenAIChat
        case "responses":
            from nanobot.models.openai_responses.responses import OpenAIResponses

            return OpenAIResponses
        case "anthropic":
            from nanobot.models.anthropic.messages import AnthropicMessages

            return AnthropicMessages
        case "gemini":
            from nanobot.models.gemini.generate import GeminiContent

            return GeminiContent


def _key_setting(name: ModelName, table: ModelTable, config: Config) -> str:
    """Return where in the config file the key of the model belongs: where its provider or it has settings."""
    if name.provider in config.providers:
        return f"providers.{name.provider}.api_key"
    if table is config.model:
        return "model.api_key"
    preset = next((preset for preset, each in config.models.items() if each is table), None)
    return f"models.{preset}.api_key" if preset is not None else f"providers.{name.provider}.api_key"


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
