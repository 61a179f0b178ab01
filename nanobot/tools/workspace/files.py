"""The files that a session can see, under one root: its own, and under `uploads/` those of its user."""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from nanobot.core.errors import NoSuchFile, UploadNotFound, WorkspaceError
from nanobot.core.tool import ToolContext
from nanobot.core.uploads import Upload, UploadPage
from nanobot.core.workspace import (
    FILE_ID_PREFIX,
    SHARED,
    UPLOADS,
    Contents,
    Entry,
    Listing,
    Plan,
    Workspaces,
)

MOST_UPLOADS = 1_000


class SessionUploads(Protocol):
    """The uploads of a session."""

    async def open_upload(self, file_id: str, session_key: str) -> tuple[Upload, bytes]: ...

    async def uploads(self, session_key: str, *, limit: int) -> UploadPage: ...


class AgentFiles:
    """The files of sessions as their tools see them."""

    def __init__(self, workspaces: Workspaces, uploads: SessionUploads) -> None:
        self._workspaces = workspaces
        self._uploads = uploads

    async def listing(self, session_key: str, folder: str, *, depth: int, limit: int) -> Listing:
        """Return what is in a folder, as `Workspaces.listing`; at the top also the folders that are views.

        Raises:
            NoSuchFile, WorkspaceError
        """
        if _first(folder) == UPLOADS:
            return Listing(tuple((await self._by_path(session_key, folder)).values())[:limit])
        listing = await self._workspaces.listing(session_key, folder, depth=depth, limit=limit)
        if _first(folder):
            return listing
        entries = list(listing.entries)
        uploaded = (await self._by_path(session_key, UPLOADS)).values()
        if uploaded:
            entries += [Entry(UPLOADS, "folder"), *(uploaded if depth > 1 else ())]
        if (await self._workspaces.listing(session_key, SHARED, depth=1, limit=1)).entries:
            entries.append(Entry(SHARED, "folder"))
        return Listing(tuple(entries[:limit]), listing.is_whole and len(entries) <= limit)

    async def read(self, session_key: str, path: str) -> tuple[Entry, bytes]:
        """Return a file with what is in it.

        Raises:
            NoSuchFile, WorkspaceError
        """
        if _first(path) != UPLOADS:
            return await self._workspaces.read(session_key, path)
        entry = (await self._by_path(session_key, UPLOADS)).get(_plain(path))
        if entry is None:
            raise NoSuchFile(f"there is no file {path!r}")
        return entry, await self._uploaded(session_key, path)

    async def _uploaded(self, session_key: str, path: str) -> bytes:
        file_id = await self.upload_id(session_key, path)
        try:
            if file_id is not None:
                return (await self._uploads.open_upload(file_id, session_key))[1]
        except UploadNotFound:
            pass
        raise NoSuchFile(f"there is no file {path!r}")

    async def contents(
        self, session_key: str, folder: str, *, max_files: int, max_file_bytes: int, max_bytes: int
    ) -> Contents:
        """Return the files in a folder and below, as `Workspaces.contents`; at the top those that were
        uploaded, too.

        Raises:
            NoSuchFile, WorkspaceError
        """
        is_top = not _first(folder)
        found = Contents(())
        if _first(folder) != UPLOADS:
            found = await self._workspaces.contents(
                session_key, folder, max_files=max_files, max_file_bytes=max_file_bytes, max_bytes=max_bytes
            )
        if not is_top and _first(folder) != UPLOADS:
            return found
        files, is_whole = list(found.files), found.is_whole
        left = max_bytes - sum(len(content) for _, content in files)
        for path, entry in (await self._by_path(session_key, UPLOADS if is_top else folder)).items():
            if entry.size_bytes > min(left, max_file_bytes) or len(files) >= max_files:
                is_whole = False
                continue
            content = await self._uploaded(session_key, path)
            left -= len(content)
            files.append((entry, content))
        return Contents(tuple(files), is_whole)

    async def change(self, session_key: str, plan: Plan) -> tuple[Entry, ...]:
        """Change files of the workspace, as `Workspaces.change` does."""
        return await self._workspaces.change(session_key, plan)

    # Uploads --------------------------------------------------------------------------------------

    async def upload_id(self, session_key: str, path: str) -> str | None:
        """Return the id of the upload that has this path, None where none has."""
        uploads = await self._all_uploads(session_key)
        return next((upload.id for name, upload in with_paths(uploads) if name == _plain(path)), None)

    async def _by_path(self, session_key: str, folder: str) -> dict[str, Entry]:
        """Return the uploads whose path is `folder` or in it."""
        within = _plain(folder)
        named = await asyncio.to_thread(with_paths, await self._all_uploads(session_key))
        return {
            path: Entry(path, "file", upload.size_bytes, upload.created_at)
            for path, upload in named
            if path == within or path.startswith(f"{within}/")
        }

    async def _all_uploads(self, session_key: str) -> Sequence[Upload]:
        return (await self._uploads.uploads(session_key, limit=MOST_UPLOADS)).uploads


def with_paths(uploads: Sequence[Upload]) -> list[tuple[str, Upload]]:
    """Return the uploads, the newest first, with their paths: of several of one name the older ones are in a
    folder that is named after their id.
    """
    taken: set[str] = set()
    named = []
    for upload in uploads:
        name = upload.name.replace("/", "_")
        is_first = name.casefold() not in taken
        taken.add(name.casefold())
        named.append((f"{UPLOADS}/{name}" if is_first else f"{UPLOADS}/{upload.id}/{name}", upload))
    return named


def _plain(path: str) -> str:
    return "/".join(part for part in path.strip().split("/") if part not in ("", "."))


def _first(path: str) -> str:
    return _plain(path).partition("/")[0].casefold()


def link_to(path: str) -> str:
    """Return the id of a file of the workspace, as it stands in a link."""
    return f"{FILE_ID_PREFIX}{quote(path, safe='/')}"


def link_note(*paths: str) -> str:
    """Return how the model gives the user files."""
    links = ", ".join(map(link_to, paths))
    return f"Link{'s' if len(paths) > 1 else ''} for the user: {links}"


def refuse_untraced(context: ToolContext) -> None:
    """Refuse to write where nothing of the turn may be kept.

    Raises:
        WorkspaceError
    """
    if not context.leaves_trace:
        raise WorkspaceError("this request leaves no trace (store: false), so no file can be written")
