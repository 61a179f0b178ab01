"""The part of the store that responses and conversations ask."""

from collections.abc import Mapping, Sequence
from functools import partial

from nanobot.core.clock import Clock
from nanobot.core.message import Message
from nanobot.core.responses import Conversation, Item, ItemRef, Response
from nanobot.core.sessions import Direction
from nanobot.core.store import Limits
from nanobot.stores.sql import responses
from nanobot.stores.sqlite.reader import Reader
from nanobot.stores.sqlite.writer import Writer


class SqliteResponses:
    """What `core.store.Store` promises of responses and conversations, on the writer and the reader of
    `SqliteStore`.
    """

    _clock: Clock
    _limits: Limits
    _reader: Reader
    _writer: Writer

    async def response(self, turn_id: str) -> Response:
        return await self._reader.ask(partial(responses.find, turn_id=turn_id))

    async def forget_response(self, turn_id: str) -> None:
        await self._writer.do(partial(responses.forget, turn_id=turn_id))

    async def is_detached(self, turn_id: str) -> bool:
        return await self._reader.ask(partial(responses.is_detached, turn_id=turn_id))

    async def conversation_of(self, digest: bytes) -> str | None:
        since = self._clock.now() - self._limits.retry_window_s
        return await self._reader.ask(partial(responses.conversation_of, digest=digest, since=since))

    async def conversation(self, session_key: str) -> Conversation:
        return await self._reader.ask(partial(responses.conversation, key=session_key))

    async def create_conversation(
        self, session_key: str, messages: Sequence[Message], metadata: Mapping[str, str]
    ) -> Conversation:
        job = partial(
            responses.create, key=session_key, messages=messages, metadata=metadata, now=self._clock.now()
        )
        return await self._writer.do(job)

    async def note_conversation(self, session_key: str, metadata: Mapping[str, str]) -> Conversation:
        return await self._writer.do(partial(responses.note, key=session_key, metadata=metadata))

    async def add_items(self, session_key: str, messages: Sequence[Message]) -> tuple[Item, ...]:
        return await self._writer.do(
            partial(responses.add, key=session_key, messages=messages, now=self._clock.now())
        )

    async def items(
        self, session_key: str, *, limit: int, past: int = 0, order: Direction = "asc"
    ) -> tuple[Item, ...]:
        return await self._reader.ask(
            partial(responses.items, key=session_key, limit=limit, past=past, order=order)
        )

    async def item(self, session_key: str, ref: ItemRef) -> Item:
        return await self._reader.ask(partial(responses.item, key=session_key, ref=ref))

    async def session_of(self, turn_id: str) -> str:
        return await self._reader.ask(partial(responses.session_of, turn_id=turn_id))
