"""Any server that speaks OpenAI's chat completions, by its base URL."""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from itertools import groupby
from typing import Literal, get_args

from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError, ModelBadAnswer, ModelLacksAbility
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.turn import OutputFormat
from nanobot.models.http import Address, Incoming, ProviderConnection, Timeouts
from nanobot.models.openai.answer import AnswerReader
from nanobot.models.openai.request import FIELDS_OF_THE_REQUEST, encode
from nanobot.models.refusals import ErrorSource, Failed, refusal, retry_after_s
from nanobot.models.sse import MAX_EVENT_BYTES, EventSplitter, EventTooLarge

__all__ = ["OpenAIChat", "Timeouts"]

EVERYTHING: frozenset[Ability] = frozenset(get_args(Ability))
_OPENAI_HOST = "api.openai.com"
_CHECK_HOLDS_S = 30.0
_ERROR_BODY_S = 5.0
_AFTER_FINISH_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_LONGEST_ASKED_PAUSE_S = 20.0
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_BRACE = ord("{")


class OpenAIChat:
    """A model behind an OpenAI-compatible API.

    A failed request is sent again, at most `max_retries` times and only while nothing of its answer was
    yielded. `socket_path`: talk over this Unix socket; `base_url` then only says the path. `extra_body`:
    further fields of each request.

    Raises:
        ConfigError: the base URL, the key or the extra fields cannot be used.
    """

    def __init__(
        self,
        *,
        name: str,
        model: str,
        base_url: str,
        api_key: str | None,
        context_tokens: int,
        clock: Clock,
        random: random.Random,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        max_retries: int = 2,
        socket_path: str | None = None,
        extra_body: Mapping[str, object] | None = None,
        abilities: frozenset[Ability] = EVERYTHING,
    ) -> None:
        address = Address(base_url)
        if api_key and not api_key.isprintable():
            raise ConfigError(f"API key of {name}: a line break or another control character is in it")
        if taken := FIELDS_OF_THE_REQUEST.intersection(extra_body or ()):
            raise ConfigError(f"extra_body of {name}: {', '.join(sorted(taken))} cannot be set there")
        self._name = name
        self._context_tokens = context_tokens
        self._abilities = abilities
        self._clock = clock
        self._random = random
        self._timeouts = timeouts
        self._max_retries = max_retries
        self._extra = dict(extra_body or {})
        self._is_openai = address.host == _OPENAI_HOST
        self._limit_field: Literal["max_tokens", "max_completion_tokens"] = (
            "max_completion_tokens" if self._is_openai else "max_tokens"
        )
        self._asks_usage = True
        self._source = ErrorSource(name, model, address.shown, api_key or None)
        self._line = ProviderConnection(self._source, address, timeouts, socket_path)
        self._reached_at: float | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    @property
    def abilities(self) -> frozenset[Ability]:
        return self._abilities

    async def warm(self) -> None:
        """Load what the first request needs, off the event loop; without it the first request does so.

        Raises:
            ModelUnreachable: the model was closed.
        """
        try:
            await self._line.warm()
        except Failed as failed:
            raise failed.error from None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, then the message; closing the generator cuts the connection.

        Raises:
            ModelError: as the class says; see `wire_errors` for what becomes of which answer.
        """
        tries = _Tries(self._clock, self._random, self._max_retries)
        while True:
            try:
                reading = await self._ask(request)
            except Failed as failed:
                await tries.again(failed)
                continue
            try:
                while not reading.done:
                    for delta in _merged(await reading.read()):
                        tries.left = 0
                        yield delta
                message = reading.message()
            except Failed as failed:
                reading.close()
                await tries.again(failed)
                continue
            finally:
                reading.close()
            yield message
            return

    async def check(self) -> None:
        """Return when the server answers and takes the key; a good result holds for 30 s.

        Raises:
            ModelError: it does not.
        """
        now = self._clock.now()
        if self._reached_at is not None and 0 <= now - self._reached_at < _CHECK_HOLDS_S:
            return
        try:
            incoming = await self._line.get_models()
            if incoming.status in (401, 403) or incoming.status >= 500:
                raise self._refusal(incoming, await incoming.read_error(_ERROR_BODY_S))
            incoming.close()
        except Failed as failed:
            raise failed.error from None
        self._reached_at = now

    async def close(self) -> None:
        """Cut all connections. Safe to call twice; requests after it raise `ModelUnreachable`."""
        await self._line.close()

    async def _ask(self, request: ModelRequest) -> "_Reading":
        """Send the request once and return its answer, from the first byte of the body on."""
        asks_usage = self._asks_usage
        body = encode(
            request,
            model=self._source.model,
            limit_field=self._limit_field,
            asks_usage=asks_usage,
            sends_hint=self._is_openai,
            extra=self._extra,
            abilities=self._abilities,
        )
        first_by = asyncio.get_running_loop().time() + self._timeouts.first_chunk_s
        incoming = await self._line.post(body, first_by)
        if 200 <= incoming.status < 300:
            return _Reading(
                incoming,
                AnswerReader(self._source, request.messages, self._random),
                self._source,
                first_by,
                self._timeouts,
            )
        told = await incoming.read_error(_ERROR_BODY_S)
        if asks_usage and incoming.status in (400, 422) and b"stream_options" in told:
            self._asks_usage = False
            return await self._ask(request)
        if request.format is not None and self._lacks(request.format, incoming.status, told):
            self._abilities -= {request.format.kind}
            raise Failed(
                ModelLacksAbility(f"{self._name} does not take response_format {request.format.kind}")
            )
        raise self._refusal(incoming, told)

    def _lacks(self, wanted: OutputFormat, status: int, told: bytes) -> bool:
        """Return whether the server says that it knows no such response_format;

        OpenAI knows, and then means the schema.
        """
        is_named = b"response_format" in told and b"chema for" not in told
        return wanted.kind in self._abilities and status in (400, 422) and is_named and not self._is_openai

    def _refusal(self, incoming: Incoming, told: bytes) -> Failed:
        return refusal(
            self._source, incoming.status, told, retry_after_s(incoming.headers, self._clock.now())
        )


def _merged(deltas: list[Delta]) -> list[Delta]:
    """Return what arrived together as few deltas: consecutive ones of a kind become one."""
    if len(deltas) < 2:
        return deltas
    return [kind("".join([delta.text for delta in run])) for kind, run in groupby(deltas, type)]


class _Tries:
    """How often one request may still be sent, and the pauses between: exponential, with full jitter."""

    def __init__(self, clock: Clock, random: random.Random, left: int) -> None:
        self.left = left
        self._clock = clock
        self._random = random
        self._pause_s = _FIRST_PAUSE_S

    async def again(self, failed: Failed) -> None:
        """Return after the pause before the next try.

        Raises:
            ModelError: there is none: the failure is final, tries are used up, or the provider asks for a
                longer pause than is waited.
        """
        asked_s = failed.error.retry_after_s or 0.0
        if not failed.again or self.left <= 0 or asked_s > _LONGEST_ASKED_PAUSE_S:
            raise failed.error from None
        self.left -= 1
        jittered_s = self._random.uniform(0.0, self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        await self._clock.sleep(asked_s or jittered_s)


class _WholeBody:
    """The body of a server that answers at once although a stream was asked for: one payload, at its end."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        self._pieces.append(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_EVENT_BYTES:
            raise EventTooLarge(f"answer of more than {MAX_EVENT_BYTES} bytes")
        return []

    def end(self) -> list[bytes]:
        return [b"".join(self._pieces).removeprefix(_BOM)]


