"""Killed at each write boundary, one by one: started again on the same directory, everything is as if nothing
had happened.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanobot.agent.question import ASKED_BACK, WAITING
from nanobot.agent.tool_calls import OUTCOME_UNKNOWN
from tests.chaos.driver import AFTER, CITY, FIRST, RUNS, SECOND, YES, Commit, Death, Life, Lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, and dies by SIGKILL")

NOTED = {"again": "noted again", "once": "noted once", "last": "noted last"}


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with Lives() as lives:
        yield lives


def points(**commits: int) -> list[Death]:
    """Return the points right before and right after each of the first so many commits of each kind."""
    kinds: dict[Commit, int] = commits  # type: ignore[assignment]
    return [
        Death(when, kind, number)
        for kind, times in kinds.items()
        for number in range(1, times + 1)
        for when in ("before", "after")
    ]


def ran(directory: Path) -> Counter[str]:
    """Return how often each call had its effect."""
    file = directory / RUNS
    return (
        Counter(line.removeprefix("call_") for line in file.read_text().split())
        if file.exists()
        else Counter()
    )


def expected_transcript(unknown: set[str]) -> list[str]:
    told = {name: OUTCOME_UNKNOWN if name in unknown else text for name, text in NOTED.items()}
    return [
        f"user: {FIRST}",
        "assistant:  [again call_again] [once call_once]",
        f"tool call_again: {told['again']}",
        f"tool call_once: {told['once']}",
        "assistant:  [once call_last]",
        f"tool call_last: {told['last']}",
        f"assistant: done: {FIRST}",
        f"user: {AFTER}",
        f"assistant: done: {AFTER}",
    ]


def test_a_turn_with_tools_has_the_write_boundaries_that_the_points_name(
    tmp_path: Path, lives: Lives
) -> None:
    """Where the store writes in another way, the points below must be named anew."""
    commits = lives.ends(Life(str(tmp_path))).commits
    assert {kind: commits[kind] for kind in ("recovery", "admission", "step", "result", "end")} == {
        "recovery": 1,
        "admission": 2,
        "step": 2,
        "result": 3,
        "end": 2,
    }


AFTER_DEATH: dict[str, tuple[set[str], dict[str, int]]] = {
    "after-step-1": ({"once"}, {"once": 0}),
    "before-result-1": ({"once"}, {"again": 2, "once": 0}),
    "after-result-1": ({"once"}, {"once": 0}),
    "before-result-2": ({"once"}, {}),
    "after-step-2": ({"last"}, {"last": 0}),
    "before-result-3": ({"last"}, {}),
}
"""Where a death leaves a call open: which calls are told as unknown, and how often they ran where that is not
once.
"""


@pytest.mark.parametrize("death", points(admission=1, step=2, result=3, end=1), ids=str)
def test_a_turn_killed_at_a_write_boundary_ends_as_if_nothing_had_happened(
    death: Death, tmp_path: Path, lives: Lives
) -> None:
    """Input once, answer once, no finished call again; an open one again only where it may be repeated, else
    told as unknown.
    """
    lives.dies(Life(str(tmp_path), death=death))
    report = lives.ends(Life(str(tmp_path)))
    unknown, times = AFTER_DEATH.get(str(death), (set(), {}))
    assert report.first.end.outcome == "done"
    assert report.transcript == expected_transcript(unknown)
    assert ran(tmp_path) == Counter({"again": 1, "once": 1, "last": 1} | times)


@pytest.mark.parametrize("death", points(recovery=1, start=1, result=2, step=1, end=1), ids=str)
def test_a_recovery_killed_at_a_write_boundary_is_recovered_from(
    death: Death, tmp_path: Path, lives: Lives
) -> None:
    """The first life dies with two calls open, the second while it settles them; the third ends the turn."""
    lives.dies(Life(str(tmp_path), death=Death("after", "step", 1)))
    lives.dies(Life(str(tmp_path), death=death))
    report = lives.ends(Life(str(tmp_path)))
    opened_again = str(death) == "after-step-1"
    assert report.first.end.outcome == "done"
    assert report.transcript == expected_transcript({"once", "last"} if opened_again else {"once"})
    again_twice = str(death) == "before-result-1"
    assert ran(tmp_path) == Counter({"again": 2 if again_twice else 1, "last": 0 if opened_again else 1})


@pytest.mark.parametrize("death", points(admission=2, steer=1, join=1, end=1), ids=str)
def test_an_input_that_joins_a_running_turn_is_kept_once_wherever_the_server_dies(
    death: Death, tmp_path: Path, lives: Lives
) -> None:
    lives.dies(Life(str(tmp_path), "steer", death))
    report = lives.ends(Life(str(tmp_path), "steer"))
    assert report.second is not None
    assert (report.first.end.outcome, report.second.end.outcome) == ("done", "done")
    said = [line for line in report.transcript if line.startswith("user: ")]
    assert said == [f"user: {FIRST}", f"user: {SECOND}", f"user: {AFTER}"]
    assert f"assistant: done: {SECOND}" in report.transcript


@pytest.mark.parametrize("death", points(admission=2, start=1, end=2), ids=str)
def test_a_turn_that_waits_for_another_runs_after_it_wherever_the_server_dies(
    death: Death, tmp_path: Path, lives: Lives
) -> None:
    """The end of one turn and the start of the next are one commit: neither is ever without the other."""
    lives.dies(Life(str(tmp_path), "queue", death))
    report = lives.ends(Life(str(tmp_path), "queue"))
    said = [
        text for asked in (FIRST, SECOND, AFTER) for text in (f"user: {asked}", f"assistant: done: {asked}")
    ]
    assert report.transcript == said


def test_a_call_that_waits_for_consent_has_the_write_boundaries_that_the_points_name(
    tmp_path: Path, lives: Lives
) -> None:
    commits = lives.ends(Life(str(tmp_path), "approval")).commits
    # The question is one commit with the call that it is about and the end of the turn.
    assert {kind: commits[kind] for kind in ("admission", "decision", "step", "result", "end")} == {
        "admission": 3,
        "decision": 1,
        "step": 2,
        "result": 1,
        "end": 3,
    }


@pytest.mark.parametrize("death", points(admission=2, decision=1, step=2, result=1, end=2), ids=str)
def test_a_call_that_waits_for_consent_is_run_at_most_once_wherever_the_server_dies(
    death: Death, tmp_path: Path, lives: Lives
) -> None:
    """The question stands, the answer counts, and the call is run once; one that was cut off is told as
    unknown.
    """
    lives.dies(Life(str(tmp_path), "approval", death))
    report = lives.ends(Life(str(tmp_path), "approval"))
    is_cut_off = str(death) in ("after-step-2", "before-result-1")
    first, withheld, waiting, question, said, call, result, *rest = report.transcript
    assert (first, withheld) == (f"user: {FIRST}", "assistant:  [asked call_asked]")
    assert waiting == f"tool call_asked: {WAITING}"
    assert question.startswith("assistant: May I make this call?")
    assert said == f"user: {YES}"
    assert call.startswith("assistant:  [asked ")
    assert result.endswith(OUTCOME_UNKNOWN if is_cut_off else "noted asked")
    assert rest == [f"assistant: done: {YES}", f"user: {AFTER}", f"assistant: done: {AFTER}"]
    times = sum(ran(tmp_path).values())
    assert times == 1 or (str(death) == "after-step-2" and times == 0)


def test_a_call_that_asks_back_has_the_write_boundaries_that_the_points_name(
    tmp_path: Path, lives: Lives
) -> None:
    commits = lives.ends(Life(str(tmp_path), "question")).commits
    # What the call asks is one commit with its result until then and the end of the turn.
    assert {kind: commits[kind] for kind in ("admission", "decision", "step", "result", "end")} == {
        "admission": 3,
        "decision": 1,
        "step": 2,
        "result": 1,
        "end": 3,
    }


@pytest.mark.parametrize("death", points(admission=2, decision=1, step=2, result=1, end=2), ids=str)
def test_a_call_that_asks_back_goes_on_at_most_once_wherever_the_server_dies(
    death: Death, tmp_path: Path, lives: Lives
) -> None:
    """The question stands, the answer counts, and the call goes on with it once. One that was cut off, as
    it began or as it went on, is not made again: the model is told that its outcome is unknown.
    """
    lives.dies(Life(str(tmp_path), "question", death))
    report = lives.ends(Life(str(tmp_path), "question"))
    first, begun, result, *rest = report.transcript
    assert (first, begun) == (f"user: {FIRST}", "assistant:  [asking call_asking]")
    after = [f"user: {AFTER}", f"assistant: done: {AFTER}"]
    times = ran(tmp_path)
    if str(death) in ("after-step-1", "before-end-1"):
        assert result == f"tool call_asking: {OUTCOME_UNKNOWN}"
        # Nobody was asked, so that what was said answers nothing.
        assert rest == [
            f"assistant: done: {FIRST}", f"user: {CITY}", f"assistant: done: {CITY}", *after
        ]  # fmt: skip
        assert times == Counter(begun=0 if str(death) == "after-step-1" else 1)
        return
    assert result == f"tool call_asking: {ASKED_BACK}"
    question, said, call, result, *rest = rest
    assert "Which city?" in question and said == f"user: {CITY}"
    assert call.startswith("assistant:  [asking ")
    is_cut_off = str(death) in ("after-step-2", "before-result-1")
    assert result.endswith(OUTCOME_UNKNOWN if is_cut_off else 'noted asking {"city": "Ulm"}')
    assert rest == [f"assistant: done: {CITY}", *after]
    assert times.pop("begun") == 1
    assert sum(times.values()) == (0 if str(death) == "after-step-2" else 1)


@pytest.mark.parametrize("death", points(start=1), ids=str)
def test_a_turn_taken_up_again_keeps_its_new_place_after_a_crash(
    death: Death, tmp_path: Path, lives: Lives
) -> None:
    """The first turn failed in passing and was sent again while the second ran: it comes after that one, also
    where the server dies.
    """
    lives.dies(Life(str(tmp_path), "again", death))
    report = lives.ends(Life(str(tmp_path), "again"))
    said = [
        text for asked in (SECOND, FIRST, AFTER) for text in (f"user: {asked}", f"assistant: done: {asked}")
    ]
    assert report.transcript == said


# Two lives for each statement.
@pytest.mark.timeout(300)
def test_a_migration_killed_before_any_of_its_statements_is_done_by_the_next_start(
    tmp_path: Path, lives: Lives
) -> None:
    dry = tmp_path / "dry"
    dry.mkdir()
    statements = lives.ends(Life(str(dry))).commits["migration"]
    assert statements > 10
    for number in range(1, statements + 1):
        directory = tmp_path / str(number)
        directory.mkdir()
        lives.dies(Life(str(directory), death=Death("before", "migration", number)))
        assert lives.ends(Life(str(directory))).transcript == expected_transcript(set())


def test_a_turn_that_lost_two_attempts_is_ended_by_the_third(tmp_path: Path, lives: Lives) -> None:
    lives.dies(Life(str(tmp_path), death=Death("after", "step", 1)))
    lives.dies(Life(str(tmp_path), death=Death("after", "start", 1)))
    report = lives.ends(Life(str(tmp_path)))
    assert report.first.end.outcome == "done"
    assert report.transcript == expected_transcript({"once"})


def test_a_turn_that_lost_three_attempts_fails_with_the_reason_and_the_session_goes_on(
    tmp_path: Path, lives: Lives
) -> None:
    lives.dies(Life(str(tmp_path), death=Death("after", "step", 1)))
    for _ in range(2):
        lives.dies(Life(str(tmp_path), death=Death("after", "start", 1)))
    for _ in range(2):
        report = lives.ends(Life(str(tmp_path)))
        assert report.first.end.outcome == "failed"
        assert report.first.end.error is not None
        assert report.first.end.error.code == "too_many_attempts"
        assert not report.first.end.error.retryable
        assert report.after.end.outcome == "done"
    assert report.transcript.count(f"user: {FIRST}") == 1
    assert ran(tmp_path) == Counter()


def test_a_turn_that_lost_three_attempts_before_it_did_anything_leaves_no_trace(
    tmp_path: Path, lives: Lives
) -> None:
    """What was never worked on is taken back, so that the next request does not answer it."""
    lives.dies(Life(str(tmp_path), death=Death("after", "admission", 1)))
    for _ in range(2):
        lives.dies(Life(str(tmp_path), death=Death("after", "start", 1)))
    report = lives.ends(Life(str(tmp_path)))
    assert report.first.end.error is not None
    assert report.first.end.error.code == "too_many_attempts"
    assert report.transcript == [f"user: {AFTER}", f"assistant: done: {AFTER}"]
