"""A workbook says what people see in its cells, and where."""

import datetime
import io
import zipfile

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment

from nanobot.core.extent import Position
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.formats.formulas import moved
from nanobot.reading.formats.number_formats import shown_number
from nanobot.reading.messages import ExtractionFailure, ExtractionRequest
from tests import files
from tests.unit.reading.formats.reading import extracted, rows_of, text_of


def saved(book: openpyxl.Workbook) -> bytes:
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def sheet_of(book: openpyxl.Workbook) -> openpyxl.worksheet.worksheet.Worksheet:
    sheet = book.active
    assert isinstance(sheet, openpyxl.worksheet.worksheet.Worksheet)
    return sheet


def test_a_formula_that_nobody_computed_is_shown_as_such() -> None:
    assert "| 1 | 1 | 2 | =A1*B1 |" in text_of(files.sheet([[1, 2, "=A1*B1"]]))


def test_numbers_are_shown_as_people_see_them() -> None:
    book = openpyxl.Workbook()
    sheet = sheet_of(book)
    for cell, value, form in (
        ("A1", 0.125, "0.0%"),
        ("B1", 1234.5, '#,##0.00 "€"'),
        ("C1", datetime.datetime(2026, 3, 5, 9, 30), "dd.mm.yyyy hh:mm"),
        ("D1", datetime.date(2026, 3, 5), "mmm-yy"),
        ("E1", datetime.timedelta(hours=36), "[h]:mm"),
        ("F1", True, "General"),
        ("G1", -1234.5, "#,##0.00;(#,##0.00)"),
        ("H1", 0.1 + 0.2, "General"),
    ):
        sheet[cell] = value
        sheet[cell].number_format = form
    assert rows_of(text_of(saved(book))) == [
        "| 1 | 12.5% | 1,234.50 € | 2026-03-05 09:30 | 2026-03-05 | 36:00:00 | TRUE | (1,234.50) | 0.3 |"
    ]


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (0.125, "0%", "13%"),
        (5, "00000", "00005"),
        (12345678, '0.0,,"M"', "12.3M"),
        (0.000123, "0.00E+00", "1.23E-04"),
        (0, '0;-0;"none"', "none"),
        (-3, '0;"minus "0', "minus 3"),
        (12, 'General" kg"', "12 kg"),
        (1.5, "0.##", "1.5"),
        (2, "0.##", "2"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (60, "yyyy-mm-dd", "1900-02-28"),
        (1e300, "yyyy-mm-dd", "1e+300"),
        (0.75, "h:mm AM/PM", "18:00"),
        (44000.75, 'yyyy"年"m"月"d"日"', "2020-06-18"),
        # Conditions say which part of the format is for which numbers.
        (5, '[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', "5"),
        (1500, '[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', "1.5K"),
        (2.5e6, '[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', "2.5M"),
        (1500, '[<1000]0;[<1000000]0.0,"K";0.0,,"M"', "1.5K"),
        (7, '[=1]"yes";[=0]"no";General', "7"),
        (0, '[=1]"yes";[=0]"no";General', "no"),
        (-5, "[<0]-0.0;0.0", "-5.0"),
        (-5, '[>100]"high";0', "-5"),
        # Only a sign of the format itself multiplies.
        (12.5, '0.00"%"', "12.50%"),
        (0.125, '0.0%" of all"', "12.5% of all"),
        # Text may stand between the digits.
        (123456789, "000-00-0000", "123-45-6789"),
        (5551234567, "(000) 000-0000", "(555) 123-4567"),
        (15551234567, "(000) 000-0000", "(1555) 123-4567"),
        (1234.5, "#\\ ##0.00", "1 234.50"),
        (5, "#\\ ##0.00", "5.00"),
        (-1234567.25, "# ##0.##", "-1234 567.25"),
        (0.0001, "mm:ss.0", "00:00:08.6"),
        (1.5000001, "[h]:mm:ss.000", "36:00:00.009"),
        (5, "Standard", "5"),
        (300 / 86_400, "mm:ss", "00:05:00"),
        (0.5, "h:mm", "12:00"),
        (5_430 / 86_400, "[m]:ss", "90:30"),
        (1, "[m]", "1440"),
        (90.5 / 86_400, "[ss].0", "90.5"),
        # What a format hides keeps its sign; so does what it leaves to a part for texts.
        (-1.5, ";;;", "-1.5"),
        (-1, '0 "pieces";;"-"', "-1"),
        (-2, "[$-409]mmmm d, yyyy;@", "-2"),
        (-2, "0.0;@", "-2.0"),
        (0, "0.0;-0.0;@", "0.0"),
        # Nought in books of accounts.
        (0, '_(* #,##0.00_);_(* (#,##0.00);_(* "-"??_);_(@_)', "-"),
        (0, "?.??", "0"),
        # Powers of ten: halves are rounded up, and several places before the point step by as many.
        (2.5, "0E+0", "3E+0"),
        (-0.25, "0E+00", "-3E-01"),
        (9.996, "0.00E+00", "1.00E+01"),
        (1234.567, "##0.0E+0", "1.2E+3"),
        (45292.75, "##0.0E+0", "45.3E+3"),
        (999.96, "##0.0E+0", "1.0E+3"),
        (0.5, "##0.0E+0", "500.0E-3"),
        (12345, "0.0E-0", "1.2E4"),
        (0, "0.00E+00", "0.00E+00"),
        # Fractions.
        (0.5, "# ?/?", "1/2"),
        (-1.75, "# ?/?", "-1 3/4"),
        (0.9999, "# ?/?", "1"),
        (1234.567, "# ??/??", "1234 55/97"),
        (2.5, "?/8", "20/8"),
        (2.3, "# ?/4", "2 1/4"),
        (2.9, "# ?/4", "3"),
        (0.25, "0/100", "25/100"),
        (1.5, '# ?/?" cups"', "1 1/2 cups"),
        (0, "# ?/?", "0"),
    ],
)
def test_a_format_shows_a_number(value: float, form: str, shown: str) -> None:
    assert shown_number(value, form) == shown


