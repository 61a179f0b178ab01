"""A model of the Gemini API, and state as the API attaches it."""

import random
from typing import Any

import msgspec

from nanobot.core.message import ProviderState
from nanobot.core.tool import tool_spec
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock
from tests.upstream import Upstream

KEY = "AIza-secret-key"
LOOK = tool_spec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})


def model_at(upstream: Upstream, clock: PausedClock, **options: Any) -> GeminiContent:
    settings: dict[str, Any] = {
        "model": "gemini-3-flash",
        "api_key": KEY,
        "base_url": upstream.url.removesuffix("/v1"),
        **options,
    }
    return GeminiContent(
        RemoteSettings(
            name=f"gemini:{settings['model']}",
            context_tokens=1_000_000,
            **settings,
        ),
        clock=clock,
        random=random.Random(1),
    )


def state(value: str, *, name: str = "thoughtSignature", provider: str = "gemini") -> ProviderState:
    return ProviderState(provider, name, msgspec.Raw(msgspec.json.encode(value)))
