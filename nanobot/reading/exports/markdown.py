"""`MEMORY.md` and `USER.md`: notes in Markdown, a fact a line."""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from nanobot.reading.exports import own_facts
from nanobot.reading.exports.found import ExportContent, FoundFact

_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"^(\s*)(?:[-*+]|\d+[.)])\s+(.*)$")
_BOX = re.compile(r"^\[( |x|X)\]\s*(.*)$")
_COMMENT = re.compile(r"<!--(?:(?!<!--).){0,4000}?-->", re.DOTALL)
_RULE = re.compile(r"^\s*(?:[-*_]\s*){3,}$")
_FRONT_MATTER = re.compile(r"\A---\n(?:.*\n){0,50}?---\n")
_ROW = re.compile(r"^\s*\|.*\|\s*$")
_BELOW_HEAD = re.compile(r"^:?-+:?$")
_EMPHASIS = re.compile(r"(\*\*|__|`)(.+?)\1")
_PLACEHOLDER = re.compile(r"^\(.*\)$|^\[.*\]$|^(?:[^:]{1,60}):\s*\(.*\)$|^[^:]{1,60}:\s*$")
_FOOTER = re.compile(r"^[*_][^*_].*[*_]$")
_GENERAL = re.compile(
    r"memory|user|profile|about|basic|information|preference|important|notes?|facts?|general|misc"
    r"|记忆|用户|偏好|信息|笔记",
    re.IGNORECASE,
)
"""Headings that say nothing of whom or what the facts below them are about."""
_UNTICKED = "boxes that are not ticked, and places that nobody filled in"
_ABOUT_THE_FILE = re.compile(r"(?:This file|Edit this file|Information about the user)\b")
_CODE = "lines of code"


def read(text: str, at: float) -> ExportContent:
    """Return the facts of notes that were written at the time `at`."""
    found = ExportContent.nothing("nanobot")
    subject = heading = ""
    parents: list[tuple[int, str]] = []
    in_code = False
    rows: list[str] = []
    for line in [*_FRONT_MATTER.sub("", _COMMENT.sub("", text)).splitlines(), ""]:
        if rows and not _ROW.match(line):
            found.facts += (FoundFact(said, at, subject) for said in _of_table(rows))
            rows = []
        if line.lstrip().startswith(("```", "~~~")):
            in_code = not in_code
            continue
        if in_code:
            found.left_out[_CODE] += 1
            continue
        if (headed := _HEADING.match(line)) is not None:
            heading = _plain(headed[2])
            subject = "" if len(headed[1]) == 1 or _GENERAL.search(heading) else heading
            parents = []
            continue
        if not line.strip() or _RULE.match(line) or _FOOTER.match(line.strip()):
            continue
        if (own := own_facts.of_line(line)) is not None:
            if heading == own_facts.OF_CHAT_HEADING:
                found.left_out[own_facts.OF_CHAT] += 1
            else:
                found.facts.append(own)
            continue
        if _ROW.match(line):
            rows.append(_plain(line))
            continue
        _take(found, line, at, subject, heading, parents)
    return found


def _take(
    found: ExportContent, line: str, at: float, subject: str, heading: str, parents: list[tuple[int, str]]
) -> None:
    """Take the fact of a line; `parents`: the items that it stands below, with how far they are indented."""
    item = _ITEM.match(line)
    indent, said = (len(item[1].expandtabs(4)), item[2]) if item else (0, line.strip())
    while parents and parents[-1][0] >= indent:
        parents.pop()
    if (box := _BOX.match(said)) is not None:
        if box[1] == " ":
            found.left_out[_UNTICKED] += 1
            return
        # What was chosen is only clear with what there was to choose.
        said = f"{heading}: {box[2]}" if heading else box[2]
    said = _plain(said)
    if not item and _ABOUT_THE_FILE.match(said):
        return
    below = " ".join(text for _, text in parents)
    if said.endswith(":") and item:
        parents.append((indent, said))
        return
    if not said or _PLACEHOLDER.match(said):
        found.left_out[_UNTICKED] += 1
        return
    if item:
        parents.append((indent, f"{said}:"))
    found.facts.append(FoundFact(f"{below} {said}".strip(), at, subject))


def _of_table(rows: Sequence[str]) -> Iterator[str]:
    """Yield what the rows of a table say: each cell with the head of its column, where there is one."""
    table = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    heads: list[str] = []
    if len(table) > 1 and all(_BELOW_HEAD.match(cell) for cell in table[1]):
        heads = table[0]
        del table[:2]
    for row in table:
        cells = [
            f"{head}: {cell}" if head else cell
            for cell, head in zip_longest(row, heads[: len(row)], fillvalue="")
            if cell
        ]
        if cells:
            yield ", ".join(cells)


def _plain(text: str) -> str:
    """Return the text without marks of emphasis."""
    return _EMPHASIS.sub(r"\2", text).strip()
