"""A short run of chaos, and proof that its judge sees what it is there to see."""

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nanobot.stores.sqlite.opening import DATABASE
from nanobot.testing import ScriptedModel, call
from tests.chaos.harness import open_harness
from tests.chaos.judge import Evidence, Verdict, judge
from tests.chaos.launch import RUNS, note
from tests.chaos.run import MAX_ATTEMPTS, Minimum, Scale, run
from tests.chaos.tokens import key_name
from tests.chaos.writers import Wish

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="kills and pauses by signals")


@on_posix
def test_nothing_is_lost_doubled_or_malformed_in_a_short_run_of_chaos() -> None:
    scale = Scale(
        seconds=6,
        seed=7,
        minimum=Minimum(kills=1, retries=1, answers=25),
        queued=3,
        writers=2,
        rest_s=(0.4, 1.5),
        client_timeout_s=1.2,
        first_chunk_s=1.0,
        idle_s=0.7,
        grace_s=0.5,
        settle_s=30,
    )
    report = run(scale)
    print(report)
    assert not report.violations, str(report)
    assert report.attacks.get("kill", 0) > 0
    assert report.retries > 0
    assert report.verdict.done > 20


WISHES = ("k1w1n1p", "k1w1n2o", "k1w1n3p")


async def spoken(directory: Path) -> list[Wish]:
    """Leave a sound conversation of three wishes in `directory`, and return them."""
    model = ScriptedModel("echo k1w1n1p", call("note_once", '{"id": "x"}'), "echo k1w1n2o", "echo k1w1n3p")
    wishes = []
    async with open_harness(
        directory / "data", model, [note(directory, "note_once", repeatable=False)]
    ) as harness:
        for token in WISHES:
            answer = await harness.ask(key_name(1), f"Note {token}.", dedupe_key=token)
            wishes.append(Wish(token, "keyed", "queue", "done", None, f"echo {token}", answer.turn_id, 1))
    return wishes


def verdict(directory: Path, wishes: list[Wish]) -> Verdict:
    return judge(Evidence(directory / "data", directory), wishes, MAX_ATTEMPTS)


def damage(directory: Path, *statements: str) -> None:
    db = sqlite3.connect(directory / "data" / DATABASE)
    with db:
        for statement in statements:
            db.execute(statement)
    db.close()


async def test_the_judge_finds_nothing_in_a_sound_transcript(tmp_path: Path) -> None:
    wishes = await spoken(tmp_path)
    found = await _aside(lambda: verdict(tmp_path, wishes))
    assert found.violations == []
    assert (found.turns, found.done, found.tool_runs) == (3, 3, 1)


DAMAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "a lost token": (
        "lost",
        ("DELETE FROM message WHERE id & 4294967295 >= 7", "UPDATE session SET tip = 6, last_seq = 6"),
    ),
    "a token twice": (
        "doubled",
        (
            (
                "INSERT INTO message SELECT id + 8, session, 1, 1, tokens, NULL, created_at, body"
                " FROM message WHERE id & 4294967295 = 1"
            ),
            "UPDATE session SET tip = 9",
        ),
    ),
    "a result that is gone": (
        "malformed",
        ("DELETE FROM message WHERE id & 4294967295 = 5", "INSERT INTO branch VALUES (1, 6, 4)"),
    ),
    "two turns for one token": (
        "doubled",
        (
            (
                "INSERT INTO message SELECT id + 8, session, 2, 1, tokens, NULL, created_at, body"
                " FROM message WHERE id & 4294967295 = 1"
            ),
        ),
    ),
    "a turn that hangs": ("other", ("UPDATE turn SET status = 'running' WHERE n = 3",)),
    "tokens out of order": (
        "other",
        (
            (
                "UPDATE message SET body = CAST(replace(CAST(body AS TEXT), 'k1w1n1p', 'k1w1nXp') AS BLOB)"
                " WHERE id & 4294967295 = 1"
            ),
            (
                "UPDATE message SET body = CAST(replace(CAST(body AS TEXT), 'k1w1n3p', 'k1w1n1p') AS BLOB)"
                " WHERE id & 4294967295 = 7"
            ),
            (
                "UPDATE message SET body = CAST(replace(CAST(body AS TEXT), 'k1w1nXp', 'k1w1n3p') AS BLOB)"
                " WHERE id & 4294967295 = 1"
            ),
        ),
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_the_judge_sees(what: str, tmp_path: Path) -> None:
    kind, statements = DAMAGES[what]
    wishes = await spoken(tmp_path)
    damage(tmp_path, *statements)
    found = await _aside(lambda: verdict(tmp_path, wishes))
    assert getattr(found, kind)


async def test_the_judge_sees_a_call_that_ran_twice(tmp_path: Path) -> None:
    wishes = await spoken(tmp_path)
    runs = tmp_path / RUNS
    runs.write_text(runs.read_text() * 2)
    assert (await _aside(lambda: verdict(tmp_path, wishes))).doubled


async def test_the_judge_sees_a_token_in_another_key(tmp_path: Path) -> None:
    wishes = await spoken(tmp_path)
    wishes.append(Wish("k2w1n1p", "keyed", "queue", "refused", "model_error", "", wishes[0].turn_id, 1))
    damage(
        tmp_path, "UPDATE message SET body = CAST(replace(CAST(body AS TEXT), 'k1w1n1p', 'k2w1n1p') AS BLOB)"
    )
    assert any("leaked" in what for what in (await _aside(lambda: verdict(tmp_path, wishes))).other)


async def _aside(work: Callable[[], Verdict]) -> Verdict:
    """The judge runs an event loop of its own."""
    return await asyncio.to_thread(work)
