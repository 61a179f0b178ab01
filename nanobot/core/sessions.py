"""Sessions: conversations that last. The history of one is rows in the store."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from nanobot.core.event import Event, TurnAdmitted, TurnStarted
from nanobot.core.message import Message, Role


class Session(msgspec.Struct, frozen=True):
    """A conversation as it is listed. Times are seconds since the epoch; `messages` counts what is in its
    transcript.

    `title` and `metadata` are the user's; the model sees neither. `model`: the preset that answers where a
    request names none. `instructions`: what the agent is told in it besides the settings.
    """

    key: str
    messages: int
    created_at: float
    updated_at: float
    title: str | None = None
    metadata: dict[str, str] = {}
    model: str | None = None
    instructions: str | None = None


class Row(msgspec.Struct, frozen=True):
    """A message as it is kept.

    `total_tokens` sums estimates from the start of the conversation to the end of this message. `number`: its
    number within its turn, from 0, input first; its `seq` where it belongs to no turn. `is_input`: a client
    sent it.
    """

    seq: int
    turn_id: str | None
    message: Message
    total_tokens: int
    created_at: float
    number: int
    is_input: bool


class MessagePage(msgspec.Struct, frozen=True):
    """Some of a transcript's messages, and what they take where they are kept; `has_more`: others follow."""

    rows: tuple[Row, ...]
    size_bytes: int
    has_more: bool


Direction = Literal["asc", "desc"]


class SessionFilter(msgspec.Struct, frozen=True):
    """Which sessions are asked for: those whose key begins with `prefix` and fits one of `patterns` (`*`: any
    run of characters; none: all).
    """

    patterns: tuple[str, ...] = ()
    prefix: str = ""


ALL = SessionFilter()


class SearchHit(msgspec.Struct, frozen=True):
    """A session that a search found, by the newest message of its transcript that fits.

    `seq` and `role` are the message's, `snippet` is the text around the first word found in it, on one line.
    Not the message itself: a page of them may be many megabytes.
    """

    session: Session
    seq: int
    role: Role
    snippet: str
    created_at: float


class Branch(msgspec.Struct, frozen=True):
    """A line of messages that ends at `tip`;

    `parted_at`: the last one that it shares with the live transcript (0: none).
    """

    tip: int
    messages: int
    parted_at: int
    is_current: bool
    created_at: float


class Deletion(msgspec.Struct, frozen=True):
    """What went with a session. `files`: its uploads. `bytes_`: what messages and uploads took. `facts`: how
    many versions of facts.
    """

    messages: int
    turns: int
    files: int
    bytes_: int
    facts: int = 0


class ImportedMessage(msgspec.Struct, frozen=True):
    """A message of a session that is imported. `turn`: the same value for messages of the same turn.
    `is_input`: a client sent it, whatever its role; a user's message is always input.
    """

    message: Message
    created_at: float
    turn: str | None = None
    is_input: bool = False


Watched = TurnAdmitted | TurnStarted | Event


class SessionEvent(msgspec.Struct, frozen=True):
    """What those who watch a session see: something of a turn, which ends at `cursor` of its line.

    `missed`: how many events before it are lost.
    """

    turn_id: str
    cursor: int
    event: Watched
    missed: int = 0


class RetentionRule(msgspec.Struct, frozen=True):
    """Sessions whose key fits `pattern` (`*`: any run of characters) are kept for `seconds` after their last
    use; 0: forever.
    """

    pattern: str
    seconds: float


