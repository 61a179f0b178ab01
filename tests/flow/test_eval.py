"""A few of the tasks that `make eval` gives the agent, each on a server of its own."""

import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from bench.eval import page
from bench.eval.run import STAND_INS, Outcome, model_settings, run_named
from bench.eval.talk import Talk, call, idle
from bench.eval.task import Failed, Tasks, check
from bench.eval.tasks import ALL

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the tasks are for Linux"),
    pytest.mark.timeout(600),
]

QUICK = (
    "a sum",
    "three PDFs in a message",
    "rename across files",
    "follow links",
    "read on demand",
    "private and of the group",
    "no and not quite",
    "a question waits",
)
PATIENCE_S = 240.0
IMPATIENT_S = 3.0
"""What a model that does nothing is waited for."""


def test_there_are_at_least_forty_tasks_each_with_a_name_of_its_own() -> None:
    assert len(ALL) >= 40
    assert len({task.name for task in ALL}) == len(ALL)
    assert set(QUICK) <= {task.name for task in ALL}


@pytest.mark.parametrize("name", QUICK)
def test_the_scripted_model_does_the_task(name: str) -> None:
    outcome = run_named(name, "scripted", "", PATIENCE_S)
    assert outcome.verdict == "passed", outcome.why


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("model", STAND_INS)
def test_a_model_that_does_nothing_passes_none(name: str, model: str) -> None:
    assert run_named(name, model, "", IMPATIENT_S).verdict == "failed"


def test_a_model_that_has_no_tools_is_not_asked_for_what_needs_them() -> None:
    outcome = run_named("mend a repository", "local", "", PATIENCE_S)
    assert outcome.verdict == "no tools" and not outcome.seconds


def test_a_script_sees_the_results_of_the_newest_question_apart() -> None:
    def called(number: int) -> dict[str, object]:
        function = {"name": "look", "arguments": f'{{"box": {number}}}'}
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"c{number}", "function": function}],
        }

    talk = Talk(
        {
            "messages": [
                {"role": "system", "content": "You are nanobot."},
                {"role": "user", "content": "first"},
                called(1),
                {"role": "tool", "tool_call_id": "c1", "content": "a shoe"},
                {"role": "assistant", "content": "A shoe."},
                {"role": "user", "content": [{"type": "text", "text": "second"}]},
                called(2),
                {"role": "tool", "tool_call_id": "c2", "content": "a hat"},
            ],
            "tools": [{"function": {"name": "look"}}],
        }
    )
    assert (talk.question, talk.last, talk.offered) == ("second", "a hat", frozenset({"look"}))
    assert [each.content for each in talk.earlier] == ["a shoe"]
    assert talk.of("look")[0].arguments == {"box": 2}


def test_what_a_task_found_missing_is_said() -> None:
    check(True, "never said")
    with pytest.raises(Failed, match="there is no file"):
        check("", "there is no file")


def test_the_tables_of_models_are_taken_from_a_settings_file(tmp_path: Path) -> None:
    """And nothing else of it."""
    file = tmp_path / "nanobot.toml"
    text = (
        '[server]\nport = 1\n[models.big]\nname = "x:y"\nbody = { a = [1, true] }\n'
        'headers = { X-Title = "our \\"bot\\"" }\n'
    )
    file.write_text(text)
    assert tomllib.loads(model_settings(file)) == {"models": tomllib.loads(text)["models"]}


def test_the_page_has_a_row_for_each_task_and_a_column_for_each_model() -> None:
    machine = {"processor": "some", "system": "Linux", "python": "3.11"}
    outcomes = [Outcome(task.name, task.subject, "passed", 1.0) for task in ALL]
    failed = [msgspec.structs.replace(each, verdict="no tools") for each in outcomes]
    failed[0] = msgspec.structs.replace(failed[0], verdict="failed")
    table = page.table({"local": page.Run(machine, failed), "scripted": page.Run(machine, outcomes)})
    assert f"**{len(ALL)} of {len(ALL)}** passed" in table and "**0 of 1** passed" in table
    assert all(f"| {task.name} | {task.shows} | yes | 1 |" in table for task in ALL)


def test_tasks_are_added_with_the_work_that_they_are() -> None:
    tasks = Tasks("tests")
    tasks.add("nothing", "that it can be added", idle)(lambda world: None)
    (task,) = tasks.all
    assert (task.name, task.subject, task.needs_tools) == ("nothing", "tests", True)
    assert call("look", name="x").arguments == {"name": "x"}
