"""Events: what happens in a turn, in order.

Deltas pass by (followers see them, the store does not); everything else is durable.

Each event takes up room on the turn's line: a delta one unit per character, any other event one unit. An
event's cursor is the unit at which it ends. Because the stored messages give the same line again, a cursor
taken from a live stream still fits after the deltas are gone (`line`, below, rebuilds it).
"""

from typing import Literal

import msgspec

from nanobot.core.message import Message, Text, Thinking, ToolCall, Usage

Outcome = Literal["done", "failed", "cancelled"]


class TurnError(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a turn failed or was cancelled, as it is stored and shown; safe to show."""

    code: str
    message: str
    http_status: int
    retryable: bool = False
    retry_after_s: float | None = None


class TextDelta(msgspec.Struct, frozen=True, gc=False, tag="text_delta"):
    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, gc=False, tag="thinking_delta"):
    text: str


class MessageAdded(msgspec.Struct, frozen=True, gc=False, tag="message_added"):
    """A message has joined the transcript: the model's, a tool's, or a user's who steered the running turn."""

    message: Message


class ToolStarted(msgspec.Struct, frozen=True, gc=False, tag="tool_started"):
    call: ToolCall


class ToolFinished(msgspec.Struct, frozen=True, gc=False, tag="tool_finished"):
    """A tool call has its result:

    `message` (role `tool`) holds it and joins the transcript with this event.
    """

    message: Message


class TurnEnded(msgspec.Struct, frozen=True, gc=False, tag="turn_ended", omit_defaults=True):
    """The last event of every turn. `usage` sums all steps."""

    outcome: Outcome
    usage: Usage = Usage()
    error: TurnError | None = None


class TurnAdmitted(msgspec.Struct, frozen=True, tag="turn_admitted"):
    """A turn is in the store, with what it was asked.

    `joins`: the running turn that it steers. For those who watch the session.
    """

    input: tuple[Message, ...]
    joins: str | None = None


class TurnStarted(msgspec.Struct, frozen=True, tag="turn_started"):
    """An engine has the turn, for the `attempt`th time. For those who watch the session."""

    attempt: int


Delta = TextDelta | ThinkingDelta
Fact = MessageAdded | ToolStarted | ToolFinished | TurnEnded
Event = Delta | Fact


def units(event: Event) -> int:
    """Return how much room `event` takes on its turn's line."""
    if isinstance(event, TextDelta | ThinkingDelta):
        return len(event.text)
    return 1


def line(messages: tuple[Message, ...]) -> tuple[Event, ...]:
    """Return the events by which `messages` (those that a turn added, its own input left out) came about."""
    events: list[Event] = []
    for message in messages:
        if message.role == "tool":
            events.append(ToolFinished(message))
            continue
        if message.role == "assistant":
            events.extend(_deltas(message))
        events.append(MessageAdded(message))
        events.extend(ToolStarted(call) for call in message.tool_calls if not call.for_client)
    return tuple(events)


def _deltas(message: Message) -> list[Delta]:
    deltas: list[Delta] = []
    for part in message.parts:
        if isinstance(part, Text) and part.text:
            deltas.append(TextDelta(part.text))
        elif isinstance(part, Thinking) and part.text:
            deltas.append(ThinkingDelta(part.text))
    return deltas
