"""`core.offline.OfflineStore` on SQLite: connections of their own, beside those of a running server."""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from nanobot.core.accounts import ApiKey
from nanobot.core.approvals import Approval, ApprovalAnswer, ApprovalFilter, ApprovalRule
from nanobot.core.errors import StoreError, StoreLocked, StoreTooNew
from nanobot.core.ids import SystemRandomness, new_id
from nanobot.core.memory import MemoryFact, MemoryRules
from nanobot.core.offline import DatabaseLibrary, DatabaseReport, RunningServer
from nanobot.core.people import Person, PersonSession
from nanobot.core.scopes import DEFAULT_RULES, ScopeRules, Scopes
from nanobot.core.sessions import ALL, Row, SearchHit, Session
from nanobot.core.uploads import Upload
from nanobot.stores.sql import (
    approvals,
    catalogue,
    fact_search,
    facts,
    hidden,
    keys,
    people,
    remembering,
    search,
)
from nanobot.stores.sql.links import names_of
from nanobot.stores.sqlite import index
from nanobot.stores.sqlite.backup import backup
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.intake import SqliteIntakeReader, SqliteIntakeWriter
from nanobot.stores.sqlite.keys import changing, stored_keys, writing
from nanobot.stores.sqlite.memory import MemoryData
from nanobot.stores.sqlite.migrate import APPLICATION_ID, migrations
from nanobot.stores.sqlite.opening import DATABASE, LOCK, DirectoryLock, explain, open_reader

_OLDEST_VERSION = (3, 37, 0)
_PAGE = 500
_PAGE_BYTES = 8 << 20
_ANNOUNCED_LINES = 4
"""The lines of a lock file whose server has said how to reach it: process, address, token, certificate."""


def sqlite_library() -> DatabaseLibrary:
    """Return the SQLite of this Python, and whether it is new enough and has what the store needs."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _OLDEST_VERSION:
        oldest = ".".join(map(str, _OLDEST_VERSION[:2]))
        return DatabaseLibrary(version, f"too old, SQLite {oldest} or newer is needed")
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        if not db.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone():
            return DatabaseLibrary(version, "it has no FTS5, which the search in conversations needs")
    return DatabaseLibrary(version)


class SqliteReadOnly:
    """`core.offline.ReadOnlyStore` on a connection with an open transaction."""

    def __init__(self, db: Connection, memory: MemoryRules) -> None:
        self._db = db
        self._memory = memory

    def sessions(self, *, limit: int) -> tuple[Session, ...]:
        return catalogue.sessions(self._db, limit=limit, after=None)

    def session(self, session_key: str) -> Session:
        return catalogue.session(self._db, key=session_key)

    def search(self, text: str, *, limit: int) -> tuple[SearchHit, ...]:
        return search.search(self._db, index, text=text, limit=limit, after=None, order="desc", matching=ALL)

    def facts(self, session_key: str) -> tuple[tuple[MemoryFact, ...], ...]:
        return facts.all_versions(self._db, key=session_key, rules=self._memory)

    def fact(self, session_key: str, which: str) -> MemoryFact:
        return remembering.writable_one(self._db, session_key, which, self._memory)

    def fact_versions(self, session_key: str, which: str) -> tuple[MemoryFact, ...]:
        fact = remembering.readable_one(self._db, session_key, which, self._memory)
        return facts.versions(self._db, key=session_key, fact_id=fact.id, rules=self._memory)

    def search_facts(self, session_key: str, text: str, *, limit: int) -> tuple[MemoryFact, ...]:
        standing = facts.standing(self._db, key=session_key, rules=self._memory)
        return fact_search.best(standing, text, limit, is_asked=True)

    def messages(self, session_key: str) -> Iterator[Row]:
        first = self._page(session_key, after_seq=0)

        def rows() -> Iterator[Row]:
            page = first
            while page:
                yield from page
                page = self._page(session_key, after_seq=page[-1].seq)

        return rows()

    def people(self, *, limit: int, after: str | None = None) -> tuple[Person, ...]:
        return people.people(self._db, limit=limit, after=after)

    def person(self, id_: str) -> Person:
        return people.person(self._db, id_)

    def sessions_of_person(self, id_: str, *, limit: int) -> tuple[PersonSession, ...]:
        return people.sessions(self._db, id_, limit=limit, after=None)

    def keys_of_person(self, id_: str) -> tuple[Scopes, ...]:
        return people.keys(self._db, id_)

    def uploads_of_person(self, id_: str, *, limit: int, before: str | None = None) -> tuple[Upload, ...]:
        return people.uploads(self._db, id_, limit=limit, before=before)

    def facts_of_person(
        self, id_: str, *, limit: int, after: str | None = None
    ) -> tuple[tuple[MemoryFact, ...], ...]:
        return people.facts(self._db, id_, limit=limit, after=after)

    def approvals(self, matching: ApprovalFilter, *, now: float, limit: int) -> tuple[Approval, ...]:
        return approvals.page(self._db, matching, now, limit=limit, after=None, order="desc")

    def approval_rules(self) -> tuple[ApprovalRule, ...]:
        return approvals.rules(self._db, ALL)

    def _page(self, session_key: str, *, after_seq: int) -> tuple[Row, ...]:
        return catalogue.messages(
            self._db, key=session_key, limit=_PAGE, after_seq=after_seq, max_bytes=_PAGE_BYTES
        ).rows


class SqlitePeopleWriter:
    """`core.offline.PeopleWriter` on a connection with an open transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def link(self, id_: str, other: str) -> tuple[str, ...]:
        return names_of(self._db, people.link(self._db, id_, other))

    def unlink(self, name: str) -> None:
        people.unlink(self._db, name)


