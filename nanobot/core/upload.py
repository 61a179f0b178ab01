"""Uploads: files that a client keeps with a session, to speak of them later."""

from typing import Literal

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
