"""What workbooks have beside values, by XlsxWriter, openpyxl and xlwt."""

import datetime
import io
from collections.abc import Iterator

import openpyxl
import xlsxwriter
import xlwt
from openpyxl.comments import Comment

from bench.files.case import Case

_FORMATS = (
    (0.125, "0.0%", "12.5%"),
    (1234.5, '#,##0.00 "€"', "1,234.50 €"),
    (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
    (46086.5, "dd.mm.yyyy hh:mm", "2026-03-05 12:00"),
    (1.5, "[h]:mm", "36:00:00"),
    (12_345_678, '0.0,,"M"', "12.3M"),
    (5, "00000", "00005"),
)


def cases() -> Iterator[Case]:
    yield Case("XLSX", "number-formats.xlsx", _formats(), texts=tuple(shown for _, _, shown in _FORMATS))
    yield Case(
        "XLSX",
        "hidden-and-noted.xlsx",
        _hidden(),
        "open secret below page",
        texts=(
            "B (hidden)",
            "| 2 (hidden) |",
            "[sheet 2: Old, hidden]",
            "[comment by Ann: check this]",
            "[page](https://example.org/x)",
            "[merged cells: A4:B4]",
        ),
    )
    yield Case("XLSX", "far-cells.xlsx", _far(), texts=("A1: v1", "XFD1048576: end"))
    yield Case(
        "XLSX",
        "charts.xlsx",
        _charts(),
        "Tea Milk",
        charts=("Prices", "Shares", "Tea", "Milk", "Price"),
        texts=("A text over the cells", "[chart: Prices]"),
    )
    yield Case("XLS", "dates.xls", _old(), "when much", texts=("2026-03-05",))


def _formats() -> bytes:
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written)
    sheet = book.add_worksheet()
    for row, (value, form, _) in enumerate(_FORMATS):
        sheet.write_number(row, 0, value, book.add_format({"num_format": form}))
    book.close()
    return written.getvalue()


def _hidden() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["open", "hidden"])
    sheet.append(["secret"])
    sheet["A1"].comment = Comment("check this", "Ann")
    sheet["A3"] = "page"
    sheet["A3"].hyperlink = "https://example.org/x"
    sheet["A3"].value = "page"
    sheet["A4"] = "wide"
    sheet.merge_cells("A4:B4")
    sheet.row_dimensions[2].hidden = True
    sheet.column_dimensions["B"].hidden = True
    old = book.create_sheet("Old")
    old.sheet_state = "hidden"
    old["C3"] = "below"
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _far() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for number in range(1, 40):
        sheet.cell(number * 3 - 2, number * 5 - 4, f"v{number}")
    sheet["XFD1048576"] = "end"
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _charts() -> bytes:
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written)
    sheet = book.add_worksheet("Costs")
    sheet.write_column("A1", ["Tea", "Milk"])
    sheet.write_column("B1", [3, 4])
    for place, kind, title in (("D2", "column", "Prices"), ("D20", "pie", "Shares")):
        chart = book.add_chart({"type": kind})
        chart.add_series({"name": "Price", "categories": "=Costs!$A$1:$A$2", "values": "=Costs!$B$1:$B$2"})
        chart.set_title({"name": title})
        sheet.insert_chart(place, chart)
    sheet.insert_textbox("D40", "A text over the cells")
    book.close()
    return written.getvalue()


def _old() -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Days")
    sheet.write(0, 0, "when")
    sheet.write(0, 1, "much")
    sheet.write(1, 0, datetime.date(2026, 3, 5), xlwt.easyxf(num_format_str="DD/MM/YYYY"))
    sheet.write(1, 1, 5)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()
