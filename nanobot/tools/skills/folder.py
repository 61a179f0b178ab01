"""A folder of skills, one in each folder below it."""

from collections.abc import Sequence

import msgspec

from nanobot.core.errors import NoSuchFile, WorkspaceError
from nanobot.core.skill import SKILL_FILE, Skill, SkillFiles, SkillSource
from nanobot.core.workspace import Entry
from nanobot.tools.skills.skill_file import Finding, SkillFile, read_skill_file

MOST_SKILLS = 500
_MOST_ENTRIES = 10_000
Stamp = tuple[tuple[str, str, int, float], ...]


class CheckedSkill(msgspec.Struct, frozen=True):
    """A skill of a folder, with what is wrong with it."""

    folder: str
    file: SkillFile
    has_files: bool = False


def scan(files: SkillFiles) -> tuple[Entry, ...]:
    """Return what is in the folder of skills, two levels deep; nothing where there is none. It changes when
    a skill comes, goes, or has another `SKILL.md`.

    Raises:
        WorkspaceError: the folder cannot be read.
    """
    try:
        return files.listing((), depth=2, limit=_MOST_ENTRIES).entries
    except NoSuchFile:
        return ()


def stamp(entries: Sequence[Entry]) -> Stamp:
    """Return what tells whether skills have changed."""
    return tuple((entry.path, entry.kind, entry.size_bytes, entry.modified_at) for entry in entries)


def read_folder(files: SkillFiles, entries: Sequence[Entry]) -> tuple[CheckedSkill, ...]:
    """Return the skills among the `entries` of a folder, also those that cannot be used."""
    below: dict[str, list[Entry]] = {}
    for entry in entries:
        top, _, rest = entry.path.partition("/")
        # What is hidden is no skill: a `.git`, or one that is being copied.
        if not top.startswith(".") and (rest or entry.kind != "file"):
            below.setdefault(top, [])
            if rest:
                below[top].append(entry)
    links = {entry.path for entry in entries if entry.kind == "other" and "/" not in entry.path}
    checked: list[CheckedSkill] = []
    for number, (folder, inside) in enumerate(below.items()):
        has_files = any(entry.path != f"{folder}/{SKILL_FILE}" for entry in inside)
        if number >= MOST_SKILLS:
            why = f"there are more than {MOST_SKILLS} skills in one folder"
        elif folder in links:
            why = "it is a link, which is not followed: copy the folder here"
        else:
            checked.append(CheckedSkill(folder, read_skill(files, folder), has_files))
            continue
        checked.append(CheckedSkill(folder, SkillFile(findings=(Finding("error", why),)), has_files))
    return tuple(checked)


def usable(checked: Sequence[CheckedSkill], source: SkillSource) -> tuple[Skill, ...]:
    """Return those of the skills that can be used."""
    return tuple(
        Skill(each.file.name, each.file.description, source, each.has_files)
        for each in checked
        if not each.file.errors
    )


def read_skill(files: SkillFiles, folder: str) -> SkillFile:
    """Return what the `SKILL.md` in `folder` says, also that it has none."""
    try:
        entry, content = files.read((folder, SKILL_FILE))
    except NoSuchFile:
        return SkillFile(findings=(Finding("error", f"it has no {SKILL_FILE}"),))
    except WorkspaceError as error:
        return SkillFile(findings=(Finding("error", error.message),))
    if not entry.path.endswith(f"/{SKILL_FILE}"):
        return SkillFile(
            findings=(Finding("error", f"its {SKILL_FILE} is called {entry.path.rpartition('/')[2]}"),)
        )
    return read_skill_file(content, folder)
