"""Conversations and facts of other programs, taken in once; see `core.intake`."""

from collections.abc import Sequence

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


# Conversations ------------------------------------------------------------------------------------


def untaken(db: Db, *, key: str, conversation: ForeignConversation) -> Intake:
    """Return what the session would take in of the conversation."""
    head = transcript.find_head(db, key)
    if head is None:
        return Intake(conversation.messages)
    until = _until(db, head.session, conversation)
    rest = tuple(each for each in conversation.messages if each.created_at > until)
    known = len(conversation.messages) - len(rest)
    problem = _problem(db, head) if rest else ""
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


def unknown_facts(db: Db, *, key: str, new: Sequence[ForeignFact], rules: MemoryRules) -> tuple[str, ...]:
    """Return for each of the facts why it is not kept; empty: it is."""
    outcomes: list[str] = []
    said: dict[LayerReach, set[tuple[str, str]]] = {}
    room: dict[LayerReach, int] = {}
    for each in new:
        target = remembering.target_of(db, key, each.fact.layer)
        if target not in said:
            said[target] = _said(db, target)
            room[target] = rules.max_facts - len(facts.of_owner(db, target))
        words = tokens.folded(one_line(each.fact.text))
        subject = tokens.folded(one_line(each.fact.subject, MOST_SUBJECT_CHARACTERS))
        if (words, subject) in said[target]:
            outcomes.append(KNOWN)
        elif room[target] <= 0:
            outcomes.append(FULL)
        else:
            outcomes.append("")
            said[target].add((words, subject))
            room[target] -= 1
    return tuple(outcomes)


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
            remembering.add_old(db, key=key, new=each.fact, at=each.at)
    return outcomes
