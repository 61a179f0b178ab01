"""`<think>` tags and their like: how models that have no field for it mark their thinking in the text."""

from nanobot.core.event import Delta, TextDelta, ThinkingDelta
from nanobot.core.late_pattern import LatePattern

_OPEN, _CLOSE = "<think>", "</think>"
_TAGS = {
    _OPEN: _CLOSE,
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "◁think▷": "◁/think▷",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}
"""By the tag that opens thinking, the one that closes it. Tags that are asked for in prompts, such as
`<thinking>` and `<reasoning>`, are the user's.
"""
_FIRST_LETTERS = frozenset(tag[0] for tag in (*_TAGS, _CLOSE))
_MAX_BLANKS = 64
"""How much white space may come before the first tag; after more, the text is no thinking."""


_FENCE = "```"
_LINE_BEFORE = LatePattern(r"(?:\A|\n)[ \t]*\Z")
_SENTENCE_BEFORE = LatePattern(r"[.!?。！？…][ \t]*\Z")
_BLANK_LINE_AFTER = LatePattern(r"[ \t]*\r?\n[ \t]*\r?\n")


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


_MAX_MENTIONS = 16
"""How many closing tags a text may mention before it is believed to be about them."""


def _closes(text: str, start: int, *, is_whole: bool) -> bool | None:
    """Return whether the tag at `start` closes thinking, in the text of a model that is known to leave the
    opening tag out; None where more of the text is needed.

    It stands alone on a line, at the end of one, or behind a sentence. In code, in the middle of a sentence,
    and behind the opening tag on the same line, it is only mentioned.
    """
    thought = text[:start]
    if thought.count(_FENCE) % 2:
        return False
    if _LINE_BEFORE.search(thought) is not None:
        return True
    if _OPEN in thought[thought.rfind("\n") + 1 :]:
        return False
    behind = text[start + len(_CLOSE) :]
    rest = behind.lstrip(" \t")
    if len(behind) - len(rest) > _MAX_BLANKS:
        return True
    if not rest:
        return True if is_whole else None
    return rest[0] in "\r\n" or (_SENTENCE_BEFORE.search(thought) is not None and rest[0] not in "`'\",.;:)")


class ThinkTags:
    """Turns `<think>…</think>` at the start of a text into thinking, and what other models write in place of
    these; everything else stays text.

    Tags may be cut anywhere. White space right after either tag is dropped with it. Thinking that is never
    closed stays thinking. `unopened`: the opening tag is expected to be missing, so that the text is held
    back until thinking is closed; it is text where that never happens, or where tags are only mentioned.
    `was_unopened`: that is how it was.
    `may_be_closed`: thinking came in a field of its own, so that a tag which closes it may begin the text.
    """

    __slots__ = (
        "_close",
        "_held",
        "_looked",
        "_mentions",
        "_opening",
        "_pending",
        "_thinking",
        "_trims",
        "_waits",
        "may_be_closed",
        "was_unopened",
    )

    def __init__(self, *, unopened: bool = False) -> None:
        self.was_unopened = False
        self.may_be_closed = False
        self._close = _CLOSE
        self._held: list[str] | None = [] if unopened else None
        self._looked = 0
        self._mentions = 0
        self._waits = False
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
        if self._held and (deltas := self._decide(is_whole=True)) is not None:
            return deltas
        pending, self._pending = "".join(self._held) if self._held else self._pending, ""
        self._held = None
        if not pending:
            return []
        return [ThinkingDelta(pending)] if self._thinking else [TextDelta(pending)]

    def _open(self, text: str) -> list[Delta]:
        start = text.lstrip()
        few_blanks = len(text) - len(start) <= _MAX_BLANKS
        if not few_blanks or (start and start[0] not in _FIRST_LETTERS):
            return self._begin(text)
        for opening, closing in _TAGS.items():
            if start.startswith(opening):
                self._opening, self._thinking, self._trims, self._pending = False, True, True, ""
                self._close = closing
                return self._think(start[len(opening) :])
        if self.may_be_closed and start.startswith(_CLOSE):
            self._opening, self._trims, self._pending = False, True, ""
            return self._pass(start[len(_CLOSE) :])
        if any(tag.startswith(start) for tag in _TAGS) or (self.may_be_closed and _CLOSE.startswith(start)):
            self._pending = text
            return []
        return self._begin(text)

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
        if not self._waits and _CLOSE not in seen:
            return []
        return self._decide(is_whole=False) or []

    def _decide(self, *, is_whole: bool) -> list[Delta] | None:
        """Return what the text that is held turns out to be; None where that is still open."""
        text = "".join(self._held or ())
        self._held = [text]
        while (start := text.find(_CLOSE, self._looked)) >= 0 and self._mentions < _MAX_MENTIONS:
            closes = _closes(text, start, is_whole=is_whole)
            self._waits = closes is None
            if self._waits:
                return None
            if closes:
                self._release()
                return self._closed(text[:start], text[start + len(_CLOSE) :])
            self._mentions += 1
            self._looked = start + len(_CLOSE)
        if self._mentions < _MAX_MENTIONS:
            return None
        self._release()
        return self._pass(text)

    def _release(self) -> None:
        self._held, self._opening, self._pending = None, False, ""

    def _closed(self, thought: str, answer: str) -> list[Delta]:
        self._trims = self.was_unopened = True
        deltas: list[Delta] = [ThinkingDelta(thought)] if thought else []
        return deltas + self._pass(answer) if answer else deltas

    def _think(self, text: str) -> list[Delta]:
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        thought, closed, rest = text.partition(self._close)
        deltas: list[Delta] = []
        if closed:
            self._thinking, self._trims, self._pending = False, True, ""
        else:
            self._pending = _cut_tag(text, self._close)
            thought = text[: len(text) - len(self._pending)]
        if thought:
            deltas.append(ThinkingDelta(thought))
        return deltas + self._pass(rest) if rest else deltas

    def _pass(self, text: str) -> list[Delta]:
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        return [TextDelta(text)] if text else []


def _cut_tag(text: str, tag: str) -> str:
    """Return the end of `text` that may be the beginning of `tag`."""
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if text.endswith(tag[:size]):
            return text[-size:]
    return ""
