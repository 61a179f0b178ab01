"""What the tests of the Messages API share: a model, and how it is asked."""

import random
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta
from nanobot.core.message import Message, ProviderState, Text, Thinking, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.models.anthropic.messages import AnthropicMessages
from tests.clock import PausedClock
from tests.upstream import Upstream

KEY = "sk-ant-secret"
HELLO = ModelRequest("Be brief.", (user("hi"),))
LOOK = tool_spec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})


def model_at(url: str, clock: PausedClock, **options: Any) -> AnthropicMessages:
    settings: dict[str, Any] = {"model": "claude-haiku-5-5", "api_key": KEY, **options}
    return AnthropicMessages(
        name=f"anthropic:{settings['model']}",
        base_url=url,
        context_tokens=200_000,
        clock=clock,
        random=random.Random(1),
        **settings,
    )


async def heard(model: AnthropicMessages, request: ModelRequest = HELLO) -> tuple[list[Delta], Message]:
    """Return the deltas and the message of one answer; both say the same."""
    *items, message = [item async for item in model.stream(request)]
    assert isinstance(message, Message)
    deltas = [item for item in items if not isinstance(item, Message)]
    shown = [part.text for part in message.parts if isinstance(part, Text | Thinking)]
    assert "".join(delta.text for delta in deltas) == "".join(shown)
    return deltas, message


async def failure(model: AnthropicMessages, request: ModelRequest = HELLO) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value


def state(name: str, value: str) -> ProviderState:
    return ProviderState("anthropic", name, msgspec.Raw(msgspec.json.encode(value)))


async def body_of(upstream: Upstream, model: AnthropicMessages, request: ModelRequest) -> dict[str, Any]:
    await heard(model, request)
    body: dict[str, Any] = upstream.requests[-1].json
    return body
