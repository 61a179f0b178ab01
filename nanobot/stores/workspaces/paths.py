"""Paths in a workspace, as models and clients write them."""

import unicodedata

from nanobot.core.errors import BadPath

Parts = tuple[str, ...]
_MOST_CHARS = 1_024
_MOST_DEPTH = 16
_MOST_NAME_BYTES = 240
_REFUSED_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
# They turn the direction of what follows: such a name reads as another than it is.
_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
_REFUSED = frozenset("\\:")
"""What is part of a path on Windows; a workspace is to fit any system."""


def parse_path(path: str) -> Parts:
    """Return the names that the path consists of, in Unicode form C; none for the top.

    Raises:
        BadPath: it is not one, is not relative, or leads upwards.
    """
    if len(path) > _MOST_CHARS:
        raise BadPath(f"path of {len(path)} characters: at most {_MOST_CHARS} are allowed")
    if path.startswith("/"):
        raise BadPath(f"{_shown(path)} is absolute: paths are relative to the top of the workspace")
    parts = tuple(
        part for part in unicodedata.normalize("NFC", path.strip()).split("/") if part not in ("", ".")
    )
    if len(parts) > _MOST_DEPTH:
        raise BadPath(f"{_shown(path)} is {len(parts)} levels deep: at most {_MOST_DEPTH} are allowed")
    for part in parts:
        if (why := why_refused(part)) is not None:
            raise BadPath(f"{_shown(path)} is no path here: {why}")
    return parts


def why_refused(name: str) -> str | None:
    """Return why this cannot be the name of a file or folder, None where it can."""
    if name == "..":
        return "'..' leads out of the workspace"
    if not name or name == ".":
        return "a name is empty"
    if any(
        unicodedata.category(each) in _REFUSED_CATEGORIES or each in _REFUSED or each in _DIRECTION
        for each in name
    ):
        return f"{_shown(name)} has a character that no name has here"
    if len(name.encode()) > _MOST_NAME_BYTES:
        return f"a name has more than {_MOST_NAME_BYTES} bytes"
    return f"{_shown(name)} begins or ends with a space" if name != name.strip() else None


def folded(name: str) -> str:
    """Return what is the same for names that one system or another takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
