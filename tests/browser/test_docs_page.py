"""The page of the API's reference in a browser."""

import pytest

from tests.browser.devtools import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_typing_the_key_keeps_what_is_open_and_typed(chrome: Browser, address: str) -> None:
    page = await chrome.page(f"{address}/docs#get_v1_sessions")
    field = "#get_v1_sessions .fields input"
    await page.type("7", field)
    await page.type("a-key", "#key")
    await page.press("Enter")
    await page.press("Tab")
    assert await page.run("document.querySelector('#get_v1_sessions').open")
    assert await page.run(f"document.querySelector('{field}').value") == "7"
    await page.run("""(() => {
        globalThis.fetch = (url, options) => new Promise(() => {
            globalThis.sent = options.headers.authorization;
        });
        document.querySelector("#get_v1_sessions form button[type=submit]").click();
    })()""")
    assert await page.run("sent") == "Bearer a-key"
    assert page.complaints == []
