"""The parts of an OOXML file, and how they refer to each other.

Folders and names of parts mean nothing: a part is what a relationship says it is.
"""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from nanobot.reading.formats.xml import Element, parse
from nanobot.reading.text_buffer import TextBuffer

_MOST_NAMED = 5

READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
"""What `zipfile` raises for a member that is damaged, or packed in a way that it does not know."""


class Relationship(NamedTuple):
    """`kind`: the last word of its type, such as `footnotes`. `target`: a part, or an address if external."""

    kind: str
    target: str
    is_external: bool


class Package:
    """The parts of a file. `damaged`: the names of those that could not be read, or not to their end."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: dict[str, str] = {}
        for name in archive.namelist():
            # Names that differ in case, or by a slash, are of one part; that which is written as usual is it.
            if name == _normal(name) or _normal(name) not in self._members:
                self._members[_normal(name)] = name
        self._relationships: dict[str, Mapping[str, Relationship]] = {}
        self.damaged: list[str] = []

    def __contains__(self, part: str) -> bool:
        return _normal(part) in self._members

    def first_named(self, ending: str) -> str:
        """Return the first part whose name ends so, an empty text if there is none."""
        return next((name for key, name in self._members.items() if key.endswith(ending)), "")

    def read(self, part: str) -> bytes | None:
        """Return the content of a part, None if there is none, or it is damaged."""
        member = self._members.get(_normal(part))
        if member is None:
            return None
        try:
            return self._archive.read(member)
        except READ_ERRORS:
            self._note_damage(part)
            return None

    def xml(self, part: str) -> Element | None:
        """Return the root element of a part, None if there is none, or it is damaged from its beginning."""
        content = self.read(part)
        if content is None:
            return None
        parsed = parse(content)
        if parsed is None or parsed.is_damaged:
            self._note_damage(part)
        return parsed.root if parsed else None

    def relationships(self, part: str = "") -> Mapping[str, Relationship]:
        """Return the relationships of a part by their id; those of the package itself without a part."""
        known = self._relationships.get(part)
        if known is None:
            known = self._relationships[part] = dict(self._read_relationships(part))
        return known

    def related(self, part: str, kind: str) -> list[str]:
        """Return the parts that `part` refers to with a relationship of this kind, in their order."""
        return [
            relation.target
            for relation in self.relationships(part).values()
            if relation.kind == kind and not relation.is_external
        ]

    def main_part(self, types: tuple[str, ...], usual: str) -> str | None:
        """Return the part that is the document itself.

        `types`: words that its content type may have; `usual`: where it is in files that do not say so.
        """
        for part in self.related("", "officeDocument"):
            if part in self:
                return part
        return self.part_of_type(types) or (usual if usual in self else None)

    def part_of_type(self, types: tuple[str, ...]) -> str | None:
        """Return the first part whose content type has one of these words."""
        content_types = self.xml("[Content_Types].xml")
        if content_types is None:
            return None
        for override in content_types.iter("{*}Override"):
            part = override.get("PartName", "")
            if any(word in override.get("ContentType", "") for word in types) and part in self:
                return str(part).lstrip("/")
        return None

    def say_damage(self, buffer: TextBuffer) -> None:
        """Say in the text what could not be read."""
        if self.damaged:
            names = ", ".join(sorted(self.damaged)[:_MOST_NAMED])
            buffer.note(f"this file is damaged, and what it has in {names} may be missing here")

    def _read_relationships(self, part: str) -> Iterator[tuple[str, Relationship]]:
        folder, name = posixpath.split(part)
        root = self.xml(posixpath.join(folder, "_rels", f"{name}.rels"))
        if root is None:
            return
        for entry in root.iter("{*}Relationship"):
            is_external = entry.get("TargetMode", "").lower() == "external"
            target = entry.get("Target", "")
            if not is_external:
                target = _resolved(folder, target)
            kind = entry.get("Type", "").rstrip("/").rpartition("/")[2]
            yield entry.get("Id", ""), Relationship(kind, target, is_external)

    def _note_damage(self, part: str) -> None:
        if part not in self.damaged:
            self.damaged.append(part)


def _resolved(folder: str, target: str) -> str:
    """Return the part that is meant by a target as it stands in the relationships of a part in `folder`."""
    target = target.replace("\\", "/").partition("#")[0]
    path = target if target.startswith("/") else f"{folder}/{target}"
    return posixpath.normpath(path).lstrip("/") if target else ""


def _normal(name: str) -> str:
    """Return the name by which parts are compared: without case, escapes and a slash before it."""
    return unquote(name).replace("\\", "/").lstrip("/").lower()
