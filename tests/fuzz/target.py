"""What is fuzzed: a function of bytes that raises where nanobot did what it never may."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from random import Random
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings

from nanobot.core.errors import NanobotError

LONGEST_INPUT_BYTES = 4096
_QUIET = settings(
    max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
_DRAWN_SEEDS = 24


class Target(msgspec.Struct, frozen=True):
    """A parser under fire.

    `run` gets one input; it returns False where the input was too short to draw an example from. Whatever it
    raises is a crash. `seeds` are inputs to begin with, `words` what the parser looks for. `drawn`: the
    Hypothesis test whose examples the bytes stand for.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...] = ()
    words: tuple[bytes, ...] = ()
    drawn: Callable[..., Any] | None = None


def drawn(name: str, test: Callable[..., None]) -> Target:
    """Return the target whose input is a Hypothesis example: the fuzzer's bytes are the choices that its
    strategies make.
    """
    test = _QUIET(test)
    fuzz: Callable[[bytes], bytes | None] = test.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    random = Random(name)
    seeds = tuple(
        random.randbytes(random.choice((64, 256, 1024, LONGEST_INPUT_BYTES))) for _ in range(_DRAWN_SEEDS)
    )
    return Target(name, lambda content: fuzz(content) is not None, seeds, drawn=test)


@contextmanager
def refused_in_words() -> Iterator[None]:
    """The block may raise the errors that a client is told of, and they must be fit to be told: text that can
    be written as JSON.
    """
    try:
        yield
    except NanobotError as error:
        assert error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR, (
            f"{type(error).__name__} is the server's own fault: {error.message!r}"
        )
        assert error.message, f"{type(error).__name__} says nothing"
        msgspec.json.encode((error.message, error.param, error.code))