def test_texts_that_are_raised_or_struck_through_are_marked() -> None:
    written = io.BytesIO()
    with xlsxwriter.Workbook(written) as book:
        sheet = book.add_worksheet()
        struck, raised = book.add_format({"font_strikeout": True}), book.add_format({"font_script": 1})
        lowered = book.add_format({"font_script": 2})
        sheet.write_rich_string("A1", "10", raised, "6", " for H", lowered, "2", "O, ", struck, "old", " new")
        sheet.write("B1", "done", struck)
        sheet.write("C1", 100, struck)
    text = text_of(written.getvalue())
    assert rows_of(text) == ["| 1 | 10^6 for H_2O, ~~old~~ new | ~~done~~ | ~~100~~ |"]


def test_a_nought_of_a_program_that_computes_nothing_is_no_result() -> None:
    written = io.BytesIO()
    with xlsxwriter.Workbook(written) as book:
        sheet = book.add_worksheet()
        sheet.write_row("A1", [2, 3, 0])
        sheet.write_formula("D1", "=A1*B1")
        sheet.write_formula("E1", "=A1+B1", value=5)
    assert rows_of(text_of(written.getvalue())) == ["| 1 | 2 | 3 | 0 | =A1*B1 | 5 |"]


def test_days_are_counted_from_1904_where_the_workbook_says_so() -> None:
    assert shown_number(0, "yyyy-mm-dd", is_1904=True) == "1904-01-01"


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(alphabet='0#?.,%;"\\[]_*hmsydE+-/@$ A', max_size=20),
)
def test_any_format_shows_any_number(value: float, form: str) -> None:
    assert isinstance(shown_number(value, form), str)


def test_a_formula_that_cells_share_is_moved_with_them() -> None:
    assert moved("A1*$B$1+SUM(C2:D3)+'A1 x'!E5+\"A1\"+LOG10(A1)", 2, 1) == (
        "B3*$B$1+SUM(D4:E5)+'A1 x'!F7+\"A1\"+LOG10(B3)"
    )


def test_hidden_sheets_rows_and_columns_are_marked() -> None:
    book = openpyxl.Workbook()
    sheet = sheet_of(book)
    sheet.append(["a", "b"])
    sheet.append(["c", "d"])
    sheet.row_dimensions[2].hidden = True
    sheet.column_dimensions["B"].hidden = True
    other = book.create_sheet("Old")
    other.sheet_state = "veryHidden"
    other["C3"] = "secret"
    text = text_of(saved(book))
    assert "|  | A | B (hidden) |" in text
    assert "| 2 (hidden) | c | d |" in text
    assert "[sheet 2: Old, hidden]\n|  | C |\n|---|---|\n| 3 | secret |" in text


