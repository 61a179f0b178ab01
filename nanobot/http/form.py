"""Bodies of `multipart/form-data`: what a form says, and how it is read."""

import contextlib

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.http.body import body_pieces
from nanobot.http.request import Request

_FORM = b"multipart/form-data"


class FormFile(msgspec.Struct, frozen=True):
    """A file of a form: its field, and its name and media type as the client says them."""

    field: str
    name: str
    mime: str
    content: bytes


class Form(msgspec.Struct, frozen=True):
    """What a form says. A field that comes several times has several values."""

    fields: dict[str, list[str]]
    files: tuple[FormFile, ...]

    def text(self, name: str) -> str | None:
        """Return the last value of a field, None where it is not there."""
        values = self.fields.get(name)
        return values[-1] if values else None


def content_type(request: Request) -> bytes:
    """Return the media type of the body, with its parameters; empty where the request does not say."""
    return request.headers.get(b"content-type", b"")


def is_form(request: Request) -> bool:
    """Return whether the request's body says that it is a form."""
    return content_type(request).partition(b";")[0].strip().lower() == _FORM


async def read_form(
    request: Request, *, max_bytes: int, timeout_s: float, limit: str = "api.max_body_mb"
) -> Form:
    """Return the form.

    Raises:
        InvalidForm: it is malformed or incomplete, or has too many parts.
        InvalidRequest: a field is not UTF-8; `param` names it.
        BodyTooLarge, SlowRequest, ClientGone: as `body_pieces`.
    """
    # Starlette's parser takes 20 ms of a start, and few servers ever get a form.
    from nanobot.http.form_parser import FormParser, boundary_of

    boundary = boundary_of(content_type(request))
    pieces = body_pieces(request, max_bytes=max_bytes, timeout_s=timeout_s, limit=limit)
    async with contextlib.aclosing(pieces):
        parts = await FormParser(boundary, pieces, max_bytes).parts()
    fields: dict[str, list[str]] = {}
    files: list[FormFile] = []
    for part in parts:
        if part.file_name is not None:
            files.append(FormFile(part.field, part.file_name, part.mime, part.content))
            continue
        try:
            fields.setdefault(part.field, []).append(part.content.decode())
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{part.field} is not UTF-8", param=part.field) from error
    return Form(fields, tuple(files))
