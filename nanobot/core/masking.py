"""Secrets in the arguments of tools, left out of what is written down for others to read."""

import json
import re
from typing import Any

from nanobot.core.late_pattern import LatePattern

HIDDEN = "***"
_NAMES = LatePattern(
    r"pass(word|wd|phrase)?$|secret|token|credential|authori[sz]ation|cookie|(api|access|private)[_-]?key|^key$",
    re.IGNORECASE,
)
_VALUES = LatePattern(
    # API keys as providers and this server make them; what stands before the host of a URL; HTTP's headers.
    r"\b(?:nb|sk|pk|rk|xox[abprs]|gh[pousr])[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|(?<=://)[^\s/@:]*:[^\s/@]*(?=@)"
    r"|(?<=\bBearer )[^\s\"',]+|(?<=\bBasic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=[?&])(?:[a-z_-]*(?:key|token|secret|password|signature|sig))=[^&\s\"'#]+",
    re.IGNORECASE,
)
_MEMBER = LatePattern(r'"([^"\\]*)"\s*:\s*')
_DEEPEST = 50


def masked(arguments: str, max_chars: int) -> str:
    """Return the JSON arguments of a call without what looks like a secret, by the name of its member or by
    its form, and cut to `max_chars`.
    """
    try:
        shown = json.dumps(_without_secrets(json.loads(arguments), 0), ensure_ascii=False)
    except (ValueError, RecursionError):
        # Models break off in the middle of JSON.
        shown = _VALUES.sub(HIDDEN, _before_secret(arguments))
    if len(shown) <= max_chars:
        return shown
    return f"{shown[:max_chars]}… ({len(shown)} characters)"


def _before_secret(broken: str) -> str:
    """Return JSON that breaks off up to the first member whose name is a secret's: where its value ends, only
    whole JSON says.
    """
    named = next((each for each in _MEMBER.finditer(broken) if _NAMES.search(each[1])), None)
    return broken if named is None else broken[: named.end()] + HIDDEN


def _without_secrets(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        return {
            name: HIDDEN if _NAMES.search(name) and each else _without_secrets(each, depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(each, depth + 1) for each in value]
    return _VALUES.sub(HIDDEN, value) if isinstance(value, str) else value
