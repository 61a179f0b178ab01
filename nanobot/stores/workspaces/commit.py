"""Changing files of a workspace: all of the changes or none, whatever happens meanwhile.

New contents are written beside the files first. Where there are several changes, a journal then says which
they are; from that moment on they are made, if need be after the next start. Everything here blocks.

Commands of the session may change its files at the same time: what they put in the way is never followed. As
root they run as a user of their own, to whom the top of the files belongs, and what is written here with it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nanobot.core.errors import NanobotError, NoSuchFile, StoreError, WorkspaceError, WorkspaceFull
from nanobot.core.workspace import SHARED, UPLOADS, Change, Entry, WorkspaceLimits
from nanobot.stores.workspaces.paths import Parts, folded, parse_path
from nanobot.stores.workspaces.tree import Tree, on_disk

FILES = "files"
STAGED = "staged"
JOURNAL = "journal"
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_FOLDER = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
_MADE_OR_HINDERED = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM)
"""A step was made before the server died, or a command has put something else in its place since."""
_MOST_CHANGES = 200
_COUNTED_DEPTH = 64


class _JournalStep(msgspec.Struct, frozen=True, array_like=True):
    """A change as the journal has it: the file beside which holds the content, None to delete; the place."""

    staged: str | None
    parts: Parts


class Commit:
    """Changes the files of one workspace, which is in the directory `path`. Only one at a time may."""

    def __init__(self, path: Path, limits: WorkspaceLimits) -> None:
        self._path = path
        self._limits = limits

    @property
    def is_unfinished(self) -> bool:
        """Whether changes were decided on and not made, because the server died."""
        return os.path.lexists(self._path / STAGED / JOURNAL)

    def finish(self) -> None:
        """Make the changes that were decided on before the server died, and forget what was only begun.

        Raises:
            StoreError
        """
        with reported(self._path), self._staging() as staged:
            if self.is_unfinished:
                self._resume(staged)
            self._clear(staged)

    def _resume(self, staged: int) -> None:
        """Make those steps of the journal that are not made yet and still can be."""
        journal = (self._path / STAGED / JOURNAL).read_bytes()
        for step in msgspec.json.decode(journal, type=tuple[_JournalStep, ...]):
            try:
                self._make_step(staged, step)
            except OSError as error:
                if error.errno not in _MADE_OR_HINDERED:
                    raise

    def make(self, changes: Sequence[Change]) -> tuple[Entry, ...]:
        """Make the changes; return the files that were written.

        Raises:
            WorkspaceFull, WorkspaceError: nothing was changed.
            StoreError
        """
        if len(changes) > _MOST_CHANGES:
            raise WorkspaceError(f"{len(changes)} files at once: at most {_MOST_CHANGES} are changed")
        self.finish()
        tree = Tree(self.open_files, max_file_bytes=self._limits.max_file_bytes)
        with reported(self._path), self._staging() as staged:
            places = self._places(changes, tree)
            self._check_room(changes, places, tree)
            steps = self._stage(staged, changes, places)
            if len(steps) > 1:
                _write(staged, f"{JOURNAL}.part", msgspec.json.encode(steps), _FILE_MODE)
                os.rename(f"{JOURNAL}.part", JOURNAL, src_dir_fd=staged, dst_dir_fd=staged)
                os.fsync(staged)
            self._make_steps(staged, steps, tree)
            self._clear(staged)
        return tuple(
            Entry(tree.path(place), "file", len(change.content))
            for change, place in zip(changes, places, strict=True)
            if change.content is not None
        )

    def open_files(self) -> int:
        """Open the folder with the files."""
        return opened_below(self._path, FILES)

    # Before ---------------------------------------------------------------------------------------

    def _places(self, changes: Sequence[Change], tree: Tree) -> list[Parts]:
        """Return where the changes are to be made.

        Raises:
            WorkspaceError: there is something else, two are at one place, or one is inside another.
        """
        places: list[Parts] = []
        for change in changes:
            parts = parse_path(change.path)
            _check_writable(parts, change.path)
            places.append(self._place(parts, change, tree))
        names = [tuple(map(folded, place)) for place in places]
        all_names = frozenset(names)
        for place, name in zip(places, names, strict=True):
            if names.count(name) > 1:
                raise WorkspaceError(f"{tree.path(place)!r} is changed twice: give each file one change")
            if not all_names.isdisjoint(name[:end] for end in range(1, len(name))):
                raise WorkspaceError(f"{tree.path(place)!r} is inside another file of the same change")
        return places

    def _place(self, parts: Parts, change: Change, tree: Tree) -> Parts:
        """Return the place as it is on disk, as far as it is there.

        Raises:
            WorkspaceError
        """
        shown = tree.path(parts)
        opened = self.open_files()
        try:
            for at, part in enumerate(parts):
                name = on_disk(opened, part)
                if name is None:
                    if change.content is None:
                        raise NoSuchFile(f"there is no file {shown!r} to delete")
                    return parts
                there = tree.path((*parts[:at], name))
                if name != part:
                    raise WorkspaceError(
                        f"{shown!r} differs from {there!r}, which is there, in case or Unicode form only: use"
                        " that name, or quite another"
                    )
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
                is_last = at == len(parts) - 1
                if not (stat.S_ISREG if is_last else stat.S_ISDIR)(status.st_mode):
                    raise WorkspaceError(f"{there!r} is no {'plain file' if is_last else 'folder'}")
                if not is_last:
                    below = os.open(name, _OPEN_FOLDER, dir_fd=opened)
                    os.close(opened)
                    opened = below
        except OSError as error:
            raise WorkspaceError(f"{shown!r} cannot be changed ({error.strerror})") from error
        finally:
            os.close(opened)
        return parts

    def _check_room(self, changes: Sequence[Change], places: Sequence[Parts], tree: Tree) -> None:
        limits = self._limits
        # One more than may be: whether it is full is all that counts beyond.
        listing = tree.listing((), depth=_COUNTED_DEPTH, limit=limits.max_files + 1)
        sizes = {entry.path: entry.size_bytes for entry in listing.entries}
        bytes_before, files_before = sum(sizes.values()), len(sizes)
        for change, place in zip(changes, places, strict=True):
            if change.content is None:
                sizes.pop(tree.path(place), None)
                continue
            if len(change.content) > limits.max_file_bytes:
                raise WorkspaceFull(
                    f"{change.path!r} would have {len(change.content)} bytes: at most {limits.max_file_bytes}"
                    " are allowed in one file"
                )
            for end in range(1, len(place)):
                sizes.setdefault(tree.path(place[:end]), 0)
            sizes[tree.path(place)] = len(change.content)
        total = sum(sizes.values())
        # What does not make it larger is made even where there is too much.
        if total > max(limits.max_bytes, bytes_before):
            raise WorkspaceFull(
                f"the workspace would have {total} bytes: at most {limits.max_bytes} are allowed; delete some"
                " files first"
            )
        if len(sizes) > max(limits.max_files, files_before):
            raise WorkspaceFull(
                f"the workspace would have {len(sizes)} files and folders: at most {limits.max_files} are"
                " allowed; delete some first"
            )

    # Making ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _staging(self) -> Iterator[int]:
        staged = opened_below(self._path, STAGED)
        try:
            yield staged
        finally:
            os.close(staged)

    def _stage(
        self, staged: int, changes: Sequence[Change], places: Sequence[Parts]
    ) -> tuple[_JournalStep, ...]:
        steps = []
        for number, (change, place) in enumerate(zip(changes, places, strict=True)):
            if change.content is None:
                steps.append(_JournalStep(None, place))
                continue
            _write(staged, str(number), change.content, self._mode(place))
            steps.append(_JournalStep(str(number), place))
        return tuple(steps)

    def _make_steps(self, staged: int, steps: Sequence[_JournalStep], tree: Tree) -> None:
        """Make the steps; where a command has put something else in the way of one, the others are made all
        the same, as they would be after a crash.

        Raises:
            WorkspaceError: it names those that were not made.
        """
        hindered = []
        for step in steps:
            try:
                self._make_step(staged, step)
            except OSError as error:
                if error.errno not in _MADE_OR_HINDERED:
                    raise
                hindered.append(tree.path(step.parts))
        if hindered:
            self._clear(staged)
            raise WorkspaceError(
                f"{', '.join(map(repr, hindered))} could not be changed: a command put something else there"
                f" meanwhile, or closed it{'; the rest was changed' if len(hindered) < len(steps) else ''}"
            )

    def _mode(self, place: Parts) -> int:
        """Return the mode of the file that is replaced, such as that of a program, whose owner always may
        read and write it.
        """
        opened = self.open_files()
        try:
            with contextlib.suppress(OSError):
                for part in place[:-1]:
                    below = os.open(part, _OPEN_FOLDER, dir_fd=opened)
                    os.close(opened)
                    opened = below
                return os.stat(place[-1], dir_fd=opened, follow_symlinks=False).st_mode & 0o777 | 0o600
        finally:
            os.close(opened)
        return _FILE_MODE

    def _make_step(self, staged: int, step: _JournalStep) -> None:
        folders = [self.open_files()]
        try:
            for part in step.parts[:-1]:
                if step.staged is not None:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, _FOLDER_MODE, dir_fd=folders[-1])
                folders.append(os.open(part, _OPEN_FOLDER, dir_fd=folders[-1]))
            self._make_last(staged, step, folders)
        finally:
            for folder in folders:
                os.close(folder)

    def _make_last(self, staged: int, step: _JournalStep, folders: list[int]) -> None:
        name = step.parts[-1]
        if step.staged is not None:
            opened = os.open(step.staged, _READ, dir_fd=staged)
            try:
                os.rename(step.staged, name, src_dir_fd=staged, dst_dir_fd=folders[-1])
                # Not before: a command that starts takes the top first, then what is there already.
                for each in (*folders[1:], opened):
                    give_to_owner(each, folders[0])
            finally:
                os.close(opened)
            os.fsync(folders[-1])
            return
        os.unlink(name, dir_fd=folders[-1])
        os.fsync(folders[-1])
        # Folders are there for the files in them.
        for at in range(len(folders) - 1, 0, -1):
            try:
                os.rmdir(step.parts[at - 1], dir_fd=folders[at - 1])
            except OSError:
                break

    def _clear(self, staged: int) -> None:
        # First: without it, what else is here counts for nothing.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(JOURNAL, dir_fd=staged)
        for name in os.listdir(staged):
            os.unlink(name, dir_fd=staged)


def _check_writable(parts: Parts, path: str) -> None:
    if not parts:
        raise WorkspaceError("the path is empty: name a file")
    if folded(parts[0]) in (UPLOADS, SHARED):
        raise WorkspaceError(f"{path!r}: {parts[0]}/ can only be read; write elsewhere")


def give_to_owner(opened: int, top: int) -> None:
    """Let what is open belong to whom `top` belongs; only root needs to, and can."""
    if os.geteuid() == 0:
        owner = os.fstat(top)
        if os.fstat(opened).st_uid != owner.st_uid:
            os.fchown(opened, owner.st_uid, owner.st_gid)


def _write(folder: int, name: str, content: bytes, mode: int) -> None:
    opened = os.open(name, _WRITE, mode, dir_fd=folder)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(opened, rest) :]
        # Whatever the process masks.
        os.fchmod(opened, mode)
        os.fsync(opened)
    finally:
        os.close(opened)


def opened_below(path: Path, name: str) -> int:
    """Open, or make, a folder of a workspace, which only its owner may enter."""
    above = os.open(path, _OPEN_FOLDER)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=above)
        try:
            return os.open(name, _OPEN_FOLDER, dir_fd=above)
        except PermissionError:
            # A command has closed the folder that it runs in. What lies above no command reaches, so this is
            # no link.
            os.chmod(name, 0o700, dir_fd=above)
            return os.open(name, _OPEN_FOLDER, dir_fd=above)
    finally:
        os.close(above)


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Tell as an error of the store what the disk refuses."""
    try:
        yield
    except NanobotError:
        raise
    except OSError as error:
        raise StoreError(
            f"the workspace {path} cannot be written ({error.strerror}): free some space"
        ) from error
