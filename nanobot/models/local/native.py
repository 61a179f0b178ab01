"""Answers of weights that call tools by themselves, in the form that their own template gives requests.

From some four billion parameters on, models need neither examples nor a question beforehand.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from nanobot.core.event import Delta
from nanobot.core.message import Message, Usage
from nanobot.core.model import ModelRequest
from nanobot.models.local.engine_chat import EngineChat, Prompt, limited
from nanobot.models.local.salt import salt_of, salted_system, without_luck

_TEMPERATURE = 0.7
NATIVE = "native"
"""The kind of these prompts."""


class Native:
    """Answers any request. `shared_system`: what the system prompt of most requests begins with."""

    def __init__(self, chat: EngineChat, shared_system: str) -> None:
        self._chat = chat
        self._shared_system = shared_system
        self.opening_tokens = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield the answer, or a message that calls tools, in the form of `core.model.Model`.

        The date is not said: the model asks `current_time`, and the prompt stays in the engine's cache.

        Raises:
            ModelError: the engine cannot run here, or failed.
        """
        system = salted_system(request.system, self._shared_system, salt_of(request.session_hint))
        sampling = limited(request.sampling, temperature=_TEMPERATURE)
        asked = msgspec.structs.replace(request, system=system, notes="", sampling=sampling)
        shared = self.opening_tokens if request.system.startswith(self._shared_system) else 0
        async with aclosing(self._chat.ask(Prompt(NATIVE, asked))) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    usage = without_luck(piece.usage or Usage(), shared)
                    yield msgspec.structs.replace(piece, usage=usage, model=self._chat.name)
                else:
                    yield piece
