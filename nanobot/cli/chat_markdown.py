"""Markdown as lines for a terminal, and how much of a growing text is final."""

from collections.abc import Sequence
from typing import ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax

from nanobot.cli.chat_files import save_command
from nanobot.cli.chat_math import keep_formulas
from nanobot.core.workspace import FILE_ID_PREFIX

_PARSER = keep_formulas(MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]))
_CODE_THEME = "ansi_dark"


class _LeftHeading(Heading):
    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _Code(CodeBlock):
    """Code without a blank line of its own above and below: blocks have one between them anyway."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, padding=(0, 1))


class _PlainMarkdown(Markdown):
    """rich's Markdown, but with headings on the left, and with HTML shown as it was written."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme=_CODE_THEME, hyperlinks=False)
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            for inside in token.children or ():
                if inside.type == "softbreak":
                    # Models write poems and addresses so.
                    inside.type = "hardbreak"
                elif inside.type == "link_open":
                    inside.attrs["href"] = _shown_link(str(inside.attrs.get("href", "")))


def _shown_link(target: str) -> str:
    """Return where a link leads; of one to a file of the agent, what is typed to have it."""
    return save_command(target) if target.startswith(FILE_ID_PREFIX) else target


def finished(text: str) -> int:
    """Return how many characters of `text` no later text can change: all blocks but the last."""
    starts = [
        token.map[0]
        for token in _PARSER.parse(text)
        if token.level == 0 and token.map is not None and token.nesting >= 0
    ]
    if len(starts) < 2:
        return 0
    position = 0
    for _ in range(starts[-1]):
        position = text.index("\n", position) + 1
    return position


def lines(text: str, console: Console) -> list[str]:
    """Return `text` as lines for the console's terminal, without trailing blanks and outer blank lines."""
    rendered = [_trimmed(line) for line in console.render_lines(_PlainMarkdown(text), pad=False)]
    while rendered and not rendered[0]:
        del rendered[0]
    while rendered and not rendered[-1]:
        del rendered[-1]
    return ["".join(_ansi(segment, console) for segment in line) for line in rendered]


def _trimmed(line: Sequence[Segment]) -> list[Segment]:
    kept = list(line)
    while kept:
        text, style, control = kept[-1]
        # Such blanks are visible.
        if style is not None and (style.bgcolor is not None or style.underline):
            break
        bare = text.rstrip()
        if bare:
            kept[-1] = Segment(bare, style, control)
            break
        kept.pop()
    return kept


def _ansi(segment: Segment, console: Console) -> str:
    style = segment.style or Style.null()
    return style.render(segment.text, color_system=console._color_system)
