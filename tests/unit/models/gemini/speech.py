"""What the tests of the Gemini API share: a model, and how it is asked."""

import random
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta
from nanobot.core.message import Message, ProviderState, Text, Thinking, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.models.gemini.generate import GeminiContent
from tests.clock import PausedClock
from tests.upstream import Upstream

KEY = "AIza-secret-key"
HELLO = ModelRequest("Be brief.", (user("hi"),))
LOOK = tool_spec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})


def model_at(upstream: Upstream, clock: PausedClock, **options: Any) -> GeminiContent:
    settings: dict[str, Any] = {
        "model": "gemini-3-flash",
        "api_key": KEY,
        "base_url": upstream.url.removesuffix("/v1"),
        **options,
    }
    return GeminiContent(
        name=f"gemini:{settings['model']}",
        context_tokens=1_000_000,
        clock=clock,
        random=random.Random(1),
        **settings,
    )


async def heard(model: GeminiContent, request: ModelRequest = HELLO) -> tuple[list[Delta], Message]:
    """Return the deltas and the message of one answer; both say the same."""
    *items, message = [item async for item in model.stream(request)]
    assert isinstance(message, Message)
    deltas = [item for item in items if not isinstance(item, Message)]
    shown = [part.text for part in message.parts if isinstance(part, Text | Thinking)]
    assert "".join(delta.text for delta in deltas) == "".join(shown)
    return deltas, message


async def failure(model: GeminiContent, request: ModelRequest = HELLO) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value


def state(value: str, *, name: str = "thoughtSignature", provider: str = "gemini") -> ProviderState:
    return ProviderState(provider, name, msgspec.Raw(msgspec.json.encode(value)))


async def body_of(upstream: Upstream, model: GeminiContent, request: ModelRequest) -> dict[str, Any]:
    await heard(model, request)
    body: dict[str, Any] = upstream.requests[-1].json
    return body
