"""What was found in an export, and what of it is left out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from nanobot.core.message import Message
from nanobot.core.sessions import ImportedMessage

Program = Literal["chatgpt", "nanobot", "mem0"]
PROGRAMS: tuple[Program, ...] = ("chatgpt", "nanobot", "mem0")

_LEAST_STEP_S = 0.001
_LATEST = 100_000_000_000.0
NO_NAMES: Mapping[str, str] = {}


class FoundConversation(msgspec.Struct, frozen=True):
    """A conversation, its messages with rising times.

    `id`: what the program calls it. `names`: what a session key may be made of, as `id` and `user`.
    """

    id: str
    title: str
    messages: tuple[ImportedMessage, ...]
    names: Mapping[str, str] = NO_NAMES


class FoundFact(msgspec.Struct, frozen=True):
    """A fact that was so at the time `at`; `subject`: whom or what it is about, if not its owner."""

    text: str
    at: float
    subject: str = ""
    names: Mapping[str, str] = NO_NAMES


class ExportContent(msgspec.Struct):
    """What was found in an export. `left_out`: how many of what, in words."""

    program: Program
    conversations: list[FoundConversation]
    facts: list[FoundFact]
    left_out: Counter[str]

    @staticmethod
    def nothing(program: Program) -> "ExportContent":
        """Return a place for what will be found."""
        return ExportContent(program, [], [], Counter())

    def add(self, other: "ExportContent") -> None:
        """Take in what was found elsewhere."""
        self.conversations += other.conversations
        self.facts += other.facts
        self.left_out += other.left_out


def timed(messages: Iterable[tuple[Message, float | None]], begun: float) -> tuple[ImportedMessage, ...]:
    """Return the messages with times that rise: where one has none, or an earlier one, it follows the one
    before. `begun`: when the conversation began.
    """
    at = begun - _LEAST_STEP_S
    found: list[ImportedMessage] = []
    for message, said_at in messages:
        at = max(at + _LEAST_STEP_S, said_at or 0.0)
        found.append(ImportedMessage(message, round(at, 3)))
    return tuple(found)


def moment(value: object) -> float | None:
    """Return a time of an export, seconds or ISO 8601 (without a zone: this machine's), as seconds since the
    epoch; None where it is not one.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LATEST:
        return None
    return float(value)


def day(text: str) -> float | None:
    """Return the beginning of a day that is written as 2026-05-01."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
