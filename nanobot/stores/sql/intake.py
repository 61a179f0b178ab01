"""Conversations and facts of other programs, taken in once; see `core.intake`."""

from collections.abc import Sequence

import msgspec

from nanobot.core.fact_words import one_line
from nanobot.core.intake import ForeignConversation, ForeignFact, Intake
from nanobot.core.memory import MOST_SUBJECT_CHARACTERS, MemoryRules
from nanobot.core.scopes import LayerReach
from nanobot.stores.sql import catalogue, facts, remembering, tokens, transcript
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.importing import TakenMessage
from nanobot.stores.sql.transcript import TranscriptHead

KNOWN = "facts that are known already"
FULL = "facts for which there is no room (memory.max_facts)"
_MOST_TITLE_CHARACTERS = 256
_TALKED_IN = "somebody has talked in this session"
_OTHER_MESSAGES = "this session has messages of its own"


class Promised(msgspec.Struct, frozen=True):
    """What was said to be taken, and is not yet: until when of which conversation of which session, what the
    owners' facts say by now, and how many more each may have.
    """

    until: dict[tuple[str, str, str], float]
    said: dict[LayerReach, set[tuple[str, str]]]
    room: dict[LayerReach, int]

    @staticmethod
    def nothing() -> "Promised":
        """Return a place for what will be said."""
        return Promised({}, {}, {})


# Conversations ------------------------------------------------------------------------------------


def untaken(
    db: Db, *, key: str, conversation: ForeignConversation, promised: Promised | None = None
) -> Intake:
    """Return what the session would take in of the conversation, once it has what was `promised`, to which
    this is added.
    """
    head = transcript.find_head(db, key)
    which = key, conversation.program, conversation.id
    until = _until(db, head.session, conversation) if head is not None else 0.0
    if promised is not None:
        until = max(until, promised.until.get(which, 0.0))
        promised.until[which] = max(until, conversation.messages[-1].created_at)
    rest = tuple(each for each in conversation.messages if each.created_at > until)
    known = len(conversation.messages) - len(rest)
    problem = _problem(db, head) if rest and head is not None else ""
    return Intake(() if problem else rest, known, problem)


def _until(db: Db, session: int, conversation: ForeignConversation) -> float:
    found = db.execute(
        "SELECT until FROM imported WHERE session = ? AND program = ? AND item = ?",
        (session, conversation.program, conversation.id),
    ).fetchone()
    return 0.0 if found is None else float(found[0])


def _problem(db: Db, head: TranscriptHead) -> str:
    """Return why the session takes in no conversations; empty: it does."""
    if db.execute("SELECT 1 FROM turn WHERE session = ? LIMIT 1", (head.session,)).fetchone():
        return _TALKED_IN
    if (
        head.last_seq
        and not db.execute("SELECT 1 FROM imported WHERE session = ? LIMIT 1", (head.session,)).fetchone()
    ):
        return _OTHER_MESSAGES
    return ""


def take_piece(
    db: Db, *, key: str, conversation: ForeignConversation, piece: Sequence[TakenMessage], now: float
) -> str:
    """Take in the next messages of the conversation; return why they cannot be any more, empty: they were."""
    head = transcript.find_head(db, key)
    if head is None:
        head = transcript.open_session(db, key, now)
        catalogue.label(
            db,
            head.session,
            title=one_line(conversation.title, _MOST_TITLE_CHARACTERS) or None,
            metadata={"imported_from": conversation.program},
        )
    elif problem := _problem(db, head):
        return problem
    # Another import may have been at work meanwhile.
    until = _until(db, head.session, conversation)
    new = [each for each in piece if each.created_at > until]
    if not new:
        return ""
    for taken in new:
        transcript.append(
            db,
            head,
            (taken.message,),
            turn=None,
            is_input=taken.is_input,
            now=taken.created_at,
            reply=taken.reply,
        )
    transcript.touch_head(db, head, now)
    db.execute(
        "INSERT INTO imported (session, program, item, until) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session, program, item) DO UPDATE SET until = excluded.until",
        (head.session, conversation.program, conversation.id, new[-1].created_at),
    )
    return ""


# Facts --------------------------------------------------------------------------------------------


def unknown_facts(
    db: Db,
    *,
    key: str,
    new: Sequence[ForeignFact],
    rules: MemoryRules,
    promised: Promised | None = None,
) -> tuple[str, ...]:
    """Return for each of the facts why it is not kept; empty: it is, and is added to what was `promised`."""
    promised = promised or Promised.nothing()
    said, room = promised.said, promised.room
    outcomes: list[str] = []
    for each in new:
        target = remembering.target_of(db, key, each.fact.layer)
        if target not in said:
            said[target] = _said(db, target)
            room[target] = rules.max_facts - len(facts.of_owner(db, target))
        words = tokens.folded(one_line(each.fact.text))
        subject = tokens.folded(one_line(_subject(db, key, each, target), MOST_SUBJECT_CHARACTERS))
        if (words, subject) in said[target]:
            outcomes.append(KNOWN)
        elif room[target] <= 0:
            outcomes.append(FULL)
        else:
            outcomes.append("")
            said[target].add((words, subject))
            room[target] -= 1
    return tuple(outcomes)


def _subject(db: Db, key: str, new: ForeignFact, target: LayerReach) -> str:
    """Return whom or what the fact is about: a group must be told of which member."""
    is_untold = new.is_of_user and target.layer == "group" and not new.fact.subject
    return db.scopes.of(key).person if is_untold else new.fact.subject


def _said(db: Db, target: LayerReach) -> set[tuple[str, str]]:
    """Return what the owner's facts say and said: one that has changed since does not come back."""
    rows = db.execute(
        "SELECT body FROM fact WHERE layer = ? AND owner = ? AND is_undone = 0", (target.layer, target.owner)
    ).fetchall()
    versions = (facts.decode(body) for (body,) in rows)
    return {(tokens.folded(each.text), tokens.folded(each.subject)) for each in versions}


def remember(db: Db, *, key: str, new: Sequence[ForeignFact], rules: MemoryRules) -> tuple[str, ...]:
    """Keep those of the facts that are not known; return for each why it was not kept."""
    outcomes = unknown_facts(db, key=key, new=new, rules=rules)
    for each, problem in zip(new, outcomes, strict=True):
        if not problem:
            target = remembering.target_of(db, key, each.fact.layer)
            fact = msgspec.structs.replace(each.fact, subject=_subject(db, key, each, target))
            remembering.add_old(db, key=key, new=fact, at=each.at)
    return outcomes
