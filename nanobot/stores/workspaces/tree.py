"""A directory tree that strangers may have written to: reached name by name, no link followed, nothing opened
but plain files and folders.

Everything here blocks: call it in a thread.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator

from nanobot.core.errors import NoSuchFile, WorkspaceError
from nanobot.core.workspace import Contents, Entry, Listing
from nanobot.stores.workspaces.paths import Parts, folded, why_refused

_MOST_NAMES = 10_000
"""How many names of one folder are looked at."""
# Windows lacks some; `is_supported` says so.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | NO_FOLLOW
# Not to wait for whoever writes into a pipe that took the place of a file.
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | NO_FOLLOW
_DEEPEST = 64
_CHUNK_BYTES = 1024 * 1024


def is_supported() -> bool:
    """Return whether this system opens files relative to folders, without following links."""
    calls = {os.open, os.stat, os.mkdir, os.rename, os.unlink, os.rmdir}
    return calls <= os.supports_dir_fd and os.scandir in os.supports_fd and hasattr(os, "O_NOFOLLOW")


class Tree:
    """The files under a folder, which `open_top` opens. `prefix` stands before paths in entries and errors.

    `max_file_bytes`: how large a file may be that is read. `takes_hard_links`: whether files are read that
    have another name elsewhere. `hidden`: names at the top that are not shown, as they stand for something
    else.
    `passed_over`: names of folders whose contents are listed only where the folder itself is asked for.
    """

    def __init__(
        self,
        open_top: Callable[[], int],
        *,
        prefix: Parts = (),
        max_file_bytes: int,
        takes_hard_links: bool = False,
        hidden: frozenset[str] = frozenset(),
        passed_over: frozenset[str] = frozenset(),
    ) -> None:
        self._passed_over = passed_over
        self._open_top = open_top
        self._prefix = prefix
        self._max_file_bytes = max_file_bytes
        self._takes_hard_links = takes_hard_links
        self._hidden = hidden

    def path(self, parts: Parts) -> str:
        """Return the path as it is shown."""
        return "/".join((*self._prefix, *parts))

    @contextlib.contextmanager
    def folder(self, parts: Parts) -> Iterator[tuple[int, Parts]]:
        """Open a folder; yield its descriptor, and its parts as they are on disk.

        Raises:
            NoSuchFile: there is none, or a link or a file is in its place.
        """
        if parts and folded(parts[0]) in self._hidden:
            raise NoSuchFile(f"there is no folder {self.path(parts)!r}")
        opened = self._open_top()
        found: Parts = ()
        try:
            for part in parts:
                name = on_disk(opened, part)
                try:
                    below = os.open(name or part, FOLDER, dir_fd=opened)
                except OSError as error:
                    raise NoSuchFile(f"there is no folder {self.path(parts)!r}") from error
                os.close(opened)
                opened = below
                found += (name or part,)
            yield opened, found
        finally:
            os.close(opened)

    def read(self, parts: Parts) -> tuple[Entry, bytes]:
        """Return the file with what is in it.

        Raises:
            NoSuchFile, WorkspaceError: as `Workspaces.read`.
        """
        shown = self.path(parts)
        if not parts:
            raise NoSuchFile("the path is empty: name a file")
        if folded(parts[0]) in self._hidden:
            raise NoSuchFile(f"there is no file {shown!r}")
        try:
            with self.folder(parts[:-1]) as (opened, above):
                name = on_disk(opened, parts[-1])
                if name is None:
                    raise NoSuchFile(f"there is no file {shown!r}")
                content, status = self._content(opened, name, shown)
                entry = Entry(self.path((*above, name)), "file", len(content), status.st_mtime)
                return entry, content
        except OSError as error:
            raise WorkspaceError(f"{shown!r} cannot be read ({error.strerror})") from error

    def read_with_mode(self, parts: Parts) -> tuple[bytes, int]:
        """Return what is in a file, by its exact path, and its mode.

        Raises:
            WorkspaceError: as `read`.
        """
        shown = self.path(parts)
        try:
            with self.folder(parts[:-1]) as (opened, _):
                content, status = self._content(opened, parts[-1], shown)
                return content, status.st_mode
        except OSError as error:
            raise WorkspaceError(f"{shown!r} cannot be read ({error.strerror})") from error

    def _content(self, folder: int, name: str, shown: str) -> tuple[bytes, os.stat_result]:
        # Looked at first: to open a device may do something.
        self._check(os.stat(name, dir_fd=folder, follow_symlinks=False), shown)
        opened = os.open(name, _FILE, dir_fd=folder)
        try:
            status = os.fstat(opened)
            # Again, as another may have taken its place.
            self._check(status, shown)
            content = bytearray()
            while len(content) <= self._max_file_bytes and (chunk := os.read(opened, _CHUNK_BYTES)):
                content += chunk
        finally:
            os.close(opened)
        if len(content) > self._max_file_bytes:
            raise self._too_large(len(content), shown)
        return bytes(content), status

    def _check(self, status: os.stat_result, shown: str) -> None:
        if stat.S_ISDIR(status.st_mode):
            raise WorkspaceError(f"{shown!r} is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise WorkspaceError(f"{shown!r} is no plain file (a link, a pipe or a device): it is not opened")
        if status.st_nlink > 1 and not self._takes_hard_links:
            raise WorkspaceError(f"{shown!r} has another name elsewhere (a hard link): it is not opened")
        if status.st_size > self._max_file_bytes:
            raise self._too_large(status.st_size, shown)

    def _too_large(self, size_bytes: int, shown: str) -> WorkspaceError:
        return WorkspaceError(f"{shown!r} has {size_bytes} bytes: at most {self._max_file_bytes} are read")

    def listing(self, parts: Parts, *, depth: int, limit: int) -> Listing:
        """Return what is in a folder, as `Workspaces.listing` does."""
        entries: list[Entry] = []
        try:
            with self.folder(parts) as (opened, found):
                is_whole = self._list(opened, found, depth, limit, entries)
        except OSError as error:
            raise WorkspaceError(f"{self.path(parts)!r} cannot be listed ({error.strerror})") from error
        return Listing(tuple(entries), is_whole)

    def contents(self, parts: Parts, *, max_files: int, max_file_bytes: int, max_bytes: int) -> Contents:
        """Return the files in a folder and below, as `Workspaces.contents` does."""
        listing = self.listing(parts, depth=_DEEPEST, limit=max_files)
        is_whole, left, files = listing.is_whole, max_bytes, list[tuple[Entry, bytes]]()
        for entry in listing.entries:
            if entry.kind != "file":
                continue
            if entry.size_bytes > min(max_file_bytes, left):
                is_whole = False
                continue
            try:
                read = self.read(tuple(entry.path.split("/")[len(self._prefix) :]))
            except WorkspaceError:
                is_whole = False
                continue
            left -= len(read[1])
            files.append(read)
        return Contents(tuple(files), is_whole)

    def _list(self, opened: int, above: Parts, depth: int, limit: int, entries: list[Entry]) -> bool:
        names, is_whole = names_in(opened)
        for name in names:
            if not above and folded(name) in self._hidden:
                # A link there leads to what is shown in its place.
                is_whole = is_whole and _is_link(opened, name)
                continue
            if why_refused(name) is not None:
                is_whole = False
                continue
            if len(entries) >= limit:
                return False
            try:
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
            except OSError:
                # It has gone meanwhile.
                continue
            parts = (*above, name)
            if not stat.S_ISDIR(status.st_mode):
                is_file = stat.S_ISREG(status.st_mode)
                kind = "file" if is_file else "other"
                entries.append(
                    Entry(self.path(parts), kind, status.st_size if is_file else 0, status.st_mtime)  # type: ignore[arg-type]
                )
                continue
            entries.append(Entry(self.path(parts), "folder", 0, status.st_mtime))
            if depth > 1 and name not in self._passed_over:
                try:
                    below = os.open(name, FOLDER, dir_fd=opened)
                except OSError:
                    is_whole = False
                    continue
                try:
                    is_whole = self._list(below, parts, depth - 1, limit, entries) and is_whole
                finally:
                    os.close(below)
        return is_whole


def names_in(folder: int) -> tuple[list[str], bool]:
    """Return the names in an open folder, sorted, and whether these are all."""
    names: list[str] = []
    with os.scandir(folder) as found:
        for each in found:
            if len(names) == _MOST_NAMES:
                return sorted(names), False
            names.append(each.name)
    return sorted(names), True


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        # It has gone meanwhile.
        return True


def on_disk(folder: int, name: str) -> str | None:
    """Return the name under which an open folder has what is meant by `name`: that itself, else one that
    differs in case or Unicode form only; None where it has nothing.
    """
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        pass
    else:
        return name
    meant = folded(name)
    return next((each for each in names_in(folder)[0] if folded(each) == meant), None)
