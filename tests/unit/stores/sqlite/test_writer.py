"""The thread that writes: every job is answered, whatever becomes of its neighbours."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from nanobot.core.errors import SessionBusy, StoreError
from nanobot.core.observer import Observer
from nanobot.core.payer import PAYER
from nanobot.stores.sql.db import Db
from nanobot.stores.sqlite.connection import Connection
from nanobot.stores.sqlite.writer import Writer, pause_after
from tests.asgi import BOUND_S

T = TypeVar("T")


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    path = tmp_path / "db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)
    db.execute("CREATE TABLE note (text TEXT)")
    writer = Writer(db, path)
    yield writer
    await writer.close()
    db.close()


@pytest.fixture
def switch_interval() -> Iterator[float]:
    """The interval that threads hand the interpreter over at; put back afterwards."""
    before = sys.getswitchinterval()
    yield before
    sys.setswitchinterval(before)


class Note:
    """A job that writes a row and returns how many there are."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, db: Db) -> int:
        db.execute("INSERT INTO note (text) VALUES (?)", (self._text,))
        (count,) = db.execute("SELECT count(*) FROM note").fetchone()
        return int(count)


def broken(result: int) -> None:
    raise KeyError(result)


async def test_a_callback_that_fails_is_logged_and_every_caller_is_answered(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """In one commit: the one whose callback fails, and those before and behind it."""
    told: list[int] = []
    jobs = [
        writer.do(Note("a"), told.append),
        writer.do(Note("b"), broken),
        writer.do(Note("c"), told.append),
        writer.do(Note("d")),
    ]
    async with asyncio.timeout(BOUND_S):
        answers = await asyncio.gather(*jobs)
    assert answers == [1, 2, 3, 4], "what was committed is answered with its result"
    assert told == [1, 3]
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_job_that_fails_leaves_nothing_and_its_callback_is_not_told(writer: Writer) -> None:
    def refused(db: Db) -> int:
        Note("a")(db)
        raise SessionBusy("no")

    told: list[int] = []
    async with asyncio.timeout(BOUND_S):
        first, second = await asyncio.gather(
            writer.do(refused, told.append), writer.do(Note("b"), told.append), return_exceptions=True
        )
    assert isinstance(first, SessionBusy)
    assert second == 1
    assert told == [1]


async def test_the_callback_is_told_though_the_caller_has_gone(writer: Writer) -> None:
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    caller = asyncio.ensure_future(writer.do(Note("a"), told.set_result))
    await asyncio.sleep(0)
    caller.cancel()
    assert await asyncio.wait_for(told, BOUND_S) == 1


async def test_others_run_between_the_answers_of_a_commit_of_many_jobs(writer: Writer) -> None:
    """What an answer sets going runs on the event loop, so they come a few at a time, in their order."""
    loop = asyncio.get_running_loop()
    told: list[int] = []
    rounds: list[int] = []
    release = threading.Event()

    def wait(db: Db) -> int:
        release.wait(BOUND_S)
        return Note("first")(db)

    def look() -> None:
        rounds.append(len(told))
        if len(told) <= 200:
            loop.call_soon(look)

    jobs = [asyncio.ensure_future(writer.do(wait, told.append))]
    jobs += [asyncio.ensure_future(writer.do(Note(str(number)), told.append)) for number in range(200)]
    await asyncio.sleep(0)
    loop.call_soon(look)
    release.set()
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(*jobs)
    assert told == list(range(1, 202))
    assert max(after - before for before, after in pairwise(rounds)) <= 64


async def test_many_jobs_at_once_share_few_commits_none_of_them_large(
    tmp_path: Path,
) -> None:
    commits: list[int] = []

    class Counting(Observer):
        def committed(self, jobs: int, seconds: float) -> None:
            commits.append(jobs)

    db = sqlite3.connect(tmp_path / "db", isolation_level=None, check_same_thread=False, factory=Connection)
    db.execute("CREATE TABLE note (text TEXT)")
    writer = Writer(db, tmp_path / "db", Counting())
    async with asyncio.timeout(BOUND_S):
        answers = await asyncio.gather(*(writer.do(Note(str(number))) for number in range(300)))
        await writer.close()
    db.close()
    assert answers == list(range(1, 301))
    assert sum(commits) == 300
    assert max(commits) <= 128
    assert len(commits) <= 5


async def test_what_was_asked_for_before_the_end_is_done(writer: Writer) -> None:
    """Also where the thread has not heard of it yet."""
    asked = asyncio.ensure_future(writer.do(Note("a")))
    await asyncio.sleep(0)
    async with asyncio.timeout(BOUND_S):
        await writer.close()
        assert await asked == 1


async def test_a_closed_writer_takes_no_jobs(writer: Writer) -> None:
    await writer.close()
    with pytest.raises(StoreError, match="closed"):
        await writer.do(Note("a"))


async def test_spare_work_that_fails_is_logged_and_jobs_are_answered_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)
    db.execute("CREATE TABLE note (text TEXT)")
    loop, failed = asyncio.get_running_loop(), asyncio.Event()

    def spare(_: Connection) -> float:
        loop.call_soon_threadsafe(failed.set)
        raise ValueError("a damaged message")

    writer = Writer(db, path, spare=spare, quiet_s=0.0)
    async with asyncio.timeout(BOUND_S):
        await failed.wait()
        assert await writer.do(Note("a")) == 1
        await writer.close()
    db.close()
    assert any(record.exc_info and "spare work" in record.message for record in caplog.records)


