"""`kill -9` in the middle of each kind of call: nothing is repeated that must not be, the model is told what
is unknown, and no process is left.
"""

import random
from collections.abc import Callable
from pathlib import Path

from bench.eval.talk import Call, Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.tasks.files import SHELL
from bench.eval.tool_server import __file__ as _WAREHOUSE
from bench.eval.world import Answer, World, is_running

TASKS = Tasks("kill -9")
UNKNOWN = "its outcome is unknown"
_KEY = "wx:dm:ann"
_ROUNDS = 8


def _seconds() -> str:
    """Return for how long to sleep: a number that is among the arguments of no other process."""
    return str(random.SystemRandom().randrange(10**7, 10**8))


def _killed(world: World, text: str, moment: Callable[[], object], what: str, key: str = _KEY) -> str:
    """Say it to the agent, kill the server at the moment, and return the id of the turn."""
    turn_id = world.begin(key, text)
    world.until(moment, what, at_once=True)
    world.kill()
    return turn_id


def _goes_on(world: World, turn_id: str) -> Answer:
    """Start the server again, and return what the turn comes to by itself."""
    world.start()
    return world.ended(turn_id)


def _told_unknown(world: World, tool: str, key: str = _KEY) -> bool:
    return any(UNKNOWN in result for result in world.results(key, tool))


def _quoted(talk: Talk) -> str:
    """Return what the question has between «…»."""
    return talk.question.partition("«")[2].partition("»")[0]


# Commands ---------------------------------------------------------------------------------------------


def _command(talk: Talk) -> Reply:
    if talk.results:
        return f"It was cut off: {talk.last}"
    return call("run_command", command=_quoted(talk), timeout_s=500)


@TASKS.add(
    "a command", "a command that ran is not run again, is gone, and the model knows", _command, settings=SHELL
)
def _in_a_command(world: World) -> None:
    mark = _seconds()
    wish = f"Run this once, and if it fails do not run it again: «echo ran >> ran.txt; sleep {mark}»"
    turn_id = _killed(world, wish, lambda: is_running(f"sleep\0{mark}"), "the command")
    world.until(lambda: not is_running(f"sleep\0{mark}"), "the end of the command")
    _goes_on(world, turn_id)
    check(_told_unknown(world, "run_command"), "the model was not told that the outcome is unknown")
    check(world.file(_KEY, "ran.txt") == "ran\n", "the command ran more than once")


def _background(talk: Talk) -> Reply:
    first, _, second = _quoted(talk).partition(" AND ")
    if not talk.results:
        return call("run_command", command=first, background=True)
    if len(talk.results) == 1:
        return call("run_command", command=second, timeout_s=500)
    if len(talk.results) == 2:
        return call("read_output", command=talk.results[0].content.split()[0])
    return f"The command in the background: {talk.last}"


@TASKS.add(
    "a command in the background",
    "all commands are gone, and what ran is not run again",
    _background,
    settings=SHELL,
)
def _in_the_background(world: World) -> None:
    marks = [_seconds(), _seconds()]
    wish = (
        "Start the first in the background, then run the second and wait for it; never start one of them"
        " twice:"
        f" «echo ran >> first.txt; sleep {marks[0]} AND echo ran >> second.txt; sleep {marks[1]}»"
    )
    running = [f"sleep\0{mark}" for mark in marks]
    turn_id = _killed(world, wish, lambda: all(map(is_running, running)), "both commands")
    world.until(lambda: not any(map(is_running, running)), "the end of both commands")
    _goes_on(world, turn_id)
    check(not any(map(is_running, running)), "a command was started again")
    for name in ("first.txt", "second.txt"):
        check(world.file(_KEY, name) == "ran\n", f"what writes {name} ran more than once")
    check(_told_unknown(world, "run_command"), "the model was not told that the outcome is unknown")


def _python(talk: Talk) -> Reply:
    return (
        f"It was cut off: {talk.last}" if talk.results else call("python", code=_quoted(talk), timeout_s=500)
    )


@TASKS.add(
    "a script of Python", "as a command: not run again, gone, and the model knows", _python, settings=SHELL
)
def _in_python(world: World) -> None:
    mark = _seconds()
    code = f"import subprocess; open('ran.txt', 'a').write('ran,'); subprocess.run(['sleep', '{mark}'])"
    wish = f"Run this with the tool python once, and if it fails do not run it again: «{code}»"
    turn_id = _killed(world, wish, lambda: is_running(f"sleep\0{mark}"), "the script")
    world.until(lambda: not is_running(f"sleep\0{mark}"), "the end of the script")
    _goes_on(world, turn_id)
    check(world.file(_KEY, "ran.txt") == "ran,", "the script ran more than once")
    check(_told_unknown(world, "python"), "the model was not told that the outcome is unknown")


# Files ------------------------------------------------------------------------------------------------


def _staged(world: World) -> bool:
    """Return whether a change of files is under way."""
    return any(any(path.iterdir()) for path in (world.data / "workspaces").glob("*/staged"))


