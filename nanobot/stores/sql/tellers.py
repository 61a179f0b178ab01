"""Who told a fact in a group: all members' turns read it, so what is so of "the user" must say of whom."""

from collections.abc import Sequence

from nanobot.core.fact_words import one_line
from nanobot.core.memory import MOST_SUBJECT_CHARACTERS
from nanobot.stores.sql import facts, tokens, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.links import names_of

_LONGEST_NAME = 40


def subject_of(db: Db, key: str, turn: int, group: str, subject: str) -> str:
    """Return whom a fact is about that the turn tells the group: `subject`, or else who speaks in the turn,
    by name, or by the person's id who has none. The id stands behind a name under which the group knows
    something of another person.
    """
    person = db.scopes.of(key).person
    names = _names(db, turn)
    called = subject or " / ".join(names) or person
    is_own_name = tokens.folded(called) in map(tokens.folded, names)
    if is_own_name and _is_of_others(db, group, called, names_of(db, person)):
        called = f"{called} ({person})"
    return one_line(called, MOST_SUBJECT_CHARACTERS)


def _names(db: Db, turn: int) -> list[str]:
    """Return the names of those who speak in the turn, each once."""
    session, first, last = db.execute(
        "SELECT session, first_seq, last_seq FROM turn WHERE n = ?", (turn,)
    ).fetchone()
    # While it runs, what comes last in the session is its own.
    last = transcript.SEQ_MASK if last is None else last
    rows = db.execute(
        "SELECT body FROM message WHERE id BETWEEN ? AND ? AND is_input = 1",
        transcript.message_ids(session, first, last),
    )
    messages = [transcript.decode(body) for (body,) in rows]
    said = (one_line(message.name or "", _LONGEST_NAME) for message in messages if message.role == "user")
    return list(dict.fromkeys(name for name in said if name))


def _is_of_others(db: Db, group: str, called: str, person: Sequence[str]) -> bool:
    """Return whether the group knows something of somebody else by this name."""
    rows = db.execute(
        "SELECT body FROM fact WHERE layer = 'group' AND owner = ? AND stands = 1"
        f" AND person NOT IN ({', '.join('?' * len(person))})",
        (group, *person),
    )
    name = tokens.folded(called)
    return any(tokens.folded(facts.decode(body).subject) == name for (body,) in rows)
