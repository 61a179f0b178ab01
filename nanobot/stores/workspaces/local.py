"""`core.workspace.Workspaces` in the data directory."""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from nanobot.core.errors import NoSuchFile, SessionNotFound, StoreError, ToolError, WorkspaceError
from nanobot.core.workspace import (
    SHARED,
    UPLOADS,
    Contents,
    Entry,
    Listing,
    Plan,
    SessionIdentity,
    Snapshot,
    WorkspaceLimits,
)
from nanobot.stores.workspaces.commit import FILES, Commit
from nanobot.stores.workspaces.folder import WorkspaceFolder
from nanobot.stores.workspaces.paths import Parts, folded, parse_path
from nanobot.stores.workspaces.tree import Tree

_PASSED_OVER = frozenset((".git",))
"""What git keeps of a repository would stand before all that people have written."""
_THREADS = 4
"""So that slow disks hold up file work only, and never the threads that the database is read in."""
T = TypeVar("T")


class LocalWorkspaces:
    """Workspaces in the data directory, and `roots`: folders of the operator, by the name under which all
    sessions may read them.

    `identify` returns the identity of the session that has a key now.
    """

    def __init__(
        self,
        folder: WorkspaceFolder,
        identify: Callable[[str], Awaitable[SessionIdentity]],
        limits: WorkspaceLimits,
        roots: Mapping[str, Path],
    ) -> None:
        self._folder = folder
        self._identify = identify
        self._limits = limits
        self._roots = {
            name: Tree(
                partial(_opened, path),
                prefix=(SHARED, name),
                max_file_bytes=limits.max_file_bytes,
                takes_hard_links=True,
                passed_over=_PASSED_OVER,
            )
            for name, path in roots.items()
        }
        self._threads = ThreadPoolExecutor(_THREADS, "workspace")
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    async def listing(self, session_key: str, folder: str = "", *, depth: int, limit: int) -> Listing:
        parts = parse_path(folder)
        if _is_shared(parts):
            return await self._run(self._shared_listing, parts, depth, limit)
        path = await self._path(session_key)
        if path is None:
            if parts:
                raise NoSuchFile(f"there is no folder {folder!r}")
            return Listing(())
        return await self._run(lambda: self._tree(path).listing(parts, depth=depth, limit=limit))

    async def read(self, session_key: str, path: str) -> tuple[Entry, bytes]:
        parts = parse_path(path)
        if _is_shared(parts):
            return await self._run(lambda: self._root(parts).read(parts[2:]))
        found = await self._path(session_key)
        if found is None:
            raise NoSuchFile(f"there is no file {path!r}")
        return await self._run(lambda: self._tree(found).read(parts))

    async def contents(
        self, session_key: str, folder: str = "", *, max_files: int, max_file_bytes: int, max_bytes: int
    ) -> Contents:
        parts = parse_path(folder)
        if _is_shared(parts):
            trees = tuple(self._roots.values()) if len(parts) == 1 else (self._root(parts),)
            parts = parts[2:]
        else:
            path = await self._path(session_key)
            if path is None:
                if parts:
                    raise NoSuchFile(f"there is no folder {folder!r}")
                return Contents(())
            trees = (self._tree(path),)

        def read() -> Contents:
            files, is_whole, left = list[tuple[Entry, bytes]](), True, max_bytes
            for tree in trees:
                found = tree.contents(
                    parts, max_files=max_files - len(files), max_file_bytes=max_file_bytes, max_bytes=left
                )
                files += found.files
                is_whole = is_whole and found.is_whole
                left -= sum(len(content) for _, content in found.files)
            return Contents(tuple(files), is_whole)

        return await self._run(read)

    async def change(self, session_key: str, plan: Plan) -> tuple[Entry, ...]:
        identity = await self._identify(session_key)

        def make() -> tuple[Entry, ...]:
            path = self._folder.path(identity)
            if path is not None:
                # Before anything is read: the plan follows from what was decided on last.
                Commit(path, self._limits).finish()
            tree = None if path is None else self._tree(path)
            changes = plan(partial(self._content, tree))
            if not changes:
                return ()
            if path is not None:
                return Commit(path, self._limits).make(changes)
            made = self._folder.make(identity)
            try:
                return Commit(made, self._limits).make(changes)
            except BaseException:
                # A session that has no files has no folder.
                self._folder.delete((identity,))
                raise

        async with self._alone(session_key):
            # Not broken off by a cancellation: others may go on only once the thread has let go.
            return await _whole(self._run(make))

    # Commands -------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def command_folder(self, session_key: str) -> AsyncIterator[Path]:
        """Yield the folder with the files of the session, made if it has none yet, for a command to run in.
        If the session is deleted meanwhile, so is what the command has written since.

        Raises:
            ToolError: the session is gone, or there can be none.
        """
        try:
            identity = await self._identify(session_key)
            async with self._alone(session_key):
                path = await _whole(self._run(self._made_for_commands, identity))
        except (SessionNotFound, StoreError) as error:
            raise ToolError(f"there is no workspace to run commands in: {error.public_message}") from error
        try:
            yield path / FILES
        finally:
            await _whole(self._left(session_key, identity))

    async def snapshot(self, directory: Path) -> Snapshot | None:
        """Return what files there are in a folder that `command_folder` yields, see `snapshots`."""
        # Most servers run no commands.
        from nanobot.stores.workspaces.snapshots import snapshot

        return await self._run(snapshot, directory)

    def _made_for_commands(self, identity: SessionIdentity) -> Path:
        path = self._folder.make(identity)
        commit = Commit(path, self._limits)
        commit.finish()
        os.close(commit.open_files())
        self._folder.open_to_commands(path)
        return path

    async def _left(self, session_key: str, identity: SessionIdentity) -> None:
        """Delete what is left where the session is gone."""
        with contextlib.suppress(StoreError):
            try:
                if await self._identify(session_key) == identity:
                    return
            except SessionNotFound:
                pass
            await self._run(self._folder.delete, (identity,))

    async def close(self) -> None:
        """Let the threads end with what they do."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    # --

    def _content(self, tree: Tree | None, path: str) -> bytes:
        """Return what is in a file of the workspace, or of a shared root. Blocks."""
        parts = parse_path(path)
        if _is_shared(parts):
            return self._root(parts).read(parts[2:])[1]
        if tree is None:
            raise NoSuchFile(f"there is no file {path!r}")
        return tree.read(parts)[1]

    def _shared_listing(self, parts: Parts, depth: int, limit: int) -> Listing:
        if len(parts) > 1:
            return self._root(parts).listing(parts[2:], depth=depth, limit=limit)
        entries = [Entry(f"{SHARED}/{name}", "folder") for name in sorted(self._roots)]
        is_whole = True
        if depth > 1:
            for tree in self._roots.values():
                below = tree.listing((), depth=depth - 1, limit=max(0, limit - len(entries)))
                entries += below.entries
                is_whole = is_whole and below.is_whole
        return Listing(tuple(entries), is_whole)

    def _root(self, parts: Parts) -> Tree:
        names = {folded(name): tree for name, tree in self._roots.items()}
        tree = names.get(folded(parts[1])) if len(parts) > 1 else None
        if tree is None:
            known = ", ".join(f"{SHARED}/{name}" for name in sorted(self._roots)) or "none"
            raise NoSuchFile(f"there is no {'/'.join(parts[:2])!r}; shared folders: {known}")
        return tree

    def _tree(self, path: Path) -> Tree:
        return Tree(
            Commit(path, self._limits).open_files,
            max_file_bytes=self._limits.max_file_bytes,
            hidden=frozenset((UPLOADS, SHARED)),
            passed_over=_PASSED_OVER,
        )

    async def _path(self, session_key: str) -> Path | None:
        """Return where the workspace of the session is, with what a crash left undone made."""
        identity = await self._identify(session_key)

        def look() -> tuple[Path | None, bool]:
            path = self._folder.path(identity)
            return path, path is not None and Commit(path, self._limits).is_unfinished

        path, is_unfinished = await self._run(look)
        if path is not None and is_unfinished:
            # A commit that is under way has a journal, too: it has gone when this is alone.
            async with self._alone(session_key):
                await _whole(self._run(Commit(path, self._limits).finish))
        return path

    @contextlib.asynccontextmanager
    async def _alone(self, session_key: str) -> AsyncIterator[None]:
        """Let nobody else change the workspace of the session while the block runs."""
        lock = self._locks.setdefault(session_key, asyncio.Lock())
        self._users[session_key] += 1
        try:
            async with lock:
                yield
        finally:
            self._users[session_key] -= 1
            if not self._users[session_key]:
                del self._users[session_key], self._locks[session_key]

    async def _run(self, job: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, job, *arguments)


async def _whole(work: Awaitable[T]) -> T:
    """Return the result of what a thread does, once it has ended, however often this is cancelled before."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Nobody else asks how it ended, and the event loop would call that an error.
        task.exception()
        raise cancelled
    return task.result()


def _is_shared(parts: Parts) -> bool:
    return bool(parts) and folded(parts[0]) == SHARED


def _opened(path: Path) -> int:
    """Open a folder of the operator, who may have chosen a link."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise WorkspaceError(f"the shared folder cannot be read ({error.strerror})") from error
