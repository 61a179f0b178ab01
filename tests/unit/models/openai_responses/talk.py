"""What the tests of the Responses API share: a model, and how it is asked."""

import random
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta
from nanobot.core.message import Message, ProviderState, Text, Thinking, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.models.openai_responses.responses import OpenAIResponses
from tests.clock import PausedClock
from tests.upstream import Upstream

KEY = "sk-proj-secret"
HELLO = ModelRequest("Be brief.", (user("hi"),))
LOOK = tool_spec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})


def model_at(url: str, clock: PausedClock, **options: Any) -> OpenAIResponses:
    settings: dict[str, Any] = {"model": "gpt-5", "api_key": KEY, **options}
    return OpenAIResponses(
        name=f"openai:{settings['model']}",
        base_url=url,
        context_tokens=400_000,
        clock=clock,
        random=random.Random(1),
        **settings,
    )


async def heard(model: OpenAIResponses, request: ModelRequest = HELLO) -> tuple[list[Delta], Message]:
    """Return the deltas and the message of one answer; both say the same."""
    *items, message = [item async for item in model.stream(request)]
    assert isinstance(message, Message)
    deltas = [item for item in items if not isinstance(item, Message)]
    shown = [part.text for part in message.parts if isinstance(part, Text | Thinking)]
    assert "".join(delta.text for delta in deltas) == "".join(shown)
    return deltas, message


async def failure(model: OpenAIResponses, request: ModelRequest = HELLO) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value


async def body_of(upstream: Upstream, model: OpenAIResponses, request: ModelRequest) -> dict[str, Any]:
    await heard(model, request)
    body: dict[str, Any] = upstream.requests[-1].json
    return body


def state(name: str, value: object, *, provider: str = "openai") -> ProviderState:
    return ProviderState(provider, name, msgspec.Raw(msgspec.json.encode(value)))


def reasoning(id_: str, encrypted: str = "gAAA", *, text: str = "", provider: str = "openai") -> Thinking:
    """Return reasoning as it is kept."""
    item = {"id": id_, "type": "reasoning", "summary": [], "encrypted_content": encrypted}
    return Thinking(text, state("reasoning_item", item, provider=provider))


def looked(id_: str) -> tuple[Message, Message]:
    """Return a step with reasoning and a call, and its result."""
    call = ToolCall(f"call_{id_}", "look", "{}")
    return (
        Message("assistant", (reasoning(f"rs_{id_}", f"gAAA{id_}"), call), "tool_calls"),
        Message("tool", (ToolResult(call.id, "x"),)),
    )
