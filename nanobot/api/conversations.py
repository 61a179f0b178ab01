"""/v1/conversations: sessions under OpenAI's name; the id of a conversation is its session key."""

import contextlib
from collections.abc import Iterator
from functools import partial

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller
from nanobot.api.paging import PAGE_BYTES, PAGING, find_message, limit_of, no_item, order_of, page
from nanobot.api.settings import ApiSettings
from nanobot.api.wire.conversations import (
    ConversationBody,
    ConversationDeleted,
    ConversationObject,
    ItemsBody,
    MetadataBody,
    conversation_object,
    parse_create,
    parse_items,
    parse_metadata,
)
from nanobot.api.wire.items import ItemRef, WireItem, items, ref_of
from nanobot.api.wire.lists import Page, encode
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BadSessionKey,
    ConversationExists,
    ConversationNotFound,
    ItemNotFound,
    MissingSessionKey,
    SessionBusy,
    SessionExists,
    SessionNotFound,
    UploadNotFound,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message
from nanobot.core.observer import SESSION
from nanobot.core.session_keys import RESERVED_PREFIX, parse_key
from nanobot.core.sessions import ImportedMessage, Row, Session
from nanobot.core.store import Store
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.session_key import SESSION_KEY, KeyReader
from nanobot.submit.attachments import Attachments


class Conversations:
    """The operations on conversations."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        settings: ApiSettings,
        attachments: Attachments,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._bodies = settings.json_bodies()
        self._bounds = settings.bounds
        self._attachments = attachments
        self._keys = KeyReader(settings.session_headers)

    async def create(self, request: Request, send: Send) -> None:
        """POST /v1/conversations"""
        caller = request.caller
        key = self._keys.named(request.headers, caller) or new_id("conv", self._clock.now(), self._randomness)
        if not caller.sees(key):
            raise MissingSessionKey(
                "this API key is limited to conversations of certain names, and a new one would have "
                "another: name it with the header x-session-key",
                param="x-session-key",
            )
        (messages, metadata), _ = await self._bodies.read(request, partial(parse_create, bounds=self._bounds))
        now = self._clock.now()
        async with self._attachments.keeping(key) as kept:
            whole = await self._attachments.resolve(messages, key, kept=kept)
            imported = [ImportedMessage(message, now, is_input=True) for message in whole]
            try:
                session = await self._store.import_session(key, imported, title=None, metadata=metadata)
            except SessionExists:
                session = await self._existing(key, messages, metadata)
        await answer(send, 200, encode(conversation_object(session)))

    async def _existing(self, key: str, messages: tuple[Message, ...], metadata: dict[str, str]) -> Session:
        """Return the conversation under a key that is in use, which is how clients that always send the same
        key begin; `metadata` replaces its own, where there is any.

        Raises:
            ConversationExists: there are `messages` to begin with, which it may have already.
            ConversationNotFound: it was deleted meanwhile.
        """
        if messages:
            raise ConversationExists(
                f"the conversation {key!r} exists already: add items to it with POST"
                " /v1/conversations/ID/items",
                param="items",
            )
        with _as_conversation(key):
            if not metadata:
                return await self._store.session(key)
            return await self._store.rename_session(key, metadata=metadata)

    async def show(self, request: Request, send: Send) -> None:
        """GET /v1/conversations/{conversation_id}"""
        key = _key(request)
        with _as_conversation(key):
            session = await self._store.session(key)
        await answer(send, 200, encode(conversation_object(session)))

    async def note(self, request: Request, send: Send) -> None:
        """POST /v1/conversations/{conversation_id}: replace its metadata."""
        key = _key(request)
        metadata, _ = await self._bodies.read(request, parse_metadata)
        with _as_conversation(key):
            session = await self._store.rename_session(key, metadata=metadata)
        await answer(send, 200, encode(conversation_object(session)))

    async def delete(self, request: Request, send: Send) -> None:
        """DELETE /v1/conversations/{conversation_id}: with all that was said in it."""
        key = _key(request)
        with _as_conversation(key):
            await self._store.delete_session(key)
        await answer(send, 200, encode(ConversationDeleted(id=key)))

    # Items ----------------------------------------------------------------------------------------

    async def items(self, request: Request, send: Send) -> None:
        """GET /v1/conversations/{conversation_id}/items"""
        key, query = _key(request), request.query()
        limit, order, after = limit_of(query), order_of(query), query.text("after")
        shown: list[WireItem] = []
        past = 0
        if after is not None:
            start = await self._item(key, after, "after")
            ordered = _ordered(start, order)
            # A message may be several items: the page may begin within it.
            shown = ordered[[item.id for item in ordered].index(after) + 1 :]
            past = start.seq
        has_more, left_bytes = True, PAGE_BYTES
        # One more than the limit shows that there is another page. Some messages show nothing.
        while has_more and len(shown) <= limit and (left_bytes > 0 or not shown):
            with _as_conversation(key):
                read = await self._store.message_page(
                    key, limit=limit + 1, max_bytes=left_bytes, after_seq=past, order=order
                )
            shown.extend(item for row in read.rows for item in _ordered(row, order))
            has_more = read.has_more
            left_bytes -= read.size_bytes
            past = read.rows[-1].seq if read.rows else past
        await answer(send, 200, encode(page(shown[:limit], has_more=has_more or len(shown) > limit)))

    async def item(self, request: Request, send: Send) -> None:
        """GET /v1/conversations/{conversation_id}/items/{item_id}"""
        id_: str = request.path_params["item_id"]
        row = await self._item(_key(request), id_)
        await answer(send, 200, encode(next(item for item in _shown(row) if item.id == id_)))

    async def add(self, request: Request, send: Send) -> None:
        """POST /v1/conversations/{conversation_id}/items"""
        key = _key(request)
        sent, _ = await self._bodies.read(request, partial(parse_items, bounds=self._bounds))
        async with self._attachments.keeping(key) as kept:
            messages = await self._attachments.resolve(sent, key, kept=kept)
            with _as_conversation(key):
                added = await self._store.add_messages(key, messages)
        await answer(send, 200, encode(page([item for row in added for item in _shown(row)], has_more=False)))

    async def _item(self, key: str, id_: str, param: str | None = None) -> Row:
        """Return the message that the item is of.

        Raises:
            ConversationNotFound, ItemNotFound
        """
        ref = ref_of(id_)
        with _as_conversation(key):
            if ref is None:
                # A conversation that does not exist is the better answer, where neither exists.
                await self._store.session(key)
                raise no_item(id_, param)
            row = await find_message(self._store, key, ref)
        if row is None or all(item.id != id_ for item in _shown(row)):
            raise no_item(id_, param)
        return row


def _shown(row: Row) -> tuple[WireItem, ...]:
    """Return what the API shows of a message: results of the server's own tools are not shown."""
    if row.message.role == "tool" and not row.is_input:
        return ()
    return items(row.message, ItemRef(row.turn_id, row.number))


