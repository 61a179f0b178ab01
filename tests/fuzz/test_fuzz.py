"""What is fuzzed by the hour is fuzzed for a moment with each run of the tests."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.door import close_door
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_MUTATIONS = 150
_EXAMPLES = settings(
    max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)

of_bytes = [target for target in TARGETS if target.drawn is None]
of_examples = [target for target in TARGETS if target.drawn is not None]


@pytest.fixture(scope="module", autouse=True)
def closed_door() -> Iterator[None]:
    """One app for all examples of the target that asks it."""
    yield
    close_door()


def mutated(content: bytes, words: tuple[bytes, ...], source: random.Random) -> bytes:
    """Return `content` with a few changes of the kinds that a fuzzer makes."""
    for _ in range(source.randint(1, 4)):
        start = source.randint(0, len(content))
        end = min(len(content), start + source.choice((0, 0, 1, 2, 8)))
        middle = source.choice((*words, content[start:end] * 2, source.randbytes(1), b""))
        content = content[:start] + middle + content[end:]
    return content


@pytest.mark.parametrize("target", of_bytes, ids=lambda target: target.name)
def test_seeds_and_what_comes_near_them_are_taken_apart_or_refused(target: Target) -> None:
    source = random.Random(target.name)
    for seed in target.seeds:
        target.run(seed)
    for _ in range(_MUTATIONS):
        target.run(mutated(source.choice(target.seeds), target.words, source))


@pytest.mark.parametrize("target", of_bytes, ids=lambda target: target.name)
def test_any_bytes_are_taken_apart_or_refused(target: Target) -> None:
    @_EXAMPLES
    @given(st.binary(max_size=200))
    def run(content: bytes) -> None:
        target.run(content)

    run()


@pytest.mark.parametrize("target", of_examples, ids=lambda target: target.name)
def test_examples_keep_the_promises(target: Target) -> None:
    assert target.drawn is not None
    target.drawn()