def test_a_stray_cell_at_the_end_of_a_sheet_hides_nothing_and_costs_nothing() -> None:
    book = openpyxl.Workbook()
    sheet = sheet_of(book)
    sheet["A1"] = "begin"
    sheet["XFD1048576"].number_format = "0.0"
    book.create_sheet("Later")["A1"] = "later"
    text = text_of(saved(book))
    assert "| 1 | begin |" in text
    assert "| 1 | later |" in text


def test_a_value_in_the_last_cell_of_a_sheet_is_read() -> None:
    book = openpyxl.Workbook()
    sheet_of(book)["XFD1048576"] = "far"
    assert "| 1048576 | far |" in text_of(saved(book))


def test_cells_far_from_one_another_are_shown_by_their_address() -> None:
    book = openpyxl.Workbook()
    sheet = sheet_of(book)
    for number in range(1, 40):
        sheet.cell(number, number * 7, f"v{number}")
    text = text_of(saved(book))
    assert "G1: v1" in text
    assert "| |" not in text


def test_comments_links_and_merged_cells_are_said() -> None:
    book = openpyxl.Workbook()
    sheet = sheet_of(book)
    sheet["A1"], sheet["B2"] = "wide", "page"
    sheet.merge_cells("A1:B1")
    sheet["A1"].comment = Comment("check this", "Ann")
    sheet["B2"].hyperlink = "https://example.org/x"
    sheet["B2"].value = "page"
    text = text_of(saved(book))
    assert "wide [comment by Ann: check this]" in text
    assert "[page](https://example.org/x)" in text
    assert "[merged cells: A1:B1]" in text


def test_charts_say_title_categories_and_values() -> None:
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written)
    sheet = book.add_worksheet("Costs")
    sheet.write_column("A1", ["Tea", "Milk"])
    sheet.write_column("B1", [3, 4])
    chart = book.add_chart({"type": "column"})
    chart.add_series({"name": "Price", "categories": "=Costs!$A$1:$A$2", "values": "=Costs!$B$1:$B$2"})
    chart.set_title({"name": "Prices by name"})
    sheet.insert_chart("D2", chart)
    sheet.insert_textbox("D20", "A text over the cells")
    alone = book.add_chartsheet("Alone")
    pie = book.add_chart({"type": "pie"})
    pie.add_series({"name": "Shares", "values": "=Costs!$B$1:$B$2"})
    alone.set_chart(pie)
    book.close()
    text = text_of(written.getvalue())
    assert "[chart: Prices by name]" in text
    assert "|  | Price |" in text and "| Milk | 4 |" in text
    assert "A text over the cells" in text
    assert "Shares" in text[text.index("[sheet 2: Alone]") :]


def test_a_chart_that_keeps_no_values_says_where_they_are() -> None:
    book = openpyxl.Workbook()
    sheet = sheet_of(book)
    sheet.append([1, 2])
    chart = BarChart()
    chart.title = "Bars"
    chart.add_data(Reference(sheet, min_col=1, max_col=2, min_row=1))
    sheet.add_chart(chart, "E5")
    text = text_of(saved(book))
    assert "[chart: Bars]" in text
    assert "[series: values 'Sheet'!$A$1]" in text


def test_a_strict_workbook_and_parts_in_other_folders_are_read() -> None:
    content = files.sheet([["tea", 2.5]])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    strict = {
        name: part.replace(
            b"http://schemas.openxmlformats.org/spreadsheetml/2006/main",
            b"http://purl.oclc.org/ooxml/spreadsheetml/main",
        ).replace(
            b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
            b"http://purl.oclc.org/ooxml/officeDocument/relationships",
        )
        for name, part in members.items()
    }
    assert "| 1 | tea | 2.5 |" in text_of(files.archive(strict))
    moved_ = {
        name.replace("xl/", "parts/"): part.replace(b"/xl/", b"/parts/").replace(b'"xl/', b'"parts/')
        for name, part in members.items()
    }
    assert "| 1 | tea | 2.5 |" in text_of(files.archive(moved_))


