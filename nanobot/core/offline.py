"""The store as commands use it: without running one, and beside a server that does."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from nanobot.core.accounts import ApiKey
from nanobot.core.approvals import Approval, ApprovalAnswer, ApprovalFilter, ApprovalRule
from nanobot.core.intake import IntakeReader, IntakeWriter
from nanobot.core.memory import MemoryFact
from nanobot.core.people import Person, PersonSession
from nanobot.core.scopes import Scopes
from nanobot.core.sessions import Row, SearchHit, Session
from nanobot.core.uploads import Upload


class ReadOnlyStore(Protocol):
    """The store as of one moment, whatever a server writes meanwhile. Every method may raise `StoreError`."""

    def sessions(self, *, limit: int) -> tuple[Session, ...]:
        """Return sessions, most recently used first."""
        ...

    def session(self, session_key: str) -> Session:
        """Return the session.

        Raises:
            SessionNotFound
        """
        ...

    def search(self, text: str, *, limit: int) -> tuple[SearchHit, ...]:
        """Return the sessions with a message that has all the words of `text`, or words that begin so.

        Finds what has been indexed, which a running server does within seconds.

        Raises:
            InvalidRequest: `text` is too long.
        """
        ...

    def messages(self, session_key: str) -> Iterator[Row]:
        """Return all rows of the live transcript, oldest first, read page by page.

        Raises:
            SessionNotFound: at once, not when the first row is asked for.
        """
        ...

    def facts(self, session_key: str) -> tuple[tuple[MemoryFact, ...], ...]:
        """Return all facts that the session reaches, newest first, each as its versions."""
        ...

    def fact(self, session_key: str, which: str) -> MemoryFact:
        """Return the fact with this id or text, which the session may change.

        Raises:
            FactNotFound, NotAllowed
        """
        ...

    def fact_versions(self, session_key: str, which: str) -> tuple[MemoryFact, ...]:
        """Return all versions of the fact with this id or text, newest first.

        Raises:
            FactNotFound
        """
        ...

    def search_facts(self, session_key: str, text: str, *, limit: int) -> tuple[MemoryFact, ...]:
        """Return the facts that have most in common with `text`, the best first."""
        ...

    def people(self, *, limit: int, after: str | None = None) -> tuple[Person, ...]:
        """Return people with a session, by their ids; those that come after the id `after`.

        Raises:
            PersonNotFound: there is nobody `after`.
        """
        ...

    def person(self, id_: str) -> Person:
        """Return the person who has that name.

        Raises:
            PersonNotFound
        """
        ...

    def sessions_of_person(self, id_: str, *, limit: int) -> tuple[PersonSession, ...]:
        """Return sessions of the person, those that began last first.

        Raises:
            PersonNotFound
        """
        ...

    def keys_of_person(self, id_: str) -> tuple[Scopes, ...]:
        """Return the keys of the person's sessions, those that began first first.

        Raises:
            PersonNotFound
        """
        ...

    def uploads_of_person(self, id_: str, *, limit: int, before: str | None = None) -> tuple[Upload, ...]:
        """Return uploads of the person, newest first; those with an id before `before`."""
        ...

    def facts_of_person(
        self, id_: str, *, limit: int, after: str | None = None
    ) -> tuple[tuple[MemoryFact, ...], ...]:
        """Return facts of the person; see `core.people.People.facts_of_person`."""
        ...

    def approvals(self, matching: ApprovalFilter, *, now: float, limit: int) -> tuple[Approval, ...]:
        """Return approvals as they stand `now`, newest first."""
        ...

    def approval_rules(self) -> tuple[ApprovalRule, ...]:
        """Return all rules that come out of approvals, oldest first."""
        ...


class PeopleWriter(Protocol):
    """Changes to the links of people, in one transaction."""

    def link(self, id_: str, other: str) -> tuple[str, ...]:
        """Make one person of two; return all their names, the person's id first.

        Raises:
            InvalidRequest: they are one already, have too many accounts, or a name is not valid.
        """
        ...

    def unlink(self, name: str) -> None:
        """Make the account a person of its own again.

        Raises:
            InvalidRequest: it is not linked.
        """
        ...


class ApprovalWriter(Protocol):
    """Decisions on approvals, in one transaction."""

    def decide(
        self,
        approval_id: str,
        answer: ApprovalAnswer,
        *,
        by: str,
        now: float,
        pattern: str | None = None,
        content: str | None = None,
    ) -> Approval:
        """Decide on the approval; see `core.approvals.Approvals.decide_approval`.

        Raises:
            ApprovalNotFound, ApprovalClosed
        """
        ...

    def approval(self, approval_id: str, *, now: float) -> Approval:
        """Return the approval.

        Raises:
            ApprovalNotFound
        """
        ...

    def revoke_rule(self, rule_id: str) -> ApprovalRule:
        """Take back a rule, and return it.

        Raises:
            ApprovalRuleNotFound
        """
        ...


class ApiKeyWriter(Protocol):
    """Changes to the API keys, in one transaction."""

    def insert(self, key: ApiKey) -> None:
        """Add a key.

        Raises:
            ConfigError: a valid key has this name.
        """
        ...

    def revoke(self, name_or_id: str, now: float) -> ApiKey:
        """Make the key invalid forever, and return it.

        Raises:
            ConfigError: there is no such key, or it is revoked already.
        """
        ...

    def forget(self, name_or_id: str, now: float) -> ApiKey:
        """Revoke the key and delete it, also one that is revoked already; return it.

        Raises:
            ConfigError: there is no such key.
        """
        ...


class DatabaseLibrary(msgspec.Struct, frozen=True):
    """The database library of this Python. `problem`: why the store cannot run on it; empty: it can."""

    version: str
    problem: str = ""


class DatabaseReport(msgspec.Struct, frozen=True):
    """The state of a database.

    `is_ours`: another program's is not. `format` is the number of the last migration that ran on it,
    `newest_format` that of the last one known here. `damage`: the first problem found, empty where there is
    none; of a database that is not ours, or newer, nothing more is read.
    """

    path: Path
    size_bytes: int
    is_ours: bool
    format: int
    newest_format: int
    damage: str = ""
    sessions: int = 0


class RunningServer(msgspec.Struct, frozen=True):
    """The server that uses a data directory, for programs of the directory's owner.

    `process`: its id. `token`: an API key that is valid as long as the server runs. `certificate`: the
    SHA-256 of the certificate that it shows; None: it does not speak HTTPS.
    """

    process: str
    url: str
    token: str
    certificate: bytes | None = None


class OfflineStore(Protocol):
    """A data directory. Nothing is created in it unless a method says so."""

    def open_readonly(self) -> AbstractContextManager[ReadOnlyStore]:
        """Open the store for reading; many may, in any process.

        Raises:
            StoreError: nothing is stored yet, or it cannot be read.
        """
        ...

    def api_keys(self) -> tuple[ApiKey, ...]:
        """Return all API keys, oldest first; none where nothing is stored yet.

        Raises:
            StoreError: they cannot be read.
        """
        ...

    def write_api_keys(self) -> AbstractContextManager[ApiKeyWriter]:
        """Open the store, created where it is missing, to change API keys, committed at the end.

        Works beside a running server, which takes note of the change within a second.

        Raises:
            StoreError: it cannot be written, or a server of an older version runs on it.
        """
        ...

    def write_people(self) -> AbstractContextManager[PeopleWriter]:
        """Open the store, created where it is missing, to link people, committed at the end.

        Works beside a running server, which takes note of the change within a second.

        Raises:
            StoreError: it cannot be written, or a server of an older version runs on it.
        """
        ...

    def read_intake(self) -> AbstractContextManager[IntakeReader]:
        """Open the store to see what would be taken in; where nothing is stored yet, as if it were empty.

        Raises:
            StoreError: it cannot be read.
        """
        ...

    def write_intake(self) -> AbstractContextManager[IntakeWriter]:
        """Open the store, created where it is missing, to take in what comes from other programs; also beside
        a running server.

        Raises:
            StoreError: it cannot be written, or a server of an older version runs on it.
        """
        ...

    def write_approvals(self) -> AbstractContextManager[ApprovalWriter]:
        """Open the store to decide on approvals, committed at the end; also beside a running server.

        Raises:
            StoreError: it cannot be written, or a server of an older version runs on it.
        """
        ...

    def backup(self, path: Path) -> None:
        """Copy the database to `path`, consistent as of one moment, while others write.

        Raises:
            StoreError: the file exists, cannot be written, or nothing is stored yet.
        """
        ...

    def lock_owner(self) -> str | None:
        """Return the process id of the server that uses the directory, which must exist; None: no server.

        Takes the lock as a server would, and releases it.

        Raises:
            StoreError: the directory cannot be locked.
        """
        ...

    def announce(self, server: RunningServer) -> None:
        """Say where the server is that uses the directory, to those who may read its lock file: its owner.
        Only that server may call it; what it says holds until it releases the lock.

        Raises:
            StoreError: it cannot be written, or others could read it.
        """
        ...

    def running_server(self) -> RunningServer | None:
        """Return the server that uses the directory; None where there is none, or it has not said where it
        is.

        Raises:
            StoreError: the lock file cannot be read.
        """
        ...

    def check(self) -> DatabaseReport | None:
        """Return the state of the database, None where nothing is stored yet.

        Raises:
            StoreError: it cannot be read.
        """
        ...