async def test_spare_work_is_done_also_where_it_is_never_quiet(tmp_path: Path) -> None:
    path = tmp_path / "db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)
    db.execute("CREATE TABLE note (text TEXT)")
    pieces: list[int] = []

    def spare(_: Connection) -> float:
        pieces.append(len(pieces))
        return 0.0

    writer = Writer(db, path, spare=spare, quiet_s=3_600.0, patience_s=0.0)
    async with asyncio.timeout(BOUND_S):
        for number in range(20):
            await writer.do(Note(str(number)))
        await writer.close()
    db.close()
    assert pieces


async def test_no_job_waits_for_more_than_one_piece_of_something_long(writer: Writer) -> None:
    order: list[str] = []
    has_begun, may_end = threading.Event(), threading.Event()

    def first(_: Db) -> None:
        has_begun.set()
        may_end.wait(BOUND_S)
        order.append("piece 0")

    def noting(name: str) -> Callable[[Db], None]:
        return lambda _: order.append(name)

    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
        group.create_task(writer.do_piece(first))
        await asyncio.to_thread(has_begun.wait, BOUND_S)
        for number in range(1, 4):
            group.create_task(writer.do_piece(noting(f"piece {number}")))
        for _ in range(3):
            group.create_task(writer.do(noting("job")))
        # They ask, and what they have asked for is passed on.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        may_end.set()
    assert order == ["piece 0", *["job"] * 3, "piece 1", "piece 2", "piece 3"]


def _note_in(done: list[int], number: int, _: Db) -> None:
    done.append(number)


async def test_pieces_that_were_asked_for_are_done_before_the_end(writer: Writer) -> None:
    done: list[int] = []
    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(writer.do_piece(partial(_note_in, done, number)))
        await asyncio.sleep(0)
        await writer.close()
    assert done == [0, 1, 2, 3, 4]


async def test_a_piece_that_fails_leaves_the_jobs_beside_it_alone(writer: Writer) -> None:
    def fail(db: Db) -> None:
        db.execute("INSERT INTO note VALUES ('half')")
        raise SessionBusy("no")

    async with asyncio.timeout(BOUND_S):
        failed, done = await asyncio.gather(
            writer.do_piece(fail), writer.do(Note("whole")), return_exceptions=True
        )
        assert isinstance(failed, SessionBusy) and not isinstance(done, BaseException)
        assert await writer.do(lambda db: db.execute("SELECT text FROM note").fetchall()) == [("whole",)]


def test_the_longer_a_piece_of_spare_work_took_the_longer_jobs_run_alone() -> None:
    assert pause_after(0.001, 0.0, 5.0) == 1.0
    assert pause_after(0.2, 0.0, 5.0) == 10.0
    assert pause_after(0.01, None, 5.0) == 5.0
    assert pause_after(0.2, 30.0, 5.0) == 30.0


@pytest.mark.usefixtures("switch_interval")
async def test_the_interpreter_is_handed_over_sooner_where_jobs_come_one_by_one_than_where_many_share_commits(
    writer: Writer,
) -> None:
    async def one_by_one() -> float:
        for number in range(16):
            await writer.do(Note(str(number)))
        return sys.getswitchinterval()

    async def many_at_once() -> float:
        for _ in range(16):
            await asyncio.gather(*(writer.do(Note(str(number))) for number in range(16)))
        return sys.getswitchinterval()

    async with asyncio.timeout(BOUND_S):
        soon, later, soon_again = await one_by_one(), await many_at_once(), await one_by_one()
    assert soon < later
    assert soon_again == soon


