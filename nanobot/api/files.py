"""/v1/files: what a client uploads for a session, to refer to it later, and what the agent has written in its
workspace. Files of other sessions do not exist.
"""

from functools import partial
from urllib.parse import quote

import msgspec
from starlette.types import Send

from nanobot.api.wire.files import (
    LONGEST_LIFE_S,
    PURPOSES,
    SHORTEST_LIFE_S,
    WRITTEN_PURPOSE,
    FileDeleted,
    FileObject,
    UploadForm,
    file_object,
)
from nanobot.api.wire.lists import Page, encode
from nanobot.api.written_files import WrittenFiles, is_written
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BodyTooLarge,
    InvalidForm,
    InvalidRequest,
    SessionNotFound,
    UploadNotFound,
    UploadsFull,
)
from nanobot.core.ids import Randomness, new_file_id
from nanobot.core.store import Store
from nanobot.core.uploads import SortOrder, Upload
from nanobot.core.workspace import Workspaces
from nanobot.http.form import Form, FormFile, is_form, read_form
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import Headers, answer, beginning
from nanobot.http.session_key import NEEDED_SESSION_KEY, KeyReader
from nanobot.submit.references import file_name

_MOST_LISTED = 10_000
# What a form needs around the file: boundaries, headers and the other fields.
_FORM_BYTES = 64 * 1024
_PIECE_BYTES = 128 * 1024


class FileSettings(msgspec.Struct, frozen=True):
    """How uploads are kept. `ttl_s` 0: those that do not say otherwise never expire."""

    max_file_bytes: int = 20 * 1024 * 1024
    quota_bytes: int = 500 * 1024 * 1024
    ttl_s: float = 30 * 86_400.0
    timeout_s: float = 30.0


