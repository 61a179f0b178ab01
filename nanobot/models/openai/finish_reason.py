"""Why a model stopped: each server has its own words for it."""

import logging
from collections.abc import Mapping

from nanobot.core.errors import ModelBadAnswer, ModelOverloaded
from nanobot.core.message import StopReason
from nanobot.models.refusals import RequestFailed

_log = logging.getLogger(__name__)

_STOP_REASONS: tuple[tuple[str, StopReason], ...] = (
    ("incomplete", "length"),
    ("length", "length"),
    ("max_", "length"),
    ("tool", "tool_calls"),
    ("function_call", "tool_calls"),
    ("filter", "content_filter"),
    ("safety", "content_filter"),
    ("sensitive", "content_filter"),
    ("moderation", "content_filter"),
    ("refus", "content_filter"),
    ("recitation", "content_filter"),
    ("blocklist", "content_filter"),
    ("prohibited", "content_filter"),
    ("spii", "content_filter"),
    ("guardrail", "content_filter"),
    ("stop", "stop"),
    ("end", "stop"),
    ("eos", "stop"),
    ("eot", "stop"),
    ("complete", "stop"),
    ("done", "stop"),
    ("finish_reason_unspecified", "stop"),
)
"""What a finish reason means, by the first of these words that is in it, in lower case."""
_PLAIN_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
"""Those of the format itself, which nearly all servers keep to."""
_BROKEN_OFF = ("error", "abort", "malformed", "unexpected", "cancel")
_OVERLOADED = "insufficient_system_resource"


def stop_reason_of(reason: str, name: str) -> StopReason:
    """Return what the `finish_reason` of the model `name` means: compared without case, by the words in it.

    Raises:
        RequestFailed: the answer broke off.
    """
    if (plain := _PLAIN_REASONS.get(reason)) is not None:
        return plain
    said = reason.lower()
    if said == _OVERLOADED:
        raise RequestFailed(
            ModelOverloaded(f"{name} broke off its answer: it is short of resources"), may_retry=True
        )
    if any(word in said for word in _BROKEN_OFF):
        raise RequestFailed(
            ModelBadAnswer(f"{name} broke off its answer: finish_reason {reason[:40]!r}"), may_retry=True
        )
    known = next((meant for word, meant in _STOP_REASONS if word in said), None)
    if known is None:
        _log.warning("%s ended with finish_reason %.40r, which is taken for a cut answer", name, reason)
    return known or "length"
