"""Canaries: secrets whose text says whose they are and how they came in, so that a leak explains itself."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

CANARY = "cnry"
"""What every secret begins with."""
# Channels have no z: it separates them from the rest.
_FORM = re.compile(r"cnry([0-9]{5})z([a-y]{1,24})z[0-9a-f]{16}")
_ID = re.compile(r"(?<![0-9a-z])[a-z]+[_-]([0-9a-z]{26})")
"""An id. What follows its prefix is the same in all ids of a turn: its own, its response's, its items'."""
PAST = 50_000
"""Added to a tenant's number: the owner of what the tenant had before its session was deleted."""


class Canary(msgspec.Struct, frozen=True):
    """A secret. `owner`: a tenant's number, or that plus `PAST`. `channel`: how it came in."""

    owner: int
    channel: str
    text: str


class Canaries:
    """All secrets of a run. Ids count as secrets too: they open what they name to whoever guesses them.

    `created`: how many there are, by channel. `seen`: those that their owners were shown, by channel.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._by_text: dict[str, Canary] = {}
        self.created: Counter[str] = Counter()
        self.seen: dict[str, set[str]] = {}

    def create(self, owner: int, channel: str) -> str:
        """Return a new secret of letters and digits, which a text search takes as one word.

        Raises:
            ValueError: `channel` has other characters than letters from a to y.
        """
        text = f"cnry{owner:05d}z{channel}z{self._rng.getrandbits(64):016x}"
        if not _FORM.fullmatch(text):
            raise ValueError(f"channel {channel!r}: only letters from a to y are allowed")
        self._by_text[text] = Canary(owner, channel, text)
        self.created[channel] += 1
        return text

    def add_ids(self, owner: int, ids: Iterable[str]) -> None:
        """Treat ids as the owner's secrets."""
        for text in ids:
            match = _ID.match(text)
            if match is not None and match[1] not in self._by_text:
                self._by_text[match[1]] = Canary(owner, "id", match[1])
                self.created["id"] += 1

    def find(self, text: str) -> set[Canary]:
        """Return the secrets in `text`."""
        return {canary for word in _words(text) if (canary := self._by_text.get(word)) is not None}

    def mark_seen(self, canary: Canary) -> None:
        """Record that the owner was shown it; a secret that nobody can see proves nothing by its absence."""
        self.seen.setdefault(canary.channel, set()).add(canary.text)


def owner_of(text: str) -> int | None:
    """Return the owner of the last secret in `text`, None where there is none."""
    owner = None
    for match in _FORM.finditer(text):
        owner = int(match[1])
    return owner


def secrets_in(text: str) -> list[str]:
    """Return the secrets in `text` that are not ids, each once, in order."""
    return list(dict.fromkeys(match[0] for match in _FORM.finditer(text)))


def tenant_of(owner: int) -> int:
    """Return the number of the owner's tenant, present or past."""
    return owner % PAST


def _words(text: str) -> Iterator[str]:
    yield from (match[0] for match in _FORM.finditer(text))
    yield from (match[1] for match in _ID.finditer(text))
