"""How errors look on the wire, on every route."""

import math
from http import HTTPStatus

import msgspec

from nanobot.core.errors import MethodNotAllowed, NanobotError, QuotaExceeded
from nanobot.core.event import TurnError

_TYPES = {
    401: "authentication_error",
    404: "invalid_request_error",
    409: "conflict_error",
    429: "rate_limit_error",
}

_NOT_READ_ON = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""The rest of such a request is not read: its connection is closed."""


class ErrorShown(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """Every error, as the API answers it."""

    error: ErrorShown


class Failure(msgspec.Struct, frozen=True):
    """An error on its way out: status, JSON body, the headers that belong to it."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def failure(error: NanobotError) -> Failure:
    """Return how `error`, raised before a turn was admitted, is answered."""
    body = msgspec.json.encode(
        ErrorBody(ErrorShown(error.public_message, error.type, error.param, error.code))
    )
    headers = _retry_after(error.retry_after_s)
    if error.http_status == HTTPStatus.CONFLICT or isinstance(error, QuotaExceeded):
        # OpenAI's SDKs repeat any 409 and 429 unless this header says otherwise; here that would be in vain.
        headers = (*headers, ("x-should-retry", "false"))
    if error.http_status in _NOT_READ_ON:
        headers = (*headers, ("connection", "close"))
    if isinstance(error, MethodNotAllowed):
        headers = (*headers, ("allow", error.allow))
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers = (*headers, ("www-authenticate", "Bearer"))
    return Failure(error.http_status, body, headers)


def turn_failure(error: TurnError, *, is_over: bool) -> Failure:
    """Return how a turn that ended without an answer is answered.

    It is safe to send the same request again, since it is recognised: a turn that failed for a passing reason
    goes on under its id, unless it `is_over`.
    """
    body = error_body(error)
    return Failure(
        error.http_status,
        body,
        (
            *_retry_after(error.retry_after_s),
            ("x-should-retry", "true" if error.retryable and not is_over else "false"),
        ),
    )


def error_body(error: TurnError) -> bytes:
    """Return `{"error": …}` of a turn that ended without an answer."""
    type_ = _TYPES.get(
        error.http_status,
        "invalid_request_error" if error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error",
    )
    return msgspec.json.encode(ErrorBody(ErrorShown(error.message, type_, None, error.code)))


def _retry_after(seconds: float | None) -> tuple[tuple[str, str], ...]:
    # The header takes whole seconds, and 0 would be an invitation to repeat at once.
    return () if seconds is None else (("retry-after", str(max(1, math.ceil(seconds)))),)
