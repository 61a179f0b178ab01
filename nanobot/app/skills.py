"""The skills of a running server, as the settings say and as their folder has them now."""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from nanobot.agent.skills import SkillIndexes
from nanobot.app.periodic import PeriodicJob
from nanobot.config import Config
from nanobot.context.skills import skills_index
from nanobot.core.accounts import matches
from nanobot.core.errors import NoSuchFile, WorkspaceError
from nanobot.core.ids import Randomness
from nanobot.core.model import Model
from nanobot.core.persona import Personas
from nanobot.core.skill import FIND_SKILLS, SkillFiles, SkillSource
from nanobot.core.tool import Tool
from nanobot.stores.workspaces.tree import Tree, is_supported
from nanobot.tools.skills.library import SkillLibrary
from nanobot.tools.skills.tools import SessionSkills, skill_tools
from nanobot.tools.workspace.files import AgentFiles
from nanobot.workers.pool import WorkerPool

OWN_SKILLS = Path(__file__).parents[1] / "tools" / "skills" / "own"
REFRESH_S = 2.0
_MOST_FILE_BYTES = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


class SkillsInUse:
    """The skills that a server offers. `personas`: who answers in which sessions, which says whose skills are
    whose.

    Until `load`, there are none: a server whose models take none reads none.
    """

    def __init__(self, config: Config, personas: Personas) -> None:
        self._config = config
        self._personas = personas
        self._folder = Path(os.path.realpath(config.skills_folder))
        self.library = SkillLibrary(skill_folders(config))

    async def load(self) -> None:
        """Read the skills, also when they have changed."""
        await asyncio.to_thread(self.library.refresh)

    @property
    def job(self) -> PeriodicJob:
        """What looks for changes."""
        return PeriodicJob(
            name="read the skills again", run=self.load, every_s=REFRESH_S, first_after_s=REFRESH_S
        )

    @property
    def indexes(self) -> SkillIndexes:
        """What models are told of the skills."""
        return SkillIndexes(self.library, self._config.skills.index_tokens)

    def folders(self, session_key: str) -> Mapping[str, str]:
        """Return the folders that commands of the session are shown, by the names of their skills."""
        return {
            skill.name: str(self._folder / skill.name)
            for skill in self.library.offered(self._chosen(session_key))
            if skill.source == "folder" and skill.has_files
        }

    def tools(
        self, files: AgentFiles | None, workers: WorkerPool, randomness: Randomness, *, has_commands: bool
    ) -> tuple[Tool, ...]:
        """Return the tools that find and read skills. `files`: those of sessions, where they have some."""
        patterns = self._config.shell.sessions if has_commands else ()
        return skill_tools(
            SessionSkills(
                self.library,
                files,
                workers,
                randomness,
                chosen=self._chosen,
                runs_commands=lambda key: any(matches(key, pattern) for pattern in patterns),
            ),
            # Where models are told of all of them, few need to look for more.
            are_told=FIND_SKILLS
            not in skills_index(self.library.offered(None), self._config.skills.index_tokens),
        )

    def _chosen(self, session_key: str) -> frozenset[str] | None:
        return self._personas.of(session_key).skills


def open_skills(config: Config, personas: Personas) -> SkillsInUse | None:
    """Return the skills; None where the settings, or this system, have none."""
    if not config.skills.enabled:
        return None
    if not is_supported():
        _log.warning(
            "there are no skills: this system cannot open files relative to folders (on Windows use WSL2);"
            " skills.enabled = false switches this message off"
        )
        return None
    return SkillsInUse(config, personas)


def takes_skills(model: Model) -> bool:
    """Return whether the model is told of skills."""
    return {"tools", "reading_on"} <= model.abilities


def skill_folders(config: Config) -> dict[SkillSource, SkillFiles]:
    """Return the folders with skills, that of the settings first."""
    folders: dict[SkillSource, SkillFiles] = {"folder": files_of(config.skills_folder)}
    if config.skills.own:
        folders["nanobot"] = files_of(OWN_SKILLS)
    return folders


def files_of(path: Path) -> Tree:
    """Return the files of a folder of the operator, who may have chosen a link; none in it is followed."""

    def opened() -> int:
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchFile(f"there is no folder {path}") from None
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read ({error.strerror})") from error

    # An installer may make copies of one file that way.
    return Tree(opened, max_file_bytes=_MOST_FILE_BYTES, takes_hard_links=True)
