"""Turns: one input, one final answer. The only way to ask the agent for anything."""

from typing import Literal

import msgspec

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
