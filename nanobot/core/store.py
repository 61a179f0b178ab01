"""The store: where doors and engine meet, and the only writer of anything that lasts.

Promises of every implementation (tests/contract/ runs one suite on each):
  * What a call returned from is on disk; a call that raised left nothing.
  * Turns of one session run one at a time in order of arrival; turns of different sessions in parallel.
  * `append` by an attempt that is over raises `StaleAttempt` and writes nothing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from nanobot.core.errors import NanobotError
from nanobot.core.event import Delta, Event, Fact, TurnAdmitted, TurnEnded, TurnStarted
from nanobot.core.message import Message
from nanobot.core.session import Session
from nanobot.core.turn import Identity, Status, Turn
from nanobot.core.upload import SortOrder as UploadOrder
from nanobot.core.upload import Upload, UploadPage

HistoryNote = Literal["new", "imported", "matched", "rewound", "ignored"]
"""What became of the earlier messages that a client sent along."""


class Limits(msgspec.Struct, frozen=True):
    """What admission and recovery hold to."""

    max_queue: int = 16
    max_attempts: int = 3
    retry_window_s: float = 600.0


class Admission(msgspec.Struct, frozen=True):
    """The answer to `admit`.

    `joined`: the turn was known already, and `turn_id` is the known one's; `is_over`: it had ended for good.
    """

    turn_id: str
    joined: bool
    history: HistoryNote = "new"
    is_over: bool = False


class History(msgspec.Struct, frozen=True):
    """The newest part of a live transcript, oldest message first.

    `skipped_tokens` estimates all that came before it; `ends` gives for each message the estimate up to its
    end, counted from the conversation's start.
    """

    messages: tuple[Message, ...]
    skipped_tokens: int = 0
    ends: tuple[int, ...] = ()


class Claim(msgspec.Struct, frozen=True):
    """A turn that this engine is to run now, as attempt number `attempt`; its input is in the transcript, at
    the end of `history`.
    """

    turn: Turn
    attempt: int
    history: History | None = None


class Cancel(msgspec.Struct, frozen=True):
    """The wish that a running turn stop soon; the engine ends it with `why` as its error."""

    turn_id: str
    why: str


Command = Claim | Cancel


class Row(msgspec.Struct, frozen=True):
    """A message as it is kept.

    `total_tokens` sums estimates from the start of the conversation to the end of this message.
    """

    seq: int
    turn_id: str | None
    message: Message
    total_tokens: int
    created_at: float


Direction = Literal["asc", "desc"]


class SessionFilter(msgspec.Struct, frozen=True):
    """Which sessions are asked for: those whose key begins with `prefix` and fits one of `patterns` (`*`: any
    run of characters; none: all).
    """

    patterns: tuple[str, ...] = ()
    prefix: str = ""


ALL = SessionFilter()


class SearchHit(msgspec.Struct, frozen=True):
    """A session that a search found, by the newest message of its transcript that fits."""

    session: Session
    row: Row


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
    """What went with a session. `files`: its uploads. `bytes_`: what messages and uploads took."""

    messages: int
    turns: int
    files: int
    bytes_: int


class ImportedMessage(msgspec.Struct, frozen=True):
    """A message that a session is made of; `turn`: what stands for one and the same turn among them."""

    message: Message
    created_at: float
    turn: str | None = None


Watched = TurnAdmitted | TurnStarted | Event


class SessionEvent(msgspec.Struct, frozen=True):
    """What those who watch a session see: something of a turn, which ends at `cursor` of its line.

    `missed`: how many sights before it are lost.
    """

    turn_id: str
    cursor: int
    event: Watched
    missed: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What became of a turn: the messages it added (its input left out) and its end."""

    turn_id: str
    messages: tuple[Message, ...]
    end: TurnEnded


class TurnState(msgspec.Struct, frozen=True):
    """A turn as it stands.

    `messages` are those that it added so far, its input left out; `end` is set once it has ended.
    """

    id: str
    session_key: str
    status: Status
    attempt: int
    model: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    messages: tuple[Message, ...]
    end: TurnEnded | None


class Response(msgspec.Struct, frozen=True):
    """A turn that came as a response: how it stands, what it was given, and what its client gets to see of
    its own request.
    """

    state: TurnState
    input: tuple[Message, ...]
    echo: msgspec.Raw


