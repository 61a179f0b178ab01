"""The room in the engine's memory of conversations, shared by all that are answered at once.

The engine has one pool for all slots and fails every running answer when it is full. So a request waits here
until it surely fits.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nanobot.core.message import Text, ToolCall, ToolResult
from nanobot.core.model import ModelRequest

_TOKENS_PER_MESSAGE = 8


class Window:
    """A pool of `tokens`, given out in the order in which it is asked for."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._free = tokens
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def room(self, tokens: int) -> AsyncIterator[None]:
        """Hold `tokens` of the pool, all of it at most, as soon as those who asked before have theirs."""
        wanted = min(tokens, self._tokens)
        if self._waiting or wanted > self._free:
            turn = asyncio.get_running_loop().create_future()
            entry = (wanted, turn)
            self._waiting.append(entry)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(wanted)
                else:
                    self._waiting.remove(entry)
                    self._admit()
                raise
        else:
            self._free -= wanted
        try:
            yield
        finally:
            self._give_back(wanted)

    def _give_back(self, tokens: int) -> None:
        self._free += tokens
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            self._free -= wanted
            turn.set_result(None)


def estimate_tokens(request: ModelRequest) -> int:
    """Return how many tokens the prompt of `request` has at most, as far as can be said without the
    tokenizer.
    """
    texts = [request.system, request.notes]
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text(text=text) | ToolResult(content=text) | ToolCall(arguments=text):
                    texts.append(text)
    return sum(map(_tokens, texts)) + _TOKENS_PER_MESSAGE * (len(request.messages) + 2)


def _tokens(text: str) -> int:
    # Qwen's tokenizer gives each digit a token of its own, and up to one and a half to a letter of other
    # scripts.
    words = sum(character.isascii() and not character.isdigit() for character in text)
    return words * 2 // 5 + (len(text) - words) * 3 // 2
