"""Vectors compared: those of the database are kept in memory by session, as they are needed.

All texts of a language, and all of a conversation, point much the same way. What they have in common, their
mean, is taken off before they are compared; then 0 means: no nearer than any other.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from nanobot.core.vectors import ANSWER, QUESTION, Near
from nanobot.stores.sql.transcript import SEQ_BITS

DIMENSIONS = 384
Array: TypeAlias = Any
"""An array of numpy, which may not be installed where types are checked."""
_LARGEST = 127
_CHUNK = 8_192
_MOST_KEPT = 300_000
"""How many vectors are kept in memory, some 400 bytes each; those of the sessions used longest ago go."""
_MEAN_OF = 20
"""A mean of fewer says little, and is taken off in part."""
_PENALTIES = np.zeros(3, np.float32)
# What answers a question stands in what a user told, not in what was asked, nor in what was replied.
_PENALTIES[QUESTION], _PENALTIES[ANSWER] = 0.2, 0.1
_MOST_TIED = 1_000
_MOST_FOUND = 32
_MOST_VALUES = 1_000
_SAME = 0.999
_ALIKE = 0.55
_ALIKE_PENALTY = 0.2


def packed(vectors: Array) -> bytes:
    """Return the vectors with a byte for each number; how long they are is lost, where they point is kept."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    return bytes(np.round(vectors * (_LARGEST / np.maximum(largest, 1e-9))).astype(np.int8).tobytes())


