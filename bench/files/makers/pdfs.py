"""PDF by reportlab, scans by Pillow."""

import io
from collections.abc import Callable, Iterator

from PIL import Image, ImageDraw
from reportlab.lib import colors
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import SimpleDocTemplate, Table

from bench.files.case import Case

_ROWS = (
    ("Name", "Office", "Amount"),
    ("Alvarez", "Lima", "1,200.50"),
    ("Brown", "Oslo", "310.00"),
    ("Chen", "", "7.25"),
)
_CHINESE = "合同编号三二一甲方同意付款"
_JAPANESE = "東京本社の会議は三時に始まります"


def cases() -> Iterator[Case]:
    yield Case(
        "PDF", "plain.pdf", _pdf(_plain), "Invoice 4711 The amount is due in May Thank you for your order"
    )
    yield Case(
        "PDF", "positioned-words.pdf", _pdf(_positioned), "every word is placed by itself on this line"
    )
    yield Case("PDF", "chinese.pdf", _pdf(_of_font("STSong-Light", _CHINESE)), _CHINESE)
    yield Case("PDF", "japanese.pdf", _pdf(_of_font("HeiseiMin-W3", _JAPANESE)), _JAPANESE)
    yield Case("PDF", "table.pdf", _table(), " ".join(map(" ".join, _ROWS)), _ROWS)
    yield Case("PDF", "ruled-table.pdf", _table(ruled=True), " ".join(map(" ".join, _ROWS)), _ROWS)
    yield Case("PDF", "form.pdf", _pdf(_form), "Name of applicant", values=("Grace Hopper", "Rear Admiral"))
    yield Case("PDF", "scan.pdf", _scan(), texts=("[page 1]", "as of a scan", "[page 2]"))
    yield Case("PDF", "two-columns.pdf", _pdf(_columns), "left column reads first right column reads second")


def _pdf(draw: Callable[[Canvas], None]) -> bytes:
    written = io.BytesIO()
    canvas = Canvas(written)
    draw(canvas)
    canvas.showPage()
    canvas.save()
    return written.getvalue()


def _plain(canvas: Canvas) -> None:
    for line, text in enumerate(("Invoice 4711", "The amount is due in May", "Thank you for your order")):
        canvas.drawString(72, 700 - 20 * line, text)


def _positioned(canvas: Canvas) -> None:
    place = 72.0
    for word in ("every", "word", "is", "placed", "by", "itself", "on", "this", "line"):
        canvas.drawString(place, 700, word)
        place += canvas.stringWidth(word) + 3.2


def _of_font(font: str, text: str) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        pdfmetrics.registerFont(UnicodeCIDFont(font))
        canvas.setFont(font, 14)
        canvas.drawString(72, 700, text)

    return draw


def _form(canvas: Canvas) -> None:
    canvas.drawString(72, 720, "Name of applicant")
    canvas.acroForm.textfield(name="name", value="Grace Hopper", x=200, y=710, width=200, height=20)
    canvas.acroForm.textfield(name="rank", value="Rear Admiral", x=200, y=680, width=200, height=20)


def _columns(canvas: Canvas) -> None:
    for column, words in enumerate(("left column reads first", "right column reads second")):
        for line, word in enumerate(words.split()):
            canvas.drawString(72 + 250 * column, 700 - 20 * line, word)


def _table(*, ruled: bool = False) -> bytes:
    written = io.BytesIO()
    style = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)] if ruled else []
    SimpleDocTemplate(written).build([Table([list(row) for row in _ROWS], style=style)])
    return written.getvalue()


def _scan() -> bytes:
    pages = []
    for number in (1, 2):
        page = Image.new("L", (620, 877), 255)
        ImageDraw.Draw(page).text((80, 80), f"A scanned page {number}", fill=0)
        pages.append(page)
    written = io.BytesIO()
    pages[0].save(written, "pdf", save_all=True, append_images=pages[1:])
    return written.getvalue()
