"""Where a response belongs: the conversation that a request names, continues or begins, and the items it
refers to.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from nanobot.access.caller import Caller
from nanobot.api.paging import find_message, no_item
from nanobot.api.stored_responses import StoredResponses
from nanobot.api.wire.input_items import ReferencedMessages, referred
from nanobot.api.wire.input_shapes import InputItem
from nanobot.api.wire.items import answered, ref_of
from nanobot.api.wire.response_request import ResponseBody, ResponseRequest
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BadSessionKey,
    ConversationNotFound,
    InvalidRequest,
    MissingSessionKey,
    SessionNotFound,
    TurnNotFound,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message
from nanobot.core.session_keys import parse_key
from nanobot.core.store import Store
from nanobot.core.turn import Identity

_MOST_REFERENCES = 256


class ResponseTarget(msgspec.Struct, frozen=True):
    """Where a response belongs.

    `after`: the turn that it follows; `is_new`: the conversation begins with it, and the client did not name
    it.
    """

    session_key: str
    after: str | None = None
    is_new: bool = False


class Targets:
    """Finds what a request for a response refers to."""

    def __init__(self, store: Store, stored: StoredResponses, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._stored = stored
        self._clock = clock
        self._randomness = randomness

    async def target(
        self, parsed: ResponseRequest, named: str | None, caller: Caller, identity: Identity
    ) -> ResponseTarget:
        """Return the session that the request means, or a new one. `named`: the session key of its headers.

        Raises:
            BadSessionKey, InvalidRequest, MissingSessionKey, ConversationNotFound, ResponseNotFound
        """
        if parsed.conversation is not None:
            key = conversation_key(parsed.conversation, caller)
            check_agreement(named, key, f"conversation is {key!r}")
            return ResponseTarget(key)
        if parsed.previous is not None:
            state = (await self._stored.find(parsed.previous, caller, param="previous_response_id")).state
            key = state.session_key
            check_agreement(named, key, f"previous_response_id is a response of the conversation {key!r}")
            # A turn that was cancelled in the queue is nowhere in the transcript.
            has_begun = state.end is None or state.started_at is not None
            return ResponseTarget(key, after=state.id if has_begun else None)
        default = named or caller.session_key
        if default is not None:
            return ResponseTarget(default)
        key = await self._new_key(caller, identity)
        if not caller.sees(key):
            raise MissingSessionKey(
                "this API key is limited to conversations of certain names, and a new one would have "
                "another: name it with the header x-session-key, or as conversation",
                param="conversation",
            )
        return ResponseTarget(key, is_new=True)

    async def _new_key(self, caller: Caller, identity: Identity) -> str:
        """Return the key of a conversation without a name: the first request's, where this one is sent
        again.
        """
        if identity.dedupe_key is not None:
            # Derived, not random: requests that are sent twice, even at once, name the same conversation.
            known_by = f"{caller.key_id or ''}\0{identity.dedupe_key}".encode()
            return "conv_" + hashlib.blake2b(known_by, digest_size=13).hexdigest()
        if identity.is_retry and (key := await self._store.conversation_of(identity.digest)) is not None:
            return key
        return new_id("conv", self._clock.now(), self._randomness)

    async def referenced(self, body: ResponseBody, caller: Caller) -> ReferencedMessages:
        """Return the messages that the input only refers to.

        Raises:
            InvalidRequest: there are too many.
            ItemNotFound: there is no such item that the caller may see.
        """
        return await self.referenced_in(body.input, caller) if isinstance(body.input, list) else {}

    async def referenced_in(self, items: Sequence[InputItem], caller: Caller) -> ReferencedMessages:
        """Return the messages that the items only refer to.

        Raises:
            InvalidRequest, ItemNotFound
        """
        references = referred(items)
        if len(references) > _MOST_REFERENCES:
            raise InvalidRequest(
                f"input refers to {len(references)} items: at most {_MOST_REFERENCES} are allowed",
                param="input",
            )
        return {id_: await self._referenced(id_, path, caller) for id_, path in references}

    async def _referenced(self, id_: str, path: str, caller: Caller) -> Message:
        ref = ref_of(id_)
        # One error for every reason: it must not tell whether the item exists in another session.
        missing = no_item(id_, path)
        if ref is None or ref.turn_id is None:
            raise missing
        try:
            key = (await self._store.turn(ref.turn_id)).session_key
            if not caller.sees(key):
                raise missing
            row = await find_message(self._store, key, ref)
        except (TurnNotFound, SessionNotFound):
            raise missing from None
        message = answered(id_, row.message, ref) if row is not None else None
        if message is None:
            raise missing
        return message


def conversation_key(text: str, caller: Caller) -> str:
    """Return the session key that a body names.

    Raises:
        BadSessionKey: it is not one.
        ConversationNotFound: the caller may not see it.
    """
    key = parse_key(text, "conversation")
    if not key:
        raise BadSessionKey(
            "conversation is empty: it is the session key, 1 to 256 characters", param="conversation"
        )
    if not caller.sees(key):
        raise ConversationNotFound(f"no conversation {key!r} here", param="conversation")
    return key


def check_agreement(named: str | None, key: str, what: str) -> None:
    if named is not None and named != key:
        raise InvalidRequest(
            f"x-session-key is {named!r}, and {what}: leave one out, or let them agree", param="x-session-key"
        )
