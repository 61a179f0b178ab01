"""Facts are written, superseded, forgotten, and taken back when the session that wrote them is rewound."""

from collections.abc import Iterable, Sequence

import msgspec

from nanobot.core.errors import FactNotFound, InvalidRequest, MemoryFull, NotAllowed, TurnNotFound
from nanobot.core.fact_words import one_line, reads_as_instruction
from nanobot.core.memory import (
    MOST_SUBJECT_CHARACTERS,
    MOST_VERSIONS,
    FactChange,
    MemoryFact,
    MemoryRules,
    NewFact,
)
from nanobot.core.origin import READ_ORIGINS, Origin
from nanobot.core.scopes import Layer, LayerReach
from nanobot.stores.sql import facts, reaches, short_texts, tellers, transcript
from nanobot.stores.sql.db import Db, Value
from nanobot.stores.sql.links import names_of

_MOST_NAMED = 5


def remember(db: Db, *, key: str, new: NewFact, now: float, rules: MemoryRules) -> MemoryFact:
    """Keep a fact; see `core.memory.Memory`."""
    turn = _turn_of(db, key, new.turn_id)
    before = None if new.replaces is None else writable_one(db, key, new.replaces, rules)
    if new.told_to is not None:
        target = _group_of(db, key, new.told_to)
    elif before is not None:
        target = LayerReach(before.layer, before.owner)
    else:
        target = target_of(db, key, new.layer)
    if before is not None:
        _check_word(before, new.origin)
    text, subject = _worded(new.text), one_line(new.subject, MOST_SUBJECT_CHARACTERS)
    is_new_subject = subject or before is None or not before.subject
    if turn is not None and before is not None and not is_new_subject:
        _check_member(db, key, turn, before)
    if turn is not None and target.layer == "group" and new.told_to is None and is_new_subject:
        subject = tellers.subject_of(db, key, turn, target.owner, subject)
    others = facts.of_owner(db, target)
    same = next((fact for fact in others if _says_same(fact, text, subject)), None)
    if same is not None and (before is None or before.id == same.id):
        return same
    if before is None and len(others) >= rules.max_facts:
        raise MemoryFull(
            f"{len(others)} facts are remembered of this {target.layer} already, memory.max_facts is"
            f" {rules.max_facts}: forget some first"
        )
    fact = _made(new, target, before, text=text, subject=subject, now=now)
    _insert(db, key, fact, turn)
    return msgspec.structs.replace(fact, turn_id=new.turn_id)


def _check_member(db: Db, key: str, turn: int, before: MemoryFact) -> None:
    """Return where the fact may be about who speaks, or about no member of the group.

    Raises:
        InvalidRequest: another member told it of themselves.
    """
    if before.layer == "group" and tellers.is_of_another(db, key, turn, before):
        raise InvalidRequest(
            f"{before.text!r} is so of {before.subject}, who is not who speaks: leave out what it replaces,"
            f" or say that the new fact is about {before.subject}"
        )


def _made(
    new: NewFact, target: LayerReach, before: MemoryFact | None, *, text: str, subject: str, now: float
) -> MemoryFact:
    """Return the fact as it is kept from `now` on."""
    return MemoryFact(
        id=new.id if before is None else before.id,
        layer=target.layer,
        owner=target.owner,
        text=text,
        origin=new.origin,
        valid_from=now,
        subject=subject or (before.subject if before is not None else ""),
        confidence=new.confidence,
        is_public=target.layer == "person" and (new.is_public or (before is not None and before.is_public)),
        is_pinned=new.is_pinned or (before is not None and before.is_pinned),
        is_quoted=reads_as_instruction(text),
    )


def add_old(db: Db, *, key: str, new: NewFact, at: float) -> None:
    """Keep a fact that is so since `at`, without looking at the others; no turn wrote it."""
    subject = one_line(new.subject, MOST_SUBJECT_CHARACTERS)
    fact = _made(new, target_of(db, key, new.layer), None, text=_worded(new.text), subject=subject, now=at)
    _insert(db, key, fact, None)


