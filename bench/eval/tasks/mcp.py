"""The tools of an MCP server."""

import re

from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.tasks.crashes import WAREHOUSE, connected, found
from bench.eval.world import World

TASKS = Tasks("MCP")
_KEY = "wx:dm:ann"
_ASKING = WAREHOUSE.partition("[[policy]]")[0]
_STOCK, _ORDER, _WEIGH = (f"mcp__warehouse__{name}" for name in ("stock", "order", "weigh"))


def _count(talk: Talk) -> Reply:
    if looking := found(talk, _STOCK):
        return looking
    counted = talk.of(_STOCK)
    if not counted:
        return [call(_STOCK, item=item) for item in ("kumquat", "quince")]
    pieces = [int(number) for each in counted for number in re.findall(r": (\d+) pieces", each.content)]
    return f"{sum(pieces)} pieces in all."


@TASKS.add(
    "look for a tool and use it",
    "a tool that is not in the prompt is looked for, and called twice at once",
    _count,
    settings=WAREHOUSE,
)
def _look_up(world: World) -> None:
    connected(world)
    said = world.ask(_KEY, "How many kumquat and quince together are in the stock of the warehouse?").text
    check("48" in said, f"the answer has not 48: {said[:200]}")


def _order(talk: Talk) -> Reply:
    if "ordered: quince" in talk.last:
        return "It is ordered."
    if talk.results and "not run" in talk.last.lower():
        return "It was not ordered."
    if "quince" not in talk.question:
        return "Nothing is ordered."
    return found(talk, _ORDER) or call(_ORDER, item="quince")


@TASKS.add("a tool that acts is asked about", "an order is made after a yes, once", _order, settings=_ASKING)
def _ask_first(world: World) -> None:
    connected(world)
    orders = world.outside / "orders"
    question = world.ask(_KEY, "Order one quince from the warehouse.").text
    check("mcp__warehouse__order" in question and "quince" in question, f"no question: {question[:200]}")
    check(not orders.exists(), "it was ordered before anybody agreed")
    world.ask(_KEY, "yes")
    check(orders.exists() and orders.read_text() == "quince\n", "it was not ordered once")


def _weigh(talk: Talk) -> Reply:
    if looking := found(talk, _WEIGH):
        return looking
    if "try again" in talk.last or not talk.of(_WEIGH):
        return call(_WEIGH, item="kumquat")
    return f"It weighs {talk.of(_WEIGH)[-1].content}."


@TASKS.add(
    "a tool that fails", "a tool fails, says why, and succeeds at the second try", _weigh, settings=WAREHOUSE
)
def _try_again(world: World) -> None:
    connected(world)
    said = world.ask(_KEY, "Weigh a kumquat with the scale of the warehouse. What does it weigh?").text
    check("3250" in re.sub(r"[,. ]", "", said), f"the answer has not 3,250: {said[:200]}")
    outcomes = [each["outcome"] for each in world.calls(_WEIGH, 2)]
    check(outcomes == ["error", "ok"], f"the calls came to {outcomes}")
