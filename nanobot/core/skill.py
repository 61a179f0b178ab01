"""Skills: instructions for kinds of work, in folders of the Agent Skills format, each with a `SKILL.md`."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from nanobot.core.workspace import Entry, Listing

SKILL_FILE = "SKILL.md"
SKILLS_FOLDER = "skills"
"""The folder of a workspace in which the skills of its session are."""
READ_SKILL, FIND_SKILLS = "read_skill", "find_skills"
MOST_NAME = 64
_MOST_SHOWN = 80
SkillSource = Literal["nanobot", "folder"]
"""Where a skill of the operator comes from: from nanobot itself, or from the folder of the settings."""


class Skill(msgspec.Struct, frozen=True):
    """What is known of a skill before it is read. `has_files`: there are files beside its `SKILL.md`."""

    name: str
    description: str
    source: SkillSource = "folder"
    has_files: bool = False


def why_no_name(name: str) -> str | None:
    """Return why this cannot be the name of a skill; None where it can."""
    shown = repr(name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}…")
    if len(name) > MOST_NAME:
        return f"name {shown} has {len(name)} characters: at most {MOST_NAME} are allowed"
    if not all(each == "-" or (each.isalnum() and each == each.lower()) for each in name):
        return f"name {shown}: only lower-case letters, digits and hyphens are allowed"
    if name.startswith("-") or name.endswith("-") or "--" in name:
        return f"name {shown}: hyphens stand alone, between letters or digits"
    return None if name else "name is missing"


def as_name(text: str) -> str:
    """Return the name of a skill that is next to the text; empty where there is none."""
    signs = (sign if sign.isalnum() and sign == sign.lower() else "-" for sign in text.lower())
    return "-".join(filter(None, "".join(signs).split("-")))[:MOST_NAME].rstrip("-")


class SkillFiles(Protocol):
    """The files of a folder of skills. No link is followed. Both block."""

    def listing(self, parts: tuple[str, ...], *, depth: int, limit: int) -> Listing:
        """Return at most `limit` entries of a folder, and of those in it down to `depth`.

        Raises:
            NoSuchFile, WorkspaceError
        """
        ...

    def read(self, parts: tuple[str, ...]) -> tuple[Entry, bytes]:
        """Return a file with what is in it.

        Raises:
            NoSuchFile, WorkspaceError
        """
        ...


class OperatorSkills(Protocol):
    """The skills that whoever runs the server offers to sessions."""

    def offered(self, chosen: frozenset[str] | None) -> Sequence[Skill]:
        """Return the skills among the `chosen` ones, None: all; those of the settings' folder first, then by
        name. The same object until they change.
        """
        ...


class CommandFolders(Protocol):
    """Which folders of skills the commands of a session are shown."""

    def folders(self, session_key: str) -> Mapping[str, str]:
        """Return the path of each folder, by the name of its skill."""
        ...
