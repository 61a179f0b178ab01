"""People: found by the rows of their sessions and uploads, and by their links."""

from collections.abc import Iterable, Sequence

from nanobot.core.errors import InvalidLinkCode, InvalidRequest, PersonNotFound, SessionNotFound
from nanobot.core.memory import MemoryFact
from nanobot.core.people import MAX_NAME_CHARS, LinkCode, Person, PersonSession
from nanobot.core.scopes import Scopes, own_name, readable
from nanobot.core.sessions import ALL, SessionFilter
from nanobot.core.uploads import Upload
from nanobot.stores.sql import catalogue
from nanobot.stores.sql import facts as remembered
from nanobot.stores.sql import uploads as files
from nanobot.stores.sql.db import Db, Value
from nanobot.stores.sql.links import names_of

MOST_NAMES = 16
"""So many accounts may be one person."""


# Reading ------------------------------------------------------------------------------------------


def people(db: Db, *, limit: int, after: str | None, matching: SessionFilter = ALL) -> tuple[Person, ...]:
    """Return people with a session that is asked for, by their ids."""
    who = "coalesce(l.person, session.person)"
    fits, values = catalogue.fitting(db, "key", matching)
    past = ""
    if after is not None:
        past = f" AND {who} > ?"
        # Not the id that is shown, which is another name where that one may not be seen.
        person(db, after, matching=matching)
        values.append(names_of(db, after)[0])
    ids = db.execute(
        f"SELECT DISTINCT {who} FROM session LEFT JOIN person_link l ON l.name = session.person"
        f" WHERE session.person IS NOT NULL AND {fits}{past} AND NOT {catalogue.left_no_trace(db)}"
        f" ORDER BY {who} LIMIT ?",
        (*values, limit),
    ).fetchall()
    return tuple(person(db, id_, matching=matching) for (id_,) in ids)


def person(db: Db, id_: str, *, matching: SessionFilter = ALL) -> Person:
    """Return the person.

    Raises:
        PersonNotFound
    """
    names = names_of(db, id_)
    fits, values = catalogue.fitting(db, "key", matching)
    sessions = db.execute(
        "SELECT person, count(*), min(created_at), max(updated_at) FROM session"
        f" WHERE person IN ({marks(names)}) AND {fits} AND NOT {catalogue.left_no_trace(db)}"
        " GROUP BY person",
        (*names, *values),
    ).fetchall()
    fits, values = catalogue.fitting(db, "session_key", matching)
    files = db.execute(
        f"SELECT person, count(*) FROM file WHERE person IN ({marks(names)}) AND {fits} GROUP BY person",
        (*names, *values),
    ).fetchall()
    seen = {name for name, *_ in (*sessions, *files)}
    if matching == ALL and (len(names) > 1 or (not seen and _is_remembered(db, names))):
        seen.update(names)
    if not seen:
        raise nobody(id_)
    shown = tuple(name for name in names if name in seen)
    return Person(
        id=shown[0],
        names=shown,
        sessions=sum(count for _, count, _, _ in sessions),
        files=sum(count for _, count in files),
        created_at=min((first for _, _, first, _ in sessions), default=0.0),
        updated_at=max((last for *_, last in sessions), default=0.0),
    )


def _is_remembered(db: Db, names: Sequence[str]) -> bool:
    """Return whether there are facts of one of the names: they stay when the sessions have expired."""
    found = db.execute(f"SELECT 1 FROM fact WHERE {_told_by(names)} LIMIT 1", (*names, *names)).fetchone()
    return found is not None


def sessions(
    db: Db, id_: str, *, limit: int, after: str | None, matching: SessionFilter = ALL
) -> tuple[PersonSession, ...]:
    """Return sessions of the person, newest first."""
    person(db, id_, matching=matching)
    names = names_of(db, id_)
    fits, values = catalogue.fitting(db, "key", matching)
    where = f"person IN ({marks(names)}) AND {fits} AND NOT {catalogue.left_no_trace(db)}"
    values = [*names, *values]
    if after is not None:
        found = db.execute(f"SELECT id FROM session WHERE key = ? AND {where}", (after, *values)).fetchone()
        if found is None:
            raise SessionNotFound(f"no session {after!r} here")
        where, values = f"{where} AND id < ?", [*values, *found]
    rows = db.execute(
        f"SELECT id, key FROM session WHERE {where} ORDER BY id DESC LIMIT ?", (*values, limit)
    ).fetchall()
    return tuple(PersonSession(catalogue.session_of(db, number), db.scopes.of(key)) for number, key in rows)


