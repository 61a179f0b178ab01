"""Canaries: secrets whose text says whose they are and where they were planted, so that any place they turn
up in speaks for itself.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

_FORM = re.compile(r"cnry([0-9]{5})z([a-y]{1,24})z[0-9a-f]{16}")
_ID = re.compile(r"(?<![0-9a-z])[a-z]+[_-]([0-9a-z]{26})")
"""An id; what follows its first word is the same in all names that a turn has: its own, its response's, those
of its items.
"""
PAST = 50_000
"""Added to the number of a tenant: the owner of what it had before its session was deleted and made anew."""


class Canary(msgspec.Struct, frozen=True):
    """A secret. `channel`: by which way it came into the house."""

    owner: int
    channel: str
    text: str


class Canaries:
    """All that were planted, and what else is a secret: ids, which open what they name to who may guess them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._known: dict[str, Canary] = {}
        self.planted: Counter[str] = Counter()
        self.seen: dict[str, set[str]] = {}

    def plant(self, owner: int, channel: str) -> str:
        """Return a new secret of the owner's; letters and digits only, and one word to a search."""
        text = f"cnry{owner:05d}z{channel}z{self._chance.getrandbits(64):016x}"
        if not _FORM.fullmatch(text):
            raise ValueError(f"{channel!r} is no name for a channel: letters from a to y are")
        self._known[text] = Canary(owner, channel, text)
        self.planted[channel] += 1
        return text

    def note_ids(self, owner: int, ids: Iterable[str]) -> None:
        """Take ids as the owner's: nobody else is to be told them."""
        for text in ids:
            found = _ID.match(text)
            if found is not None and found[1] not in self._known:
                self._known[found[1]] = Canary(owner, "id", found[1])
                self.planted["id"] += 1

    def find(self, text: str) -> set[Canary]:
        """Return the secrets in `text`."""
        return {canary for word in _words(text) if (canary := self._known.get(word)) is not None}

    def saw(self, canary: Canary) -> None:
        """Its owner was shown it: that it can be seen at all is what makes it worth looking for elsewhere."""
        self.seen.setdefault(canary.channel, set()).add(canary.text)


def owner_of(text: str) -> int | None:
    """Return whose the last secret in `text` is; None where there is none."""
    owner = None
    for found in _FORM.finditer(text):
        owner = int(found[1])
    return owner


def secrets_in(text: str) -> list[str]:
    """Return the secrets that were planted as text, each once, in order."""
    return list(dict.fromkeys(found[0] for found in _FORM.finditer(text)))


def tenant_of(owner: int) -> int:
    """Return the number of the tenant that the owner is, or was."""
    return owner % PAST


def _words(text: str) -> Iterator[str]:
    yield from (found[0] for found in _FORM.finditer(text))
    yield from (found[1] for found in _ID.finditer(text))
