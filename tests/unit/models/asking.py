"""Asking a model whose provider is scripted, whatever its wire format."""

from typing import Any

import pytest

from nanobot.core.errors import ModelError
from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.message import Message, Text, Thinking, user
from nanobot.core.model import Model, ModelRequest
from tests.upstream import Upstream

HELLO = ModelRequest("Be brief.", (user("hi"),))


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
    """Return the error that the answer fails with."""
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value


async def body_of(upstream: Upstream, model: Model, request: ModelRequest) -> dict[str, Any]:
    """Return the body of the request that the provider got."""
    await heard(model, request)
    body: dict[str, Any] = upstream.requests[-1].json
    return body
