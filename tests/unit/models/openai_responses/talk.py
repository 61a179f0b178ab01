"""A model of the Responses API, and reasoning as the API gives it."""

import random
from typing import Any

import msgspec

from nanobot.core.message import Message, ProviderState, Thinking, ToolCall, ToolResult
from nanobot.core.tool import tool_spec
from nanobot.models.openai_responses.responses import OpenAIResponses
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock

KEY = "sk-proj-secret"
LOOK = tool_spec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})


def model_at(url: str, clock: PausedClock, **options: Any) -> OpenAIResponses:
    settings: dict[str, Any] = {"model": "gpt-5", "api_key": KEY, **options}
    return OpenAIResponses(
        RemoteSettings(
            name=f"openai:{settings['model']}",
            base_url=url,
            context_tokens=400_000,
            **settings,
        ),
        clock=clock,
        random=random.Random(1),
    )


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
