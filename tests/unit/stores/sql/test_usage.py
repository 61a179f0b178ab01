"""What past days cost is summed up while nothing else is to be done: no report changes by it."""

from collections.abc import Iterator
from itertools import product

import pytest

from nanobot.core.accounts import DAY_S, PriceList, UsageRow
from nanobot.core.message import Message, Text, Usage
from nanobot.stores.sql import transcript, usage
from nanobot.stores.sql.db import Db
from nanobot.testing import MemoryData

ANSWER = (Message("assistant", (Text("ok"),), "stop"),)
FIRST, LAST = usage.day_of(0.0), usage.day_of(9 * DAY_S)
KEYS, MODELS = ("key_1", "key_2", None), ("large", "small")


@pytest.fixture
def db() -> Iterator[Db]:
    data = MemoryData()
    with data.db.transaction():
        for number in range(4):
            transcript.open_session(data.db, f"s{number}", 0.0)
        yield data.db
    data.close()


def spend(db: Db, session: int, key_id: str | None, model: str, day: int, tokens: int = 10) -> None:
    charge = usage.Charge(session, f"s{session - 1}", key_id, model, ANSWER, Usage(tokens, 1), None)
    usage.count(db, charge, PriceList(), float(day * DAY_S))


def by_key(db: Db) -> tuple[UsageRow, ...]:
    return usage.report(
        db, first_day=FIRST, last_day=LAST, group=("day", "key", "model"), key_id=None, only_key=False
    )


def by_session(db: Db) -> list[tuple[UsageRow, ...]]:
    return [
        usage.report_session(db, key=f"s{number}", first_day=FIRST, last_day=LAST, group=("day", "model"))
        for number in range(4)
    ]


def sum_up(db: Db) -> int:
    pieces = 1
    while usage.sum_up_some(db):
        pieces += 1
    return pieces


def rows_of_sessions(db: Db) -> int:
    (count,) = db.execute("SELECT count(*) FROM usage WHERE session <> 0 AND is_summed = 0").fetchone()
    return int(count)


@pytest.fixture
def used(db: Db) -> Db:
    for number, (session, key_id, model, day) in enumerate(product(range(1, 5), KEYS, MODELS, (1, 2, 3))):
        spend(db, session, key_id, model, day, number)
    return db


def test_reports_are_the_same_once_past_days_are_summed_up(used: Db) -> None:
    before = by_key(used), by_session(used)
    rows = rows_of_sessions(used)
    sum_up(used)
    assert (by_key(used), by_session(used)) == before
    assert 0 < rows_of_sessions(used) < rows
    assert len(by_key(used)) == 3 * len(KEYS) * len(MODELS)


def test_what_is_used_on_a_day_that_is_summed_up_already_counts_too(used: Db) -> None:
    sum_up(used)
    spend(used, 1, "key_1", "large", 1, tokens=1_000)
    before = by_key(used), by_session(used)
    sum_up(used)
    assert (by_key(used), by_session(used)) == before
    assert sum(row.usage.prompt_tokens for row in before[0] if row.usage.prompt_tokens >= 1_000) >= 1_000


@pytest.mark.parametrize("is_summed", [False, True])
def test_what_a_deleted_session_used_stays_with_its_key(used: Db, is_summed: bool) -> None:
    if is_summed:
        sum_up(used)
    before, others = by_key(used), by_session(used)[1:]
    usage.take_from(used, 1)
    assert by_key(used) == before
    assert by_session(used) == [(), *others]
    sum_up(used)
    assert by_key(used) == before


def test_it_is_done_a_piece_at_a_time(db: Db) -> None:
    for session, number in product(range(1, 5), range(200)):
        spend(db, session, f"key_{number}", "large", 1)
    spend(db, 1, "key_1", "large", 2)
    assert sum_up(db) == 1 + -(-800 // 256)


def test_quotas_of_keys_and_sessions_begin_with_what_the_day_has_seen(used: Db) -> None:
    sum_up(used)
    usage.take_from(used, 4)
    for day in (1, 3):
        found = usage.spending(used, day=usage.day_of(day * DAY_S), by_session=True)
        keys = {each.key_id for each in found if each.session_key is None}
        sessions = {each.session_key for each in found if each.session_key is not None}
        assert (keys, sessions) == ({"key_1", "key_2"}, {"s0", "s1", "s2"})