def test_a_damaged_style_or_sheet_does_not_hide_the_rest() -> None:
    book = openpyxl.Workbook()
    sheet_of(book)["A1"] = 5
    book.create_sheet("Later")["A1"] = "later"
    content = saved(book)
    assert "| 1 | 5 |" in text_of(files.replaced(content, "xl/styles.xml", b"<styleSheet"))
    broken = text_of(files.replaced(content, "xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row"))
    assert "damaged" in broken
    assert "| 1 | later |" in broken


def test_a_shared_text_leaves_out_how_it_is_pronounced() -> None:
    strings = (
        '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><r><t>東</t></r>'
        "<r><t>京</t></r><rPh sb='0' eb='2'><t>トウキョウ</t></rPh></si></sst>"
    )
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written)
    book.add_worksheet().write("A1", "x")
    book.close()
    content = files.replaced(written.getvalue(), "xl/sharedStrings.xml", strings.encode())
    assert "| 1 | 東京 |" in text_of(content)


def test_reading_on_begins_at_a_row_and_repeats_the_names_of_the_columns() -> None:
    content = files.sheet([[f"row {number}"] for number in range(1, 50)])
    text = extracted(content, start=Position(1, 48)).text
    assert "|  | A |" in text
    assert rows_of(text) == ["| 48 | row 48 |", "| 49 | row 49 |"]


ODS = """<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>
<table:table table:name="Costs">
<table:table-row table:number-rows-repeated="3">
<table:table-cell/></table:table-row>
<table:table-row>
<table:table-cell table:number-columns-repeated="2"/>
<table:table-cell office:value-type="percentage" office:value="0.125">
<office:annotation><dc:creator>Ann</dc:creator>
<text:p>check</text:p></office:annotation>
<text:p>12.5%</text:p></table:table-cell>
<table:table-cell office:value-type="date" office:date-value="2026-03-05">
<text:p>05/03/26</text:p></table:table-cell>
<table:table-cell table:number-columns-repeated="16000"/></table:table-row>
<table:table-row table:visibility="collapse">
<table:table-cell table:number-columns-repeated="3"
 office:value-type="string">
<text:p>a<text:s text:c="2"/>b</text:p></table:table-cell></table:table-row>
<table:table-row table:number-rows-repeated="1048570">
<table:table-cell/></table:table-row></table:table>
</office:spreadsheet></office:body></office:document-content>"""


def test_an_ods_says_its_cells_as_they_look() -> None:
    content = files.archive(
        {"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": ODS.encode()}
    )
    assert rows_of(text_of(content)) == [
        "| 4 |  |  | 12.5% [comment by Ann: check] | 2026-03-05 |",
        "| 5 (hidden) | a  b | a  b | a  b |  |",
    ]


def test_texts_of_an_ods_that_are_raised_or_struck_through_are_marked() -> None:
    looks = {
        "T1": 'style:text-position="super 58%"',
        "T2": 'style:text-position="-33% 58%"',
        "T3": 'style:text-line-through-style="solid"',
        "T4": 'style:text-position="0% 100%" style:text-line-through-style="none"',
    }
    styles = "".join(
        f'<style:style style:name="{name}"><style:text-properties {look}/></style:style>'
        for name, look in looks.items()
    )
    spans = '10<text:span text:style-name="T1">6</text:span> H<text:span text:style-name="T2">2</text:span>O '
    spans += '<text:span text:style-name="T3">old</text:span> <text:span text:style-name="T4">new</text:span>'
    cells = f"<table:table-cell><text:p>{spans}</text:p></table:table-cell>"
    cells += '<table:table-cell table:style-name="T3"><text:p>gone</text:p></table:table-cell>'
    names = 'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:table'
    styled = ODS.replace("xmlns:table", names, 1)
    content = (
        f"{styled.partition('<office:body>')[0]}<office:automatic-styles>{styles}</office:automatic-styles>"
    )
    content += f"<office:body><office:spreadsheet><table:table><table:table-row>{cells}</table:table-row>"
    content += "</table:table></office:spreadsheet></office:body></office:document-content>"
    media_type = b"application/vnd.oasis.opendocument.spreadsheet"
    archive = files.archive({"mimetype": media_type, "content.xml": content.encode()})
    assert rows_of(text_of(archive)) == ["| 1 | 10^6 H_2O ~~old~~ new | ~~gone~~ |"]


