"""The chat page in a browser while its server is away."""

from pathlib import Path

import pytest

from tests.browser.devtools import Browser
from tests.browser.test_conversation import answers
from tests.clients.serving import serving
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_is_written_while_the_server_is_down_is_answered_once_it_is_back(
    chrome: Browser, tmp_path: Path
) -> None:
    port = str(free_port())
    with serving(tmp_path, "--model", "echo", "--port", port) as url:
        page = await chrome.page(f"{url}/")
        await page.ask("Before")
        await page.until(answers(1))
        await page.until("document.querySelector('.banner') === null")
    await page.until_text("The connection is lost")
    await page.ask("Meanwhile")
    await page.until_text("Not sent yet")
    with serving(tmp_path, "--model", "echo", "--port", port):
        await page.until_text("You said: Meanwhile")
        await page.until(answers(2))
        assert "The connection is lost" not in await page.text()
        assert await page.run("document.querySelectorAll('article.asked').length") == 2
        await page.go("about:blank")
