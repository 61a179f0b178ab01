"""What a failed job or query was asked with is free at once, not when Python next looks for cycles: a first
message of a session asks for a session that is not there, and may have a picture of megabytes.
"""

import gc
import sqlite3
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from nanobot.core.errors import SessionNotFound
from nanobot.stores.sql.db import Db
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.reader import Reader
from nanobot.stores.sqlite.writer import Writer

Ask = Callable[[Callable[[Db], None]], Awaitable[None]]


class Request:
    """Something that a caller holds."""


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(params=[(Reader, "ask"), (Writer, "do"), (Writer, "do_piece")], ids=["query", "job", "piece"])
async def ask(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ask]:
    path = tmp_path / "db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)
    kind, method = request.param
    thread = kind(db, path)
    yield getattr(thread, method)
    await thread.close()
    db.close()


def fail(_: Db) -> None:
    raise SessionNotFound("no session 'a' here")


async def test_what_its_caller_holds_is_free_when_the_error_was_handled(
    ask: Ask, no_collections: None
) -> None:
    async def call() -> weakref.ref[Request]:
        held = Request()
        try:
            await ask(fail)
        except SessionNotFound:
            return weakref.ref(held)
        raise AssertionError("it did not fail")

    is_there = await call()
    # The thread's last round ends, and with it what the thread holds of it.
    await ask(lambda _: None)
    assert is_there() is None
