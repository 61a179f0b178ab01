"""People: whose the sessions are, over all their keys; linked accounts, and their erasure."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from nanobot.core.memory import MemoryFact
from nanobot.core.scopes import Scopes
from nanobot.core.sessions import ALL, Session, SessionFilter
from nanobot.core.uploads import Upload

MAX_NAME_CHARS = 600
"""A person's name is at most a session key with a mark before it, or a channel of the settings and a user."""


class Person(msgspec.Struct, frozen=True):
    """Somebody who has talked to the agent, or of whom something is remembered, as far as who asks may see
    it.

    `id`: the name that stands for all. `names`: of the linked accounts, `id` among them unless it may not be
    seen. `files`: how many uploads. Times are seconds since the epoch, of the first session's beginning and
    the last one's use; 0 where there are only uploads, links, or facts.
    """

    id: str
    names: tuple[str, ...]
    sessions: int
    files: int
    created_at: float
    updated_at: float


class PersonSession(msgspec.Struct, frozen=True):
    """A session of a person, and whom its key speaks of."""

    session: Session
    scopes: Scopes


class Erasure(msgspec.Struct, frozen=True):
    """What went with a person. `bytes_`: what messages and uploads took. `links`: how many names were
    unlinked. `facts`: how many versions of facts.

    `left`: the person's sessions that who asked may not see, which are as they were, and so are the links
    then.
    """

    sessions: int
    messages: int
    turns: int
    files: int
    bytes_: int
    links: int
    left: int
    facts: int = 0


class LinkCode(msgspec.Struct, frozen=True):
    """A code that links an account to the person, as it is kept: `digest` is all that is left of it."""

    digest: bytes
    person: str
    expires_at: float


class People(Protocol):
    """The people whom session keys speak of.

    A person is named by `id`, which may be any of the linked names. `matching`: which sessions who asks may
    see; somebody of whom none may be seen is not there.
    """

    async def people(
        self, *, limit: int, after: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[Person, ...]:
        """Return people with a session, by their ids; those that come after the id `after`."""
        ...

    async def person(self, id_: str, *, matching: SessionFilter = ALL) -> Person:
        """Return the person.

        Raises:
            PersonNotFound
        """
        ...

    async def sessions_of_person(
        self, id_: str, *, limit: int, after: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[PersonSession, ...]:
        """Return sessions of the person, those that began last first; `after` is the key of the last one of
        the page before.

        Raises:
            PersonNotFound
            SessionNotFound: there is no session `after` among them.
        """
        ...

    async def keys_of_person(self, id_: str, *, matching: SessionFilter = ALL) -> tuple[Scopes, ...]:
        """Return the keys of the person's sessions, those that began first first.

        Raises:
            PersonNotFound
        """
        ...

    async def uploads_of_person(
        self, id_: str, *, limit: int, before: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[Upload, ...]:
        """Return uploads of the person, newest first, those that have expired too; those with an id before
        `before`. None where there is no such person.
        """
        ...

    async def facts_of_person(
        self, id_: str, *, limit: int, after: str | None = None, matching: SessionFilter = ALL
    ) -> tuple[tuple[MemoryFact, ...], ...]:
        """Return facts that are remembered of the person, and that they told groups, by their ids; those with
        an id after `after`. Each is given as its versions, newest first; where not all sessions are asked
        for, as those that were said in them. None where there is no such person.
        """
        ...

    async def linked_names(self) -> Mapping[str, tuple[str, ...]]:
        """Return for each name that is linked all names of its person, itself included."""
        ...

    async def links_version(self) -> int:
        """Return a number that changes whenever a link is made or undone; cheap."""
        ...

    async def other_sessions(self, session_key: str, *, limit: int) -> tuple[str, ...]:
        """Return the keys of other sessions whose transcripts a turn of the session may be told of: in a
        private chat the private ones of the person, newest first; in a group those of its members there, the
        one that was used last first. Never what was said in private in a group.
        """
        ...

    async def check_private(self, id_: str, *, matching: SessionFilter = ALL) -> None:
        """Return where who asks sees all private sessions of the account `id_`, and some, or may see all
        sessions.

        Raises:
            PersonNotFound
        """
        ...

    async def link_people(self, id_: str, other: str, *, matching: SessionFilter = ALL) -> str:
        """Make one person of two; return its id: that of `id_`.

        Raises:
            PersonNotFound: as `check_private`, of one of them. Who may see all sessions may link names that
                have none yet.
            InvalidRequest: they are one already, have too many accounts, or a name is not valid.
        """
        ...

    async def unlink_name(self, name: str, *, matching: SessionFilter = ALL) -> str:
        """Make the account `name` a person of its own again; return the id of those that stay linked, or the
        one other name.

        Raises:
            PersonNotFound: as `check_private`.
            InvalidRequest: it is not linked.
        """
        ...

    async def keep_link_code(self, code: LinkCode, *, matching: SessionFilter = ALL) -> None:
        """Keep a code for the person, in place of the one before.

        Raises:
            PersonNotFound: as `check_private`.
        """
        ...

    async def link_by_code(self, id_: str, digest: bytes, *, matching: SessionFilter = ALL) -> str:
        """Link the person to the one who has the code, which is used up then; return the id of both.

        Raises:
            PersonNotFound: as `check_private`.
            InvalidLinkCode: there is no such code, or it has expired.
            InvalidRequest: they are one already.
        """
        ...

    async def erase_person(self, id_: str, *, matching: SessionFilter = ALL) -> Erasure:
        """Delete all sessions and uploads of the person that who asks may see, as `delete_session` does
        each; and the links, where nothing is left. What begins meanwhile stays. It is finished also where
        nobody waits for it any more; where it breaks off, by `finish_erasures` or at the next start.

        Raises:
            PersonNotFound
        """
        ...

    async def finish_erasures(self) -> int:
        """Finish the erasures that broke off, as on a full disk, and return how many those were.

        Raises:
            StoreError: they are not finished yet.
        """
        ...
