"""Whom the chat talks to: the engine in this process. (`chat_remote` is the other one, a running server.)"""

import hashlib
from collections.abc import AsyncIterator
from typing import Protocol

from nanobot.app import App
from nanobot.core.event import Event, MessageAdded, TextDelta, TurnEnded
from nanobot.core.ids import new_id
from nanobot.core.message import joint, user
from nanobot.core.sessions import Session
from nanobot.core.turn import Identity, Turn


class Link(Protocol):
    """A way to the agent. One turn at a time."""

    def ask(self, session_key: str, text: str) -> AsyncIterator[Event]:
        """Submit a turn and yield what happens in it, `TurnEnded` last; texts of several steps come with what
        joins them.

        Raises:
            NanobotError: the turn was not taken, or cannot be followed any more.
        """
        ...

    async def cancel(self) -> None:
        """Ask the turn that is under way to stop; nothing where there is none."""
        ...

    async def sessions(self, limit: int) -> tuple[Session, ...] | None:
        """Return conversations, most recently used first; None where they cannot be listed from here."""
        ...


class InProcess:
    """The engine of this process."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._turn_id: str | None = None

    async def ask(self, session_key: str, text: str) -> AsyncIterator[Event]:
        app = self._app
        turn = Turn(new_id("turn", app.clock.now(), app.randomness), session_key, (user(text),), "cli")
        digest = hashlib.blake2b(turn.id.encode(), digest_size=32).digest()
        await app.store.admit(turn, Identity(digest))
        self._turn_id = turn.id
        joins = ""
        async for batch in app.store.follow(turn.id):
            for _, event in batch:
                if isinstance(event, TextDelta) and joins:
                    event, joins = TextDelta(joins + event.text), ""
                elif (
                    isinstance(event, MessageAdded)
                    and event.message.role == "assistant"
                    and event.message.text
                ):
                    joins = joint(event.message)
                elif isinstance(event, TurnEnded):
                    self._turn_id = None
                yield event

    async def cancel(self) -> None:
        if self._turn_id is not None:
            await self._app.store.cancel(self._turn_id, "cancelled by the user")

    async def sessions(self, limit: int) -> tuple[Session, ...]:
        return await self._app.store.sessions(limit=limit)