class _KeptVectors:
    """The vectors of one session."""

    def __init__(self) -> None:
        self.ids: Array = np.zeros(0, np.int64)
        self.kinds: Array = np.zeros(0, np.int8)
        self.rows: Array = np.zeros((0, DIMENSIONS), np.int8)
        self.scales: Array = np.zeros(0, np.float32)
        self.sum: Array = np.zeros(DIMENSIONS, np.float32)

    def add(self, found: Sequence[tuple[int, int, bytes]]) -> None:
        pieces = [len(body) // DIMENSIONS for _, _, body in found]
        rows = np.frombuffer(b"".join(body for _, _, body in found), np.int8).reshape(-1, DIMENSIONS)
        self.ids = np.concatenate((self.ids, np.repeat([id_ for id_, _, _ in found], pieces)))
        self.kinds = np.concatenate(
            (self.kinds, np.repeat([kind for _, kind, _ in found], pieces).astype(np.int8))
        )
        self.rows = np.concatenate((self.rows, rows))
        scales = _scales(rows)
        self.scales = np.concatenate((self.scales, scales))
        self.sum = self.sum + scales @ rows.astype(np.float32)


def _scales(rows: Array) -> Array:
    """Return by what each row must be multiplied to be of length 1."""
    wide = rows.astype(np.float32)
    return 1 / np.maximum(np.sqrt(np.einsum("ij,ij->i", wide, wide)), 1e-9).astype(np.float32)


class Scanner:
    """Finds the vectors of a database that are nearest to one."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._state: Any = None
        self._sessions: OrderedDict[int, _KeptVectors] = OrderedDict()

    def messages(self, query: Array, ranges: Sequence[tuple[int, int]]) -> tuple[Near, ...]:
        """Return the messages with ids in the ranges that are nearest, the best first."""
        self._forget_deleted()
        sessions = {
            session: self._session(session) for session in dict.fromkeys(r[0] >> SEQ_BITS for r in ranges)
        }
        self._drop_old(sessions)
        count = sum(len(kept.ids) for kept in sessions.values())
        if not count:
            return ()
        mean = sum((kept.sum for kept in sessions.values()), np.zeros(DIMENSIONS, np.float32)) / (
            count + _MEAN_OF
        )
        best: list[tuple[float, int, Array]] = []
        for session, kept in sessions.items():
            inside = np.zeros(len(kept.ids), bool)
            for first, last in ranges:
                if first >> SEQ_BITS == session:
                    inside |= (kept.ids >= first) & (kept.ids <= last)
            scores = _scores(kept.rows, kept.scales, query, mean) - _PENALTIES[kept.kinds]
            places = np.flatnonzero(inside)
            if len(places) > _MOST_TIED:
                places = places[np.argpartition(-scores[places], _MOST_TIED)[:_MOST_TIED]]
            best += [(float(scores[at]), int(kept.ids[at]), kept.rows[at] * kept.scales[at]) for at in places]
        return _varied(best, mean)

    def facts(self, query: Array, numbers: Sequence[int]) -> tuple[Near, ...]:
        """Return those of the facts that are nearest, the best first."""
        found: list[tuple[int, bytes]] = []
        for at in range(0, len(numbers), _MOST_VALUES):
            some = numbers[at : at + _MOST_VALUES]
            marks = ", ".join("?" * len(some))
            found += self._db.execute(
                f"SELECT n, body FROM fact_vector WHERE n IN ({marks})", some
            ).fetchall()
        if not found:
            return ()
        rows = np.frombuffer(b"".join(body[:DIMENSIONS] for _, body in found), np.int8).reshape(
            -1, DIMENSIONS
        )
        scales = _scales(rows)
        mean = (scales @ rows.astype(np.float32)) / (len(found) + _MEAN_OF)
        scores = _scores(rows, scales, query, mean)
        order = np.argsort(-scores, kind="stable")[:_MOST_FOUND]
        return tuple(Near(int(found[at][0]), float(scores[at])) for at in order)

    def _forget_deleted(self) -> None:
        """Let go of all that is kept where something was deleted since."""
        state = self._db.execute("SELECT version, deletions FROM vector_state").fetchone()
        if state != self._state:
            self._sessions.clear()
            self._state = state

    def _session(self, session: int) -> _KeptVectors:
        """Return the vectors of the session, with those that have come since."""
        kept = self._sessions.setdefault(session, _KeptVectors())
        self._sessions.move_to_end(session)
        last = int(kept.ids[-1]) if len(kept.ids) else (session << SEQ_BITS) - 1
        found = self._db.execute(
            "SELECT id, kind, body FROM vector WHERE id > ? AND id < ? ORDER BY id",
            (last, (session + 1) << SEQ_BITS),
        ).fetchall()
        if found:
            kept.add(found)
        return kept

    def _drop_old(self, used: dict[int, _KeptVectors]) -> None:
        total = sum(len(kept.ids) for kept in self._sessions.values())
        for session in list(self._sessions):
            if total <= _MOST_KEPT:
                return
            if session not in used:
                total -= len(self._sessions.pop(session).ids)


def _scores(rows: Array, scales: Array, query: Array, mean: Array) -> Array:
    """Return how near the rows are to the query: the cosine of the angle, once the mean is taken off."""
    asked = query - mean
    asked = asked / max(float(np.linalg.norm(asked)), 1e-9)
    against = np.stack((asked, mean), axis=1)
    products = np.concatenate(
        [rows[at : at + _CHUNK].astype(np.float32) @ against for at in range(0, len(rows), _CHUNK)]
    )
    products *= scales[:, None]
    length = float(mean @ mean)
    lengths = np.sqrt(np.maximum(1 - 2 * products[:, 1] + length, 1e-9))
    return (products[:, 0] - float(mean @ asked)) / lengths


def _varied(best: list[tuple[float, int, Array]], mean: Array) -> tuple[Near, ...]:
    """Return the best, those that are much like a better one later, and of the same only the newest one."""
    best.sort(key=lambda each: (-each[0], -each[1]))
    if not best:
        return ()
    chosen: list[int] = []
    centred = np.array([row for _, _, row in best]) - mean
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    scores = np.array([score for score, _, _ in best], np.float32)
    worth = scores.copy()
    ids = np.array([id_ for _, id_, _ in best], np.int64)
    while len(chosen) < _MOST_FOUND:
        at = int(np.argmax(worth))
        if worth[at] == -np.inf:
            break
        chosen.append(at)
        likeness = centred @ centred[at]
        worth[likeness > _ALIKE] -= _ALIKE_PENALTY
        # The same words, or another piece of the same message.
        worth[(likeness > _SAME) | (ids == ids[at])] = -np.inf
    return tuple(Near(best[at][1], float(scores[at])) for at in chosen)
