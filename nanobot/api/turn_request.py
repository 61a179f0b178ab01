"""Requests for turns over HTTP: what their headers say, and what they have in common with one another."""

import hashlib
import math
from collections.abc import Mapping

from nanobot.access.caller import Caller
from nanobot.api.models import no_model
from nanobot.api.settings import ApiSettings
from nanobot.api.wire.parsed import ParsedRequest
from nanobot.core.accounts import HistoryMode, matches
from nanobot.core.errors import InvalidRequest, StreamingOff
from nanobot.core.late_pattern import LatePattern
from nanobot.core.turn import Admission, Identity, Record, WhenBusy
from nanobot.http.operations import Parameter
from nanobot.http.session_key import SESSION_KEY
from nanobot.submit.request import AGENT, TurnRequest, preset_of

_POLICIES: tuple[WhenBusy, ...] = ("queue", "reject", "interrupt", "steer")
_MODES: tuple[HistoryMode, ...] = ("auto", "whole")
_TOLD = frozenset({"imported", "rewound", "replaced"})
"""What became of the client's earlier messages, where they are not simply how the transcript ends."""
_TAKEN_IN = frozenset({"imported", "replaced"})
"""Where the model is shown what the client sent instead of the transcript."""
_LONGEST_DEDUPE_KEY = 255
LONGEST_S = 1_000_000_000
_STREAM_FIELD = LatePattern(rb'"stream(?:_options)?"\s*:\s*(?:true|false|null|\{[^{}]*\})(\s*,\s*)?')
_MOST_LOOKS = 16
_NOT_IN_KIND = LatePattern(r"[^A-Za-z0-9_.-]")
_LONGEST_KIND, _MOST_KINDS = 40, 16
PARAMETERS = (
    SESSION_KEY,
    Parameter(
        "x-when-busy",
        "header",
        "what to do while a turn of the session runs",
        {"enum": list(_POLICIES), "default": "queue"},
    ),
    Parameter(
        "x-history-mode",
        "header",
        "`whole`: the messages are the whole conversation; `auto`: the transcript may have more before them",
        {"enum": list(_MODES)},
    ),
    Parameter(
        "x-disconnect-grace",
        "header",
        "for how many seconds the turn goes on when no client follows it; `-1`: to its end, `0`: not at all",
        {"type": "string", "pattern": r"^(-1|[0-9]{1,9}(\.[0-9]{1,6})?)$"},
    ),
    Parameter(
        "x-store",
        "header",
        "`false`: the turn leaves no trace; `true`: it leaves one, whatever the body or the settings say",
        {"type": "boolean"},
    ),
    Parameter(
        "idempotency-key",
        "header",
        "recognises a request that is sent again",
        {"type": "string", "maxLength": _LONGEST_DEDUPE_KEY},
    ),
)
"""What a request for a turn may carry besides its body."""

RequestHeaders = Mapping[bytes, bytes]
Headers = tuple[tuple[str, str], ...]


def check_request(parsed: ParsedRequest, settings: ApiSettings) -> None:
    """Return where the server can do what the request asks.

    Raises:
        StreamingOff, ModelNotFound
    """
    if parsed.stream:
        check_streaming(settings)
    if parsed.model != AGENT and preset_of(parsed.model) not in settings.models:
        raise no_model(parsed.model)


def check_streaming(settings: ApiSettings) -> None:
    """Return where streaming is switched on.

    Raises:
        StreamingOff
    """
    if not settings.stream:
        raise StreamingOff("stream=true is not supported yet. Set stream=false or omit it.", param="stream")


def turn_request(
    parsed: ParsedRequest,
    headers: RequestHeaders,
    session_key: str,
    identity: Identity,
    caller: Caller,
    settings: ApiSettings,
    *,
    after: str | None = None,
    record: Record | None = None,
) -> TurnRequest:
    """Return what the body and the headers of a request ask for.

    Raises:
        InvalidRequest: `x-when-busy` is no policy, `x-history-mode` no mode, `x-store` neither true nor
            false, or `x-disconnect-grace` no time.
    """
    return TurnRequest(
        session_key=session_key,
        input=parsed.input,
        earlier=parsed.earlier,
        origin="api",
        identity=identity,
        when_busy=_when_busy(headers),
        model=None if parsed.model == AGENT else preset_of(parsed.model),
        instructions=parsed.instructions,
        sampling=parsed.sampling,
        trace=leaves_trace(parsed, headers, session_key, settings),
        tools=parsed.tools,
        tool_choice=parsed.tool_choice,
        declared=parsed.declared,
        format=parsed.format,
        format_param=parsed.format_param,
        labels=parsed.labels,
        after=after,
        may_cut=parsed.may_cut,
        record=record,
        continues=parsed.input[-1].stop_reason == "length",
        is_whole=_history_mode(headers, session_key, caller, settings) == "whole",
        grace_s=_grace_s(headers),
    )