def _payloads_of(head: bytes) -> EventSplitter | _WholeBody | None:
    """Return what reads a body that begins with `head`;

    None: it is too short to tell. The content type is not asked: servers err there.
    """
    start = head.removeprefix(_BOM).lstrip(_BLANK)
    if not start or _BOM.startswith(head):
        return None
    return _WholeBody() if start[0] == _BRACE else EventSplitter()


class _Reading:
    """One answer while it is read. `done`: nothing more comes, and `message` may be asked for."""

    def __init__(
        self,
        incoming: Incoming,
        answer: AnswerReader,
        source: ErrorSource,
        first_by: float,
        timeouts: Timeouts,
    ) -> None:
        self.done = False
        incoming.late = f"no answer began within {timeouts.first_chunk_s:g} s"
        self._incoming: Incoming | None = incoming
        self._answer = answer
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._first_by: float | None = first_by
        self._idle_s = timeouts.idle_s
        self._head = b""
        self._failed: Failed | None = None
        self._payloads: EventSplitter | _WholeBody | None = None

    async def read(self) -> list[Delta]:
        """Return what the next bytes add; empty where they add nothing.

        Raises:
            Failed: the answer broke off, or cannot be understood.
        """
        deadline = self._first_by if self._first_by is not None else self._loop.time() + self._idle_s
        deltas: list[Delta] = []
        if self._failed is not None:
            raise self._failed
        try:
            chunk = await self._incoming.read(deadline) if self._incoming is not None else b""
        except Failed:
            # The model had said that it is done: all that is lost is the usage, or a server's good manners.
            if not self._answer.finished:
                raise
            chunk = b""
        try:
            if chunk:
                self._take(chunk, deltas)
            else:
                self._end(deltas)
        except Failed as failed:
            # What came before the failure is heard first, wherever the network cut the two.
            if not deltas:
                raise
            self._failed = failed
        if self.done:
            self._answer.end(deltas)
        return deltas

    def message(self) -> Message:
        return self._answer.message()

    def close(self) -> None:
        """Let go of the connection: kept where the answer is whole, cut otherwise. Safe to call twice."""
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return
        if self.done:
            incoming.finish()
        else:
            incoming.close()

    def _take(self, chunk: bytes, deltas: list[Delta]) -> None:
        payloads = self._payloads
        if payloads is None:
            chunk = self._head = self._head + chunk
            payloads = self._payloads = _payloads_of(chunk)
            if payloads is None:
                return
        try:
            complete = payloads.feed(chunk)
        except EventTooLarge as error:
            raise Failed(ModelBadAnswer(f"{self._source.name} sent too much at once: {error}")) from None
        if self._first_by is not None and (complete or isinstance(payloads, _WholeBody)):
            self._begin()
        self._take_payloads(complete, deltas)

    def _take_payloads(self, payloads: list[bytes], deltas: list[Delta]) -> None:
        for payload in payloads:
            if payload[:1] == b"[" and payload.strip() == b"[DONE]":
                self.done = True
                return
            if payload:
                self._answer.take(payload, deltas)
        if self._answer.finished:
            self._idle_s = min(self._idle_s, _AFTER_FINISH_S)

    def _begin(self) -> None:
        self._first_by = None
        if self._incoming is not None:
            self._incoming.late = f"stopped in the middle of its answer: nothing came for {self._idle_s:g} s"

    def _end(self, deltas: list[Delta]) -> None:
        """Take what the server left open, and hold it to its word: it has said that the answer is whole, or
        it is broken off.
        """
        name = self._source.name
        try:
            self._take_payloads(self._payloads.end() if self._payloads is not None else [], deltas)
        except Failed as failed:
            failed.again = failed.again or isinstance(failed.error, ModelBadAnswer)
            raise
        if isinstance(self._payloads, _WholeBody):
            if not self._answer.heard:
                raise Failed(ModelBadAnswer(f"{name} sent an answer without a choice in it"))
        elif not self.done and not self._answer.finished:
            if self._payloads is not None and self._first_by is not None:
                raise Failed(
                    ModelBadAnswer(
                        f"{name} sent something that is no chat completion: is {self._source.address} its API?"
                    )
                )
            raise Failed(
                ModelBadAnswer(f"{name} broke off its answer: it ended without a finish_reason"), again=True
            )
        self.done = True
