"""Parts of the work that are done by others."""

import re

from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.tasks.crashes import found
from bench.eval.world import World

TASKS = Tasks("delegation")
_KEY = "wx:dm:ann"
_TEXTS = {"north.txt": "heron swan heron coot heron\n", "south.txt": "swan heron swan\n" * 5}


def _counting(talk: Talk) -> Reply:
    if "PART: count herons" in talk.question:
        return str(len(re.findall(r"\bheron\b", talk.question)))
    if "Write these" in talk.question:
        if not talk.results:
            return [call("write_file", path=path, content=text) for path, text in _TEXTS.items()]
        return "They are there."
    counted = talk.of("delegate")
    if not counted:
        return found(talk, "delegate") or [
            call("delegate", task="PART: count herons in the file.", files=[path]) for path in _TEXTS
        ]
    total = sum(
        int(number[0]) for each in counted if (number := re.search(r"^\d+$", each.content, re.MULTILINE))
    )
    if not talk.of("write_file"):
        return call("write_file", path="herons.txt", content=f"{total}\n")
    return f"There are {total}."


@TASKS.add(
    "two parts side by side", "two parts each get one file, and their answers are put together", _counting
)
def _two_parts(world: World) -> None:
    listing = "\n\n".join(f"{path}:\n```\n{text}```" for path, text in _TEXTS.items())
    world.ask(_KEY, f"Write these two files, exactly so:\n\n{listing}")
    said = world.ask(
        _KEY,
        "How often does the word heron stand in north.txt and south.txt together? Delegate each file to a"
        " part of"
        " its own, then write only the number into herons.txt, and tell me.",
    ).text
    check(world.file(_KEY, "herons.txt").strip() == "8", "herons.txt has not 8")
    check("8" in said, f"the answer has not 8: {said[:200]}")
    came = world.results(_KEY, "delegate")
    check(len(came) == 2, f"{len(came)} parts were delegated, not two")
    sessions = [each["key"] for each in world.get("/v1/sessions")["data"]]
    check(sessions == [_KEY], f"the sessions of parts are listed: {sessions}")


def _needing(talk: Talk) -> Reply:
    if "PART:" in talk.question:
        if not talk.results:
            return call("run_command", command="echo ran >> ran.txt")
        return f"I could not: {talk.last}"
    if talk.of("run_command"):
        return f"It came to: {talk.last}"
    if "make ran.txt" not in talk.question:
        return "Nothing was run."
    if talk.of("delegate"):
        return call("run_command", command="echo ran >> ran.txt")
    return found(talk, "delegate") or call("delegate", task="PART: make ran.txt with run_command")


@TASKS.add(
    "a part is no freer",
    "what needs a yes is not run by a part: the turn that delegated asks itself",
    _needing,
    settings='[shell]\nsessions = ["*"]\n',
)
def _no_freer(world: World) -> None:
    wish = (
        "Delegate this to a part: make ran.txt by the command `echo ran >> ran.txt`. If it may not, do it"
        " yourself."
    )
    question = world.ask(_KEY, wish).text
    check("echo ran" in question and len(world.approvals()) == 1, f"no question: {question[:200]}")
    check(len(world.results(_KEY, "delegate")) == 1, "nothing was delegated")
    check(not world.files(_KEY), "a part ran what needs a yes")
    world.ask(_KEY, "yes")
    check(world.file(_KEY, "ran.txt") == "ran\n", "the command did not run once")
