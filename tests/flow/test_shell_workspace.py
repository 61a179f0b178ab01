"""Commands run in the workspace of their session: its tools and its commands see the same files, and nobody
else does.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from nanobot.core.errors import ConfigError
from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel, call
from tests.flow.test_shell import AGAIN, ALLOW, ASK, UNASKED, results, run, until
from tests.harness import Harness, OpenHarness
from tests.processes import is_there, nap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
CANARY = "canary-41fe"
# Whoever could, would reach another session's files by their path.
SPY = (
    "cat {path}/*/files/secret {path}/*/files/docs/* {path}/secret; ls {path} {path}/* {path}/*/files;"
    " for each in {named}; do cat $each; echo stolen > $each; ls $(dirname $each); done;"
    " find / -name secret 2>/dev/null; cat /proc/*/cwd/secret; echo over"
)


def use(name: str, **arguments: object) -> Say:
    return call(name, msgspec.json.encode(arguments).decode())


def folders(harness: Harness) -> list[Path]:
    return sorted((harness.data / "workspaces").glob("*/files"))


async def fetch(harness: Harness, key: str, path: str) -> tuple[int, bytes]:
    target = f"/v1/files/{quote(f'nanobot:workspace/{path}', safe='')}/content"
    answer = await harness.door.get(target, headers={"x-session-key": key})
    return answer.status, answer.raw


async def test_tools_and_commands_see_the_same_files(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        use("write_file", path="src/add.sh", content="echo $(($1 + $2))\n"),
        run(
            "sh src/add.sh 20 22 | tee out.txt; echo '# more' >> src/add.sh; chmod +x src/add.sh; mkdir deep"
        ),
        use("edit_file", path="src/add.sh", old="# more", new="# less"),
        use("write_file", path="deep/er/note", content="kumquat\n"),
        run(
            "cat src/add.sh deep/er/note; test -x src/add.sh && echo x >> src/add.sh && echo y > deep/er/new"
        ),
        use("read_file", file="out.txt"),
        use("find_files", pattern="new"),
        "Done.",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    assert (await harness.door.chat("ann", [ASK])).said == "Done."
    _, first, _, _, second, read, found = results(model)
    assert first.content.startswith("42\n\n[exit status 0]")
    assert second.content.startswith("echo $(($1 + $2))\n# less\nkumquat\n\n[exit status 0]")
    assert "\n42\n" in read.content and found.content.startswith("deep/er/new  2 bytes")
    assert await fetch(harness, "ann", "out.txt") == (200, b"42\n")
    assert (await fetch(harness, "bob", "out.txt"))[0] == 404
    own = {"x-session-key": "ann"}
    listed = (await harness.door.get("/v1/files?purpose=assistants_output", headers=own)).json
    assert {each["filename"] for each in listed["data"]} == {
        "src/add.sh",
        "out.txt",
        "deep/er/note",
        "deep/er/new",
    }


async def test_all_files_belong_to_the_user_of_the_commands_and_to_nobody_else(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(
        run("echo 1 > made; mkdir dir"),
        use("write_file", path="dir/a/b", content="1"),
        use(
            "apply_patch", patch="*** Begin Patch\n*** Add File: p\n+1\n*** Add File: q/r\n+1\n*** End Patch"
        ),
        use("edit_file", path="made", old="1", new="2"),
        "ok",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    assert not any(result.is_error for result in results(model)), results(model)
    (top,) = folders(harness)
    found = [top, *top.rglob("*")]
    assert len(found) == 8
    (owner,) = {path.stat().st_uid for path in found}
    assert (owner != 0) if os.geteuid() == 0 else (owner == os.geteuid())
    assert top.stat().st_mode & 0o777 == 0o700
    assert (top.parent / "staged").stat().st_mode & 0o777 == 0o700


async def test_a_command_reads_and_writes_nothing_of_another_session(open_harness: OpenHarness) -> None:
    def spy(_: ModelRequest) -> Say:
        (top,) = folders(harness)
        return run(SPY.format(path=top.parent.parent, named=f"{top}/secret {top}/docs/a"))

    model = ScriptedModel(
        use("write_file", path="secret", content=CANARY),
        run(f"mkdir docs; echo {CANARY} > docs/a; echo {CANARY} > /tmp/b"),
        "kept",
        spy,
        use("grep", pattern="canary"),
        use("list_files"),
        "ok",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    (top,) = folders(harness)
    model.requests.clear()
    await harness.door.chat("bob", [ASK])
    spied, *_ = results(model)
    assert spied.content.endswith("over\n\n[exit status 0]")
    assert not any(CANARY in result.content for result in results(model)), results(model)
    assert (top / "secret").read_text() == CANARY and (top / "docs" / "a").read_text() == f"{CANARY}\n"
    if os.geteuid() == 0:
        first, second = (path.stat().st_uid for path in folders(harness))
        assert first != second


async def test_what_a_command_plants_leads_no_tool_anywhere(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text(CANARY)
    # A command is refused to make a hard link out of its workspace; so two names of one file of its own.
    model = ScriptedModel(
        run(
            f"ln -s {outside}/secret link; ln -s {outside} folder; mkfifo pipe; echo own > own; ln own hard;"
            " mkdir uploads shared; echo fake > uploads/fake; echo fake > shared/fake; ls | wc -l"
        ),
        use("read_file", file="link"),
        use("read_file", file="folder/secret"),
        use("write_file", path="folder/new", content="x"),
        use("write_file", path="link", content="x"),
        use("read_file", file="pipe"),
        use("write_file", path="pipe", content="x"),
        use("read_file", file="hard"),
        use("read_file", file="uploads/fake"),
        use("grep", pattern="canary|fake"),
        use("list_files"),
        "ok",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    planted, *refused, searched, listed = results(model)
    assert planted.content.startswith("7\n"), planted
    assert all(result.is_error for result in refused), refused
    assert CANARY not in repr(model.requests[-1]) and searched.content.startswith("No line")
    assert "uploads" not in listed.content and "shared" not in listed.content
    for path in ("link", "folder/secret", "pipe", "hard", "uploads/fake", "shared/fake"):
        assert (await fetch(harness, "ann", path))[0] == 404, path
    assert os.listdir(outside) == ["secret"] and (outside / "secret").read_text() == CANARY


async def test_what_a_command_has_closed_can_be_used_again(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        run("echo 1 > a; mkdir d; echo 1 > d/b; chmod 0 a d/b; chmod 500 d; chmod 0 ."),
        use("write_file", path="a", content="2"),
        run("cat a"),
        "ok",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    assert results(model)[-1].content == "2\n[exit status 0]", results(model)


# The end of a session -----------------------------------------------------------------------------


async def test_files_of_commands_go_with_the_session(open_harness: OpenHarness) -> None:
    nested = "mkdir -p a/b; echo x > a/b/c; chmod 500 a/b; chmod 0 a; ln -s / link; echo x > /tmp/t"
    model = ScriptedModel(run(nested), "kept", run("ls -A; cat /tmp/t"), "none")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    assert len(folders(harness)) == 1
    assert (await harness.door.call("DELETE", "/v1/sessions/ann")).status == 200
    assert [path.name for path in (harness.data / "workspaces").iterdir()] == ["secret"]
    await harness.door.chat("ann", [AGAIN])
    assert results(model)[-1].content.startswith("cat: /tmp/t: No such file"), results(model)


async def test_commands_of_a_deleted_session_end_and_leave_nothing(open_harness: OpenHarness) -> None:
    writing = "i=0; while :; do mkdir -p d$i; echo x > d$i/f; i=$((i+1)); [ $i = 300 ] && i=0; done & {}"
    model = ScriptedModel(
        run(writing.format(nap(5661)), background=True), run(writing.format(nap(5662))), "ok"
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    exchange = harness.door.chatting("ann", [ASK], stream=True)
    await until(lambda: is_there(nap(5661)) and is_there(nap(5662)))
    assert (await harness.door.call("DELETE", "/v1/sessions/ann")).status == 200
    await exchange.done()
    await until(lambda: not is_there(nap(5661)) and not is_there(nap(5662)))
    await until(lambda: folders(harness) == [])
    await until(lambda: [path.name for path in (harness.data / "workspaces").iterdir()] == ["secret"])


async def test_a_fork_has_files_of_its_own_that_its_commands_can_change(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        run("mkdir -p bin empty; echo 'echo first' > bin/tool; chmod 700 bin/tool; ln -s /etc link"),
        "kept",
        run("bin/tool; echo 'echo second' >> bin/tool; rmdir empty; ls"),
        "changed",
        run("bin/tool"),
        "same",
    )
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK])
    fork = await harness.door.call("POST", "/v1/sessions/ann/fork", body=json.dumps({"key": "fork"}).encode())
    assert fork.status == 200
    await harness.door.chat("fork", [AGAIN])
    assert results(model)[-1].content.startswith("first\nbin\n\n[exit status 0]"), results(model)
    await harness.door.chat("ann", [AGAIN])
    assert results(model)[-1].content == "first\n\n[exit status 0]"


# Settings and requests ----------------------------------------------------------------------------


async def test_commands_need_the_files_of_sessions(open_harness: OpenHarness) -> None:
    with pytest.raises(ConfigError, match="needs the files of sessions"):
        await open_harness(ScriptedModel("ok"), shell=ALLOW, policy=UNASKED, workspace={"enabled": False})


async def test_a_request_that_leaves_no_trace_runs_no_command(open_harness: OpenHarness) -> None:
    model = ScriptedModel(run("echo x > f"), "ok")
    harness = await open_harness(model, shell=ALLOW, policy=UNASKED)
    await harness.door.chat("ann", [ASK], {}, store=False)
    (result,) = results(model)
    assert result.is_error and "leaves no trace" in result.content and folders(harness) == []
