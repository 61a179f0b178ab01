"""Conversations as OpenAI shapes them. Source: the OpenAI API reference, `/v1/conversations`."""

from typing import Annotated

import msgspec

from nanobot.api.wire.decoding import decode
from nanobot.api.wire.input_items import input_messages
from nanobot.api.wire.input_shapes import ITEM, InputItem
from nanobot.api.wire.tools import Metadata, labels
from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Message
from nanobot.core.sessions import Session

MOST_ITEMS = 20


class ConversationBody(msgspec.Struct):
    """The body of `POST /v1/conversations`."""

    items: Annotated[list[Annotated[InputItem, ITEM]], msgspec.Meta(max_length=MOST_ITEMS)] | None = None
    metadata: Metadata | None = None


class MetadataBody(msgspec.Struct):
    """The body of `POST /v1/conversations/{conversation_id}`."""

    metadata: Metadata | None = None


class ItemsBody(msgspec.Struct):
    """The body of `POST /v1/conversations/{conversation_id}/items`."""

    items: Annotated[list[Annotated[InputItem, ITEM]], msgspec.Meta(min_length=1, max_length=MOST_ITEMS)]


class ConversationObject(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation: a session by another name. Its `id` is the session key."""

    id: str
    object: str = "conversation"
    created_at: int
    metadata: dict[str, str]


class ConversationDeleted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "conversation.deleted"
    deleted: bool = True


_decode_create = msgspec.json.Decoder(ConversationBody)
_decode_metadata = msgspec.json.Decoder(MetadataBody)
_decode_items = msgspec.json.Decoder(ItemsBody)


def conversation_object(session: Session) -> ConversationObject:
    """Return the session as OpenAI's API shows a conversation."""
    return ConversationObject(id=session.key, created_at=int(session.created_at), metadata=session.metadata)


def parse_create(body: bytes) -> tuple[tuple[Message, ...], dict[str, str]]:
    """Return `(messages, metadata)`; an empty body is an empty conversation.

    Raises:
        InvalidJson, InvalidRequest
    """
    request = decode(body or b"{}", _decode_create)
    return _messages(request.items or []), labels(request.metadata, None, None).metadata


def parse_metadata(body: bytes) -> dict[str, str]:
    """Return the metadata.

    Raises:
        InvalidJson, InvalidRequest
    """
    return labels(decode(body, _decode_metadata).metadata, None, None).metadata


def parse_items(body: bytes) -> tuple[Message, ...]:
    """Return the messages that the items are.

    Raises:
        InvalidJson, InvalidRequest
    """
    messages = _messages(decode(body, _decode_items).items)
    if not messages:
        raise InvalidRequest("items is empty: at least one item is needed", param="items")
    return messages


def _messages(sent: list[InputItem]) -> tuple[Message, ...]:
    said = input_messages(sent, {}, "items", is_all=True)
    if said.left_out:
        raise InvalidRequest(
            f"items has a {said.left_out[0][:60]!r}, which this server cannot keep: leave such items out",
            param="items",
        )
    if said.instructions:
        raise InvalidRequest(
            "items may not have the role system or developer: instructions belong to a response, send them "
            "with each",
            param="items",
        )
    return said.messages
