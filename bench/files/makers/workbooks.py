"""Workbooks by XlsxWriter, openpyxl, xlwt and odfpy."""

import datetime
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence

import openpyxl
import xlsxwriter
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from bench.files.case import Case

_ROWS = (("Item", "Price", "Count"), ("tea", "2.5", "10"), ("milk", "1", "4"), ("茶", "3", "2"))
_TEXT = " ".join(map(" ".join, _ROWS))


def cases() -> Iterator[Case]:
    yield Case("XLSX", "plain.xlsx", _xlsx(_fill), _TEXT, _ROWS, texts=("|  | A | B | C |", "| 2 | tea |"))
    yield Case("XLSX", "strict.xlsx", _strict(_xlsx(_fill)), _TEXT, _ROWS)
    yield Case("XLSX", "stray-cell.xlsx", _xlsx(_stray), f"{_TEXT} behind", (("behind",),))
    yield Case(
        "XLSX",
        "hidden-sheet.xlsx",
        _xlsx(_hidden),
        f"{_TEXT} secret",
        _ROWS,
        texts=("[sheet 2: Cellar, hidden]",),
    )
    yield Case(
        "XLSX",
        "formats.xlsx",
        _xlsx(_formats),
        "",
        (("25%", "2024-03-05", "1.5"),),
        texts=("25%", "2024-03-05"),
    )
    yield Case("XLSX", "formula-without-value.xlsx", _formula(), "1 2", texts=("=A1*B1",))
    yield Case(
        "XLSX",
        "chart.xlsx",
        _xlsx(_chart),
        _TEXT,
        _ROWS,
        charts=("Prices of drinks",),
    )
    yield Case("XLS", "plain.xls", _xls(), _TEXT, _ROWS)
    yield Case("ODS", "plain.ods", _ods(), _TEXT, _ROWS)


def _xlsx(fill: Callable[[xlsxwriter.Workbook], None]) -> bytes:
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written, {"in_memory": True})
    fill(book)
    book.close()
    return written.getvalue()


def _write(page: xlsxwriter.worksheet.Worksheet, rows: Sequence[Sequence[str]] = _ROWS) -> None:
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            page.write(row, column, float(cell) if re.fullmatch(r"[\d.]+", cell) else cell)


def _fill(book: xlsxwriter.Workbook) -> None:
    _write(book.add_worksheet("Drinks"))


def _stray(book: xlsxwriter.Workbook) -> None:
    page = book.add_worksheet("Drinks")
    _write(page)
    page.write_blank(1_048_575, 0, None, book.add_format({"bold": True}))
    book.add_worksheet("Later").write(0, 0, "behind")


def _hidden(book: xlsxwriter.Workbook) -> None:
    _write(book.add_worksheet("Drinks"))
    page = book.add_worksheet("Cellar")
    page.write(0, 0, "secret")
    page.hide()


def _formats(book: xlsxwriter.Workbook) -> None:
    page = book.add_worksheet("Formats")
    page.write(0, 0, 0.25, book.add_format({"num_format": "0%"}))
    page.write(0, 1, datetime.datetime(2024, 3, 5), book.add_format({"num_format": "yyyy-mm-dd"}))
    page.write(0, 2, 1.5)


def _chart(book: xlsxwriter.Workbook) -> None:
    page = book.add_worksheet("Drinks")
    _write(page)
    chart = book.add_chart({"type": "column"})
    chart.add_series({"categories": "=Drinks!$A$2:$A$4", "values": "=Drinks!$B$2:$B$4", "name": "Price"})
    chart.set_title({"name": "Prices of drinks"})
    page.insert_chart("E2", chart)


def _strict(book: bytes) -> bytes:
    """Return the workbook with the names of the strict variant of the format."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            content = content.replace(
                b"http://schemas.openxmlformats.org/spreadsheetml/2006/main",
                b"http://purl.oclc.org/ooxml/spreadsheetml/main",
            ).replace(
                b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
                b"http://purl.oclc.org/ooxml/officeDocument/relationships",
            )
            new.writestr(name, content)
    return written.getvalue()


def _formula() -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    page.append([1, 2, "=A1*B1"])
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _xls() -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    page = book.add_sheet("Drinks")
    for row, cells in enumerate(_ROWS):
        for column, cell in enumerate(cells):
            page.write(row, column, float(cell) if re.fullmatch(r"[\d.]+", cell) else cell)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _ods() -> bytes:
    book = OpenDocumentSpreadsheet()
    table = Table(name="Drinks")
    for cells in _ROWS:
        row = TableRow()
        for cell in cells:
            box = TableCell(valuetype="string")
            box.addElement(P(text=cell))
            row.addElement(box)
        table.addElement(row)
    book.spreadsheet.addElement(table)
    written = io.BytesIO()
    book.write(written)
    return written.getvalue()
