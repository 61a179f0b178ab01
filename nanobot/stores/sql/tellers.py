"""Who told a fact in a group: all members' turns read it, so what is so of "the user" must say of whom."""

from collections.abc import Sequence

import msgspec

from nanobot.core.fact_words import one_line
from nanobot.core.memory import MOST_SUBJECT_CHARACTERS, MemoryFact
from nanobot.core.speakers import may_be_an_id
from nanobot.stores.sql import facts, tokens, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.links import names_of

_LONGEST_NAME = 40
_SHORTEST_NAME = 8


def subject_of(db: Db, key: str, turn: int, group: str, subject: str) -> str:
    """Return whom a fact is about that the turn tells the group: `subject`, or else who speaks in the turn,
    by name, or by the person's id who has none. The id stands behind a name that another has told the group
    something under, who gets theirs, too, and behind one that could be taken for an id.
    """
    person = db.scopes.of(key).person
    names = _names(db, turn)
    called = subject or " / ".join(names) or person
    is_own_name = tokens.folded(called) in map(tokens.folded, names)
    if is_own_name and (_tell_apart(db, group, called, names_of(db, person)) or may_be_an_id(called)):
        return _with_id(called, person)
    return one_line(called, MOST_SUBJECT_CHARACTERS)


def _with_id(name: str, person: str) -> str:
    """Return the name with the id behind it; where both are too long, the name is cut."""
    behind = f" ({person})"
    name = one_line(name, max(_SHORTEST_NAME, MOST_SUBJECT_CHARACTERS - len(behind)))
    return one_line(name + behind, MOST_SUBJECT_CHARACTERS)


def _names(db: Db, turn: int) -> list[str]:
    """Return the names of those who speak in the turn, each once."""
    found = db.execute("SELECT session, first_seq, last_seq FROM turn WHERE n = ?", (turn,)).fetchone()
    if found is None:
        return []
    session, first, last = found
    # While it runs, what comes last in the session is its own.
    last = transcript.SEQ_MASK if last is None else last
    rows = db.execute(
        "SELECT body FROM message WHERE id BETWEEN ? AND ? AND is_input = 1",
        transcript.message_ids(session, first, last),
    )
    messages = [transcript.decode(body) for (body,) in rows]
    said = (one_line(message.name or "", _LONGEST_NAME) for message in messages if message.role == "user")
    return list(dict.fromkeys(name for name in said if name))


def is_of_another(db: Db, key: str, turn: int, fact: MemoryFact) -> bool:
    """Return whether another member told the group the fact of themselves, and not who speaks in the turn."""
    person = db.scopes.of(key).person
    told = db.execute(
        "SELECT person, turn FROM fact WHERE id = ? AND layer = 'group' AND turn IS NOT NULL", (fact.id,)
    ).fetchall()
    if not told or any(teller in names_of(db, person) for teller, _ in told):
        return False
    return any(
        tokens.folded(fact.subject.removesuffix(f" ({teller})"))
        in map(tokens.folded, (*_names(db, told_in), teller))
        for teller, told_in in told
    )


def _tell_apart(db: Db, group: str, called: str, person: Sequence[str]) -> bool:
    """Return whether the group knows something of somebody else by this name. Behind it stands the other's
    id from then on, where they told it of themselves.
    """
    rows = db.execute(
        "SELECT n, person, turn, body FROM fact WHERE layer = 'group' AND owner = ?"
        f" AND person NOT IN ({', '.join('?' * len(person))})",
        (group, *person),
    ).fetchall()
    name = tokens.folded(called)
    is_known = False
    for n, other, turn, body in rows:
        fact = facts.decode(body)
        if tokens.folded(fact.subject.removesuffix(f" ({other})")) != name:
            continue
        is_known = True
        if fact.subject.endswith(f" ({other})") or turn is None:
            continue
        if name in map(tokens.folded, _names(db, turn)):
            named = facts.encode(msgspec.structs.replace(fact, subject=_with_id(fact.subject, other)))
            db.execute("UPDATE fact SET body = ? WHERE n = ?", (named, n))
    return is_known
