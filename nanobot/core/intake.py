"""What is taken in from other programs: each conversation and each fact once, however often it is offered."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from nanobot.core.memory import NewFact
from nanobot.core.sessions import ImportedMessage


class ForeignConversation(msgspec.Struct, frozen=True):
    """A conversation of another program, which calls it `id`. Its messages have rising times."""

    program: str
    id: str
    title: str
    messages: tuple[ImportedMessage, ...]


class ForeignFact(msgspec.Struct, frozen=True):
    """A fact from another program that is so since `at`. `is_of_user`: where it does not say whom it is
    about, it is about the user, also where a group is told it.
    """

    fact: NewFact
    at: float
    is_of_user: bool = False


class Intake(msgspec.Struct, frozen=True):
    """What a session takes in of a conversation, or would. `known`: how many of its messages it has already.
    `problem`: why it takes in nothing of the rest.
    """

    messages: tuple[ImportedMessage, ...] = ()
    known: int = 0
    problem: str = ""


class IntakeReader(Protocol):
    """What would be taken in, as of now: each answer counts with all that those before it have promised.
    Every method may raise `StoreError`.
    """

    def untaken(self, session_key: str, conversation: ForeignConversation) -> Intake:
        """Return what the session would take in of the conversation."""
        ...

    def unknown_facts(self, session_key: str, facts: Sequence[ForeignFact]) -> tuple[str, ...]:
        """Return for each of the facts why it would not be kept; empty: it would be."""
        ...


class IntakeWriter(Protocol):
    """Takes in, in transactions that no turn of a running server waits for. Every method may raise
    `StoreError`, and what it had taken in by then stays.
    """

    def take(self, session_key: str, conversation: ForeignConversation) -> Intake:
        """Take in what the session has not yet of the conversation; the session is made where it is missing.

        It takes only conversations of other programs: where somebody has talked in it, none.
        """
        ...

    def remember(self, session_key: str, facts: Sequence[ForeignFact]) -> tuple[str, ...]:
        """Keep those of the facts that are not known; return for each why it was not kept, as
        `unknown_facts`.
        """
        ...
