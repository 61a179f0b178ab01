"""PPTX by python-pptx."""

import io
from collections.abc import Callable, Iterator

import pptx
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.presentation import Presentation
from pptx.util import Inches

from bench.files.case import Case

_OFFICE = "http://schemas.openxmlformats.org/"
_DRAWING = f"{_OFFICE}drawingml/2006/main"
_DIAGRAM = f"{_OFFICE}drawingml/2006/diagram"
_TYPES = "application/vnd.openxmlformats-officedocument."
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
    yield Case(
        "PPTX",
        "diagram.pptx",
        _deck(_diagram),
        "Steps",
        charts=("Gather", "Sort", "Ship"),
        texts=("- Gather", "  - Sort", "- Ship"),
    )
    yield Case("PPTX", "scatter.pptx", _deck(_scatter), "Points", charts=("Runs", "1.5", "4.25"))
    yield Case(
        "PPTX", "levels.pptx", _deck(_levels), "Agenda first below second", texts=("- first", "  - below")
    )


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


def _scatter(deck: Presentation) -> None:
    data = XyChartData()
    data.add_series("Runs").add_data_point(1.5, 4.25)
    place = (Inches(1), Inches(2), Inches(6), Inches(4))
    _slide(deck, "Points").shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, *place, data)


def _levels(deck: Presentation) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Agenda"
    frame = slide.placeholders[1].text_frame
    frame.text = "first"
    for text, level in (("below", 1), ("second", 0)):
        paragraph = frame.add_paragraph()
        paragraph.text, paragraph.level = text, level


def _diagram(deck: Presentation) -> None:
    slide = _slide(deck, "Steps")
    points = "".join(
        f'<dgm:pt modelId="{id_}"><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'
        for id_, text in ((2, "Ship"), (3, "Sort"), (1, "Gather"))
    )
    links = "".join(
        f'<dgm:cxn modelId="{90 + to}" srcId="{above}" destId="{to}" srcOrd="{order}"/>'
        for above, to, order in ((0, 1, 0), (0, 2, 1), (1, 3, 0))
    )
    model = (
        f'<dgm:dataModel xmlns:dgm="{_DIAGRAM}" xmlns:a="{_DRAWING}"><dgm:ptLst><dgm:pt modelId="0"'
        f' type="doc"/>'
        f"{points}</dgm:ptLst><dgm:cxnLst>{links}</dgm:cxnLst></dgm:dataModel>"
    )
    name = PackURI("/ppt/diagrams/data1.xml")
    part = Part(name, f"{_TYPES}drawingml.diagramData+xml", slide.part.package, model.encode())
    id_ = slide.part.relate_to(part, f"{_OFFICE}officeDocument/2006/relationships/diagramData")
    slide.shapes._spTree.append(  # noqa: SLF001
        parse_xml(
            f'<p:graphicFrame xmlns:p="{_OFFICE}presentationml/2006/main" xmlns:a="{_DRAWING}"'
            f' xmlns:r="{_OFFICE}officeDocument/2006/relationships" xmlns:dgm="{_DIAGRAM}">'
            f"<p:nvGraphicFramePr>"
            '<p:cNvPr id="9" name="Diagram"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr><p:xfrm/>'
            f'<a:graphic><a:graphicData uri="{_DIAGRAM}"><dgm:relIds r:dm="{id_}"/></a:graphicData>'
            f"</a:graphic>"
            "</p:graphicFrame>"
        )
    )
