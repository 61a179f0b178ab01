"""Uploaded documents: three PDFs, a page deep in a long one, a sheet of a workbook."""

import io
import re

import xlsxwriter

from bench.eval.papers import pdf
from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.world import World

TASKS = Tasks("documents")
_KEY = "wx:dm:ann"
_INVOICES = {"alder": ("A-17", 1249.5), "birch": ("B-204", 88.25), "cedar": ("C-9", 430.0)}


def _three(talk: Talk) -> Reply:
    if not talk.results:
        return [call("read_file", file=f"uploads/{name}.pdf") for name in _INVOICES]
    if not talk.of("write_file"):
        read = "\n".join(result.content for result in talk.results)
        found = re.findall(r"Invoice (\S+).*?Amount due: ([\d.]+) EUR", read, re.DOTALL)
        return call("write_file", path="due.csv", content="".join(f"{n},{amount}\n" for n, amount in found))
    amounts = [float(line.split(",")[1]) for line in talk.results[-1].arguments["content"].split()]
    return f"In all {sum(amounts):.2f} EUR are due."


@TASKS.add("three PDFs", "reads three uploaded invoices, writes a table, and adds up", _three)
def _three_pdfs(world: World) -> None:
    for name, (number, amount) in _INVOICES.items():
        filler = [[f"Terms, page {page}", *["Nothing to pay attention to."] * 40] for page in range(3)]
        first = [f"{name.title()} Ltd.", f"Invoice {number}", "Thank you for your order."]
        world.upload(_KEY, f"{name}.pdf", pdf([first, *filler, [f"Amount due: {amount} EUR"]]))
    said = world.ask(
        _KEY,
        "Read my three uploads alder.pdf, birch.pdf and cedar.pdf. Write due.csv with a line for each:"
        " the number"
        " of the invoice, a comma, the amount due. Then tell me the sum.",
    ).text
    rows = [line.split(",") for line in world.file(_KEY, "due.csv").split("\n") if line.strip()]
    read = sorted((number.strip(), float(amount)) for number, amount in rows)
    check(read == sorted(_INVOICES.values()), f"due.csv has {read}")
    check("1767.75" in said.replace(",", ""), f"the answer has not 1767.75: {said[:200]}")


def _deep(talk: Talk) -> Reply:
    if not talk.results:
        return call("read_file", file="uploads/manual.pdf")
    if found := re.search(r"The torque of bolt K is (\d+)", talk.last):
        return f"It is {found[1]} Nm."
    goes_on = re.findall(r'from:? "?(page \d+)', talk.last)
    return call("read_file", **{"file": "uploads/manual.pdf", "from": goes_on[-1]}) if goes_on else talk.last


@TASKS.add(
    "a page of a long PDF",
    "reads on in a manual of 120 pages until it finds the place",
    _deep,
    settings="[files]\nread_timeout_s = 120\n",
)
def _a_page(world: World) -> None:
    pages = [
        [f"Page {number}", *[f"Bolt {number}-{each} has no torque that matters here." for each in range(40)]]
        for number in range(1, 121)
    ]
    pages[92].append("The torque of bolt K is 4731 Nm.")
    world.upload(_KEY, "manual.pdf", pdf(pages))
    said = world.ask(
        _KEY, "Which torque does bolt K have, in my upload manual.pdf? It stands late in it."
    ).text
    check("4731" in said.replace(",", ""), f"the answer has not 4731: {said[:200]}")


def _sheet(talk: Talk) -> Reply:
    if not talk.results:
        return call("read_file", file="uploads/stock.xlsx")
    found = re.search(r"quince\D+(\d+)", talk.last)
    if found:
        return f"There are {found[1]}."
    if len(talk.results) > 3:
        return "I did not find them."
    return call("read_file", **{"file": "uploads/stock.xlsx", "from": f"sheet {len(talk.results) + 1}"})


@TASKS.add("a sheet of a workbook", "finds a figure on the third sheet", _sheet)
def _a_sheet(world: World) -> None:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        for name in ("tools", "paint", "fruit"):
            sheet = book.add_worksheet(name)
            for row in range(300 if name != "fruit" else 3):
                sheet.write_row(row, 0, [f"{name} {row}", row])
        sheet.write_row(3, 0, ["quince", 713])
    world.upload(_KEY, "stock.xlsx", content.getvalue())
    said = world.ask(_KEY, "How many quince are there by my upload stock.xlsx? See its sheet fruit.").text
    check("713" in said, f"the answer has not 713: {said[:200]}")
