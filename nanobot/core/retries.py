"""When something that ends by itself, such as a full disk, is tried again."""

from collections.abc import Iterator
from itertools import count

import msgspec

_FIRST_WAIT_S, _WAIT_S = 0.5, 1.0


class Retry(msgspec.Struct, frozen=True):
    """A further try, after `wait_s` seconds. `is_told`: the log is told of the failure before it."""

    wait_s: float
    is_told: bool


def retries() -> Iterator[Retry]:
    """Yield the further tries, without an end: a second apart, as people wait for what is tried. Of many
    failures one after the other the log is told less and less: of the first, the second, the fourth, …
    """
    for number in count(1):
        yield Retry(_FIRST_WAIT_S if number == 1 else _WAIT_S, number & (number - 1) == 0)