def leaves_trace(
    parsed: ParsedRequest, headers: RequestHeaders, session_key: str, settings: ApiSettings
) -> bool:
    """Return whether the turn stays in the transcript: as the header `x-store` says, which whoever runs a
    client can set; without it, not where the body or a pattern for the session key says so.

    Raises:
        InvalidRequest: `x-store` is neither true nor false.
    """
    sent = headers.get(b"x-store")
    if sent is None:
        # Most servers have no such pattern.
        return parsed.trace and not (
            settings.ephemeral and any(matches(session_key, pattern) for pattern in settings.ephemeral)
        )
    said = sent.decode("latin-1").strip().lower()
    if said not in ("true", "false"):
        raise InvalidRequest(f"x-store is {said[:40]!r}: it must be true or false", param="x-store")
    return said == "true"


def _history_mode(
    headers: RequestHeaders, session_key: str, caller: Caller, settings: ApiSettings
) -> HistoryMode:
    """Return what the request says of its messages, else what is set for the first pattern that the session
    key matches, else for the API key.
    """
    sent = headers.get(b"x-history-mode")
    if sent is None:
        rules = settings.history
        return (
            next((rule.mode for rule in rules if matches(session_key, rule.pattern)), caller.history)
            if rules
            else caller.history
        )
    mode = sent.decode("latin-1").strip().lower()
    known = next((known for known in _MODES if known == mode), None)
    if known is None:
        raise InvalidRequest(
            f"x-history-mode is {mode!r}: it must be one of {', '.join(_MODES)}", param="x-history-mode"
        )
    return known


def identity_of(headers: RequestHeaders, body: bytes, *, stream_fields: int) -> Identity:
    """Return how the request is recognised when it is sent again. `stream_fields`: as in `ParsedRequest`.

    Raises:
        InvalidRequest: the client's own key is too long.
    """
    # OpenAI's SDKs count in this header how often they have sent a request before.
    retries = headers.get(b"x-stainless-retry-count", b"0")
    key = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
    if len(key) > _LONGEST_DEDUPE_KEY:
        raise InvalidRequest(
            f"Idempotency-Key of {len(key)} characters: at most {_LONGEST_DEDUPE_KEY} are allowed",
            param="Idempotency-Key",
        )
    return Identity(
        digest=hashlib.blake2b(_without_stream(body, stream_fields), digest_size=32).digest(),
        dedupe_key=key or None,
        is_retry=retries.isdigit() and retries.strip(b"0") != b"",
    )


def _without_stream(body: bytes, fields: int) -> bytes:
    """Return the body without its `fields` that only say whether the answer is streamed: it is the same
    answer.
    """
    # Clients write them behind the messages. A text may begin with the word, but not often.
    at = body.rfind(b'"stream') if fields else -1
    for _ in range(_MOST_LOOKS):
        if at < 0 or not fields:
            break
        field = _STREAM_FIELD.match(body, at)
        if field is not None:
            # One of the commas around it goes with it.
            before = body[:at] if field[1] else body[:at].rstrip().removesuffix(b",")
            body = before + body[field.end() :]
            fields -= 1
        at = body.rfind(b'"stream', 0, at)
    return body


def _when_busy(headers: RequestHeaders) -> WhenBusy:
    sent = headers.get(b"x-when-busy")
    if sent is None:
        return "queue"
    policy = sent.decode("latin-1").strip().lower()
    known = next((known for known in _POLICIES if known == policy), None)
    if known is None:
        raise InvalidRequest(
            f"x-when-busy is {policy!r}: it must be one of {', '.join(_POLICIES)}", param="x-when-busy"
        )
    return known


def _grace_s(headers: RequestHeaders) -> float | None:
    sent = headers.get(b"x-disconnect-grace")
    if sent is None:
        return None
    text = sent.decode("latin-1").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    # Not a number, which compares as false, is refused too.
    if seconds == -1 or 0 <= seconds <= LONGEST_S:
        return seconds
    raise InvalidRequest(
        f"x-disconnect-grace is {text[:40]!r}: it must be a number of seconds up to {LONGEST_S}, or -1",
        param="x-disconnect-grace",
    )


def turn_headers(admission: Admission, parsed: ParsedRequest) -> Headers:
    """Return the headers of every answer to a request for a turn."""
    headers: Headers = (("x-turn-id", admission.turn_id),)
    if admission.answered_by != admission.turn_id:
        headers += (("x-turn-joined", admission.answered_by),)
    if admission.history in _TOLD:
        headers = (*headers, ("x-history", admission.history))
    if parsed.tools_left_out:
        headers = (*headers, ("x-tools-left-out", _listed(parsed.tools_left_out)))
    left_out = parsed.items_left_out
    if admission.history in _TAKEN_IN or not parsed.trace:
        left_out += parsed.items_known
    if left_out:
        headers = (*headers, ("x-items-left-out", _listed(left_out)))
    return headers


def _listed(kinds: tuple[str, ...]) -> str:
    """Return the names, each once, fit for a header: what a client sends may be long, and have line feeds."""
    named = list(dict.fromkeys(_NOT_IN_KIND.sub("_", kind)[:_LONGEST_KIND] for kind in kinds))
    rest = len(named) - _MOST_KINDS
    return ", ".join([*named[:_MOST_KINDS], *([f"and {rest} more"] if rest > 0 else [])])
