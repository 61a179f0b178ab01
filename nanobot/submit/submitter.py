"""The one way for every entry point to ask the agent for something: request in, admitted turn out."""

import asyncio
from collections.abc import Callable, Set

import msgspec

from nanobot.access.admission import Gate
from nanobot.access.caller import Caller
from nanobot.access.quotas import Headers
from nanobot.core.audit_log import AuditEntry, AuditSink
from nanobot.core.clock import Clock
from nanobot.core.errors import InvalidRequest, NanobotError, SessionNotFound
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Audio, Message, Text
from nanobot.core.output import OutputSchemas
from nanobot.core.payer import PAYER
from nanobot.core.store import Store
from nanobot.core.turn import Admission, Identity, Origin, Turn, TurnState
from nanobot.submit.attachments import Attachments, has_references, with_sources
from nanobot.submit.deliveries import RefusedRequests
from nanobot.submit.followers import Followers, Following
from nanobot.submit.request import AGENT, TurnRequest

_IN_THE_LOG_ALREADY: frozenset[Origin] = frozenset({"api"})
"""Where requests come from that are written down as a whole when they are answered."""


class Submission(msgspec.Struct, frozen=True):
    """A request that has become a turn, or that was recognised as a resend of one.

    `headers`: what is left of the caller's quotas, as headers of HTTP.
    """

    admission: Admission
    headers: Headers = ()

    @property
    def turn_id(self) -> str:
        return self.admission.turn_id


