"""Work on files: a repository mended, changes in several files, a report."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.world import World

TASKS = Tasks("files")
SHELL = """
[shell]
sessions = ["*"]
readable = ["$outside"]
[[policy]]
tools = { "@shell" = "allow" }
"""
_KEY = "wx:dm:ann"

# A repository is mended -------------------------------------------------------------------------------

_SHIPPING = '''"""What a parcel costs."""

RATES = {"letter": 100, "parcel": 450, "large": 900}


def price(kind, weight_g):
    """Return the price in cents: the rate, and 20 for each begun 100 g above 500 g."""
    over = weight_g - 500
    return RATES[kind] + 20 * (over // 100)


def total(parcels):
    result = 0
    for kind, weight_g in parcels:
        result = price(kind, weight_g)
    return result
'''
_SHIPPING_TESTS = """import unittest

from shipping import price, total


class Prices(unittest.TestCase):
    def test_light(self):
        self.assertEqual(price("letter", 20), 100)

    def test_begun(self):
        self.assertEqual(price("parcel", 501), 470)

    def test_even(self):
        self.assertEqual(price("parcel", 700), 490)

    def test_total(self):
        self.assertEqual(total([("letter", 20), ("parcel", 650), ("large", 501)]), 100 + 490 + 920)

    def test_nothing(self):
        self.assertEqual(total([]), 0)
