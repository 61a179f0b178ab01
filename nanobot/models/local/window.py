"""The engine's context window, shared by all requests that are answered at once.

The engine has one pool of tokens for all of its slots, and fails every running answer when the pool is full.
So a request waits here until it is sure to fit.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nanobot.core.message import Text, ToolCall, ToolResult
from nanobot.core.model import ModelRequest

_TOKENS_PER_MESSAGE = 8


class Window:
    """A pool of `tokens`, reserved in the order of the requests."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._free = tokens
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def reserved(self) -> int:
        """How many tokens running requests hold."""
        return self._tokens - self._free

    @asynccontextmanager
    async def reserve(self, tokens: int) -> AsyncIterator[None]:
        """Hold `tokens` of the pool, at most all of it, once earlier requests have theirs."""
        wanted = min(tokens, self._tokens)
        if self._waiting or wanted > self._free:
            turn = asyncio.get_running_loop().create_future()
            entry = (wanted, turn)
            self._waiting.append(entry)
            try:
                await turn
            except asyncio.CancelledError:
                # The tokens were reserved in the same moment.
                if turn.done() and not turn.cancelled():
                    self._release(wanted)
                else:
                    # The next in the line may need less.
                    self._waiting.remove(entry)
                    self._admit()
                raise
        else:
            self._free -= wanted
        try:
            yield
        finally:
            self._release(wanted)

    def _release(self, tokens: int) -> None:
        self._free += tokens
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            self._free -= wanted
            turn.set_result(None)


def estimate_tokens(request: ModelRequest) -> int:
    """Return how many tokens the prompt of `request` has at most, estimated without the tokenizer."""
    texts = [request.system, request.notes]
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text(text=text) | ToolResult(content=text) | ToolCall(arguments=text):
                    texts.append(text)
    return sum(map(_tokens, texts)) + _TOKENS_PER_MESSAGE * (len(request.messages) + 2)


def _tokens(text: str) -> int:
    # Qwen's tokenizer makes a token of each digit, and up to one and a half of a letter of another script.
    words = sum(character.isascii() and not character.isdigit() for character in text)
    return words * 2 // 5 + (len(text) - words) * 3 // 2
