"""/v1/responses: the same turns on the same sessions as chat completions, through OpenAI's newer door."""

import hashlib

import msgspec
from starlette.types import Receive, Scope, Send

from nanobot.access.caller import Caller
from nanobot.api import asking
from nanobot.api.chat import ChatSettings
from nanobot.api.models import AGENT, no_model
from nanobot.api.paging import PAGING, find_message, no_item, page_of
from nanobot.api.wire.input_items import ReferencedMessages, referred
from nanobot.api.wire.items import WireItem, answered, items, ref_of, response_id, turn_of
from nanobot.api.wire.lists import Page, encode
from nanobot.api.wire.response_answer import Echo, ResponseDeleted, ResponseObject, response_object
from nanobot.api.wire.response_events import ResponseEvents
from nanobot.api.wire.response_request import (
    ResponseBody,
    ResponseRequest,
    decode_response,
    parse_response,
    with_conversation,
)
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BadSessionKey,
    ConversationNotFound,
    IdempotencyMismatch,
    InvalidRequest,
    ItemNotFound,
    MissingSessionKey,
    ModelError,
    ModelNotFound,
    NanobotError,
    QueueFull,
    ResponseNotFound,
    SessionBusy,
    SessionNotFound,
    ShuttingDown,
    StreamingOff,
    TurnNotFound,
    UploadNotFound,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message
from nanobot.core.observer import SESSION
from nanobot.core.responses import ItemRef, Response
from nanobot.core.sessions import parse_key
from nanobot.core.store import Store
from nanobot.core.turn import Admission, Identity, Record, Turn
from nanobot.http import stream as sse
from nanobot.http.admission import admit
from nanobot.http.body import ClientGone, read_body
from nanobot.http.caller import caller_of
from nanobot.http.errors import turn_failure
from nanobot.http.operations import Operation, Parameter
from nanobot.http.query import Query
from nanobot.http.respond import answer
from nanobot.http.session_key import KeyReader
from nanobot.submit.attachments import Attachments
from nanobot.submit.followers import Followers

_MOST_REFERENCES = 256
_decode_echo = msgspec.json.Decoder(Echo).decode


class ResponseTarget(msgspec.Struct, frozen=True):
    """Where a response belongs.

    `after`: the turn that it follows; `is_new`: the conversation begins with it, and nobody named it.
    """

    session_key: str
    after: str | None = None
    is_new: bool = False