"""


def _repository(world: World) -> None:
    repository = world.outside / "shop"
    repository.mkdir()
    (repository / "shipping.py").write_text(_SHIPPING)
    (repository / "test_shipping.py").write_text(_SHIPPING_TESTS)


def _mend(talk: Talk) -> Reply:
    """Run the tests, mend what the newest failure is about, and run them again until they pass."""
    if not talk.results:
        return call("run_command", command=f"cp -r {_path_in(talk.question)} shop && ls shop")
    runs = [each for each in talk.of("run_command") if "unittest" in each.arguments["command"]]
    newest = talk.results[-1]
    if newest.name != "run_command" or not runs:
        return call("run_command", command="cd shop && python3 -m unittest 2>&1")
    if "\nOK" in newest.content:
        return "The tests pass."
    if not talk.of("read_file"):
        return [call("read_file", file="shop/shipping.py"), call("read_file", file="shop/test_shipping.py")]
    if "test_total" in newest.content and not any(
        "result +=" in str(each.arguments) for each in talk.results
    ):
        return call("edit_file", path="shop/shipping.py", old="result = price(", new="result += price(")
    return call(
        "edit_file",
        path="shop/shipping.py",
        old="    over = weight_g - 500\n    return RATES[kind] + 20 * (over // 100)",
        new="    over = max(0, weight_g - 500)\n    return RATES[kind] + 20 * -(-over // 100)",
    )


def _path_in(text: str) -> str:
    found = re.search(r"/\S+", text)
    return found[0].rstrip(".,:;?") if found else ""


@TASKS.add(
    "mend a repository",
    "copies a repository, runs its tests, and edits until they pass; the tests are run again outside",
    _mend,
    prepare=_repository,
    settings=SHELL,
)
def _mend_repository(world: World) -> None:
    world.ask(
        _KEY,
        f"Copy the directory {world.outside}/shop into your workspace, as shop. Its tests (python3 -m"
        " unittest)"
        " fail: mend shop/shipping.py until they pass. Leave the tests as they are.",
    )
    mended = world.file(_KEY, "shop/shipping.py")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "shipping.py").write_text(mended)
        Path(directory, "test_shipping.py").write_text(_SHIPPING_TESTS)
        ran = subprocess.run(
            [sys.executable, "-m", "unittest"], cwd=directory, capture_output=True, timeout=60
        )
    check(ran.returncode == 0, f"the tests fail: {ran.stderr.decode()[-400:]}")


# A fault is found in a history ------------------------------------------------------------------------


def _history(world: World) -> None:
    repository = world.outside / "history"
    repository.mkdir()

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout

    git("init", "-q", "-b", "main")
    for number in range(1, 17):
        factor = 3 if number < 11 else 4
        (repository / "triple.sh").write_text(f"# version {number}\necho $(($1 * {factor}))\n")
        git("add", ".")
        git("commit", "-q", "-m", f"Version {number}")
    # Only for the check.
    (world.outside / "guilty").write_text(git("rev-list", "--reverse", "HEAD").split()[10])


def _bisect(talk: Talk) -> Reply:
    if not talk.results:
        path = _path_in(talk.question)
        return call("run_command", command=f"cp -r {path} h && cd h && git log --oneline | tail -1")
    if len(talk.results) == 1:
        first = re.findall(r"^[0-9a-f]{7,}", talk.last, re.MULTILINE)[-1]
        test = "sh -c '[ $(sh triple.sh 2) = 6 ]'"
        return call("run_command", command=f"cd h && git bisect start HEAD {first} && git bisect run {test}")
    found = re.search(r"([0-9a-f]{40}) is the first bad commit", talk.last)
    return f"It is {found[1]}." if found else "I did not find it."


@TASKS.add(
    "find a bad commit",
    "finds by `git bisect` which of 16 commits broke a program",
    _bisect,
    prepare=_history,
    settings=SHELL,
)
def _find_commit(world: World) -> None:
    guilty = (world.outside / "guilty").read_text()
    (world.outside / "guilty").unlink()
    answer = world.ask(
        _KEY,
        f"Copy the git repository {world.outside}/history into your workspace. `sh triple.sh 2` once"
        " printed 6,"
        " and now prints something else. Which commit broke it? Answer with its full hash.",
    )
    check(guilty in answer.text, f"the answer has not the commit {guilty}: {answer.text[:300]}")


# Several files are changed at once --------------------------------------------------------------------

_FILES = {
    "app/names.py": "def fullname(first, last):\n    return f'{first} {last}'\n",
    "app/letter.py": "from app.names import fullname\n\nprint('Dear', fullname('Ann', 'Lee'))\n",
    "app/label.py": "from app.names import fullname\n\n\ndef label(p):\n    return fullname(*p).upper()\n",
    "README.md": "# Names\n\nUse `fullname`. The word fullname stays in this sentence.\n",
}


def _rename(talk: Talk) -> Reply:
    if "Write these files" in talk.question:
        if not talk.results:
            return [call("write_file", path=path, content=text) for path, text in _FILES.items()]
        return "They are there."
    if not talk.results:
        return call("grep", pattern="fullname", path="app")
    if talk.results[-1].name == "grep":
        lines = ["*** Begin Patch"]
        for path in sorted(set(re.findall(r"app/\w+\.py", talk.last))):
            lines.append(f"*** Update File: {path}")
            for line in _FILES[path].splitlines():
                changed = line.replace("fullname", "full_name")
                lines += [f" {line}"] if line == changed else [f"-{line}", f"+{changed}"]
        return call("apply_patch", patch="\n".join((*lines, "*** End Patch")))
    return "fullname is full_name now."


@TASKS.add("rename across files", "finds a name by `grep` and changes three files by one patch", _rename)
def _rename_across(world: World) -> None:
    listing = "\n\n".join(f"{path}:\n```\n{text}```" for path, text in _FILES.items())
    world.ask(_KEY, f"Write these files into the workspace, exactly so:\n\n{listing}")
    world.ask(
        _KEY, "Rename the function fullname to full_name, in all Python files. Leave README.md as it is."
    )
    for path, text in _FILES.items():
        wanted = text if path == "README.md" else text.replace("fullname", "full_name")
        check(world.file(_KEY, path).strip() == wanted.strip(), f"{path} is not as it should be")


# A file that does not have the text -------------------------------------------------------------------

_RECIPE = """# Bread

* 500 g of flour
* 300 ml of water
* 10 g of salt

