"""The users that commands run as where the server is root: one for each workspace."""

from collections.abc import Iterable
from pathlib import Path

from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness

_RANGES = ((1_879_048_192, 2_147_483_647), (60_706, 61_183))
"""Numbers that no distribution gives to anybody; the second is for containers that have 65,536 users."""


class Users:
    """Gives each workspace with running commands a user that no other one has meanwhile.

    A workspace keeps the user that owns it, where that is one of these and nobody else's at the time.
    """

    def __init__(self, numbers: tuple[int, int], randomness: Randomness) -> None:
        self._first, self._last = numbers
        self._randomness = randomness
        self._used: dict[Path, tuple[int, int]] = {}

    def take(self, workspace: Path, owner: int) -> int:
        """Return the user of the workspace, which belongs to the user `owner` now.

        Raises:
            ToolError: all are in use.
        """
        user, count = self._used.get(workspace, (0, 0))
        if not count:
            user = self._free(owner)
        self._used[workspace] = (user, count + 1)
        return user

    def _free(self, owner: int) -> int:
        used = {user for user, _ in self._used.values()}
        if self._first <= owner <= self._last and owner not in used:
            return owner
        for _ in range(100):
            user = self._first + self._randomness.getrandbits(31) % (self._last - self._first + 1)
            if user not in used:
                return user
        raise ToolError("too many sessions run commands at once: try again later")

    def give_back(self, workspace: Path) -> None:
        """One command less runs in the workspace."""
        user, count = self._used[workspace]
        if count > 1:
            self._used[workspace] = (user, count - 1)
        else:
            del self._used[workspace]


def free_numbers(mapped: Iterable[str]) -> tuple[int, int] | None:
    """Return the first and the last number of a range for `Users`, None where this machine has none free.

    `mapped`: the lines of /proc/self/uid_map, which say what users there are here.
    """
    spans = [(int(first), int(first) + int(count)) for first, _, count in (line.split() for line in mapped)]
    for first, last in _RANGES:
        if any(begin <= first and last < end for begin, end in spans):
            return first, last
    return None
