"""People, their links and the receipts of their erasure, as the API shows them."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from nanobot.api.wire import session_export
from nanobot.api.wire.memory import versions_of
from nanobot.core.memory import MemoryFact
from nanobot.core.people import MAX_NAME_CHARS, Erasure, Person, PersonSession
from nanobot.core.sessions import Row
from nanobot.core.uploads import Upload

FORMAT = "nanobot.person"
VERSION = 1
_encode = msgspec.json.Encoder().encode
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]


class PersonObject(msgspec.Struct, frozen=True, kw_only=True):
    """A person. `names`: of the linked accounts; `sessions` and `files`: how many there are. Times are those
    of the first session's beginning and the last one's use, `null` where there is no session.
    """

    id: str
    object: str = "person"
    names: tuple[str, ...]
    sessions: int
    files: int
    created_at: float | None
    updated_at: float | None


class PersonSessionObject(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a person. `group`: the group that the person spoke in; `null`: it is a private chat."""

    id: str
    object: str = "person.session"
    key: str
    person: str
    group: str | None
    title: str | None
    messages: int
    created_at: float
    updated_at: float


class LinkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who else is this person: by a `code` that the other chat was shown, or, for the operator, by name."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    person: Name | None = None


class LinkCodeObject(msgspec.Struct, frozen=True, kw_only=True):
    """A code that links another account to the person, once, until `expires_at`."""

    object: str = "person.link_code"
    person: str
    code: str
    expires_at: float


class LinkDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt for a link that was undone: the account `id` is a person of its own."""

    id: str
    object: str = "person.link.deleted"
    deleted: bool = True


class ErasedObject(msgspec.Struct, frozen=True):
    """What was deleted with a person: `links` are names that were linked, `facts` versions of what was
    remembered, `bytes` the size of messages and uploads.
    """

    sessions: int
    messages: int
    turns: int
    files: int
    links: int
    facts: int
    bytes_: int = msgspec.field(name="bytes")


class LeftObject(msgspec.Struct, frozen=True):
    """What this API key does not reach of the person, and is as it was."""

    sessions: int


class PersonDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of an erasure. `complete`: nothing of the person is left."""

    id: str
    object: str = "person.deleted"
    deleted: bool = True
    complete: bool
    removed: ErasedObject
    left: LeftObject


def person_object(person: Person) -> PersonObject:
    """Return the person."""
    return PersonObject(
        id=person.id,
        names=person.names,
        sessions=person.sessions,
        files=person.files,
        created_at=person.created_at or None,
        updated_at=person.updated_at or None,
    )


def person_session_object(each: PersonSession) -> PersonSessionObject:
    """Return a session of a person."""
    session = each.session
    return PersonSessionObject(
        id=session.key,
        key=session.key,
        person=each.scopes.person,
        group=each.scopes.group,
        title=session.title,
        messages=session.messages,
        created_at=session.created_at,
        updated_at=session.updated_at,
    )


def receipt(id_: str, erasure: Erasure) -> PersonDeleted:
    """Return the receipt of an erasure."""
    removed = ErasedObject(
        erasure.sessions,
        erasure.messages,
        erasure.turns,
        erasure.files,
        erasure.links,
        erasure.facts,
        erasure.bytes_,
    )
    return PersonDeleted(id=id_, complete=not erasure.left, removed=removed, left=LeftObject(erasure.left))


# The export, a JSON object in pieces ----------------------------------------------------------------


class _Head(msgspec.Struct, frozen=True):
    format: str
    version: int
    id: str
    names: tuple[str, ...]


class _ExportedSession(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    person: str
    group: str | None
    title: str | None
    metadata: dict[str, str]
    model: str | None
    instructions: str | None
    created_at: float
    updated_at: float


class _ExportedFile(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    session: str
    filename: str
    purpose: str
    bytes_: int = msgspec.field(name="bytes")
    created_at: float
    expires_at: float | None


def export_begin(person: Person) -> bytes:
    """Return the beginning, up to the sessions."""
    return _open(_Head(FORMAT, VERSION, person.id, person.names)) + b',"sessions":['


def export_session(each: PersonSession) -> bytes:
    """Return the beginning of a session, up to its messages."""
    session = each.session
    head = _ExportedSession(
        key=session.key,
        person=each.scopes.person,
        group=each.scopes.group,
        title=session.title,
        metadata=session.metadata,
        model=session.model,
        instructions=session.instructions,
        created_at=session.created_at,
        updated_at=session.updated_at,
    )
    return _open(head) + b',"messages":['


def export_messages(rows: Iterable[Row]) -> bytes:
    """Return messages, with commas between them, as the export of a session has them."""
    return session_export.lines(rows).rstrip(b"\n").replace(b"\n", b",\n")


def export_files(uploads: Iterable[Upload]) -> bytes:
    """Return uploads, with commas between them."""
    return b",\n".join(
        _encode(
            _ExportedFile(
                id=each.id,
                session=each.session_key,
                filename=each.name,
                purpose=each.purpose,
                bytes_=each.size_bytes,
                created_at=each.created_at,
                expires_at=each.expires_at,
            )
        )
        for each in uploads
    )


def export_facts(facts: Iterable[Sequence[MemoryFact]]) -> bytes:
    """Return facts with their versions, with commas between them."""
    return b",\n".join(_encode(versions_of(each)) for each in facts)


EXPORT_SESSION_END = b"]}"
EXPORT_FILES = b'],"files":['
EXPORT_FACTS = b'],"facts":['
EXPORT_END = b"]}\n"


def _open(value: msgspec.Struct) -> bytes:
    """Return a JSON object that can be gone on with."""
    return _encode(value)[:-1]
