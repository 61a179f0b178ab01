"""Recall: old messages that bear on a new one are looked for, of those that the model does not see."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from nanobot.core.message import Role
from nanobot.core.scopes import Scopes


class OtherSessions(Protocol):
    """The other sessions that a turn may be told of: in a private chat the person's other private ones, in a
    group those of its members there.
    """

    def may_have(self, session_key: str) -> bool:
        """Return whether there may be other sessions, without looking them up. Most sessions have none."""
        ...

    async def of(self, session_key: str) -> Sequence[str]:
        """Return their keys, at most so many as a search takes.

        Raises:
            StoreError
        """
        ...

    def scopes_of(self, session_key: str) -> Scopes:
        """Return whom the session key speaks of."""
        ...


class Reach(msgspec.Struct, frozen=True):
    """A session whose transcript may be searched for a turn: its first `messages`, None: all but what the
    running turn says.
    """

    session_key: str
    messages: int | None = None


class Passage(msgspec.Struct, frozen=True):
    """A message that a search found: an excerpt of at most so many characters as were asked for, on one line.

    `turn_id`: the turn that it belongs to, None where it is in none. `name`: of who spoke, where a client
    said it. `summarises`: it is a line of a summary, of the first so many messages of its session up to
    `seq`; 0: it is a message.
    """

    session_key: str
    seq: int
    turn_id: str | None
    role: Role
    created_at: float
    text: str
    name: str | None = None
    summarises: int = 0


class MessageSearch(Protocol):
    """Where old messages are looked for."""

    async def search_messages(
        self,
        text: str,
        reach: Sequence[Reach],
        *,
        limit: int,
        skip: int = 0,
        characters: int = 400,
        is_asked: bool = True,
    ) -> tuple[Passage, ...]:
        """Return up to `limit` messages of the live transcripts in reach that have most in common with
        `text`, the best first, after the first `skip`; an excerpt of `characters` of each.

        Words that many messages have do not count; what has too little in common, or says the same as `text`,
        is not returned. Where all of a session is in reach, the lines of its newest summary are, too.
        `is_asked`: somebody looks for it; then, where `text` has no other words, they count all the same, and
        messages of one or two words are returned, too. At most
        50 messages can be paged through, and of many sessions the most recently used ones are searched. Where
        much was said just now, or the index is being rebuilt, some may be missed; see
        `Sessions.index_messages`.
        """
        ...


def cut_to_bytes(text: str, most_bytes: int) -> str:
    """Return the text, cut to at most so many bytes of UTF-8 where it is longer."""
    encoded = text.encode()
    if len(encoded) <= most_bytes:
        return text
    mark = "…"
    return encoded[: max(0, most_bytes - len(mark.encode()))].decode(errors="ignore") + mark
