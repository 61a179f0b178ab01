"""Long strings in a body of JSON, decoded piece by piece.

One call that decodes a string of megabytes keeps every other thread from running until it is done; most of
that time the system looks for the memory. So each long string is decoded in pieces, and the body in which its
beginning stands for it at once.
"""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from nanobot.core.errors import InvalidRequest

LONG_BYTES: Final = 256 * 1024
_SLICE_BYTES: Final = 64 * 1024
_LONGEST_CUT: Final = 12
"""A piece may end within the escapes of a surrogate pair, of so many bytes, or within a character."""
_KEPT: Final = 4_096
"""More than any bound of a short text, and than errors show: those say the same of the beginning."""
MOST_WIDE: Final = 4_000_000
"""Where characters other than ASCII come, what there is of the text is copied at once, up to three times."""
_MARK: Final = secrets.token_hex(16)
_string = msgspec.json.Decoder(str).decode


def cut_out(body: bytes) -> tuple[bytes, list[str]]:
    """Return the body with a mark behind the beginning of each long string, in place of the rest, and these
    strings; `put_back` knows the marks.

    Raises:
        msgspec.DecodeError: such a string is none.
        InvalidRequest: one has too many characters.
    """
    pieces: list[bytes] = []
    texts: list[str] = []
    copied = 0
    for start, end in _long_strings(body):
        text = _decoded(body, start, end)
        beginning = msgspec.json.encode(f"{text[:_KEPT]}{_MARK}:{len(texts)}")
        pieces += (body[copied:start], beginning[1:-1])
        texts.append(text)
        copied = end
    return (b"".join((*pieces, body[copied:])), texts) if texts else (body, texts)


def put_back(value: object, texts: Sequence[str]) -> None:
    """Put the strings back where their marks are in `value`, which `msgspec` has decoded."""
    containers: list[Any] = [value]
    while containers:
        container = containers.pop()
        if isinstance(container, dict) and any(_MARK in name for name in container if isinstance(name, str)):
            members = [(_whole(name, texts), held) for name, held in container.items()]
            container.clear()
            container.update(members)
        for place, held in list(_places(container)):
            whole = _whole(held, texts)
            if whole is not held:
                _put(container, place, whole)
            elif isinstance(held, msgspec.Struct | list | dict):
                containers.append(held)


def _long_strings(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where long strings begin and end, without their quotation marks."""
    start = opened = 0
    in_string = False
    while start < len(body):
        piece = body[start : start + _SLICE_BYTES]
        if b"\\" in piece:
            # Where a piece ends within an escape, the next one begins with it.
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2 and start + len(piece) < len(body):
                piece = piece[:-1]
            piece = piece.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        first = piece.find(b'"')
        if first >= 0:
            if in_string and start + first - opened > LONG_BYTES:
                yield opened, start + first
            in_string ^= piece.count(b'"') % 2 == 1
            opened = start + piece.rfind(b'"') + 1
        start += len(piece)


def _decoded(body: bytes, start: int, end: int) -> str:
    text = ""
    # `+=` in a `for` grows the string in place, as nothing else holds it: memory comes piece by piece, too.
    for piece in _pieces(body, start, end):
        if len(text) + len(piece) > MOST_WIDE and not (text.isascii() and piece.isascii()):
            raise InvalidRequest(
                f"a text in the body has more than {MOST_WIDE} characters, and not only those of ASCII: no"
                " such text fits a model"
            )
        text += piece
    return text


def _pieces(body: bytes, at: int, end: int) -> Iterator[str]:
    while at < end:
        piece, at = _piece(body, at, end)
        yield piece


def _piece(body: bytes, at: int, end: int) -> tuple[str, int]:
    """Return what the string says from `at` on, and where that ends."""
    most = min(end, at + _SLICE_BYTES)
    for stop in range(most, max(at, most - _LONGEST_CUT), -1):
        try:
            return _string(b'"%b"' % body[at:stop]), stop
        except (msgspec.DecodeError, UnicodeDecodeError):
            if most == end:
                break
    raise msgspec.DecodeError("no string")


def _places(container: Any) -> Iterator[tuple[Any, object]]:
    if isinstance(container, msgspec.Struct):
        return ((name, getattr(container, name)) for name in container.__struct_fields__)
    return iter(container.items()) if isinstance(container, dict) else enumerate(container)


def _put(container: Any, place: Any, value: object) -> None:
    if isinstance(container, msgspec.Struct):
        msgspec.structs.force_setattr(container, place, value)
    else:
        container[place] = value


def _whole(held: object, texts: Sequence[str]) -> object:
    if isinstance(held, str):
        beginning, mark, number = held.rpartition(f"{_MARK}:")
        return texts[int(number)] if mark and len(beginning) <= _KEPT else held
    if isinstance(held, msgspec.Raw):
        return _whole_json(held, texts)
    return held


def _whole_json(raw: msgspec.Raw, texts: Sequence[str]) -> msgspec.Raw:
    """Return the JSON of a value with the strings that its marks stand for."""
    mark = f"{_MARK}:".encode()
    if mark not in bytes(raw):
        return raw
    first, *rest = bytes(raw).split(mark)
    pieces = [first]
    for piece in rest:
        number, _, behind = piece.partition(b'"')
        pieces += (msgspec.json.encode(texts[int(number)][_KEPT:])[1:], behind)
    return msgspec.Raw(b"".join(pieces))
