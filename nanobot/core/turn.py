"""Turns: one input, one final answer. The only way to ask the agent for anything."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

from nanobot.core.errors import NanobotError
from nanobot.core.event import Event, TurnEnded
from nanobot.core.message import ClientTool, Message
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
    """The client's own notes: shown with the turn, and passed on to providers that take them."""

    metadata: dict[str, str] = {}
    user: str | None = None
    safety_identifier: str | None = None


NO_ECHO = msgspec.Raw(b"null")


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a turn that came as a response.

    `echo`: the part of its request that the client gets to see again, as JSON; `NO_ECHO`: the response cannot
    be retrieved. `is_detached`: the turn runs to its end even where nobody follows it.
    """

    echo: msgspec.Raw = NO_ECHO
    is_detached: bool = False


class Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request for one answer; stores keep it as it is.

    `input` are the new messages. `model` names a configured model (None: the default). `instructions` go
    below the server's own prompt, for this turn only. `trace=False` leaves the transcript as it was once the
    turn has ended. `tools` are the client's own: a call to one ends the turn, and its result is the input of
    another. `declared`: how the client knows those that the model knows under another name or as another
    kind. `format` is what the answer must be. `after`: the turn that this one follows; the transcript is
    rewound to its end where other turns came after it. `may_cut`: where the context window is too small, the
    oldest messages may be left out; otherwise the turn fails. `record`: set where it came as a response.
    `key_id`: the API key that it is charged to. `is_whole`: nothing of the conversation stands before the
    messages that the client sent.
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
    declared: tuple[ClientTool, ...] = ()
    format: OutputFormat | None = None
    labels: Labels = Labels()
    after: str | None = None
    may_cut: bool = True
    record: Record | None = None
    key_id: str | None = None
    is_whole: bool = False


class Identity(msgspec.Struct, frozen=True):
    """What identifies a resent turn: the client's own key, or `is_retry` with the same digest.

    Shapes: `digest` 32 bytes over everything that the client sent; `dedupe_key` as sent, or None.
    """

    digest: bytes
    dedupe_key: str | None = None
    is_retry: bool = False


HistoryNote = Literal["new", "imported", "matched", "rewound", "replaced"]
"""What became of the earlier messages that a client sent along: there were none; an empty session took them
in; they are how the transcript ends; it went back to where they end; it went back to the last message that
both have, and took in the others.
"""


class Admission(msgspec.Struct, frozen=True):
    """The answer to `admit`.

    `joined`: the turn was known already, and `turn_id` is the known one's. `answered_by`: the turn whose
    answer is this one's, which is the turn itself or the running turn that it joined (`steer`). `is_over`: it
    had ended for good.
    """

    turn_id: str
    joined: bool
    answered_by: str
    history: HistoryNote = "new"
    is_over: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What became of a turn: the messages it added (its input left out) and its end."""

    turn_id: str
    messages: tuple[Message, ...]
    end: TurnEnded


class TurnState(msgspec.Struct, frozen=True):
    """A turn as it stands.

    `messages` are those that it has added so far, without its input; `end` is set once it has ended.
    `answered_by`: as in `Admission`. `is_detached`: as in `Record`. `first_seq`: the number of the first
    message of its input in the transcript; None before it has started.
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
    answered_by: str
    is_detached: bool = False
    first_seq: int | None = None


class Turns(Protocol):
    """Where entry points submit turns, and follow them."""

    async def admit(
        self,
        turn: Turn,
        identity: Identity,
        earlier: tuple[Message, ...] = (),
        refusal: NanobotError | None = None,
    ) -> Admission:
        """Commit `turn` and its input, or find the turn that it resends.

        `earlier` are the messages the client sent before the new ones; they are compared with the transcript.
        `refusal` is raised unless the turn is a resent one, which was admitted before.

        Raises: SessionBusy, QueueFull, IdempotencyMismatch, ShuttingDown, StoreError
        """
        ...

    async def knows(self, session_key: str, identity: Identity) -> bool:
        """Return whether `admit` would treat this as a retry, and ignore its input.

        Raises:
            IdempotencyMismatch
        """
        ...

    async def shared(self, session_key: str, earlier: tuple[Message, ...], *, is_whole: bool) -> int:
        """Return how many of the `earlier` messages `admit` would find in the transcript, so that they need
        not be taken in.
        """
        ...

    async def turn(self, turn_id: str) -> TurnState:
        """Return the turn; one that joined another has that one's state under its own id.

        Raises:
            TurnNotFound
        """
        ...

    def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[Sequence[tuple[int, Event]]]:
        """Yield events in batches of `(cursor, event)`, from past `after` until `TurnEnded`: live where the
        turn runs, rebuilt from its messages where it has ended.

        A delta that `after` falls into is yielded from that character on; the end is always yielded.

        Raises: TurnNotFound
        """
        ...

    async def ended(self, turn_id: str) -> Answer:
        """Return the turn's answer, once it has ended.

        Raises:
            TurnNotFound
        """
        ...

    async def cancel(self, turn_id: str, why: str) -> bool:
        """Ask the turn to stop; False where it had ended already.

        Raises:
            TurnNotFound
        """
        ...
