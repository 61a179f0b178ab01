"""How much each API key, and each conversation, may still use; asked before a turn is admitted."""

import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from fnmatch import translate

import msgspec

from nanobot.access.caller import Caller
from nanobot.access.rate import RateLimiter
from nanobot.core.accounts import (
    DAY_S,
    Accounts,
    PatternQuota,
    Quota,
    TurnCost,
    TurnSettled,
    UnendedTurn,
    glob,
    name_of_day,
)
from nanobot.core.clock import Clock
from nanobot.core.errors import NanobotError, QuotaExceeded, RateLimited

MOST_ACCOUNTS = 50_000
"""How many keys and conversations are remembered; those used longest ago are forgotten."""

Headers = tuple[tuple[bytes, bytes], ...]
_MICRO = 1_000_000


class Account(msgspec.Struct, frozen=True):
    """What usage is counted on: its name, its quota, and what errors call it."""

    name: str
    quota: Quota
    words: str


class _Day:
    """What was used up today."""

    __slots__ = ("micro_dollars", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.micro_dollars = 0


class _Rule:
    def __init__(self, number: int, rule: PatternQuota) -> None:
        self.rule = rule
        self._number = number
        self._expression = re.compile(translate(glob(rule.pattern)))

    def account(self, session_key: str) -> Account | None:
        if self._expression.match(session_key) is None:
            return None
        rule = self.rule
        if rule.per == "session":
            return Account(f"session:{self._number}:{session_key}", rule.quota, "this conversation")
        return Account(f"pattern:{self._number}", rule.quota, "conversations of this kind")


class Quotas:
    """What every key and conversation has used today, and what they may still use.

    It is read from the store at the start, and kept up with every turn that ends.
    """

    def __init__(self, rules: Sequence[PatternQuota], clock: Clock) -> None:
        self._rules = tuple(_Rule(number, rule) for number, rule in enumerate(rules))
        self._clock = clock
        self._requests = RateLimiter(MOST_ACCOUNTS)
        self._offered: dict[str, set[str]] = {}
        self._running: dict[str, set[str]] = {}
        # The end of a turn tells no more than its id.
        self._names_of: dict[str, tuple[str, ...]] = {}
        self._day = self._today()
        self._spent: OrderedDict[str, _Day] = OrderedDict()

    async def load(self, ledger: Accounts) -> None:
        """Read what was used today, and which turns still run.

        Raises:
            StoreError
        """
        day = name_of_day(self._day)
        for used in await ledger.spending(day, by_session=bool(self._rules)):
            self._add(used.key_id, used.session_key, used.tokens, used.cost)
        for turn in await ledger.live_turns():
            self._begin(turn)

    def follow(self, news: UnendedTurn | TurnSettled) -> None:
        """Count an admitted turn, or the end of one and what it cost: a listener of the store."""
        if isinstance(news, UnendedTurn):
            self._begin(news)
            return
        for turn_id in news.turn_ids:
            self._end(turn_id)
        if news.cost is not None:
            self.count(news.cost)

    def count(self, spent: TurnCost) -> None:
        """Count a turn that has ended on its accounts."""
        self._add(spent.key_id, spent.session_key, spent.tokens, spent.cost or 0)

    def accounts(self, caller: Caller, session_key: str) -> tuple[Account, ...]:
        """Return the accounts with a limit that a turn is counted on; on most servers there are none."""
        accounts = self._ruled(session_key) if self._rules else []
        if caller.key_id is not None and caller.quota.limits_anything:
            accounts.append(Account(_key_name(caller.key_id), caller.quota, "this API key"))
        return tuple(accounts)

    def refusal(self, accounts: Sequence[Account]) -> NanobotError | None:
        """Return why there may be no turn now; None where there may."""
        now = self._clock.now()
        for account in accounts:
            quota, words = account.quota, account.words
            if (over := self._used_up(account)) is not None:
                return over
            if quota.running_turns is not None and self._run_now(account.name) >= quota.running_turns:
                return RateLimited(
                    f"{words} may have {quota.running_turns} turns running or waiting at a time: try again "
                    "when one has ended",
                    retry_after_s=1,
                )
            if quota.requests_per_minute is not None:
                wait_s = self._requests.wait_s(account.name, quota.requests_per_minute, now)
                if wait_s > 0:
                    return RateLimited(
                        f"{words} may send {quota.requests_per_minute} requests a minute: try again in "
                        f"{math.ceil(wait_s)} s",
                        retry_after_s=wait_s,
                    )
        return None

    def used_up(self, accounts: Sequence[Account]) -> QuotaExceeded | None:
        """Return what of a day is used up; None where there is some left of everything."""
        return next((over for account in accounts if (over := self._used_up(account)) is not None), None)

    def _used_up(self, account: Account) -> QuotaExceeded | None:
        quota, words = account.quota, account.words
        if quota.tokens_per_day is not None and (used := self._used(account).tokens) >= quota.tokens_per_day:
            return self._over(f"{words} may use {quota.tokens_per_day} tokens a day, and has used {used}")
        if (
            quota.money_per_day is not None
            and (cost := self._used(account).micro_dollars) >= quota.money_per_day * _MICRO
        ):
            return self._over(
                f"{words} may spend {quota.money_per_day:g} $ a day, and has spent {cost / _MICRO:.4f} $"
            )
        return None

    def _over(self, what: str) -> QuotaExceeded:
        wait_s = self._until_tomorrow()
        return QuotaExceeded(
            f"{what}: the next day begins at 00:00 UTC, in {_duration(wait_s)}", retry_after_s=wait_s
        )

    def take(self, accounts: Sequence[Account], turn_id: str) -> None:
        """Count a request, and a turn that is about to be admitted."""
        now = self._clock.now()
        for account in accounts:
            if account.quota.requests_per_minute is not None:
                self._requests.take(account.name, account.quota.requests_per_minute, now)
            if account.quota.running_turns is not None:
                self._offered.setdefault(account.name, set()).add(turn_id)

    def settle(self, accounts: Sequence[Account], turn_id: str) -> None:
        """Forget that the turn is about to be admitted: where it was, the store has said so (`follow`)."""
        for account in accounts:
            _remove(self._offered, account.name, turn_id)

    def give_back(self, accounts: Sequence[Account]) -> None:
        """Give back the request of a `take`: there was no new turn."""
        now = self._clock.now()
        for account in accounts:
            if account.quota.requests_per_minute is not None:
                self._requests.give_back(account.name, account.quota.requests_per_minute, now)

    def headers(self, accounts: Sequence[Account]) -> Headers:
        """Return what is left in OpenAI's headers: of several limits the one that is reached first."""
        now = self._clock.now()
        requests: list[tuple[int, int, float]] = []
        tokens: list[tuple[int, int, float]] = []
        for account in accounts:
            if (most := account.quota.requests_per_minute) is not None:
                level = self._requests.level(account.name, most, now)
                requests.append((int(level), most, (most - level) * 60 / most))
            if (most := account.quota.tokens_per_day) is not None:
                tokens.append((max(0, most - self._used(account).tokens), most, self._until_tomorrow()))
        return (*_ratelimit(b"requests", requests), *_ratelimit(b"tokens", tokens))

    # Counting -------------------------------------------------------------------------------------

    def _add(self, key_id: str | None, session_key: str | None, tokens: int, micro_dollars: int) -> None:
        names = self._names(key_id, session_key)
        if not names:
            return
        self._turn_page()
        for name in names:
            day = self._spent.get(name)
            if day is None:
                day = self._spent[name] = _Day()
            day.tokens += tokens
            day.micro_dollars += micro_dollars
            # Keeps the accounts in the order of their last use.
            self._spent.move_to_end(name)
            if len(self._spent) > MOST_ACCOUNTS:
                self._spent.popitem(last=False)

    def _names(self, key_id: str | None, session_key: str | None) -> list[str]:
        names = [_key_name(key_id)] if key_id is not None else []
        if session_key is not None and self._rules:
            names += [account.name for account in self._ruled(session_key)]
        return names

    def _ruled(self, session_key: str) -> list[Account]:
        """Return the accounts of the rules whose pattern the session key matches."""
        return [account for rule in self._rules if (account := rule.account(session_key)) is not None]

    def _used(self, account: Account) -> _Day:
        self._turn_page()
        return self._spent.get(account.name) or _Day()

    def _run_now(self, name: str) -> int:
        return len(self._running.get(name, ())) + len(self._offered.get(name, ()))

    def _begin(self, turn: UnendedTurn) -> None:
        names = self._names(turn.key_id, turn.session_key)
        if not names:
            return
        self._names_of[turn.id] = tuple(names)
        for name in names:
            self._running.setdefault(name, set()).add(turn.id)
            # From here on it counts as running, though `admit` has not returned to its caller yet.
            _remove(self._offered, name, turn.id)

    def _end(self, turn_id: str) -> None:
        for name in self._names_of.pop(turn_id, ()):
            _remove(self._running, name, turn_id)

    def _turn_page(self) -> None:
        today = self._today()
        if today != self._day:
            self._day = today
            self._spent.clear()

    def _today(self) -> int:
        return int(self._clock.now() // DAY_S)

    def _until_tomorrow(self) -> float:
        now = self._clock.now()
        return DAY_S - now % DAY_S


def _remove(turns: dict[str, set[str]], name: str, turn_id: str) -> None:
    """Take the turn off an account; an account that has none left is forgotten."""
    pending = turns.get(name)
    if pending is not None:
        pending.discard(turn_id)
        if not pending:
            del turns[name]


def _key_name(key_id: str) -> str:
    return f"key:{key_id}"


def _ratelimit(what: bytes, limits: list[tuple[int, int, float]]) -> Headers:
    if not limits:
        return ()
    # The fewest remaining sort first.
    remaining, limit, reset_s = min(limits)
    return (
        (b"x-ratelimit-limit-" + what, str(limit).encode()),
        (b"x-ratelimit-remaining-" + what, str(remaining).encode()),
        (b"x-ratelimit-reset-" + what, _duration(reset_s).encode()),
    )


def _duration(seconds: float) -> str:
    """Return a duration as OpenAI writes it: `120ms`, `1s`, `6m0s`, `3h2m1s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
