"""Turns: one input, one final answer. The only way to ask the agent for anything."""

from collections.abc import AsyncIterator, Container, Sequence
from typing import Literal, Protocol

import msgspec

from nanobot.core.errors import NanobotError
from nanobot.core.event import Event, TurnEnded
from nanobot.core.message import ClientTool, Message
from nanobot.core.tool import ToolChoice, ToolSpec

Origin = Literal["api", "cli"]
WhenBusy = Literal["queue", "reject", "interrupt", "steer"]
Status = Literal["queued", "running", "done", "failed", "cancelled", "joined"]
"""`joined`: its input went into another turn that was running (`steer`), which answers it."""


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


class Delegation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose part of work a turn does: in a session of its own, but by the policy and on the account of the
    session `session_key`, whose turn `turn_id` waits for it.

    `tools`: the names of the only tools that it may use; None: all that can be delegated. `max_steps`,
    `max_tokens`, `max_s`: its budget, within that of any turn.
    """

    session_key: str
    turn_id: str
    tools: tuple[str, ...] | None = None
    max_steps: int = 25
    max_tokens: int = 0
    max_s: float = 0.0


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
    `key_id`: the API key that it is charged to. `continues`: its input ends with the beginning of the answer,
    which the model goes on with. `is_whole`: nothing of the conversation stands before the messages that the
    client sent. `grace_s`: how long the turn goes on when no client follows it any more (-1: to its end);
    None: as long as the server is set to. `default_model`: what `admit` makes the
    `model` where neither the request nor the session names one. `own_instructions`: those of the session,
    from when the turn was admitted. `delegation`: set where it does a part of the work of another turn.
    `address`: the network it came from, where it has no API key; kept only until it has ended.
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
    continues: bool = False
    grace_s: float | None = None
    default_model: str | None = None
    own_instructions: str = ""
    delegation: Delegation | None = None
    address: str = ""

    @property
    def payer(self) -> str | None:
        """For whom it is counted among the turns that run and wait; None: for nobody."""
        return self.key_id or self.address or None

    @property
    def account_key(self) -> str:
        """The session that the turn is charged to, and whose policy holds."""
        return self.delegation.session_key if self.delegation is not None else self.session_key


class Identity(msgspec.Struct, frozen=True):
    """What identifies a resent turn: the client's own key, or `is_retry` with the same digest.

    The latter is a guess. It is a turn that has not ended, or the newest of its session, unless its answer
    was delivered whole.

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

    `joined`: the turn was known already, and `turn_id` is the known one's. `answered_by`: the turn that
    answers this one, which is the turn itself or the running turn that it joined (`steer`). `is_over`: it had
    ended for good.
    """

    turn_id: str
    joined: bool
    answered_by: str
    history: HistoryNote = "new"
    is_over: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What became of a turn: the messages it added (its input left out) and its end.

    A turn that joined another ends as that one does, but added nothing and used nothing: what was said is
    that one's.
    """

    turn_id: str
    messages: tuple[Message, ...]
    end: TurnEnded


class TurnState(msgspec.Struct, frozen=True):
    """A turn as it stands.

    `messages` are those that it has added so far, without its input; `end` is set once it has ended.
    `answered_by`: as in `Admission`. `is_detached`: as in `Record`. `first_seq`: the number of the first
    message of its input in the transcript; None before it has started. `grace_s`: as in `Turn`.
    `is_waited_for`: it runs, and another turn of its session waits for its end, not counting those that leave
    no trace.
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
    grace_s: float | None = None
    is_waited_for: bool = False


GIVES_WAY = "its client had hung up, and a later message of this session took its place"
"""Why a turn was cancelled that no client followed, where another of its session came."""


class Turns(Protocol):
    """Where entry points submit turns, and follow them."""

    async def admit(
        self,
        turn: Turn,
        identity: Identity,
        earlier: tuple[Message, ...] = (),
        refusal: NanobotError | None = None,
        *,
        left: Container[str] = (),
    ) -> Admission:
        """Commit `turn` and its input, or find the turn that it resends.

        `earlier` are the messages the client sent before the new ones; they are compared with the transcript.
        `refusal` is raised unless the turn is a resent one, which was admitted before. `left`: ids of turns
        whose clients have hung up; one of this session that runs is cancelled in favour of the new one.

        Raises: SessionBusy, QueueFull, Overloaded, IdempotencyMismatch, ShuttingDown, StoreError
        """
        ...

    async def room(self) -> None:
        """Wait, before a request for a turn is read, while others of its payer (`core.payer.PAYER`) have to
        wait for those of other payers.
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
        """Return the turn; one that joined another stands as that one does, but has no messages.

        Raises:
            TurnNotFound
        """
        ...

    def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[Sequence[tuple[int, Event]]]:
        """Yield events in batches of `(cursor, event)`, from past `after` until `TurnEnded`: live where the
        turn runs, rebuilt from its messages where it has ended.

        A delta that `after` falls into is yielded from that character on; the end is always yielded, and of a
        turn that joined another nothing else.

        Raises: TurnNotFound
        """
        ...

    async def ended(self, turn_id: str) -> Answer:
        """Return the turn's answer, once it has ended.

        Raises:
            TurnNotFound
        """
        ...

    async def delivered(self, turn_ids: tuple[str, ...]) -> None:
        """Note that clients have received the answers of these turns whole: what comes again under the same
        count and body is another message. Turns that are gone are passed over.
        """
        ...

    async def cancel(self, turn_id: str, why: str, *, may_go_on: bool = False) -> bool:
        """Ask the turn to stop; False where it had ended already. `may_go_on`: as in `Cancel`.

        Raises:
            TurnNotFound
        """
        ...
