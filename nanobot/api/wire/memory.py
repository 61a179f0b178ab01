"""Facts as the API shows and takes them, and as they are exported."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from nanobot.core.fact_words import MOST_CHARACTERS
from nanobot.core.memory import MOST_SUBJECT_CHARACTERS, FactChange, MemoryFact, NewFact
from nanobot.core.origin import Origin
from nanobot.core.scopes import LAYERS, Layer

FORMAT = "nanobot.memory"
_VERSION = 1
FactText = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARACTERS)]
Subject = Annotated[str, msgspec.Meta(max_length=MOST_SUBJECT_CHARACTERS)]
Confidence = Annotated[float, msgspec.Meta(ge=0, le=1)]


class FactObject(msgspec.Struct, frozen=True, kw_only=True):
    """A fact. `owner`: the person, the group or the session key whose fact it is; `subject`: whom or what it
    is about, null: its owner. `quoted`: it reads as an instruction, and is only ever shown as a quotation.
    `turn_id`: the turn of this session that wrote it.
    """

    id: str
    object: str = "memory"
    text: str
    subject: str | None
    layer: Layer
    owner: str
    origin: Origin
    confidence: float
    public: bool
    pinned: bool
    quoted: bool
    valid_from: float
    turn_id: str | None


class FactVersion(FactObject, frozen=True, kw_only=True):
    """A version of a fact. `valid_until`: since when another one stands in its place; `undone`: a rewind took
    it back.
    """

    valid_until: float | None
    undone: bool


class FactWithHistory(FactObject, frozen=True, kw_only=True):
    """A fact with all of its versions, newest first."""

    history: tuple[FactVersion, ...]


class NewFactBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be remembered. `layer` absent: the one that what is said in the session belongs to.
    `replaces`: the id of the fact that this is a new version of.
    """

    text: FactText
    subject: Subject | None = None
    layer: Layer | None = None
    confidence: Confidence = 1.0
    public: bool = False
    pinned: bool = False
    replaces: str | None = None


class FactChangeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; a field that is absent stays as it is."""

    text: FactText | UnsetType = UNSET
    subject: Subject | UnsetType | None = UNSET
    confidence: Confidence | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET


class FactDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a deletion."""

    id: str
    object: str = "memory.deleted"
    deleted: bool = True


class FactExport(msgspec.Struct, frozen=True, kw_only=True):
    """All facts that a session reaches, each with its versions."""

    format: str = FORMAT
    version: int = _VERSION
    facts: tuple[FactWithHistory, ...]


def fact_object(fact: MemoryFact) -> FactObject:
    """Return the fact."""
    return FactObject(**_fields(fact))  # type: ignore[arg-type]


def with_history(versions: Sequence[MemoryFact]) -> FactWithHistory:
    """Return the fact with these versions, newest first, one of which stands."""
    return FactWithHistory(**_fields(standing(versions)), history=versions_of(versions))  # type: ignore[arg-type]


def versions_of(versions: Sequence[MemoryFact]) -> tuple[FactVersion, ...]:
    """Return the versions of a fact."""
    return tuple(
        FactVersion(**_fields(each), valid_until=each.valid_until, undone=each.is_undone)  # type: ignore[arg-type]
        for each in versions
    )


def _fields(fact: MemoryFact) -> dict[str, object]:
    return {
        "id": fact.id,
        "text": fact.text,
        "subject": fact.subject or None,
        "layer": fact.layer,
        "owner": fact.owner,
        "origin": fact.origin,
        "confidence": fact.confidence,
        "public": fact.is_public,
        "pinned": fact.is_pinned,
        "quoted": fact.is_quoted,
        "valid_from": fact.valid_from,
        "turn_id": fact.turn_id,
    }


def new_fact(body: NewFactBody, fact_id: str, origin: Origin) -> NewFact:
    """Return what a body asks to remember."""
    return NewFact(
        id=fact_id,
        text=body.text,
        origin=origin,
        subject=body.subject or "",
        layer=body.layer,
        confidence=body.confidence,
        is_public=body.public,
        is_pinned=body.pinned,
        replaces=body.replaces,
    )


def change(body: FactChangeBody, origin: Origin) -> FactChange:
    """Return what a body asks to change."""
    return FactChange(
        origin=origin,
        text=body.text,
        subject=body.subject or "" if body.subject is not UNSET else UNSET,
        confidence=body.confidence,
        is_public=body.public,
        is_pinned=body.pinned,
    )


_TITLES = {"person": "About the person", "group": "Of the group", "session": "In this conversation"}


def export(facts: Sequence[Sequence[MemoryFact]]) -> bytes:
    """Return facts, each as its versions, as a document of JSON."""
    return msgspec.json.encode(FactExport(facts=tuple(with_history(versions) for versions in facts)))


def standing(versions: Sequence[MemoryFact]) -> MemoryFact:
    """Return the version of a fact that stands, of those that are there, newest first."""
    return next(version for version in versions if not version.is_undone)


def markdown(all_versions: Sequence[Sequence[MemoryFact]]) -> str:
    """Return the facts, each given as its versions, as a document to read: layer by layer, newest first."""
    facts = [standing(versions) for versions in all_versions]
    lines = ["# What is remembered"]
    for layer in LAYERS:
        of_layer = [fact for fact in facts if fact.layer == layer]
        if of_layer:
            lines += ["", f"## {_TITLES[layer]}", "", *map(_item, of_layer)]
    return "\n".join(lines) + "\n"


def _item(fact: MemoryFact) -> str:
    marks = [f"{datetime.fromtimestamp(fact.valid_from, UTC):%Y-%m-%d}", fact.origin]
    marks += [name for name, is_so in (("pinned", fact.is_pinned), ("public", fact.is_public)) if is_so]
    subject = f"{fact.subject}: " if fact.subject else ""
    return f"- {_escaped(subject + fact.text)} *({', '.join(marks)}; {fact.id})*"


def _escaped(text: str) -> str:
    """Return the text so that Markdown shows it as it is."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in text)