def keys(db: Db, id_: str, *, matching: SessionFilter = ALL) -> tuple[Scopes, ...]:
    """Return the keys of the person's sessions, oldest first."""
    person(db, id_, matching=matching)
    names = names_of(db, id_)
    fits, values = catalogue.fitting(db, "key", matching)
    rows = db.execute(
        f"SELECT key FROM session WHERE person IN ({marks(names)}) AND {fits}"
        f" AND NOT {catalogue.left_no_trace(db)} ORDER BY id",
        (*names, *values),
    )
    return tuple(db.scopes.of(key) for (key,) in rows)


def uploads(
    db: Db, id_: str, *, limit: int, before: str | None, matching: SessionFilter = ALL
) -> tuple[Upload, ...]:
    """Return uploads of the person, newest first."""
    names = names_of(db, id_)
    fits, values = catalogue.fitting(db, "session_key", matching)
    past, more = ("", ()) if before is None else (" AND id < ?", (before,))
    rows = db.execute(
        f"SELECT {files.COLUMNS} FROM file WHERE person IN ({marks(names)}) AND {fits}{past}"
        " ORDER BY id DESC LIMIT ?",
        (*names, *values, *more, limit),
    ).fetchall()
    return tuple(Upload(*row) for row in rows)


def facts(
    db: Db, id_: str, *, limit: int, after: str | None = None, matching: SessionFilter = ALL
) -> tuple[tuple[MemoryFact, ...], ...]:
    """Return some of what is remembered of the person and what they told groups, by the ids of the facts,
    each as its versions, newest first: where not all sessions are asked for, what was said in those.
    """
    names = names_of(db, id_)
    fits, values = catalogue.fitting(db, "source_key", matching)
    rows = db.execute(
        "SELECT f.id, f.is_undone, f.body, t.id FROM fact f LEFT JOIN turn t ON t.n = f.turn"
        f" WHERE f.id IN (SELECT DISTINCT id FROM fact WHERE ({_told_by(names)}) AND id > ? AND {fits}"
        f" ORDER BY id LIMIT ?) AND {fits} ORDER BY f.id, f.n DESC",
        (*names, *names, after or "", *values, limit, *values),
    ).fetchall()
    return tuple(remembered.in_versions(rows))


def _told_by(names: Sequence[str]) -> str:
    """Return the condition on rows of `fact` that they are of one of the names, or told by it; it takes the
    names twice.
    """
    return f"person IN ({marks(names)}) OR layer = 'person' AND owner IN ({marks(names)})"


def links(db: Db) -> dict[str, tuple[str, ...]]:
    """Return for each name that is linked all names of its person."""
    together: dict[str, list[str]] = {}
    for name, root in db.execute("SELECT name, person FROM person_link ORDER BY person, name"):
        together.setdefault(root, []).append(name)
    return {name: tuple(names) for names in together.values() for name in names}


def links_version(db: Db) -> int:
    """Return a number that changes with every change to the links."""
    return int(db.execute("SELECT version FROM person_link_version").fetchone()[0])


def nobody(id_: str) -> PersonNotFound:
    """Return the error for somebody who is not there, or may not be seen."""
    return PersonNotFound(f"no person {id_!r} here")


def marks(values: Sequence[Value]) -> str:
    """Return a `?` for each of the values."""
    return ", ".join("?" * len(values))


def other_sessions(db: Db, session_key: str, *, limit: int) -> tuple[str, ...]:
    """Return other sessions that a turn of the session may be told of."""
    scopes = db.scopes.of(session_key)
    layers = readable(scopes, linked=names_of(db, scopes.person))
    # What was said in private is not marked as public: in a group there is none of it.
    people_ = [each.owner for each in layers if each.layer == "person" and not each.only_public]
    groups = [each.owner for each in layers if each.layer == "group"]
    # A limit for each name: then no more rows are read than that, whatever there is.
    parts = [
        "SELECT * FROM (SELECT id, key FROM session WHERE person = ? AND group_name IS NULL AND key <> ?"
        " ORDER BY id DESC LIMIT ?)"
    ] * len(people_) + [
        "SELECT * FROM (SELECT id, key FROM session WHERE group_name = ? AND key <> ?"
        " ORDER BY period DESC LIMIT ?)"
    ] * len(groups)
    values = [value for owner in (*people_, *groups) for value in (owner, session_key, limit)]
    rows = db.execute(" UNION ALL ".join(parts), values).fetchall()
    if len(people_) > 1:
        rows.sort(reverse=True)
    return tuple(key for _, key in rows[:limit])


# Linking ------------------------------------------------------------------------------------------


