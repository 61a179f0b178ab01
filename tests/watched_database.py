"""Watching connections of SQLite that other threads use at the time.

SQLite calls back with the connection's mutex held, and the callback waits for the interpreter; `sqlite3` sets
and takes away callbacks with the interpreter held, and waits for the mutex. So one that is called is never
changed again: it stays, and passes on to whoever watches.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakKeyDictionary

_statements: WeakKeyDictionary[sqlite3.Connection, list[Callable[[str], object]]] = WeakKeyDictionary()
_steps: WeakKeyDictionary[sqlite3.Connection, list[Callable[[], object]]] = WeakKeyDictionary()


@contextlib.contextmanager
def each_statement(
    connections: Iterable[sqlite3.Connection], note: Callable[[str], object]
) -> Iterator[None]:
    """Call `note` with each statement of the connections, in their threads."""
    watched = [_watchers_of_statements(db) for db in connections]
    for watchers in watched:
        watchers.append(note)
    try:
        yield
    finally:
        for watchers in watched:
            watchers.remove(note)


@contextlib.contextmanager
def each_step(connections: Iterable[sqlite3.Connection], note: Callable[[], object]) -> Iterator[None]:
    """Call `note` for each step of SQLite's virtual machine on the connections, in their threads."""
    watched = [_watchers_of_steps(db) for db in connections]
    for watchers in watched:
        watchers.append(note)
    try:
        yield
    finally:
        for watchers in watched:
            watchers.remove(note)


def _watchers_of_statements(db: sqlite3.Connection) -> list[Callable[[str], object]]:
    if db not in _statements:
        watchers = _statements[db] = []

        def tell(statement: str) -> None:
            for note in tuple(watchers):
                note(statement)

        db.set_trace_callback(tell)
    return _statements[db]


def _watchers_of_steps(db: sqlite3.Connection) -> list[Callable[[], object]]:
    if db not in _steps:
        watchers = _steps[db] = []

        def tell() -> int:
            for note in tuple(watchers):
                note()
            return 0

        db.set_progress_handler(tell, 1)
    return _steps[db]
