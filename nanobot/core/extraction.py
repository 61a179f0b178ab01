"""Extraction: facts that a model finds in turns which have ended, some time after."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from nanobot.core.compaction import Payer
from nanobot.core.memory import MemoryFact, NewFact
from nanobot.core.message import Usage
from nanobot.core.turn import Turn


class SaidTurn(msgspec.Struct, frozen=True):
    """What a user said in a turn, at the time `at`. `asked`: the assistant's answer before it. `speaker`: who
    the user is, in a group; what others said in the same turn is another one.
    """

    turn_id: str
    at: float
    said: tuple[str, ...]
    asked: str = ""
    speaker: str = ""


class UnreadTurns(msgspec.Struct, frozen=True):
    """Turns of a session that have ended and were not read for facts, the oldest first.

    `after_seq`, `last_seq`: the messages that were read before, and those that are with these. `known`: the
    facts that the session may change. `key_id`: the API key of the newest turn. `spent_tokens`: what reading
    the session took today. `has_more`: there are others.
    """

    session: int
    turns: tuple[SaidTurn, ...]
    after_seq: int
    last_seq: int
    known: tuple[MemoryFact, ...] = ()
    key_id: str | None = None
    spent_tokens: int = 0
    has_more: bool = False


class Extractions(Protocol):
    """Where it is kept how far turns were read, and what was found."""

    async def unread_turns(self, session_key: str, *, most_characters: int) -> UnreadTurns | None:
        """Return the oldest turns of the session that were not read, with about so much said in them; None:
        there are none. Where none was ever read, those of the last day.
        """
        ...

    async def add_extracted(
        self, of: UnreadTurns, facts: Sequence[NewFact], usage: Usage, payer: Payer
    ) -> tuple[MemoryFact, ...]:
        """Note that the turns were read, at once with what was found in them and what that cost; return the
        facts that were kept. Those of turns that were taken back meanwhile are not; one that can neither
        replace nor stand beside others is left out.
        """
        ...

    async def sessions_with_unread(self, *, limit: int) -> tuple[str, ...]:
        """Return sessions that were used in the last days and may have turns that were not read."""
        ...


class Extracting(Protocol):
    """Reads turns that have ended, in the background."""

    def consider(self, turn: Turn) -> None:
        """Have the session of the turn, which has ended, read some time later. Cheap."""
        ...

    async def run(self) -> None:
        """Read until cancelled."""
        ...

    async def settled(self) -> None:
        """Return when nothing is being read."""
        ...
