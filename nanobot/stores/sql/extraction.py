"""How far the turns of a session were read for facts, and what was found; see `core.extraction`."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec

from nanobot.core.accounts import DAY_S
from nanobot.core.errors import FactNotFound, InvalidRequest, MemoryFull, NotAllowed, TurnNotFound
from nanobot.core.extraction import SaidTurn, UnreadTurns
from nanobot.core.memory import MemoryFact, MemoryRules, NewFact
from nanobot.core.message import Message, Text
from nanobot.stores.sql import branches, facts, hidden, reaches, remembering, tellers, tokens, transcript
from nanobot.stores.sql.db import Db

_MOST_ROWS = 512
_DAYS_LOOKED_AT = 7


class _Paid(msgspec.Struct, frozen=True):
    key_id: str | None = None


class _Row(msgspec.Struct, frozen=True):
    """A message of an ended turn."""

    seq: int
    message: Message
    is_input: bool
    turn_id: str
    at: float
    key_id: str | None


_payer = msgspec.json.Decoder(_Paid).decode


def unread(db: Db, *, key: str, most_characters: int, now: float, rules: MemoryRules) -> UnreadTurns | None:
    """Return turns of the session that were not read; see `core.extraction.Extractions`."""
    head = transcript.find_head(db, key)
    if head is None:
        return None
    found = _position(db, head.session)
    after_seq, spent = (0, 0) if found is None else (found[0], found[2] if found[1] == _day(now) else 0)
    since = now - DAY_S if found is None else 0.0
    # What a running turn says is not part of it yet.
    tip = branches.settled_tip(db, head.session)
    rows = list(_rows(db, head.session, tip, after_seq, since))
    if not rows:
        return None
    has_more = len(rows) == _MOST_ROWS
    if has_more:
        # The rest of the last turn is still to come, unless there is no other.
        rest = [row for row in rows if row.turn_id != rows[-1].turn_id]
        rows = rest or rows
    turns: list[SaidTurn] = []
    characters = 0
    last = rows[0]
    asked = _answer_at(db, head.session, after_seq)
    for turn_id, group in groupby(rows, key=attrgetter("turn_id")):
        of_turn = tuple(group)
        said = _said_by(db, key, of_turn)
        characters += sum(len(text) for texts in said.values() for text in texts)
        if turns and characters > most_characters:
            has_more = True
            break
        turns += [
            SaidTurn(turn_id, of_turn[0].at, tuple(texts), asked, speaker) for speaker, texts in said.items()
        ]
        asked = next((row.message.text for row in reversed(of_turn) if row.message.role == "assistant"), "")
        last = of_turn[-1]
    return UnreadTurns(
        session=head.session,
        turns=tuple(turns),
        after_seq=after_seq,
        last_seq=last.seq,
        known=_changeable(db, key, rules) if turns else (),
        key_id=last.key_id,
        spent_tokens=spent,
        has_more=has_more,
    )


def _position(db: Db, session: int) -> tuple[int, int, int] | None:
    """Return up to which message the session was read, on which day it last was, and the tokens of then."""
    found = db.execute(
        "SELECT last_seq, day, tokens FROM extraction WHERE session = ?", (session,)
    ).fetchone()
    return None if found is None else (int(found[0]), int(found[1]), int(found[2]))


def _day(now: float) -> int:
    return int(now // DAY_S)


def _rows(db: Db, session: int, tip: int, after_seq: int, since: float) -> Iterator[_Row]:
    """Yield the messages of ended turns on the line that ends at `tip`, oldest first."""
    left = _MOST_ROWS
    for first, last in transcript.stretches_in(db, session, tip, "asc"):
        if last <= after_seq:
            continue
        rows = db.execute(
            "SELECT m.id, m.body, m.is_input, t.id, m.created_at, t.body FROM message m"
            " JOIN turn t ON t.n = m.turn WHERE m.id BETWEEN ? AND ? AND m.created_at >= ?"
            f" AND {branches.left_no_trace(db)} IS NOT TRUE ORDER BY m.id LIMIT ?",
            (*transcript.message_ids(session, max(first, after_seq + 1), last), since, left),
        ).fetchall()
        for id_, body, is_input, turn_id, at, turn in rows:
            key_id = _payer(turn).key_id
            yield _Row(transcript.seq_of(id_), transcript.decode(body), bool(is_input), turn_id, at, key_id)
        left -= len(rows)
        if left <= 0:
            return


def _said_by(db: Db, key: str, rows: Sequence[_Row]) -> Mapping[str, Sequence[str]]:
    """Return what users wrote in a turn: not what files, pictures and results say. In a group it is by who
    wrote it: several may have spoken before the assistant did.
    """
    scopes = db.scopes.of(key)
    said: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.is_input and row.message.role == "user":
            speaker = "" if scopes.group is None else row.message.name or scopes.person
            texts = (part.text for part in row.message.parts if isinstance(part, Text))
            said[speaker] += [text for text in texts if text.strip()]
    return {speaker: texts for speaker, texts in said.items() if texts}


def _answer_at(db: Db, session: int, seq: int) -> str:
    """Return the assistant's answer, where the message is one."""
    found = db.execute(
        "SELECT body FROM message WHERE id = ?", (transcript.message_id(session, seq),)
    ).fetchone()
    message = transcript.decode(found[0]) if found is not None else None
    return message.text if message is not None and message.role == "assistant" else ""


