"""What all models behind an HTTP API share: one request is sent, again where that may help, and its answer
read as it comes. What a wire format adds is an `Exchange`.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from itertools import groupby

import msgspec

from nanobot.core.audience import Audience
from nanobot.core.clock import Clock
from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.models.answer import AnswerReader, AnswerStream, FormatTerms
from nanobot.models.http import ProviderConnection, ProviderResponse, Timeouts
from nanobot.models.refusals import ErrorSource, RequestFailed, refusal, retry_after_s
from nanobot.models.retry import Backoff

_CHECK_VALID_S = 30.0
_ERROR_BODY_S = 5.0
_MAX_ADAPTATIONS = 6


class Exchange(msgspec.Struct, frozen=True):
    """One request as a wire format writes it, and what reads its answer.

    `adapts(status, body)` is asked when the provider refused the request: it returns whether another exchange
    for the same request leaves out what was refused, and raises `RequestFailed` where it knows better than
    `refusals` what the refusal means. `rescued(body)` is asked before: it returns the answer that a refusal
    holds all the same, or None.
    """

    body: bytes
    reader: AnswerReader
    adapts: Callable[[int, bytes], bool]
    rescued: Callable[[bytes], Message | None] | None = None


class ProviderClient:
    """A provider's API: requests go to `answer_url`, `check` looks at `check_url`.

    A failed request is sent again, at most `max_retries` times and only while nothing of its answer was
    yielded.
    """

    def __init__(
        self,
        source: ErrorSource,
        connection: ProviderConnection,
        *,
        answer_url: str,
        check_url: str,
        terms: FormatTerms,
        timeouts: Timeouts,
        clock: Clock,
        random: random.Random,
        max_retries: int,
    ) -> None:
        self._source = source
        self._connection = connection
        self._answer_url = answer_url
        self._check_url = check_url
        self._terms = terms
        self._timeouts = timeouts
        self._clock = clock
        self._random = random
        self._max_retries = max_retries
        self._reached_at: float | None = None

    async def warm(self) -> None:
        """Load the HTTP library, off the event loop.

        Raises:
            ModelUnreachable: the client was closed.
        """
        try:
            await self._connection.warm()
        except RequestFailed as failed:
            raise failed.error from None

    async def stream(
        self, exchange: Callable[[], Exchange], audience: Audience | None = None
    ) -> AsyncGenerator[Delta | Message, None]:
        """Yield deltas as they come, or in larger pieces while an `audience` is given and nobody in it
        listens; then the message. Closing the generator cuts the connection.

        `exchange` is called for each try: what a refusal has taught the format is then in the request.

        Raises:
            ModelError: as `refusals` and `http` map what happened.
        """
        retries = Backoff(self._clock, self._random, self._max_retries, self._timeouts.retry_pause_s)
        while True:
            try:
                answer = await self._ask(exchange, audience)
            except RequestFailed as failed:
                await retries.pause(failed)
                continue
            if isinstance(answer, Message):
                yield answer
                return
            try:
                while not answer.done:
                    for delta in _merged(await answer.read()):
                        # What was passed on cannot be taken back.
                        retries.left = 0
                        yield delta
                message = answer.message()
            except RequestFailed as failed:
                # Already here: the connection must not be held during the pause.
                answer.close()
                await retries.pause(failed)
                continue
            finally:
                answer.close()
            yield message
            return

    async def check(self) -> None:
        """Return when the server answers and accepts the key; a good result is valid for 30 s.

        Raises:
            ModelError: it does not.
        """
        now = self._clock.now()
        if self._reached_at is not None and 0 <= now - self._reached_at < _CHECK_VALID_S:
            return
        try:
            response = await self._connection.get(self._check_url)
            if response.status in (401, 403) or response.status >= 500:
                raise self._refusal(response, await response.read_error(_ERROR_BODY_S))
            # Not every server has this route; that it answers, and does not refuse the key, is enough.
            response.close()
        except RequestFailed as failed:
            raise failed.error from None
        self._reached_at = now

    async def close(self) -> None:
        """Cut all connections. Safe to call twice; requests after it raise `ModelUnreachable`."""
        await self._connection.close()

    async def _ask(
        self, exchange: Callable[[], Exchange], audience: Audience | None
    ) -> AnswerStream | Message:
        """Send the request, again where the format adapts, and return its answer: from the first byte of the
        body on, or whole where it was rescued from a refusal.
        """
        adaptations_left = _MAX_ADAPTATIONS
        while True:
            asked = exchange()
            first_by = asyncio.get_running_loop().time() + self._timeouts.first_chunk_s
            response = await self._connection.post(self._answer_url, asked.body, first_by)
            if 200 <= response.status < 300:
                return AnswerStream(
                    response,
                    asked.reader,
                    source=self._source,
                    terms=self._terms,
                    first_by=first_by,
                    timeouts=self._timeouts,
                    audience=audience,
                )
            refused = await response.read_error(_ERROR_BODY_S)
            if asked.rescued is not None and (message := asked.rescued(refused)) is not None:
                return message
            # `adapts` is asked first, as it may raise a better explanation of the refusal.
            if not asked.adapts(response.status, refused) or not adaptations_left:
                raise self._refusal(response, refused)
            adaptations_left -= 1

    def _refusal(self, response: ProviderResponse, body: bytes) -> RequestFailed:
        pause_s = retry_after_s(response.headers, self._clock.now())
        return refusal(self._source, response.status, body, pause_s)


def _merged(deltas: list[Delta]) -> list[Delta]:
    """Return what arrived together as few deltas: consecutive ones of a kind become one."""
    if len(deltas) < 2:
        return deltas
    return [kind("".join([delta.text for delta in run])) for kind, run in groupby(deltas, type)]
