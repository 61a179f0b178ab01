"""Compaction: a summary stands for the beginning of a conversation that has become long."""

from typing import Protocol

import msgspec

from nanobot.core.message import Message, Usage


class Summary(msgspec.Struct, frozen=True):
    """What stands for the first messages of a live transcript.

    `end_tokens` estimates those that it stands for, and `messages` counts them; `tokens`: the summary itself.
    """

    text: str
    end_tokens: int
    messages: int
    tokens: int

    @property
    def saved_tokens(self) -> int:
        """How much shorter the conversation is with it."""
        return self.end_tokens - self.tokens


class Unsummarised(msgspec.Struct, frozen=True):
    """The messages after the newest summary that the next one is to take in.

    `before`: the summary that is to go into it. `last_seq` is the last message, `end_tokens` and `counted`
    are the size and the number of the messages up to there. `has_more`: there are more that may be taken in.
    """

    session: int
    before: str
    messages: tuple[Message, ...]
    last_seq: int
    end_tokens: int
    counted: int
    has_more: bool = False


class Compacted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A summary as it is kept: its text, the name of the model that wrote it (None: no model did), what that
    cost, and how many of the `facts` that it was to keep are in it.
    """

    text: str
    model: str | None = None
    usage: Usage = Usage()
    facts: int = 0
    facts_kept: int = 0


class StepSummary(msgspec.Struct, frozen=True):
    """What stands for the first messages that a running turn has added itself; `messages` counts them."""

    text: str
    messages: int


class Payer(msgspec.Struct, frozen=True):
    """Who pays for a summary: the session, and the API key of the turn after which it was written. `model`:
    the configured model that was asked, None for the default one.
    """

    session_key: str
    key_id: str | None = None
    model: str | None = None


class Compaction(msgspec.Struct, frozen=True):
    """What became of a conversation that was to be summarised at once: how many of its messages a summary
    stands for now, and how many of these had none before. `summary`: the newest one; None where the
    conversation is too short for one.
    """

    messages: int
    added: int
    summary: Compacted | None = None


class Compacting(Protocol):
    """Summarises at once what somebody asks for."""

    async def compact(self, session_key: str, key_id: str | None = None) -> Compaction:
        """Summarise the conversation but for its newest turn, in place; the transcript stays as it is.
        `key_id`: the API key that pays.

        Raises:
            SessionNotFound, ModelError, StoreError
            ModelBadAnswer: the summary lacked too much twice.
        """
        ...

    async def summarise(
        self, messages: tuple[Message, ...], payer: Payer, *, before: str = "", session_hint: str = ""
    ) -> Compacted:
        """Return a summary of the messages, and of the summary `before` them, which is not kept. Its usage is
        that of all requests it took.

        Raises:
            ModelError, StoreError
            ModelBadAnswer: it lacked too much twice.
        """
        ...


class Compactions(Protocol):
    """Where summaries are kept."""

    async def unsummarised(
        self, session_key: str, *, keep_tokens: int, least_tokens: int, most_tokens: int
    ) -> Unsummarised | None:
        """Return the oldest messages of the session that no summary stands for, up to the end of a turn: at
        most `most_tokens` of them (the first turn whatever its size), and none of the newest `keep_tokens`.

        None: they have less than `least_tokens`.
        """
        ...

    async def add_summary(self, of: Unsummarised, summary: Compacted, payer: Payer) -> bool:
        """Let the summary stand for the messages from now on, and count what it cost; return whether the
        session still has them.
        """
        ...

    async def step_summary(self, turn_id: str) -> StepSummary | None:
        """Return the newest summary of what the turn has done; None where there is none."""
        ...

    async def add_step_summary(self, turn_id: str, messages: int, summary: Compacted, payer: Payer) -> bool:
        """Let the summary stand for the first `messages` that the turn has added, and count what it cost;
        return whether the turn still runs.
        """
        ...

    async def add_spent(self, usage: Usage, payer: Payer) -> None:
        """Count what a summary cost that is not kept. The session need not exist."""
        ...
