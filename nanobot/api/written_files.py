"""The files that the agent has written, as `/v1/files` shows them: by ids that have their path in them."""

from nanobot.api.wire.files import FileObject, written_file_object
from nanobot.core.errors import NoSuchFile, SessionNotFound, UploadNotFound, WorkspaceError
from nanobot.core.uploads import SortOrder
from nanobot.core.workspace import FILE_ID_PREFIX, SHARED, Change, Entry, Workspaces

_DEEPEST = 32
_MOST_LISTED = 10_000


def is_written(file_id: str) -> bool:
    """Return whether the id is one of a file that the agent has written, not of an upload."""
    return file_id.startswith(FILE_ID_PREFIX)


class WrittenFiles:
    """The files of `workspaces`. Where there are none, no id is known."""

    def __init__(self, workspaces: Workspaces | None) -> None:
        self._workspaces = workspaces

    async def page(
        self, session_key: str, *, limit: int, after: str | None, order: SortOrder
    ) -> tuple[tuple[FileObject, ...], bool]:
        """Return files of the session by the time of their last change, and whether others follow.

        Raises:
            UploadNotFound: there is no file `after`.
        """
        files = sorted(await self._all(session_key), key=lambda entry: (entry.modified_at, entry.path))
        if order == "desc":
            files.reverse()
        if after is not None:
            ids = [f"{FILE_ID_PREFIX}{entry.path}" for entry in files]
            if after not in ids:
                raise _unknown(after)
            files = files[ids.index(after) + 1 :]
        return tuple(written_file_object(entry) for entry in files[:limit]), len(files) > limit

    async def open(self, session_key: str, file_id: str) -> tuple[FileObject, bytes]:
        """Return the file with what is in it.

        Raises:
            UploadNotFound
        """
        if self._workspaces is None:
            raise _unknown(file_id)
        try:
            entry, content = await self._workspaces.read(session_key, _path(file_id))
        except (SessionNotFound, WorkspaceError):
            raise _unknown(file_id) from None
        # What the operator shares is for the agent only.
        if entry.path.partition("/")[0] == SHARED:
            raise _unknown(file_id)
        return written_file_object(entry), content

    async def delete(self, session_key: str, file_id: str) -> None:
        """Delete the file.

        Raises:
            UploadNotFound
        """
        if self._workspaces is None:
            raise _unknown(file_id)
        try:
            await self._workspaces.change(session_key, lambda _: (Change(_path(file_id), None),))
        except (SessionNotFound, WorkspaceError):
            raise _unknown(file_id) from None

    async def _all(self, session_key: str) -> list[Entry]:
        if self._workspaces is None:
            return []
        try:
            listing = await self._workspaces.listing(session_key, depth=_DEEPEST, limit=_MOST_LISTED)
        except (SessionNotFound, NoSuchFile):
            return []
        return [entry for entry in listing.entries if entry.kind == "file"]


def _path(file_id: str) -> str:
    """Return the path in the id."""
    return file_id.removeprefix(FILE_ID_PREFIX)


def _unknown(file_id: str) -> UploadNotFound:
    # As for uploads: the same words whatever the reason.
    return UploadNotFound(f"No such File object: {file_id[:80]}", param="id")
