"""MathML as a line of text."""

from collections.abc import Callable, Sequence

from nanobot.reading.formats.ooxml.equations import grouped
from nanobot.reading.formats.xml import Element, local_name

_MOST_DEPTH = 60
_NOT_SHOWN = frozenset({"annotation", "annotation-xml", "mphantom"})


def formula(element: Element, depth: int = 0) -> str:
    """Return the text of a formula."""
    if depth > _MOST_DEPTH:
        return " ".join("".join(element.itertext()).split())
    name = local_name(element)
    if name in _NOT_SHOWN:
        return ""
    children = [child for child in element if isinstance(child.tag, str)]
    if not children:
        return " ".join((element.text or "").split())
    parts = [formula(child, depth + 1) for child in children]
    write = _STRUCTURES.get(name)
    if write is not None and len(parts) >= _FEWEST.get(name, 1):
        return write(parts)
    if name == "mfenced":
        inside = (element.get("separators") or ",")[:1].join(parts)
        return f"{element.get('open', '(')}{inside}{element.get('close', ')')}"
    return "".join(parts)


def _scripts(*marks: str) -> Callable[[Sequence[str]], str]:
    """Return what writes a base, and what stands above and below it."""

    def write(parts: Sequence[str]) -> str:
        scripts = (mark + grouped(part) for mark, part in zip(marks, parts[1:], strict=False) if part)
        return grouped(parts[0]) + "".join(scripts)

    return write


_FEWEST = {"mfrac": 2, "mroot": 2, "msup": 2, "msub": 2, "msubsup": 3}
_STRUCTURES: dict[str, Callable[[Sequence[str]], str]] = {
    "mfrac": lambda parts: f"{grouped(parts[0])}/{grouped(parts[1])}",
    "msqrt": lambda parts: f"√{grouped(''.join(parts))}",
    "mroot": lambda parts: f"{parts[1]}√{grouped(parts[0])}",
    "msup": _scripts("^"),
    "msub": _scripts("_"),
    "msubsup": _scripts("_", "^"),
    "munder": _scripts("_"),
    "mover": _scripts("^"),
    "munderover": _scripts("_", "^"),
    "mtable": lambda parts: f"[{'; '.join(parts)}]",
    "mtr": ", ".join,
}