class SqliteApprovalWriter:
    """`core.offline.ApprovalWriter` on a connection with an open transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

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
        rule_id = new_id("rule", now, SystemRandomness())
        return approvals.decide(
            self._db,
            approval_id,
            answer,
            by=by,
            rule_id=rule_id,
            pattern=pattern,
            now=now,
            content=content,
        )

    def approval(self, approval_id: str, *, now: float) -> Approval:
        return approvals.find(self._db, approval_id, now)

    def revoke_rule(self, rule_id: str) -> ApprovalRule:
        return approvals.revoke_rule(self._db, rule_id)


class SqliteApiKeyWriter:
    """`core.offline.ApiKeyWriter` on a connection with an open transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def insert(self, key: ApiKey) -> None:
        keys.insert(self._db, key)

    def revoke(self, name_or_id: str, now: float) -> ApiKey:
        return keys.revoke(self._db, name_or_id, now)

    def forget(self, name_or_id: str, now: float) -> ApiKey:
        return keys.revoke(self._db, name_or_id, now, forget=True)


class SqliteOffline:
    """`core.offline.OfflineStore` on the database file of a data directory. `scopes`: whom session keys speak
    of.
    """

    def __init__(
        self, directory: Path, scopes: ScopeRules = DEFAULT_RULES, memory: MemoryRules | None = None
    ) -> None:
        self._memory = memory or MemoryRules()
        self._directory = directory
        self._scopes = scopes
        self._path = directory / DATABASE

    @contextlib.contextmanager
    def open_readonly(self) -> Iterator[SqliteReadOnly]:
        with self._reading() as db:
            db.execute("BEGIN")
            self._check_format(db)
            db.scopes = self._scopes
            yield SqliteReadOnly(db, self._memory)

    def _check_format(self, db: Connection) -> None:
        (found,) = db.execute("PRAGMA user_version").fetchone()
        newest = migrations()[-1][0]
        if found > newest:
            raise StoreTooNew(
                f"{self._path} has format {found}, this nanobot knows up to {newest}: upgrade nanobot"
            )
        if found < newest:
            raise StoreError(
                f"{self._path} has format {found}, and is read from format {newest} on: start the server"
                " once with this "
                "version, which brings it there"
            )

    def api_keys(self) -> tuple[ApiKey, ...]:
        return stored_keys(self._directory)

    @contextlib.contextmanager
    def write_api_keys(self) -> Iterator[SqliteApiKeyWriter]:
        with writing(self._directory) as db:
            yield SqliteApiKeyWriter(db)

    @contextlib.contextmanager
    def write_people(self) -> Iterator[SqlitePeopleWriter]:
        with writing(self._directory) as db:
            db.scopes = self._scopes
            yield SqlitePeopleWriter(db)

    @contextlib.contextmanager
    def read_intake(self) -> Iterator[SqliteIntakeReader]:
        if not self._path.exists():
            with contextlib.closing(MemoryData()) as nothing:
                nothing.db.scopes = self._scopes
                yield SqliteIntakeReader(nothing.db, self._memory)
            return
        with self._reading() as db:
            db.execute("BEGIN")
            self._check_format(db)
            db.scopes = self._scopes
            yield SqliteIntakeReader(db, self._memory)

    @contextlib.contextmanager
    def write_intake(self) -> Iterator[SqliteIntakeWriter]:
        with changing(self._directory) as (db, is_alone):
            db.scopes = self._scopes
            writer = SqliteIntakeWriter(db, self._memory, is_alone=is_alone)
            yield writer
            writer.finish()

    @contextlib.contextmanager
    def write_approvals(self) -> Iterator[SqliteApprovalWriter]:
        with writing(self._directory) as db:
            yield SqliteApprovalWriter(db)

    def backup(self, path: Path) -> None:
        with self._reading() as db:
            backup(db, path)

    def lock_owner(self) -> str | None:
        try:
            DirectoryLock(self._directory).release()
        except StoreLocked:
            owner, *_ = self._lock_lines() or ["unknown"]
            return owner
        return None

    def _lock_lines(self) -> list[str]:
        return (self._directory / LOCK).read_text(encoding="utf-8", errors="replace").splitlines()

    def announce(self, server: RunningServer) -> None:
        path = self._directory / LOCK
        try:
            if sys.platform != "win32" and path.stat().st_mode & 0o077:
                raise StoreError(f"{path} can be read by others: make it readable for its owner only")
            certificate = server.certificate.hex() if server.certificate is not None else ""
            with path.open("r+", encoding="utf-8") as file:
                file.truncate(0)
                file.write("\n".join((server.process, server.url, server.token, certificate)) + "\n")
        except OSError as error:
            raise StoreError(f"cannot write {path} ({error.strerror})") from error

    def running_server(self) -> RunningServer | None:
        try:
            lines = self._lock_lines()
            # The lock is tried last: for that moment, no server could start.
            if len(lines) < _ANNOUNCED_LINES or self.lock_owner() is None:
                return None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read {self._directory / LOCK} ({error.strerror})") from error
        process, url, token, certificate, *_ = lines
        return RunningServer(process, url, token, bytes.fromhex(certificate) if certificate else None)

    def check(self) -> DatabaseReport | None:
        if not self._path.exists():
            return None
        with self._reading() as db:
            return self._report(db)

    def _report(self, db: Connection) -> DatabaseReport:
        (application_id,) = db.execute("PRAGMA application_id").fetchone()
        (format_,) = db.execute("PRAGMA user_version").fetchone()
        size_bytes, newest = self._path.stat().st_size, migrations()[-1][0]
        is_ours = application_id == APPLICATION_ID
        if not is_ours or format_ > newest:
            return DatabaseReport(self._path, size_bytes, is_ours, format_, newest)
        problems = [problem for (problem,) in db.execute("PRAGMA quick_check(3)") if problem != "ok"]
        if problems:
            return DatabaseReport(self._path, size_bytes, is_ours, format_, newest, damage=problems[0])
        (sessions,) = db.execute(f"SELECT count(*) FROM session WHERE {hidden.shown('key')}").fetchone()
        return DatabaseReport(self._path, size_bytes, is_ours, format_, newest, sessions=sessions)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with contextlib.closing(open_reader(self._directory)) as db:
            try:
                yield db
            except sqlite3.Error as error:
                raise explain(error, self._path) from error
