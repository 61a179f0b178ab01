"""Calls that a person is asked about first."""

from urllib.parse import urlsplit

from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.world import World

TASKS = Tasks("approvals")
_SHELL = """
[shell]
sessions = ["*"]
"""
_KEY = "wx:dm:ann"
_WISH = "Run this command once, and tell me what it prints: echo kumquat-$((40+2)) | tee -a ran.txt"
_COMMAND = "echo kumquat-$((40+2)) | tee -a ran.txt"


def _run(talk: Talk) -> Reply:
    """Make the call; when it was run, say what it printed."""
    printed = [each for each in talk.results if "kumquat-42" in each.content]
    if printed:
        return "It printed kumquat-42."
    if talk.results:
        return f"It was not run: {talk.last}"
    if "Run this command" in talk.question:
        return call("run_command", command=_COMMAND)
    return "Nothing was run."


def _ran(world: World) -> list[str]:
    return world.file(_KEY, "ran.txt").split()


def _asked(world: World) -> str:
    """Have the agent ask, and return the id of the approval."""
    answer = world.ask(_KEY, _WISH)
    check(_COMMAND in answer.text, f"the question does not show the command: {answer.text[:200]}")
    pending = world.approvals()
    check(len(pending) == 1, f"{len(pending)} approvals wait, not one")
    check(not world.files(_KEY), "something was run before anybody agreed")
    return str(pending[0]["id"])


def _check_ran(world: World, text: str, by: str) -> None:
    check("kumquat-42" in text, f"the answer has not what was printed: {text[:200]}")
    check(_ran(world) == ["kumquat-42"], f"the command ran {len(_ran(world))} times")
    calls = [each for each in world.calls("run_command", 2) if each["decision"] == "approved"]
    check(len(calls) == 1, f"the audit log has {len(calls)} approved calls")
    check(calls[0]["decided_by"].startswith(by), f"decided by {calls[0]['decided_by']}, not {by}")


@TASKS.add(
    "agree in words",
    "a command runs once the user has said “yes, do it”, and once only",
    _run,
    settings=_SHELL,
)
def _by_words(world: World) -> None:
    _asked(world)
    _check_ran(world, world.ask(_KEY, "yes, do it").text, "words")


@TASKS.add(
    "agree over the API", "a command runs once `POST /v1/approvals/{id}` has said so", _run, settings=_SHELL
)
def _by_route(world: World) -> None:
    approval = _asked(world)
    world.post(f"/v1/approvals/{approval}", {"decision": "once"})
    _check_ran(world, world.ask(_KEY, "Go on.").text, "")


@TASKS.add(
    "agree by a link",
    "a command runs once somebody has pressed the button of the link",
    _run,
    settings=_SHELL,
)
def _by_link(world: World) -> None:
    approval = _asked(world)
    link = urlsplit(str(world.get(f"/v1/approvals/{approval}")["link"]))
    status, page = world.request("GET", link.path)
    check(status == 200 and b"kumquat" in page, "the page of the link does not show the command")
    check(len(world.approvals()) == 1, "the page alone has decided")
    form = {"content-type": "application/x-www-form-urlencoded", "origin": f"{link.scheme}://{link.netloc}"}
    statuses = [world.request("POST", link.path, b"decision=once", form)[0] for _ in range(2)]
    check(statuses == [200, 409], f"the button answered {statuses}, not 200 and then 409")
    _check_ran(world, world.ask(_KEY, "Go on.").text, "link")


@TASKS.add("no and not quite", "“no” and “yes, but …” run nothing", _run, settings=_SHELL)
def _no(world: World) -> None:
    _asked(world)
    world.ask(_KEY, "yes, but what does tee do?")
    check(len(world.approvals()) == 1, "a question was taken for an answer")
    check(not world.files(_KEY), "a question was taken for a yes")
    world.post(f"/v1/approvals/{world.approvals()[0]['id']}", {"decision": "deny"})
    world.ask(_KEY, "Go on.")
    check(not world.files(_KEY), "what was refused ran")
    refused = world.approvals("denied")
    check(len(refused) == 1 and refused[0]["state"] == "denied", "nothing was refused")


@TASKS.add(
    "nobody answers",
    "without an answer in time the call counts as refused, and a late yes runs nothing",
    _run,
    settings=_SHELL + "[approvals]\ntimeout_s = 10\n",
)
def _timed_out(world: World) -> None:
    _asked(world)
    world.until(lambda: not world.approvals(), "the end of the approval")
    answer = world.ask(_KEY, "yes, do it")
    check(not world.files(_KEY), "a late yes ran it")
    check("kumquat-42" not in answer.text, "the answer claims what never ran")
    check(bool(world.approvals("expired")), "the approval is not listed as expired")
    outcomes = [each["outcome"] for each in world.calls("run_command", 2)]
    check("ok" not in outcomes, f"the audit log has a run: {outcomes}")


def _swap(talk: Talk) -> Reply:
    if not talk.results and "List the files" in talk.question:
        return call("run_command", command="ls")
    return call("run_command", command="rm -rf ./*")


@TASKS.add(
    "what was shown is what runs",
    "a model that asks for a harmless command and then changes it has to ask anew",
    _swap,
    settings=_SHELL,
)
def _swapped(world: World) -> None:
    world.ask(_KEY, "List the files with ls, then empty the workspace with rm -rf ./*")
    pending = world.approvals()
    check(len(pending) == 1 and '"ls"' in pending[0]["arguments"], f"asked about {pending}")
    world.ask(_KEY, "yes")
    run = [each["arguments"] for each in world.calls("run_command", 3) if each["outcome"] == "ok"]
    check(run == [pending[0]["arguments"]], f"what ran is {run}")
    waiting = [each for each in world.approvals() if "rm -rf" in each["arguments"]]
    check(len(waiting) == 1, "the second command was not asked about")
