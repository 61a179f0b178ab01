"""An OpenAI-compatible model whose provider is scripted."""

import random
from typing import Any

from nanobot.models.http import Timeouts
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock

KEY = "sk-test-secret"
SHORT = Timeouts(first_chunk_s=0.5, idle_s=0.3)


def model_at(url: str, clock: PausedClock, **options: Any) -> OpenAIChat:
    settings: dict[str, Any] = {"name": "test:test-model", "api_key": KEY, "timeouts": Timeouts(), **options}
    return OpenAIChat(
        RemoteSettings(
            model="test-model",
            base_url=url,
            context_tokens=8192,
            **settings,
        ),
        clock=clock,
        random=random.Random(1),
    )
