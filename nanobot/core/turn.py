"""Turns: one input, one final answer. The only way to ask the agent for anything."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

from nanobot.core.errors import NanobotError
from nanobot.core.event import Event, TurnEnded
from nanobot.core.message import Message
from nanobot.core.tool import ToolChoice, ToolSpec

Origin = Literal["api", "cli"]
WhenBusy = Literal["queue", "reject", "interrupt", "steer"]
Status = Literal["queued", "running", "done", "failed", "cancelled", "joined"]
"""`joined`: its input went into another turn that was running (`steer`); that turn's answer is its answer."""

ENDED: frozenset[Status] = frozenset({"done", "failed", "cancelled"})


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the model is asked to write; None leaves the choice to the provider."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    verbosity: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the answer's text must be: a JSON object, or an instance of `schema` (JSON text);

    `name` is what its author calls the schema.
    """

    kind: Literal["json_object", "json_schema"]
    name: str = "answer"
    schema: msgspec.Raw = msgspec.Raw(b"{}")
    strict: bool = False
    description: str | None = None


class Labels(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the client wants to find again: shown with the turn, passed on to providers that keep such things."""

    metadata: dict[str, str] = {}
    user: str | None = None
    safety_identifier: str | None = None


class Record(msgspec.Struct, frozen=True):
    """What is kept of a turn that came as a response, beside the turn itself.

    `echo`: what the client gets to see of its own request, as JSON; None: it is not to be found again.
    `is_detached`: it runs to its end though nobody follows it.
    """

    echo: msgspec.Raw | None
    is_detached: bool = False


class Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wish for one answer.

    `input` are the new messages. `model` is a name of the catalogue (None: the default). `instructions` stand
    below the server's own prompt, for this turn only. `trace=False` leaves the transcript as it was once the
    turn has ended. `tools` are the client's own: a call of one ends the turn, and its result is the input of
    another. `format` is what the answer must be. `after`: the turn that this one follows; the transcript is
    rewound to its end where others have spoken since. `may_cut`: where the window is too small, the oldest
    messages may be left out; else the turn fails. `record`: it came as a response; written down at admission,
    no engine asks for it. `key_id`: the API key that pays for it.
    """

    id: str
    session_key: str
    input: tuple[Message, ...]
    origin: Origin
    when_busy: WhenBusy = "queue"
    model: str | None = None
    instructions: str = ""
    sampling: Sampling = Sampling()
    trace: bool = True
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    format: OutputFormat | None = None
    labels: Labels = Labels()
    after: str | None = None
    may_cut: bool = True
    record: Record | None = None
    key_id: str | None = None


class Identity(msgspec.Struct, frozen=True):
    """By what a resent turn is known again: the client's own key, or that it says `is_retry` and the digest
    is the same.

    Shapes: `digest` 32 bytes over everything that the client sent; `dedupe_key` as sent, or None.
    """

    digest: bytes
    dedupe_key: str | None = None
    is_retry: bool = False


HistoryNote = Literal["new", "imported", "matched", "rewound", "ignored"]
"""What became of the earlier messages that a client sent along."""


class Admission(msgspec.Struct, frozen=True):
    """The answer to `admit`.

    `joined`: the turn was known already, and `turn_id` is the known one's; `is_over`: it had ended for good.
    """

    turn_id: str
    joined: bool
    history: HistoryNote = "new"
    is_over: bool = False


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


class Turns(Protocol):
    """Where entry points hand in turns, and learn what becomes of them."""

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
