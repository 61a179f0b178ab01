"""Results of tools of which the window shows only the beginning and the end: cutting one, and reading on."""

import hashlib

from nanobot.core.message import ToolResult

READ_RESULT = "read_result"
"""The name of the tool that shows more of a result."""
LEAST_TOKENS = 64
_BYTES_PER_TOKEN = 4
_NOTE_BYTES = 200
_HEAD_SHARE = 2 / 3
_MOST_LEFT_OUT = 0.25
"""How much of what would fit is left out, so that what is shown begins or ends with a whole line."""


def result_name(result: ToolResult) -> str:
    """Return the name by which the model reads on in a result. It depends on the result alone: ids of calls
    may come again in another turn.
    """
    seed = f"{result.call_id}\0{result.content}".encode("utf-8", "replace")
    return f"r{hashlib.blake2b(seed, digest_size=4).hexdigest()}"


def result_tokens(result: ToolResult) -> int:
    """Return an estimate of the tokens that the result costs."""
    content = result.content
    size_bytes = len(content) if content.isascii() else len(content.encode("utf-8", "replace"))
    return size_bytes // _BYTES_PER_TOKEN


def cut_result(result: ToolResult, tokens: int, *, can_read_on: bool) -> str:
    """Return the beginning and the end of the result that cost at most `tokens`, or a little more where that
    is next to nothing; between them stands how much is left out, and how to read it where `can_read_on`.
    """
    content = result.content
    room = max(LEAST_TOKENS, tokens) * _BYTES_PER_TOKEN - _NOTE_BYTES
    head = first_of(content, int(_HEAD_SHARE * room))
    tail = _last_of(content, room - int(_HEAD_SHARE * room))
    first, last = len(head), len(content) - len(tail)
    if first >= last:
        return content
    begins_line = content.count("\n", 0, first) + 1
    if head.endswith("\n") and tail and content[last - 1] == "\n":
        lines = content.count("\n") + (not content.endswith("\n"))
        left_out = (
            f"lines {begins_line:,} to {content.count(chr(10), 0, last):,} of {lines:,} are left out here"
        )
        place = f"line {begins_line}"
    else:
        left_out = f"characters {first + 1:,} to {last:,} of {len(content):,} are left out here"
        place = f"character {first + 1}"
    note = f"({left_out}: {how_to_read(result_name(result), place, can_read_on=can_read_on)}.)"
    return f"{head.rstrip(chr(10))}\n{note}\n{tail}"


def how_to_read(name: str, place: str, *, can_read_on: bool) -> str:
    """Return how the model reads the result from a place on."""
    if can_read_on:
        return f'call {READ_RESULT} with result "{name}" and from "{place}" to read them'
    return "they cannot be shown; say so if the answer needs them"


def first_of(text: str, most_bytes: int) -> str:
    """Return the beginning of the text that has at most so many bytes, up to the end of a line where one is
    near.
    """
    # No character has more bytes than four, and none fewer than one.
    shown = text[:most_bytes].encode("utf-8", "replace")[:most_bytes].decode(errors="ignore")
    if len(shown) == len(text):
        return text
    newline = shown.rfind("\n") + 1
    return shown[:newline] if len(shown) - newline <= _MOST_LEFT_OUT * len(shown) else shown


def _last_of(text: str, most_bytes: int) -> str:
    if most_bytes <= 0:
        return ""
    shown = text[-most_bytes:].encode("utf-8", "replace")[-most_bytes:].decode(errors="ignore")
    newline = shown.find("\n") + 1
    return shown[newline:] if newline <= _MOST_LEFT_OUT * len(shown) else shown
