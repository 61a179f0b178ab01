"""POST /v1/chat/completions: a body becomes a turn, the turn's events or its answer become the response."""

import msgspec
from starlette.types import Receive, Scope, Send

from nanobot.api import asking
from nanobot.api.models import AGENT, no_model
from nanobot.api.wire.chat_answer import Completion, completion
from nanobot.api.wire.chat_form import ChatForm, parse_form
from nanobot.api.wire.chat_request import ChatBody, ChatRequest, parse_chat
from nanobot.api.wire.chunks import Chunks
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    IdempotencyMismatch,
    ModelError,
    ModelNotFound,
    QueueFull,
    QuotaExceeded,
    RateLimited,
    SessionBusy,
    ShuttingDown,
    StreamingOff,
    UploadNotFound,
)
from nanobot.core.ids import Randomness, new_id
from nanobot.core.store import Store
from nanobot.core.turn import Admission, Identity, Turn
from nanobot.http import stream as sse
from nanobot.http.admission import admit
from nanobot.http.body import ClientGone, read_body
from nanobot.http.caller import caller_of
from nanobot.http.errors import turn_failure
from nanobot.http.form import is_form, read_form
from nanobot.http.operations import Operation, Parameter
from nanobot.http.respond import answer
from nanobot.http.session_key import NEEDED_SESSION_KEY, KeyReader
from nanobot.submit.attachments import Attachments
from nanobot.submit.followers import Followers

PARAMETERS = (
    *asking.PARAMETERS,
    Parameter("x-events", "header", "`tools`: tell the progress of tools as named events"),
)


class ChatSettings(msgspec.Struct, frozen=True):
    """How the chat route behaves.

    `models`: the names a request may use besides `nanobot`; `listeners`: those of all names that take audio.
    """

    models: tuple[str, ...] = ()
    listeners: frozenset[str] = frozenset()
    stream: bool = True
    session_headers: tuple[str, ...] = ()
    max_body_bytes: int = 20 * 1024 * 1024
    body_timeout_s: float = 30.0
    ping_s: float = 15.0
    metrics_open: bool = False


class ChatCompletions:
    """The route, as an ASGI app."""

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
        self._contents = contents
        self._followers = followers
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._keys = KeyReader(settings.session_headers)

    def operation(self) -> Operation:
        return Operation(
            method="POST",
            path="/v1/chat/completions",
            run=self,
            summary="Ask the agent",
            tag="Chat",
            right="chat",
            parameters=(NEEDED_SESSION_KEY, *PARAMETERS[1:]),
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
                RateLimited,
                QuotaExceeded,
                ShuttingDown,
                ModelError,
            ),
            makes={"turn_id": "$response.header.x-turn-id"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        key = self._keys.read(headers, caller_of(scope))
        settings = self._settings
        try:
            if is_form(scope):
                form = await read_form(
                    scope, receive, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s
                )
                request, body = parse_form(form)
            else:
                body = await read_body(
                    scope, receive, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s
                )
                request = parse_chat(body)
        except ClientGone:
            return
        self._check(request)
        now = self._clock.now()
        identity = asking.identity(headers, body)
        request = await self._filled(request, key, identity)
        turn = self._turn(key, request, headers, now)
        admission = await admit(scope, self._store, turn, identity, request.earlier)
        if request.stream:
            await self._stream(admission, request, headers, receive, send, now)
        else:
            await self._answer(admission, request, receive, send, now)

    def _check(self, request: ChatRequest) -> None:
        if request.stream and not self._settings.stream:
            raise StreamingOff(
                "stream=true is not supported yet. Set stream=false or omit it.", param="stream"
            )
        if request.model != AGENT and request.model not in self._settings.models:
            raise no_model(request.model)

    async def _filled(self, request: ChatRequest, key: str, identity: Identity) -> ChatRequest:
        """Return the request with all that its parts point at, if the model can take it."""
        given, earlier = await asking.filled(
            self._store,
            self._contents,
            identity,
            key,
            request.input,
            request.earlier,
            model=request.model,
            listeners=self._settings.listeners,
        )
        if given is request.input and earlier is request.earlier:
            return request
        return msgspec.structs.replace(request, input=given, earlier=earlier)

    def _turn(self, key: str, request: ChatRequest, headers: dict[bytes, bytes], now: float) -> Turn:
        return Turn(
            id=new_id("turn", now, self._randomness),
            session_key=key,
            input=request.input,
            origin="api",
            when_busy=asking.when_busy(headers),
            model=None if request.model == AGENT else request.model,
            instructions=request.instructions,
            sampling=request.sampling,
            trace=request.trace,
            tools=request.tools,
            tool_choice=request.tool_choice,
            format=request.format,
            labels=request.labels,
        )

    async def _answer(
        self, admission: Admission, request: ChatRequest, receive: Receive, send: Send, now: float
    ) -> None:
        result = await asking.wait_for_end(self._store, self._followers, admission, receive)
        if result is None:
            return
        headers = asking.turn_headers(admission)
        if result.end.error is not None:
            problem = turn_failure(result.end.error, is_over=admission.is_over)
            await answer(send, problem.status, problem.body, headers + problem.headers)
            return
        await answer(send, 200, completion(result, model=request.model, created=now), headers)

    async def _stream(
        self,
        admission: Admission,
        request: ChatRequest,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
        now: float,
    ) -> None:
        chunks = Chunks(
            admission.turn_id,
            model=request.model,
            created=now,
            include_usage=request.include_usage,
            tool_events=sse.wants_tools(headers),
        )
        stream = sse.Stream(
            self._store,
            self._followers,
            chunks,
            send,
            asking.turn_headers(admission),
            ping_s=self._settings.ping_s,
        )
        await stream.run(
            admission.turn_id, 0, receive, answered_by=admission.answered_by, is_over=admission.is_over
        )
