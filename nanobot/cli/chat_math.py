r"""Formulas in Markdown, which stay as the model wrote them: `\( \)`, `\[ \]`, `$ $` and `$$ $$`.

CommonMark knows no formulas: it would drop the backslashes, and take stars, underscores and lines that begin
with a plus for markup.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_CLOSING = {r"\(": r"\)", r"\[": r"\]", "$$": "$$"}
_DOLLAR = re.compile(r"\$(?=[^\s$])(?:[^$\n\\]|\\.)*?(?<=[^\s\\])\$(?!\d)")
r"""A formula between single dollars, as Pandoc has it: no white space inside the dollars, no digit behind
them, so that `$5 and $10` is none.
"""
_MOST_CHARS = 4_000
"""How long a formula within a line may be; bounds the search for its end."""


def keep_formulas(parser: MarkdownIt) -> MarkdownIt:
    """Let the parser keep formulas; return it."""
    parser.inline.ruler.before("escape", "formula", _inline)
    parser.block.ruler.before(
        "code", "formula", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    return parser


def _inline(state: StateInline, silent: bool) -> bool:
    end = _end(state.src, state.pos, state.posMax)
    if end is None:
        return False
    if not silent:
        _add_text(state, state.src[state.pos : end])
    state.pos = end
    return True


def _end(text: str, start: int, limit: int) -> int | None:
    """Return where the formula, or the delimiter without a partner, ends that begins at `start`."""
    opening = text[start : start + 2]
    closing = _CLOSING.get(opening)
    if closing is not None:
        end = text.find(closing, start + 2, min(limit, start + _MOST_CHARS))
        return start + 2 if end < 0 else end + len(closing)
    # A bracket that has lost its partner keeps its backslash all the same.
    if opening in (r"\)", r"\]"):
        return start + 2
    if text[start] != "$":
        return None
    found = _DOLLAR.match(text, start, limit)
    return found.end() if found else None


def _add_text(state: StateInline, text: str) -> None:
    for number, line in enumerate(text.split("\n")):
        if number:
            state.push("hardbreak", "br", 0)
        state.pending += line


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Take a formula that begins a line as a paragraph of its own, whatever its lines look like.

    One that is not closed yet reaches to the end: the answer is still being written. An empty line ends what
    is no formula.
    """
    if state.is_code_block(first):
        return False
    opening = state.src[state.bMarks[first] + state.tShift[first] : state.eMarks[first]][:2]
    if opening not in (r"\[", "$$"):
        return False
    after = _line_after(state, first, last, _CLOSING[opening])
    if after is None:
        return False
    if silent:
        return True
    state.line = after
    token = state.push("paragraph_open", "p", 1)
    token.map = [first, after]
    token = state.push("inline", "", 0)
    token.content = state.getLines(first, after, state.blkIndent, False).strip()
    token.map = [first, after]
    token.children = []
    state.push("paragraph_close", "p", -1)
    return True


def _line_after(state: StateBlock, first: int, last: int, closing: str) -> int | None:
    """Return the line behind the formula; None where there is none."""
    for line in range(first, last):
        if state.isEmpty(line) or (line > first and state.sCount[line] < state.blkIndent):
            return None
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
        if closing in (text[2:] if line == first else text):
            return line + 1
    return last
