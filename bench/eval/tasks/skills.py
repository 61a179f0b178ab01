"""Skills: read on demand, with a script in the sandbox, and a session's own."""

import re

from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.world import World

TASKS = Tasks("skills")
_KEY = "wx:dm:ann"
_LABELS = """---
name: parcel-labels
description: Writes labels for parcels in the form of our post office. Use when somebody wants a label.
---
A label is the file `label.txt`. Its only line has three fields between bars:

LABEL|the name in capital letters|the number of letters of the name, without spaces
"""


def _skill(world: World, name: str, text: str) -> None:
    folder = world.data / "skills" / name
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(text)
    for path in (folder.parent, folder):
        path.chmod(0o755)


def _label_skill(world: World) -> None:
    _skill(world, "parcel-labels", _LABELS)


def _label(talk: Talk) -> Reply:
    if not talk.results:
        return (
            call("read_skill", name="parcel-labels") if "parcel-labels" in talk.instructions else "I cannot."
        )
    if "LABEL|" in talk.last:
        return call("write_file", path="label.txt", content="LABEL|ZOE VAN DYK|9\n")
    return "Here is label.txt."


@TASKS.add(
    "read on demand",
    "the skill is in the list, its text is read when it is needed, and followed",
    _label,
    prepare=_label_skill,
)
def _on_demand(world: World) -> None:
    world.ask(_KEY, "Make a parcel label for Zoe van Dyk.")
    check(
        world.file(_KEY, "label.txt").strip() == "LABEL|ZOE VAN DYK|9", "the label is not as the skill says"
    )
    check(len(world.results(_KEY, "read_skill")) == 1, "the skill was not read once")


_CHECKSUM = """---
name: article-check
description: Tells the check letters of an article number. Use when somebody asks for check letters.
---
Run `python3 "$SKILLS/article-check/scripts/letters.py" NUMBER` with run_command; it prints the letters.
"""
_SCRIPT = """import sys
number = int(sys.argv[1])
print("".join(chr(65 + (number * each) % 26) for each in (7, 11, 17)))
"""
_SHELL = '[shell]\nsessions = ["*"]\n[[policy]]\ntools = { run_command = "allow" }\n'


def _check_skill(world: World) -> None:
    _skill(world, "article-check", _CHECKSUM)
    scripts = world.data / "skills" / "article-check" / "scripts"
    scripts.mkdir()
    (scripts / "letters.py").write_text(_SCRIPT)


def _letters(talk: Talk) -> Reply:
    if not talk.results:
        return call("read_skill", name="article-check")
    if talk.results[-1].name == "read_skill":
        found = re.search(r"`(python3 .*?)`", talk.last)
        if found is None:
            return talk.last
        # And tries to change it.
        changing = 'echo broken > "$SKILLS/article-check/scripts/letters.py"'
        return call("run_command", command=f"{found[1].replace('NUMBER', '4711')}; {changing}")
    return f"The letters are {talk.last.split()[0]}."


@TASKS.add(
    "a script of a skill",
    "the script runs in the sandbox, where it is read-only",
    _letters,
    prepare=_check_skill,
    settings=_SHELL,
)
def _script(world: World) -> None:
    letters = "".join(chr(65 + (4711 * each) % 26) for each in (7, 11, 17))
    said = world.ask(_KEY, "Which check letters does the article 4711 have?").text
    check(letters in said, f"the answer has not {letters}: {said[:200]}")
    check(world.calls("run_command")[0]["outcome"] == "ok", "the script was not run")
    script = world.data / "skills" / "article-check" / "scripts" / "letters.py"
    check(script.read_text() == _SCRIPT, "a command has changed the script")


_OWN = _LABELS.replace("parcel-labels", "our-labels").replace("LABEL|", "OURS|")


def _own(talk: Talk) -> Reply:
    if "Write the file" in talk.question:
        if not talk.results:
            return call("write_file", path="skills/our-labels/SKILL.md", content=_OWN)
        return "It is there."
    if not talk.results:
        return (
            call("find_skills", query="label")
            if "find_skills" in talk.offered
            else call("find_tools", query="find_skills")
        )
    newest = talk.results[-1]
    if newest.name == "find_tools":
        return call("find_skills", query="label")
    if newest.name == "find_skills":
        return call("read_skill", name="skills/our-labels")
    if newest.name == "read_skill":
        return call("write_file", path="label.txt", content="OURS|ZOE VAN DYK|9\n")
    return "Here is label.txt."


@TASKS.add(
    "a skill of the session", "a skill among the session's own files is found, read and followed", _own
)
def _own_skill(world: World) -> None:
    world.ask(_KEY, f"Write the file skills/our-labels/SKILL.md, exactly so:\n\n```\n{_OWN}```")
    world.ask(_KEY, "Make a parcel label for Zoe van Dyk. There is a skill for it among my own: look for it.")
    check(world.file(_KEY, "label.txt").strip() == "OURS|ZOE VAN DYK|9", "the label is not as the skill says")
    check(not world.files("wx:dm:bob"), "another session has the files")
