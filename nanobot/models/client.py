"""What all models behind an HTTP API share: one request is sent, again where that may help, and its answer
read as it comes. What a wire format adds is an `Exchange`.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from itertools import groupby
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from nanobot.core.audience import Audience
from nanobot.core.clock import Clock
from nanobot.core.errors import ModelError, ModelMisconfigured
from nanobot.core.event import Delta, parts_of
from nanobot.core.message import Message
from nanobot.core.model import AnswerTooLong
from nanobot.models.answer import AnswerReader, AnswerStream, FormatTerms
from nanobot.models.http import ProviderConnection, ProviderResponse, Timeouts
from nanobot.models.pace import SharedPace
from nanobot.models.refusals import ErrorSource, RequestFailed, refusal, retry_after_s
from nanobot.models.retry import Backoff

_CHECK_VALID_S = 30.0
_ERROR_BODY_S = 5.0
_MAX_LIST_BYTES = 4 * 1024 * 1024
_MISSING_VALID_S = 600.0
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
    yielded. An answer may have `max_answer_chars`: text, thinking and the arguments of calls together.
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
        max_answer_chars: int,
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
        self._keys = connection.transport.keys
        self._max_answer_chars = max_answer_chars
        self._pace = SharedPace()
        self._reached_at: float | None = None
        self._missing: str | None = None
        self._missing_since = 0.0

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
            AnswerTooLong: the answer has more than `max_answer_chars`; so many of them were yielded. Or it
                was cut for a reason that is not known.
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
                shown: list[Delta] = []
                left = self._max_answer_chars
                while not answer.done:
                    for delta in _merged(await answer.read()):
                        # What was passed on cannot be taken back.
                        retries.left = 0
                        left -= len(delta.text)
                        if left < 0:
                            delta = type(delta)(delta.text[:left])
                            if not delta.text:
                                break
                        shown.append(delta)
                        yield delta
                        if left < 0:
                            break
                    if left < answer.hidden_chars:
                        raise self._too_long(shown)
                message = await answer.message()
            except RequestFailed as failed:
                # Already here: the connection must not be held during the pause.
                answer.close()
                await retries.pause(failed)
                continue
            finally:
                answer.close()
            if answer.unknown_end and message.parts and not message.tool_calls:
                raise AnswerTooLong(
                    f"{self._source.name} ended its answer for a reason that is not known:"
                    f" {answer.unknown_end[:40]!r}",
                    message,
                )
            yield message
            return

    def _too_long(self, shown: list[Delta]) -> AnswerTooLong:
        return AnswerTooLong(
            f"{self._source.name} wrote more than {self._max_answer_chars} characters"
            " (model.max_answer_chars): it was stopped",
            Message("assistant", parts_of(shown), "length", model=self._source.name),
        )

    async def check(self) -> None:
        """Return when the server answers, accepts the key and has the model; a good result is valid for 30 s.

        Raises:
            ModelError: it does not.
        """
        now = self._clock.now()
        if self._missing is not None and 0 <= now - self._missing_since < _MISSING_VALID_S:
            raise ModelMisconfigured(self._missing)
        if self._reached_at is not None and 0 <= now - self._reached_at < _CHECK_VALID_S:
            return
        try:
            response = await self._reach(self._check_url)
            # Not every server has this route; that it answers, and does not refuse the key, is enough.
            await self._find_model(response)
        except RequestFailed as failed:
            raise failed.error from None
        self._reached_at = now

    async def close(self) -> None:
        """Cut all connections. Safe to call twice; requests after it raise `ModelUnreachable`."""
        await self._connection.close()

    async def _find_model(self, response: ProviderResponse) -> None:
        """Check that the model is in the list that has come, where lists of the provider are whole.

        Raises:
            RequestFailed: the provider has no such model.
        """
        if not self._connection.transport.lists_all or response.status != 200:
            response.close()
            return
        listed = model_ids(await response.read_error(_ERROR_BODY_S, _MAX_LIST_BYTES))
        model = self._source.model
        if not listed or model in listed:
            return
        # Some names are not in the list: aliases, and what is on its next page.
        parts = urlsplit(self._check_url)
        one = await self._reach(urlunsplit(parts._replace(path=f"{parts.path}/{quote(model, safe='/:')}")))
        one.close()
        if one.status == 404:
            text = f"{self._source.name}: there is no model {model!r} at {self._source.address}"
            raise RequestFailed(ModelMisconfigured(f"{text}: name another"))

    async def _reach(self, url: str) -> ProviderResponse:
        """Return the head of the response to a check.

        Raises:
            RequestFailed: the server cannot be reached, fails, or refuses every key.
        """
        while True:
            key = await self._keys.key() if self._keys is not None else None
            response = await self._connection.get(url, key)
            if response.status not in (401, 403) and response.status < 500:
                return response
            failed = self._refusal(response, await response.read_error(_ERROR_BODY_S))
            if not self._has_other_key(key, failed):
                raise failed

    def _has_other_key(self, key: str | None, failed: RequestFailed) -> bool:
        """Return whether the request that failed with `key` may succeed at once with another one."""
        return key is not None and self._keys is not None and self._keys.moves_on(key, failed.error)

    async def _ask(
        self, exchange: Callable[[], Exchange], audience: Audience | None
    ) -> AnswerStream | Message:
        """Send the request, again where the format adapts, and return its answer: from the first byte of the
        body on, or whole where it was rescued from a refusal.
        """
        adaptations_left = _MAX_ADAPTATIONS
        while True:
            asked = exchange()
            key = await self._keys.key() if self._keys is not None else None
            first_by = asyncio.get_running_loop().time() + self._timeouts.first_chunk_s
            response = await self._connection.post(self._answer_url, asked.body, first_by, key)
            if 200 <= response.status < 300:
                self._missing = None
                return AnswerStream(
                    response,
                    asked.reader,
                    source=self._source,
                    terms=self._terms,
                    first_by=first_by,
                    timeouts=self._timeouts,
                    clock=self._clock,
                    shared_pace=self._pace,
                    audience=audience,
                )
            refused = await response.read_error(_ERROR_BODY_S)
            if asked.rescued is not None and (message := asked.rescued(refused)) is not None:
                return message
            # `adapts` is asked first, as it may raise a better explanation of the refusal.
            if asked.adapts(response.status, refused) and adaptations_left:
                adaptations_left -= 1
                continue
            failed = self._refusal(response, refused)
            if not self._has_other_key(key, failed):
                self._note_missing(failed.error)
                raise failed

    def _note_missing(self, error: ModelError) -> None:
        """Remember where the provider has no such model, or its address is wrong: a check says so, too."""
        if isinstance(error, ModelMisconfigured):
            self._missing, self._missing_since = error.message, self._clock.now()

    def _refusal(self, response: ProviderResponse, body: bytes) -> RequestFailed:
        pause_s = retry_after_s(response.headers, self._clock.now())
        return refusal(self._source, response.status, body, pause_s)


def model_ids(body: bytes) -> frozenset[str]:
    """Return the names in a provider's list of models; none where it is no such list."""
    try:
        lists = msgspec.json.decode(body)
        # Google's own format has other names.
        rows = lists.get("data") or lists.get("models")
    except (ValueError, AttributeError, RecursionError):
        return frozenset()
    if not isinstance(rows, list):
        return frozenset()
    names = [row.get("id") or row.get("name") for row in rows if isinstance(row, dict)]
    return frozenset([name.removeprefix("models/") for name in names if isinstance(name, str)])


def _merged(deltas: list[Delta]) -> list[Delta]:
    """Return what arrived together as few deltas: consecutive ones of a kind become one."""
    if len(deltas) < 2:
        return deltas
    return [kind("".join([delta.text for delta in run])) for kind, run in groupby(deltas, type)]
