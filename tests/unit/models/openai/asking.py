"""Asking an OpenAI-compatible model whose provider is scripted."""

import random
from typing import Any

import pytest

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Text, Thinking, user
from nanobot.core.model import Model, ModelRequest
from nanobot.models.openai.chat import OpenAIChat, Timeouts
from tests.clock import PausedClock

KEY = "sk-test-secret"
HELLO = ModelRequest("Be brief.", (user("hi"),))
SHORT = Timeouts(first_chunk_s=0.5, idle_s=0.3)


def model_at(url: str, clock: PausedClock, **options: Any) -> OpenAIChat:
    settings: dict[str, Any] = {"name": "test:test-model", "api_key": KEY, "timeouts": Timeouts(), **options}
    return OpenAIChat(
        model="test-model",
        base_url=url,
        context_tokens=8192,
        clock=clock,
        random=random.Random(1),
        **settings,
    )


async def heard(model: Model, request: ModelRequest = HELLO) -> tuple[list[Delta], Message]:
    """Return the deltas and the message of one answer, and hold the model to the promise that both say the
    same.
    """
    *deltas, message = [item async for item in model.stream(request)]
    assert isinstance(message, Message)
    said = [delta for delta in deltas if isinstance(delta, TextDelta | ThinkingDelta)]
    assert len(said) == len(deltas)
    assert "".join(delta.text for delta in said) == "".join(
        part.text for part in message.parts if isinstance(part, Text | Thinking)
    )
    return said, message


async def failure(model: Model, request: ModelRequest = HELLO) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value