class Conversation(msgspec.Struct, frozen=True):
    """A session under another name; `metadata` is what clients noted beside it."""

    key: str
    created_at: float
    metadata: dict[str, str]


class ItemRef(msgspec.Struct, frozen=True):
    """A message of a session by a name that lasts: its number within its turn, input first, from 0; without a
    turn its `seq`.
    """

    turn_id: str | None
    number: int


class Item(msgspec.Struct, frozen=True):
    """A message of a conversation. `is_input`: a client sent it."""

    seq: int
    ref: ItemRef
    message: Message
    is_input: bool


class Store(Protocol):
    # Doors ----------------------------------------------------------------------------------------

    async def admit(
        self,
        turn: Turn,
        identity: Identity,
        earlier: tuple[Message, ...] = (),
        refusal: NanobotError | None = None,
    ) -> Admission:
        """Commit `turn` and its input, or find the turn that it resends.

        `earlier` are the messages the client sent before the new ones; they are compared with the transcript.
        `refusal` is why the asker may have no turn now; it is raised unless the turn is known: that one was
        granted already.

        Raises: SessionBusy, QueueFull, IdempotencyMismatch, ShuttingDown, StoreError
        """
        ...

    async def knows(self, session_key: str, identity: Identity) -> bool:
        """Return whether `admit` would find that the turn is a resent one: its input is then of no account.

        Raises:
            IdempotencyMismatch
        """
        ...

    async def turn(self, turn_id: str) -> TurnState:
        """Return the turn; one that joined another is shown as that other's state under its own id.

        Raises:
            TurnNotFound
        """
        ...

    def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[Sequence[tuple[int, Event]]]:
        """Yield what is new as batches of `(cursor, event)`, from past `after` until `TurnEnded`; live where
        the turn runs, rebuilt where it ended.

        A delta that `after` falls into is yielded from that character on; the end is yielded even to who has
        seen it.

        Raises: TurnNotFound
        """
        ...

    async def ended(self, turn_id: str) -> Answer:
        """Return what became of the turn, once it has ended.

        Raises:
            TurnNotFound
        """
        ...

    def shown_as(self, turn_id: str) -> str:
        """Return the id of the turn that runs for this one: its own, or that of the turn which it joined."""
        ...

    async def cancel(self, turn_id: str, why: str) -> bool:
        """Ask the turn to stop; False where it had ended already.

        Raises:
            TurnNotFound
        """
        ...

    # Engine ---------------------------------------------------------------------------------------

    def orders(self, max_running: int, history_tokens: int = 0) -> AsyncIterator[Command]:
        """Yield turns to run, at most `max_running` that have not ended, and cancellations of those; never
        ends by itself.

        With `history_tokens`, each claim brings the history that costs at least so much.
        """
        ...

    def stop_orders(self) -> None:
        """Start no more turns: those that wait stay in the queue for the next start."""
        ...

    async def history(self, session_key: str, budget_tokens: int) -> History:
        """Return the newest messages of the live transcript, at least as many as cost `budget_tokens`; reads
        no more than it returns.
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

    def show(self, claim: Claim, delta: Delta) -> None:
        """Pass `delta` on to the turn's followers; kept in memory until its message is appended."""
        ...

    async def release(self, claim: Claim) -> None:
        """Give a running turn back for the next start, at no cost of an attempt."""
        ...

    # Sessions -------------------------------------------------------------------------------------

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

        All that is committed is found; what was rewound, and what turns that leave no trace said, is not.

        Raises:
            InvalidRequest: `text` is too long.
            SessionNotFound: as `sessions`.
        """
        ...

    async def session(self, session_key: str) -> Session:
        """Return the session.

        Raises:
            SessionNotFound
        """
        ...

    async def rename_session(
        self, session_key: str, *, title: str | None, metadata: Mapping[str, str]
    ) -> Session:
        """Give the session another title, and other metadata.

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
        given: Sequence[ImportedMessage],
        *,
        title: str | None,
        metadata: Mapping[str, str],
    ) -> Session:
        """Make a session of the messages, all or nothing.

        Raises:
            SessionExists
        """
        ...

    async def delete_session(self, session_key: str) -> Deletion:
        """Delete the session with all that belongs to it, for good; its turns are cancelled.

        What the file still holds of it is written over as soon as nothing else is to be done.

        Raises:
            SessionNotFound
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

    # Responses ------------------------------------------------------------------------------------

    async def response(self, turn_id: str) -> Response:
        """Return the turn with what was kept of it as a response.

        Raises:
            ResponseNotFound: it came as none, or is not to be found again.
        """
        ...

    async def forget_response(self, turn_id: str) -> None:
        """Let the response be found no more; the transcript stays as it is."""
        ...

    async def is_detached(self, turn_id: str) -> bool:
        """Return whether the turn runs to its end though nobody follows it."""
        ...

    async def conversation_of(self, digest: bytes) -> str | None:
        """Return the session in which a response with this digest (`Identity`) runs, or ended a short time
        ago.
        """
        ...

    async def session_of(self, turn_id: str) -> str:
        """Return the key of the turn's session.

        Raises:
            TurnNotFound
        """
        ...

    # Conversations --------------------------------------------------------------------------------

    async def conversation(self, session_key: str) -> Conversation:
        """Return the session as a conversation.

        Raises:
            ConversationNotFound
        """
        ...

    async def create_conversation(
        self, session_key: str, messages: Sequence[Message], metadata: Mapping[str, str]
    ) -> Conversation:
        """Make a session whose transcript is `messages`.

        Raises:
            ConversationExists
        """
        ...

    async def note_conversation(self, session_key: str, metadata: Mapping[str, str]) -> Conversation:
        """Replace what is noted beside the conversation.

        Raises:
            ConversationNotFound
        """
        ...

    async def add_items(self, session_key: str, messages: Sequence[Message]) -> tuple[Item, ...]:
        """Add `messages` at the end of the transcript.

        Raises:
            ConversationNotFound
            SessionBusy: a turn of the session runs or waits.
        """
        ...

    async def items(
        self, session_key: str, *, limit: int, past: int = 0, order: Direction = "asc"
    ) -> tuple[Item, ...]:
        """Return messages of the live transcript past the one with the `seq` `past`, in that order (`desc`: 0
        is past the newest).

        A running turn that leaves no trace is not shown.

        Raises: ConversationNotFound
        """
        ...

    async def item(self, session_key: str, ref: ItemRef) -> Item:
        """Return one message of the live transcript.

        Raises:
            ConversationNotFound, ItemNotFound
        """
        ...

    # Uploads --------------------------------------------------------------------------------------

    async def add_upload(self, upload: Upload, content: bytes, quota_bytes: int) -> None:
        """Keep a file. `quota_bytes`: what all uploads of its session may have together.

        Raises:
            UploadsFull: they would have more.
            StoreError: it cannot be written.
        """
        ...

    async def upload(self, file_id: str, session_key: str) -> Upload:
        """Return the upload, if it is one of this session and has not expired.

        Raises:
            UploadNotFound: the same words whatever the reason.
        """
        ...

    async def open_upload(self, file_id: str, session_key: str) -> tuple[Upload, bytes]:
        """Return the upload with what is in it.

        Raises:
            UploadNotFound: as `upload`.
        """
        ...

    async def uploads(
        self,
        session_key: str,
        *,
        limit: int,
        after: str | None = None,
        order: UploadOrder = "desc",
        purpose: str | None = None,
    ) -> UploadPage:
        """Return uploads of the session by the time of their making; `after` is the id of the last one of the
        page before.

        Raises:
            UploadNotFound: there is no upload `after`.
        """
        ...

    async def delete_upload(self, file_id: str, session_key: str) -> None:
        """Delete the upload, row and content.

        Raises:
            UploadNotFound: as `upload`.
        """
        ...

    async def delete_expired_uploads(self) -> int:
        """Delete the uploads that have expired; returns how many."""
        ...

    # The house ------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Return when the store can commit now.

        Raises:
            StoreError
        """
        ...

    async def waiting(self) -> int:
        """Return how many turns of all sessions wait in the queue."""
        ...

    async def backup(self, path: str) -> None:
        """Write a consistent copy to `path` while everything runs on.

        Raises:
            StoreError: the file exists, or cannot be written.
        """
        ...

    def hang_up(self) -> None:
        """The server stops: take no more turns, and tell those who follow one that it goes on at the next
        start.
        """
        ...

    async def close(self) -> None:
        """Finish what was handed in and let go of the data directory. Safe to call twice."""
        ...
