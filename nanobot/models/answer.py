"""One provider's answer while it is read: bytes within deadlines, cut into payloads, handed to the reader of
the wire format.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

import msgspec

from nanobot.core.audience import Audience
from nanobot.core.clock import Clock
from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import Delta
from nanobot.core.interpreter import handed_over_soon
from nanobot.core.message import Message
from nanobot.models.http import ProviderResponse, Timeouts
from nanobot.models.pace import EVENT_CHARS, ReadingPace, SharedPace
from nanobot.models.refusals import ErrorSource, RequestFailed
from nanobot.models.sse import BOM, MAX_EVENT_BYTES, EventSplitter, EventTooLarge

_AFTER_FINISH_S = 5.0
MAX_SILENT_BYTES = 2 * MAX_EVENT_BYTES
BYTES_A_CHARACTER = 1_000
"""How many bytes an answer may take for each character that it says, beyond the first ones: events of one
character have some 400. A server that sends comments or empty events without end must not keep the turn busy.
"""
_BLANK = b" \t\r\n"
_LARGE_CHARS = 64 * 1024
_COUNTED_TOGETHER = 16 * 1024
"""How many characters of an answer are counted as one: most answers are over before."""
_WHOLE = b"{["
"""What a body of JSON begins with, and no event does."""


class FormatTerms(msgspec.Struct, frozen=True):
    """What a wire format calls its parts, for error messages.

    `answer`: the whole; `content`: what an answer must have one of; `ending`: the field that ends it.
    """

    answer: str
    content: str
    ending: str


TakeTexts = Callable[[list[bytes], int, list[Delta]], int]
"""Reads payloads from a place on, appends what they add, and returns the place of the first other one."""


class AnswerReader(Protocol):
    """Reads one answer of a wire format, payload by payload.

    Attributes:
        has_content: a part of the answer has come.
        finished: the model has said that it is done; usage may still follow.
        done: the format's own end mark has come; nothing follows.
        unknown_end: why the answer was cut, in the words of the model, where nothing is known of the reason:
            it is not asked to go on. Empty otherwise.
        hidden_chars: how much has come that no delta tells: the arguments of calls, in characters.
    """

    has_content: bool
    finished: bool
    done: bool
    unknown_end: str
    hidden_chars: int

    def take(self, payload: bytes, deltas: list[Delta]) -> None:
        """Read one payload (the data of an event, or the body of an answer that is not streamed) and append
        what it adds to `deltas`.

        Raises:
            RequestFailed: it does not belong to the format, or is an error in the place of an answer.
        """
        ...

    @property
    def take_texts(self) -> "TakeTexts | None":
        """Reads several payloads at once that are nothing but further text; None where the format does not
        tell such at a glance.
        """
        ...

    def end(self, deltas: list[Delta]) -> None:
        """Append what was held back to `deltas`; nothing more comes."""
        ...

    def message(self) -> Message:
        """Return the whole message.

        Raises:
            RequestFailed: what came does not make one.
        """
        ...


class AnswerStream:
    """One answer while it is read. `done`: it is whole, and `message` may be called.

    Where an `audience` is given and nobody in it listens, what has begun is read in larger pieces.
    `shared_pace`: what it shares with other answers of the provider that come faster than a model writes.
    """

    def __init__(
        self,
        response: ProviderResponse,
        reader: AnswerReader,
        *,
        source: ErrorSource,
        terms: FormatTerms,
        first_by: float,
        timeouts: Timeouts,
        clock: Clock,
        shared_pace: SharedPace,
        audience: Audience | None = None,
    ) -> None:
        self.done = False
        response.late = f"no answer began within {timeouts.first_chunk_s:g} s"
        self._response: ProviderResponse | None = response
        self._reader = reader
        self._source = source
        self._terms = terms
        self._loop = asyncio.get_running_loop()
        self._first_by: float | None = first_by
        self._idle_s = timeouts.idle_s
        self._head = b""
        self._failed: RequestFailed | asyncio.CancelledError | None = None
        self._audience = audience
        self._size_bytes = self._chars = 0
        self._clock = clock
        self._pace = ReadingPace(shared_pace)
        self._events = self._counted_chars = 0
        self._rests_until = 0.0
        self._splitter: EventSplitter | _WholeBody | None = None

    async def read(self) -> list[Delta]:
        """Return what the next bytes add; empty where they add nothing.

        What came before a failure, or before the reading was cancelled, is returned first.

        Raises:
            RequestFailed: the answer broke off, or cannot be understood.
        """
        if self._failed is not None:
            raise self._failed
        deadline = self._first_by if self._first_by is not None else self._loop.time() + self._idle_s
        deltas: list[Delta] = []
        try:
            chunk = await self._next(deadline)
            if chunk:
                self._take(chunk, deltas)
                self._check_size(len(chunk), deltas)
            else:
                self._end(deltas)
        except RequestFailed as failed:
            # Wherever the network cut the two.
            if not deltas:
                raise
            self._failed = failed
        except asyncio.CancelledError as stopped:
            await self._take_rest(deltas)
            if not deltas:
                raise
            # Also where the rest was all that was missing: whoever cancels must not find it done.
            self.done = False
            self._failed = stopped
        if self.done:
            self._reader.end(deltas)
        return deltas

    @property
    def hidden_chars(self) -> int:
        """How much of the answer no delta has told, in characters."""
        return self._reader.hidden_chars

    @property
    def unknown_end(self) -> str:
        """As in `AnswerReader`."""
        return self._reader.unknown_end

    async def message(self) -> Message:
        """Return the whole message; raise as `AnswerReader.message`. Of thousands of calls it is made beside
        the event loop.
        """
        if self._reader.hidden_chars <= _LARGE_CHARS:
            return self._reader.message()
        return await asyncio.to_thread(self._computed)

    def _computed(self) -> Message:
        with handed_over_soon():
            return self._reader.message()

    def close(self) -> None:
        """Release the connection: it is kept where the answer is whole, cut otherwise. Safe to call twice."""
        response, self._response = self._response, None
        if response is None:
            return
        if self.done:
            response.finish()
        else:
            response.close()

    async def _next(self, deadline: float) -> bytes:
        """Return the next bytes; empty at the end."""
        if self._response is None:
            return b""
        if self._rests_until:
            await self._clock.sleep(max(0.0, self._rests_until - self._loop.time()))
            self._rests_until = 0.0
        # The first piece, and the end once the model is done, are waited for by somebody in any case.
        gathers = self._first_by is None and not self._reader.finished
        try:
            return await self._response.read(deadline, self._audience if gathers else None)
        except RequestFailed:
            # After the model's own end only the usage can be lost, or the end mark that a server owes.
            if not self._reader.finished:
                raise
            return b""

    def _check_size(self, size_bytes: int, deltas: list[Delta]) -> None:
        """Count what has come.

        Raises:
            RequestFailed: it is far too much for what it says.
        """
        self._size_bytes += size_bytes
        for delta in deltas:
            self._chars += len(delta.text)
        chars = self._chars + self._reader.hidden_chars
        work = chars + EVENT_CHARS * self._events
        if work - self._counted_chars >= _COUNTED_TOGETHER:
            self._rests_until = self._pace.count(work - self._counted_chars, self._loop.time())
            self._counted_chars = work
        if self._size_bytes <= MAX_SILENT_BYTES:
            return
        if self._size_bytes > MAX_SILENT_BYTES + BYTES_A_CHARACTER * chars:
            raise RequestFailed(
                ModelBadAnswer(
                    f"{self._source.name} sent {self._size_bytes} bytes that say {chars} characters"
                )
            )

    async def _take_rest(self, deltas: list[Delta]) -> None:
        """Take what has come and was not read yet, as far as it can be understood."""
        rest = await self._response.rest() if self._response is not None else b""
        if rest:
            with contextlib.suppress(RequestFailed):
                self._take(rest, deltas)

    def _take(self, chunk: bytes, deltas: list[Delta]) -> None:
        splitter = self._splitter
        if splitter is None:
            chunk = self._head = self._head + chunk
            splitter = self._splitter = _splitter_of(chunk)
            if splitter is None:
                return
        try:
            payloads = splitter.feed(chunk)
        except EventTooLarge as error:
            failure = ModelBadAnswer(f"{self._source.name} sent too much at once: {error}")
            raise RequestFailed(failure) from None
        if self._first_by is not None and (payloads or isinstance(splitter, _WholeBody)):
            self._begin()
        self._take_payloads(payloads, deltas)

    def _take_payloads(self, payloads: list[bytes], deltas: list[Delta]) -> None:
        reader = self._reader
        take_texts = reader.take_texts
        at, end = 0, len(payloads)
        self._events += end
        while at < end:
            if take_texts is not None and (after := take_texts(payloads, at, deltas)) > at:
                at = after
                continue
            payload = payloads[at]
            at += 1
            if payload:
                reader.take(payload, deltas)
                if reader.done:
                    self.done = True
                    return
        if reader.finished:
            # All that can still come is the usage, which is not worth a long wait.
            self._idle_s = min(self._idle_s, _AFTER_FINISH_S)

    def _begin(self) -> None:
        self._first_by = None
        if self._response is not None:
            self._response.late = f"stopped in the middle of its answer: nothing came for {self._idle_s:g} s"

    def _end(self, deltas: list[Delta]) -> None:
        """Read what the last bytes left open, and check that the answer is whole.

        Raises:
            RequestFailed: it is not.
        """
        try:
            self._take_payloads(self._splitter.end() if self._splitter is not None else [], deltas)
        except RequestFailed as failed:
            # The end of the body may have cut the last payload in two.
            failed.may_retry = failed.may_retry or isinstance(failed.error, ModelBadAnswer)
            raise
        if not self.done:
            self._check_whole()
        self.done = True

    def _check_whole(self) -> None:
        name, terms = self._source.name, self._terms
        if isinstance(self._splitter, _WholeBody):
            if not self._reader.has_content:
                raise RequestFailed(ModelBadAnswer(f"{name} sent an answer without a {terms.content} in it"))
        elif not self._reader.finished:
            if self._splitter is not None and self._first_by is not None:
                raise RequestFailed(
                    ModelBadAnswer(
                        f"{name} sent something that is no {terms.answer}: {self._source.question}"
                    )
                )
            raise RequestFailed(
                ModelBadAnswer(f"{name} broke off its answer: it ended without a {terms.ending}"),
                may_retry=True,
            )


class _WholeBody:
    """The body of a server that answers in one piece although a stream was requested: one payload, or one of
    each line where each is whole JSON.
    """

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
        body = b"".join(self._pieces).removeprefix(BOM)
        lines = [line for line in map(bytes.strip, body.splitlines()) if line]
        return lines if all(line[:1] == b"{" and line[-1:] == b"}" for line in lines) else [body]


def _splitter_of(head: bytes) -> EventSplitter | _WholeBody | None:
    """Return what cuts a body that begins with `head` into payloads; None while `head` is too short to tell.

    The content type is not asked: servers err there.
    """
    start = head.removeprefix(BOM).lstrip(_BLANK)
    if not start or BOM.startswith(head):
        return None
    return _WholeBody() if start[0] in _WHOLE else EventSplitter()
