import re
from pathlib import Path

import pytest

import nanobot
from nanobot.access import quotas
from nanobot.access.caller import Caller
from nanobot.access.quotas import Quotas
from nanobot.core.accounts import DAY_S, PatternQuota, Quota, TurnCost, TurnSettled, UnendedTurn
from nanobot.testing import FakeClock


def test_where_several_limits_hold_the_nearest_is_told() -> None:
    book = Quotas(
        [PatternQuota("a:*", Quota(requests_per_minute=5)), PatternQuota("*", Quota(tokens_per_day=100))],
        FakeClock(),
    )
    caller = Caller("key_1", quota=Quota(requests_per_minute=3))
    accounts = book.accounts(caller, "a:1")
    book.take(accounts, "turn_1")
    told = dict(book.headers(accounts))
    assert (told[b"x-ratelimit-limit-requests"], told[b"x-ratelimit-remaining-requests"]) == (b"3", b"2")
    assert (told[b"x-ratelimit-limit-tokens"], told[b"x-ratelimit-remaining-tokens"]) == (b"100", b"100")
    assert told[b"x-ratelimit-reset-tokens"] == b"16h0m0s"
    assert not book.accounts(Caller("key_2"), "b:1")[0].quota.requests_per_minute


def test_where_nothing_is_limited_nothing_is_counted() -> None:
    assert Quotas([], FakeClock()).accounts(Caller("key_1"), "a") == ()


def test_conversations_used_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "MOST_ACCOUNTS", 3)
    book = Quotas([PatternQuota("*", Quota(tokens_per_day=10), "session")], FakeClock())
    for number in range(5):
        book.count(TurnCost(None, f"s{number}", "m", 10, 0))
    assert [book.refusal(book.accounts(Caller(), f"s{number}")) is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_turn_counts_from_its_admission_until_its_end_and_only_once() -> None:
    book = Quotas([PatternQuota("*", Quota(running_turns=1))], FakeClock())
    accounts = book.accounts(Caller(), "a")
    book.take(accounts, "turn_1")
    assert book.refusal(accounts) is not None, "it is about to be admitted"
    book.follow(UnendedTurn("turn_1", None, "a"))
    book.settle(accounts, "turn_1")
    assert book.refusal(accounts) is not None, "it runs"
    book.follow(TurnSettled(("turn_1",)))
    assert book.refusal(accounts) is None
    book.take(accounts, "turn_2")
    book.settle(accounts, "turn_2")
    assert book.refusal(accounts) is None, "it was not admitted"


def test_a_turn_that_was_admitted_after_its_client_had_gone_counts_too() -> None:
    book = Quotas([PatternQuota("*", Quota(running_turns=1))], FakeClock())
    accounts = book.accounts(Caller(), "a")
    book.take(accounts, "turn_1")
    book.settle(accounts, "turn_1")
    book.follow(UnendedTurn("turn_1", None, "a"))
    assert book.refusal(accounts) is not None
    book.follow(TurnSettled(("turn_1", "turn_that_joined_it")))
    assert book.refusal(accounts) is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.12, b"120ms"), (1, b"1s"), (59.2, b"1m0s"), (360, b"6m0s"), (10_921, b"3h2m1s")],
)
def test_durations_read_as_openais(seconds: float, shown: bytes) -> None:
    """Here the time to midnight, when the tokens of the day are there again."""
    book = Quotas([PatternQuota("*", Quota(tokens_per_day=10))], FakeClock(DAY_S - seconds))
    headers = dict(book.headers(book.accounts(Caller(), "a")))
    assert headers[b"x-ratelimit-reset-tokens"] == shown


def test_a_bucket_that_is_full_is_reset_in_no_time() -> None:
    book = Quotas([PatternQuota("*", Quota(requests_per_minute=10))], FakeClock())
    headers = dict(book.headers(book.accounts(Caller(), "a")))
    assert headers[b"x-ratelimit-reset-requests"] == b"0ms"


def test_every_entry_point_admits_on_an_account() -> None:
    """One that asked the store itself would let turns past every quota, and usage would not know whose they
    were.
    """
    package = Path(nanobot.__file__).parent
    asking = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if re.search(r"(store|turns)\.admit\(", file.read_text(encoding="utf-8"))
    }
    assert asking == {"access/admission.py"}
