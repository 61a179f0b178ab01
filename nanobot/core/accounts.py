"""API keys, quotas and what turns cost: the words for who may do what, and how much of it."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal, Protocol

import msgspec

from nanobot.core.errors import BadSessionKey, ConfigError
from nanobot.core.ids import Randomness
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Usage
from nanobot.core.session_keys import MAX_KEY_CHARS, parse_key

Right = Literal["chat", "sessions:read", "sessions:write", "files", "admin"]
RIGHTS: tuple[Right, ...] = ("chat", "sessions:read", "sessions:write", "files", "admin")
"""What an API key may be allowed, called scopes where users see them. `admin` includes the others."""

DAY_S = 86_400
MAX_NAME_CHARS = 100
_PREFIX = "nb-"
_TOKEN_BITS = 256
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@lru_cache(2)
def name_of_day(day: int) -> str:
    """Return the day of UTC, counted from 1970, as `YYYY-MM-DD`."""
    return time.strftime("%Y-%m-%d", time.gmtime(day * DAY_S))


HistoryMode = Literal["auto", "whole"]
"""What the messages of a request are: `whole`: all of the conversation; `auto`: its end, before which the
transcript may have more.
"""


class Quota(msgspec.Struct, frozen=True, omit_defaults=True):
    """The most of each in its time; None: no limit. Money is US dollars; days are days of UTC."""

    requests_per_minute: int | None = None
    running_turns: int | None = None
    tokens_per_day: int | None = None
    money_per_day: float | None = None

    @property
    def limits_anything(self) -> bool:
        return self != Quota()


class PatternQuota(msgspec.Struct, frozen=True):
    """A quota on session keys that match `pattern`: on all of them together, or on each conversation of its
    own.
    """

    pattern: str
    quota: Quota
    per: Literal["pattern", "session"] = "pattern"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as it is kept: `digest` is all that is left of the key itself.

    `patterns`: the session keys that it may see; empty: all. `session_key`: the conversation of requests that
    name none. `history`: what its requests send where nothing else says so. Times are seconds since the
    epoch. `is_strong`: the key is long random text, nothing that could be guessed.
    """

    id: str
    name: str
    digest: bytes
    rights: tuple[Right, ...]
    patterns: tuple[str, ...] = ()
    session_key: str | None = None
    history: HistoryMode = "auto"
    quota: Quota = Quota()
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None
    is_strong: bool = True


def matches(session_key: str, pattern: str) -> bool:
    """Return whether the session key is one of those that the pattern means: `*` stands for any run of
    characters, nothing else for anything.

    A backslash takes its meaning from a star, or from another backslash: a session key may have stars in it.
    """
    return fnmatchcase(session_key, glob(pattern))


@lru_cache(512)
def glob(pattern: str) -> str:
    """Return the pattern as `fnmatch` and SQLite's GLOB have it, who know more signs than `*`."""
    return _SIGNS.sub(lambda found: _AS_GLOB[found[0]], pattern)


_SIGNS = LatePattern(r"\\[*\\]|[\[?]")
_AS_GLOB = {"\\*": "[*]", "\\\\": "\\", "[": "[[]", "?": "[?]"}


def check_key(key: ApiKey, where: str) -> ApiKey:
    """Return the key, if it makes sense. `where` says who wrote it.

    Raises:
        ConfigError
    """
    if not key.name.strip() or len(key.name) > MAX_NAME_CHARS or not key.name.isprintable():
        raise ConfigError(
            f"{where}: name is {key.name[:80]!r}: it must have 1 to {MAX_NAME_CHARS} printable characters"
        )
    for pattern in key.patterns:
        check_pattern(pattern, where)
    if key.session_key is None:
        return key
    try:
        parsed = parse_key(key.session_key)
    except BadSessionKey as error:
        raise ConfigError(f"{where}: {error.message}") from error
    if not parsed:
        raise ConfigError(f"{where}: the default session key is empty: name a conversation, or leave it out")
    if key.patterns and not any(matches(parsed, pattern) for pattern in key.patterns):
        raise ConfigError(
            f"{where}: the default session key {parsed!r} matches none of the key's own patterns"
            f" ({', '.join(key.patterns)}): "
            "it could not see its own conversation"
        )
    return msgspec.structs.replace(key, session_key=parsed)


def check_pattern(pattern: str, where: str) -> None:
    """Return where the pattern makes sense.

    Raises:
        ConfigError
    """
    if not pattern.strip() or len(pattern) > MAX_KEY_CHARS or not pattern.isprintable():
        raise ConfigError(
            f"{where}: session pattern {pattern[:80]!r}: it must have 1 to {MAX_KEY_CHARS} printable"
            " characters, as wx:dm:*"
        )


