"""A model of the Messages API, and state as the API attaches it."""

import random
from typing import Any

import msgspec

from nanobot.core.message import ProviderState
from nanobot.core.tool import tool_spec
from nanobot.models.anthropic.messages import AnthropicMessages
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock

KEY = "sk-ant-secret"
LOOK = tool_spec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})


def model_at(url: str, clock: PausedClock, **options: Any) -> AnthropicMessages:
    settings: dict[str, Any] = {"model": "claude-haiku-5-5", "api_key": KEY, **options}
    return AnthropicMessages(
        RemoteSettings(
            name=f"anthropic:{settings['model']}",
            base_url=url,
            context_tokens=200_000,
            **settings,
        ),
        clock=clock,
        random=random.Random(1),
    )


def state(name: str, value: str) -> ProviderState:
    return ProviderState("anthropic", name, msgspec.Raw(msgspec.json.encode(value)))