Bake it for 40 minutes at 220 degrees.
"""


def _handbook(world: World) -> None:
    handbook = world.outside / "handbook"
    handbook.mkdir()
    (handbook / "bread.md").write_text(_RECIPE)
    for number in range(120):
        (handbook / f"note-{number:03d}.md").write_text(f"# Note {number}\n\nNothing of interest.\n")
    (handbook / "note-077.md").write_text("# Note 77\n\nTODO: ask Mira about the oven.\n")
    (handbook / "note-101.md").write_text("# Note 101\n\nTODO: order rye, 25 kg.\n")


HANDBOOK = """
[workspace]
roots = { handbook = "$outside/handbook" }
"""


def _adapt(talk: Talk) -> Reply:
    if not talk.results:
        return call("read_file", file="shared/handbook/bread.md")
    if len(talk.results) == 1:
        return call("write_file", path="bread.md", content=_RECIPE)
    failed = [each for each in talk.of("edit_file") if "nowhere" in each.content]
    done = [each for each in talk.of("edit_file") if "Changed" in each.content]
    if not failed:
        # From memory, and wrong: the nearest line is shown.
        return call(
            "edit_file", path="bread.md", old="Bake for 40 min at 220 °C.", new="Bake for 55 minutes."
        )
    if not done:
        line = next(line for line in failed[-1].content.splitlines() if line.startswith("Bake"))
        return call("edit_file", path="bread.md", old=line, new=line.replace("40", "55"))
    if len(done) == 1:
        return call("edit_file", path="bread.md", old="* 10 g of  salt", new="* 12 g of salt")
    return "Done."


@TASKS.add(
    "recover from a failed edit",
    "an edit whose text is not in the file fails, shows the nearest line, and is made again with that",
    _adapt,
    prepare=_handbook,
    settings=HANDBOOK,
)
def _recover(world: World) -> None:
    world.ask(
        _KEY,
        "Copy shared/handbook/bread.md into your workspace as bread.md. Then change it there: it bakes for 55"
        " minutes, and takes 12 g of salt.",
    )
    wanted = _RECIPE.replace("40 minutes", "55 minutes").replace("10 g of salt", "12 g of salt")
    check(world.file(_KEY, "bread.md").strip() == wanted.strip(), "bread.md is not as it should be")
    check((world.outside / "handbook" / "bread.md").read_text() == _RECIPE, "the operator's file was changed")


def _collect(talk: Talk) -> Reply:
    if not talk.results:
        return call("grep", pattern="TODO", path="shared/handbook")
    if len(talk.results) == 1:
        found = re.findall(r"note-(\d+)\.md.*?TODO: (.*)", talk.last)
        return call("write_file", path="todo.csv", content="".join(f"{n},{what}\n" for n, what in found))
    link = re.search(r"nanobot:workspace/\S+", talk.last)
    return f"Here it is: [todo.csv]({link[0] if link else ''})"


@TASKS.add(
    "report from many files",
    "searches 121 files of the operator's, writes a report, and answers with its link",
    _collect,
    prepare=_handbook,
    settings=HANDBOOK,
)
def _report(world: World) -> None:
    answer = world.ask(
        _KEY,
        "Which notes in shared/handbook have a TODO? Write todo.csv with a line for each: the number of"
        " the note"
        " (as in the file's name), a comma, and what is to do. Give me the link.",
    )
    lines = sorted(line.strip() for line in world.file(_KEY, "todo.csv").splitlines() if line.strip())
    check(lines == ["077,ask Mira about the oven.", "101,order rye, 25 kg."], f"todo.csv has {lines}")
    check("nanobot:workspace/todo.csv" in answer.text, f"the answer has no link: {answer.text[:200]}")


# Figures are computed ---------------------------------------------------------------------------------


def _sales(world: World) -> None:
    rows = [f"{month},{100 + 37 * month % 90},{11 * month % 23}" for month in range(1, 241)]
    (world.outside / "sales.csv").write_text("\n".join(("month,price,pieces", *rows)) + "\n")


def _compute(talk: Talk) -> Reply:
    if not talk.results:
        code = (
            "import csv\n"
            f"rows = list(csv.DictReader(open('{_path_in(talk.question)}')))\n"
            "print(sum(int(r['price']) * int(r['pieces']) for r in row))\n"
        )
        return call("python", code=code)
    newest = talk.results[-1]
    if "Error" in newest.content:
        # As the message says: there is no `row`.
        return call("python", code=newest.arguments["code"].replace("in row)", "in rows)"))
    return f"The revenue is {newest.content.split()[0]}."


@TASKS.add(
    "compute in Python",
    "a script fails, is corrected by its error message, and computes what cannot be guessed",
    _compute,
    prepare=_sales,
    settings=SHELL,
)
def _compute_sales(world: World) -> None:
    rows = [line.split(",") for line in (world.outside / "sales.csv").read_text().splitlines()[1:]]
    revenue = sum(int(price) * int(pieces) for _, price, pieces in rows)
    answer = world.ask(
        _KEY,
        f"What is the revenue, the sum of price times pieces, in {world.outside}/sales.csv? It has 240"
        " rows, so"
        " use Python. Answer with the number.",
    )
    said = answer.text.replace(",", "").replace(".", "").replace(" ", "")
    check(str(revenue) in said, f"the answer has not {revenue}: {answer.text[:200]}")
