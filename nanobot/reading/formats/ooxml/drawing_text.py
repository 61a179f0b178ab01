"""Text of DrawingML: that of charts, diagrams, slides and shapes (`a:p`)."""

from nanobot.reading.formats.ooxml.equations import M, equation
from nanobot.reading.formats.scripts import Script, Segment, joined
from nanobot.reading.formats.xml import Element

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_TEXTS = frozenset({f"{A}r", f"{A}fld"})


def paragraphs(container: Element) -> list[str]:
    """Return the text of each paragraph below `container` that has some."""
    texts = (paragraph_text(paragraph) for paragraph in container.iter(f"{A}p"))
    return [text for text in texts if text.strip()]


def one_line(container: Element | None) -> str:
    """Return all text below `container` in one line."""
    return "" if container is None else " ".join(" ".join(paragraphs(container)).split())


def paragraph_text(paragraph: Element) -> str:
    """Return the text of a paragraph. Its line breaks are newlines."""
    return joined(segments(paragraph)).strip()


def segments(paragraph: Element) -> list[Segment]:
    """Return the pieces of text of a paragraph."""
    pieces: list[Segment] = []
    for child in paragraph:
        if child.tag in _TEXTS:
            pieces.append(run(child))
        elif child.tag == f"{A}br":
            pieces.append(Segment("\n"))
        elif child.tag == f"{A}tab":
            pieces.append(Segment("\t"))
        elif str(child.tag).endswith("}m") or child.tag in (f"{M}oMath", f"{M}oMathPara"):
            pieces.append(Segment(_equations(child)))
        elif child.tag == f"{MC}AlternateContent":
            pieces.extend(_alternative(child))
    return pieces


def run(element: Element) -> Segment:
    """Return the text of a run or field."""
    text = element.findtext(f"{A}t") or ""
    properties = element.find(f"{A}rPr")
    baseline = "0" if properties is None else properties.get("baseline", "0")
    try:
        raised = float(baseline.rstrip("%"))
    except ValueError:
        raised = 0
    script = Script.NONE if not raised else Script.SUPER if raised > 0 else Script.SUB
    struck = properties is not None and properties.get("strike", "noStrike") != "noStrike"
    return Segment(text.replace("\v", "\n").replace("_x000D_", ""), script, is_struck=struck)


def _equations(element: Element) -> str:
    found = [equation(each) for each in element.iter(f"{M}oMath")]
    return "\n".join(filter(None, found))


def _alternative(element: Element) -> list[Segment]:
    """Return the first alternative that has text."""
    for alternative in element:
        pieces = segments(alternative)
        if any(piece.text for piece in pieces):
            return pieces
    return []
