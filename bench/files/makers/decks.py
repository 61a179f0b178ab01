"""PPTX by python-pptx."""

import io
from collections.abc import Callable, Iterator

import pptx
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.presentation import Presentation
from pptx.util import Inches

from bench.files.case import Case

_ROWS = (("City", "People"), ("Lima", "10"), ("Kyiv", "3"))


def cases() -> Iterator[Case]:
    yield Case(
        "PPTX", "plain.pptx", _deck(_plain), "Roadmap Ship it in May breathe slowly", texts=("[slide 1",)
    )
    yield Case(
        "PPTX",
        "chart.pptx",
        _deck(_chart),
        "Sales",
        charts=("North", "South", "19.2", "Q1", "Q2"),
        rows=(("North", "19.2", "21.4"), ("South", "7", "8")),
    )
    yield Case("PPTX", "table.pptx", _deck(_table), "City People Lima 10 Kyiv 3", _ROWS)
    yield Case("PPTX", "hidden-slide.pptx", _deck(_hidden), "Shown Unshown", texts=("hidden]",))
    yield Case("PPTX", "group.pptx", _deck(_group), "Inside the group")


def _deck(fill: Callable[[Presentation], None]) -> bytes:
    deck = pptx.Presentation()
    fill(deck)
    written = io.BytesIO()
    deck.save(written)
    return written.getvalue()


def _slide(deck: Presentation, title: str):  # type: ignore[no-untyped-def]
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = title
    return slide


def _box(shapes, text: str) -> None:  # type: ignore[no-untyped-def]
    shapes.add_textbox(Inches(1), Inches(2), Inches(4), Inches(1)).text_frame.text = text


def _plain(deck: Presentation) -> None:
    slide = _slide(deck, "Roadmap")
    _box(slide.shapes, "Ship it in May")
    slide.notes_slide.notes_text_frame.text = "breathe slowly"


def _chart(deck: Presentation) -> None:
    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("Q1", (19.2, 7))
    data.add_series("Q2", (21.4, 8))
    place = (Inches(1), Inches(2), Inches(6), Inches(4))
    _slide(deck, "Sales").shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *place, data)


def _table(deck: Presentation) -> None:
    place = (Inches(1), Inches(2), Inches(6), Inches(2))
    table = _slide(deck, "Cities").shapes.add_table(len(_ROWS), 2, *place).table
    for row, cells in enumerate(_ROWS):
        for column, cell in enumerate(cells):
            table.cell(row, column).text = cell


def _hidden(deck: Presentation) -> None:
    _slide(deck, "Shown")
    _slide(deck, "Unshown")._element.set("show", "0")


def _group(deck: Presentation) -> None:
    _box(_slide(deck, "").shapes.add_group_shape().shapes, "Inside the group")
