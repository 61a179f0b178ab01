"""What the tests of clients share: one server for all of a file, a session of its own for each test."""

import itertools
from collections.abc import Iterator

import pytest

from tests.clients.serving import Provider, rule_based_server
from tests.own_settings import forget_own_settings

_numbers = itertools.count(1)
SETTINGS = """
[api]
session_headers = ["x-openwebui-chat-id"]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Provider]]:
    with rule_based_server(tmp_path_factory.mktemp("served"), settings=SETTINGS) as both:
        yield both


@pytest.fixture
def address(served: tuple[str, Provider]) -> str:
    """Where the server listens, without /v1."""
    return served[0]


@pytest.fixture
def provider(served: tuple[str, Provider]) -> Provider:
    """The provider behind the server, with only this test's requests."""
    served[1].requests.clear()
    return served[1]


@pytest.fixture
def key() -> str:
    """A session of this test's own."""
    return f"test:dm:{next(_numbers)}"


@pytest.fixture(autouse=True)
def only_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tester's proxies and keys stay out of it."""
    forget_own_settings(monkeypatch)
