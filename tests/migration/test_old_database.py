"""A database of the old format, with branches, uploads, keys and a crash in it, opened by this code.

Every route answers as the old code did; also where this code is killed while it brings the database to its
format. Only what becomes of the histories that clients send along is answered as it should be now: told in
`x-history`, and taken in where the transcript lacks them; and what `changes` names.
"""

import asyncio
import contextlib
import difflib
import functools
import json
import re
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.migration.changes import ADDED, brought_up_to_date, with_pages_joined
from tests.migration.reopened import DATABASE, answered_before, opened, restore, settled, walked
from tests.migration.routes import Answers

_MOST_SHOWN = 12


def differences(now: Answers, before: Answers) -> str:
    """Return what is not as it was, to be read: the first few answers, as diffs of their JSON.

    Where the old code failed (500) the answer may be a better one.
    """
    shown = [f"not asked any more: {name}" for name in before if name not in now]
    shown += [f"not asked before: {name}" for name in now if name not in before]
    for name, was in before.items():
        if name not in now or now[name] == was or (was["status"] == 500 and now[name]["status"] == 200):
            continue
        lines = difflib.unified_diff(
            _lines(was), _lines(now[name]), "the old code", "this code", lineterm="", n=2
        )
        shown.append("\n".join((name, *lines)))
    more = f"\n\n… and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
    return "\n\n".join(shown[:_MOST_SHOWN]) + more


def _lines(answer: dict[str, Any]) -> list[str]:
    return json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True).splitlines()


async def check(data: Path) -> None:
    """Open the data directory, and compare what every route answers."""
    async with opened(data) as server:
        answers = await walked(server)
    found = differences(with_pages_joined(answers), _expected())
    assert not found, f"\n{found}"


@functools.cache
def _expected() -> Answers:
    return brought_up_to_date(answered_before())


async def test_a_database_of_the_old_format_is_answered_from_as_before(tmp_path: Path) -> None:
    restore(tmp_path / "data")
    await check(tmp_path / "data")


async def test_opened_a_second_time_the_database_is_answered_from_as_before(tmp_path: Path) -> None:
    restore(tmp_path / "data")
    async with opened(tmp_path / "data") as server:
        await settled(server)
    async with opened(tmp_path / "data") as server:
        answers = await walked(server, has_settled=True)
    before = {name: answer for name, answer in answered_before().items() if not name.startswith("at first ")}
    found = differences(with_pages_joined(answers), brought_up_to_date(before))
    assert not found, f"\n{found}"


async def test_what_is_compared_covers_every_operation_that_the_app_offers(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as server:
        paths = json.loads((await server.ask("GET", "/openapi.json", {})).body)["paths"]
    found = (re.match(r"(?:at first |then |at last )?([A-Z]+) (/[^ ?]*)", name) for name in answered_before())
    asked = {each.groups() for each in found if each is not None}
    for path, operations in paths.items():
        pattern = re.sub(r"\{[a-z_]+\}", "[^/]+", path)
        for method in map(str.upper, operations):
            ways = {"GET", "HEAD"} if method == "GET" else {method}
            assert (method, path) in ADDED or any(
                way in ways and re.fullmatch(pattern, where) for way, where in asked
            ), f"{method} {path}"


# kill -9 ----------------------------------------------------------------------------------------------------


async def die(data: Path, unit: str, at: int) -> bool:
    """Open the data directory in another process, which kills itself at the `unit` number `at` of its work.

    Return whether it came so far; else it died as soon as the database was open.
    """
    code, said = await _opening(data, unit, at)
    assert code == -signal.SIGKILL, f"it ended with {code}: {said}"
    return not said


async def measured(data: Path) -> dict[str, int]:
    """Open the data directory in another process; return how many units of each kind its work on it has."""
    restore(data)
    code, said = await _opening(data, "none", 0)
    assert code == 0, said
    counted: dict[str, int] = json.loads(said)
    assert min(counted.values()) > 1, f"opening the database went by uncounted: {counted}"
    return counted


async def _opening(data: Path, unit: str, at: int) -> tuple[int | None, str]:
    command = (sys.executable, "-m", "tests.migration.open_and_die", str(data), unit, str(at))
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    said, complaint = await child.communicate()
    return child.returncode, (said + complaint).decode()


def points(total: int, count: int) -> list[int]:
    """Return up to `count` numbers from 1 to `total`, closest at first: a migration comes first."""
    return sorted({1 + round((step / (count - 1)) ** 2 * (total - 1)) for step in range(count)})


kills = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")


@kills
@pytest.mark.parametrize(("unit", "count"), [("write", 8), ("step", 6)])
async def test_killed_at_any_point_of_the_opening_the_database_has_lost_nothing(
    tmp_path: Path, unit: str, count: int
) -> None:
    total = (await measured(tmp_path / "measured"))[unit]
    for at in points(total, count):
        data = tmp_path / f"killed-at-{at}"
        restore(data)
        assert await die(data, unit, at), f"it came past {unit} {at} of {total}"
        await check(data)


@kills
async def test_killed_again_and_again_the_database_has_lost_nothing(tmp_path: Path) -> None:
    total = (await measured(tmp_path / "measured"))["write"]
    data = tmp_path / "data"
    restore(data)
    for at in points(total, 16):
        await die(data, "write", at)
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    await check(data)