@pytest.mark.parametrize("kind", ["xls", "xlsb"])
def test_bytes_that_only_begin_like_a_workbook_are_unreadable(kind: str) -> None:
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2_000
    outcome = extract(ExtractionRequest(kind, DocumentBounds()), content)  # type: ignore[arg-type]
    assert isinstance(outcome, ExtractionFailure)


@given(st.binary(max_size=300), st.integers(0, 3_000))
def test_a_sheet_with_any_bytes_in_it_is_read_or_refused(noise: bytes, place: int) -> None:
    with zipfile.ZipFile(io.BytesIO(_PLAIN)) as archive:
        part = archive.read("xl/worksheets/sheet1.xml")
    place %= len(part)
    damaged = files.replaced(_PLAIN, "xl/worksheets/sheet1.xml", part[:place] + noise + part[place:])
    extract(ExtractionRequest("zip", DocumentBounds()), damaged)


_PLAIN = files.sheet([["what", 1, "=A1"], [2.5, True, "x"]])


def test_an_old_workbook_with_a_password_is_said_to_have_one() -> None:
    begin = b"\x09\x08\x10\x00\x00\x06\x05\x00" + b"\0" * 12
    content = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504 + begin + b"\x2f\x00\x06\x00\x00\x00" + b"\0" * 64
    )
    outcome = extract(ExtractionRequest("xls", DocumentBounds()), content)
    assert isinstance(outcome, ExtractionFailure)
    assert outcome.reason == "encrypted"


def open_sheet(rows: str) -> bytes:
    """Return an ODS with one sheet of these rows."""
    content = f"{ODS.partition('<table:table ')[0]}<table:table>{rows}</table:table>"
    content += "</office:spreadsheet></office:body></office:document-content>"
    return files.archive(
        {"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": content.encode()}
    )


def long_sheet(kind: str, rows: int) -> bytes:
    """Return a workbook with the rows `1, v1` and so on."""
    if kind == "ods":
        row = "<table:table-row>{}</table:table-row>"
        cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
        cells = (cell.format(n) + cell.format(f"v{n}") for n in range(1, rows + 1))
        return open_sheet("".join(map(row.format, cells)))
    return files.sheet([[n, f"v{n}"] for n in range(1, rows + 1)])


@pytest.mark.parametrize("kind", ["xlsx", "ods"])
def test_reading_on_far_down_a_sheet_shows_the_rows_there(kind: str) -> None:
    # More cells lie before it than are kept of a sheet.
    content = long_sheet(kind, 3_000)
    bounds = DocumentBounds(max_characters=2_000)
    read = extracted(content, f"a.{kind}", start=Position(1, 2_990), bounds=bounds)
    assert rows_of(read.text)[0] == "| 2990 | 2990 | v2990 |"
    assert rows_of(read.text)[-1] == "| 3000 | 3000 | v3000 |"


def test_rows_of_an_ods_that_are_repeated_beyond_any_screen_are_read_where_they_stand() -> None:
    row = '<table:table-row table:number-rows-repeated="20000">{}</table:table-row>'
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    rows = row.format(cell.format("abc")) + row.replace("20000", "1").format(cell.format("last"))
    content = open_sheet(rows)
    read = extracted(content, start=Position(1, 19_999))
    assert rows_of(read.text) == ["| 19999 | abc |", "| 20000 | abc |", "| 20001 | last |"]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ('office:value-type="boolean" office:boolean-value="true"', "TRUE"),
        ('office:value-type="time" office:time-value="PT30H05M09S"', "30:05:09"),
        ('office:value-type="percentage" office:value="0.125"', "12.5%"),
        ('office:value-type="currency" office:currency="EUR" office:value="5.50"', "5.5 EUR"),
        ('office:value-type="string" office:string-value="words"', "words"),
        ('office:value-type="float" office:value="2" table:formula="of:=[.A1]*2"', "2"),
        ('table:formula="of:=[.A1]*2"', "=[.A1]*2"),
    ],
)
def test_a_cell_of_an_ods_that_only_has_a_value_says_it(cell: str, shown: str) -> None:
    content = open_sheet(f"<table:table-row><table:table-cell {cell}/></table:table-row>")
    assert rows_of(text_of(content)) == [f"| 1 | {shown} |"]