class Sessions(Protocol):
    """The conversations: their transcripts, branches, text search, and what happens in them."""

    async def sessions(
        self,
        *,
        limit: int,
        after: str | None = None,
        order: Direction = "desc",
        matching: SessionFilter = ALL,
    ) -> tuple[Session, ...]:
        """Return sessions, most recently used first (`asc`: last); `after` is the key of the last one of the
        page before.

        Raises:
            SessionNotFound: there is no session `after` among them.
        """
        ...

    async def search(
        self,
        text: str,
        *,
        limit: int,
        after: str | None = None,
        order: Direction = "desc",
        matching: SessionFilter = ALL,
    ) -> tuple[SearchHit, ...]:
        """Return, in the order of `sessions`, those whose transcript has a message with all the words of
        `text`, or words that begin so.

        All that is committed is found, as far as `index_messages` says; what was rewound, and what turns that
        leave no trace said, is not.

        Raises:
            InvalidRequest: `text` is too long.
            SessionNotFound: as `sessions`.
        """
        ...

    async def index_messages(self) -> bool:
        """Have searches find what was said until now, as `search` does by itself; return whether they find
        all of it: not while an index that is being rebuilt lacks some of what was said before this start,
        nor where nothing can be written.
        """
        ...

    async def session(self, session_key: str) -> Session:
        """Return the session.

        Raises:
            SessionNotFound
        """
        ...

    async def rename_session(
        self,
        session_key: str,
        *,
        title: str | msgspec.UnsetType | None = msgspec.UNSET,
        metadata: Mapping[str, str],
    ) -> Session:
        """Replace the session's title (unset: leave it) and its metadata.

        Raises:
            SessionNotFound
        """
        ...

    async def choose_model(self, session_key: str, preset: str | None) -> Session:
        """Let the model of `preset` answer from now on where a request names none; None: the default one.

        Raises:
            SessionNotFound
        """
        ...

    async def instruct_session(self, session_key: str, instructions: str | None) -> Session:
        """Have the agent told `instructions` in the turns that are admitted from now on; None: nothing more.

        Raises:
            SessionNotFound
        """
        ...

    async def messages(
        self,
        session_key: str,
        *,
        limit: int,
        after_seq: int = 0,
        order: Direction = "asc",
        tip: int | None = None,
    ) -> tuple[Row, ...]:
        """Return rows of the transcript, oldest first (`desc`: newest, then `after_seq` is past the newest to
        return, 0: none).

        `tip`: read the line of messages that ends there instead of the live one. A running turn that leaves
        no trace is not shown.

        Raises: SessionNotFound
            MessageNotFound: there is no message `tip`.
        """
        ...

    async def message_page(
        self,
        session_key: str,
        *,
        limit: int,
        max_bytes: int,
        after_seq: int = 0,
        order: Direction = "asc",
        tip: int | None = None,
    ) -> MessagePage:
        """Return rows as `messages` does, as many as take `max_bytes` where they are kept; the first may take
        more. `after_seq`: a message of the session, on whichever branch.

        Raises: SessionNotFound
            MessageNotFound: there is no message `tip`, or none `after_seq`.
        """
        ...

    async def branches(self, session_key: str) -> tuple[Branch, ...]:
        """Return every line of messages that the session has, the one that was added to last first.

        Raises:
            SessionNotFound
        """
        ...

    async def fork_session(self, session_key: str, new_key: str, *, at: int | None = None) -> Session:
        """Make a session of the messages up to `at` (None: the live transcript as it was before the turn that
        runs now, if one does).

        Raises: SessionNotFound, SessionExists
            MessageNotFound: there is no message `at`.
        """
        ...

    async def rewind_session(self, session_key: str, to: int) -> Session:
        """Let the transcript end at the message `to`, of whichever branch; what came after it stays as a
        branch.

        Raises: SessionNotFound
            SessionBusy: a turn runs or waits.
            MessageNotFound: there is no message `to`.
        """
        ...

    async def import_session(
        self,
        session_key: str,
        messages: Iterable[ImportedMessage],
        *,
        title: str | None,
        metadata: Mapping[str, str],
        model: str | None = None,
        instructions: str | None = None,
    ) -> Session:
        """Make a session of the messages, all or nothing; what taking the next of them raises is raised.

        Raises:
            SessionExists
        """
        ...

    async def add_messages(self, session_key: str, messages: Sequence[Message]) -> tuple[Row, ...]:
        """Add `messages` at the end of the transcript, as input that belongs to no turn.

        Raises:
            SessionNotFound
            SessionBusy: a turn of the session runs or waits.
        """
        ...

    async def delete_session(self, session_key: str) -> Deletion:
        """Delete the session with all that belongs to it, for good; its turns are cancelled.

        What the database's files still hold of it is written over when nothing else is to be done.

        Raises:
            SessionNotFound
        """
        ...

    async def delete_unused(self, rules: Sequence[RetentionRule]) -> int:
        """Delete some of the sessions that have been unused for longer than the first rule that fits allows;
        return how many, 0 once none is left.
        """
        ...

    async def write_over(self) -> None:
        """Write over what the database's files still hold of deleted sessions now, instead of when nothing
        else is to be done.
        """
        ...

    def watch(
        self, session_key: str, after: tuple[str, int] | None = None
    ) -> AsyncGenerator[Sequence[SessionEvent], None]:
        """Yield in batches what happens in the session: what its unended turns said so far, then what comes,
        until it is deleted or the store hangs up.

        The first batch comes at once, though it may be empty. `after`: a turn of the session and a cursor on
        its line; the rest of that turn comes first. Turns that leave no trace are not shown. Who is slow
        holds up nobody, and misses what is too old to be kept for it.

        Raises: SessionNotFound
            TurnNotFound: `after` names no turn of the session.
        """
        ...
