"""Pieces of a line that are raised, lowered, struck through or hidden, as one text."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import NamedTuple


class Script(Enum):
    """Where a text stands beside the line: `10^6`, `H_2`."""

    NONE = ""
    SUPER = "^"
    SUB = "_"


@dataclass(frozen=True)
class Look:
    """How characters look. `font`: what its own characters are to be looked up in."""

    script: Script = Script.NONE
    is_hidden: bool = False
    is_struck: bool = False
    font: str = ""


PLAIN = Look()


class Segment(NamedTuple):
    """A piece of text that looks the same all through."""

    text: str
    script: Script = Script.NONE
    is_hidden: bool = False
    is_struck: bool = False


def joined(segments: Iterable[Segment]) -> str:
    """Return the text of the pieces, with marks for what is not plain."""
    return "".join(
        marked("".join(segment.text for segment in alike), *look)
        for look, alike in groupby(segments, key=lambda segment: segment[1:])
    )


def marked(text: str, script: Script, is_hidden: bool, is_struck: bool) -> str:
    """Return a text with the marks of how it looks; white space around it is left outside of them."""
    core = text.strip()
    if not core or not (script is not Script.NONE or is_hidden or is_struck):
        return text
    before, _, after = text.partition(core)
    if script is not Script.NONE:
        core = script.value + (core if core.isalnum() or len(core) == 1 else f"({core})")
    if is_struck:
        core = f"~~{core}~~"
    if is_hidden:
        core = f"[hidden: {core}]"
    return before + core + after