def check_private(db: Db, name: str, *, matching: SessionFilter = ALL) -> None:
    """Return where who asks may see all private sessions of the account, and some. What is said in private is
    what a link shares.

    Raises:
        PersonNotFound
    """
    if matching == ALL:
        return
    fits, values = catalogue.fitting(db, "key", matching)
    (seen, all_) = db.execute(
        f"SELECT count(*) FILTER (WHERE {fits}), count(*) FROM session"
        " WHERE person = ? AND group_name IS NULL",
        (*values, name),
    ).fetchone()
    if not seen or seen < all_:
        raise nobody(name)


def link(db: Db, id_: str, other: str, *, matching: SessionFilter = ALL) -> str:
    """Make one person of two; return its id."""
    for name in (id_, other):
        check_private(db, name, matching=matching)
        _check_name(db, name)
    return _join(db, names_of(db, id_), names_of(db, other))


def _check_name(db: Db, name: str) -> None:
    """Return where somebody may have the name.

    Raises:
        InvalidRequest: it is empty, too long, or a session key whose person has another name.
    """
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise InvalidRequest(
            f"the name {name[:80]!r} is none: it must have 1 to {MAX_NAME_CHARS} printable characters"
        )
    scopes = db.scopes.of(name)
    if scopes.person != name and scopes.person != own_name(name):
        raise InvalidRequest(f"{name!r} is the key of a session: its person is {scopes.person!r}")


def _join(db: Db, ones: Sequence[str], others: Sequence[str]) -> str:
    if ones[0] == others[0]:
        raise InvalidRequest(f"{ones[0]!r} and {others[0]!r} are one person already: nothing was changed")
    if len(ones) + len(others) > MOST_NAMES:
        raise InvalidRequest(
            f"the two have {len(ones)} and {len(others)} accounts: a person may have at most {MOST_NAMES};"
            " unlink some first"
        )
    _write(db, (*ones, *others), ones[0])
    db.execute("DELETE FROM link_code WHERE person = ?", (others[0],))
    return ones[0]


def unlink(db: Db, name: str, *, matching: SessionFilter = ALL) -> str:
    """Make the account a person of its own; return the id of the others."""
    check_private(db, name, matching=matching)
    names = names_of(db, name)
    if len(names) == 1:
        raise InvalidRequest(f"{name!r} is not linked to another account: nothing was changed")
    rest = tuple(each for each in names if each != name)
    db.execute("DELETE FROM link_code WHERE person = ?", (names[0],))
    _write(db, names, None)
    if len(rest) > 1:
        _write(db, rest, rest[0])
    return rest[0]


def _write(db: Db, names: Iterable[str], person_id: str | None) -> None:
    """Let the names be those of one person, or with None each a person of its own."""
    for name in names:
        db.execute("DELETE FROM person_link WHERE name = ?", (name,))
        if person_id is not None:
            db.execute("INSERT INTO person_link (name, person) VALUES (?, ?)", (name, person_id))
    db.execute("UPDATE person_link_version SET version = version + 1")


# Codes --------------------------------------------------------------------------------------------


def keep_code(db: Db, code: LinkCode, now: float, *, matching: SessionFilter = ALL) -> None:
    """Keep a code in place of the person's last one, and none that has expired."""
    check_private(db, code.person, matching=matching)
    names = names_of(db, code.person)
    db.execute("DELETE FROM link_code WHERE person = ? OR expires_at <= ?", (names[0], now))
    db.execute(
        "INSERT INTO link_code (person, digest, expires_at) VALUES (?, ?, ?)",
        (names[0], code.digest, code.expires_at),
    )


def use_code(db: Db, id_: str, digest: bytes, now: float, *, matching: SessionFilter = ALL) -> str:
    """Link the person to the one whose code it is, and forget the code."""
    check_private(db, id_, matching=matching)
    names = names_of(db, id_)
    found = db.execute(
        "SELECT person FROM link_code WHERE digest = ? AND expires_at > ?", (digest, now)
    ).fetchone()
    if found is None:
        raise InvalidLinkCode(
            "this code is wrong, was used already, or has expired: ask for a new one in the other chat",
            param="code",
        )
    db.execute("DELETE FROM link_code WHERE digest = ?", (digest,))
    return _join(db, names_of(db, found[0]), names)


def has_code(db: Db, names: Sequence[str]) -> bool:
    """Return whether a code of the person is kept, also one that has expired."""
    found = db.execute("SELECT 1 FROM link_code WHERE person = ?", (names[0],)).fetchone()
    return found is not None


# Erasing ------------------------------------------------------------------------------------------


def unlink_all(db: Db, names: Sequence[str]) -> int:
    """Make each of the names a person of its own; return how many were linked."""
    (linked,) = db.execute(
        f"SELECT count(*) FROM person_link WHERE name IN ({marks(names)})", tuple(names)
    ).fetchone()
    db.execute("DELETE FROM link_code WHERE person = ?", (names[0],))
    if linked:
        _write(db, names, None)
    return int(linked)
