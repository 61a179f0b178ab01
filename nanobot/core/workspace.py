"""Workspaces: the files that the agent keeps for a session, and folders of the operator that all may read."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

UPLOADS, SHARED = "uploads", "shared"
"""Folders at the top that are views of something else: no file of a workspace is in them."""
FILE_ID_PREFIX = "nanobot:workspace/"
"""What stands before a path in the id of a file of a workspace."""


class SessionIdentity(msgspec.Struct, frozen=True):
    """What tells a session from all others, also from those that had its key before it."""

    number: int
    created_at: float
    key: str


class WorkspaceLimits(msgspec.Struct, frozen=True):
    """What a workspace may hold, in all and in one file. Folders count among `max_files`."""

    max_bytes: int = 100 * 1024 * 1024
    max_files: int = 2_000
    max_file_bytes: int = 20 * 1024 * 1024


class Entry(msgspec.Struct, frozen=True):
    """A file or folder; `path` is from the top of the workspace. `other`: links, devices and the like, which
    are never opened. `modified_at`: seconds since the epoch.
    """

    path: str
    kind: Literal["file", "folder", "other"]
    size_bytes: int = 0
    modified_at: float = 0.0


class Listing(msgspec.Struct, frozen=True):
    """Entries by path. `is_whole`: none was left out, because of its strange name or beyond the limit."""

    entries: tuple[Entry, ...]
    is_whole: bool = True


class Contents(msgspec.Struct, frozen=True):
    """Files with what is in them. `is_whole`: none was left out."""

    files: tuple[tuple[Entry, bytes], ...]
    is_whole: bool = True


class Change(msgspec.Struct, frozen=True):
    """A file that is to have this content; None: that is to be deleted."""

    path: str
    content: bytes | None


Snapshot = dict[str, tuple[int, int, int]]
"""Files by their paths, each with its inode, the time of its last change in ns, and its size."""
Read = Callable[[str], bytes]
"""Returns what is in a file; raises `NoSuchFile`, `WorkspaceError`. Blocks."""
Plan = Callable[[Read], Sequence[Change]]
"""Returns changes that follow from what is there. It runs in a thread; nobody else changes the workspace
meanwhile.
"""


def written(before: Snapshot | None, after: Snapshot | None) -> tuple[str, ...]:
    """Return the paths of the files that are new or have changed, those nearest to the top first; none where
    either snapshot is None.
    """
    if before is None or after is None:
        return ()
    paths = [path for path, file in after.items() if before.get(path) != file]
    return tuple(sorted(paths, key=lambda path: (path.count("/"), path)))


class Workspaces(Protocol):
    """The files of sessions. A path is relative, with slashes; no link in it is followed.

    All methods raise `WorkspaceError` for a path that cannot be one.
    """

    async def listing(self, session_key: str, folder: str = "", *, depth: int, limit: int) -> Listing:
        """Return at most `limit` entries of a folder, and of those in it down to `depth`. A workspace that
        has nothing yet is empty.

        Raises:
            NoSuchFile: there is no such folder.
        """
        ...

    async def read(self, session_key: str, path: str) -> tuple[Entry, bytes]:
        """Return a file with what is in it. Where no file has that very name, one is meant that differs in
        case only.

        Raises:
            NoSuchFile
            WorkspaceError: it is no plain file, has hard links, or is larger than may be read.
        """
        ...

    async def contents(
        self, session_key: str, folder: str = "", *, max_files: int, max_file_bytes: int, max_bytes: int
    ) -> Contents:
        """Return the files in a folder, and in those in it, as many as together have `max_bytes`; larger ones
        than `max_file_bytes`, and what cannot be read, are left out.

        Raises:
            NoSuchFile: there is no such folder.
        """
        ...

    async def change(self, session_key: str, plan: Plan) -> tuple[Entry, ...]:
        """Make the changes of `plan`, all or none, also where the server is killed meanwhile; return the
        files that were written.

        Raises:
            WorkspaceFull: the session would have more than it may.
            WorkspaceError, or whatever `plan` raises: nothing was changed.
            StoreError: it cannot be written.
        """
        ...


class Identities(Protocol):
    """Which sessions there are, for what is kept of them outside of the database."""

    async def identify(self, session_key: str) -> SessionIdentity:
        """Return the identity of the session that has this key now.

        Raises:
            SessionNotFound
        """
        ...

    async def identities(self, numbers: Sequence[int]) -> tuple[SessionIdentity, ...]:
        """Return the identities of those sessions, at most 256, that there are still; in any order."""
        ...
