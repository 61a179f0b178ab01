"""Style sheets of pages, as far as they change what a text says: `10⁶` is not `106`, and what is struck
through does not hold any more.
"""

import re
from collections.abc import Iterable, Mapping

_SELECTOR = re.compile(r"[a-z]{0,10}\.([\w-]{1,100})", re.IGNORECASE)
_RAISED = re.compile(
    r"vertical-align\s*:\s*(?:(super|sub)\b|(-?\d{0,3}(?:\.\d{1,4})?)(%|em\b))", re.IGNORECASE
)
_LEAST_EM = 0.2
_SMALL_AND_MOVED = re.compile(
    r"(?=.*position\s*:\s*relative)(?=.*font-size\s*:).*\b(top|bottom)\s*:\s*(-?)0?\.\d{1,4}em",
    re.I | re.DOTALL,
)
_STRUCK = re.compile(r"text-decoration(?:-line)?\s*:[^;]{0,80}\bline-through\b", re.IGNORECASE)
_LONGEST = 2_000
_MOST_CHARACTERS = 128 * 1024
_MOST_CLASSES = 5_000


def look_of(declarations: str) -> str:
    """Return the element that looks as these declarations say: `sup`, `sub` or `del`; else nothing."""
    declarations = declarations[:_LONGEST]
    raised = _RAISED.search(declarations)
    if raised is not None and raised[1]:
        return "sub" if raised[1].lower() == "sub" else "sup"
    if raised is not None and raised[2] not in ("", "-"):
        height = float(raised[2]) / (100 if raised[3] == "%" else 1)
        return ("sup" if height > 0 else "sub") if abs(height) >= _LEAST_EM else ""
    moved = _SMALL_AND_MOVED.match(declarations)
    if moved is not None:
        return "sup" if (moved[1].lower() == "top") == (moved[2] == "-") else "sub"
    return "del" if _STRUCK.search(declarations) is not None else ""


def class_looks(sheets: Iterable[str]) -> Mapping[str, str]:
    """Return the looks of the classes that style sheets define, of those that have one."""
    looks: dict[str, str] = {}
    for sheet in sheets:
        for rule in _without_comments(sheet[:_MOST_CHARACTERS]).split("}"):
            selectors, _, declarations = rule.rpartition("{")
            look = look_of(declarations)
            for selector in selectors.rpartition("{")[2].split(",") if look else ():
                name = _SELECTOR.fullmatch(selector.strip())
                if name is not None and len(looks) < _MOST_CLASSES:
                    looks[name[1]] = look
    return looks


def _without_comments(sheet: str) -> str:
    pieces = []
    while sheet:
        before, _, rest = sheet.partition("/*")
        pieces.append(before)
        sheet = rest.partition("*/")[2]
    return " ".join(pieces)