_LINE = "The quick brown fox jumps over the lazy dog, line {}.\n"
_TEXT = "".join(_LINE.format(number) for number in range(20_000))


def _write(talk: Talk) -> Reply:
    name = _quoted(talk)
    if not talk.results:
        return call("write_file", path=name, content=_TEXT)
    newest = talk.results[-1]
    if UNKNOWN in newest.content:
        return call("list_files")
    if newest.name == "list_files" and name not in newest.content:
        return call("write_file", path=name, content=_TEXT)
    return "It is there."


@TASKS.add(
    "a file is written",
    "the file is whole or not there, and the model is told that it may be either",
    _write,
    settings="[model]\nmax_answer_chars = 4000000\n",
)
def _in_a_write(world: World) -> None:
    _between(world, "write_file", _the_text)


def _the_text(world: World, key: str) -> None:
    check(world.file(key, "fox.txt") == _TEXT, "the file is not whole")


def _between(world: World, tool: str, whole: Callable[[World, str], None]) -> None:
    """Kill in the middle of a change of files, again and again until it was in the middle of the call."""
    for number in range(_ROUNDS):
        key = f"{_KEY}:{number}"
        wish = (
            "Write the file «fox.txt» with 20,000 lines, numbered from 0:"
            f" “{_LINE.format('N').strip()}” Nothing else."
        )
        turn_id = _killed(world, wish, lambda: _staged(world), "a change of files", key)
        _goes_on(world, turn_id)
        whole(world, key)
        if _told_unknown(world, tool, key):
            return
    check(False, f"in {_ROUNDS} attempts the model was never told that the outcome is unknown")


_PATCHED = 150


def _patch(talk: Talk) -> Reply:
    if talk.results:
        return f"Of the files there is all or nothing: {talk.last}"
    added = (f"*** Add File: part/{number:03d}.txt\n+{number}" for number in range(_PATCHED))
    return call("apply_patch", patch="\n".join(("*** Begin Patch", *added, "*** End Patch")))


@TASKS.add("a patch of 150 files", "all of its files are there, or none, and the model knows", _patch)
def _in_a_patch(world: World) -> None:
    for number in range(_ROUNDS):
        key = f"{_KEY}:{number}"
        wish = (
            f"By one patch (apply_patch) add {_PATCHED} files, part/000.txt to part/{_PATCHED - 1}.txt,"
            " each with"
            " its number as its only line. If the call is cut off leave it at that."
        )
        turn_id = _killed(world, wish, lambda: _staged(world), "a change of files", key)
        _goes_on(world, turn_id)
        there = world.files(key)
        check(len(there) in (0, _PATCHED), f"{len(there)} of {_PATCHED} files are there")
        for path in there:
            check(world.file(key, path).strip() == str(int(Path(path).stem)), f"{path} has something else")
        if _told_unknown(world, "apply_patch", key):
            return
    check(False, f"in {_ROUNDS} attempts the model was never told that the outcome is unknown")


# The web, MCP, parts of the work ----------------------------------------------------------------------

SITE = """
[web]
private_hosts = ["$site"]
"""


def _slow_page(world: World) -> None:
    world.site.html("/slow", "<h1>Tides</h1><p>High water is at 16:42.</p>", waits=True)


def _fetch(talk: Talk) -> Reply:
    if not talk.results:
        return call("web_fetch", url=_quoted(talk))
    return "High water is at 16:42." if "16:42" in talk.last else f"I could not read it: {talk.last}"


@TASKS.add(
    "a page is fetched",
    "reading is repeated by itself, and the answer has what the page says",
    _fetch,
    prepare=_slow_page,
    settings=SITE,
)
def _in_a_fetch(world: World) -> None:
    wish = f"When is high water? It says so at «{world.site.url}/slow»"
    turn_id = _killed(world, wish, lambda: "/slow" in world.site.visited, "the visit of the page")
    world.site.opened.set()
    answer = _goes_on(world, turn_id)
    check("16:42" in answer.text, f"the answer has no time: {answer.text[:200]}")
    check(
        world.site.visited.count("/slow") == 2,
        f"the page was asked for {world.site.visited.count('/slow')} times",
    )


WAREHOUSE = f"""
[mcp.servers.warehouse]
command = "$python"
args = ["{_WAREHOUSE}", "$outside"]
sessions = ["*"]
[[policy]]
tools = {{ "@mcp__warehouse" = "allow" }}
"""


def connected(world: World) -> None:
    """Return once the server knows the tools of the warehouse."""
    world.until((world.data / "mcp-tools.json").exists, "the connection to the MCP server")


def found(talk: Talk, tool: str) -> Call | None:
    """Return the call that brings the tool in, where it is not offered yet."""
    return None if tool in talk.offered else call("find_tools", query=tool)


