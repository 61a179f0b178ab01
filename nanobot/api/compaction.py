"""Summaries on demand: POST /v1/sessions/{key}/compact for what the server keeps, and OpenAI's POST
/v1/responses/compact for clients that keep the conversation themselves.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller
from nanobot.api.models import no_model
from nanobot.api.recent_answers import RecentAnswers
from nanobot.api.response_target import Targets, check_agreement, conversation_key
from nanobot.api.sealed_summaries import SealedSummary, SummarySeal, as_messages, check_scopes, scope_of
from nanobot.api.sessions import path_key
from nanobot.api.settings import ApiSettings
from nanobot.api.stored_responses import StoredResponses
from nanobot.api.turn_request import identity_of
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.input_items import ReferencedMessages, input_messages, referred
from nanobot.api.wire.input_shapes import ITEM, InputItem
from nanobot.api.wire.items import ItemRef, MessageItem, input_message
from nanobot.api.wire.lists import encode
from nanobot.api.wire.response_answer import ResponseUsage, response_usage
from nanobot.api.wire.response_request import NamedConversation
from nanobot.core.clock import Clock
from nanobot.core.compaction import Compacted, Compacting, Payer
from nanobot.core.dispatch import History
from nanobot.core.errors import (
    BadSessionKey,
    IdempotencyMismatch,
    InvalidRequest,
    ItemNotFound,
    ModelError,
    ModelNotFound,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    ResponseNotFound,
    SessionNotFound,
    UploadNotFound,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message, estimate_tokens, user
from nanobot.core.session_keys import KEY_PATTERN
from nanobot.core.store import Store
from nanobot.http.json_body import apart
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.schema_extra import schema_extra
from nanobot.http.session_key import SESSION_KEY, KeyReader
from nanobot.submit.attachments import Attachments
from nanobot.submit.request import AGENT, preset_of
from nanobot.submit.submitter import Submitter

_MOST_READ_TOKENS = 400_000
_KEPT_TOKENS = 8_000
"""How much of what the user said is returned word for word, the newest first."""


class SessionCompaction(msgspec.Struct, frozen=True, kw_only=True):
    """What was summarised. `messages_summarised`: how many messages a summary stands for now;
    `messages_added`: how many of them had none before; `summary` null: the conversation is too short.
    """

    object: str = "session.compaction"
    key: str
    messages_summarised: int
    messages_added: int
    summary: str | None
    model: str | None
    facts: int
    facts_kept: int
    usage: ResponseUsage


class CompactBody(msgspec.Struct, frozen=True):
    """What OpenAI's clients send. Other fields have no effect."""

    model: str | None = None
    input: str | list[Annotated[InputItem, ITEM]] | None = None
    previous_response_id: str | None = None
    conversation: Annotated[str, schema_extra(pattern=KEY_PATTERN)] | NamedConversation | None = None


class CompactionItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="compaction"):
    """A summary that the client keeps, to be sent as an item of `input`."""

    id: str
    encrypted_content: str


class CompactedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of the user, the newest ones, then what stands for the whole conversation."""

    id: str
    object: str = "response.compaction"
    created_at: int
    output: tuple[MessageItem | CompactionItem, ...]
    usage: ResponseUsage


_decoder = msgspec.json.Decoder(CompactBody)


class _Asked(msgspec.Struct, frozen=True):
    """What is to be summarised: the `messages`, and a summary `before` them. `said`: what the user said."""

    payer: Payer
    messages: tuple[Message, ...]
    before: str
    said: tuple[Message, ...]
    scope: str


class CompactionRoutes:
    """The routes."""

    def __init__(
        self,
        store: Store,
        submitter: Submitter,
        stored: StoredResponses,
        targets: Targets,
        attachments: Attachments,
        compacting: Compacting,
        seal: SummarySeal,
        clock: Clock,
        randomness: Randomness,
        settings: ApiSettings,
    ) -> None:
        self._store = store
        self._submitter = submitter
        self._stored = stored
        self._targets = targets
        self._attachments = attachments
        self._compacting = compacting
        self._seal = seal
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._keys = KeyReader(settings.session_headers)
        self._bodies = settings.json_bodies()
        self._recent = RecentAnswers[CompactedResponse]()

    async def session(self, request: Request, send: Send) -> None:
        """POST /v1/sessions/{key}/compact"""
        key, caller = path_key(request), request.caller
        await self._store.session(key)
        self._submitter.check_quotas(caller, key)
        done = await self._compacting.compact(key, caller.key_id)
        written = done.summary or Compacted("")
        shown = SessionCompaction(
            key=key,
            messages_summarised=done.messages,
            messages_added=done.added,
            summary=written.text or None,
            model=written.model,
            facts=written.facts,
            facts_kept=written.facts_kept,
            usage=response_usage(written.usage, ()),
        )
        await answer(send, 200, encode(shown))

    async def response(self, request: Request, send: Send) -> None:
        """POST /v1/responses/compact"""
        caller = request.caller
        named = self._keys.named(request.headers, caller)
        body, raw = await self._bodies.read(request, lambda raw: decode(raw, _decoder))
        if not body.model:
            raise InvalidRequest("you must provide a model parameter", param="model")
        if body.model != AGENT and preset_of(body.model) not in self._settings.models:
            raise no_model(body.model)
        identity = await apart(raw, lambda: identity_of(request.headers, raw, stream_fields=0))
        asked = await self._asked(body, raw, named, caller)
        request.session_key = asked.payer.session_key or None

        async def work() -> CompactedResponse:
            self._submitter.check_quotas(caller, asked.payer.session_key)
            return await self._compacted(asked, caller)

        scope = (caller.key_id, asked.payer.session_key)
        await answer(send, 200, encode(await self._recent.once(identity, scope, work)))

    async def _asked(self, body: CompactBody, raw: bytes, named: str | None, caller: Caller) -> _Asked:
        key, before, messages = await self._kept(body, named, caller)
        items = [InputItem(role="user", content=body.input)] if isinstance(body.input, str) else body.input
        opened = self._seal.opened(items, caller.key_id)
        check_scopes(opened, key)
        referenced: ReferencedMessages = {}
        if items is not None and referred(items):
            referenced = await self._targets.referenced_in(items, caller)
        said = _spoken(messages)
        if items:
            last = max(opened, default=-1)
            if opened:
                # It stands for everything before it.
                before, messages = opened[last].text, ()
            sent, new = await apart(
                raw,
                lambda: (
                    input_messages(
                        items, referenced, "input", self._settings.bounds, as_messages(opened), is_all=True
                    ).messages,
                    input_messages(
                        items[last + 1 :], referenced, "input", self._settings.bounds, is_all=True
                    ).messages,
                ),
            )
            said += _spoken(sent)
            resolved = await self._attachments.resolve(new, key or "")
            messages = (*messages, *resolved)
        if not messages and not before:
            raise InvalidRequest(
                "there is nothing to compact: send input, previous_response_id, or the session key of a"
                " conversation",
                param="input",
            )
        preset = None if body.model in (AGENT, None) else preset_of(body.model)
        return _Asked(Payer(key or "", caller.key_id, preset), messages, before, said, scope_of(key))

    async def _kept(
        self, body: CompactBody, named: str | None, caller: Caller
    ) -> tuple[str | None, str, tuple[Message, ...]]:
        """Return the key of the conversation that the request means, if any, and what the server has of it
        where the request does not bring it: a summary, and the messages after it.
        """
        if body.conversation is not None:
            said = body.conversation
            key = conversation_key(said.id if isinstance(said, NamedConversation) else said, caller)
            check_agreement(named, key, f"conversation is {key!r}")
            named = key
        if body.previous_response_id is not None:
            response = await self._stored.find(
                body.previous_response_id, caller, param="previous_response_id"
            )
            state = response.state
            check_agreement(
                named,
                state.session_key,
                f"previous_response_id is a response of the conversation {state.session_key!r}",
            )
            tip = (state.first_seq or 1) + len(response.input) + len(state.messages) - 1
            return (state.session_key, *await self._told(state.session_key, tip))
        own = named or caller.session_key
        if body.input or own is None:
            return own, "", ()
        return (own, *await self._told(own, None))

    async def _told(self, key: str, tip: int | None) -> tuple[str, tuple[Message, ...]]:
        """Return what was said in the session up to the message `tip`, None: all of it."""
        newest = (await self._store.messages(key, limit=1, order="desc"))[:1]
        if tip is None or (newest and newest[0].seq == tip):
            history: History = await self._store.history(key, _MOST_READ_TOKENS)
            return history.summary.text if history.summary is not None else "", history.messages
        messages: list[Message] = []
        tokens = after = 0
        while tokens < _MOST_READ_TOKENS:
            rows = await self._store.messages(key, limit=100, after_seq=after, order="desc", tip=tip)
            messages += [row.message for row in rows]
            tokens += sum(estimate_tokens(row.message) for row in rows)
            if len(rows) < 100:
                break
            after = rows[-1].seq
        return "", tuple(reversed(messages))

    async def _compacted(self, asked: _Asked, caller: Caller) -> CompactedResponse:
        written = await self._compacting.summarise(asked.messages, asked.payer, before=asked.before)
        now = self._clock.now()
        id_ = new_id("resp", now, self._randomness)
        content = self._seal.sealed(SealedSummary(written.text, asked.scope), caller.key_id)
        ref = id_.removeprefix("resp_")
        said = tuple(
            input_message(message, ItemRef(f"turn_{ref}", number))
            for number, message in enumerate(_newest(asked.said))
        )
        return CompactedResponse(
            id=id_,
            created_at=int(now),
            output=(*said, CompactionItem(id=f"cmp_{ref}", encrypted_content=content)),
            usage=response_usage(written.usage, ()),
        )


def _spoken(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return what the user said in words."""
    texts = (message.text for message in messages if message.role == "user")
    return tuple(user(text) for text in texts if text)


def _newest(said: Sequence[Message]) -> list[Message]:
    """Return the newest of the messages that take so much together that they may be sent again and again."""
    kept: list[Message] = []
    left = _KEPT_TOKENS
    for message in reversed(said):
        left -= estimate_tokens(message)
        if left < 0:
            break
        kept.append(message)
    return kept[::-1]


def operations(compactions: CompactionRoutes) -> tuple[Operation, ...]:
    """Return the operations of this module."""
    spending = (ModelError, Overloaded, QuotaExceeded, RateLimited)
    return (
        Operation(
            method="POST",
            path="/v1/responses/compact",
            run=compactions.response,
            summary="Compact a conversation that the client keeps",
            tag="Responses",
            right="chat",
            parameters=(SESSION_KEY,),
            body=CompactBody,
            answers={200: CompactedResponse},
            errors=(
                ModelNotFound,
                ResponseNotFound,
                ItemNotFound,
                UploadNotFound,
                SessionNotFound,
                IdempotencyMismatch,
                *spending,
            ),
        ),
        Operation(
            method="POST",
            path="/v1/sessions/{key}/compact",
            run=compactions.session,
            summary="Summarise a session at once",
            tag="Sessions",
            right="chat",
            answers={200: SessionCompaction},
            errors=(BadSessionKey, SessionNotFound, *spending),
        ),
    )