def change(
    db: Db, *, key: str, fact_id: str, change: FactChange, now: float, rules: MemoryRules
) -> MemoryFact:
    """Change a fact by hand; see `core.memory.Memory`."""
    before = writable_one(db, key, fact_id, rules, by_text=False)
    if change.is_public is True and before.layer != "person":
        raise InvalidRequest(
            f"this fact is the {before.layer}'s: only a person's own facts are public or not", param="public"
        )
    flags = {
        name: value
        for name in ("is_public", "is_pinned")
        if (value := getattr(change, name)) is not msgspec.UNSET
    }
    if flags:
        _set_flags(db, fact_id, flags)
    words = {
        name: value
        for name in ("text", "subject", "confidence")
        if (value := getattr(change, name)) is not msgspec.UNSET
    }
    if "text" in words:
        words["text"] = _worded(words["text"])
        words["is_quoted"] = reads_as_instruction(words["text"])
    if "subject" in words:
        words["subject"] = one_line(words["subject"], MOST_SUBJECT_CHARACTERS)
    after = msgspec.structs.replace(before, **words, **flags)
    if any(getattr(after, name) != getattr(before, name) for name in words):
        # It is the word of whoever changes it now, wherever it came from.
        after = msgspec.structs.replace(after, origin=change.origin, valid_from=now, turn_id=None)
        _insert(db, key, after, None)
    return after


def _insert(db: Db, key: str, fact: MemoryFact, turn: int | None) -> None:
    """Add a version of a fact, which stands from now on."""
    db.execute(
        "INSERT INTO fact (n, id, layer, owner, person, source_key, turn, is_public, is_pinned, created_at,"
        f" body) VALUES ({db.dialect.new_number('fact')}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fact.id,
            fact.layer,
            fact.owner,
            db.scopes.of(key).person,
            key,
            turn,
            fact.is_public,
            fact.is_pinned,
            fact.valid_from,
            facts.encode(msgspec.structs.replace(fact, turn_id=None)),
        ),
    )
    db.execute(
        "DELETE FROM fact WHERE id = ? AND n <= (SELECT n FROM fact WHERE id = ? ORDER BY n DESC"
        " LIMIT 1 OFFSET ?)",
        (fact.id, fact.id, MOST_VERSIONS),
    )
    _settle(db, fact.id)
    if turn is not None:
        db.execute("UPDATE session SET has_facts = 1 WHERE key = ? AND has_facts = 0", (key,))


def _set_flags(db: Db, fact_id: str, flags: dict[str, bool]) -> None:
    """Mark all versions of a fact."""
    for n, body in db.execute("SELECT n, body FROM fact WHERE id = ?", (fact_id,)).fetchall():
        fact = msgspec.structs.replace(facts.decode(body), **flags)
        db.execute(
            "UPDATE fact SET is_public = ?, is_pinned = ?, body = ? WHERE n = ?",
            (fact.is_public, fact.is_pinned, facts.encode(fact), n),
        )


def _settle(db: Db, fact_id: str) -> None:
    """Let the newest version of a fact stand that is not undone."""
    db.execute(
        "UPDATE fact SET stands = coalesce(n = (SELECT max(n) FROM fact WHERE id = ? AND is_undone = 0), 0)"
        " WHERE id = ?",
        (fact_id, fact_id),
    )


def _worded(text: str) -> str:
    line = one_line(text)
    if not line:
        raise InvalidRequest("the text of a fact is empty: say what is to be remembered", param="text")
    return line


def _says_same(fact: MemoryFact, text: str, subject: str) -> bool:
    return short_texts.folded(fact.text) == short_texts.folded(text) and (
        not subject or short_texts.folded(fact.subject) == short_texts.folded(subject)
    )


def _check_word(fact: MemoryFact, by: Origin) -> None:
    """Return where what comes from `by` may take the place of the fact.

    Raises:
        NotAllowed: somebody said it, and what would take its place was only read.
    """
    if by in READ_ORIGINS and fact.origin not in READ_ORIGINS:
        raise NotAllowed(
            f"this turn has read what others wrote ({by}), so it may not change what the user said: ask the"
            " user, and do it in the next turn"
        )


