"""Names for the people whose words were found in other sessions; ids tell apart those of the same name."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from nanobot.core.fact_words import one_line
from nanobot.core.recall import OtherSessions, Passage

_LONGEST_NAME = 64
SaidBy = Callable[[Passage], str]
_BY_ROLE = {"user": "I said", "assistant": "you said"}


def by_role(passage: Passage) -> str:
    """Return who said it, in the words of the user of the session."""
    if passage.summarises:
        return f"summary of the first {passage.summarises} messages"
    return _BY_ROLE.get(passage.role, passage.role)


def said_by(
    passages: Sequence[Passage], session_key: str, own_name: str | None, others: OtherSessions | None
) -> SaidBy:
    """Return what tells who said each of the passages, in the words of the user of the session, whose name is
    `own_name`.
    """
    if others is None or all(passage.session_key == session_key for passage in passages):
        return by_role
    if others.scopes_of(session_key).group is None:
        return lambda passage: by_role(passage) + _elsewhere(passage, session_key)
    names: dict[str, str | None] = {others.scopes_of(session_key).person: own_name}
    for passage in sorted(passages, key=lambda passage: passage.created_at):
        person = others.scopes_of(passage.session_key).person
        said = passage.name if passage.role == "user" else None
        names[person] = said or names.get(person)
    called = labels(names)

    def in_group(passage: Passage) -> str:
        if passage.session_key == session_key:
            return by_role(passage)
        who = called[others.scopes_of(passage.session_key).person]
        if passage.summarises:
            return f"{by_role(passage)} with {who}"
        return f"you said to {who}" if passage.role == "assistant" else f"{who} said"

    return in_group


def _elsewhere(passage: Passage, session_key: str) -> str:
    return " in another chat" if passage.session_key != session_key else ""


def labels(names: Mapping[str, str | None]) -> dict[str, str]:
    """Return how people, by their ids, are called: by name, with the id behind it where another has a name
    that looks the same, or it could be taken for an id; by the id who has none.
    """
    shown = {person: shown_name(name or "") or person for person, name in names.items()}
    taken: dict[str, set[str]] = {}
    for person, name in shown.items():
        taken.setdefault(_seen(name), set()).add(person)
        taken.setdefault(_seen(person), set()).add(person)
    return {
        person: name
        if taken[_seen(name)] == {person} and (name == person or not may_be_an_id(name))
        else f"{name} ({person})"
        for person, name in shown.items()
    }


@lru_cache(maxsize=256)
def shown_name(name: str) -> str:
    """Return the name of a participant on one line, without characters that are not seen."""
    return one_line(name, _LONGEST_NAME)


def may_be_an_id(name: str) -> bool:
    """Return whether the name may be read as a person's id, or has one in it: all of them have a colon."""
    return ":" in unicodedata.normalize("NFKC", name)


def _seen(name: str) -> str:
    """Return the same for names that look the same."""
    return unicodedata.normalize("NFKC", name).casefold()