def new_token(randomness: Randomness) -> str:
    """Return a new API key: `nb-` and 256 random bits."""
    number = randomness.getrandbits(_TOKEN_BITS)
    return _PREFIX + "".join(_ALPHABET[number >> shift & 63] for shift in range(0, _TOKEN_BITS, 6))


def digest_of(token: bytes) -> bytes:
    """Return what is kept of an API key.

    A plain SHA-256, once: a slow hash makes guesses dear where people choose the words. Here there is nothing
    to guess, with 256 random bits, and every request would pay for it.
    """
    return hashlib.sha256(token).digest()


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens. `cached_input` None: as dear as other input."""

    input: float
    output: float
    cached_input: float | None = None

    def cost(self, usage: Usage) -> int:
        """Return what the tokens cost in micro-dollars (dollars per million tokens are micro-dollars per
        token), rounded up.
        """
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = max(0, usage.prompt_tokens - usage.cached_tokens)
        # Rounded first: a binary fraction just above a whole number would cost one micro-dollar more.
        return math.ceil(
            round(
                fresh * self.input + usage.cached_tokens * cached + usage.completion_tokens * self.output, 6
            )
        )


class PriceList(msgspec.Struct, frozen=True):
    """Which model stands behind each name that a turn may ask for (None: the default), and what those cost
    whose price is known.
    """

    models: Mapping[str | None, str] = {}
    prices: Mapping[str, Price] = {}

    def model(self, name: str | None) -> str:
        return self.models.get(name) or name or "unknown"


class TurnCost(msgspec.Struct, frozen=True):
    """What a turn used. `cost`: micro-dollars, None where the price is not known.

    `model`: the one that answered; `by_model`: the cost of each whose price is known, where several had a
    part in it.
    """

    key_id: str | None
    session_key: str
    model: str
    tokens: int
    cost: int | None
    by_model: Mapping[str, int] = {}


class SpendingOf(msgspec.Struct, frozen=True):
    """What was used up on one day by an API key, or in a session: whichever of the two is set."""

    key_id: str | None
    session_key: str | None
    tokens: int
    cost: int


class UnendedTurn(msgspec.Struct, frozen=True):
    """A turn that has been admitted and has not ended, and what it is charged to."""

    id: str
    key_id: str | None
    session_key: str


class TurnSettled(msgspec.Struct, frozen=True):
    """The end of a turn: its id, those of the turns that joined it, and what it used; None where it was
    cancelled before it used anything.
    """

    turn_ids: tuple[str, ...]
    cost: TurnCost | None = None


AccountListener = Callable[[UnendedTurn | TurnSettled], None]
"""Is told of each turn that is admitted and of its end, on the event loop; raises nothing."""


class UsageRow(msgspec.Struct, frozen=True):
    """What was used on a day (`YYYY-MM-DD`, UTC), with a key (`key_id` None: without one), of a model; a
    field that was not asked for is None.

    `cost`: micro-dollars of the turns whose price is known; `unpriced` counts the others.
    """

    day: str | None
    key_id: str | None
    model: str | None
    turns: int
    steps: int
    usage: Usage
    cost: int
    unpriced: int


Grouping = Literal["day", "key", "model"]


class Accounts(Protocol):
    """API keys, and what turns cost."""

    async def api_keys(self) -> tuple[ApiKey, ...]:
        """Return all keys, the revoked ones too, oldest first."""
        ...

    async def keys_version(self) -> str:
        """Return a text that changes whenever the keys do; cheap."""
        ...

    async def usage(
        self,
        *,
        first_day: str,
        last_day: str,
        group: Sequence[Grouping],
        key_id: str | None = None,
        only_key: bool = False,
    ) -> tuple[UsageRow, ...]:
        """Return what was used from `first_day` to `last_day`, a row for each value of `group`; with
        `only_key` by that key alone.
        """
        ...

    async def session_usage(
        self, session_key: str, *, first_day: str, last_day: str, group: Sequence[Grouping]
    ) -> tuple[UsageRow, ...]:
        """Return what was used in one session.

        Raises:
            SessionNotFound
        """
        ...

    async def spending(self, day: str, *, by_session: bool) -> tuple[SpendingOf, ...]:
        """Return what each key, and with `by_session` what each session, has used up on the day."""
        ...

    async def live_turns(self) -> tuple[UnendedTurn, ...]:
        """Return the turns that have not ended."""
        ...

    def listen(self, listener: AccountListener) -> None:
        """Tell `listener` of each turn from now on: of its admission before `admit` returns, of its end
        before anyone who waits for the turn.
        """
        ...
