"""Facts as rows: those in reach of a session are read for its turns, listed and found.

Every version of a fact is a row. The newest one that is not undone stands.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from nanobot.core.errors import FactNotFound
from nanobot.core.memory import NO_FACTS, KnownFacts, MemoryFact, MemoryRules
from nanobot.core.scopes import Layer, LayerReach
from nanobot.stores.sql import reaches
from nanobot.stores.sql.db import Db

SHOWN_OF_EACH = 32
"""How many facts of each owner are read for a turn."""
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(MemoryFact).decode
_decode_all = msgspec.json.Decoder(tuple[MemoryFact, ...]).decode


# For a turn ---------------------------------------------------------------------------------------


_STANDS_OF = "EXISTS (SELECT 1 FROM fact WHERE layer = '{}' AND owner = {} AND stands = 1)"
MAY_REACH = " OR ".join(
    (
        # A rewind may take back facts, or bring some.
        "(s.has_facts = 1",
        "s.person IS NULL",
        "EXISTS (SELECT 1 FROM person_link WHERE name = s.person)",
        _STANDS_OF.format("person", "s.person"),
        _STANDS_OF.format("group", "s.group_name"),
        _STANDS_OF.format("session", "s.key") + ")",
    )
)
"""Whether facts may be in reach of a turn of `session s`: where not, none need be read."""


@lru_cache(maxsize=64)
def _joined(bodies: str, only_public: tuple[bool, ...]) -> str:
    owners = (
        "SELECT * FROM (SELECT body FROM fact WHERE layer = ? AND owner = ? AND stands = 1"
        f"{' AND is_public = 1' if public else ''} ORDER BY is_pinned DESC, created_at DESC"
        f" LIMIT {SHOWN_OF_EACH + 1})"
        for public in only_public
    )
    return f"SELECT {bodies} FROM ({' UNION ALL '.join(owners)})"


def known(db: Db, key: str, rules: MemoryRules) -> KnownFacts:
    """Return the facts in reach of a turn of the session."""
    reach = reaches.of_session(db, key, rules)
    (found,) = db.execute(
        _joined(db.dialect.joined("body"), tuple(each.only_public for each in reach)),
        tuple(value for each in reach for value in (each.layer, each.owner)),
    ).fetchone()
    if found is None:
        return NO_FACTS
    kept: list[MemoryFact] = []
    counts: dict[tuple[Layer, str], int] = {}
    has_more = False
    for fact in _decode_all(b"[%b]" % found):
        owner = fact.layer, fact.owner
        counts[owner] = counts.get(owner, 0) + 1
        if counts[owner] > SHOWN_OF_EACH:
            has_more = True
        else:
            kept.append(fact)
    return KnownFacts(tuple(kept), has_more)


# Finding ------------------------------------------------------------------------------------------


def standing(db: Db, *, key: str, rules: MemoryRules, layer: Layer | None = None) -> list[MemoryFact]:
    """Return all facts that the session reaches, newest first."""
    facts = [
        fact
        for each in reaches.of_session(db, key, rules)
        if layer is None or each.layer == layer
        for fact in of_owner(db, each, reader=key)
    ]
    facts.sort(key=lambda fact: (fact.valid_from, fact.id), reverse=True)
    return facts


def of_owner(db: Db, reach: LayerReach, reader: str | None = None) -> list[MemoryFact]:
    """Return the facts of one owner that stand; `reader`: the session that may know of its own turns."""
    rows = db.execute(
        "SELECT f.body, t.id FROM fact f LEFT JOIN turn t ON t.n = f.turn AND f.source_key = ?"
        " WHERE f.layer = ? AND f.owner = ? AND f.stands = 1 AND f.is_public >= ?",
        (reader, reach.layer, reach.owner, reach.only_public),
    )
    return [_with_turn(decode(body), turn_id) for body, turn_id in rows]


def numbers(db: Db, *, key: str, rules: MemoryRules) -> dict[int, str]:
    """Return the numbers of the facts that the session reaches, each with the fact's id."""
    found: dict[int, str] = {}
    for each in reaches.of_session(db, key, rules):
        found.update(
            db.execute(
                "SELECT n, id FROM fact WHERE layer = ? AND owner = ? AND stands = 1 AND is_public >= ?",
                (each.layer, each.owner, each.only_public),
            )
        )
    return found


def _with_turn(fact: MemoryFact, turn_id: str | None) -> MemoryFact:
    return fact if turn_id is None else msgspec.structs.replace(fact, turn_id=turn_id)


def page(
    db: Db, *, key: str, limit: int, after: str | None, layer: Layer | None, rules: MemoryRules
) -> tuple[list[MemoryFact], bool]:
    """Return a page of the facts that the session reaches, newest first, and whether there are more."""
    facts = standing(db, key=key, rules=rules, layer=layer)
    start = 0
    if after is not None:
        start = next((at for at, fact in enumerate(facts, 1) if fact.id == after), 0)
        if not start:
            raise nothing_such(after)
    return facts[start : start + limit], len(facts) > start + limit


def versions(db: Db, *, key: str, fact_id: str, rules: MemoryRules) -> tuple[MemoryFact, ...]:
    """Return all versions of a fact that stands within reach, newest first."""
    reach = reaches.of_session(db, key, rules)
    for each in reach:
        for shown in _versions(db, each, key, fact_id):
            return shown
    raise nothing_such(fact_id)


def all_versions(db: Db, *, key: str, rules: MemoryRules) -> tuple[tuple[MemoryFact, ...], ...]:
    """Return all facts that stand within reach, newest first, each as its versions."""
    found = [shown for each in reaches.of_session(db, key, rules) for shown in _versions(db, each, key)]
    found.sort(key=lambda shown: (shown[0].valid_from, shown[0].id), reverse=True)
    return tuple(found)


def _versions(
    db: Db, reach: LayerReach, reader: str, fact_id: str | None = None
) -> Iterator[tuple[MemoryFact, ...]]:
    """Yield the versions, newest first, of each fact of an owner that stands, or only of the one."""
    rows = db.execute(
        "SELECT f.id, f.is_undone, f.body, t.id FROM fact f"
        " LEFT JOIN turn t ON t.n = f.turn AND f.source_key = ?"
        " WHERE f.id IN (SELECT id FROM fact WHERE layer = ? AND owner = ? AND stands = 1 AND is_public >= ?"
        f"{'' if fact_id is None else ' AND id = ?'}) ORDER BY f.id, f.n DESC",
        (
            reader,
            reach.layer,
            reach.owner,
            reach.only_public,
            *(() if fact_id is None else (fact_id,)),
        ),
    ).fetchall()
    yield from in_versions(rows)


def in_versions(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[MemoryFact, ...]]:
    """Yield facts as their versions, newest first. `rows`: id, whether it is undone, body and turn of each
    version, together and newest first for each fact.
    """
    for _, versions in groupby(rows, key=itemgetter(0)):
        shown: list[MemoryFact] = []
        until: float | None = None
        for _, is_undone, body, turn_id in versions:
            fact = msgspec.structs.replace(
                decode(body), turn_id=turn_id, is_undone=bool(is_undone), valid_until=until
            )
            shown.append(fact)
            if not is_undone:
                until = fact.valid_from
        yield tuple(shown)


def nothing_such(which: str) -> FactNotFound:
    return FactNotFound(f"no fact {which[:80]!r} is remembered here")
