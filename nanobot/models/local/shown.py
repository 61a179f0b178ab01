"""What of a small model's answer may be shown: no calls, no claims that are wrong."""

from nanobot.models.local.notation import CALL_BEGINS, LONGEST_CALL_BEGINNING
from nanobot.models.local.truths import MakerGuard, says_result

CALL_TOKENS = 160
"""The longest call, in tokens: a grammar knows no longest sum."""
_HELD_CHARS = 600
_HELD_FOR_CALL = 60


class Shown:
    """Passes an answer on as it is written, as far as it may be shown.

    `checks`: expressions and results that the answer must say. `may_call`: tools may be called. The model
    writes some calls behind a few words; those words are dropped then.

    `text`: all that was passed on; `call`: a call as far as it was written. `is_over`: what comes after it is
    of no use.
    """

    def __init__(
        self, guard: MakerGuard, checks: tuple[tuple[str, str], ...], *, may_call: bool = False
    ) -> None:
        self._guard = guard
        self._checks = checks
        self._may_call = may_call
        self._first: str | None = ""
        self._held = ""
        self._has_words_before = False
        self.is_call = False
        self.is_over = False
        self.text = ""
        self.call = ""
        self.pieces = 0

    def pass_on(self, text: str) -> str:
        """Return what may be shown now that the model wrote `text`."""
        self.pieces += 1
        if self._first is not None:
            text = self._without_call(self._first + text)
        if not self.is_call:
            return self._checked(text)
        self.call += text
        self.is_over = self.pieces > CALL_TOKENS
        if self._has_words_before and "]" in self.call:
            # The grammar takes it for words, which go on.
            self.call = self.call[: self.call.index("]") + 1]
            self.is_over = True
        return ""

    def end(self) -> str:
        """Return what was held back, at the end of the answer."""
        shown = self._checked(self._first or "")
        rest = self._held + self._guard.rest()
        self._held = rest
        if self._checks and not self._is_right():
            rest = "\n".join(f"{expression} = {result}" for expression, result in self._checks)
        self.text += rest
        return shown + rest

    def _without_call(self, first: str) -> str:
        """Return how the answer begins, once it is known whether that is a call; empty before."""
        call = CALL_BEGINS.search(first) if self._may_call else None
        if first.startswith("[") or call is not None:
            start = call.start() if call is not None else 0
            self.is_call = True
            self._has_words_before = start > 0
            self._first = None
            return first[start:]
        waits = self._may_call and (len(first) < _HELD_FOR_CALL or "[" in first[-LONGEST_CALL_BEGINNING:])
        self._first = first if waits or not first else None
        return "" if waits else first

    def _checked(self, text: str) -> str:
        text = self._guard.pass_on(text)
        self.is_over = self._guard.was_wrong
        if self._checks:
            self._held += text
            if not self._is_right() and len(self._held) < _HELD_CHARS:
                return ""
            text, self._held, self._checks = self._held, "", ()
        self.text += text
        return text

    def _is_right(self) -> bool:
        return all(says_result(self._held, result) for _, result in self._checks)
