"""The skills that whoever runs the server offers: nanobot's own, and those of a folder, as it is now."""

import logging
from collections.abc import Mapping, Sequence

from nanobot.core.errors import ToolError, WorkspaceError
from nanobot.core.skill import SKILL_FILE, Skill, SkillFiles, SkillSource
from nanobot.tools.skills.folder import CheckedSkill, Stamp, read_folder, scan, stamp, usable
from nanobot.tools.skills.skill_file import SkillFile, read_skill_file

_DEEPEST = 8
_MOST_FILES = 100
_log = logging.getLogger(__name__)


class SkillLibrary:
    """`core.skill.OperatorSkills` out of folders; of skills with one name, that of the first folder counts.

    There are none before the first `refresh`. All but `offered` block: call them in a thread.
    """

    def __init__(self, folders: Mapping[SkillSource, SkillFiles]) -> None:
        self._folders = folders
        self._seen: dict[SkillSource, Stamp] = {}
        self._checked: dict[SkillSource, tuple[CheckedSkill, ...]] = {}
        self._failed: dict[SkillSource, str] = {}
        self._offered: dict[frozenset[str] | None, tuple[Skill, ...]] = {None: ()}

    def offered(self, chosen: frozenset[str] | None) -> Sequence[Skill]:
        kept = self._offered
        skills = kept.get(chosen)
        if skills is None:
            skills = kept[chosen] = tuple(skill for skill in kept[None] if skill.name in (chosen or ()))
        return skills

    def refresh(self) -> None:
        """Offer what the folders have now. A skill that cannot be used is left out, and the log says why; a
        folder that cannot be read stays as it was.
        """
        has_changed = [self._look(source, files) for source, files in self._folders.items()]
        if not any(has_changed):
            return
        by_name: dict[str, Skill] = {}
        for source in self._folders:
            for skill in usable(self._checked.get(source, ()), source):
                by_name.setdefault(skill.name, skill)
        order = list(self._folders)
        skills = sorted(by_name.values(), key=lambda skill: (order.index(skill.source), skill.name))
        had_some, self._offered = bool(self._offered.get(None)), {None: tuple(skills)}
        if skills or had_some:
            _log.info("skills: %s", ", ".join(skill.name for skill in skills) or "none")

    def _look(self, source: SkillSource, files: SkillFiles) -> bool:
        """Read the skills of a folder again if it has changed; return whether it has."""
        try:
            entries = scan(files)
        except WorkspaceError as error:
            if self._failed.get(source) != error.message:
                _log.error("the folder of skills stays as it was: %s", error.message)
            self._failed[source] = error.message
            return False
        self._failed.pop(source, None)
        seen = stamp(entries)
        if self._seen.get(source) == seen:
            return False
        self._seen[source] = seen
        before = {each.folder: each.file.errors for each in self._checked.get(source, ())}
        checked = self._checked[source] = read_folder(files, entries)
        for each in checked:
            # Said once, not with each change of another.
            if each.file.errors and before.get(each.folder) != each.file.errors:
                _log.warning("the skill %r is left out: %s", each.folder, "; ".join(each.file.errors))
        return True

    def instructions(self, skill: Skill) -> SkillFile:
        """Return what the `SKILL.md` of a skill says now.

        Raises:
            ToolError: it cannot be read any more.
        """
        file = read_skill_file(self.content(skill, SKILL_FILE), skill.name)
        if file.errors:
            raise ToolError(f"the skill {skill.name} cannot be used: {'; '.join(file.errors)}")
        return file

    def files(self, skill: Skill) -> tuple[tuple[str, ...], bool]:
        """Return the paths of the files beside the `SKILL.md`, and whether these are all.

        Raises:
            ToolError: it cannot be read any more.
        """
        try:
            listing = self._of(skill).listing((skill.name,), depth=_DEEPEST, limit=_MOST_FILES)
        except WorkspaceError as error:
            raise ToolError(error.message) from error
        paths = [entry.path.partition("/")[2] for entry in listing.entries if entry.kind == "file"]
        return tuple(path for path in paths if path != SKILL_FILE), listing.is_whole

    def content(self, skill: Skill, path: str) -> bytes:
        """Return what is in a file of a skill.

        Raises:
            ToolError: there is none, or it cannot be read.
        """
        parts = tuple(part for part in path.split("/") if part not in ("", "."))
        if ".." in parts or not parts:
            raise ToolError(f"{path[:80]!r} is no file of the skill {skill.name}")
        try:
            return self._of(skill).read((skill.name, *parts))[1]
        except WorkspaceError as error:
            raise ToolError(error.message) from error

    def _of(self, skill: Skill) -> SkillFiles:
        return self._folders[skill.source]