class Files:
    """The operations on uploads, each among those of the request's session only."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        keys: KeyReader,
        settings: FileSettings,
        workspaces: Workspaces | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._keys = keys
        self._settings = settings
        self._written = WrittenFiles(workspaces)

    async def create(self, request: Request, send: Send) -> None:
        """POST /v1/files"""
        key = self._key(request)
        settings = self._settings
        if not is_form(request):
            raise InvalidForm("a file is uploaded as multipart/form-data, with the fields file and purpose")
        await self._store.room()
        form = await read_form(
            request,
            max_bytes=settings.max_file_bytes + _FORM_BYTES,
            timeout_s=settings.timeout_s,
            limit="files.max_file_mb",
        )
        upload, content = self._upload(key, form)
        await self._store.add_upload(upload, content, settings.quota_bytes)
        await answer(send, 200, encode(file_object(upload)))

    async def list(self, request: Request, send: Send) -> None:
        """GET /v1/files"""
        query, key = request.query(), self._key(request)
        limit = query.whole("limit", default=_MOST_LISTED, low=1, high=_MOST_LISTED)
        after, purpose = query.text("after"), query.text("purpose")
        order: SortOrder = (
            "asc" if query.one_of("order", ("asc", "desc"), default="desc") == "asc" else "desc"
        )
        if purpose == WRITTEN_PURPOSE:
            shown, has_more = await self._written.page(key, limit=limit, after=after, order=order)
        else:
            page = await self._store.uploads(key, limit=limit, after=after, order=order, purpose=purpose)
            shown, has_more = tuple(file_object(upload) for upload in page.uploads), page.has_more
        first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
        await answer(send, 200, encode(Page(data=shown, first_id=first, last_id=last, has_more=has_more)))

    async def show(self, request: Request, send: Send) -> None:
        """GET /v1/files/{file_id}"""
        file_id, key = _id(request), self._key(request)
        if is_written(file_id):
            shown, _ = await self._written.open(key, file_id)
        else:
            shown = file_object(await self._store.upload(file_id, key))
        await answer(send, 200, encode(shown))

    async def content(self, request: Request, send: Send) -> None:
        """GET /v1/files/{file_id}/content: the bytes as they are kept; a browser saves them, and never shows
        them.
        """
        file_id, key = _id(request), self._key(request)
        if is_written(file_id):
            shown, content = await self._written.open(key, file_id)
            headers = _download_headers(shown.filename.rpartition("/")[2])
            await answer(send, 200, content, headers, b"application/octet-stream")
            return
        upload = await self._store.upload(file_id, key)
        await self._send_upload(send, upload)

    async def _send_upload(self, send: Send, upload: Upload) -> None:
        """Send an upload as the client reads it: no more of it than a piece is in memory."""
        # Before the head: there may be no content.
        piece = await self._store.upload_piece(upload, 0, _PIECE_BYTES)
        await send(
            beginning(200, upload.size_bytes, _download_headers(upload.name), b"application/octet-stream")
        )
        sent = len(piece)
        while piece and sent < upload.size_bytes:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await self._store.upload_piece(upload, sent, _PIECE_BYTES)
            sent += len(piece)
        await send({"type": "http.response.body", "body": piece})

    async def delete(self, request: Request, send: Send) -> None:
        """DELETE /v1/files/{file_id}"""
        file_id, key = _id(request), self._key(request)
        if is_written(file_id):
            await self._written.delete(key, file_id)
        else:
            await self._store.delete_upload(file_id, key)
        await answer(send, 200, encode(FileDeleted(id=file_id)))

    def _key(self, request: Request) -> str:
        return self._keys.read(request.headers, request.caller)

    def _upload(self, key: str, form: Form) -> tuple[Upload, bytes]:
        file = _only_file(form)
        most = self._settings.max_file_bytes
        if len(file.content) > most:
            raise BodyTooLarge(
                f"file of {len(file.content)} bytes: at most {most} are allowed (files.max_file_mb)",
                param="file",
            )
        purpose = form.text("purpose")
        if purpose is None:
            raise InvalidRequest("Missing required parameter: 'purpose'.", param="purpose")
        if purpose not in PURPOSES:
            raise InvalidRequest(
                f"purpose is {purpose[:40]!r}: it must be one of {', '.join(PURPOSES)}", param="purpose"
            )
        now = self._clock.now()
        life_s = _life_s(form) or self._settings.ttl_s
        upload = Upload(
            id=new_file_id(now, self._randomness),
            session_key=key,
            name=file_name(file.name) or "file",
            purpose=purpose,
            size_bytes=len(file.content),
            created_at=now,
            expires_at=now + life_s if life_s else None,
        )
        return upload, file.content


def _download_headers(name: str) -> Headers:
    """Return the headers of a file that a browser saves, and never shows."""
    return (
        ("content-disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}"),
        ("x-content-type-options", "nosniff"),
    )


def _id(request: Request) -> str:
    file_id: str = request.path_params["file_id"]
    return file_id


def _only_file(form: Form) -> FormFile:
    files = [file for file in form.files if file.field == "file"]
    if not files:
        raise InvalidRequest("Missing required parameter: 'file'.", param="file")
    if len(files) > 1:
        raise InvalidRequest(f"{len(files)} files in one upload: only one is taken at a time", param="file")
    return files[0]


def _life_s(form: Form) -> int | None:
    """Return for how long the client wants the file kept, in seconds."""
    anchor, seconds = form.text("expires_after[anchor]"), form.text("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise InvalidRequest(
            f"expires_after.anchor is {(anchor or '')[:40]!r}: it must be 'created_at'",
            param="expires_after.anchor",
        )
    life_s = int(seconds) if seconds and seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else 0
    if not SHORTEST_LIFE_S <= life_s <= LONGEST_LIFE_S:
        raise InvalidRequest(
            f"expires_after.seconds is {(seconds or '')[:40]!r}: it must be from {SHORTEST_LIFE_S} to "
            f"{LONGEST_LIFE_S}",
            param="expires_after.seconds",
        )
    return life_s


_LISTING = (
    NEEDED_SESSION_KEY,
    Parameter(
        "limit",
        "query",
        "how many at most",
        {"type": "integer", "minimum": 1, "maximum": _MOST_LISTED, "default": _MOST_LISTED},
    ),
    Parameter("after", "query", "the id of the last file of the page before"),
    Parameter("order", "query", "oldest or newest first", {"enum": ["asc", "desc"], "default": "desc"}),
    Parameter(
        "purpose", "query", "only those of this purpose; `assistants_output`: what the agent has written"
    ),
)


def operations(
    store: Store,
    clock: Clock,
    randomness: Randomness,
    keys: KeyReader,
    settings: FileSettings,
    workspaces: Workspaces | None,
) -> tuple[Operation, ...]:
    """Return the operations on uploads and on the files of `workspaces`, where there are some."""
    files = Files(store, clock, randomness, keys, settings, workspaces)
    operation = partial(Operation, tag="Files", right="files", parameters=(NEEDED_SESSION_KEY,))
    of_one = partial(operation, path="/v1/files/{file_id}", errors=(UploadNotFound, SessionNotFound))
    return (
        operation(
            method="POST",
            path="/v1/files",
            run=files.create,
            summary="Upload a file",
            form=UploadForm,
            answers={200: FileObject},
            errors=(InvalidForm, UploadsFull, BodyTooLarge, SessionNotFound),
        ),
        operation(
            method="GET",
            path="/v1/files",
            run=files.list,
            summary="The uploads of a session",
            parameters=_LISTING,
            answers={200: Page[FileObject]},
            errors=(UploadNotFound, SessionNotFound),
        ),
        of_one(method="GET", run=files.show, summary="An upload", answers={200: FileObject}),
        of_one(
            method="GET",
            path="/v1/files/{file_id}/content",
            run=files.content,
            summary="What an upload holds",
            answers={200: bytes},
        ),
        of_one(method="DELETE", run=files.delete, summary="Delete an upload", answers={200: FileDeleted}),
    )
