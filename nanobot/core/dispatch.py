"""Dispatch: how turns come to the engine that runs them, and how it writes down what happens."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from nanobot.core.audience import Audience
from nanobot.core.compaction import Summary
from nanobot.core.event import Fact, Passing
from nanobot.core.memory import NO_FACTS, KnownFacts
from nanobot.core.message import Message
from nanobot.core.plan import NO_STATE, AgentState
from nanobot.core.turn import Turn


class TurnPart(msgspec.Struct, frozen=True):
    """Where the part of a running turn stands in a history: its input at `first` and before `end`, then what
    it has added itself, which begins with a summary where that stands for the `folded` first messages of it.

    `is_shortened`: some of its results are shown with their beginning and end alone.
    """

    first: int
    end: int
    folded: int = 0
    is_shortened: bool = False


class History(msgspec.Struct, frozen=True):
    """The newest part of a live transcript, oldest message first.

    `skipped_tokens` estimates all that came before it, `skipped_messages` counts it, and `summary` stands for
    the first part of that; `ends` gives for each message the estimate up to its
    end, counted from the conversation's start. `known`: what is remembered in reach of the session; `state`:
    what its agent keeps for its work. `turn`: the part of the turn that runs, where it is told apart.
    `is_text`: it is known that each message is one text, as `context.history.is_plain` tells.
    """

    messages: tuple[Message, ...]
    skipped_tokens: int = 0
    ends: tuple[int, ...] = ()
    skipped_messages: int = 0
    summary: Summary | None = None
    known: KnownFacts = NO_FACTS
    state: AgentState = NO_STATE
    turn: TurnPart | None = None
    is_text: bool = False


LeftOut = Callable[[int], int]
"""Returns how much from the start of a conversation of so many tokens a turn does not show to its model."""


class Claim(msgspec.Struct, frozen=True):
    """A turn that this engine is to run now, as attempt number `attempt`; its input is in the transcript, at
    the end of `history`.
    """

    turn: Turn
    attempt: int
    history: History | None = None


class Cancel(msgspec.Struct, frozen=True):
    """Tells the engine to stop a running turn; it ends with `why` as its error.

    `may_go_on`: a resend of the turn's request takes it up again.
    """

    turn_id: str
    why: str
    may_go_on: bool = False


Command = Claim | Cancel


class Dispatch(Protocol):
    """Where the engine takes turns from, and the only writer of a running one."""

    def orders(
        self,
        max_running: int,
        history_tokens: int = 0,
        left_out_by: Callable[[Turn], LeftOut | None] | None = None,
    ) -> AsyncIterator[Command]:
        """Yield turns to run, at most `max_running` that have not ended, and cancellations of those; never
        ends by itself.

        With `history_tokens`, each claim brings the history that costs at least so much; that of a turn which
        starts as it is admitted only what `left_out_by` does not leave out of it (None: it does not know).
        What that returns is called in other threads.
        """
        ...

    def stop_orders(self) -> None:
        """Start no more turns: those that wait stay in the queue for the next start."""
        ...

    async def history(self, session_key: str, budget_tokens: int, *, is_whole: bool = False) -> History:
        """Return the newest messages of the live transcript, at least as many as cost `budget_tokens` with
        the summary of what comes before them; `is_whole`: without a summary. Reads no more than it returns.
        """
        ...

    async def append(self, claim: Claim, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        """Commit what happened, in order and at once, and tell the followers.

        Returns the inputs that joined the turn meanwhile (`steer`), now in the transcript after `facts`.
        Where there are some, a `TurnEnded("done")` among `facts` is not applied: the turn goes on with them.
        At an end of another kind they become turns of their own.

        Raises:
            StaleAttempt: the claim is over; nothing was written.
        """
        ...

    def show(self, claim: Claim, event: Passing) -> None:
        """Pass `event` on to the turn's followers; kept in memory until its message is appended."""
        ...

    def audience(self, claim: Claim) -> Audience:
        """Return who reads what is shown of the turn as it comes: its followers, and who watches its
        session.
        """
        ...

    def take_back(self, claim: Claim) -> bool:
        """Forget what was shown since the last append, unless somebody has received some of it;
        return whether they are gone.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Give a running turn back for the next start, at no cost of an attempt."""
        ...