@pytest.mark.usefixtures("switch_interval")
async def test_a_job_alone_between_large_commits_does_not_have_the_interpreter_handed_over_sooner(
    writer: Writer,
) -> None:
    """As under load: what one answer sets going is committed while the others still come."""
    found: set[float] = set()
    async with asyncio.timeout(BOUND_S):
        for number in range(16):
            await asyncio.gather(*(writer.do(Note(str(number))) for _ in range(16)))
            await writer.do(Note("alone"))
            if number >= 8:
                found.add(sys.getswitchinterval())
    assert len(found) == 1


async def test_where_it_is_never_quiet_a_second_of_jobs_lies_between_pieces_of_spare_work(
    tmp_path: Path,
) -> None:
    """A piece holds up whoever asks meanwhile: of the turns of a busy second it is a few."""
    path = tmp_path / "db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)
    db.execute("CREATE TABLE note (text TEXT)")
    now_s = [0.0]
    pieces: list[float] = []

    def spare(_: Connection) -> float:
        pieces.append(now_s[0])
        return 0.0

    writer = Writer(db, path, spare=spare, quiet_s=3_600.0, patience_s=5.0, monotonic=lambda: now_s[0])
    async with asyncio.timeout(BOUND_S):
        for halves in range(20):
            now_s[0] = halves / 2
            await writer.do(Note(str(halves)))
        await writer.close()
    db.close()
    assert pieces[0] >= 5.0
    assert all(later - sooner >= 1.0 for sooner, later in pairwise(pieces))
    assert len(pieces) >= 4


# Shares of payers ---------------------------------------------------------------------------------


class Commits(Observer):
    """Notes how many jobs each commit had."""

    def __init__(self) -> None:
        self.jobs: list[int] = []

    def committed(self, jobs: int, seconds: float) -> None:
        self.jobs.append(jobs)


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[tuple[Writer, Commits]]:
    path = tmp_path / "db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)
    db.execute("CREATE TABLE note (text TEXT)")
    commits = Commits()
    writer = Writer(db, path, commits)
    yield writer, commits
    await writer.close()
    db.close()


async def as_payer(payer: str, what: Awaitable[T]) -> T:
    PAYER.set(payer)
    return await what


def ask(writer: Writer, payer: str, job: Callable[[Db], T]) -> "asyncio.Task[T]":
    return asyncio.create_task(as_payer(payer, writer.do(job)))


async def test_while_another_asks_a_payer_has_few_jobs_in_a_commit(counted: tuple[Writer, Commits]) -> None:
    writer, commits = counted
    gate = threading.Event()
    first = ask(writer, "other", lambda _: gate.wait(BOUND_S))
    await asyncio.sleep(0)
    many = [ask(writer, "many", Note(f"{number}")) for number in range(60)]
    one = ask(writer, "other", Note("one"))
    await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(BOUND_S):
        assert await first
        # Of those that were asked before it, few are done before it.
        assert await one <= 5
        assert [await each for each in many] == [*range(1, 5), *range(6, 62)]
    assert max(commits.jobs) <= 6


async def test_a_payer_who_asks_alone_shares_commits_as_before(counted: tuple[Writer, Commits]) -> None:
    writer, commits = counted
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(*(ask(writer, "many", Note(f"{number}")) for number in range(60)))
    assert commits.jobs == [60]


async def test_who_has_jobs_kept_back_has_no_room_until_they_are_done(
    counted: tuple[Writer, Commits],
) -> None:
    writer, _ = counted
    gate = threading.Event()
    first = ask(writer, "other", lambda _: gate.wait(BOUND_S))
    many = [ask(writer, "many", Note(f"{number}")) for number in range(8)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(as_payer("many", writer.room())) for _ in range(3)]
    gone = asyncio.create_task(as_payer("many", writer.room()))
    free = asyncio.create_task(as_payer("other", writer.room()))
    for _ in range(3):
        await asyncio.sleep(0)
    gone.cancel()
    assert free.done()
    assert not any(each.done() for each in waiting)
    gate.set()
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(first, *many, *waiting)
        await as_payer("many", writer.room())


async def test_a_writer_that_is_closed_does_what_it_has_kept_back(counted: tuple[Writer, Commits]) -> None:
    writer, _ = counted
    first = ask(writer, "other", Note("first"))
    many = [ask(writer, "many", Note(f"{number}")) for number in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(BOUND_S):
        await writer.close()
        assert await first == 1
        assert [await each for each in many] == list(range(2, 22))
