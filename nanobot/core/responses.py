"""Responses and conversations: turns and sessions as OpenAI's newer API names them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from nanobot.core.message import Message
from nanobot.core.sessions import Direction
from nanobot.core.turn import TurnState


class Response(msgspec.Struct, frozen=True):
    """A turn that came as a response: how it stands, what it was given, and what its client gets to see of
    its own request.
    """

    state: TurnState
    input: tuple[Message, ...]
    echo: msgspec.Raw


class Conversation(msgspec.Struct, frozen=True):
    """A session under another name; `metadata` is what clients noted beside it."""

    key: str
    created_at: float
    metadata: dict[str, str]


class ItemRef(msgspec.Struct, frozen=True):
    """A message of a session by a name that lasts: its number within its turn, input first, from 0; without a
    turn its `seq`.
    """

    turn_id: str | None
    number: int


class Item(msgspec.Struct, frozen=True):
    """A message of a conversation. `is_input`: a client sent it."""

    seq: int
    ref: ItemRef
    message: Message
    is_input: bool


class Responses(Protocol):
    """What is kept of turns that came as responses, and of sessions that are conversations."""

    async def response(self, turn_id: str) -> Response:
        """Return the turn with what was kept of it as a response.

        Raises:
            ResponseNotFound: it came as none, or is not to be found again.
        """
        ...

    async def forget_response(self, turn_id: str) -> None:
        """Let the response be found no more; the transcript stays as it is."""
        ...

    async def is_detached(self, turn_id: str) -> bool:
        """Return whether the turn runs to its end though nobody follows it."""
        ...

    async def conversation_of(self, digest: bytes) -> str | None:
        """Return the session in which a response with this digest (`Identity`) runs, or ended a short time
        ago.
        """
        ...

    async def session_of(self, turn_id: str) -> str:
        """Return the key of the turn's session.

        Raises:
            TurnNotFound
        """
        ...

    async def conversation(self, session_key: str) -> Conversation:
        """Return the session as a conversation.

        Raises:
            ConversationNotFound
        """
        ...

    async def create_conversation(
        self, session_key: str, messages: Sequence[Message], metadata: Mapping[str, str]
    ) -> Conversation:
        """Make a session whose transcript is `messages`.

        Raises:
            ConversationExists
        """
        ...

    async def note_conversation(self, session_key: str, metadata: Mapping[str, str]) -> Conversation:
        """Replace what is noted beside the conversation.

        Raises:
            ConversationNotFound
        """
        ...

    async def add_items(self, session_key: str, messages: Sequence[Message]) -> tuple[Item, ...]:
        """Add `messages` at the end of the transcript.

        Raises:
            ConversationNotFound
            SessionBusy: a turn of the session runs or waits.
        """
        ...

    async def items(
        self, session_key: str, *, limit: int, past: int = 0, order: Direction = "asc"
    ) -> tuple[Item, ...]:
        """Return messages of the live transcript past the one with the `seq` `past`, in that order (`desc`: 0
        is past the newest).

        A running turn that leaves no trace is not shown.

        Raises: ConversationNotFound
        """
        ...

    async def item(self, session_key: str, ref: ItemRef) -> Item:
        """Return one message of the live transcript.

        Raises:
            ConversationNotFound, ItemNotFound
        """
        ...
