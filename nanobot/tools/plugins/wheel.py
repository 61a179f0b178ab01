"""A plugin in a wheel, unpacked."""

import lzma
import stat
import zipfile
import zlib
from pathlib import Path

from nanobot.core.errors import SkillError
from nanobot.tools.plugins.manifest import PLUGIN_FILE, PLUGIN_SCHEMA
from nanobot.tools.skills.installing import MOST_BYTES, MOST_FILES

_EXECUTABLE = 0o111
_DAMAGED = (
    OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, UnicodeDecodeError, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
"""What the archive's reader raises of one that is damaged, or packed in a way that it does not know."""


def unpack_wheel(wheel: Path, target: Path) -> Path:
    """Unpack the plugin that a wheel has into `target`, which is empty; return where it is.

    Raises:
        SkillError: it is no wheel, has no plugin or several, or what it has is refused.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            root = _root(archive)
            _unpack(archive, root, target)
    except _DAMAGED as error:
        raise SkillError(f"{wheel} is no wheel that can be read: {error}") from error
    return target


def _root(archive: zipfile.ZipFile) -> str:
    """Return the folder of the plugin, with a slash at its end unless it is the top."""
    found = []
    for info in archive.infolist():
        folder, _, name = info.filename.rpartition("/")
        is_small = info.file_size <= MOST_BYTES // 100
        if name == PLUGIN_FILE and is_small and PLUGIN_SCHEMA.encode() in archive.read(info):
            found.append(f"{folder}/" if folder else "")
    if len(found) != 1:
        places = ", ".join(each or "its top" for each in found) or "none"
        raise SkillError(
            f"the wheel must have one plugin, a folder with {PLUGIN_FILE} of Agent Plugins 1.0; it has"
            f" {places}: unpack it and add the folder that you mean"
        )
    return found[0]


def _unpack(archive: zipfile.ZipFile, root: str, target: Path) -> None:
    left, number = MOST_BYTES, 0
    for info in archive.infolist():
        if not info.filename.startswith(root) or info.is_dir():
            continue
        number += 1
        parts = info.filename[len(root) :].split("/")
        mode = info.external_attr >> 16
        if any(part in ("", ".", "..") or "\\" in part or ":" in part or "\0" in part for part in parts):
            raise SkillError(
                f"the wheel has a file {info.filename[:200]!r}, which would not be in the plugin"
            )
        if stat.S_ISLNK(mode):
            raise SkillError(f"{info.filename[:200]} is a link: only files and folders are taken")
        if number > MOST_FILES:
            raise SkillError(f"the plugin has more than {MOST_FILES} files")
        path = target.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as packed:
            # Not what the archive claims.
            content = packed.read(left + 1)
        left -= len(content)
        if left < 0:
            raise SkillError(f"the plugin has more than {MOST_BYTES // 1024 // 1024} MiB")
        path.write_bytes(content)
        path.chmod(0o755 if mode & _EXECUTABLE else 0o644)
