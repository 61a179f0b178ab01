"""What lies on a page of a PDF beside its text: values of forms, comments, links, attached files."""

import ctypes
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from nanobot.reading.formats.pdf_characters import Box, Character
from nanobot.reading.formats.pdf_layout import PageRun

_MAX_ANNOTATIONS = 5_000
_MAX_STRING_BYTES = 200_000
_HIDDEN, _NO_VIEW = 2, 32
_PASSWORD_FIELD = 1 << 13
_MAX_OPTIONS = 1_000
_ROW_POINTS = 25.0
_CHECKS = frozenset({pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON})
_FIELDS = frozenset(
    {pdfium.FPDF_FORMFIELD_TEXTFIELD, pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX}
)
_NO_COMMENTS = frozenset({pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP, pdfium.FPDF_ANNOT_WIDGET})


class Field(NamedTuple):
    """A field of a form. `is_check`: a box or a button, whose `value` is `[x]` or `[ ]`."""

    box: Box
    value: str
    is_check: bool
    is_list: bool = False


class Comment(NamedTuple):
    """What somebody noted about the place `box`. `is_drawn`: its text may stand on the page."""

    box: Box
    text: str
    is_drawn: bool = False


class PdfLink(NamedTuple):
    box: Box
    url: str


_Placed = Sequence[tuple[Character, Box]]


class PdfNotes(NamedTuple):
    """All of one page. `is_annotated`: there is something that must be drawn to be read."""

    fields: tuple[Field, ...]
    comments: tuple[Comment, ...]
    links: tuple[PdfLink, ...]
    is_annotated: bool

    def values(self, placed: _Placed) -> list[PageRun]:
        """Return the values of fields that are not among the characters, where they belong."""
        within = _Places(placed)
        runs: list[PageRun] = []
        for field in self.fields:
            box = field.box
            if not field.value or not (field.is_check or field.is_list or not within.any(box)):
                continue
            size = min(max(box.top - box.bottom, 4.0), 10.0)
            y = (box.top + box.bottom) / 2 - 0.3 * size
            runs.append(PageRun(field.value, box.left, max(box.right, box.left + size), y, size))
        return runs

    def shown(self, placed: _Placed) -> Iterator[Character]:
        """Yield the characters, links with their targets, without the signs that are drawn in boxes."""
        within = _Places(placed)
        drawn = set[int]()
        for field in self.fields:
            if field.is_check or field.is_list:
                drawn.update(within.inside(field.box))
        before, after = dict[int, str](), dict[int, str]()
        for link in self.links:
            inside = [index for index in sorted(within.inside(link.box)) if not placed[index][0].is_space]
            text = "".join(placed[index][0].text for index in inside)
            # Where the text is the address, it says all there is to say.
            if inside and text.rstrip("/") not in link.url and inside[0] not in before:
                before[inside[0]] = "["
                after[inside[-1]] = f"]({link.url})"
        for index, (character, _) in enumerate(placed):
            if index in drawn:
                continue
            if index in before or index in after:
                marked = f"{before.get(index, '')}{character.text}{after.get(index, '')}"
                character = character._replace(text=marked)
            yield character

    def said(self, placed: _Placed) -> list[Comment]:
        """Return the comments whose text is not among the characters."""
        within = _Places(placed)
        return [one for one in self.comments if not (one.is_drawn and within.any(one.box))]


