"""Memory: facts that last beyond the conversation in which they were said.

A fact has versions, one of which stands: a new one supersedes the one before, and a rewind of the session
that wrote it takes it back. To forget a fact deletes all of its versions for good.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from nanobot.core.origin import Origin
from nanobot.core.scopes import Layer

MOST_SUBJECT_CHARACTERS = 80
MOST_VERSIONS = 50
"""Of a fact that changes often, the oldest versions are deleted."""


class MemoryFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of something that is so from `valid_from` on, seconds since the epoch.

    `owner`: the person, the group or the session (its key) whose fact it is. `subject`: whom or what it is
    about; empty: its owner. `confidence`: from 0 to 1. `is_public`: a person's, that the turns of groups may
    be told. `is_pinned`: it comes first in the profile. `is_quoted`: it reads as an instruction, and is only
    ever shown as something that was said. `valid_until`: since when another version stands in its place;
    `is_undone`: a rewind took it back. `turn_id`: the turn that wrote it, None where it was written by hand
    or that turn is not the reader's.
    """

    id: str
    layer: Layer
    owner: str
    text: str
    origin: Origin
    valid_from: float
    subject: str = ""
    confidence: float = 1.0
    is_public: bool = False
    is_pinned: bool = False
    is_quoted: bool = False
    valid_until: float | None = None
    is_undone: bool = False
    turn_id: str | None = None


class KnownFacts(msgspec.Struct, frozen=True):
    """Facts in reach of a turn: the first ones of each owner. `has_more`: an owner has others."""

    facts: tuple[MemoryFact, ...] = ()
    has_more: bool = False


NO_FACTS = KnownFacts()


class MemoryRules(msgspec.Struct, frozen=True):
    """What a store keeps to. `is_read`: turns are given the facts in their reach. `max_facts`: how many facts
    a person, a group or a session may have. `shows_private_in_groups`: what is a person's is in reach where
    the person speaks in a group, also what is not public.
    """

    is_read: bool = True
    max_facts: int = 1_000
    shows_private_in_groups: bool = False


class NewFact(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be remembered. `id`: that of the fact, where it does not replace another. `layer` None: the
    one that what is said in the session belongs to. `turn_id`: the turn that says it, None: it is written by
    hand, and no rewind takes it back. `replaces`: the fact that this is a new version of, by its id or its
    text. `told_to`: a group that the person of the session has asked to tell it, instead of a layer.
    """

    id: str
    text: str
    origin: Origin
    subject: str = ""
    layer: Layer | None = None
    confidence: float = 1.0
    is_public: bool = False
    is_pinned: bool = False
    turn_id: str | None = None
    replaces: str | None = None
    told_to: str | None = None


class FactChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be different about a fact; unset: as it was. With another text, subject or confidence it
    gets a new version, of this `origin`.
    """

    origin: Origin = "user"
    text: str | msgspec.UnsetType = msgspec.UNSET
    subject: str | msgspec.UnsetType = msgspec.UNSET
    confidence: float | msgspec.UnsetType = msgspec.UNSET
    is_public: bool | msgspec.UnsetType = msgspec.UNSET
    is_pinned: bool | msgspec.UnsetType = msgspec.UNSET


class FactPage(msgspec.Struct, frozen=True):
    """Some facts in reach, newest first."""

    facts: tuple[MemoryFact, ...]
    has_more: bool


class Memory(Protocol):
    """Where facts are kept. Each method reaches what a turn of the session would."""

    async def remember(self, session_key: str, new: NewFact) -> MemoryFact:
        """Keep the fact; return it, or the one that says the same already.

        Raises:
            FactNotFound: there is no such fact as it is to replace, or it is not clear which one is meant.
            NotAllowed: the session may not write to the layer, the person has not spoken in the group, or
                what a user said would give way to what a turn has read.
            MemoryFull: the owner has as many facts as one may have.
            TurnNotFound: its turn is none of the session, or leaves no trace.
        """
        ...

    async def facts(
        self, session_key: str, *, limit: int, after: str | None = None, layer: Layer | None = None
    ) -> FactPage:
        """Return a page of the facts that stand, those past the fact with the id `after`.

        Raises:
            FactNotFound: there is no fact `after`.
        """
        ...

    async def search_facts(
        self, session_key: str, text: str, *, limit: int, is_asked: bool = True
    ) -> tuple[MemoryFact, ...]:
        """Return the facts that stand and have most in common with `text`, the best first. Words that many of
        them have do not count, unless somebody asked for them (`is_asked`).
        """
        ...

    async def fact_versions(self, session_key: str, fact_id: str) -> tuple[MemoryFact, ...]:
        """Return all versions of a fact, newest first. The standing one is the first that is not undone.

        Raises:
            FactNotFound
        """
        ...

    async def all_facts(self, session_key: str) -> tuple[tuple[MemoryFact, ...], ...]:
        """Return all facts that stand, newest first, each as its versions."""
        ...

    async def change_fact(self, session_key: str, fact_id: str, change: FactChange) -> MemoryFact:
        """Change the fact by hand, and return it.

        Raises:
            FactNotFound
            NotAllowed: the session may only read it.
        """
        ...

    async def forget(self, session_key: str, which: str, *, by: Origin = "user") -> MemoryFact:
        """Delete the fact with this id or text, all of its versions, for good; return what stood. `by`: where
        the request comes from.

        Raises:
            FactNotFound: there is none, or it is not clear which one is meant.
            NotAllowed: the session may only read it, or a user said it and the request comes from what a turn
                has read.
        """
        ...

    async def erase_facts(self, people: Sequence[str]) -> int:
        """Delete the facts of these people, and those that they said, wherever; return how many there were.
        `people`: the names of one person.
        """
        ...
