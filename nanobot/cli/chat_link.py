"""What the chat talks to: the agent in this process. (`chat_remote` is the other one, a running server.)"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from nanobot.access.caller import EVERYBODY
from nanobot.api.approvals import check_rule
from nanobot.api.wire.content import file_part, image_part
from nanobot.api.written_files import WrittenFiles
from nanobot.app import App
from nanobot.cli.chat_files import MOST_WRITTEN, Attachment, SavableFile
from nanobot.core.approvals import ApprovalAnswer
from nanobot.core.errors import InvalidRequest, SessionNotFound
from nanobot.core.event import Event, MessageAdded, TextDelta, TurnEnded
from nanobot.core.message import AskedCall, Message, Part, Text, joint
from nanobot.core.sessions import Session
from nanobot.core.tool_question import Content, decided
from nanobot.core.turn import Admission, Identity, TurnState
from nanobot.core.workspace import FILE_ID_PREFIX
from nanobot.submit.request import TurnRequest


class LatestTurn(msgspec.Struct, frozen=True):
    """The turn that a conversation ends with; `asked`: what its user said."""

    id: str
    asked: str


MOST_LATEST = 100
"""How many messages from the end of a conversation are looked through for what the newest turn was asked."""


def latest_of(newest_first: Sequence[tuple[str | None, str, str]]) -> LatestTurn | None:
    """Return the turn that the last messages of a conversation end with; of each message, the id of its turn,
    its role and its text.
    """
    turn_id = newest_first[0][0] if newest_first else None
    if turn_id is None:
        return None
    asked = [text for of_turn, role, text in newest_first if of_turn == turn_id and role == "user"]
    return LatestTurn(turn_id, "\n".join(reversed(asked)))


class Link(Protocol):
    """A way to the agent. One turn at a time."""

    @property
    def trouble(self) -> str:
        """Why nothing comes of the turn for the moment; empty where nothing is wrong."""
        ...

    def ask(self, session_key: str, text: str, files: Sequence[Attachment] = ()) -> AsyncIterator[Event]:
        """Submit a turn, with files that go along, and yield what happens in it, `TurnEnded` last; texts of
        several steps come with what joins them.

        Raises:
            NanobotError: the turn was not taken, or cannot be followed any more.
        """
        ...

    async def latest(self, session_key: str) -> "LatestTurn | None":
        """Return the newest turn of the conversation, None where there is none, or it may not be read.

        Raises:
            NanobotError: nobody can tell.
        """
        ...

    def take_up(self, turn_id: str) -> AsyncIterator[Event]:
        """Yield what has happened in the turn so far, and what happens until it ends, as `ask` does."""
        ...

    async def cancel(self) -> None:
        """Ask the turn that is under way to stop; nothing where there is none."""
        ...

    async def decide(
        self,
        asked: AskedCall,
        decision: ApprovalAnswer,
        *,
        pattern: str | None = None,
        content: Content | None = None,
    ) -> None:
        """Decide on what is asked: a `rule` for the conversations of `pattern`; `content` where a tool asks
        something. The call goes on with the next message.

        Raises:
            NanobotError: it cannot be decided so, or not any more.
        """
        ...

    async def sessions(self, limit: int) -> tuple[Session, ...]:
        """Return conversations, most recently used first.

        Raises:
            NanobotError: they cannot be listed.
        """
        ...

    async def files(self, session_key: str) -> tuple[SavableFile, ...]:
        """Return what the agent has written in the conversation, at most `MOST_WRITTEN`, the newest first.

        Raises:
            NanobotError: it cannot be listed.
        """
        ...

    async def written(self, session_key: str, path: str) -> bytes:
        """Return what is in such a file.

        Raises:
            NanobotError: there is none, or it cannot be had.
        """
        ...


class InProcess:
    """The agent of this process."""

    trouble = ""

    def __init__(self, app: App) -> None:
        self._app = app
        self._written = WrittenFiles(app.resources.workspaces)
        self._turn_id: str | None = None

    async def ask(
        self, session_key: str, text: str, files: Sequence[Attachment] = ()
    ) -> AsyncIterator[Event]:
        parts = tuple(_part(file.part(), file.name) for file in files)
        request = TurnRequest(
            session_key=session_key,
            input=(Message("user", (*parts, Text(text))),),
            origin="cli",
            # Nothing here is sent again: each request has an identity of its own.
            identity=Identity(self._app.randomness.getrandbits(256).to_bytes(32)),
        )
        admission = (await self._app.submitter.submit(request, EVERYBODY)).admission
        async for event in self._follow(admission):
            yield event

    async def latest(self, session_key: str) -> LatestTurn | None:
        try:
            rows = await self._app.store.messages(session_key, limit=MOST_LATEST, order="desc")
        except SessionNotFound:
            return None
        return latest_of([(row.turn_id, row.message.role, row.message.text) for row in rows])

    async def take_up(self, turn_id: str) -> AsyncIterator[Event]:
        async for event in self._follow(await self._app.store.turn(turn_id)):
            yield event

    async def _follow(self, turn: Admission | TurnState) -> AsyncIterator[Event]:
        self._turn_id = turn.turn_id if isinstance(turn, Admission) else turn.id
        joins = ""
        with self._app.submitter.follow(turn) as follower:
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

    async def decide(
        self,
        asked: AskedCall,
        decision: ApprovalAnswer,
        *,
        pattern: str | None = None,
        content: Content | None = None,
    ) -> None:
        store = self._app.store
        if decision == "rule":
            check_rule(EVERYBODY, await store.approval(asked.id), pattern)
        try:
            answer = decided(asked.question, decision, content)
        except ValueError as error:
            raise InvalidRequest(str(error), param="content") from error
        await store.decide_approval(asked.id, decision, by="cli", pattern=pattern, content=answer)

    async def sessions(self, limit: int) -> tuple[Session, ...]:
        return await self._app.store.sessions(limit=limit)

    async def files(self, session_key: str) -> tuple[SavableFile, ...]:
        shown, _ = await self._written.page(session_key, limit=MOST_WRITTEN, after=None, order="desc")
        return tuple(SavableFile(file.filename, file.bytes) for file in shown)

    async def written(self, session_key: str, path: str) -> bytes:
        _, content = await self._written.open(session_key, f"{FILE_ID_PREFIX}{path}")
        return content


def _part(part: Mapping[str, Any], path: str) -> Part:
    """Return a part of a message as OpenAI writes it as the core has it."""
    if part["type"] == "image_url":
        return image_part(part["image_url"]["url"], None, path)
    return file_part(part["file"]["file_data"], part["file"]["filename"], None, path)


def _is_text_of_a_step(message: Message) -> bool:
    return message.role == "assistant" and bool(message.text)
