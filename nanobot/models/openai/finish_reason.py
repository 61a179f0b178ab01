"""Why a model stopped: each server has its own words for it."""

import logging
from collections.abc import Mapping

from nanobot.core.errors import ModelBadAnswer, ModelOverloaded
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import StopReason
from nanobot.models.refusals import RequestFailed

_log = logging.getLogger(__name__)

_WITHHELD = (
    *(
        "filter",
        "safety",
        "sensitive",
        "moderation",
        "refus",
        "recitation",
        "blocklist",
        "prohibited",
        "spii",
    ),
    *("guardrail", "toxic", "unsafe", "harm", "violat", "policy", "copyright", "censor", "inspection"),
    *("armor", "language"),
)
_BROKEN_OFF = (
    *("error", "abort", "malformed", "unexpected", "cancel", "fail", "timeout", "timed_out", "interrupt"),
    *("unavailable", "overload", "preempt", "disconnect", "rate_limit"),
)
_STOP_REASONS: tuple[tuple[str, StopReason], ...] = (
    ("incomplete", "length"),
    ("length", "length"),
    ("max", "length"),
    ("limit", "length"),
    ("window", "length"),
    ("truncat", "length"),
    ("pause", "length"),
    ("tool", "tool_calls"),
    ("function_call", "tool_calls"),
    ("stop", "stop"),
    ("complete", "stop"),
    ("finish_reason_unspecified", "stop"),
)
"""What a finish reason means, by the first of these words that is in it, in lower case."""
_BEGINS_AS_END = LatePattern(r"(?<![a-z])(?:end|eos|eot|done)")
_NEW_WORD = LatePattern(r"(?<=[a-z])(?=[A-Z])")
_PLAIN_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
"""Those of the format itself, which nearly all servers keep to."""
_OVERLOADED = "insufficient_system_resource"


def stop_reason_of(reason: str, name: str) -> StopReason | None:
    """Return what the `finish_reason` of the model `name` means: compared without case, by the words in it.

    None: the answer was cut for a reason that is not known, such as that the model repeats itself. It is not
    asked to go on.

    Raises:
        RequestFailed: the answer broke off.
    """
    if (plain := _PLAIN_REASONS.get(reason)) is not None:
        return plain
    said = _NEW_WORD.sub("_", reason).lower()
    if said == _OVERLOADED:
        raise RequestFailed(
            ModelOverloaded(f"{name} broke off its answer: it is short of resources"), may_retry=True
        )
    if any(word in said for word in _WITHHELD):
        return "content_filter"
    if any(word in said for word in _BROKEN_OFF):
        raise RequestFailed(
            ModelBadAnswer(f"{name} broke off its answer: finish_reason {reason[:40]!r}"), may_retry=True
        )
    known = next((meant for word, meant in _STOP_REASONS if word in said), None)
    if known is None and _BEGINS_AS_END.search(said):
        return "stop"
    if known is None:
        _log.warning("%s ended with finish_reason %.40r, which is taken for a cut answer", name, reason)
    return known
