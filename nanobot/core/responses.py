"""Responses: turns as OpenAI's newer API names them."""

from typing import Protocol

import msgspec

from nanobot.core.message import Message
from nanobot.core.turn import TurnState


class Response(msgspec.Struct, frozen=True):
    """A turn that came as a response: its state, its input, and the part of its request that the client gets
    to see again.
    """

    state: TurnState
    input: tuple[Message, ...]
    echo: msgspec.Raw


class Responses(Protocol):
    """What is kept of turns that came as responses."""

    async def response(self, turn_id: str) -> Response:
        """Return the response that the turn came as.

        Raises:
            ResponseNotFound: it came as none, or cannot be retrieved.
        """
        ...

    async def forget_response(self, turn_id: str) -> None:
        """Let the response not be retrieved any more; the transcript stays as it is."""
        ...

    async def conversation_of(self, digest: bytes) -> str | None:
        """Return the key of the session in which a response with this digest (`Identity`) runs, or ended a
        short time ago without being delivered whole.
        """
        ...
