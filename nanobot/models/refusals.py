"""What a provider's refusal means: statuses and words of OpenAI-compatible servers to the error tree."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec

from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
)

MAX_WORDS = 300

_OVERFLOW = re.compile(
    r"context_length|exceed_context|context[ _](?:length|window|size)|maximum context|input token count"
    r"|(?:prompt|input|request) (?:is )?too (?:long|large)|too many (?:input |prompt )?tokens|reduce the length",
    re.IGNORECASE,
)
_OVERFLOW_STATUSES = frozenset({400, 413, 422, 500})
_UNPAID = re.compile(r"insufficient_quota|credit balance", re.IGNORECASE)
_STATUS_OF = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "model_not_found": 404,
    "not_found_error": 404,
    "bad_request": 400,
    "badrequesterror": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_argument": 400,
    "invalid_request_error": 400,
    "timeout": 504,
    "timeout_error": 504,
    "deadline_exceeded": 504,
    "overloaded": 529,
    "overloaded_error": 529,
    "service_unavailable": 503,
    "service_unavailable_error": 503,
    "unavailable": 503,
    "unavailable_error": 503,
}


class ErrorSource(msgspec.Struct, frozen=True):
    """Whom an error is about. `secret` is cut out of whatever the provider says."""

    name: str
    model: str
    address: str
    secret: str | None = None


class Failed(Exception):
    """A failed try: the `error` to raise, and whether the same request may succeed when it is sent `again`
    soon.
    """

    def __init__(self, error: ModelError, *, again: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.again = again


def refusal(source: ErrorSource, status: int, body: bytes, retry_after_s: float | None) -> Failed:
    """Return what an answer of `status` (anything but success) with `body` means."""
    try:
        told: object = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        told = body.decode("utf-8", "replace")
    _, kind, words = _complaint(told)
    words = _short(words, source.secret) or _phrase(status)
    return _failure(source, status, kind, f"{source.name} answered {status}: {words}", retry_after_s)


def error_in_answer(source: ErrorSource, told: object) -> Failed:
    """Return what an error object in the place of an answer (status 200) means."""
    status, kind, words = _complaint(told)
    words = _short(words, source.secret) or "no reason given"
    return _failure(source, status or 500, kind, f"{source.name} failed while it answered: {words}", None)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the wait in seconds that `retry-after-ms` or `Retry-After` (seconds, or a date) asks for;

    None: no wait is asked for.
    """
    asked = headers.get("retry-after-ms")
    seconds = _number(asked) / 1000 if asked else math.nan
    if math.isnan(seconds) and (asked := headers.get("retry-after")):
        seconds = _number(asked)
        if math.isnan(seconds):
            try:
                seconds = max(parsedate_to_datetime(asked).timestamp() - now, 0.0)
            except (ValueError, OverflowError, OSError):
                return None
    return seconds if 0 <= seconds < math.inf else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _failure(source: ErrorSource, status: int, kind: str, said: str, wait_s: float | None) -> Failed:
    if status == 413 or (status in _OVERFLOW_STATUSES and _OVERFLOW.search(f"{kind} {said}")):
        return Failed(ContextOverflow(f"{said}: shorten the input, or choose a model with a larger window"))
    if status in (401, 402, 403):
        way_out = (
            "check the API key and its account" if source.secret else "it wants an API key and none is set"
        )
        return Failed(ModelRefusedKey(f"{said}: {way_out}"))
    if status == 404:
        return Failed(
            ModelRejectedRequest(
                f"{said}: is there a model {source.model!r} at {source.address}?", param="model"
            )
        )
    if status == 429:
        unpaid = _UNPAID.search(f"{kind} {said}") is not None
        return Failed(ModelRateLimited(said, retry_after_s=wait_s), again=not unpaid)
    if status in (408, 504, 522, 524):
        return Failed(ModelTimeout(said, retry_after_s=wait_s), again=True)
    if status < 500 or status == 501:
        way_out = f": {source.address} is not the API's address" if status < 400 or status == 405 else ""
        return Failed(ModelRejectedRequest(said + way_out))
    if status == 500:
        return Failed(ModelBadAnswer(said, retry_after_s=wait_s), again=True)
    return Failed(ModelOverloaded(said, retry_after_s=wait_s), again=True)


def _complaint(told: object) -> tuple[int | None, str, str]:
    """Return status (where one is told), kind and words of an error as any of the servers writes it."""
    if isinstance(told, list) and told:
        told = told[0]
    error = told.get("error") or told if isinstance(told, dict) else told
    if not isinstance(error, dict):
        words = error if isinstance(error, str) else ""
        return None, "", "" if words.lstrip().startswith("<") else words
    kinds = [str(error[key]) for key in ("code", "type", "status") if error.get(key)]
    words = error.get("message") or error.get("detail") or ""
    if not isinstance(words, str):
        words = msgspec.json.encode(words).decode()
    return _status(kinds), " ".join(kinds), words


def _status(kinds: list[str]) -> int | None:
    for kind in kinds:
        if kind.isdecimal() and 400 <= int(kind) <= 599:
            return int(kind)
        if kind.lower() in _STATUS_OF:
            return _STATUS_OF[kind.lower()]
    return None


def _short(words: str, secret: str | None) -> str:
    if secret:
        words = words.replace(secret, "***")
    words = " ".join(words.split()).rstrip(".")
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"