def _order(talk: Talk) -> Reply:
    tool = "mcp__warehouse__slow_order"
    ordered = talk.of(tool)
    if ordered:
        return f"I do not know whether it was ordered: {ordered[-1].content}"
    return found(talk, tool) or call(tool, item="quince")


@TASKS.add(
    "a tool of an MCP server",
    "what a server may have done is not done again, and its process is gone",
    _order,
    settings=WAREHOUSE,
)
def _in_mcp(world: World) -> None:
    orders = world.outside / "orders"
    connected(world)
    wish = "Order a quince with the tool slow_order of the warehouse. If it is cut off do not order again."
    turn_id = _killed(world, wish, orders.exists, "the order")
    world.until(lambda: not is_running(f"tool_server.py\0{world.outside}"), "the end of the MCP server")
    _goes_on(world, turn_id)
    check(orders.read_text() == "quince\n", f"ordered: {orders.read_text()!r}")
    check(
        _told_unknown(world, "mcp__warehouse__slow_order"),
        "the model was not told that the outcome is unknown",
    )


def _delegating(talk: Talk) -> Reply:
    if "PART:" in talk.question:
        return _fetch(talk)
    if talk.of("delegate"):
        return f"The part says: {talk.last}"
    return found(talk, "delegate") or call("delegate", task=f"PART: {talk.question}")


@TASKS.add(
    "a part that is delegated",
    "the part goes on, and its answer comes back once",
    _delegating,
    prepare=_slow_page,
    settings=SITE,
)
def _in_a_part(world: World) -> None:
    wish = f"Delegate this, all of it: When is high water? It says so at «{world.site.url}/slow»"
    turn_id = _killed(world, wish, lambda: "/slow" in world.site.visited, "the visit of the page")
    world.site.opened.set()
    answer = _goes_on(world, turn_id)
    check("16:42" in answer.text, f"the answer has no time: {answer.text[:200]}")
    came = world.results(_KEY, "delegate")
    check(len(came) == 1 and "16:42" in came[0], f"what came of the part: {came}")
    check(
        world.site.visited.count("/slow") == 2,
        f"the page was asked for {world.site.visited.count('/slow')} times",
    )


# Memory, questions ------------------------------------------------------------------------------------


def _remembering(talk: Talk) -> Reply:
    return "I keep it in mind." if talk.of("remember") else call("remember", fact=_quoted(talk))


@TASKS.add(
    "a fact is noted down",
    "killed at each of the first six commits of a turn: the fact is there once",
    _remembering,
)
def _in_remember(world: World) -> None:
    log = world.data / "nanobot.sqlite3-wal"
    for commits in range(1, 7):
        key = f"app{commits}:dm:ann"
        sizes = {log.stat().st_size}

        def committed(sizes: set[int] = sizes, commits: int = commits, key: str = key) -> bool:
            sizes.add(log.stat().st_size)
            # A turn has fewer where its end comes first.
            return len(sizes) > commits

        fact = f"keeps {commits} bees"
        turn_id = world.begin(key, f"Remember this for later conversations: «{fact}»")
        world.until(committed, f"commit {commits}", at_once=True, within_s=2.0)
        world.kill()
        _goes_on(world, turn_id)
        check(
            world.facts(key).count(fact) == 1, f"killed at commit {commits}: the facts are {world.facts(key)}"
        )


def _asking(talk: Talk) -> Reply:
    if talk.results:
        return f"It came to this: {talk.last}"
    return call("run_command", command=_quoted(talk)) if "«" in talk.question else "Nothing was run."


_ASKED = '[shell]\nsessions = ["*"]\n'


@TASKS.add(
    "a question waits",
    "the question still waits after the crash, and a yes runs the call once",
    _asking,
    settings=_ASKED,
)
def _in_a_question(world: World) -> None:
    wish = "Run this once: «echo ran >> ran.txt»"
    _killed(world, wish, lambda: world.approvals(), "the question")
    world.start()
    check(len(world.approvals()) == 1, f"{len(world.approvals())} approvals wait after the crash")
    check(not world.files(_KEY), "the command ran before anybody agreed")
    world.ask(_KEY, "yes")
    check(world.file(_KEY, "ran.txt") == "ran\n", "the command ran more than once")


@TASKS.add(
    "what was agreed to runs",
    "a call that was agreed to and cut off is not run again",
    _asking,
    settings=_ASKED,
)
def _in_an_approved_call(world: World) -> None:
    mark = _seconds()
    world.ask(
        _KEY, f"Run this once, and if it fails do not run it again: «echo ran >> ran.txt; sleep {mark}»"
    )
    turn_id = _killed(world, "yes", lambda: is_running(f"sleep\0{mark}"), "the command")
    world.until(lambda: not is_running(f"sleep\0{mark}"), "the end of the command")
    _goes_on(world, turn_id)
    check(world.file(_KEY, "ran.txt") == "ran\n", "the command ran more than once")
    check(not world.approvals(), "the call waits for a second yes")
    check(not is_running(f"sleep\0{mark}"), "the command runs again")