class _Places:
    """Finds characters by where they are."""

    def __init__(self, placed: _Placed) -> None:
        self._placed = placed
        self._rows: dict[int, list[int]] = defaultdict(list)
        for index, (_, box) in enumerate(placed):
            self._rows[int((box.top + box.bottom) / 2 // _ROW_POINTS)].append(index)

    def inside(self, box: Box) -> Iterator[int]:
        """Yield the indexes of the characters whose middle is in the box."""
        for row in range(int(box.bottom // _ROW_POINTS), int(box.top // _ROW_POINTS) + 1):
            for index in self._rows.get(row, ()):
                _, place = self._placed[index]
                if box.has((place.left + place.right) / 2, (place.bottom + place.top) / 2):
                    yield index

    def any(self, box: Box) -> bool:
        return any(not self._placed[index][0].is_space for index in self.inside(box))


def notes_of(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage) -> PdfNotes:
    """Return what lies on the page. It must not be flattened yet."""
    fields: list[Field] = []
    comments: list[Comment] = []
    links: list[PdfLink] = []
    count = min(pdfium.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)
    for index in range(count):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            _take(document, annotation, fields, comments, links)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return PdfNotes(tuple(fields), tuple(comments), tuple(links), count > len(links))


def _take(
    document: pypdfium2.PdfDocument,
    annotation: Any,
    fields: list[Field],
    comments: list[Comment],
    links: list[PdfLink],
) -> None:
    kind = pdfium.FPDFAnnot_GetSubtype(annotation)
    rectangle = pdfium.FS_RECTF()
    if pdfium.FPDFAnnot_GetFlags(annotation) & (_HIDDEN | _NO_VIEW):
        return
    if not pdfium.FPDFAnnot_GetRect(annotation, rectangle):
        return
    xs, ys = sorted((rectangle.left, rectangle.right)), sorted((rectangle.bottom, rectangle.top))
    box = Box(xs[0], ys[0], xs[1], ys[1])
    if not all(abs(place) < 1e6 for place in box):
        return
    if kind == pdfium.FPDF_ANNOT_WIDGET and document.formenv is not None:
        field = _field(document.formenv, annotation, box)
        if field is not None:
            fields.append(field)
    elif kind == pdfium.FPDF_ANNOT_LINK:
        url = _url(document, annotation)
        if url:
            links.append(PdfLink(box, url))
    elif kind not in _NO_COMMENTS:
        text = _string(
            lambda buffer, size: pdfium.FPDFAnnot_GetStringValue(annotation, b"Contents", buffer, size)
        )
        author = _string(lambda buffer, size: pdfium.FPDFAnnot_GetStringValue(annotation, b"T", buffer, size))
        if text.strip():
            by = f" by {author.strip()}" if author.strip() else ""
            is_drawn = kind == pdfium.FPDF_ANNOT_FREETEXT
            comments.append(Comment(box, f"[comment{by}: {' '.join(text.split())}]", is_drawn))


def _field(form: Any, annotation: Any, box: Box) -> Field | None:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _CHECKS:
        return Field(box, "[x]" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "[ ]", is_check=True)
    if kind not in _FIELDS or pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD_FIELD:
        return None
    if kind == pdfium.FPDF_FORMFIELD_LISTBOX:
        chosen = ", ".join(_chosen(form, annotation))
        return Field(box, f"[chosen: {chosen}]" if chosen else "", is_check=False, is_list=bool(chosen))
    value = _string(lambda buffer, size: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size))
    return Field(box, " ".join(value.split()), is_check=False)


def _chosen(form: Any, annotation: Any) -> Iterator[str]:
    for option in range(min(pdfium.FPDFAnnot_GetOptionCount(form, annotation), _MAX_OPTIONS)):
        if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, option):
            yield _string(partial(pdfium.FPDFAnnot_GetOptionLabel, form, annotation, option))


def _url(document: pypdfium2.PdfDocument, annotation: Any) -> str:
    link = pdfium.FPDFAnnot_GetLink(annotation)
    action = pdfium.FPDFLink_GetAction(link) if link else None
    if not action or pdfium.FPDFAction_GetType(action) != pdfium.PDFACTION_URI:
        return ""
    size = pdfium.FPDFAction_GetURIPath(document, action, None, 0)
    if not 1 < size <= 4_096:
        return ""
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFAction_GetURIPath(document, action, buffer, size)
    return "".join(itertools.takewhile(str.isprintable, buffer.value.decode("utf-8", "replace"))).strip()


def _string(get: Callable[[Any, int], int]) -> str:
    """Return the string that the function writes to a buffer as UTF-16."""
    size = get(None, 0)
    if not 2 < size <= _MAX_STRING_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(size)
    get(ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), size)
    return buffer.raw[:size].decode("utf-16-le", "replace").rstrip("\0")


def attached_files(document: pypdfium2.PdfDocument) -> Iterator[str]:
    """Yield the names of the files in the document."""
    for index in range(min(document.count_attachments(), 100)):
        try:
            name = document.get_attachment(index).get_name()
        except pypdfium2.PdfiumError:
            continue
        yield "".join(character for character in name if character.isprintable())[:200]