def _changeable(db: Db, key: str, rules: MemoryRules) -> tuple[MemoryFact, ...]:
    may_change = {(each.layer, each.owner) for each in reaches.writable_of(db, key)}
    return tuple(
        fact for fact in facts.standing(db, key=key, rules=rules) if (fact.layer, fact.owner) in may_change
    )


def keep(
    db: Db, of: UnreadTurns, new: Sequence[NewFact], *, key: str, tokens: int, now: float, rules: MemoryRules
) -> tuple[MemoryFact, ...]:
    """Note that the turns were read, and keep what was found in them; return it."""
    head = transcript.find_head(db, key)
    if head is None or head.session != of.session:
        # It was deleted, and there may be another one by now.
        return ()
    found = _position(db, of.session)
    if (found[0] if found else 0) != of.after_seq:
        # Somebody else has read the turns.
        return ()
    spent = found[2] if found is not None and found[1] == _day(now) else 0
    db.execute(
        "INSERT INTO extraction (session, last_seq, day, tokens) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session) DO UPDATE SET last_seq = excluded.last_seq, day = excluded.day,"
        " tokens = excluded.tokens",
        (of.session, of.last_seq, _day(now), spent + tokens),
    )
    line = list(transcript.stretches(db, head.session, branches.settled_tip(db, head.session)))
    said_at: dict[str | None, float] = {turn.turn_id: turn.at for turn in of.turns}
    kept: list[MemoryFact] = []
    for each in new:
        if not _is_live(db, each.turn_id, line):
            continue
        # It is so since it was said.
        at = said_at.get(each.turn_id, now)
        try:
            if each.replaces is not None:
                before = remembering.writable_one(db, key, each.replaces, rules, by_text=False)
                if before.valid_from > at:
                    # What was said, or corrected by hand, after that holds.
                    continue
                if not _is_of_the_same(db, key, each, before):
                    each = msgspec.structs.replace(each, replaces=None)
            kept.append(remembering.remember(db, key=key, new=each, now=at, rules=rules))
        except (FactNotFound, InvalidRequest, MemoryFull, NotAllowed, TurnNotFound):
            continue
    return tuple(kept)


def _is_of_the_same(db: Db, key: str, new: NewFact, before: MemoryFact) -> bool:
    """Return whether the new fact is about the same as the one that it is to take the place of: in a group,
    what one member says of themselves changes nothing that is so of another.
    """
    if before.layer != "group" or not before.subject or new.turn_id is None:
        return True
    (turn,) = db.execute("SELECT n FROM turn WHERE id = ?", (new.turn_id,)).fetchone()
    subject = tellers.subject_of(db, key, turn, before.owner, new.subject)
    return tokens.folded(before.subject) == tokens.folded(subject)


def _is_live(db: Db, turn_id: str | None, line: Sequence[tuple[int, int]]) -> bool:
    """Return whether the turn is whole on the line."""
    found = db.execute("SELECT coalesce(last_seq, first_seq) FROM turn WHERE id = ?", (turn_id,)).fetchone()
    return found is not None and any(first <= (found[0] or 0) <= last for first, last in line)


def sessions_with_unread(db: Db, *, now: float, limit: int) -> tuple[str, ...]:
    """Return sessions that were used lately and have messages that were not read."""
    rows = db.execute(
        "SELECT s.key FROM session s LEFT JOIN extraction e ON e.session = s.id"
        " WHERE s.period >= ? AND s.last_seq > coalesce(e.last_seq, 0)"
        f" AND {hidden.shown('s.key')} ORDER BY s.period DESC LIMIT ?",
        (transcript.period_of(now - _DAYS_LOOKED_AT * DAY_S), limit),
    )
    return tuple(key for (key,) in rows)
