"""Copying skills into the folder of the settings, and removing them. Everything here blocks."""

import os
import shutil
import uuid
from pathlib import Path
from typing import Protocol

from nanobot.core.errors import NoSuchFile, SkillError, WorkspaceError
from nanobot.core.skill import SKILL_FILE, SkillFiles, why_no_name
from nanobot.tools.skills.skill_file import SkillFile, read_skill_file

MOST_FILES, MOST_BYTES = 1_000, 100 * 1024 * 1024
_DEEPEST = 12
_EXECUTABLE = 0o111


class SourceFiles(SkillFiles, Protocol):
    """Files to copy, with their modes."""

    def read_with_mode(self, parts: tuple[str, ...]) -> tuple[bytes, int]:
        """Return what is in a file, by its exact path, and its mode.

        Raises:
            WorkspaceError
        """
        ...


def checked(files: SkillFiles, parts: tuple[str, ...], name: str) -> SkillFile:
    """Return what the `SKILL.md` in the folder `parts` of `files` says.

    Raises:
        SkillError: it cannot be used; the message says all that is wrong.
    """
    try:
        entry, content = files.read((*parts, SKILL_FILE))
    except NoSuchFile:
        raise SkillError(f"{name}: there is no {SKILL_FILE} in it, so it is no skill") from None
    except WorkspaceError as error:
        raise SkillError(f"{name}: {error.message}") from error
    if entry.path.rpartition("/")[2] != SKILL_FILE:
        raise SkillError(f"{name}: its {SKILL_FILE} must be called so, with capital letters")
    file = read_skill_file(content, name)
    if file.errors:
        raise SkillError(f"{name} cannot be used: {'; '.join(file.errors)}")
    return file


def copy_skill(
    files: SourceFiles, parts: tuple[str, ...], target: Path, name: str, *, replaces: bool
) -> SkillFile:
    """Copy the skill in the folder `parts` of `files` into the folder `target`; at once, so that a server
    sees all of it or nothing. Programs stay programs; all can read it, and only its owner write.

    Raises:
        SkillError: it is no usable skill, is too large, has a link in it, or is there already and is not to
            be replaced.
    """
    file = checked(files, parts, name)
    place = target / name
    if os.path.lexists(place) and not replaces:
        raise SkillError(f"{place} is there already: replace it with --replace, or remove it first")
    # No name of a skill begins so: it is not looked at before it is whole.
    partial = target / f".{name}.{uuid.uuid4().hex}"
    try:
        copy_files(files, parts, partial)
        if os.path.lexists(place):
            remove_skill(target, name)
        partial.rename(place)
    except OSError as error:
        raise SkillError(f"{target} cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return file


def copy_files(files: SourceFiles, parts: tuple[str, ...], partial: Path) -> None:
    """Copy the folder `parts` of `files` to a path where nothing is.

    Raises:
        SkillError: it is too large, or has a link in it.
        OSError: it cannot be written.
    """
    try:
        listing = files.listing(parts, depth=_DEEPEST, limit=MOST_FILES + 1)
    except WorkspaceError as error:
        raise SkillError(error.message) from error
    if len(listing.entries) > MOST_FILES:
        raise SkillError(f"it has more than {MOST_FILES} files and folders")
    if not listing.is_whole:
        raise SkillError("it has names that no file of a skill may have")
    left = MOST_BYTES
    partial.mkdir(mode=0o755, parents=True)
    partial.chmod(0o755)
    for entry in listing.entries:
        inside = tuple(entry.path.split("/"))
        path = partial.joinpath(*inside[len(parts) :])
        if entry.kind == "other":
            raise SkillError(f"{entry.path} is a link or the like: only files and folders are copied")
        if entry.kind == "folder":
            path.mkdir(mode=0o755)
            # Whatever the process masks.
            path.chmod(0o755)
            continue
        try:
            content, mode = files.read_with_mode(inside)
        except WorkspaceError as error:
            raise SkillError(error.message) from error
        left -= len(content)
        if left < 0:
            raise SkillError(f"it has more than {MOST_BYTES // 1024 // 1024} MiB")
        path.write_bytes(content)
        path.chmod(0o755 if mode & _EXECUTABLE else 0o644)


def remove_skill(target: Path, name: str) -> bool:
    """Remove a skill from the folder; return whether it was there.

    Raises:
        SkillError: it cannot be removed, or this is no name of a skill.
    """
    if (why := why_no_name(name)) is not None:
        raise SkillError(why)
    place = target / name
    try:
        if place.is_symlink():
            place.unlink()
            return True
        if not place.exists():
            return False
        # Out of sight first: a server must not see a half of it.
        gone = target / f".{name}.{uuid.uuid4().hex}"
        place.rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise SkillError(f"{place} cannot be removed ({error.strerror})") from error
    return True
