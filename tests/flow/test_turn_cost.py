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
from nanobot.testing import FakeClock, ScriptedModel
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
            # A statement that has a trigger may be shown once more for it.
            if not statement.startswith("--") and statements[-1:] != [statement]:
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
    harness = await open_harness(ScriptedModel("ok"), clock=FakeClock())
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


async def test_turn_ten_thousand_asks_as_much_as_an_early_one(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"), clock=FakeClock())
    for key, turns in (("early", 1_000), ("late", 10_000)):
        lines = (
            b'{"role":"user","content":"%d?"}\n{"role":"assistant","content":"' + b"it is so " * 30 + b'"}\n'
        )
        body = b'{"format":"nanobot.session","version":2}\n' + b"".join(lines % n for n in range(turns))
        assert (await harness.door.call("POST", f"/v1/sessions/{key}/import", body=body)).status == 200
        assert (await harness.door.chat(key, "hello")).status == 200
    # What so much is owed once: its summary, and its rows in the search index.
    await harness.app.compactor.settled()
    for _ in range(4_000):
        if "x-search" not in (await harness.door.get("/v1/sessions?q=so")).headers:
            break
    asked: dict[str, list[str]] = {}
    for key in ("early", "late"):
        with jobs(harness) as found:
            assert (await harness.door.chat(key, "and now?")).status == 200
        asked[key] = [words(statement) for statement in found.statements]
    assert asked["late"] == asked["early"]
    assert len(asked["late"]) <= 24


async def test_a_turn_with_facts_in_reach_asks_two_statements_more(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"), clock=FakeClock())
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
