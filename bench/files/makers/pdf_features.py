"""What PDFs have beside plain text, by reportlab: forms, columns, turned pages, links, notes."""

import io
from collections.abc import Callable, Iterator

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, SimpleDocTemplate, Table

from bench.files.case import Case

_PROSE = (
    "Rivers carry sand and gravel from the mountains to the sea. Where the water slows down, the heavier"
    " grains settle first, and the finest mud last. Over many years the layers become stone, and in the"
    " stone the shells of animals that lived in the water are kept. "
)
_WRAPPED = (
    ("Item", "Description", "Price"),
    ("Tea", "green tea from the hills, in a tin of one hundred grams", "2.50"),
    ("Milk", "whole milk", "1.10"),
    ("Bread", "rye bread that was baked in the morning of the same day", "3.20"),
)
_WIDE = (("Quarter", "Lima", "Oslo", "Kyiv"), ("Q1", "1,200", "310", "77"), ("Q2", "", "415", "81"))


def cases() -> Iterator[Case]:
    yield Case(
        "PDF",
        "check-boxes.pdf",
        _drawn(_boxes),
        "Newsletter Post Colour",
        values=("[x] Newsletter", "[ ] Post", "Blue"),
    )
    yield Case("PDF", "wrapped-cells.pdf", _wrapped(), "green tea from the hills", _WRAPPED)
    yield Case("PDF", "unruled-table.pdf", _drawn(_unruled), "Quarter Lima Oslo Kyiv", _WIDE)
    yield Case("PDF", "turned-page.pdf", _turned(), "A table on its side", _WIDE)
    yield Case("PDF", "paper.pdf", _paper(), f"On Rivers {_PROSE * 12}", texts=("heavier grains",))
    yield Case(
        "PDF",
        "link-and-note.pdf",
        _drawn(_link),
        "see our page for more",
        texts=("[our page](https://example.org/x)", "[comment: not true]"),
    )
    yield Case(
        "PDF",
        "heading-and-power.pdf",
        _drawn(_heading),
        "Results The rate is about",
        texts=("# Results", "10^6"),
    )


def _drawn(draw: Callable[[Canvas], None]) -> bytes:
    written = io.BytesIO()
    canvas = Canvas(written, pagesize=A4)
    draw(canvas)
    canvas.showPage()
    canvas.save()
    return written.getvalue()


def _boxes(canvas: Canvas) -> None:
    form = canvas.acroForm
    for y, name, checked in ((700, "Newsletter", True), (670, "Post", False)):
        form.checkbox(name=name, x=72, y=y - 4, size=14, checked=checked)
        canvas.drawString(92, y, name)
    canvas.drawString(72, 640, "Colour:")
    form.choice(name="colour", options=["Red", "Blue"], value="Blue", x=130, y=632, width=80, height=20)


def _wrapped() -> bytes:
    style = getSampleStyleSheet()["BodyText"]
    rows = [[item, Paragraph(text, style), price] for item, text, price in _WRAPPED]
    table = Table(rows, colWidths=[60, 150, 60])
    table.setStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)])
    written = io.BytesIO()
    SimpleDocTemplate(written).build([table])
    return written.getvalue()


def _unruled(canvas: Canvas) -> None:
    _place(canvas, 700)


def _place(canvas: Canvas, top: int) -> None:
    for row, cells in enumerate(_WIDE):
        for column, cell in enumerate(cells):
            canvas.drawString(72 + 110 * column, top - 16 * row, cell)


def _turned() -> bytes:
    written = io.BytesIO()
    canvas = Canvas(written, pagesize=landscape(A4))
    canvas.translate(500, 30)
    canvas.rotate(90)
    canvas.drawString(20, 200, "A table on its side")
    canvas.translate(0, -550)
    _place(canvas, 700)
    canvas.showPage()
    canvas.save()
    return written.getvalue()


def _paper() -> bytes:
    written = io.BytesIO()
    styles = getSampleStyleSheet()
    frames = [Frame(50, 60, 235, 680, id="left"), Frame(310, 60, 235, 680, id="right")]
    document = BaseDocTemplate(written, pagesize=A4)
    document.addPageTemplates([PageTemplate(frames=frames)])
    paragraphs = [Paragraph(_PROSE * 3, styles["BodyText"]) for _ in range(4)]
    document.build([Paragraph("On Rivers", styles["Title"]), *paragraphs])
    return written.getvalue()


def _link(canvas: Canvas) -> None:
    canvas.drawString(72, 700, "see our page for more")
    start = 72 + canvas.stringWidth("see ")
    canvas.linkURL("https://example.org/x", (start, 697, start + canvas.stringWidth("our page"), 711))
    canvas.drawString(72, 600, "The earth is flat.")
    canvas.textAnnotation("not true", (180, 598, 200, 614), addtopage=1)


def _heading(canvas: Canvas) -> None:
    canvas.setFont("Helvetica-Bold", 20)
    canvas.drawString(72, 740, "Results")
    canvas.setFont("Helvetica", 11)
    canvas.drawString(72, 700, "The rate is about 10")
    canvas.setFont("Helvetica", 7)
    canvas.drawString(72 + canvas.stringWidth("The rate is about 10", "Helvetica", 11), 704, "6")
    canvas.setFont("Helvetica", 11)
    canvas.drawString(72, 680, "and more text follows that is as small as most of it.")
