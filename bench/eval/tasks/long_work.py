"""Tasks of many steps, long results, plans and budgets."""

import re
import sqlite3

from bench.eval.site import Page
from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.tasks.crashes import SITE, WAREHOUSE, connected, found
from bench.eval.tool_server import NEEDLE
from bench.eval.world import World

TASKS = Tasks("long work")
_KEY = "wx:dm:ann"

# 300 steps --------------------------------------------------------------------------------------------

_BOXES = 300
_CODE = "K7-QX-4419"


def _attic(world: World) -> None:
    attic = world.outside / "attic"
    attic.mkdir()
    for number in range(1, _BOXES + 1):
        things = [f"thing {number}-{each} of no use" for each in range(40)]
        if number == 3:
            things.insert(20, f"a note: the vault code is {_CODE}")
        (attic / f"box-{number:03d}.txt").write_text("\n".join(things) + "\n")


_LONG = """
[agent]
max_steps = 400
window_tokens = 8192
[workspace]
roots = { attic = "$outside/attic" }
"""


def _look(talk: Talk) -> Reply:
    if talk.is_for_summary:
        # As a model that thinks nothing of the note.
        return "Boxes of the attic were looked into, one after another. Nothing of use."
    read = [re.findall(r"\d+", each.arguments["file"]) for each in talk.of("read_file")]
    done = max((int(numbers[0]) for numbers in read), default=0)
    if done < _BOXES:
        return call("read_file", file=f"shared/attic/box-{done + 1:03d}.txt")
    if code := re.search(r"vault code is (\S+)", talk.shown):
        return f"It is {code[1]}."
    return call("read_result", find="vault code")


@TASKS.add(
    "300 steps",
    "one turn of 300 steps through at least four summaries; its answer needs what the third step found",
    _look,
    prepare=_attic,
    settings=_LONG,
)
def _300_steps(world: World) -> None:
    said = world.ask(
        _KEY,
        "Read all 300 files shared/attic/box-001.txt to box-300.txt, one after another, each with a call"
        " of its own."
        " One has a vault code in it. Which code?",
    ).text
    check(_CODE in said, f"the answer has not the code: {said[:200]}")
    boxes = {result.split("\n")[0] for result in world.results(_KEY, "read_file")}
    check(len(boxes) == _BOXES, f"{len(boxes)} boxes were read")
    check(_summaries(world) >= 4, f"{_summaries(world)} summaries were written, not four")


def _summaries(world: World) -> int:
    connection = sqlite3.connect(f"file:{world.data / 'nanobot.sqlite3'}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM step_summary").fetchone()[0])
    finally:
        connection.close()


# A long result ----------------------------------------------------------------------------------------


def _ledger(talk: Talk) -> Reply:
    tool = "mcp__warehouse__ledger"
    if looking := found(talk, tool):
        return looking
    if not talk.of(tool):
        return call(tool)
    if not talk.of("read_result"):
        return call("read_result", find="medlar jam")
    shelf = re.search(r"medlar jam, shelf (\S+), (\d+) jars", talk.last)
    return f"{shelf[2]} jars on shelf {shelf[1]}." if shelf else "I did not find it."


@TASKS.add(
    "a result of 400 kB",
    "of 415 kB, 390 kB are kept, far more than the window: the line in their middle is found",
    _ledger,
    settings=WAREHOUSE,
)
def _400_kb(world: World) -> None:
    connected(world)
    said = world.ask(
        _KEY, "Get the ledger of the warehouse. On which shelf is the medlar jam, and how many jars?"
    ).text
    check(NEEDLE.rpartition(" ")[2] in said and "230" in said, f"the answer is {said[:200]}")
    sizes = [len(result) for result in world.results(_KEY, "mcp__warehouse__ledger")]
    check(max(sizes, default=0) > 380_000, f"the transcript has results of {sizes} characters")


# Budgets ----------------------------------------------------------------------------------------------

_NUMBERS = 12


def _numbers(world: World) -> None:
    # So that the time of a turn is used up on a fast machine, too.
    for number in range(1, _NUMBERS + 1):
        world.site.pages[f"/{number}"] = Page(f"<p>The number is {number**3 + 7}.</p>".encode(), delay_s=1.0)


