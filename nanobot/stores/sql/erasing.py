"""A person is erased: their sessions are hidden a few in a transaction, so that the turns of others need not
wait, then their facts and links go.

What is still to be done of it is known from the disk. Where the server is killed, it is done at the next
start, before anybody is served; where it breaks off for another reason, such as a full disk, by a server that
runs on.
"""

from collections.abc import Callable

import msgspec

from nanobot.core.sessions import ALL, SessionFilter
from nanobot.stores.sql import catalogue, people, remembering
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.links import names_of

MOST_KEYS = 16
_CHORE = "erase "


class PendingErasure(msgspec.Struct, frozen=True):
    """An erasure under way: whose names, and which sessions. What began after the session `last` and the time
    `at`, and what was remembered after the version `last_fact`, stays: somebody who comes back starts over.
    `facts`: how many versions of facts there were. One that was begun by an older version has no
    `last_fact`: all of them go.
    """

    names: tuple[str, ...]
    last: int
    at: float
    facts: int
    matching: SessionFilter = ALL
    last_fact: int | None = None

    @property
    def chore(self) -> str:
        """The name under which it is kept until it is over."""
        return _CHORE + msgspec.json.encode(self).decode()

    @property
    def places(self) -> tuple[tuple[str, str, str, float], ...]:
        """The tables with session keys of the person: the table, the column of the key, and up to which value
        of which column its rows go.
        """
        return ("session", "key", "id", self.last), ("file", "session_key", "created_at", self.at)


class ErasureResult(msgspec.Struct, frozen=True):
    """How many links and versions of facts have gone, and how many sessions and uploads are left."""

    links: int
    facts: int
    left: int


def begin(db: Db, *, id_: str, matching: SessionFilter, now: float) -> PendingErasure:
    """Note that the person is to be erased.

    Raises:
        PersonNotFound: there is nothing of them that may be seen.
    """
    names = names_of(db, id_)
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM session").fetchone()
    last_fact = remembering.last_number(db)
    facts = remembering.count_of(db, names, last_fact)
    begun = PendingErasure(names, last, now, facts, matching, last_fact)
    # Of somebody there may be facts alone, written by hand, a link, or a code that was asked for.
    is_known = matching == ALL and (len(names) > 1 or begun.facts > 0 or people.has_code(db, names))
    if not is_known and not next_keys(db, begun, most=1):
        raise people.nobody(id_)
    db.execute("INSERT OR IGNORE INTO chore (name) VALUES (?)", (begun.chore,))
    return begun


def next_keys(db: Db, begun: PendingErasure, *, most: int = MOST_KEYS) -> tuple[str, ...]:
    """Return some session keys of the person that are still there, also of those that have only uploads."""
    for table, column, past, bound in begun.places:
        fits, values = catalogue.fitting(db, column, begun.matching)
        found = db.execute(
            f"SELECT DISTINCT {column} FROM {table} WHERE person IN ({people.marks(begun.names)})"
            f" AND {past} <= ? AND {fits} LIMIT ?",
            (*begun.names, bound, *values, most),
        ).fetchall()
        if found:
            return tuple(key for (key,) in found)
    return ()


def settle(db: Db, begun: PendingErasure) -> ErasureResult:
    """Once no session is left that was asked for: unlink the names and delete what is remembered, where
    nothing of theirs is left that may not be seen; the erasure is over.
    """
    names = begun.names
    left = 0
    for table, column, past, bound in begun.places:
        (count,) = db.execute(
            f"SELECT count(DISTINCT {column}) FROM {table} WHERE person IN ({people.marks(names)})"
            f" AND {past} <= ?",
            (*names, bound),
        ).fetchone()
        left = max(left, count)
    links = 0
    if not left:
        links = people.unlink_all(db, names)
        remembering.erase(db, names, begun.last_fact)
    for name, erasure in _chores(db):
        if erasure == begun:
            db.execute("DELETE FROM chore WHERE name = ?", (name,))
    # Those that were said in a session have gone with it.
    gone = begun.facts - remembering.count_of(db, names, begun.last_fact)
    return ErasureResult(links, max(0, gone), left)


def pending(db: Db) -> tuple[PendingErasure, ...]:
    """Return the erasures that are not over."""
    return tuple(erasure for _, erasure in _chores(db))


def _chores(db: Db) -> list[tuple[str, PendingErasure]]:
    """Return the erasures that are not over, each with the name that it is kept under: an older version may
    have written it otherwise.
    """
    rows = db.execute("SELECT name FROM chore WHERE substr(name, 1, ?) = ?", (len(_CHORE), _CHORE)).fetchall()
    return [
        (name, msgspec.json.decode(name.removeprefix(_CHORE), type=PendingErasure))
        for (name,) in sorted(rows)
    ]


def finish(db: Db, delete: Callable[[str], object]) -> None:
    """Finish the erasures that a crash broke off. `delete` hides the session of a key, with its uploads."""
    for begun in pending(db):
        while keys := next_keys(db, begun):
            for key in keys:
                delete(key)
        settle(db, begun)
