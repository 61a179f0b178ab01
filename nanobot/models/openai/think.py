"""`<think>` tags: how models that have no field for it mark their thinking in the text."""

from nanobot.core.event import Delta, TextDelta, ThinkingDelta

_OPEN, _CLOSE = "<think>", "</think>"
_MAX_BLANKS = 64
"""How much white space may come before the first tag; after more, the text is no thinking."""


class ThinkTags:
    """Turns `<think>…</think>` at the start of a text into thinking; everything else stays text.

    Tags may be cut anywhere. White space right after either tag is dropped with it. Thinking that is never
    closed stays thinking.
    """

    __slots__ = ("_opening", "_pending", "_thinking", "_trims")

    def __init__(self) -> None:
        self._pending = ""
        self._opening = True
        self._thinking = False
        self._trims = False

    @property
    def passed(self) -> bool:
        """Whether everything that may still come is plain text."""
        return not (self._opening or self._thinking or self._trims)

    def feed(self, text: str) -> list[Delta]:
        """Return the deltas that `text` completes; what may be part of a tag waits for more."""
        if self._opening:
            return self._open(self._pending + text)
        if self._thinking:
            return self._think(self._pending + text)
        return self._pass(text)

    def end(self) -> list[Delta]:
        """Return what waited for more, as the text has ended."""
        pending, self._pending = self._pending, ""
        if not pending:
            return []
        return [ThinkingDelta(pending)] if self._thinking else [TextDelta(pending)]

    def _open(self, text: str) -> list[Delta]:
        start = text.lstrip()
        few_blanks = len(text) - len(start) <= _MAX_BLANKS
        if few_blanks and _OPEN.startswith(start):
            if start != _OPEN:
                self._pending = text
                return []
        elif not few_blanks or not start.startswith(_OPEN):
            self._opening, self._pending = False, ""
            return self._pass(text)
        self._opening, self._thinking, self._trims, self._pending = False, True, True, ""
        return self._think(start[len(_OPEN) :])

    def _think(self, text: str) -> list[Delta]:
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        thought, closed, rest = text.partition(_CLOSE)
        deltas: list[Delta] = []
        if closed:
            self._thinking, self._trims, self._pending = False, True, ""
        else:
            self._pending = _cut_tag(text)
            thought = text[: len(text) - len(self._pending)]
        if thought:
            deltas.append(ThinkingDelta(thought))
        return deltas + self._pass(rest) if rest else deltas

    def _pass(self, text: str) -> list[Delta]:
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        return [TextDelta(text)] if text else []


def _cut_tag(text: str) -> str:
    """Return the end of `text` that may be the beginning of a closing tag."""
    for size in range(min(len(text), len(_CLOSE) - 1), 0, -1):
        if text.endswith(_CLOSE[:size]):
            return text[-size:]
    return ""
