"""/v1/responses: the same turns on the same sessions as chat completions, in the shapes of OpenAI's newer
API.
"""

from collections.abc import Mapping

import msgspec
from starlette.types import Send

from nanobot.api import compaction, input_tokens
from nanobot.api.compaction import CompactionRoutes
from nanobot.api.paging import PAGING
from nanobot.api.response_target import ResponseTarget, Targets
from nanobot.api.sealed_summaries import SealedSummary, SummarySeal, as_messages, check_scopes
from nanobot.api.settings import ApiSettings
from nanobot.api.stored_responses import StoredResponses, end_time
from nanobot.api.turn_request import (
    PARAMETERS,
    check_request,
    identity_of,
    leaves_trace,
    turn_headers,
    turn_request,
)
from nanobot.api.wire.items import WireItem
from nanobot.api.wire.lists import Page, encode
from nanobot.api.wire.response_answer import Echo, ResponseDeleted, ResponseObject, response_object
from nanobot.api.wire.response_events import ResponseEvents
from nanobot.api.wire.response_request import (
    ResponseBody,
    ResponseRequest,
    decode_response,
    parse_response,
    with_conversation,
    with_events,
    with_store,
)
from nanobot.core.clock import Clock
from nanobot.core.compaction import Compacting
from nanobot.core.errors import (
    ConversationNotFound,
    IdempotencyMismatch,
    ItemNotFound,
    ModelError,
    ModelNotFound,
    Overloaded,
    QueueFull,
    ResponseNotFound,
    SessionBusy,
    SessionNotFound,
    ShuttingDown,
    TurnNotFound,
    UploadNotFound,
)
from nanobot.core.ids import Randomness
from nanobot.core.observer import SESSION
from nanobot.core.store import Store
from nanobot.core.turn import NO_ECHO, Identity, Record
from nanobot.http.json_body import apart
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import answer, answer_headers, deliver, wait_for_answer
from nanobot.http.session_key import KeyReader
from nanobot.http.stream import Stream, wanted_events
from nanobot.submit.attachments import Attachments
from nanobot.submit.submitter import Submission, Submitter

TOOL_ITEMS = Parameter(
    "x-events", "header", "`tools`: calls of the server's own tools are items of the response"
)


class Responses:
    """The route that makes responses."""

    def __init__(
        self,
        store: Store,
        submitter: Submitter,
        targets: Targets,
        seal: SummarySeal,
        settings: ApiSettings,
    ) -> None:
        self._store = store
        self._seal = seal
        self._submitter = submitter
        self._targets = targets
        self._settings = settings
        self._keys = KeyReader(settings.session_headers)
        self._bodies = settings.json_bodies()

    async def create(self, request: Request, send: Send) -> None:
        """POST /v1/responses"""
        caller, settings = request.caller, self._settings
        named = self._keys.named(request.headers, caller)
        await self._submitter.room()
        parsed, identity, summaries = await self._parsed(request)
        if identity.is_retry:
            identity = await self._submitter.recognised("", identity)
        target = await self._targets.target(parsed, named, caller, identity)
        check_scopes(summaries, target.session_key)
        request.session_key = target.session_key
        SESSION.set(target.session_key)
        trace = leaves_trace(parsed, request.headers, target.session_key, settings)
        if trace is not parsed.trace:
            parsed = with_store(parsed, store=trace)
        echo = with_conversation(parsed, target.session_key) if parsed.trace else parsed.echo
        echo = with_events(echo, wanted_events(request.headers))
        submission = await self._submit(request, parsed, echo, identity, target)
        # What was asked may be large, and the answer may be long in coming.
        parsed = msgspec.structs.replace(parsed, earlier=(), tools=())
        request.body_is_done()
        if parsed.stream:
            await self._stream(request, send, parsed, echo, submission)
        else:
            await self._answer(request, send, parsed, echo, submission)
        # Only now: the answer was read from the store.
        if target.is_new and not parsed.trace:
            await self._forget(target.session_key, submission.turn_id)

    async def _parsed(
        self, request: Request
    ) -> tuple[ResponseRequest, Identity, Mapping[int, SealedSummary]]:
        """Return what the body asks, how it is recognised when it is sent again, and the summaries in it."""
        settings = self._settings
        decoded, body = await self._bodies.read(request, decode_response)
        referenced = await self._targets.referenced(decoded, request.caller)
        summaries = self._seal.opened(decoded.input, request.caller.key_id)
        shown = as_messages(summaries)
        parsed = await apart(body, lambda: parse_response(decoded, referenced, settings.bounds, shown))
        check_request(parsed, settings)
        identity = await apart(
            body,
            lambda: identity_of(
                request.headers, _identifying(request, body), stream_fields=parsed.stream_fields
            ),
        )
        return parsed, identity, summaries

    async def _submit(
        self,
        request: Request,
        parsed: ResponseRequest,
        echo: Echo,
        identity: Identity,
        target: ResponseTarget,
    ) -> Submission:
        kept = msgspec.Raw(encode(echo)) if parsed.trace else NO_ECHO
        asked = turn_request(
            parsed,
            request.headers,
            target.session_key,
            identity,
            request.caller,
            self._settings,
            after=target.after,
            record=Record(kept, is_detached=parsed.background),
        )
        submission = await self._submitter.submit(asked, request.caller)
        request.answer_headers += submission.headers
        return submission

    async def _stream(
        self, request: Request, send: Send, parsed: ResponseRequest, echo: Echo, submission: Submission
    ) -> None:
        admission = submission.admission
        events = ResponseEvents(
            admission.turn_id,
            echo,
            inputs=len(parsed.input),
            ended_at=end_time(self._store, admission.turn_id),
            begins_at_once=parsed.background,
        )
        stream = Stream(request, events, send, turn_headers(admission, parsed), ping_s=self._settings.ping_s)
        await stream.run(self._submitter.follow(admission), is_over=admission.is_over)

    async def _answer(
        self, request: Request, send: Send, parsed: ResponseRequest, echo: Echo, submission: Submission
    ) -> None:
        admission = submission.admission
        headers = turn_headers(admission, parsed)
        follower = self._submitter.follow(admission)
        if not parsed.background:
            result = await wait_for_answer(request, send, follower, headers, is_over=admission.is_over)
            if result is None:
                return
            headers += answer_headers(result)
        state = await self._store.turn(admission.turn_id)
        body = encode(response_object(state, echo, inputs=len(parsed.input)))
        if parsed.background:
            await answer(send, 200, body, headers)
        else:
            await deliver(request, send, follower, body, headers)

    async def _forget(self, session_key: str, turn_id: str) -> None:
        """Delete the conversation of a response that is to leave no trace, once it has ended."""
        try:
            if (await self._store.turn(turn_id)).end is not None:
                await self._store.delete_session(session_key)
        except (SessionNotFound, TurnNotFound):
            # The request was sent twice and answered twice, and the first has deleted it.
            return


