"""Events: what happens in a turn, in order.

Deltas, the choice of a model and what a running call tells are passing: followers see them, the store does
not. Everything else is durable.

The events of a turn are counted in units: a delta has one per character, what a running call tells none, any
other event one. An event's
cursor is the number of units up to its end. `events_of` rebuilds the events from the stored messages, so a
cursor from a live stream still fits when the deltas are long gone.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal

import msgspec

from nanobot.core.message import Message, PassedOver, Text, Thinking, ToolCall, Usage

Outcome = Literal["done", "failed", "cancelled"]


class TurnError(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a turn failed or was cancelled, as it is stored and shown to its owner.

    `retryable`: a resend of its request takes the turn up again, from its last stored step.
    """

    code: str
    message: str
    http_status: int
    retryable: bool = False
    retry_after_s: float | None = None


class TextDelta(msgspec.Struct, frozen=True, gc=False, tag="text_delta"):
    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, gc=False, tag="thinking_delta"):
    text: str


class ModelChosen(msgspec.Struct, frozen=True, gc=False, tag="model_chosen"):
    """Of several models that may answer, `model` does, because those that were `passed_over` did not. Comes
    before the first delta.
    """

    model: str
    passed_over: tuple[PassedOver, ...]


class MessageAdded(msgspec.Struct, frozen=True, gc=False, tag="message_added"):
    """A message has joined the transcript: the model's, or that of a user who steered the running turn."""

    message: Message


class ToolStarted(msgspec.Struct, frozen=True, gc=False, tag="tool_started"):
    call: ToolCall


class ToolFinished(msgspec.Struct, frozen=True, gc=False, tag="tool_finished"):
    """A tool call has its result: `message` (role `tool`), which joins the transcript with this event."""

    message: Message


class ToolProgress(msgspec.Struct, frozen=True, gc=False, tag="tool_progress"):
    """What a call that runs tells of itself: `text` takes the place of what it told before."""

    call_id: str
    text: str


class TurnEnded(msgspec.Struct, frozen=True, gc=False, tag="turn_ended", omit_defaults=True):
    """The last event of every turn. `usage` sums all steps."""

    outcome: Outcome
    usage: Usage = Usage()
    error: TurnError | None = None


class TurnAdmitted(msgspec.Struct, frozen=True, tag="turn_admitted"):
    """A turn was admitted with `input`; `joins` is the id of the running turn that it steers, if any. Only
    for those who watch the session.
    """

    input: tuple[Message, ...]
    joins: str | None = None


class TurnStarted(msgspec.Struct, frozen=True, tag="turn_started"):
    """An engine has begun the turn, or taken it up again. Only for those who watch the session."""

    attempt: int


def end_alone(end: TurnEnded) -> TurnEnded:
    """Return the end of a turn that joined the one which ended so: it used nothing of its own."""
    return TurnEnded(end.outcome, error=end.error)


Delta = TextDelta | ThinkingDelta
_DELTAS = (TextDelta, ThinkingDelta)
Passing = Delta | ModelChosen | ToolProgress
Fact = MessageAdded | ToolStarted | ToolFinished | TurnEnded
Event = Passing | Fact


def units(event: Event) -> int:
    """Return how many units `event` has."""
    if isinstance(event, _DELTAS):
        return len(event.text)
    return 0 if isinstance(event, ToolProgress) else 1


def events_of(messages: tuple[Message, ...]) -> tuple[Event, ...]:
    """Return the events of a turn, as followers saw them, from the messages that it added to its input."""
    events: list[Event] = []
    for message in messages:
        if message.role == "tool":
            events.append(ToolFinished(message))
            continue
        if message.role == "assistant":
            events.extend(_deltas(message))
        events.append(MessageAdded(message))
        events.extend(starts_of(message))
    return tuple(events)


def starts_of(message: Message) -> Iterator[ToolStarted]:
    """Yield the starts of the message's calls, which come right behind it. The client's calls are never
    started here, nor are those that nobody has agreed to.
    """
    for call in message.tool_calls:
        if not call.for_client and not call.is_withheld:
            yield ToolStarted(call)


def with_words(facts: tuple[Fact, ...]) -> tuple[Event, ...]:
    """Return the facts as followers see them: with deltas before a question of the server, whose words no
    model has shown.
    """
    # Each turn passes here: a loop costs less than a generator.
    for fact in facts:
        if type(fact) is MessageAdded and fact.message.asks:
            break
    else:
        return facts
    events: list[Event] = []
    for fact in facts:
        if isinstance(fact, MessageAdded) and fact.message.asks:
            events.extend(_deltas(fact.message))
        events.append(fact)
    return tuple(events)


def parts_of(deltas: Iterable[Delta]) -> tuple[Text | Thinking, ...]:
    """Return the parts of a message of which only `deltas` came."""
    kinds = ((Text if kind is TextDelta else Thinking, run) for kind, run in groupby(deltas, type))
    return tuple(part("".join(delta.text for delta in run)) for part, run in kinds)


def _deltas(message: Message) -> list[Passing]:
    deltas: list[Passing] = []
    if message.passed_over is not None:
        deltas.append(ModelChosen(message.model or "", message.passed_over))
    for part in message.parts:
        if isinstance(part, Text) and part.text:
            deltas.append(TextDelta(part.text))
        elif isinstance(part, Thinking) and part.text:
            deltas.append(ThinkingDelta(part.text))
    return deltas
