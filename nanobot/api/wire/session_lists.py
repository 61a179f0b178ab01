"""Sessions, their branches and the receipts of their deletion, as the API shows them."""

import msgspec
from msgspec import UNSET, UnsetType

from nanobot.api.wire.session_export import Instructions, Metadata, Title
from nanobot.api.wire.session_message import message_id
from nanobot.core.sessions import Branch, Deletion, SearchHit, Session
from nanobot.submit.request import model_id


class Match(msgspec.Struct, frozen=True):
    """The newest message of the session that matches a search.

    `snippet` is some text around the first word found in it.
    """

    message_id: str
    role: str
    snippet: str
    created_at: float


class SessionObject(msgspec.Struct, frozen=True, kw_only=True):
    """A session. `messages` counts its transcript; `model` and `instructions` are there where it has
    some of its own, `match` where a search asked for it.
    """

    id: str
    object: str = "session"
    key: str
    title: str | None
    metadata: dict[str, str]
    messages: int
    created_at: float
    updated_at: float
    model: str | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    match: Match | UnsetType = UNSET


class BranchObject(msgspec.Struct, frozen=True, kw_only=True):
    """A branch:

    `id` is its last message, `parted_at` the last one that it shares with the live transcript.
    """

    id: str
    object: str = "session.branch"
    messages: int
    parted_at: str | None
    current: bool
    created_at: float


class RemovedObject(msgspec.Struct, frozen=True):
    """What was deleted with a session:

    `files` are its uploads, `facts` versions of what was remembered, `bytes` the size of its messages and
    uploads.
    """

    messages: int
    turns: int
    files: int
    facts: int
    bytes_: int = msgspec.field(name="bytes")


class SessionDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a deletion."""

    id: str
    object: str = "session.deleted"
    key: str
    deleted: bool = True
    removed: RemovedObject


class SessionChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a session is called, which model answers in it, and what the agent is told there besides the
    settings; a field that is absent stays as it is.
    """

    title: Title | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    instructions: Instructions | UnsetType | None = UNSET


class ForkBody(msgspec.Struct, frozen=True):
    """Where to fork (absent: at the end of the transcript), and the new session's key (absent: a new one)."""

    message_id: str | None = None
    key: str | None = None


class RewindBody(msgspec.Struct, frozen=True):
    """The message that becomes the last one."""

    message_id: str


def session_object(session: Session, match: Match | UnsetType = UNSET) -> SessionObject:
    """Return the session."""
    return SessionObject(
        id=session.key,
        key=session.key,
        title=session.title,
        metadata=session.metadata,
        messages=session.messages,
        created_at=session.created_at,
        updated_at=session.updated_at,
        model=model_id(session.model) if session.model is not None else UNSET,
        instructions=session.instructions if session.instructions is not None else UNSET,
        match=match,
    )


def hit_object(hit: SearchHit) -> SessionObject:
    """Return a session that a search found, with the message that matches."""
    return session_object(hit.session, Match(message_id(hit.seq), hit.role, hit.snippet, hit.created_at))


def branch_object(branch: Branch) -> BranchObject:
    """Return the branch."""
    return BranchObject(
        id=message_id(branch.tip),
        messages=branch.messages,
        parted_at=message_id(branch.parted_at) if branch.parted_at else None,
        current=branch.is_current,
        created_at=branch.created_at,
    )


def receipt(session_key: str, removed: Deletion) -> SessionDeleted:
    """Return the receipt of a deletion."""
    return SessionDeleted(
        id=session_key,
        key=session_key,
        removed=RemovedObject(removed.messages, removed.turns, removed.files, removed.facts, removed.bytes_),
    )