def _identifying(request: Request, body: bytes) -> bytes:
    """Return what recognises the request when it is sent again: keys of the API may send equal bodies."""
    return b"\0".join((b"response", (request.caller.key_id or "").encode(), body))


def operations(
    store: Store,
    submitter: Submitter,
    attachments: Attachments,
    clock: Clock,
    randomness: Randomness,
    settings: ApiSettings,
    *,
    compacting: Compacting,
    seal: SummarySeal,
) -> tuple[Operation, ...]:
    """Return the operations of this module, those on responses that there are, and those that compact."""
    stored = StoredResponses(store, submitter, settings)
    targets = Targets(store, stored, clock, randomness)
    responses = Responses(store, submitter, targets, seal, settings)
    compactions = CompactionRoutes(
        store, submitter, stored, targets, attachments, compacting, seal, clock, randomness, settings
    )
    path = "/v1/responses/{response_id}"
    return (
        *input_tokens.operations(input_tokens.Counting(store, stored, targets, attachments, seal, settings)),
        *compaction.operations(compactions),
        Operation(
            method="POST",
            path="/v1/responses",
            run=responses.create,
            summary="Make a response",
            tag="Responses",
            right="chat",
            parameters=(*PARAMETERS, TOOL_ITEMS),
            body=ResponseBody,
            answers={200: ResponseObject},
            streams=True,
            links={"response_id": "$response.body#/id", "turn_id": "$response.header.x-turn-id"},
            errors=(
                ModelNotFound,
                ResponseNotFound,
                ConversationNotFound,
                ItemNotFound,
                UploadNotFound,
                SessionBusy,
                IdempotencyMismatch,
                QueueFull,
                Overloaded,
                ShuttingDown,
                ModelError,
            ),
        ),
        Operation(
            method="GET",
            path=path,
            run=stored.show,
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
            run=stored.delete,
            summary="Delete a response",
            tag="Responses",
            right="chat",
            answers={200: ResponseDeleted},
            errors=(ResponseNotFound,),
        ),
        Operation(
            method="POST",
            path=f"{path}/cancel",
            run=stored.cancel,
            summary="Stop a response",
            tag="Responses",
            right="chat",
            answers={200: ResponseObject},
            errors=(ResponseNotFound,),
        ),
        Operation(
            method="GET",
            path=f"{path}/input_items",
            run=stored.input_items,
            summary="The input of a response",
            tag="Responses",
            right="chat",
            parameters=PAGING,
            answers={200: Page[WireItem]},
            errors=(ResponseNotFound, ItemNotFound),
        ),
    )
