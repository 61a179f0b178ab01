"""Vectors of a database are compared: those in reach, also what was said lately, nothing that was deleted."""

import random
import sqlite3
from typing import Any

import pytest

from nanobot.core.vectors import ANSWER, QUESTION, STATEMENT
from nanobot.testing import MemoryData

np = pytest.importorskip("numpy", reason="needs the extra [vectors]")

from nanobot.stores.vectors.scanner import DIMENSIONS, Scanner, packed  # noqa: E402

SESSION = 1 << 32


def vector(*weights: float) -> Any:
    """Return a vector with these weights in its first directions."""
    numbers = np.zeros(DIMENSIONS, np.float32)
    numbers[: len(weights)] = weights
    return numbers / np.linalg.norm(numbers)


class Data:
    """A database with vectors, put in directly."""

    def __init__(self) -> None:
        self.memory = MemoryData()
        self.db: sqlite3.Connection = self.memory.db
        self.scanner = Scanner(self.db)

    def add(self, id_: int, *pieces: Any, kind: int = STATEMENT) -> None:
        body = b"".join(packed(piece) for piece in pieces)
        self.db.execute("INSERT INTO vector VALUES (?, ?, ?)", (id_, kind, body))

    def near(self, query: Any, *ranges: tuple[int, int]) -> list[int]:
        return [near.number for near in self.scanner.messages(query, ranges or ((SESSION, 2 * SESSION - 1),))]


@pytest.fixture
def data() -> Data:
    return Data()


def test_the_nearest_comes_first(data: Data) -> None:
    data.add(SESSION | 1, vector(1, 0, 0))
    data.add(SESSION | 2, vector(0, 1, 0))
    data.add(SESSION | 3, vector(0, 0, 1))
    assert data.near(vector(0.1, 1, 0.2)) == [SESSION | 2, SESSION | 3, SESSION | 1]


def test_a_byte_for_each_number_is_near_enough(data: Data) -> None:
    chance = random.Random(5)
    vectors = [vector(*(chance.gauss(0, 1) for _ in range(DIMENSIONS))) for _ in range(200)]
    for number, each in enumerate(vectors, 1):
        data.add(SESSION | number, each)
    for number in range(1, 200, 10):
        noisy = vectors[number - 1] + 0.4 * vector(*(chance.gauss(0, 1) for _ in range(DIMENSIONS)))
        assert data.near(noisy)[0] == SESSION | number


def test_only_what_is_in_the_ranges_is_found(data: Data) -> None:
    for number in range(1, 7):
        data.add(SESSION | number, vector(1, *[0] * number, 1))
    data.add(2 * SESSION | 1, vector(1, 1))
    found = data.near(vector(1, 1), (SESSION | 2, SESSION | 3), (SESSION | 5, SESSION | 5))
    assert sorted(found) == [SESSION | 2, SESSION | 3, SESSION | 5]
    assert sorted(data.near(vector(1, 1), (SESSION, SESSION | 1), (2 * SESSION, 2 * SESSION | 9))) == [
        SESSION | 1,
        2 * SESSION | 1,
    ]
    assert data.near(vector(1, 1), (7 * SESSION, 8 * SESSION - 1)) == []


def test_what_was_said_since_is_found_and_what_was_deleted_is_not(data: Data) -> None:
    data.add(SESSION | 1, vector(1, 0))
    assert data.near(vector(1, 1)) == [SESSION | 1]
    data.add(SESSION | 2, vector(0, 1))
    assert sorted(data.near(vector(1, 1))) == [SESSION | 1, SESSION | 2]
    data.db.execute("DELETE FROM vector WHERE id = ?", (SESSION | 1,))
    assert data.near(vector(1, 1)) == [SESSION | 2]
    data.db.execute("DELETE FROM vector")
    data.add(SESSION | 1, vector(0, 0, 1))
    assert data.near(vector(1, 1)) == [SESSION | 1]


def test_what_was_told_comes_before_what_was_asked_and_replied(data: Data) -> None:
    data.add(SESSION | 1, vector(1, 0.02), kind=QUESTION)
    data.add(SESSION | 2, vector(1, 0.04), kind=ANSWER)
    data.add(SESSION | 3, vector(1, 0.3), kind=STATEMENT)
    for number in range(4, 30):
        data.add(SESSION | number, vector(0, 0, number, 1), kind=STATEMENT)
    assert data.near(vector(1, 0.03))[0] == SESSION | 3


def test_of_the_same_words_the_newest_is_found_and_of_much_the_same_others_come_first(data: Data) -> None:
    for number in range(1, 10):
        data.add(SESSION | number, vector(1, 0, 0))
    data.add(SESSION | 10, vector(1, 0.3, 0))
    data.add(SESSION | 11, vector(0, 0, 1))
    for number in range(12, 40):
        data.add(SESSION | number, vector(*[0] * number, 1))
    found = data.near(vector(1, -0.1, 0.8))
    assert not set(found) & {SESSION | number for number in range(1, 9)}
    assert found[:3] == [SESSION | 9, SESSION | 11, SESSION | 10]


def test_of_a_message_of_several_pieces_the_nearest_counts(data: Data) -> None:
    data.add(SESSION | 1, vector(0, 1, 0), vector(1, 0, 0), vector(0, 0, 1))
    data.add(SESSION | 2, vector(0.5, 1, 1))
    found = data.near(vector(1, 0, 0))
    assert found == [SESSION | 1, SESSION | 2]


def test_facts_are_compared_too(data: Data) -> None:
    for number in range(1, 5):
        data.db.execute("INSERT INTO fact_vector VALUES (?, ?)", (number, packed(vector(*[0] * number, 1))))
    assert data.scanner.facts(vector(0, 0.1, 0, 1), (1, 2, 3, 4))[0].number == 3
    assert [near.number for near in data.scanner.facts(vector(0, 0, 0, 1), (2, 4))] != []
    assert data.scanner.facts(vector(1), tuple(range(10, 5_000))) == ()
