"""The plugins of a data directory, in `plugins/`, a folder for each:

`package/` has the plugin as it came, `data/` is for its servers to keep what they like, `mcp.json` describes
its MCP servers, all of them disabled, and `installed.json` says what was installed. Its skills are in the
folder of skills. Everything here blocks.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nanobot.core.errors import NoSuchFile, SkillError, WorkspaceError
from nanobot.core.skill import SKILL_FILE, SKILLS_FOLDER
from nanobot.tools.plugins.manifest import (
    MCP_FILE,
    PLUGIN_FILE,
    PluginManifest,
    PluginServer,
    read_manifest,
    read_servers,
)
from nanobot.tools.skills.installing import SourceFiles, checked, copy_files, copy_skill, remove_skill

FOLDER = "plugins"
_RECORD = "installed.json"
_MOST_SKILLS = 500


class InstalledPlugin(msgspec.Struct, frozen=True):
    """A plugin as it was installed. `skills`: the digests of their `SKILL.md`, by their names; `servers`: the
    MCP servers that it describes, with why one cannot be used.
    """

    name: str
    version: str = ""
    description: str = ""
    skills: dict[str, str] = {}
    servers: dict[str, str] = {}


class PluginAdded(msgspec.Struct, frozen=True):
    """What was installed, and what was not, with the reasons."""

    plugin: InstalledPlugin
    warnings: tuple[str, ...] = ()


class PluginFolder:
    """The plugins of the data directory `data`, whose skills are in `skills`."""

    def __init__(self, data: Path, skills: Path) -> None:
        self._folder = data / FOLDER
        self._skills = skills

    def place(self, name: str) -> Path:
        """Return where the plugin is."""
        return self._folder / name

    def mcp_file(self, name: str) -> Path:
        """Return the file that describes the plugin's MCP servers."""
        return self.place(name) / MCP_FILE

    def installed(self) -> tuple[InstalledPlugin, ...]:
        """Return the plugins that are installed, by name.

        Raises:
            SkillError: what was noted of one is damaged.
        """
        try:
            names = sorted(each.name for each in self._folder.iterdir() if (each / _RECORD).is_file())
        except OSError:
            return ()
        return tuple(self._record(name) for name in names)

    def add(self, files: SourceFiles, top: str, *, replaces: bool) -> PluginAdded:
        """Install the plugin in the folder `top` of `files`: its skills are there at once, its MCP servers
        are only described. `replaces`: also where it is there already, or a skill of one of its names is.

        Raises:
            SkillError: it is no plugin, is refused, or is not to be replaced: then nothing was installed. Or
                the disk is full: then it can be added once more, or removed.
        """
        manifest = read_manifest(_content(files, (top, PLUGIN_FILE)) or _missing(PLUGIN_FILE))
        old = self._record(manifest.name) if (self.place(manifest.name) / _RECORD).is_file() else None
        skills, warnings = _usable_skills(files, top)
        if not replaces:
            self._refuse_what_is_there(old, skills)
        warnings = [
            *(f"{PLUGIN_FILE} has the unknown field {name!r}" for name in manifest.unknown),
            *warnings,
        ]
        servers = self._servers(files, top, manifest, warnings)
        plugin = InstalledPlugin(
            manifest.name,
            manifest.version,
            manifest.description,
            skills,
            {name: server.problem for name, server in servers.items()},
        )
        try:
            self._write(files, top, plugin, servers)
        except OSError as error:
            raise SkillError(f"{self._folder} cannot be written ({error.strerror})") from error
        for name in skills:
            copy_skill(files, (top, SKILLS_FOLDER, name), self._skills, name, replaces=True)
        for name in old.skills.keys() - skills.keys() if old is not None else ():
            self._remove_unchanged(name, old.skills[name] if old is not None else "")
        return PluginAdded(plugin, tuple(warnings))

    def remove(self, name: str) -> tuple[str, ...]:
        """Remove the plugin with its skills; return the names of skills that stay as they were changed since.

        Raises:
            SkillError: there is no such plugin, or it cannot be removed.
        """
        known = {plugin.name: plugin for plugin in self.installed()}
        if name not in known:
            raise SkillError(f"there is no plugin {name[:80]!r}; there are: {', '.join(known) or 'none'}")
        kept = [
            skill
            for skill, digest in known[name].skills.items()
            if not self._remove_unchanged(skill, digest) and os.path.lexists(self._skills / skill)
        ]
        gone = self._folder / f".{name}.{uuid.uuid4().hex}"
        try:
            self.place(name).rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            raise SkillError(f"{self.place(name)} cannot be removed ({error.strerror})") from error
        return tuple(kept)

    # --

    def _record(self, name: str) -> InstalledPlugin:
        path = self.place(name) / _RECORD
        try:
            return msgspec.json.decode(path.read_bytes(), type=InstalledPlugin)
        except (OSError, msgspec.DecodeError) as error:
            raise SkillError(f"{path} is damaged ({error}): delete {path.parent} and add it again") from error

    def _refuse_what_is_there(self, old: InstalledPlugin | None, skills: Mapping[str, str]) -> None:
        if old is not None:
            raise SkillError(f"the plugin {old.name} is installed already: replace it with --replace")
        taken = [name for name in skills if os.path.lexists(self._skills / name)]
        if taken:
            raise SkillError(
                f"there are skills of these names already: {', '.join(taken)}; replace them with --replace"
            )

    def _servers(
        self, files: SourceFiles, top: str, manifest: PluginManifest, warnings: list[str]
    ) -> dict[str, PluginServer]:
        content = _content(files, (top, MCP_FILE))
        if content is None:
            return {}
        place = self.place(manifest.name).absolute()
        try:
            return read_servers(content, str(place / "package"), str(place / "data"))
        except SkillError as error:
            warnings.append(error.message)
            return {}

    def _write(
        self, files: SourceFiles, top: str, plugin: InstalledPlugin, servers: Mapping[str, PluginServer]
    ) -> None:
        """Put the package and what is noted of it in place; the plugin's data stay."""
        place = self.place(plugin.name)
        (place / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = place / f".package.{uuid.uuid4().hex}"
        try:
            copy_files(files, (top,), partial)
            # Before anything that it replaces goes: a remove must find all of the skills.
            _put(place / _RECORD, msgspec.json.encode(plugin))
            shutil.rmtree(place / "package", ignore_errors=True)
            partial.rename(place / "package")
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        entries = {
            name: {**server.entry, "disabled": True} for name, server in servers.items() if not server.problem
        }
        if entries:
            _put(place / MCP_FILE, msgspec.json.format(msgspec.json.encode({"mcpServers": entries})) + b"\n")
        else:
            (place / MCP_FILE).unlink(missing_ok=True)

    def _remove_unchanged(self, name: str, digest: str) -> bool:
        """Remove a skill unless it was changed since it was installed; return whether it is removed."""
        try:
            content = (self._skills / name / SKILL_FILE).read_bytes()
        except OSError:
            return False
        return _digest(content) == digest and remove_skill(self._skills, name)


def _missing(name: str) -> bytes:
    raise SkillError(f"there is no {name} in it, so it is no plugin")


def _content(files: SourceFiles, parts: tuple[str, ...]) -> bytes | None:
    try:
        return files.read(parts)[1]
    except NoSuchFile:
        return None
    except WorkspaceError as error:
        raise SkillError(error.message) from error


def _usable_skills(files: SourceFiles, top: str) -> tuple[dict[str, str], list[str]]:
    """Return the skills that can be installed, with the digests of their `SKILL.md`, and why others
    cannot.
    """
    try:
        entries = files.listing((top, SKILLS_FOLDER), depth=1, limit=_MOST_SKILLS).entries
    except NoSuchFile:
        return {}, []
    except WorkspaceError as error:
        return {}, [error.message]
    skills: dict[str, str] = {}
    warnings: list[str] = []
    for entry in entries:
        parts = tuple(entry.path.split("/"))
        content = _content(files, (*parts, SKILL_FILE)) if entry.kind == "folder" else None
        if content is None:
            continue
        try:
            file = checked(files, parts, parts[-1])
        except SkillError as error:
            warnings.append(f"the skill {error.message}")
            continue
        skills[parts[-1]] = _digest(content)
        warnings += [f"the skill {parts[-1]}: {finding.text}" for finding in file.findings]
    return skills, warnings


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _put(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    partial.write_bytes(content)
    partial.chmod(0o600)
    partial.replace(path)


def described(servers: Mapping[str, str]) -> Sequence[str]:
    """Return a line for each server: that it is off, or why it cannot be used."""
    return [
        f"MCP server {name}: {f'cannot be used: {problem}' if problem else 'off'}"
        for name, problem in servers.items()
    ]
