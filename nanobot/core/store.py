"""The store: where doors and engine meet, and the only writer of anything that lasts.

Promises of every implementation (tests/contract/ runs one suite on each):
  * What a call returned from is on disk; a call that raised left nothing.
  * Turns of one session run one at a time in order of arrival; turns of different sessions in parallel.
  * `append` by an attempt that is over raises `StaleAttempt` and writes nothing.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from nanobot.core.event import Delta, Event, Fact, TurnEnded
from nanobot.core.message import Message
from nanobot.core.session import Session
from nanobot.core.turn import Identity, Status, Turn
from nanobot.core.upload import Order as UploadOrder
from nanobot.core.upload import Upload, UploadPage

HistoryNote = Literal["new", "imported", "matched", "rewound", "ignored"]
"""What became of the earlier messages that a client sent along."""


class Limits(msgspec.Struct, frozen=True):
    """What admission and recovery hold to."""

    max_queue: int = 16
    max_attempts: int = 3
    retry_window_s: float = 600.0


class Admission(msgspec.Struct, frozen=True):
    """The answer to `admit`. `joined`: the turn was known already, and `turn_id` is the known one's; `is_over`: it had ended for good."""

    turn_id: str
    joined: bool
    history: HistoryNote = "new"
    is_over: bool = False


class History(msgspec.Struct, frozen=True):
    """The newest part of a live transcript, oldest message first.

    `skipped_tokens` estimates all that came before it; `ends` gives for each message the estimate up to its end, counted from
    the conversation's start.
    """

    messages: tuple[Message, ...]
    skipped_tokens: int = 0
    ends: tuple[int, ...] = ()


class Claim(msgspec.Struct, frozen=True):
    """A turn that this engine is to run now, as attempt number `attempt`; its input is in the transcript, at the end of `history`."""

    turn: Turn
    attempt: int
    history: History | None = None


class Cancel(msgspec.Struct, frozen=True):
    """The wish that a running turn stop soon; the engine ends it with `why` as its error."""

    turn_id: str
    why: str


Order = Claim | Cancel


class Row(msgspec.Struct, frozen=True):
    """A message as it is kept. `total_tokens` sums estimates from the start of the conversation to the end of this message."""

    seq: int
    turn_id: str | None
    message: Message
    total_tokens: int
    created_at: float


class Answer(msgspec.Struct, frozen=True):
    """What became of a turn: the messages it added (its input left out) and its end."""

    turn_id: str
    messages: tuple[Message, ...]
    end: TurnEnded


class TurnState(msgspec.Struct, frozen=True):
    """A turn as it stands. `messages` are those that it added so far, its input left out; `end` is set once it has ended."""

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
    """A turn that came as a response: how it stands, what it was given, and what its client gets to see of its own request."""

    state: TurnState
    input: tuple[Message, ...]
    echo: msgspec.Raw


class Conversation(msgspec.Struct, frozen=True):
    """A session under another name; `metadata` is what clients noted beside it."""

    key: str
    created_at: float
    metadata: dict[str, str]


class ItemRef(msgspec.Struct, frozen=True):
    """A message of a session by a name that lasts: its number within its turn, input first, from 0; without a turn its `seq`."""

    turn_id: str | None
    number: int


class Item(msgspec.Struct, frozen=True):
    """A message of a conversation. `is_input`: a client sent it."""

    seq: int
    ref: ItemRef
    message: Message
    is_input: bool


Direction = Literal["asc", "desc"]


class Store(Protocol):
    # Doors --------------------------------------------------------------------------------------------------------

    async def admit(self, turn: Turn, identity: Identity, earlier: tuple[Message, ...] = ()) -> Admission:
        """Commit `turn` and its input, or find the turn that it resends.

        `earlier` are the messages the client sent before the new ones; they are compared with the transcript.

        Raises:
            SessionBusy, QueueFull, IdempotencyMismatch, ShuttingDown, StoreError
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
        """Yield what is new as batches of `(cursor, event)`, from past `after` until `TurnEnded`; live where the turn runs, rebuilt where it ended.

        A delta that `after` falls into is yielded from that character on; the end is yielded even to who has seen it.

        Raises:
            TurnNotFound
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

    # Engine -------------------------------------------------------------------------------------------------------

    def orders(self, max_running: int, history_tokens: int = 0) -> AsyncIterator[Order]:
        """Yield turns to run, at most `max_running` that have not ended, and cancellations of those; never ends by itself.

        With `history_tokens`, each claim brings the history that costs at least so much.
        """
        ...

    def stop_orders(self) -> None:
        """Start no more turns: those that wait stay in the queue for the next start."""
        ...

    async def history(self, session_key: str, budget_tokens: int) -> History:
        """Return the newest messages of the live transcript, at least as many as cost `budget_tokens`; reads no more than it returns."""
        ...

    async def append(self, claim: Claim, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        """Commit what happened, in order and at once, and tell the followers.

        Returns the inputs that joined the turn meanwhile (`steer`), now in the transcript after `facts`. Where there are
        some, a `TurnEnded("done")` among `facts` is not applied: the turn goes on with them. At an end of another kind they
        become turns of their own.

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

    # Sessions -----------------------------------------------------------------------------------------------------

    async def sessions(self, *, limit: int, after: str | None = None) -> tuple[Session, ...]:
        """Return sessions, most recently used first; `after` is the key of the last one of the page before."""
        ...

    async def messages(self, session_key: str, *, limit: int, after_seq: int = 0) -> tuple[Row, ...]:
        """Return rows of the live transcript, oldest first.

        Raises:
            SessionNotFound
        """
        ...

    async def delete_session(self, session_key: str) -> int:
        """Delete the session with all that belongs to it; returns how many messages went. Its running turn is cancelled.

        Raises:
            SessionNotFound
        """
        ...

    # Responses ----------------------------------------------------------------------------------------------------

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
        """Return the session in which a response with this digest (`Identity`) runs, or ended a short time ago."""
        ...

    async def session_of(self, turn_id: str) -> str:
        """Return the key of the turn's session.

        Raises:
            TurnNotFound
        """
        ...

    # Conversations ------------------------------------------------------------------------------------------------

    async def conversation(self, session_key: str) -> Conversation:
        """Return the session as a conversation.

        Raises:
            ConversationNotFound
        """
        ...

    async def create_conversation(self, session_key: str, messages: Sequence[Message], metadata: Mapping[str, str]) -> Conversation:
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

    async def items(self, session_key: str, *, limit: int, past: int = 0, order: Direction = "asc") -> tuple[Item, ...]:
        """Return messages of the live transcript past the one with the `seq` `past`, in that order (`desc`: 0 is past the newest).

        A running turn that leaves no trace is not shown.

        Raises:
            ConversationNotFound
        """
        ...

    async def item(self, session_key: str, ref: ItemRef) -> Item:
        """Return one message of the live transcript.

        Raises:
            ConversationNotFound, ItemNotFound
        """
        ...

    # Uploads ------------------------------------------------------------------------------------------------------

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
        self, session_key: str, *, limit: int, after: str | None = None, order: UploadOrder = "desc", purpose: str | None = None
    ) -> UploadPage:
        """Return uploads of the session by the time of their making; `after` is the id of the last one of the page before.

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

    # The house ----------------------------------------------------------------------------------------------------

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
        """The server stops: take no more turns, and tell those who follow one that it goes on at the next start."""
        ...

    async def close(self) -> None:
        """Finish what was handed in and let go of the data directory. Safe to call twice."""
        ...
