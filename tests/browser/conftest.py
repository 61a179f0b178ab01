"""What the tests of the chat page share: a provider, a server, a browser; each test has a tab of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.devtools import Browser, Page, chromium
from tests.clients.serving import serving
from tests.upstream import Upstream


@pytest.fixture(autouse=True)
def only_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tester's proxies stay out of it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[Upstream]:
    """The provider behind the server: answers as `then` says, else with a greeting."""
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def address(provider: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server listens."""
    asks = {
        "OPENAI_API_KEY": "sk-provider",
        "OPENAI_BASE_URL": provider.url,
        "NANOBOT_MODEL_MAX_RETRIES": "0",
    }
    with serving(tmp_path_factory.mktemp("served"), "--model", "openai:test-model", **asks) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with chromium(tmp_path_factory.mktemp("profile") / "empty") as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(chrome: Browser, address: str) -> AsyncIterator[Page]:
    """The page in a new tab. Its scripts must not have failed, nor its policy have had to stop anything."""
    page = await chrome.page(f"{address}/")
    yield page
    assert page.complaints == []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text("item,price\nlamp,12\n")
    return path
