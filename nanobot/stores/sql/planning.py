"""What a new turn puts into the transcript, and what became of the messages that its client sent along."""

from collections.abc import Container

import msgspec

from nanobot.core.errors import TurnNotFound
from nanobot.core.message import Message
from nanobot.core.turn import HistoryNote, Turn
from nanobot.stores.sql import matching, transcript, turns
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.load import Load, read_load
from nanobot.stores.sql.matching import HistoryMatch
from nanobot.stores.sql.queue import Capacity
from nanobot.stores.sql.recent_places import RecentPlaces
from nanobot.stores.sql.sent_list import SentList
from nanobot.stores.sql.transcript import TranscriptHead
from nanobot.stores.sql.turns import Plan


def plan_of(
    db: Db,
    turn: Turn,
    earlier: SentList,
    head: TranscriptHead,
    load: Load,
    recent: RecentPlaces,
) -> tuple[Plan, HistoryNote]:
    """Return what a new turn puts into the transcript, and what became of the client's earlier messages."""
    match = reconcile(db, head, earlier, turn.input, load, turn, recent)
    after = followed(db, head, turn.after)
    base = None if match.unless_done is not None else match.base
    base = turns.end_of(db, after) if after is not None else base
    new = match.unanswered + turn.input
    rest, new = matching.answer_calls(db, head, base, earlier, match.rest, new)
    plan = Plan(new, rest, match.base, after, turn.trace, match.unless_done, ends_at=match.ends_at)
    return plan, match.note


def followed(db: Db, head: TranscriptHead, turn_id: str | None) -> int | None:
    """Return the number of the turn that the new one follows.

    Raises:
        TurnNotFound: it is not of this session.
    """
    if turn_id is None:
        return None
    found = db.execute(
        "SELECT coalesce(joined_to, n) FROM turn WHERE id = ? AND session = ?", (turn_id, head.session)
    ).fetchone()
    if found is None:
        raise TurnNotFound(f"no turn {turn_id!r} here")
    return int(found[0])


def reconcile(
    db: Db,
    head: TranscriptHead,
    earlier: SentList,
    new: tuple[Message, ...],
    load: Load,
    turn: Turn,
    recent: RecentPlaces,
) -> HistoryMatch:
    """Return as `matching.match`. While a turn runs, a client cannot hold its reply yet: one whose list ends
    where that turn began is a reason to rewind only if that turn is cancelled, or if the list is the whole
    conversation.
    """
    if turn.after is not None:
        return HistoryMatch("new")
    # Only clients of chat completions ask for another answer by sending the question again.
    may_repeat = (
        load.waiting > load.gives_way or turn.origin != "api" or turn.record is not None or not turn.trace
    )
    # What leaves no trace sees the client's list alone, where there is one.
    is_whole = turn.is_whole or (not turn.trace and len(earlier) > 0)
    match = matching.match(db, head, earlier, new, is_whole=is_whole, may_repeat=may_repeat, recent=recent)
    if not turn.trace:
        base = head.tip if len(earlier) and match.base is None else match.base
        return msgspec.structs.replace(match, note="new", base=base)
    if match.note == "rewound" and matching.goes_on_at_tip(db, head, earlier, new, is_whole=is_whole):
        # What the client has is the transcript: its last answer becomes the beginning of the one to come.
        match = msgspec.structs.replace(match, note="matched")
    if match.note == "replaced" and _is_words_of_running(db, head, load, match):
        return msgspec.structs.replace(match, note="matched")
    is_waited_for = load.running_n is not None and not load.gives_way
    is_before_running = match.note == "rewound" and is_waited_for and match.base == load.running_after
    if is_before_running and not (turn.is_whole and load.running_trace):
        return HistoryMatch("matched", match.base, unless_done=load.running_n)
    if load.waiting and match.base is None:
        return _behind_waiting(match, head, turn, load, has_list=len(earlier) > 0)
    return match


def _behind_waiting(
    match: HistoryMatch, head: TranscriptHead, turn: Turn, load: Load, *, has_list: bool
) -> HistoryMatch:
    """Return the match of a list that ends at the tip, and whose turn starts only after others."""
    if turn.is_whole and load.running_n is None:
        # What they will say is not in the client's list, which is the whole conversation.
        return msgspec.structs.replace(match, note="rewound", base=head.tip)
    return msgspec.structs.replace(match, ends_at=head.tip) if has_list else match


def _is_words_of_running(db: Db, head: TranscriptHead, load: Load, match: HistoryMatch) -> bool:
    """Return whether all that the client's list has beyond the transcript is an answer to the turn that runs:
    what its user saw of it before it was stopped.
    """
    if load.running_n is None or match.base is None or len(match.rest) != 1:
        return False
    (words,) = match.rest
    if words.role != "assistant" or words.tool_calls:
        return False
    asked = db.execute(
        "SELECT id FROM message WHERE id BETWEEN ? AND ? AND turn = ? AND is_input = 1",
        (*transcript.message_ids(head.session, match.base, match.base + 1), load.running_n),
    ).fetchall()
    # The last row of its input.
    return [transcript.seq_of(id_) for (id_,) in asked] == [match.base]


# What a long list means ---------------------------------------------------------------------------


class Foreseen(msgspec.Struct, frozen=True):
    """What a new turn is going to put into the transcript, and what became of the client's earlier messages,
    as long as the session stands as it did: `standing`.
    """

    standing: tuple[object, ...]
    plan: Plan
    note: HistoryNote


def foresee(
    db: Db, turn: Turn, sent: SentList, *, capacity: Capacity, recent: RecentPlaces, left: Container[str]
) -> Foreseen:
    """Return what `admit` would find where the turn is a new one. Nothing is written: for a list that takes
    long to compare, so that the jobs that write do not wait for it.

    Raises:
        UnknownToolCall, TurnNotFound: as `admit`.
    """
    head, load = read_load(db, turn, capacity, running_in_all=0)
    load = load.giving_way(turn, left)
    standing = standing_of(head, load)
    plan, note = plan_of(db, turn, sent, head or transcript.NO_HEAD, load, recent)
    return Foreseen(standing, plan, note)


def standing_of(head: TranscriptHead | None, load: Load) -> tuple[object, ...]:
    """Return all that `plan_of` depends on besides the request: nothing of the session that it reads is
    otherwise while this is the same.
    """
    if head is None:
        return ()
    # Whatever is added to a session raises `last_seq`, for good.
    where = (head.session, head.tip, head.last_seq, head.place)
    return (*where, load.waiting, load.running_n, load.running_after, load.gives_way)
