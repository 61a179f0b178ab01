"""`core.intake` on SQLite: beside a running server, or as the only one that uses the data directory."""

import time
from collections.abc import Sequence

import msgspec

from nanobot.core.intake import ForeignConversation, ForeignFact, Intake
from nanobot.core.memory import MemoryRules
from nanobot.stores.sql import importing, intake, tokens, transcript
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection

_FACTS_AT_ONCE = 100


class SqliteIntakeReader:
    """`core.intake.IntakeReader` on a connection with an open transaction."""

    def __init__(self, db: Connection, memory: MemoryRules) -> None:
        self._db = db
        self._memory = memory

    def untaken(self, session_key: str, conversation: ForeignConversation) -> Intake:
        return intake.untaken(self._db, key=session_key, conversation=conversation)

    def unknown_facts(self, session_key: str, facts: Sequence[ForeignFact]) -> tuple[str, ...]:
        return intake.unknown_facts(self._db, key=session_key, new=facts, rules=self._memory)


class SqliteIntakeWriter:
    """`core.intake.IntakeWriter` on a connection without a transaction, which has the tables of
    `derived.derive`.
    """

    def __init__(self, db: Connection, memory: MemoryRules) -> None:
        self._db = db
        self._memory = memory
        # The server that has an older index builds it anew at its next start, with all that is new.
        self._indexes = db.execute("SELECT version FROM search_version").fetchone() == (tokens.VERSION,)

    def take(self, session_key: str, conversation: ForeignConversation) -> Intake:
        found = intake.untaken(self._db, key=session_key, conversation=conversation)
        taken = 0
        for piece in importing.pieces(found.messages):
            with self._db.transaction():
                problem = intake.take_piece(
                    self._db, key=session_key, conversation=conversation, piece=piece, now=time.time()
                )
            if problem:
                return msgspec.structs.replace(found, messages=found.messages[:taken], problem=problem)
            taken += len(piece)
        if taken and self._indexes:
            self._index(session_key)
        return found

    def _index(self, session_key: str) -> None:
        """Take what is new into the index: a running server notices only what it has written itself."""
        head = transcript.find_head(self._db, session_key)
        while head is not None and self._is_behind(head.session):
            with self._db.transaction():
                index.index_session(self._db, head.session)

    def _is_behind(self, session: int) -> bool:
        return (
            self._db.execute(
                "SELECT 1 FROM session WHERE id = ? AND last_seq > indexed_seq", (session,)
            ).fetchone()
            is not None
        )

    def remember(self, session_key: str, facts: Sequence[ForeignFact]) -> tuple[str, ...]:
        outcomes: tuple[str, ...] = ()
        for at in range(0, len(facts), _FACTS_AT_ONCE):
            with self._db.transaction():
                outcomes += intake.remember(
                    self._db, key=session_key, new=facts[at : at + _FACTS_AT_ONCE], rules=self._memory
                )
        return outcomes
