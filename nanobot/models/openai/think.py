"""`<think>` tags: how models that have no field for it mark their thinking in the text."""

import re

from nanobot.core.event import Delta, TextDelta, ThinkingDelta

_OPEN, _CLOSE = "<think>", "</think>"
_MAX_BLANKS = 64
"""How much white space may come before the first tag; after more, the text is no thinking."""


_FENCE = "```"
_LINE_BEFORE = re.compile(r"(?:\A|\n)[ \t]*\Z")
_BLANK_LINE_AFTER = re.compile(r"[ \t]*\r?\n[ \t]*\r?\n")


def split_unopened(text: str) -> tuple[str, str] | None:
    """Return the thinking and the answer in a text that closes thinking which it never opened: some chat
    templates put the opening tag into the prompt. The tag and the white space behind it stay with the
    thinking.

    None where the text is no such one; where tags are its subject, they come in pairs, in code or in the
    middle of a line.
    """
    thought, closed, answer = text.partition(_CLOSE)
    if not closed or _OPEN in text or _CLOSE in answer or thought.count(_FENCE) % 2:
        return None
    if _LINE_BEFORE.search(thought) is None and _BLANK_LINE_AFTER.match(answer) is None:
        return None
    answer = answer.lstrip()
    return text[: len(text) - len(answer)], answer


class ThinkTags:
    """Turns `<think>…</think>` at the start of a text into thinking; everything else stays text.

    Tags may be cut anywhere. White space right after either tag is dropped with it. Thinking that is never
    closed stays thinking. `unopened`: the opening tag is expected to be missing, so that the text is held
    back until thinking is closed; it is text where that never happens. `was_unopened`: that is how it was.
    """

    __slots__ = ("_held", "_opening", "_pending", "_thinking", "_trims", "was_unopened")

    def __init__(self, *, unopened: bool = False) -> None:
        self.was_unopened = False
        self._held: list[str] | None = [] if unopened else None
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
            return self._hold(text) if self._held else self._open(self._pending + text)
        if self._thinking:
            return self._think(self._pending + text)
        return self._pass(text)

    def end(self) -> list[Delta]:
        """Return what waited for more, as the text has ended."""
        pending, self._pending = "".join(self._held) if self._held else self._pending, ""
        self._held = None
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
            return self._begin(text)
        self._opening, self._thinking, self._trims, self._pending = False, True, True, ""
        return self._think(start[len(_OPEN) :])

    def _begin(self, text: str) -> list[Delta]:
        """Read the beginning of a text that does not open thinking."""
        self._pending = ""
        if self._held is not None:
            return self._hold(text)
        self._opening = False
        return self._pass(text)

    def _hold(self, text: str) -> list[Delta]:
        """Keep `text` until thinking is closed."""
        held = self._held = self._held or []
        held.append(text)
        seen = self._pending + text
        # The end of what was seen may be the beginning of the tag.
        self._pending = seen[1 - len(_CLOSE) :]
        if _CLOSE not in seen:
            return []
        thought, _, answer = "".join(held).partition(_CLOSE)
        self._held, self._opening, self._pending = None, False, ""
        return self._closed(thought, answer)

    def _closed(self, thought: str, answer: str) -> list[Delta]:
        self._trims = self.was_unopened = True
        deltas: list[Delta] = [ThinkingDelta(thought)] if thought else []
        return deltas + self._pass(answer) if answer else deltas

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