class Submitter:
    """Takes requests for turns: resolves what their messages refer to, holds them to the quotas, admits them.

    `check_length` raises `ContextOverflow` where the newest message of a turn does not fit its model's
    window. `model_of`: the model that answers in a session where nothing else names one. `audio_models`: the
    models that take audio, `AGENT` among them where the default model does.
    `most_pictures` says how many pictures out of files a model of that name may be shown.
    """

    def __init__(
        self,
        store: Store,
        gate: Gate,
        attachments: Attachments,
        schemas: OutputSchemas,
        followers: Followers,
        audit: AuditSink | None,
        clock: Clock,
        randomness: Randomness,
        *,
        check_length: Callable[[Turn], None],
        model_of: Callable[[str], str | None],
        audio_models: Set[str] = frozenset(),
        most_pictures: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._most_pictures = most_pictures
        self._store = store
        self._gate = gate
        self._attachments = attachments
        self._schemas = schemas
        self._followers = followers
        self._audit = audit
        self._clock = clock
        self._randomness = randomness
        self._check_length = check_length
        self._model_of = model_of
        self._audio_models = audio_models
        self._refused = RefusedRequests(clock)

    async def room(self) -> None:
        """Wait, before a request is read, while others of its payer have to wait for those of others."""
        await self._store.room()

    async def submit(self, request: TurnRequest, caller: Caller) -> Submission:
        """Commit the request as a turn, or find the turn of which it is a resend.

        Raises:
            InvalidRequest: a part of a message cannot be had or read, or the model cannot take it;
                `param` names it.
            ContextOverflow: the newest message alone does not fit the model's window.
            UploadNotFound: a part refers to an upload that the session does not have.
            RateLimited, QuotaExceeded, SessionBusy, QueueFull, Overloaded, IdempotencyMismatch,
                ShuttingDown, StoreError
        """
        if _is_text(request.input) and _is_text(request.earlier):
            return await self._submitted(request, caller, None)
        async with self._attachments.keeping(request.session_key) as kept:
            return await self._submitted(request, caller, kept)

    async def _submitted(self, request: TurnRequest, caller: Caller, kept: list[str] | None) -> Submission:
        """Do as `submit`; `kept` gets the ids of files that were kept for the request, None: it is text."""
        identity = request.identity
        if identity.is_retry:
            identity = await self.recognised(request.session_key, identity)
            request = msgspec.structs.replace(request, identity=identity)
        if kept is not None:
            request = await self._resolved(request, kept)
        wanted = request.format
        if wanted is not None and wanted.kind == "json_schema":
            await self._schemas.check(wanted.schema, request.format_param or "format", request.session_key)
        now = self._clock.now()
        default_model = self._model_of(request.session_key)
        address = PAYER.get() if caller.key_id is None else ""
        turn = request.turn(new_id("turn", now, self._randomness), caller.key_id, default_model, address)
        # Refused before it is stored: it could never be answered.
        self._check_length(turn)
        admission, headers = await self._admitted(request, turn, caller)
        if self._audit is not None and request.origin not in _IN_THE_LOG_ALREADY:
            operation = f"submit ({request.origin})"
            self._audit.note(
                AuditEntry(now, operation, None, caller.key_id, None, turn.session_key, admission.turn_id)
            )
        return Submission(admission, headers)

    async def recognised(self, session_key: str, identity: Identity) -> Identity:
        """Return how the request is recognised: as a first try where the try before it was refused.

        `session_key` empty: whichever session the request means.

        Raises:
            StoreError
        """
        if not identity.is_retry or identity.dedupe_key is not None:
            return identity
        if self._refused.has(session_key, identity):
            return Identity(identity.digest)
        # The store decides by what was delivered.
        await self._followers.deliveries.flush()
        return identity

    async def _admitted(self, request: TurnRequest, turn: Turn, caller: Caller) -> tuple[Admission, Headers]:
        key, identity = request.session_key, request.identity
        try:
            admitted = await self._gate.admit(caller, turn, identity, request.earlier)
        except NanobotError:
            if identity.dedupe_key is None:
                self._refused.note(key, identity)
                if request.record is not None:
                    # Responses may find their session by the body alone.
                    self._refused.note("", identity)
            raise
        self._refused.forget(key, identity)
        return admitted

    def check_quotas(self, caller: Caller, session_key: str) -> None:
        """Return where the caller may spend more in the session.

        Raises:
            RateLimited, QuotaExceeded
        """
        self._gate.check(caller, session_key)

    def follow(self, turn: Admission | TurnState) -> Following:
        """Return a follower of the turn; see `Followers`."""
        turn_id = turn.turn_id if isinstance(turn, Admission) else turn.id
        return self._followers.follow(turn_id, turn.answered_by)

    async def _resolved(self, request: TurnRequest, kept: list[str]) -> TurnRequest:
        """Return the request with everything that its messages refer to.

        One that is sent again was resolved the first time; what it refers to may be gone by now.
        """
        key = request.session_key
        if has_references(request.input) and await self._store.knows(key, request.identity):
            return request
        whole = await self._attachments.resolve(
            request.input,
            key,
            most_pictures=self._most_pictures(await self._model(request)),
            kept=kept if request.trace else None,
        )
        # Only after resolving is it known which of the files are recordings.
        if _has_audio(whole) and (model := await self._model(request)) not in self._audio_models:
            raise InvalidRequest(f"the model `{model}` takes no audio: send text instead", param="messages")
        earlier = await self._resolved_earlier(request)
        return msgspec.structs.replace(request, input=whole, earlier=earlier)

    async def _resolved_earlier(self, request: TurnRequest) -> tuple[Message, ...]:
        """Return the earlier messages with the content of those that the transcript lacks; the others are
        recognised by where their content came from.
        """
        if not has_references(request.earlier):
            return request.earlier
        earlier = await asyncio.to_thread(with_sources, request.earlier)
        key = request.session_key
        shared = await self._store.shared(key, earlier, is_whole=request.is_whole or not request.trace)
        return (*earlier[:shared], *await self._attachments.resolve_earlier(earlier[shared:], key))

    async def _model(self, request: TurnRequest) -> str:
        """Return the name of the model that will answer: the request's, else its session's, else the one that
        the settings say.
        """
        if request.model is not None:
            return request.model
        otherwise = self._model_of(request.session_key) or AGENT
        try:
            return (await self._store.session(request.session_key)).model or otherwise
        except SessionNotFound:
            return otherwise


def _is_text(messages: tuple[Message, ...]) -> bool:
    """Return whether there is nothing but text, as in most requests."""
    # Every turn passes here, and loops cost less than `all` with a generator.
    for message in messages:
        for part in message.parts:
            if type(part) is not Text:
                return False
    return True


def _has_audio(messages: tuple[Message, ...]) -> bool:
    return any(isinstance(part, Audio) for message in messages for part in message.parts)
