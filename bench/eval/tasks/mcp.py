"""The tools of an MCP server."""

import re
from collections.abc import Callable
from weakref import WeakKeyDictionary

from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.tasks.crashes import WAREHOUSE, connected, found
from bench.eval.tool_site import SURCHARGE, Era, WarehouseSite
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


# At a URL -----------------------------------------------------------------------------------------------

_AT_A_URL = """
[mcp.servers.warehouse]
url = "http://$site/mcp"
sessions = ["*"]
"""
_ALLOWED = f'{_AT_A_URL}[[policy]]\ntools = {{ "@mcp__warehouse" = "allow" }}\n'
_ABROAD = "mcp__warehouse__order_abroad"
_sites: "WeakKeyDictionary[World, WarehouseSite]" = WeakKeyDictionary()


def _prepare(era: Era) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        site = _sites[world] = WarehouseSite(world.outside, era)
        world.site.endpoints["/mcp"] = site.post

    return prepare


@TASKS.add(
    "a server at a URL",
    "the tools of a stateless server of the protocol of 2026 are found, and one is called twice at once",
    _count,
    prepare=_prepare("stateless"),
    settings=_ALLOWED,
)
def _stateless(world: World) -> None:
    _look_up(world)
    check(_sites[world].begun == 0, "a session was begun at a server that has none")


@TASKS.add(
    "a server that was started anew",
    "a server with sessions has forgotten its own between two questions; the second is answered, too",
    _count,
    prepare=_prepare("sessions"),
    settings=_ALLOWED,
)
def _forgotten(world: World) -> None:
    _look_up(world)
    site = _sites[world]
    before = site.begun
    check(before > 0, "no session was begun")
    site.restart()
    _look_up(world)
    check(site.begun > before, "no session was begun anew")


def _abroad(talk: Talk) -> Reply:
    if "ordered: quince" in talk.last:
        return "It is ordered from abroad."
    if talk.results and talk.results[-1].name == _ABROAD:
        return "It was not ordered."
    if "quince" not in talk.question:
        return "Nothing is ordered."
    return found(talk, _ABROAD) or call(_ABROAD, item="quince")


@TASKS.add(
    "a server that asks back",
    "a server asks in the middle of a call whether the surcharge is right: nothing is ordered before a yes,"
    " and after it once",
    _abroad,
    prepare=_prepare("stateless"),
    settings=_ALLOWED,
)
def _asks_back(world: World) -> None:
    connected(world)
    orders = world.outside / "orders"
    question = world.ask(_KEY, "Order one quince from abroad, at the warehouse.").text
    check(str(SURCHARGE) in question, f"the user is not asked about the surcharge: {question[:200]}")
    check(not orders.exists(), "it was ordered before anybody agreed")
    world.ask(_KEY, "no")
    check(not orders.exists(), "it was ordered after a no")
    question = world.ask(_KEY, "I have changed my mind. Order one quince from abroad, please.").text
    check(str(SURCHARGE) in question, f"the user is not asked again: {question[:200]}")
    world.ask(_KEY, "yes")
    check(orders.exists() and orders.read_text() == "quince\n", "it was not ordered once")
