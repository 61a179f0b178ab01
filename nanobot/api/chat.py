"""POST /v1/chat/completions: a body becomes a turn, the turn's events or its answer become the response."""

from functools import partial

import msgspec
from starlette.types import Send

from nanobot.api.settings import ApiSettings
from nanobot.api.turn_request import PARAMETERS, check_request, identity_of, turn_headers, turn_request
from nanobot.api.wire.chat_answer import Completion, completion
from nanobot.api.wire.chat_form import ChatForm, parse_form
from nanobot.api.wire.chat_request import ChatBody, ChatRequest, parse_chat
from nanobot.api.wire.chunks import Chunks
from nanobot.core.errors import (
    IdempotencyMismatch,
    ModelError,
    ModelNotFound,
    Overloaded,
    QueueFull,
    QuotaExceeded,
    RateLimited,
    SessionBusy,
    ShuttingDown,
    UploadNotFound,
)
from nanobot.core.ids import time_of
from nanobot.http.form import is_form, read_form
from nanobot.http.json_body import apart
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import answer_headers, deliver, wait_for_answer
from nanobot.http.session_key import NEEDED_SESSION_KEY, KeyReader
from nanobot.http.stream import Stream, wanted_events
from nanobot.submit.submitter import Submission, Submitter

TOOL_EVENTS = Parameter(
    "x-events", "header", "named events to send: `tools` (their progress), `models` (which one answers)"
)


class ChatCompletions:
    """The route."""

    def __init__(self, submitter: Submitter, settings: ApiSettings) -> None:
        self._submitter = submitter
        self._settings = settings
        self._keys = KeyReader(settings.session_headers)
        self._bodies = settings.json_bodies()
        self._parse = partial(parse_chat, bounds=settings.bounds)

    def operation(self) -> Operation:
        return Operation(
            method="POST",
            path="/v1/chat/completions",
            run=self.create,
            summary="Ask the agent",
            tag="Chat",
            right="chat",
            parameters=(NEEDED_SESSION_KEY, *PARAMETERS[1:], TOOL_EVENTS),
            body=ChatBody,
            form=ChatForm,
            answers={200: Completion},
            streams=True,
            errors=(
                ModelNotFound,
                UploadNotFound,
                SessionBusy,
                IdempotencyMismatch,
                QueueFull,
                Overloaded,
                RateLimited,
                QuotaExceeded,
                ShuttingDown,
                ModelError,
            ),
            links={"turn_id": "$response.header.x-turn-id"},
        )

    async def create(self, request: Request, send: Send) -> None:
        """POST /v1/chat/completions"""
        key = self._keys.read(request.headers, request.caller)
        await self._submitter.room()
        parsed, submission = await self._submitted(request, key)
        # What was asked may be large, and the answer may be long in coming.
        request.body_is_done()
        if parsed.stream:
            await self._stream(request, send, parsed, submission)
        else:
            await self._answer(request, send, parsed, submission)

    async def _submitted(self, request: Request, key: str) -> tuple[ChatRequest, Submission]:
        """Return what the body asks, without its messages, and the turn that it has become."""
        parsed, body = await self._parsed(request)
        check_request(parsed, self._settings)
        identity = await apart(
            body, lambda: identity_of(request.headers, body, stream_fields=parsed.stream_fields)
        )
        asked = turn_request(parsed, request.headers, key, identity, request.caller, self._settings)
        request.session_key = key
        submission = await self._submitter.submit(asked, request.caller)
        request.answer_headers += submission.headers
        return msgspec.structs.replace(parsed, input=(), earlier=(), tools=()), submission

    async def _parsed(self, request: Request) -> tuple[ChatRequest, bytes]:
        """Return what the body asks, and the bytes that recognise it when it is sent again."""
        settings = self._settings
        if is_form(request):
            form = await read_form(
                request, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s
            )
            return parse_form(form)
        return await self._bodies.read(request, self._parse)

    async def _answer(
        self, request: Request, send: Send, parsed: ChatRequest, submission: Submission
    ) -> None:
        admission = submission.admission
        headers = turn_headers(admission, parsed)
        follower = self._submitter.follow(admission)
        result = await wait_for_answer(request, send, follower, headers, is_over=admission.is_over)
        if result is not None:
            body = completion(result, model=parsed.model, created=time_of(admission.turn_id))
            await deliver(request, send, follower, body, headers + answer_headers(result))

    async def _stream(
        self, request: Request, send: Send, parsed: ChatRequest, submission: Submission
    ) -> None:
        admission = submission.admission
        chunks = Chunks(
            admission.turn_id,
            model=parsed.model,
            created=time_of(admission.turn_id),
            include_usage=parsed.include_usage,
            events=wanted_events(request.headers),
        )
        stream = Stream(request, chunks, send, turn_headers(admission, parsed), ping_s=self._settings.ping_s)
        await stream.run(self._submitter.follow(admission), is_over=admission.is_over)