def _turn_of(db: Db, key: str, turn_id: str | None) -> int | None:
    """Return the number of a turn of the session that leaves a trace.

    Raises:
        TurnNotFound
    """
    if turn_id is None:
        return None
    found = db.execute(
        "SELECT t.n FROM turn t JOIN session s ON s.id = t.session WHERE t.id = ? AND s.key = ?"
        f" AND {db.dialect.json_field('t.body', 'trace')} IS NOT FALSE",
        (turn_id, key),
    ).fetchone()
    if found is None:
        raise TurnNotFound(f"no turn {turn_id!r} here that leaves a trace")
    return int(found[0])


def target_of(db: Db, key: str, layer: Layer | None) -> LayerReach:
    """Return where a new fact goes.

    Raises:
        NotAllowed
    """
    may_write = reaches.writable_of(db, key)
    found = next((each for each in may_write if layer is None or each.layer == layer), None)
    if found is None:
        raise NotAllowed(
            f"this session may not write facts of the {layer}, only of the"
            f" {' and the '.join(each.layer for each in may_write)}",
            param="layer",
        )
    return found


def _group_of(db: Db, key: str, group: str) -> LayerReach:
    """Return the layer of a group that the person of a private chat has spoken in.

    Raises:
        NotAllowed
    """
    scopes = db.scopes.of(key)
    if scopes.group is not None:
        raise NotAllowed("a group can only be told something from a private chat of the person")
    names = names_of(db, scopes.person)
    rows = db.execute(
        "SELECT DISTINCT group_name FROM session WHERE group_name IS NOT NULL"
        f" AND person IN ({', '.join('?' * len(names))}) ORDER BY group_name",
        tuple(names),
    ).fetchall()
    groups = [name for (name,) in rows]
    if group not in groups:
        raise NotAllowed(
            f"the user has not spoken in the group {group[:80]!r}, only in {', '.join(groups[:_MOST_NAMED])}"
            if groups
            else "the user has spoken in no group"
        )
    return LayerReach("group", group)


# Which one is meant -------------------------------------------------------------------------------


def writable_one(db: Db, key: str, which: str, rules: MemoryRules, *, by_text: bool = True) -> MemoryFact:
    """Return the fact that is meant, which the session may change.

    Raises:
        FactNotFound, NotAllowed
    """
    fact = readable_one(db, key, which, rules, by_text=by_text)
    if (fact.layer, fact.owner) not in ((each.layer, each.owner) for each in reaches.writable_of(db, key)):
        raise NotAllowed(f"this session may read this fact of the {fact.layer}, not change it")
    return fact


def readable_one(db: Db, key: str, which: str, rules: MemoryRules, *, by_text: bool = True) -> MemoryFact:
    """Return the fact in reach of the session with this id, this text, or the only one with this in its text.

    Raises:
        FactNotFound
    """
    known = facts.standing(db, key=key, rules=rules)
    for fact in known:
        if fact.id == which:
            return fact
    words = short_texts.folded(one_line(which))
    if not by_text or not words:
        raise facts.nothing_such(which)
    found = [fact for fact in known if short_texts.folded(fact.text) == words]
    found = found or [fact for fact in known if words in short_texts.folded(f"{fact.subject} {fact.text}")]
    if len(found) == 1:
        return found[0]
    if not found:
        raise facts.nothing_such(which)
    named = "; ".join(f"{fact.id}: {fact.text}" for fact in found[:_MOST_NAMED])
    raise FactNotFound(f"{len(found)} facts say {which[:80]!r}, name one by its id: {named}")


# Taking away --------------------------------------------------------------------------------------


