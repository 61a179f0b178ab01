"""Bodies of `multipart/form-data`: taken apart as they come, bounded in size, time and number of parts."""

from __future__ import annotations

import logging

import msgspec

from nanobot.core.errors import InvalidForm, InvalidRequest
from nanobot.http.body import take_body
from nanobot.http.request import Request

FORM = "multipart/form-data"
_MOST_PARTS = 64
_LONGEST_BOUNDARY = 256


class FormFile(msgspec.Struct, frozen=True):
    """A file of a form: the field that it stands in, its name and media type in the client's words."""

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
    return request.headers.get(b"content-type", b"")


def is_form(request: Request) -> bool:
    """Return whether the request's body says that it is a form."""
    return content_type(request).partition(b";")[0].strip().lower() == FORM.encode()


async def read_form(
    request: Request, *, max_bytes: int, timeout_s: float, limit: str = "api.max_body_mb"
) -> Form:
    """Return the form.

    Raises:
        InvalidForm: it is broken, breaks off, or has too many parts.
        BodyTooLarge, SlowRequest, ClientGone: as `take_body`.
    """
    taking = _Taking(content_type(request))
    await take_body(request, taking.feed, max_bytes=max_bytes, timeout_s=timeout_s, limit=limit)
    return taking.form()


class _Taking:
    """Takes a form apart: what the parser says of it, put together."""

    def __init__(self, kind: bytes) -> None:
        # waits for the first form: few servers ever see one
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header

        # it warns of each broken form, which anyone may send
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
        self._error = FormParserError
        self._options = parse_options_header
        boundary = parse_options_header(kind)[1].get(b"boundary", b"")
        if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
            raise InvalidForm(f"content-type {FORM} without a boundary: let your client set the header")
        self._fields: dict[str, list[str]] = {}
        self._files: list[FormFile] = []
        self._parts = 0
        self._is_whole = False
        self._begin()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._name,
                "on_header_value": self._value,
                "on_header_end": self._end_header,
                "on_part_data": self._take,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except self._error as error:
            raise InvalidForm(f"the body is no {FORM} that can be read") from error

    def form(self) -> Form:
        if not self._is_whole:
            raise InvalidForm(f"the body breaks off: a {FORM} ends with its boundary")
        return Form(self._fields, tuple(self._files))

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header = (b"", b"")
        self._content = bytearray()

    def _name(self, piece: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + piece[start:end], self._header[1])

    def _value(self, piece: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + piece[start:end])

    def _end_header(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = (b"", b"")

    def _take(self, piece: bytes, start: int, end: int) -> None:
        self._content += piece[start:end]

    def _end(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise InvalidForm(f"the form has more than {_MOST_PARTS} parts")
        kind, options = self._options(self._headers.get(b"content-disposition"))
        name = options.get(b"name")
        if kind != b"form-data" or name is None:
            raise InvalidForm(
                f"part {self._parts} of the form has no name: content-disposition must be form-data; name=…"
            )
        field = name.decode("utf-8", "replace")
        if b"filename" in options:
            mime = self._headers.get(b"content-type", b"").decode("latin-1")
            self._files.append(
                FormFile(field, options[b"filename"].decode("utf-8", "replace"), mime, bytes(self._content))
            )
        else:
            try:
                self._fields.setdefault(field, []).append(self._content.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise InvalidRequest(f"{field} is not UTF-8", param=field) from error
        self._content = bytearray()

    def _finish(self) -> None:
        self._is_whole = True
