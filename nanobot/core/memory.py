"""Memory: facts that last beyond the conversation in which they were said."""

from typing import Literal

import msgspec

Layer = Literal["person", "group", "session"]
Origin = Literal["user", "model", "operator", "import"]


class Reach(msgspec.Struct, frozen=True):
    """Facts of one owner that a session may read: those of a layer, or only the public ones among them."""

    layer: Layer
    owner: str
    only_public: bool = False


class FactSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a fact comes from: the session and its turn, and the person who said it.

    Without a turn it was written by hand, and no rewind takes it back.
    """

    origin: Origin
    session_key: str | None = None
    turn_id: str | None = None
    person: str | None = None


class Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is so from `valid_from` on, until it is superseded or forgotten.

    `confidence`: from 0 to 1. `superseded_by` and `ended_at`: by what, and since when it is so no more.
    """

    id: str
    layer: Layer
    owner: str
    subject: str
    text: str
    source: FactSource
    valid_from: float
    confidence: float = 1.0
    is_public: bool = False
    is_pinned: bool = False
    superseded_by: str | None = None
    ended_at: float | None = None
