"""`core.intake` on SQLite: beside a running server, or as the only one that uses the data directory."""

import contextlib
import time
from collections.abc import Iterator, Sequence

import msgspec

from nanobot.core.intake import ForeignConversation, ForeignFact, Intake
from nanobot.core.memory import MemoryRules
from nanobot.core.sessions import ImportedMessage
from nanobot.stores.sql import importing, intake, transcript
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.connection import Connection

_FACTS_AT_ONCE = 100
_MESSAGES_AT_ONCE = 32
_BYTES_AT_ONCE = 32 * 1024
"""Less than the server itself does at once: its turns wait for each transaction of another process."""
_LEAST_PAUSE_S = 0.02
_PAUSE_SHARE = 2.0


class SqliteIntakeReader:
    """`core.intake.IntakeReader` on a connection with an open transaction."""

    def __init__(self, db: Connection, memory: MemoryRules) -> None:
        self._db = db
        self._memory = memory
        self._promised = intake.Promised.nothing()

    def untaken(self, session_key: str, conversation: ForeignConversation) -> Intake:
        return intake.untaken(self._db, key=session_key, conversation=conversation, promised=self._promised)

    def unknown_facts(self, session_key: str, facts: Sequence[ForeignFact]) -> tuple[str, ...]:
        return intake.unknown_facts(
            self._db, key=session_key, new=facts, rules=self._memory, promised=self._promised
        )


class SqliteIntakeWriter:
    """`core.intake.IntakeWriter` on a connection without a transaction, which has the tables of
    `derived.derive`. `is_alone`: no server uses the database.
    """

    def __init__(self, db: Connection, memory: MemoryRules, *, is_alone: bool) -> None:
        self._db = db
        self._is_alone = is_alone
        self._memory = memory
        # A running server would wait for the disk as often as this process does: `finish` does, once.
        db.execute("PRAGMA synchronous = normal")
        # The server that has an older index rebuilds it at its next start, with all that is new.
        self._indexes = db.execute("SELECT version FROM search_version").fetchone() == (index.version(),)

    def take(self, session_key: str, conversation: ForeignConversation) -> Intake:
        found = intake.untaken(self._db, key=session_key, conversation=conversation)
        taken = 0
        for piece in self._pieces(found.messages):
            with self._transaction():
                problem = intake.take_piece(
                    self._db, key=session_key, conversation=conversation, piece=piece, now=time.time()
                )
            if problem:
                return msgspec.structs.replace(found, messages=found.messages[:taken], problem=problem)
            taken += len(piece)
        if taken and self._indexes:
            self._index(session_key)
        return found

    def finish(self) -> None:
        """Wait until all that was taken in is on the disk."""
        self._db.execute("PRAGMA synchronous = full")
        with self._db.transaction():
            # Only a commit that writes something waits, for all before it as well.
            self._db.execute("UPDATE search_version SET version = version")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do something in a transaction; then leave the database to the server for a while.

        SQLite has no queue for those who want to write: who tries now and then would hardly ever come in
        beside somebody who does all the time.
        """
        began = time.monotonic()
        with self._db.transaction():
            yield
        if not self._is_alone:
            time.sleep(_LEAST_PAUSE_S + _PAUSE_SHARE * (time.monotonic() - began))

    def _index(self, session_key: str) -> None:
        """Take what is new into the index: a running server notices only what it has written itself."""
        head = transcript.find_head(self._db, session_key)
        while head is not None and self._is_behind(head.session):
            with self._transaction():
                self._index_some(head.session)

    def _index_some(self, session: int) -> None:
        if self._is_alone:
            index.index_session(self._db, session)
        else:
            index.index_session(
                self._db, session, most_messages=_MESSAGES_AT_ONCE, most_characters=_BYTES_AT_ONCE
            )

    def _pieces(self, messages: Sequence[ImportedMessage]) -> Iterator[Sequence[importing.TakenMessage]]:
        if self._is_alone:
            return importing.pieces(messages)
        return importing.pieces(messages, most_rows=_MESSAGES_AT_ONCE, most_bytes=_BYTES_AT_ONCE)

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
            with self._transaction():
                outcomes += intake.remember(
                    self._db, key=session_key, new=facts[at : at + _FACTS_AT_ONCE], rules=self._memory
                )
        return outcomes
