"""What the chat talks to: the agent in this process. (`chat_remote` is the other one, a running server.)"""

from collections.abc import AsyncIterator
from typing import Protocol

from nanobot.access.caller import EVERYBODY
from nanobot.app import App
from nanobot.core.event import Event, MessageAdded, TextDelta, TurnEnded
from nanobot.core.message import Message, joint, user
from nanobot.core.sessions import Session
from nanobot.core.turn import Identity
from nanobot.submit.request import TurnRequest


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

    async def sessions(self, limit: int) -> tuple[Session, ...]:
        """Return conversations, most recently used first.

        Raises:
            NanobotError: they cannot be listed.
        """
        ...


class InProcess:
    """The agent of this process."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._turn_id: str | None = None

    async def ask(self, session_key: str, text: str) -> AsyncIterator[Event]:
        submitter = self._app.submitter
        request = TurnRequest(
            session_key=session_key,
            input=(user(text),),
            origin="cli",
            # Nothing here is sent again: each request has an identity of its own.
            identity=Identity(self._app.randomness.getrandbits(256).to_bytes(32)),
        )
        admission = (await submitter.submit(request, EVERYBODY)).admission
        self._turn_id = admission.turn_id
        joins = ""
        with submitter.follow(admission) as follower:
            async for batch in follower.events():
                for _, event in batch:
                    if isinstance(event, TextDelta) and joins:
                        event, joins = TextDelta(joins + event.text), ""
                    elif isinstance(event, MessageAdded) and _is_text_of_a_step(event.message):
                        joins = joint(event.message)
                    elif isinstance(event, TurnEnded):
                        self._turn_id = None
                        follower.has_ended = True
                    yield event

    async def cancel(self) -> None:
        if self._turn_id is not None:
            await self._app.store.cancel(self._turn_id, "cancelled by the user")

    async def sessions(self, limit: int) -> tuple[Session, ...]:
        return await self._app.store.sessions(limit=limit)


def _is_text_of_a_step(message: Message) -> bool:
    return message.role == "assistant" and bool(message.text)