def _ordered(row: Row, order: str) -> list[WireItem]:
    shown = list(_shown(row))
    return shown if order == "asc" else shown[::-1]


def _key(request: Request) -> str:
    """Return the session key that the path names.

    Raises:
        BadSessionKey: it is not a valid key.
        ConversationNotFound: the caller may not see it.
    """
    name = request.path_params["conversation_id"]
    # The server's own keys are never a conversation.
    if name.startswith(RESERVED_PREFIX):
        raise _missing(name)
    key = parse_key(name, "conversation_id")
    caller: Caller = request.caller
    if not caller.sees(key):
        raise _missing(key)
    SESSION.set(key)
    return key


@contextlib.contextmanager
def _as_conversation(key: str) -> Iterator[None]:
    """Call a session that does not exist a conversation, as the client does."""
    try:
        yield
    except SessionNotFound:
        raise _missing(key) from None


def _missing(key: str) -> ConversationNotFound:
    return ConversationNotFound(f"no conversation {key!r} here")


def operations(
    store: Store, clock: Clock, randomness: Randomness, settings: ApiSettings, attachments: Attachments
) -> tuple[Operation, ...]:
    """Return the operations on conversations."""
    conversations = Conversations(store, clock, randomness, settings, attachments)
    path = "/v1/conversations/{conversation_id}"
    create = Operation(
        method="POST",
        path="/v1/conversations",
        run=conversations.create,
        summary="Begin a conversation",
        tag="Conversations",
        right="chat",
        parameters=(SESSION_KEY,),
        body=ConversationBody,
        body_is_optional=True,
        answers={200: ConversationObject},
        links={"conversation_id": "$response.body#/id"},
        errors=(ConversationExists, UploadNotFound),
    )
    show = Operation(
        method="GET",
        path=path,
        run=conversations.show,
        summary="A conversation",
        tag="Conversations",
        right="chat",
        answers={200: ConversationObject},
        errors=(BadSessionKey, ConversationNotFound),
    )
    listed = Operation(
        method="GET",
        path=f"{path}/items",
        run=conversations.items,
        summary="What was said in a conversation",
        tag="Conversations",
        right="sessions:read",
        parameters=PAGING,
        answers={200: Page[WireItem]},
        errors=(BadSessionKey, ConversationNotFound, ItemNotFound),
    )
    return (
        create,
        show,
        msgspec.structs.replace(
            show,
            method="POST",
            run=conversations.note,
            summary="Note something beside a conversation",
            body=MetadataBody,
        ),
        msgspec.structs.replace(
            show,
            method="DELETE",
            run=conversations.delete,
            summary="Delete a conversation",
            right="sessions:write",
            answers={200: ConversationDeleted},
        ),
        listed,
        msgspec.structs.replace(
            listed,
            method="POST",
            run=conversations.add,
            summary="Add to a conversation",
            right="chat",
            parameters=(),
            body=ItemsBody,
            errors=(BadSessionKey, ConversationNotFound, SessionBusy, UploadNotFound),
        ),
        msgspec.structs.replace(
            listed,
            path=f"{path}/items/{{item_id}}",
            run=conversations.item,
            summary="One item",
            parameters=(),
            answers={200: WireItem},
        ),
    )
