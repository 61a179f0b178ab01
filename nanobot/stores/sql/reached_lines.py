"""The parts of live transcripts that a search goes through."""

from collections.abc import Sequence

import msgspec

from nanobot.core.recall import Reach
from nanobot.stores.sql import branches, transcript
from nanobot.stores.sql.db import Db

MOST_SESSIONS = 12


class ReachedLine(msgspec.Struct, frozen=True):
    """The part of a live transcript that is searched: the ids of its stretches, how many messages of
    the session are in the index, and whether some of the stretches are not in the index yet.
    """

    key: str
    session: int
    stretches: tuple[tuple[int, int], ...]
    indexed: int
    is_behind: bool

    def only(self, ids: Sequence[int]) -> Sequence[int]:
        """Return those of the ids that are in one of the stretches; they are between the first and the
        last.
        """
        if len(self.stretches) == 1:
            return ids
        return [id_ for id_ in ids if self.has(id_)]

    def has(self, id_: int) -> bool:
        """Return whether the message with the id is in one of the stretches."""
        return any(first <= id_ <= last for first, last in self.stretches)


def reached_lines(db: Db, reach: Sequence[Reach]) -> list[ReachedLine]:
    """Return the transcripts in reach, those of the most recently used sessions where they are many."""
    lines: list[tuple[float, ReachedLine]] = []
    for each in reach:
        session = db.execute(_SESSION, (each.session_key,)).fetchone()
        if session is not None and (line := _line(db, each, *session[:-1])) is not None:
            lines.append((session[-1], line))
    lines.sort(key=lambda item: item[0], reverse=True)
    return [line for _, line in lines[:MOST_SESSIONS]]


_SESSION = (
    f"SELECT s.id, s.indexed_seq, {branches.SETTLED_TIP},"
    " NOT EXISTS (SELECT 1 FROM branch WHERE session = s.id), s.updated_at FROM session s WHERE s.key = ?"
)


def _line(
    db: Db, reach: Reach, session: int, indexed_seq: int, tip: int, is_straight: int
) -> ReachedLine | None:
    """Return the beginning of the live transcript that is in reach; None: there is nothing of it."""
    left = reach.messages if reach.messages is not None else tip
    whole = ((1, tip),) if tip else ()
    stretches: list[tuple[int, int]] = []
    size = 0
    for first, last in whole if is_straight else transcript.stretches_in(db, session, tip, "asc"):
        if size >= left:
            break
        last = min(last, first + left - size - 1)
        stretches.append(transcript.message_ids(session, first, last))
        size += last - first + 1
    if not size:
        return None
    is_behind = indexed_seq < transcript.seq_of(stretches[-1][1])
    return ReachedLine(reach.session_key, session, tuple(stretches), indexed_seq, is_behind)


def ranges(db: Db, reach: Sequence[Reach]) -> list[tuple[int, int]]:
    """Return the first and the last id of each stretch of messages that a search goes through."""
    return [stretch for line in reached_lines(db, reach) for stretch in line.stretches]