def _collect(talk: Talk) -> Reply:
    """Fetch one page after another, and keep what is done in the plan."""
    if "used up" in talk.question or not talk.offered:
        return f"I have reached {_done(talk)} of {_NUMBERS}; the others are left."
    done = _done(talk)
    newest = talk.results[-1] if talk.results else None
    if newest is not None and newest.name == "web_fetch":
        value = re.search(r"number is (\d+)", newest.content)
        page = newest.arguments["url"].rpartition("/")[2]
        return call("write_file", path=f"numbers/{page}.txt", content=f"{value[1] if value else '?'}\n")
    if newest is not None and newest.name == "write_file":
        return call("update_plan", goal="all numbers", steps=_steps(done + 1))
    if done >= _NUMBERS:
        return "All are there."
    base = re.search(r"http://[\d.:]+", talk.shown)
    return call("web_fetch", url=f"{base[0] if base else ''}/{done + 1}")


def _steps(done: int) -> list[str]:
    return [f"[{'x' if number <= done else ' '}] number {number}" for number in range(1, _NUMBERS + 1)]


def _done(talk: Talk) -> int:
    """Return how many are done by the newest plan that is shown."""
    made = [each.arguments["steps"] for each in (*talk.earlier, *talk.results) if each.name == "update_plan"]
    shown = re.findall(r"\[x\] number (\d+)", talk.shown)
    written = [int(number) for number in shown] + [sum("[x]" in step for step in steps) for steps in made]
    return max(written, default=0)


_PRICE = '[prices."openai:scripted"]\ninput = 1.0\noutput = 1.0'
"""Of the script; real models have prices of their own."""


def _within_a_budget(world: World) -> None:
    said = world.ask(
        _KEY,
        f"Fetch {world.site.url}/1 to {world.site.url}/{_NUMBERS}, one after another, and write the number"
        " of each"
        " page into numbers/1.txt and so on. Keep a plan with update_plan. If you cannot finish, say how"
        " far you"
        " are.",
    ).text
    reached = len(world.files(_KEY))
    check(0 < reached < _NUMBERS, f"{reached} of {_NUMBERS} files are there after the first turn")
    check(said, "the turn that used up its budget has no answer")
    for _ in range(2 * _NUMBERS):
        if len(world.files(_KEY)) == _NUMBERS:
            break
        world.ask(_KEY, "Go on with what is left.")
    for number in range(1, _NUMBERS + 1):
        check(
            world.file(_KEY, f"numbers/{number}.txt").strip() == str(number**3 + 7),
            f"number {number} is wrong",
        )
    asked = world.site.visited.count("/1")
    check(asked == 1, f"what was done was done again: page 1 was asked for {asked} times")


for _name, _setting in (
    ("steps", "max_steps = 14"),
    ("tokens", "max_turn_tokens = 60000"),
    ("time", "max_turn_s = 8"),
    ("money", f"max_turn_cost = 0.06\n{_PRICE}"),
):
    TASKS.add(
        f"a budget of {_name}",
        f"a turn ends when its budget of {_name} is used up, says what is left, and the next"
        " goes on by the plan",
        _collect,
        prepare=_numbers,
        settings=f"[agent]\n{_setting}\n{SITE}",
    )(_within_a_budget)


# The plan through a crash -----------------------------------------------------------------------------


@TASKS.add(
    "a plan through a crash",
    "killed in the middle, the turn goes on by its plan, and does nothing twice",
    _collect,
    prepare=_numbers,
    settings=SITE,
)
def _plan_and_crash(world: World) -> None:
    world.site.pages["/7"] = Page(world.site.pages["/7"].content, waits=True)
    turn_id = world.begin(
        _KEY,
        f"Fetch {world.site.url}/1 to {world.site.url}/{_NUMBERS}, one after another, and write the number"
        " of each"
        " page into numbers/1.txt and so on. Keep a plan with update_plan.",
    )
    world.until(lambda: "/7" in world.site.visited, "the visit of the seventh page")
    world.kill()
    world.site.opened.set()
    world.start()
    world.ended(turn_id)
    for number in range(1, _NUMBERS + 1):
        check(
            world.file(_KEY, f"numbers/{number}.txt").strip() == str(number**3 + 7),
            f"number {number} is wrong",
        )
    again = [path for path in world.site.visited if path != "/7" and world.site.visited.count(path) > 1]
    check(not again, f"fetched again: {again}")
    plans = world.results(_KEY, "update_plan")
    check(plans, "no plan was kept")
