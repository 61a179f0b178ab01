"""Uploads: files that a client keeps with a session, to speak of them later."""

from typing import Literal, Protocol

import msgspec

SortOrder = Literal["asc", "desc"]


class Upload(msgspec.Struct, frozen=True):
    """A file as it is kept.

    Times are seconds since the epoch; `expires_at` None: never. `name` and `purpose` are the client's words.
    """

    id: str
    session_key: str
    name: str
    purpose: str
    size_bytes: int
    created_at: float
    expires_at: float | None = None


class UploadPage(msgspec.Struct, frozen=True):
    """Some of a session's uploads; `has_more`: others follow."""

    uploads: tuple[Upload, ...]
    has_more: bool


class Uploads(Protocol):
    """Files that clients keep with their sessions."""

    async def add_upload(self, upload: Upload, content: bytes, quota_bytes: int) -> None:
        """Keep a file. `quota_bytes`: what all uploads of its session may have together.

        Raises:
            UploadsFull: they would have more.
            StoreError: it cannot be written.
        """
        ...

    async def upload(self, file_id: str, session_key: str) -> Upload:
        """Return the upload, if it is one of this session and has not expired.

        Raises:
            UploadNotFound: the same words whatever the reason.
        """
        ...

    async def open_upload(self, file_id: str, session_key: str) -> tuple[Upload, bytes]:
        """Return the upload with what is in it.

        Raises:
            UploadNotFound: as `upload`.
        """
        ...

    async def upload_piece(self, upload: Upload, start: int, most: int) -> bytes:
        """Return up to so many bytes of what is in the upload, from `start` on; none at its end.

        Raises:
            UploadNotFound: it has been deleted.
        """
        ...

    async def uploads(
        self,
        session_key: str,
        *,
        limit: int,
        after: str | None = None,
        order: SortOrder = "desc",
        purpose: str | None = None,
    ) -> UploadPage:
        """Return uploads of the session by the time of their making; `after` is the id of the last one of the
        page before.

        Raises:
            UploadNotFound: there is no upload `after`.
        """
        ...

    async def delete_upload(self, file_id: str, session_key: str) -> None:
        """Delete the upload, row and content.

        Raises:
            UploadNotFound: as `upload`.
        """
        ...

    async def delete_expired_uploads(self) -> int:
        """Delete the uploads that have expired; returns how many."""
        ...
