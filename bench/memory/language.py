"""What a language needs for the measurements: facts as they are told and asked for, talk, and names."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of fact: how it is told, asked for in its words, and asked for in others.

    Kinds in `REPLACED` may be told again with another value, and then the last one holds.
    """

    statement: str
    asked: str
    paraphrased: str


KINDS = (
    "sister",
    "move",
    "dislike",
    "allergy",
    "trip",
    "dog",
    "garage",
    "dentist",
    "music",
    "car",
    "book",
    "job",
)
REPLACED = frozenset({"move", "dentist", "garage"})
"""Kinds that are told a second time with another value: then the later message is the one to be found."""


class Language(NamedTuple):
    """The sentences of a language, and what their gaps are filled with."""

    kinds: dict[str, Kind]
    talk: tuple[str, ...]
    answers: tuple[str, ...]
    fillings: dict[str, tuple[str, ...]]
