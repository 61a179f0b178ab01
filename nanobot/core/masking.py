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
_LONGEST = 4096
"""How many characters a secret has at most."""


def masked(arguments: str, max_chars: int) -> str:
    """Return the JSON arguments of a call without what looks like a secret, by the name of its member or by
    its form, and cut to `max_chars`.
    """
    masking = _Masking(max_chars)
    try:
        shown = json.dumps(masking.value(json.loads(arguments), 0), ensure_ascii=False)
    except (ValueError, RecursionError):
        # Models break off in the middle of JSON.
        masking = _Masking(max_chars)
        shown = masking.text(_before_secret(arguments[: max_chars + _LONGEST]))
        masking.has_cut = len(arguments) > max_chars + _LONGEST
    if len(shown) <= max_chars and not masking.has_cut:
        return shown
    length = len(arguments) if masking.has_cut else len(shown)
    return f"{shown[:max_chars]}… ({length} characters)"


def _before_secret(broken: str) -> str:
    """Return JSON that breaks off up to the first member whose name is a secret's: where its value ends, only
    whole JSON says.
    """
    named = next((each for each in _MEMBER.finditer(broken) if _NAMES.search(each[1])), None)
    return broken if named is None else broken[: named.end()] + HIDDEN


class _Masking:
    """Masks what is at the beginning of a value, up to `chars`: what comes behind is not shown, and a model
    may write megabytes. `has_cut`: it left something out.
    """

    def __init__(self, chars: int) -> None:
        self.has_cut = False
        self._left = chars

    def value(self, value: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            return HIDDEN
        self._left -= 1
        if isinstance(value, dict):
            shown: dict[str, Any] = {}
            for name, each in value.items():
                if self._is_full():
                    break
                is_secret = bool(_NAMES.search(name[:_LONGEST]) and each)
                shown[self.text(name)] = HIDDEN if is_secret else self.value(each, depth + 1)
            return shown
        if isinstance(value, list):
            listed: list[Any] = []
            for each in value:
                if self._is_full():
                    break
                listed.append(self.value(each, depth + 1))
            return listed
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        most = max(0, self._left)
        self._left -= len(text)
        if len(text) <= most + _LONGEST:
            return _VALUES.sub(HIDDEN, text)
        self.has_cut = True
        pieces: list[str] = []
        at = 0
        # Further than is shown: a secret that begins before may end behind.
        for found in _VALUES.finditer(text[: most + _LONGEST]):
            if found.start() >= most:
                break
            pieces += (text[at : found.start()], HIDDEN)
            at = found.end()
        return "".join((*pieces, text[at:most]))

    def _is_full(self) -> bool:
        if self._left > 0:
            return False
        self.has_cut = True
        return True
