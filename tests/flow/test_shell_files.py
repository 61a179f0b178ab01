"""What was uploaded to a session is there for its commands, and what they write is given to the user."""

import base64
import json
import sys

import pytest

from nanobot.app.periodic import CLEANUP_EVERY_S
from nanobot.core.message import Message, ToolCall
from nanobot.testing import FakeClock, Say, ScriptedModel
from nanobot.tools.shell.tools import RUN
from tests.flow.test_shell import ALLOW, ASK, UNASKED, results, run, until
from tests.flow.test_shell_interpreters import KEPT, python
from tests.flow.test_shell_workspace import fetch, folders, use
from tests.flow.test_workspace import PNG
from tests.forms import upload
from tests.harness import Harness, OpenHarness

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")


def copies(harness: Harness) -> list[str]:
    return sorted(path.name for path in (harness.data / "commands").glob("*/uploads/**/*") if path.is_file())


def sent(name: str, kind: str, content: bytes) -> dict[str, object]:
    """Return the part of a message that has this file."""
    data = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return {"type": "file", "file": {"filename": name, "file_data": data}}


# Uploads ------------------------------------------------------------------------------------------


async def test_commands_read_what_was_uploaded_under_the_path_that_the_tools_for_files_have(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(
        use("find_files", pattern="uploads/**"),
        run("cat uploads/sales.csv; find -L uploads -type f | sort; echo x > uploads/sales.csv"),
        use("list_files"),
        "Done.",
        run("ls; cat uploads/sales.csv"),
        "Done.",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    older = await upload(harness.door, b"old kumquats", "sales.csv", "ann")
    await upload(harness.door, b"kumquats,3\n", "sales.csv", "ann")
    await harness.door.chat("ann", [ASK])
    found, first, listed = results(model)
    paths = sorted(line.split("  ")[0] for line in found.content.splitlines())
    assert paths == sorted(("uploads/sales.csv", f"uploads/{older}/sales.csv"))
    assert first.content.startswith("kumquats,3\n" + "\n".join(paths)), first.content
    assert "denied" in first.content or "Read-only" in first.content
    # The link is no file, and nothing is said to be missing.
    assert listed.content == "uploads/"
    await harness.door.chat("bob", [ASK])
    (second,) = results(model)
    assert "kumquats" not in second.content and "No such file" in second.content


async def test_commands_of_one_step_all_read_what_was_uploaded(open_harness: OpenHarness) -> None:
    calls = [ToolCall(f"c{number}", RUN, '{"command": "cat uploads/*.txt | wc -c"}') for number in range(6)]
    model = ScriptedModel(Say(message=Message("assistant", tuple(calls), "tool_calls")), "Done.")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    for name in ("a.txt", "b.txt", "c.txt"):
        await upload(harness.door, b"x" * 1_000_000, name, "ann")
    await harness.door.chat("ann", [ASK])
    assert [result.content.split("\n")[0] for result in results(model)] == ["3000000"] * 6
    assert copies(harness) == ["a.txt", "b.txt", "c.txt"]


async def test_an_upload_that_was_deleted_is_there_no_more_with_the_next_command(
    open_harness: OpenHarness,
) -> None:
    line = run("find -L uploads -type f; cat uploads/*")
    model = ScriptedModel(line, "Done.", line, "Done.")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    first = await upload(harness.door, b"kumquats", "a.txt", "ann")
    await upload(harness.door, b"papayas", "b.txt", "ann")
    await harness.door.chat("ann", [ASK])
    assert "kumquats" in results(model)[0].content
    await harness.door.call("DELETE", f"/v1/files/{first}", headers={"x-session-key": "ann"})
    await harness.door.chat("ann", [ASK])
    assert results(model)[-1].content.startswith("uploads/b.txt\npapayas")
    assert copies(harness) == ["b.txt"]


async def test_no_copy_of_an_upload_outlasts_the_commands_for_long(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    model = ScriptedModel(run("cat uploads/a.txt"), "Done.")
    harness = await open_harness(model, clock=clock, shell=ALLOW, policy=UNASKED)
    await upload(harness.door, b"kumquats", "a.txt", "ann")
    await harness.door.chat("ann", [ASK])
    assert copies(harness) == ["a.txt"]
    clock.advance(CLEANUP_EVERY_S)
    await until(lambda: not copies(harness))


async def test_python_that_stays_finds_what_is_uploaded_while_it_runs(open_harness: OpenHarness) -> None:
    code = (
        "import os\nnames = os.listdir('uploads')\nnames, [open(f'uploads/{name}').read() for name in names]"
    )
    model = ScriptedModel(python(code), "Done.", python(code), "Done.")
    harness = await open_harness(model, **KEPT)
    await harness.door.chat("ann", [ASK])
    assert results(model)[-1].content.endswith("([], [])\n")
    await upload(harness.door, b"kumquats", "a.txt", "ann")
    await harness.door.chat("ann", [ASK])
    assert results(model)[-1].content == "(['a.txt'], ['kumquats'])\n"


@pytest.mark.parametrize("name", ["..", ".", "ä" * 200 + ".txt", "a b 'c' $(id).txt"])
async def test_whatever_an_upload_is_called_commands_run(open_harness: OpenHarness, name: str) -> None:
    model = ScriptedModel(run("find -L uploads -type f | wc -l; echo over"), "Done.")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await upload(harness.door, b"kumquats", name, "ann")
    await harness.door.chat("ann", [ASK])
    assert "over\n\n[exit status 0]" in results(model)[0].content


async def test_a_file_that_was_sent_in_a_message_is_there_for_commands_once(
    open_harness: OpenHarness,
) -> None:
    part, picture = sent("sent.csv", "text/csv", b"kumquats,3"), sent("dot.png", "image/png", PNG)
    message = {"role": "user", "content": [part, picture, {"type": "text", "text": "Add up."}]}
    listed = run("find -L uploads -type f | sort; cat uploads/sent.csv")
    model = ScriptedModel(listed, "Three.", listed, "Three again.", abilities=frozenset({"tools", "images"}))
    harness = await open_harness(model, shell={"sessions": ["ann"]}, policy=UNASKED)
    await harness.door.chat("ann", [message])
    assert results(model)[0].content.startswith("uploads/dot.png\nuploads/sent.csv\nkumquats,3")
    # The client has it answered anew.
    await harness.door.chat("ann", [message])
    assert results(model)[-1].content.startswith("uploads/dot.png\nuploads/sent.csv\nkumquats,3")
    # Where there are no commands, what was read whole is not kept.
    await harness.door.chat("bob", [message])
    assert not (await harness.door.get("/v1/files", headers={"x-session-key": "bob"})).json["data"]
    await harness.door.chat("ann", [{**message, "content": [picture]}], store=False)
    assert len((await harness.door.get("/v1/files", headers={"x-session-key": "ann"})).json["data"]) == 2


# Files that commands write ------------------------------------------------------------------------


async def test_the_model_gets_a_link_to_each_file_that_a_command_has_written(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(
        use("write_file", path="kept.txt", content="as it was"),
        run("mkdir -p out; echo 1 > out/plot.svg; echo 2 > 'a b.txt'; echo 3 > .hidden; ln -s out link"),
        run("cat kept.txt; echo more >> out/plot.svg; rm 'a b.txt'"),
        run("true"),
        "Done.",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    _, made, changed, nothing = results(model)
    assert made.content == (
        "[exit status 0, no output]\n"
        "[Links for the user: nanobot:workspace/a%20b.txt, nanobot:workspace/out/plot.svg]"
    )
    assert made.files == ("a b.txt", "out/plot.svg")
    assert changed.content.endswith("[exit status 0]\n[Link for the user: nanobot:workspace/out/plot.svg]")
    assert changed.files == ("out/plot.svg",)
    assert nothing.content == "[exit status 0, no output]" and not nothing.files
    assert await fetch(harness, "ann", "out/plot.svg") == (200, b"1\nmore\n")


async def test_of_many_files_a_few_are_named_and_those_of_programs_are_passed_over(
    open_harness: OpenHarness,
) -> None:
    line = (
        "git init -q; mkdir -p node_modules/x __pycache__ src; touch node_modules/x/y __pycache__/z.pyc;"
        " for n in 1 2 3 4 5 6 7 8 9; do echo $n > src/$n; done; echo top > top"
    )
    model = ScriptedModel(run(line), run("for n in $(seq 6000); do : > src/f$n; done"), "Done.")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    some, too_many = results(model)
    assert some.files == ("top", *(f"src/{number}" for number in range(1, 8)))
    assert some.content.endswith("; 2 further files were written]")
    assert not too_many.files


async def test_files_of_a_background_command_are_named_once_it_has_ended(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        run("read line; echo $line > made; echo over", background=True),
        use("read_output", command="command-1", wait_s=0),
        use("write_input", command="command-1", text="go\n"),
        use("read_output", command="command-1", wait_s=30),
        use("read_output", command="command-1", wait_s=30),
        run("echo > second; sleep 1000", background=True),
        run("while ! test -e second; do sleep 0.02; done"),
        use("stop_command", command="command-2"),
        "Done.",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    _, waiting, _, *read, _, _, stopped = results(model)
    assert not waiting.files
    assert ("made",) in {each.files for each in read}
    assert stopped.files == ("second",)


async def test_python_that_stays_says_which_files_each_call_has_written(open_harness: OpenHarness) -> None:
    model = ScriptedModel(python("open('a', 'w').close()"), python("open('b', 'w').close()"), "Done.")
    harness = await open_harness(model, **KEPT)
    await harness.door.chat("ann", [ASK])
    assert [each.files for each in results(model)] == [("a",), ("b",)]
    assert (folders(harness)[0] / "b").exists()


async def test_clients_that_follow_are_told_of_the_files(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("echo 1 > plot.svg"), "Done.")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    answer = await harness.door.chat("ann", [ASK], {"x-events": "tools"}, stream=True)
    (finished,) = [json.loads(event.content) for event in answer.events if event.name == "tool_finished"]
    assert finished["files"] == [{"id": "nanobot:workspace/plot.svg", "filename": "plot.svg"}]


async def test_what_git_keeps_of_a_repository_is_looked_at_only_where_it_is_asked_for(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(
        run("git init -q; echo kumquat > a.py; git add -A; git commit -qm kumquat"),
        use("find_files", pattern="**/*"),
        use("grep", pattern="kumquat"),
        use("list_files"),
        use("find_files", pattern=".git/HEAD"),
        use("grep", pattern="refs", path=".git"),
        "Done.",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    _, found, matched, listed, head, within = results(model)
    assert found.content.startswith("a.py") and ".git" not in found.content
    assert matched.content == "a.py:1: kumquat"
    assert listed.content.splitlines()[0] == ".git/"
    assert head.content.startswith(".git/HEAD") and "refs" in within.content
    own = {"x-session-key": "ann"}
    written = (await harness.door.get("/v1/files?purpose=assistants_output", headers=own)).json
    assert [each["filename"] for each in written["data"]] == ["a.py"]
    assert (await fetch(harness, "ann", ".git/HEAD"))[0] == 200
