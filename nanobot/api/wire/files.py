"""Files as OpenAI shapes them. Source: the OpenAI API reference, `/v1/files`."""

from typing import Annotated, Literal, get_args

import msgspec

from nanobot.core.uploads import Upload
from nanobot.core.workspace import FILE_ID_PREFIX, Entry

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
PURPOSES: tuple[str, ...] = get_args(Purpose)
WRITTEN_PURPOSE = "assistants_output"
"""Of the files that the agent has written; none is uploaded with it."""
SHORTEST_LIFE_S = 3_600
LONGEST_LIFE_S = 2_592_000


class UploadForm(msgspec.Struct, frozen=True, kw_only=True):
    """The `multipart/form-data` body of an upload.

    `expires_after[seconds]` from `expires_after[anchor]`, which is `created_at`.
    """

    file: bytes
    purpose: Purpose
    expires_after_anchor: Literal["created_at"] | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="expires_after[anchor]"
    )
    expires_after_seconds: (
        Annotated[int, msgspec.Meta(ge=SHORTEST_LIFE_S, le=LONGEST_LIFE_S)] | msgspec.UnsetType
    ) = msgspec.field(default=msgspec.UNSET, name="expires_after[seconds]")


class FileObject(msgspec.Struct, frozen=True, kw_only=True):
    """An upload, or a file that the agent has written, whose `filename` is its path. Times are whole seconds
    since the epoch.
    """

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: str = "processed"
    status_details: None = None


class FileDeleted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "file"
    deleted: bool = True


def written_file_object(entry: Entry) -> FileObject:
    """Return a file of the workspace as the API shows it."""
    return FileObject(
        id=f"{FILE_ID_PREFIX}{entry.path}",
        bytes=entry.size_bytes,
        created_at=int(entry.modified_at),
        expires_at=None,
        filename=entry.path,
        purpose=WRITTEN_PURPOSE,
    )


def file_object(upload: Upload) -> FileObject:
    """Return the upload as the API shows it."""
    return FileObject(
        id=upload.id,
        bytes=upload.size_bytes,
        created_at=int(upload.created_at),
        expires_at=None if upload.expires_at is None else int(upload.expires_at),
        filename=upload.name,
        purpose=upload.purpose,
    )
