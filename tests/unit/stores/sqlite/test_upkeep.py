"""The store's spare work: one kind of it that fails does not keep the others waiting."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.opening import DATABASE, open_writer
from nanobot.stores.sqlite.upkeep import Upkeep
from nanobot.testing import FakeClock

OLD = "INSERT INTO message VALUES ((7 << 32) | 1, 7, NULL, 1, 1, NULL, 1.0, x'00')"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Connection]:
    db = open_writer(tmp_path, "normal")
    yield db
    db.close()


def rest(upkeep: Upkeep, db: Connection) -> float | None:
    """Do all that there is to do now; return in how many seconds to go on."""
    while (again_s := upkeep(db)) == 0.0:
        pass
    return again_s


def test_work_that_fails_keeps_no_other_waiting(
    writer: Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    upkeep = Upkeep(tmp_path / DATABASE, clock.now)
    # A list that was given up, of a session that is gone.
    writer.execute(
        "INSERT INTO unseen (session, first_seq, last_seq, state, made) VALUES (7, 1, 1, 'left', 0)"
    )
    writer.execute(OLD)
    # That the log is to be emptied, which is done last.
    writer.execute("INSERT INTO chore (name) VALUES ('truncate')")
    assert rest(upkeep, writer) == 300.0
    assert writer.execute("SELECT count(*) FROM chore").fetchone() == (0,)
    assert [record.message for record in caplog.records] == [
        "deleting what is left of lists that were given up failed; next try in 300 s"
    ]
    assert rest(upkeep, writer) == 300.0
    assert len(caplog.records) == 1
    writer.execute("DELETE FROM message")
    clock.advance(301)
    assert rest(upkeep, writer) is None
    assert writer.execute("SELECT count(*) FROM unseen").fetchone() == (0,)


def test_of_a_disk_that_stays_full_the_log_is_told_once_in_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    upkeep = Upkeep(tmp_path / DATABASE, clock.now)
    with contextlib.closing(open_writer(tmp_path, "normal")) as db:
        # A transaction that is open stands for a disk that is full: none can be begun.
        db.execute("BEGIN")
        for _ in range(100):
            assert upkeep(db) == 30.0
            clock.advance(1)
        assert len(caplog.records) == 1
        clock.advance(300)
        assert upkeep(db) == 30.0
        assert len(caplog.records) == 2
        db.execute("ROLLBACK")
