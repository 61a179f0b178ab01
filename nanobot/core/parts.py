"""Parts of a turn's work that other turns do meanwhile: their names, and how their answers are asked for."""

import hashlib

import msgspec

from nanobot.core.ids import call_id
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import ToolCall

DELEGATE = "delegate"
"""The name of the tool that hands over parts, and brings their answers."""
_NAME = LatePattern(r"part_([0-9a-f]{16})")
_DIGEST_CHARS = 16


def part_digest(turn_id: str, id_: str) -> str:
    """Return what identifies the part that a call of the turn has handed over."""
    return hashlib.sha256(f"{turn_id}\0{id_}".encode("utf-8", "surrogatepass")).hexdigest()


def part_name(digest: str) -> str:
    """Return the name by which the model knows the part."""
    return f"part_{digest[:_DIGEST_CHARS]}"


def part_turn_id(turn_id: str, digest: str) -> str:
    """Return the id of the turn that does the part. The time in front stays: ids sort by it."""
    return f"{turn_id[:-_DIGEST_CHARS]}{digest[:_DIGEST_CHARS]}"


def digest_in(name: str) -> str | None:
    """Return the beginning of the digest that the name has; None where it is no name of a part."""
    named = _NAME.fullmatch(name)
    return None if named is None else named[1]


def call_for(turn_id: str, name: str) -> ToolCall:
    """Return the call that waits for the answer of a part, which is always the same."""
    arguments = msgspec.json.encode({"answer_of": name}).decode()
    return ToolCall(call_id(f"{turn_id} {name}"), DELEGATE, arguments)


def is_collecting(turn_id: str, call: ToolCall) -> bool:
    """Return whether the turn made the call itself, as one of `call_for`."""
    if call.name != DELEGATE or (named := _NAME.search(call.arguments)) is None:
        return False
    return call == call_for(turn_id, named[0])
