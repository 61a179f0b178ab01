"""What the body of a refusal says, in the shapes of all servers."""

import math

import msgspec

_WORDS = ("message", "detail", "msg", "error_msg", "errorMessage", "error_description")
_CODES = ("code", "type", "status", "error_code")
"""The keys of an error that say what happened, and of which kind it is."""
_BEGINNING_CHARS, _END_CHARS = 3072, 1024
"""What is searched for words; all of 64 kB would keep the event loop for half a second."""
_SUCCESSES = frozenset({"0", "200", "20000", "ok", "success", "ping", "true"})
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
        """Its codes and its words, in one text; of a long one, which quotes the request, the beginning and
        the end.
        """
        text = f"{self.code} {self.words}"
        if len(text) <= _BEGINNING_CHARS + _END_CHARS:
            return text
        return f"{text[:_BEGINNING_CHARS]} … {text[-_END_CHARS:]}"


def read_refusal(body: bytes) -> Refused:
    """Return what the body of a refusal says."""
    try:
        content: object = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        content = body.decode("utf-8", "replace")
    return parse(content)


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


def number(text: str) -> float:
    """Return the number in a text; NaN where it has none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def parse(content: object) -> Refused:
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
        listed = content.get("errors")
        error = content.get("error") or (listed[0] if isinstance(listed, list) and listed else content)
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
        if isinstance(delay, str) and 0 <= (seconds := number(delay.removesuffix("s"))) < math.inf:
            found.pause_s = seconds
    return found


def _inner(metadata: object) -> Refused | None:
    """Return what the provider behind a router said: OpenRouter passes it on in `metadata.raw`."""
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str):
        try:
            raw = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            return parse(raw)
    return parse(raw) if raw else None


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