def forget(db: Db, *, key: str, which: str, by: Origin, rules: MemoryRules) -> MemoryFact:
    """Delete a fact for good, and what a rewind took back that says the same; see `core.memory.Memory`."""
    fact = writable_one(db, key, which, rules)
    _check_word(fact, by)
    versions = db.execute("SELECT body, source_key FROM fact WHERE id = ?", (fact.id,)).fetchall()
    said = {short_texts.folded(facts.decode(body).text) for body, _ in versions}
    for source_key in {key, *(source_key for _, source_key in versions)}:
        _leave_unread(db, source_key)
    db.execute("DELETE FROM fact WHERE id = ?", (fact.id,))
    undone = db.execute(
        "SELECT n, id, body FROM fact WHERE layer = ? AND owner = ? AND is_undone = 1",
        (fact.layer, fact.owner),
    ).fetchall()
    for n, id_, body in undone:
        if short_texts.folded(facts.decode(body).text) in said:
            db.execute("DELETE FROM fact WHERE n = ?", (n,))
            _settle(db, id_)
    return fact


def _leave_unread(db: Db, key: str | None) -> None:
    """Have what was said in the session so far not read for facts any more: it may say what was forgotten."""
    db.execute(
        "INSERT INTO extraction (session, last_seq, day, tokens)"
        " SELECT id, last_seq, 0, 0 FROM session WHERE key = ?"
        " ON CONFLICT (session) DO UPDATE SET last_seq = excluded.last_seq",
        (key,),
    )


def forget_session(db: Db, key: str, *, keeps: bool) -> int:
    """Before a session is deleted: the facts that were said in it go with it; return how many versions.

    `keeps`: those of persons and groups stay, but for what rewinds took back, and lose their source: nobody
    deleted the session, it was not used.
    """
    gone = "layer = 'session' AND owner = ? OR source_key = ?"
    if keeps:
        gone = "layer = 'session' AND owner = ? OR source_key = ? AND is_undone = 1"
    count = _delete(db, gone, (key, key))
    if keeps:
        db.execute("UPDATE fact SET source_key = NULL, turn = NULL WHERE source_key = ?", (key,))
    return count


_OF_PERSON = "(person = ? OR layer = 'person' AND owner = ?) AND (? IS NULL OR n <= ?)"


def last_number(db: Db) -> int:
    """Return the number of the newest version of all facts; 0 where there is none."""
    return int(db.execute("SELECT coalesce(max(n), 0) FROM fact").fetchone()[0])


def erase(db: Db, people: Iterable[str], last: int | None = None) -> int:
    """Delete the facts of these people, and those that they said, up to the version with the number `last`
    (None: all); return how many versions there were.
    """
    return sum(_delete(db, _OF_PERSON, (name, name, last, last)) for name in people)


def count_of(db: Db, people: Iterable[str], last: int | None) -> int:
    """Return how many versions of facts these people have and said, up to the one with the number `last`
    (None: all).
    """
    counted = f"SELECT count(*) FROM fact WHERE {_OF_PERSON}"
    return sum(db.execute(counted, (name, name, last, last)).fetchone()[0] for name in people)


def _delete(db: Db, condition: str, values: Sequence[Value]) -> int:
    """Delete versions of facts; what is left of those facts stands again."""
    touched = db.execute(f"SELECT DISTINCT id FROM fact WHERE {condition}", values).fetchall()
    if not touched:
        return 0
    count = db.execute(f"DELETE FROM fact WHERE {condition}", values).rowcount
    for (id_,) in touched:
        _settle(db, id_)
    return count


def follow_tip(db: Db, session: int, tip: int) -> None:
    """After the tip of the session was moved: undo what turns wrote that are not whole on the live line, and
    redo what others did.
    """
    line = list(transcript.stretches(db, session, tip))
    rows = db.execute(
        "SELECT f.n, f.id, f.is_undone, coalesce(t.last_seq, t.first_seq) FROM fact f"
        " JOIN turn t ON t.n = f.turn WHERE f.source_key = (SELECT key FROM session WHERE id = ?)",
        (session,),
    ).fetchall()
    changed: set[str] = set()
    for n, id_, was_undone, seq in rows:
        is_undone = not any(first <= seq <= last for first, last in line)
        if is_undone != bool(was_undone):
            db.execute("UPDATE fact SET is_undone = ? WHERE n = ?", (is_undone, n))
            changed.add(id_)
    for id_ in changed:
        _settle(db, id_)
