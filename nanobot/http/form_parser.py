"""Forms parsed as they come, in memory, bounded in their number of parts."""

import logging
from collections.abc import AsyncGenerator

import msgspec
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from nanobot.core.errors import InvalidForm

FORM = "multipart/form-data"

_MOST_PARTS = 64
_LONGEST_BOUNDARY = 256


class FormPart(msgspec.Struct, frozen=True):
    """One part of a form.

    `file_name`, `mime`: of a file, as the client says them; None and empty for a text.
    """

    field: str
    content: bytes
    file_name: str | None = None
    mime: str = ""


def boundary_of(kind: bytes) -> bytes:
    """Return the boundary that the content type names.

    Raises:
        InvalidForm: it names none, or one that is too long.
    """
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise InvalidForm(f"content-type {FORM} without a boundary: let your client set the header")
    return boundary


class FormParser(MultiPartParser):
    """Starlette's parser; it counts the parts, keeps files in memory, and knows whether the form is
    complete.

    Starlette decodes what is not UTF-8 as Latin-1, without a word. So everything is decoded as Latin-1 here,
    which loses nothing, and then again as what it must be.
    """

    def __init__(self, boundary: bytes, pieces: AsyncGenerator[bytes, None], max_bytes: int) -> None:
        # python_multipart warns of each malformed form, and anyone may send those.
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
        # Starlette parses the boundary out of a header again, where it is quoted.
        escaped = boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        kind = b'%b; charset=latin-1; boundary="%b"' % (FORM.encode(), escaped)
        super().__init__(
            Headers(raw=[(b"content-type", kind)]),
            self._complete(pieces),
            max_files=_MOST_PARTS,
            max_fields=_MOST_PARTS,
            max_part_size=max_bytes,
        )
        # From this size on a file goes to the disk, by way of a thread. No body is as large.
        self.spool_max_size = max_bytes + 1
        self._parts = 0
        self._is_complete = False

    def on_part_begin(self) -> None:
        # Starlette bounds files and fields apart from each other, so both together are counted here.
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise InvalidForm(f"the form has more than {_MOST_PARTS} parts")
        super().on_part_begin()

    def on_end(self) -> None:
        self._is_complete = True

    async def _complete(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for piece in pieces:
            yield piece
        if not self._is_complete:
            raise InvalidForm(f"the body is incomplete: a {FORM} ends with its boundary")

    async def parts(self) -> list[FormPart]:
        """Return the parts, once the whole body has come.

        Raises:
            InvalidForm
        """
        try:
            parsed = await self.parse()
        except MultiPartException as error:
            # With a cause the parser itself gave up; without one Starlette missed the name of a part.
            if error.__cause__ is not None:
                raise InvalidForm(f"the body is no {FORM} that can be read") from error
            raise InvalidForm(
                f"part {self._parts} of the form has no name: content-disposition must be form-data; name=…"
            ) from error
        try:
            return [await _part(name, value) for name, value in parsed.multi_items()]
        finally:
            await parsed.close()


async def _part(name: str, value: str | UploadFile) -> FormPart:
    if isinstance(value, str):
        return FormPart(_decoded(name), value.encode("latin-1"))
    mime = value.content_type or ""
    return FormPart(_decoded(name), await value.read(), _decoded(value.filename or ""), mime)


def _decoded(name: str) -> str:
    return name.encode("latin-1").decode("utf-8", "replace")
