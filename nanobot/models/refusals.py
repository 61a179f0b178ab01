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
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
)
from nanobot.models.keys import KeySource
from nanobot.models.wordings import Understood, understand

_MAX_MESSAGE_CHARS = 300

_MIN_SECRET_CHARS = 8
"""What is shorter is no secret (`none`, `ollama`), and cutting it out would spoil names and addresses."""
_WORDS = ("message", "detail", "msg", "error_msg", "errorMessage", "error_description")
_CODES = ("code", "type", "status", "error_code")
"""The keys of an error that say what happened, and of which kind it is."""
_SUCCESSES = frozenset({"0", "200", "20000", "ok", "success", "ping", "true"})
_OVERFLOW_STATUSES = frozenset({400, 413, 422, 500})
_BASE_RESP_STATUSES = {
    1001: 504,
    1002: 429,
    1004: 401,
    1008: 402,
    1026: 400,
    1027: 400,
    1039: 429,
    1041: 429,
    2013: 400,
    2049: 401,
    2056: 402,
}
"""MiniMax's codes in `base_resp`, which come with status 200."""
_STATUS_OF = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "unauthenticated": 401,
    "billing_error": 402,
    "request_too_large": 413,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "model_not_found": 404,
    "not_found_error": 404,
    "not_found": 404,
    "bad_request": 400,
    "badrequesterror": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "internal": 500,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "invalid_encrypted_content": 400,
    "server_error": 500,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "vector_store_timeout": 504,
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
    """The provider that an error message speaks of.

    `secret`, its key, is cut out of whatever it answers; so are those of `keys`, and `secret_headers`.
    """

    name: str
    model: str
    address: str
    secret: str | None = None
    keys: KeySource | None = None
    secret_headers: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        own = () if self.secret is None else (self.secret,)
        return (*own, *(self.keys.secrets if self.keys is not None else ()), *self.secret_headers)

    @property
    def question(self) -> str:
        """What to ask somebody whose requests something else than the API answers."""
        if urlsplit(self.address).path.strip("/"):
            return f"is {self.address} its API?"
        return f"is {self.address} its API? It has no path, and many are at /v1"


class Refused(msgspec.Struct, frozen=True):
    """What a provider said: the status that its code stands for, its codes, its words, the fields that it
    names beside them, and the pause in seconds that it asks for.
    """

    status: int | None
    code: str
    words: str
    fields: tuple[str, ...] = ()
    pause_s: float | None = None

    @property
    def said(self) -> str:
        """Its codes and its words, in one text."""
        return f"{self.code} {self.words}"


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
    pause_s = refused.pause_s if retry_after_s is None else retry_after_s
    message = f"{source.name} answered {status}: {words}"
    return _failure(source, status, refused, understand(refused.said), message, pause_s)


def read_refusal(body: bytes) -> Refused:
    """Return what the body of a refusal says."""
    try:
        content: object = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        content = body.decode("utf-8", "replace")
    return _parse(content)


def error_in_answer(source: ErrorSource, content: object) -> RequestFailed:
    """Return what an error object that came with status 200, in the place of an answer, means."""
    refused = _parse(content)
    words = _short(refused.words, source.secrets) or "no reason given"
    message = f"{source.name} failed while it answered: {words}"
    understood = understand(refused.said)
    return _failure(source, refused.status or 500, refused, understood, message, refused.pause_s)


