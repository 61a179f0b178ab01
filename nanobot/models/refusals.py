"""From a provider's refusal to an error of the tree: by its words (`wordings`), its error code, its status.

Independent of the wire format: the codes of OpenAI, Anthropic, Google and of the servers that imitate them do
not contradict each other.
"""

import math
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelMisconfigured,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
)
from nanobot.models.keys import KeySource
from nanobot.models.refusal_body import number, parse, read_refusal
from nanobot.models.wordings import Understood, understand

_MAX_MESSAGE_CHARS = 300

_MIN_SECRET_CHARS = 8
"""What is shorter is no secret (`none`, `ollama`), and cutting it out would spoil names and addresses."""
_OVERFLOW_STATUSES = frozenset({400, 413, 422, 500})
LONGEST_PAUSE_S = 86_400.0
_NO_API_STATUSES = frozenset({405, 407, 410, 411, 415, 421, 426})
"""What something else than the API answers to any request, as it does with a redirection."""


class ErrorSource(msgspec.Struct, frozen=True):
    """The provider that an error message speaks of.

    `secret`, its key, is cut out of whatever it answers; so are those of `keys`, and
    `further_secrets`.
    """

    name: str
    model: str
    address: str
    secret: str | None = None
    keys: KeySource | None = None
    further_secrets: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown; the longest first, as one may be the beginning of another."""
        own = () if self.secret is None else (self.secret,)
        keys = self.keys.secrets if self.keys is not None else ()
        return tuple(sorted((*own, *keys, *self.further_secrets), key=len, reverse=True))

    @property
    def question(self) -> str:
        """What to ask somebody whose requests something else than the API answers."""
        if urlsplit(self.address).path.strip("/"):
            return f"is {self.address} its API?"
        return f"is {self.address} its API? It has no path, and many are at /v1"


Understand = Callable[[str], Understood | None]


class RequestFailed(Exception):
    """One try of a request failed: `error` is what to raise in the end.

    `may_retry`: the same request may succeed when it is sent again soon.
    """

    def __init__(self, error: ModelError, *, may_retry: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.may_retry = may_retry


def refusal(
    source: ErrorSource,
    status: int,
    body: bytes,
    retry_after_s: float | None,
    understand: Understand = understand,
) -> RequestFailed:
    """Return what a response with `body` and a `status` other than success means.

    `understand` returns the meaning of its words, as `wordings.understand`.
    """
    refused = read_refusal(body)
    words = _short(refused.words, source.secrets) or _phrase(status)
    pause_s = _bounded(refused.pause_s) if retry_after_s is None else retry_after_s
    message = f"{source.name} answered {status}: {words}"
    return _failure(source, status, understand(refused.said), message, pause_s)


def error_in_answer(source: ErrorSource, content: object) -> RequestFailed:
    """Return what an error object that came with status 200, in the place of an answer, means."""
    refused = parse(content)
    words = _short(refused.words, source.secrets) or "no reason given"
    message = f"{source.name} failed while it answered: {words}"
    understood = understand(refused.said)
    return _failure(source, refused.status or 500, understood, message, _bounded(refused.pause_s))


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause in seconds that `retry-after-ms` or `Retry-After` (seconds, or a date) asks for.

    None where no pause is asked for, or the value makes no sense. `now` is in seconds of the epoch.
    """
    value = headers.get("retry-after-ms")
    seconds = number(value) / 1000 if value else math.nan
    if math.isnan(seconds) and (value := headers.get("retry-after")):
        seconds = number(value)
        if math.isnan(seconds):
            try:
                seconds = max(parsedate_to_datetime(value).timestamp() - now, 0.0)
            except (ValueError, OverflowError, OSError):
                return None
    return _bounded(seconds) if 0 <= seconds < math.inf else None


def _bounded(pause_s: float | None) -> float | None:
    """Return a pause that clients may be told of: some sleep for as long as they are, whatever it is."""
    return None if pause_s is None else min(pause_s, LONGEST_PAUSE_S)


def _failure(
    source: ErrorSource,
    status: int,
    understood: Understood | None,
    message: str,
    pause_s: float | None,
) -> RequestFailed:
    if understood is not None and (meant := _meant(source, status, understood, message, pause_s)) is not None:
        return meant
    if status == 413:
        return _overflow(message, None)
    if status in (401, 402, 403):
        return _refused_key(source, message)
    if status == 404:
        return _no_model(source, message)
    if status == 429:
        return RequestFailed(ModelRateLimited(message, retry_after_s=pause_s), may_retry=True)
    if status in (408, 504, 522, 524):
        return RequestFailed(ModelTimeout(message, retry_after_s=pause_s), may_retry=True)
    if status < 400 or status in _NO_API_STATUSES:
        return RequestFailed(ModelMisconfigured(f"{message}: {source.question}"))
    # 498 is Groq's: no capacity left.
    if (status < 500 and status != 498) or status == 501:
        return RequestFailed(ModelRejectedRequest(message))
    if status == 500:
        return RequestFailed(ModelBadAnswer(message, retry_after_s=pause_s), may_retry=True)
    return RequestFailed(ModelOverloaded(message, retry_after_s=pause_s), may_retry=True)


def _meant(
    source: ErrorSource, status: int, understood: Understood, message: str, pause_s: float | None
) -> RequestFailed | None:
    """Return the error that the words mean; None where the status says more."""
    match understood.meaning:
        case "overflow" if status in _OVERFLOW_STATUSES:
            return _overflow(message, understood.limit)
        case "rate_limit" if status in _OVERFLOW_STATUSES:
            # The same request is over the limit again: a pause alone does not help.
            return RequestFailed(ModelRateLimited(message, retry_after_s=pause_s))
        case "quota" if status == 429:
            return RequestFailed(ModelRateLimited(message, retry_after_s=pause_s))
        case "unpaid" | "quota":
            return _refused_key(source, message)
        case "bad_key" if status in (400, 404, 422, 500):
            return _refused_key(source, message)
        case "no_model" if status in (400, 404, 410, 422, 500):
            return _no_model(source, message)
        case "flagged" if status in (400, 403, 422, 451, 500):
            return RequestFailed(ModelRejectedRequest(message))
        case "answer_limit" if status in (400, 422):
            return RequestFailed(ModelRejectedRequest(message, param="max_tokens"))
        case "bad_luck" if status in (400, 422, 500):
            return RequestFailed(ModelBadAnswer(message, retry_after_s=pause_s), may_retry=True)
    return None


def _overflow(message: str, limit_tokens: int | None) -> RequestFailed:
    remedy = "shorten the input, or choose a model with a larger window"
    return RequestFailed(ContextOverflow(f"{message}: {remedy}", limit_tokens=limit_tokens))


def _no_model(source: ErrorSource, message: str) -> RequestFailed:
    question = f"is there a model {source.model!r} at {source.address}?"
    if not urlsplit(source.address).path.strip("/"):
        question += " The address has no path, and many APIs are at /v1"
    return RequestFailed(ModelMisconfigured(f"{message}: {question}"))


def _refused_key(source: ErrorSource, message: str) -> RequestFailed:
    has_key = source.secret or source.keys or source.further_secrets
    remedy = "check the API key and its account" if has_key else "it wants an API key and none is set"
    return RequestFailed(ModelRefusedKey(f"{message}: {remedy}"))


def _short(words: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_CHARS:
            words = words.replace(secret, "***")
    words = " ".join(words.split()).rstrip(".")
    return words if len(words) <= _MAX_MESSAGE_CHARS else words[: _MAX_MESSAGE_CHARS - 1] + "…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"
