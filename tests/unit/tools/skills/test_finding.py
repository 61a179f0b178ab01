"""Skills are found by the words of what is asked, in any script."""

import random
import sys
from pathlib import Path

import pytest

from nanobot.app.skills import OWN_SKILLS, files_of
from nanobot.tools.skills.library import SkillLibrary
from nanobot.tools.skills.tools import SessionSkills
from nanobot.workers.pool import WorkerPool
from tests.unit.tools.skills.test_library import write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no skills on Windows")


def skills(folder: Path, chosen: frozenset[str] | None = None) -> SessionSkills:
    library = SkillLibrary({"folder": files_of(folder)})
    library.refresh()
    return SessionSkills(
        library,
        None,
        WorkerPool(),
        random.Random(0),
        chosen=lambda _: chosen,
        runs_commands=lambda _: False,
    )


def first(found: str) -> str:
    return found.split("\n")[0].removeprefix("- ").partition(":")[0]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("plan a holiday trip for the family", "trip-plan"),
        ("a table of sales in CSV", "table-analysis"),
        ("write an e-mail that declines an invitation", "message-draft"),
        ("minutes of our meeting", "meeting-notes"),
        ("summarise the contract", "document-summary"),
    ],
)
async def test_nanobots_own_are_found_by_what_people_ask(query: str, name: str) -> None:
    found = await skills(OWN_SKILLS).find("k", query, 1_000)
    assert first(found) == name, found


async def test_scripts_without_spaces_are_searched_too(tmp_path: Path) -> None:
    write(tmp_path, "a", "为客户撰写报价单")
    write(tmp_path, "b", "整理会议记录")
    assert first(await skills(tmp_path).find("k", "请写一份报价", 1_000)) == "a"


async def test_words_that_no_skill_has_bring_the_names(tmp_path: Path) -> None:
    write(tmp_path, "offers")
    assert await skills(tmp_path).find("k", "kumquat", 1_000) == (
        "No skill has these words. There are: offers"
    )
    assert await skills(tmp_path, frozenset()).find("k", "kumquat", 1_000) == "There are no skills."


async def test_what_has_no_room_is_counted(tmp_path: Path) -> None:
    for number in range(50):
        write(tmp_path, f"skill-{number}", "word " * 100)
    found = await skills(tmp_path).find("k", "", 400)
    assert len(found) <= 1_700 and found.endswith("more: narrow the query)")