def is_error(payload: bytes) -> bool:
    """Return whether an object in an answer, without anything of an answer in it, is an error: it has a code
    of one and words, or the detail of one.
    """
    if not any(b'"%b"' % key.encode() in payload for key in _WORDS):
        return False
    try:
        content: object = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        return False
    if not isinstance(content, dict) or not any(isinstance(content.get(key), str) for key in _WORDS):
        return False
    codes = [content[key] for key in _CODES if content.get(key)]
    return "detail" in content or any(str(code).lower() not in _SUCCESSES for code in codes)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause in seconds that `retry-after-ms` or `Retry-After` (seconds, or a date) asks for.

    None where no pause is asked for, or the value makes no sense. `now` is in seconds of the epoch.
    """
    value = headers.get("retry-after-ms")
    seconds = _number(value) / 1000 if value else math.nan
    if math.isnan(seconds) and (value := headers.get("retry-after")):
        seconds = _number(value)
        if math.isnan(seconds):
            try:
                seconds = max(parsedate_to_datetime(value).timestamp() - now, 0.0)
            except (ValueError, OverflowError, OSError):
                return None
    return seconds if 0 <= seconds < math.inf else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _failure(
    source: ErrorSource,
    status: int,
    refused: Refused,
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
    if status < 500 or status == 501:
        remedy = f": {source.address} is not the API's address" if status < 400 or status == 405 else ""
        return RequestFailed(ModelRejectedRequest(message + remedy))
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
    return RequestFailed(ModelRejectedRequest(f"{message}: {question}", param="model"))


def _refused_key(source: ErrorSource, message: str) -> RequestFailed:
    has_key = source.secret or source.keys or source.secret_headers
    remedy = "check the API key and its account" if has_key else "it wants an API key and none is set"
    return RequestFailed(ModelRefusedKey(f"{message}: {remedy}"))


def _parse(content: object) -> Refused:
    """Return what an error in any server's shape says."""
    if isinstance(content, list) and content:
        content = content[0]
    error = content
    if isinstance(content, dict):
        base = content.get("base_resp")
        if isinstance(base, dict) and not content.get("error"):
            status = base.get("status_code")
            words = base.get("status_msg")
            known = _BASE_RESP_STATUSES.get(status) if isinstance(status, int) else None
            return Refused(known, str(status), words if isinstance(words, str) else "")
        error = content.get("error") or content
    if not isinstance(error, dict):
        words = error if isinstance(error, str) else ""
        # A page for browsers, of a proxy in between, says less than the status does.
        return Refused(None, "", "" if words.lstrip().startswith("<") else words)
    codes = [str(error[key]) for key in _CODES if error.get(key)]
    details = _google_details(error.get("details"))
    codes += details.codes
    words = next((error[key] for key in _WORDS if error.get(key)), "")
    fields = _fields(error) + details.fields
    if not isinstance(words, str):
        words = msgspec.json.encode(_without_input(words)).decode()
    inner = _inner(error.get("metadata"))
    if inner is not None and inner.words:
        codes.append(inner.code)
        fields += inner.fields
        words = f"{words}: {inner.words}" if words else inner.words
    return Refused(_status(codes), " ".join(codes), words, fields, details.pause_s)


def _fields(error: dict[str, object]) -> tuple[str, ...]:
    """Return the fields that an error names: in `param`, or in the `loc` of each of its details."""
    param, detail = error.get("param"), error.get("detail")
    fields = [param] if isinstance(param, str) else []
    for item in detail if isinstance(detail, list) else ():
        place = item.get("loc") if isinstance(item, dict) else None
        if isinstance(place, list):
            fields.append(".".join(str(name) for name in place if name != "body"))
    return tuple(fields)


class _GoogleDetails(msgspec.Struct):
    """What the `details` of a `google.rpc.Status` say."""

    codes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    pause_s: float | None = None


def _google_details(details: object) -> _GoogleDetails:
    """Return the reasons and quotas, the fields and the pause that the details name.

    Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
    """
    found = _GoogleDetails()
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        delay, violations = detail.get("retryDelay"), []
        for key in ("violations", "fieldViolations"):
            if isinstance(listed := detail.get(key), list):
                violations += [violation for violation in listed if isinstance(violation, dict)]
        named = [detail.get("reason"), *(violation.get("quotaId") for violation in violations)]
        found.codes += tuple(code for code in named if isinstance(code, str))
        places = [violation.get("field") for violation in violations]
        found.fields += tuple(place for place in places if isinstance(place, str))
        if isinstance(delay, str) and 0 <= (seconds := _number(delay.removesuffix("s"))) < math.inf:
            found.pause_s = seconds
    return found


def _inner(metadata: object) -> Refused | None:
    """Return what the provider behind a router said: OpenRouter passes it on in `metadata.raw`."""
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str):
        try:
            raw = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            return _parse(raw)
    return _parse(raw) if raw else None


def _without_input(detail: object) -> object:
    """Return a list of validation errors without the values that were validated: they are the request's."""
    if not isinstance(detail, list):
        return detail
    return [
        {key: value for key, value in item.items() if key not in ("input", "ctx", "url")}
        if isinstance(item, dict)
        else item
        for item in detail
    ]


def _status(codes: list[str]) -> int | None:
    for code in codes:
        if code.isdecimal() and 400 <= int(code) <= 599:
            return int(code)
        if code.lower() in _STATUS_OF:
            return _STATUS_OF[code.lower()]
        # Of the Responses API, which has fifteen: `image_too_large`, `failed_to_download_image`, …
        if "image" in code:
            return 400
    return None


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
