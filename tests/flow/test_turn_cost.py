"""What a plain turn asks of the database, counted: one that uses no memory, files, tools, skills, plans or
approvals pays for none of them.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite.database import ThreadedDatabase
from nanobot.testing import ScriptedModel
from tests.harness import Harness, OpenHarness


class Jobs:
    """The jobs that the database was given, and the statements of each, without BEGIN and COMMIT."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.reads: list[list[str]] = []

    @property
    def statements(self) -> list[str]:
        return [statement for job in (*self.writes, *self.reads) for statement in job]


@contextlib.contextmanager
def jobs(harness: Harness) -> Iterator[Jobs]:
    """Note what turns ask, and not what the writer does when nothing else is to be done."""
    store, found = harness.app.store, Jobs()
    assert isinstance(store, SqlStore) and isinstance(store.database, ThreadedDatabase)
    database = store.database

    def noted(kind: list[list[str]], job: Callable[[sqlite3.Connection], Any], db: sqlite3.Connection) -> Any:
        statements: list[str] = []
        kind.append(statements)

        def note(statement: str) -> None:
            # A session's place among those used lately is written once in five minutes.
            if statement.startswith(("--", "UPDATE session SET period")):
                return
            # A statement that has a trigger may be shown once more for it.
            if statements[-1:] != [statement]:
                statements.append(statement)

        db.set_trace_callback(note)
        try:
            return job(db)
        finally:
            db.set_trace_callback(None)

    write, read, scan = database.write, database.read, database.scan
    with contextlib.ExitStack() as stack:
        for name, real, kind in (
            ("write", write, found.writes),
            ("read", read, found.reads),
            ("scan", scan, found.reads),
        ):
            stack.callback(setattr, database, name, real)
            setattr(
                database,
                name,
                lambda job, *then, real=real, kind=kind: real(partial(noted, kind, job), *then),
            )
        yield found


async def test_a_plain_turn_is_two_commits_of_twelve_statements(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    # The second question may be the first one again.
    for text in ("hello", "well?"):
        assert (await harness.door.chat("a:dm:b", text)).status == 200
    with jobs(harness) as found:
        assert (await harness.door.chat("a:dm:b", "and now?")).status == 200
    assert found.reads == []
    admission, end = found.writes
    assert [words(statement) for statement in admission] == [
        "SELECT session",
        "INSERT turn",
        "INSERT message",
        "UPDATE session",
        "SELECT message",
        "INSERT dispatch",
    ]
    assert [words(statement) for statement in end] == [
        "SELECT turn",
        "INSERT message",
        "UPDATE session",
        "UPDATE turn",
        "DELETE dispatch",
        "INSERT usage",
    ]


async def test_a_turn_with_facts_in_reach_asks_two_statements_more(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    for key in ("a:dm:b", "a:dm:c"):
        for text in ("hello", "well?"):
            assert (await harness.door.chat(key, text)).status == 200
    fact = b'{"text":"has a boat"}'
    added = await harness.door.call("POST", "/v1/memory", body=fact, headers={"x-session-key": "a:dm:b"})
    assert added.status in (200, 201), added.text
    counts: dict[str, int] = {}
    for key in ("a:dm:b", "a:dm:c"):
        with jobs(harness) as found:
            assert (await harness.door.chat(key, "and now?")).status == 200
        counts[key] = len(found.statements)
    assert counts["a:dm:b"] == counts["a:dm:c"] + 2, "whose accounts are one person, and what is known of it"


def words(statement: str) -> str:
    """Return what a statement does, and the table that it does it to."""
    verb, *rest = statement.split()
    if verb == "SELECT":
        tables = ("session", "message", "turn", "compaction", "branch", "fact", "person_link")
        at = {name: statement.rfind(f" FROM {name}") for name in tables}
        return f"SELECT {max(at, key=lambda name: at[name])}"
    return f"{verb} {rest[0] if verb == 'UPDATE' else rest[1]}"
