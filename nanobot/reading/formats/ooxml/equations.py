"""Equations of Office (OMML) as a line of text: `x=(-b±√(b^2-4ac))/(2a)`."""

from collections.abc import Callable

from nanobot.reading.formats.xml import Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MOST_DEPTH = 40
_SKIPPED = frozenset(
    {f"{_W}{name}" for name in ("rPr", "del", "moveFrom", "delText", "instrText")}
    | {f"{M}{name}" for name in ("rPr", "ctrlPr", "argPr", "oMathParaPr")}
)


def equation(element: Element) -> str:
    """Return the text of `m:oMath` or `m:oMathPara`; the equations of a paragraph are lines."""
    if element.tag == f"{M}oMathPara":
        return "\n".join(filter(None, (_content(each, 0) for each in element.iter(f"{M}oMath"))))
    return _content(element, 0)


def grouped(text: str) -> str:
    """Return the text in brackets, unless it is one sign or number, or in brackets already."""
    text = text.strip()
    return text if len(text) == 1 or text.isdecimal() or _is_bracketed(text) else f"({text})"


def _is_bracketed(text: str) -> bool:
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place == len(text) - 1
    return False


def _content(element: Element, depth: int) -> str:
    """Return the text of what is in the element."""
    if depth > _MOST_DEPTH:
        return "".join(text.text or "" for text in element.iter(f"{M}t"))
    text = ""
    is_after_structure = False
    for child in element:
        tag = child.tag
        if tag in _SKIPPED:
            continue
        write = _STRUCTURES.get(tag)
        if tag in (f"{M}t", f"{_W}t"):
            piece = child.text or ""
        elif tag == f"{_W}tab":
            piece = "\t"
        else:
            piece = write(child, depth + 1) if write else _content(child, depth + 1)
        # x^2y would be another equation than x^2 y.
        text += f" {piece}" if is_after_structure and piece[:1].isalnum() else piece
        is_after_structure = write is not None
    return text


def _part(element: Element, name: str, depth: int) -> str:
    """Return the text of the first child of this name."""
    child = element.find(f"{M}{name}")
    return "" if child is None else _content(child, depth)


def _property(element: Element, name: str, usual: str) -> str:
    """Return a property; one that is there without a value is an empty text."""
    for properties in element:
        if str(properties.tag).endswith("Pr"):
            entry = properties.find(f"{M}{name}")
            if entry is not None:
                return str(entry.get(f"{M}val", ""))
    return usual


def _fraction(element: Element, depth: int) -> str:
    top, bottom = _part(element, "num", depth), _part(element, "den", depth)
    if _property(element, "type", "bar") == "noBar":
        return f"({top} ¦ {bottom})"
    return f"{grouped(top)}/{grouped(bottom)}"


def _superscript(element: Element, depth: int) -> str:
    return f"{_base(element, depth)}^{grouped(_part(element, 'sup', depth))}"


def _subscript(element: Element, depth: int) -> str:
    return f"{_base(element, depth)}_{grouped(_part(element, 'sub', depth))}"


def _both_scripts(element: Element, depth: int) -> str:
    sub, sup = (grouped(_part(element, name, depth)) for name in ("sub", "sup"))
    return f"{_base(element, depth)}_{sub}^{sup}"


def _scripts_before(element: Element, depth: int) -> str:
    sub, sup = (grouped(_part(element, name, depth)) for name in ("sub", "sup"))
    return f"_{sub}^{sup}{_base(element, depth)}"


def _base(element: Element, depth: int) -> str:
    return grouped(_part(element, "e", depth))


def _root(element: Element, depth: int) -> str:
    return f"{_part(element, 'deg', depth).strip()}√{grouped(_part(element, 'e', depth))}"


def _nary(element: Element, depth: int) -> str:
    sign = _property(element, "chr", "∫") or "∫"
    for mark, name in (("_", "sub"), ("^", "sup")):
        bound = _part(element, name, depth)
        if bound.strip():
            sign += mark + grouped(bound)
    return f"{sign} {_part(element, 'e', depth)}"


def _delimited(element: Element, depth: int) -> str:
    separator = _property(element, "sepChr", "|")
    inside = separator.join(_content(each, depth) for each in element.findall(f"{M}e"))
    return f"{_property(element, 'begChr', '(')}{inside}{_property(element, 'endChr', ')')}"


def _function(element: Element, depth: int) -> str:
    argument = _part(element, "e", depth)
    return f"{_part(element, 'fName', depth)}{'' if argument.startswith('(') else ' '}{argument}"


def _limit(mark: str) -> Callable[[Element, int], str]:
    def write(element: Element, depth: int) -> str:
        return f"{_part(element, 'e', depth)}{mark}{grouped(_part(element, 'lim', depth))}"

    return write


def _matrix(element: Element, depth: int) -> str:
    rows = element.findall(f"{M}mr")
    return f"[{'; '.join(', '.join(_content(cell, depth) for cell in row.findall(f'{M}e')) for row in rows)}]"


def _lines(element: Element, depth: int) -> str:
    return "; ".join(_content(each, depth).replace("&", "") for each in element.findall(f"{M}e"))


def _accent(element: Element, depth: int) -> str:
    return _part(element, "e", depth) + _property(element, "chr", "\u0302")


_STRUCTURES: dict[str, Callable[[Element, int], str]] = {
    f"{M}{name}": write
    for name, write in (
        ("f", _fraction),
        ("sSup", _superscript),
        ("sSub", _subscript),
        ("sSubSup", _both_scripts),
        ("sPre", _scripts_before),
        ("rad", _root),
        ("nary", _nary),
        ("d", _delimited),
        ("func", _function),
        ("limLow", _limit("_")),
        ("limUpp", _limit("^")),
        ("m", _matrix),
        ("eqArr", _lines),
        ("acc", _accent),
    )
}
