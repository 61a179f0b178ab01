"""ODT and ODP by odfpy."""

import io
from collections.abc import Iterator

from odf import dc, draw, presentation, style, table, text
from odf.namespaces import PRESENTATIONNS
from odf.office import Annotation
from odf.opendocument import OpenDocument, OpenDocumentPresentation, OpenDocumentText

from bench.files.case import Case

_ROWS = (("City", "People"), ("Lima", "10"), ("Kyiv", ""))


def cases() -> Iterator[Case]:
    yield Case(
        "ODT",
        "headings-and-table.odt",
        _saved(_headings_and_table()),
        "Cities of the year City People Lima 10 Kyiv",
        _ROWS,
        texts=("## Cities of the year",),
    )
    yield Case(
        "ODT",
        "numbered-list.odt",
        _saved(_numbered_list()),
        "flour sieved water salt",
        texts=("1. flour", "  a) sieved", "2. water", "3. salt"),
    )
    yield Case(
        "ODT",
        "notes-and-comments.odt",
        _saved(_notes_and_comments()),
        "As shown before and after by a small remark really",
        texts=("shown[^1]", "[^1]: by a small remark", "[comment by Ann: really?]"),
    )
    yield Case(
        "ODT",
        "hidden-and-raised.odt",
        _saved(_hidden_and_raised()),
        "10 6 items secret inside the box",
        texts=("10^6 items", "[hidden: secret]"),
    )
    yield Case(
        "ODP",
        "slides.odp",
        _saved(_slides()),
        "Roadmap Ship it in May breathe slowly Unshown",
        texts=("# Roadmap", "[notes: breathe slowly]", "[slide 2, hidden]"),
    )


def _headings_and_table() -> OpenDocument:
    document = OpenDocumentText()
    document.text.addElement(text.H(outlinelevel=2, text="Cities of the year"))
    made = table.Table()
    for cells in _ROWS:
        row = table.TableRow()
        for content in cells:
            cell = table.TableCell()
            cell.addElement(text.P(text=content))
            row.addElement(cell)
        made.addElement(row)
    document.text.addElement(made)
    return document


def _numbered_list() -> OpenDocument:
    document = OpenDocumentText()
    numbers = text.ListStyle(name="Numbers")
    numbers.addElement(text.ListLevelStyleNumber(level=1, numformat="1", numsuffix="."))
    numbers.addElement(text.ListLevelStyleNumber(level=2, numformat="a", numsuffix=")"))
    document.automaticstyles.addElement(numbers)
    items = text.List(stylename=numbers)
    for word in ("flour", "water", "salt"):
        item = text.ListItem()
        item.addElement(text.P(text=word))
        if word == "flour":
            inner, below = text.List(), text.ListItem()
            below.addElement(text.P(text="sieved"))
            inner.addElement(below)
            item.addElement(inner)
        items.addElement(item)
    document.text.addElement(items)
    return document


def _notes_and_comments() -> OpenDocument:
    document = OpenDocumentText()
    paragraph = text.P(text="As shown")
    note = text.Note(noteclass="footnote", id="n1")
    note.addElement(text.NoteCitation(text="1"))
    body = text.NoteBody()
    body.addElement(text.P(text="by a small remark"))
    note.addElement(body)
    paragraph.addElement(note)
    paragraph.addText(" before")
    comment = Annotation()
    comment.addElement(dc.Creator(text="Ann"))
    comment.addElement(text.P(text="really?"))
    paragraph.addElement(comment)
    paragraph.addText(" and after")
    document.text.addElement(paragraph)
    return document


def _hidden_and_raised() -> OpenDocument:
    document = OpenDocumentText()
    raised = style.Style(name="Raised", family="text")
    raised.addElement(style.TextProperties(textposition="super 58%"))
    hidden = style.Style(name="Hidden", family="text")
    hidden.addElement(style.TextProperties(display="none"))
    for each in (raised, hidden):
        document.automaticstyles.addElement(each)
    paragraph = text.P(text="10")
    paragraph.addElement(text.Span(stylename=raised, text="6"))
    paragraph.addText(" items ")
    paragraph.addElement(text.Span(stylename=hidden, text="secret"))
    frame, box = draw.Frame(width="5cm", height="2cm"), draw.TextBox()
    box.addElement(text.P(text="inside the box"))
    frame.addElement(box)
    paragraph.addElement(frame)
    document.text.addElement(paragraph)
    return document


def _slides() -> OpenDocument:
    document = OpenDocumentPresentation()
    layout = style.PageLayout(name="Layout")
    document.automaticstyles.addElement(layout)
    master = style.MasterPage(name="Master", pagelayoutname=layout)
    document.masterstyles.addElement(master)
    hidden = style.Style(name="Hidden", family="drawing-page")
    hidden.addElement(style.DrawingPageProperties(visibility="hidden"))
    document.automaticstyles.addElement(hidden)
    page = draw.Page(masterpagename=master)
    page.addElement(_box("Ship it in May"))
    page.addElement(_box("Roadmap", "title"))
    notes = presentation.Notes()
    notes.addElement(_box("breathe slowly", "notes"))
    page.addElement(notes)
    document.presentation.addElement(page)
    unshown = draw.Page(masterpagename=master, stylename=hidden)
    unshown.addElement(_box("Unshown"))
    document.presentation.addElement(unshown)
    return document


def _box(content: str, kind: str = ""):  # type: ignore[no-untyped-def]
    frame = draw.Frame(width="10cm", height="3cm")
    if kind:
        frame.setAttrNS(PRESENTATIONNS, "class", kind)
    box = draw.TextBox()
    box.addElement(text.P(text=content))
    frame.addElement(box)
    return frame


def _saved(document: OpenDocument) -> bytes:
    written = io.BytesIO()
    document.write(written)
    return written.getvalue()