class Responses:
    """What can be done with responses."""

    def __init__(
        self,
        store: Store,
        followers: Followers,
        clock: Clock,
        randomness: Randomness,
        settings: ChatSettings,
        contents: Attachments,
    ) -> None:
        self._store = store
        self._followers = followers
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._contents = contents
        self._keys = KeyReader(settings.session_headers)

    # Making one -----------------------------------------------------------------------------------

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /v1/responses"""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        caller = caller_of(scope)
        named = self._keys.named(headers, caller)
        settings = self._settings
        try:
            body = await read_body(
                scope, receive, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s
            )
        except ClientGone:
            return
        decoded = decode_response(body)
        request = parse_response(decoded, await self._said(decoded, caller))
        self._check(request)
        now = self._clock.now()
        identity = asking.identity(headers, b"\0".join((b"response", (caller.key_id or "").encode(), body)))
        place = await self._place(request, named, caller, identity)
        SESSION.set(place.session_key)
        given, earlier = await asking.filled(
            self._store,
            self._contents,
            identity,
            place.session_key,
            request.input,
            request.earlier,
            model=request.model,
            listeners=settings.listeners,
        )
        echo = with_conversation(request, place.session_key) if request.store else request.echo
        turn = Turn(
            id=new_id("turn", now, self._randomness),
            session_key=place.session_key,
            input=given,
            origin="api",
            when_busy=asking.when_busy(headers),
            model=None if request.model == AGENT else request.model,
            instructions=request.instructions,
            sampling=request.sampling,
            trace=request.store,
            tools=request.tools,
            tool_choice=request.tool_choice,
            format=request.format,
            labels=request.labels,
            after=place.after,
            may_cut=request.may_cut,
            record=Record(
                msgspec.Raw(encode(echo)) if request.store else None, is_detached=request.background
            ),
        )
        admission = await admit(scope, self._store, turn, identity, earlier)
        if request.stream:
            events = ResponseEvents(
                admission.turn_id,
                echo,
                created_at=(await self._store.turn(admission.turn_id)).created_at
                if admission.joined
                else now,
                inputs=len(given),
                now=self._clock.now,
                begins_at_once=request.background,
            )
            stream = sse.Stream(
                self._store,
                self._followers,
                events,
                send,
                asking.turn_headers(admission),
                ping_s=settings.ping_s,
            )
            await stream.run(
                admission.turn_id,
                0,
                receive,
                answered_by=admission.answered_by,
                is_over=admission.is_over,
            )
        else:
            await self._answer(admission, request, echo, len(given), receive, send)
        if place.is_new and not request.store:
            await self._remove(place.session_key, admission.turn_id)

    def _check(self, request: ResponseRequest) -> None:
        if request.stream and not self._settings.stream:
            raise StreamingOff(
                "stream=true is not supported yet. Set stream=false or omit it.", param="stream"
            )
        if request.model != AGENT and request.model not in self._settings.models:
            raise no_model(request.model)

    async def _answer(
        self,
        admission: Admission,
        request: ResponseRequest,
        echo: Echo,
        inputs: int,
        receive: Receive,
        send: Send,
    ) -> None:
        headers = asking.turn_headers(admission)
        if not request.background:
            result = await asking.wait_for_end(self._store, self._followers, admission, receive)
            if result is None:
                return
            if result.end.error is not None:
                problem = turn_failure(result.end.error, is_over=admission.is_over)
                await answer(send, problem.status, problem.body, headers + problem.headers)
                return
        state = await self._store.turn(admission.turn_id)
        await answer(send, 200, encode(response_object(state, echo, inputs=inputs)), headers)

    async def _remove(self, session_key: str, turn_id: str) -> None:
        """Delete the conversation of a response that is to leave nothing, once it has ended."""
        try:
            if (await self._store.turn(turn_id)).end is not None:
                await self._store.delete_session(session_key)
        except (SessionNotFound, TurnNotFound):
            # whoever sent it twice was answered twice, and the first has deleted it
            return

    # Where it belongs -----------------------------------------------------------------------------

    async def _place(
        self, request: ResponseRequest, named: str | None, caller: Caller, identity: Identity
    ) -> ResponseTarget:
        """Return the session that the request means, or a new one.

        Raises:
            BadSessionKey, InvalidRequest, MissingSessionKey, ConversationNotFound, ResponseNotFound
        """
        if request.conversation is not None:
            key = _conversation_key(request.conversation, caller)
            _agree(named, key, f"conversation is {key!r}")
            return ResponseTarget(key)
        if request.previous is not None:
            found = await self._found(request.previous, caller, param="previous_response_id")
            key = found.state.session_key
            _agree(named, key, f"previous_response_id is a response of the conversation {key!r}")
            has_begun = found.state.end is None or found.state.started_at is not None
            # one that was cancelled in the queue stands nowhere
            return ResponseTarget(key, after=found.state.id if has_begun else None)
        default = named or caller.session_key
        if default is not None:
            return ResponseTarget(default)
        key = await self._new_key(caller, identity)
        if not caller.sees(key):
            raise MissingSessionKey(
                "this API key is limited to conversations of certain names, and a new one would have another: name it with the header "
                "x-session-key, or as conversation",
                param="conversation",
            )
        return ResponseTarget(key, is_new=True)

    async def _new_key(self, caller: Caller, identity: Identity) -> str:
        """Return the key of a conversation that nobody named: that of the first sending, where this is a
        resend.
        """
        if identity.dedupe_key is not None:
            known_by = f"{caller.key_id or ''}\0{identity.dedupe_key}".encode()
            return "conv_" + hashlib.blake2b(known_by, digest_size=13).hexdigest()
        if identity.is_retry and (key := await self._store.conversation_of(identity.digest)) is not None:
            return key
        return new_id("conv", self._clock.now(), self._randomness)

    async def _said(self, body: ResponseBody, caller: Caller) -> ReferencedMessages:
        """Return the messages that the input only refers to.

        Raises:
            InvalidRequest: there are too many.
            ItemNotFound: one is not there, or not the caller's to know of.
        """
        references = referred(body.input) if isinstance(body.input, list) else ()
        if len(references) > _MOST_REFERENCES:
            raise InvalidRequest(
                f"input refers to {len(references)} items: at most {_MOST_REFERENCES} are allowed",
                param="input",
            )
        return {id_: await self._referred(id_, path, caller) for id_, path in references}

    async def _referred(self, id_: str, path: str, caller: Caller) -> Message:
        ref = ref_of(id_)
        missing = no_item(id_, path)
        if ref is None or ref.turn_id is None:
            raise missing
        try:
            key = (await self._store.turn(ref.turn_id)).session_key
            if not caller.sees(key):
                raise missing
            row = await find_message(self._store, key, ref)
        except TurnNotFound:
            raise missing from None
        said = answered(id_, row.message, ref) if row is not None else None
        if said is None:
            raise missing
        return said

    # One that was made ----------------------------------------------------------------------------

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/responses/{response_id}, as it stands or as a stream."""
        found = await self._asked_for(scope)
        query = Query(scope)
        if query.one_of("stream", ("true", "false"), default="false") == "false":
            await answer(send, 200, _shown(found))
            return
        if not self._settings.stream:
            raise StreamingOff(
                "stream=true is not supported yet. Set stream=false or omit it.", param="stream"
            )
        state = found.state
        ended_at = state.ended_at
        events = ResponseEvents(
            state.id,
            _decode_echo(found.echo),
            created_at=state.created_at,
            inputs=len(found.input),
            now=self._clock.now if ended_at is None else lambda: ended_at,
            after=query.whole("starting_after", default=-1, low=0, high=2**53),
            begins_at_once=True,
        )
        headers = (("x-turn-id", state.id),)
        stream = sse.Stream(self._store, self._followers, events, send, headers, ping_s=self._settings.ping_s)
        await stream.run(state.id, 0, receive, answered_by=state.answered_by, is_over=state.end is not None)

    async def cancel(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /v1/responses/{response_id}/cancel: answers once the response has ended."""
        found = await self._asked_for(scope)
        await self._stop(found, "cancelled by request")
        await answer(send, 200, _shown(await self._store.response(found.state.id)))

    async def delete(self, scope: Scope, receive: Receive, send: Send) -> None:
        """DELETE /v1/responses/{response_id}: it is not found any more; what was said stays in the
        conversation.
        """
        found = await self._asked_for(scope)
        await self._stop(found, "its response was deleted")
        await self._store.forget_response(found.state.id)
        await answer(send, 200, encode(ResponseDeleted(id=response_id(found.state.id))))

    async def _stop(self, found: Response, why: str) -> None:
        if found.state.end is None and await self._store.cancel(found.state.id, why):
            await self._store.ended(found.state.id)

    async def input_items(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/responses/{response_id}/input_items"""
        found = await self._asked_for(scope)
        shown = [
            item
            for number, message in enumerate(found.input)
            for item in items(message, ItemRef(found.state.id, number))
        ]
        await answer(send, 200, encode(page_of(shown, Query(scope))))

    async def _asked_for(self, scope: Scope) -> Response:
        return await self._found(scope["path_params"]["response_id"], caller_of(scope))

    async def _found(self, given: str, caller: Caller, param: str | None = None) -> Response:
        """Return the response, if it is the caller's to know of.

        Raises:
            ResponseNotFound: there is none, or it is not; the two read alike.
        """
        missing = ResponseNotFound(f"no response {given[:80]!r} here", param=param)
        turn_id = turn_of(given)
        if turn_id is None:
            raise missing
        try:
            found = await self._store.response(turn_id)
        except (ResponseNotFound, TurnNotFound):
            raise missing from None
        if not caller.sees(found.state.session_key):
            raise missing
        return found


def _shown(found: Response) -> bytes:
    return encode(response_object(found.state, _decode_echo(found.echo), inputs=len(found.input)))


def _conversation_key(given: str, caller: Caller) -> str:
    """Return the session key that a body names.

    Raises:
        BadSessionKey: it is none.
        ConversationNotFound: it is not the caller's to know of.
    """
    try:
        key = parse_key(given)
    except BadSessionKey as error:
        error.param = "conversation"
        raise
    if not key:
        raise BadSessionKey(
            "conversation is empty: it is the session key, 1 to 256 characters", param="conversation"
        )
    if not caller.sees(key):
        raise ConversationNotFound(f"no conversation {key!r} here", param="conversation")
    return key


def _agree(named: str | None, key: str, what: str) -> None:
    if named is not None and named != key:
        raise InvalidRequest(
            f"x-session-key is {named!r}, and {what}: leave one out, or let them agree", param="x-session-key"
        )


def operations(
    store: Store,
    followers: Followers,
    clock: Clock,
    randomness: Randomness,
    settings: ChatSettings,
    contents: Attachments,
) -> tuple[Operation, ...]:
    """Return what is offered here."""
    responses = Responses(store, followers, clock, randomness, settings, contents)
    path = "/v1/responses/{response_id}"
    refusals: tuple[type[NanobotError], ...] = (
        SessionBusy,
        IdempotencyMismatch,
        QueueFull,
        ShuttingDown,
        ModelError,
    )
    return (
        Operation(
            method="POST",
            path="/v1/responses",
            run=responses.create,
            summary="Make a response",
            tag="Responses",
            right="chat",
            parameters=asking.PARAMETERS,
            body=ResponseBody,
            answers={200: ResponseObject},
            streams=True,
            makes={"response_id": "$response.body#/id", "turn_id": "$response.header.x-turn-id"},
            errors=(
                ModelNotFound,
                ResponseNotFound,
                ConversationNotFound,
                ItemNotFound,
                UploadNotFound,
                *refusals,
            ),
        ),
        Operation(
            method="GET",
            path=path,
            run=responses.show,
            summary="A response as it stands",
            tag="Responses",
            right="chat",
            parameters=(
                Parameter(
                    "stream", "query", "`true`: as a stream of events", {"type": "boolean", "default": False}
                ),
                Parameter(
                    "starting_after",
                    "query",
                    "the number of the last event that was received",
                    {"type": "integer", "minimum": 0},
                ),
            ),
            answers={200: ResponseObject},
            streams=True,
            errors=(ResponseNotFound,),
        ),
        Operation(
            method="DELETE",
            path=path,
            run=responses.delete,
            summary="Delete a response",
            tag="Responses",
            right="chat",
            answers={200: ResponseDeleted},
            errors=(ResponseNotFound,),
        ),
        Operation(
            method="POST",
            path=f"{path}/cancel",
            run=responses.cancel,
            summary="Stop a response",
            tag="Responses",
            right="chat",
            answers={200: ResponseObject},
            errors=(ResponseNotFound,),
        ),
        Operation(
            method="GET",
            path=f"{path}/input_items",
            run=responses.input_items,
            summary="What a response was given",
            tag="Responses",
            right="chat",
            parameters=PAGING,
            answers={200: Page[WireItem]},
            errors=(ResponseNotFound, ItemNotFound),
        ),
    )
