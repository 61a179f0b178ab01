"""Files of which the window shows only a part: cutting one, and saying where it goes on."""

import msgspec

from nanobot.core.extent import Extent, described, position_at, wanted
from nanobot.core.message import File

READ_FILE = "read_file"
"""The name of the tool that shows more of a file."""
LEAST_TOKENS = 64
_BYTES_PER_TOKEN = 4
_MOST_LEFT_OUT = 0.25
"""How much of what would fit is left out, so that what is shown ends with a whole line."""


def cut_file(file: File, tokens: int) -> File:
    """Return the beginning of the file that costs at most `tokens`, or a little more where that is next to
    nothing; the file itself where it is no longer.
    """
    if file_tokens(file) <= tokens:
        return file
    room = max(LEAST_TOKENS, tokens) * _BYTES_PER_TOKEN - len(file.name.encode())
    text = file.text.encode()[: max(0, room)].decode(errors="ignore")
    newline = text.rfind("\n") + 1
    if newline and len(text) - newline <= _MOST_LEFT_OUT * len(text):
        text = text[:newline]
    end = len(text)
    # Where a page ends, the next one begins.
    while file.text[end : end + 1] == "\n":
        end += 1
    if end >= len(file.text):
        return file
    extent = file.extent
    totals = dict(extent.totals)
    if extent.unit == "line" and "line" not in totals and extent.cut is None:
        totals["line"] = line_count(file.text)
    cut = position_at(extent, file.text, end)
    read_to = extent.cut.number if extent.cut is not None else totals.get("sheet")
    if extent.unit == "sheet" and cut.number != read_to:
        # The number of rows is that of the sheet in which reading ended.
        totals.pop("row", None)
    shown = Extent(extent.unit, totals, extent.titles, extent.marks, cut)
    return msgspec.structs.replace(file, text=text.rstrip("\n"), extent=shown)


def with_note(file: File, *, can_read_on: bool) -> File:
    """Return the file with a note that says where it was cut; as it is where it was not."""
    extent = file.extent
    if extent.cut is None:
        return file
    name = _quoted(file.name)
    at = described(extent, extent.cut)
    if can_read_on:
        how = f'call {READ_FILE} with file {name} and from "{wanted(extent.unit, extent.cut)}" to read on'
    else:
        how = "the rest cannot be shown here; say so if the answer needs it"
    return msgspec.structs.replace(file, note=f"(The file {name} goes on at {at}: {how}.)")


def line_count(text: str) -> int:
    """Return how many lines the text has; a newline at its end begins none."""
    return text.count("\n") + (not text.endswith("\n"))


def file_tokens(file: File) -> int:
    """Return an estimate of the tokens that the file costs."""
    return (len(file.name.encode()) + len(file.text.encode())) // _BYTES_PER_TOKEN


def _quoted(name: str) -> str:
    shown = name.replace('"', "'")
    return f'"{shown}"'
