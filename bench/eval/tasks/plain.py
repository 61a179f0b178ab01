"""What needs no tools but those that every model has: a sum, the date, what was said, what is remembered, a
document in a message.
"""

import base64
import datetime
import re
from collections.abc import Mapping
from typing import Any

from bench.eval.papers import pdf
from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.world import World

TASKS = Tasks("plain")
_KEY = "wx:dm:ann"
_SHORT = 60
"""Who only says back all that is shown says more."""


def _sum(talk: Talk) -> Reply:
    if not talk.results:
        return call("calculate", expression="1847 * 23 + 591")
    return f"That is {talk.last}."


@TASKS.add("a sum", "works out a sum that is too long to guess", _sum, needs_tools=False)
def _a_sum(world: World) -> None:
    said = world.ask(_KEY, "What is 1847 * 23 + 591?").text
    check("43072" in re.sub(r"[ ,.']", "", said), f"the answer has not 43072: {said[:200]}")


def _year(talk: Talk) -> Reply:
    if not talk.results:
        return call("current_time")
    return f"It is {talk.last[:40]}."


@TASKS.add("the date", "knows which year it is", _year, needs_tools=False)
def _the_date(world: World) -> None:
    said = world.ask(_KEY, "Which year is it now? Answer with the year only.").text
    check(len(said) < _SHORT, f"more was said than the year: {said}")
    check(
        str(datetime.datetime.now(tz=datetime.UTC).year) in said, f"the answer has not the year: {said[:200]}"
    )


def _told(talk: Talk) -> Reply:
    if "name of my dog" in talk.question:
        found = re.search(r"My dog is called (\w+)", talk.shown)
        return f"It is {found[1]}." if found else "I do not know."
    return "I see."


@TASKS.add("what was said", "knows after six other turns what the user told first", _told, needs_tools=False)
def _what_was_said(world: World) -> None:
    world.ask(_KEY, "My dog is called Bramble.")
    for what in ("cook rice", "whistle", "fold a shirt", "boil an egg", "tie a knot", "draw a cat"):
        world.ask(_KEY, f"In one short sentence: how does one {what}?")
    said = world.ask(_KEY, "What is the name of my dog?").text
    check("Bramble" in said, f"the answer has not the name: {said[:200]}")


def _profile(talk: Talk) -> Reply:
    found = re.search(r"lives in (\w+)", talk.shown)
    return f"You live in {found[1]}." if found else "I do not know."


@TASKS.add(
    "what is remembered", "is told in a new conversation what is remembered", _profile, needs_tools=False
)
def _what_is_remembered(world: World) -> None:
    world.post("/v1/memory", {"text": "lives in Trondheim"}, key=_KEY)
    said = world.ask(_KEY, "In which town do I live?").text
    check("Trondheim" in said, f"the answer has not the town: {said[:200]}")


def attached(name: str, content: bytes) -> Mapping[str, Any]:
    """Return the part of a message that is the PDF."""
    data = f"data:application/pdf;base64,{base64.b64encode(content).decode()}"
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def _number(talk: Talk) -> Reply:
    found = re.search(r"Invoice number: (\S+)", talk.question)
    return f"It is {found[1]}." if found else "I do not see one."


@TASKS.add("a document in a message", "reads a PDF that the message has", _number, needs_tools=False)
def _a_document(world: World) -> None:
    lines = ["Miller & Sons", "Invoice number: QX-5521", "Date: 3 May 2026", "Two kites, 60 EUR"]
    said = world.ask(
        _KEY,
        "What is the number of this invoice? Answer with the number only.",
        [attached("invoice.pdf", pdf([lines]))],
    ).text
    check(len(said) < _SHORT, f"more was said than the number: {said[:200]}")
    check("QX-5521" in said, f"the answer has not the number: {said[:200]}")


def _cheapest(talk: Talk) -> Reply:
    offers = re.findall(r"Offer of (\w+).*?Total: (\d+) EUR", talk.question, re.DOTALL)
    return (
        f"{min(offers, key=lambda each: int(each[1]))[0]} is the cheapest." if offers else "I see no offer."
    )


@TASKS.add("three PDFs in a message", "compares three offers", _cheapest, needs_tools=False)
def _three_offers(world: World) -> None:
    offers = {"Alder": 910, "Birch": 640, "Cedar": 1200}
    parts = [
        attached(f"{name}.pdf", pdf([[f"Offer of {name}", "A new roof for the shed", f"Total: {total} EUR"]]))
        for name, total in offers.items()
    ]
    said = world.ask(_KEY, "Which of these three offers is the cheapest? Answer with one name.", parts).text
    check("Birch" in said and "Alder" not in said and "Cedar" not in said, f"the answer is {said[:200]}")
