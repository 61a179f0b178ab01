"""The chat page in a browser: for keyboards, screen readers, small windows, and behind a path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.browser.devtools import Browser, Page
from tests.browser.test_conversation import answers
from tests.clients.node_packages import prepare
from tests.upstream import Gate, Upstream, call, reasoning, streamed, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODE = Path(__file__).parent / "node"
RICH = "### A title\n\n- one\n- two\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n```python\nprint('x')\n```\n\nSee https://example.org."


@pytest.fixture(scope="module")
def axe() -> str:
    prepare(NODE, NODE)
    return (NODE / "node_modules" / "axe-core" / "axe.min.js").read_text()


async def complaints_of(page: Page, axe: str) -> list[str]:
    await page.run(f"{axe}; undefined")
    found: list[str] = await page.run("""axe.run().then((found) => found.violations.map((each) =>
        `${each.id} (${each.impact}): ${each.nodes.map((node) => node.html.slice(0, 120)).join(" ")}`))""")
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390], ids=["wide", "phone"])
async def test_axe_has_nothing_to_complain_about(
    chrome: Browser, address: str, provider: Upstream, axe: str, dark: bool, width: int
) -> None:
    page = await chrome.page("about:blank", width=width)
    await page.dark(on=dark)
    # Its own scripts make markup from text, which the policy of the page would not let them.
    await page.send("Page.setBypassCSP", enabled=True)
    await page.go(f"{address}/")
    await page.until_text("What can I do for you?")
    assert await complaints_of(page, axe) == []
    provider.then(
        streamed(reasoning("hm"), call(0, "c1", "calculate", '{"expression":"1+1"}')), streamed(text(RICH))
    )
    await page.ask("Something rich")
    await page.until(answers(1))
    await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    await page.until("document.querySelector('.hljs-string') !== null")
    assert await complaints_of(page, axe) == []
    if width < 600:
        await page.click("Chats", ".head")
    await page.click("Settings", ".sidebar")
    await page.until("document.querySelector('dialog[open]') !== null")
    assert await complaints_of(page, axe) == []


async def test_a_phone_shows_all_without_scrolling_sideways(
    chrome: Browser, address: str, provider: Upstream
) -> None:
    page = await chrome.page(f"{address}/", width=360, height=640)
    wide = "| " + " | ".join(f"column {number}" for number in range(30)) + " |\n|" + "--|" * 30 + "\n"
    provider.then(streamed(text(f"{wide}\n`{'x' * 400}`\n\n```\n{'y' * 400}\n```\n\n{'z' * 400}")))
    await page.ask("w" * 300)
    await page.until(answers(1))
    assert await page.run("document.documentElement.scrollWidth") <= 360
    assert await page.run("document.querySelector('.log').scrollWidth") <= 360
    assert not await page.run("document.querySelector('.sidebar').checkVisibility()")
    await page.click("Chats", ".head")
    assert await page.run("document.querySelector('.sidebar').checkVisibility()")
    await page.press("Escape")
    await page.until("!document.querySelector('.sidebar').checkVisibility()")
    assert page.complaints == []


async def test_a_text_is_whole_in_its_field_after_the_window_became_narrower(
    chrome: Browser, address: str
) -> None:
    page = await chrome.page(f"{address}/", width=1200, height=900)
    await page.type("Some words that fill a line of a wide window, and several of a phone's. " * 2)
    await page.resize(360, 900)
    field = "document.querySelector('#message')"
    await page.until(f"innerWidth === 360 && {field}.clientHeight >= {field}.scrollHeight")


async def test_texts_begin_where_their_script_begins(page: Page, provider: Upstream) -> None:
    arabic = "مرحبا English في الوسط."
    provider.then(
        streamed(text(f"{arabic}\n\nLatin.\n\n- {arabic}\n\n| ا | ب |\n|--|--|\n| 1 | 2 |\n\n```\n# ا\n```"))
    )
    await page.ask(arabic)
    await page.until(answers(1))
    begins = """(selector) => {
        const element = document.querySelector(selector);
        const words = document.createRange();
        words.selectNodeContents(element);
        const box = element.getBoundingClientRect();
        const [text] = words.getClientRects();
        return text.left - box.left < box.right - text.right ? "left" : "right";
    }"""
    places = [".block:nth-child(1) p", ".block:nth-child(2) p", "li", "table", "pre code"]
    assert [await page.run(f"({begins})({place!r})") for place in places[:3]] == ["right", "left", "right"]
    assert await page.run("getComputedStyle(document.querySelector('table')).direction") == "rtl"
    assert await page.run("getComputedStyle(document.querySelector('pre')).direction") == "ltr"
    assert await page.run("getComputedStyle(document.querySelector('h1')).direction") == "rtl"
    assert await page.run("getComputedStyle(document.querySelector('.bubble p')).unicodeBidi") == "plaintext"


async def test_on_paper_there_is_the_whole_conversation_and_nothing_to_click_on(
    page: Page, provider: Upstream
) -> None:
    provider.then(streamed(text("One line.\n\n" * 100 + "The last one.")))
    await page.ask("A long one")
    await page.until(answers(1))
    await page.send("Emulation.setEmulatedMedia", media="print")
    log = "document.querySelector('.log')"
    await page.until(f"{log}.clientHeight >= {log}.scrollHeight")
    await page.until("document.documentElement.scrollHeight > 2000")
    buttons = "[...document.querySelectorAll('button, textarea, input')]"
    assert not await page.run(f"{buttons}.some((each) => each.checkVisibility())")


@pytest.mark.parametrize("width", [360, 1200])
async def test_only_the_messages_scroll_however_many_there_are(
    chrome: Browser, address: str, provider: Upstream, width: int
) -> None:
    page = await chrome.page(f"{address}/", width=width, height=500)
    for number in range(1, 4):
        provider.then(streamed(text("One line.\n\n" * 20)))
        await page.ask("And now?")
        await page.until(answers(number))
    assert await page.run("document.querySelector('.log').scrollHeight") > 1000
    assert await page.run("document.documentElement.scrollHeight") <= 500


async def test_the_end_of_an_answer_is_followed_however_much_comes_at_once(
    chrome: Browser, address: str, provider: Upstream
) -> None:
    page = await chrome.page(f"{address}/", width=1000, height=600)
    gate = Gate()
    provider.then(streamed(text("Formula\n\n\\[\nx\n\\]\n\nLine\n\n" * 15), gate, text("more\n\n" * 40)))
    await page.ask("A long one")
    await page.until_text("Line")
    gate.open()
    await page.until(answers(1))
    below = "(() => { const l = document.querySelector('.log'); "
    below += "return l.scrollHeight - l.scrollTop - l.clientHeight; })()"
    await page.until(f"{below} < 60")
    # Who goes up to read stays there.
    await page.run("document.querySelector('.log').scrollTop = 100")
    await page.until_text("Newest message")
    provider.then(streamed(text("and on\n\n" * 10)))
    await page.run("document.querySelector('.log').scrollTop = 90")
    assert await page.run(f"{below} > 60")
    await page.click("Newest message ↓")
    await page.until(f"{below} < 60")


async def test_all_can_be_done_by_keyboard(page: Page, provider: Upstream) -> None:
    await page.until("document.activeElement?.id === 'message'")
    await page.send("Input.insertText", text="By keyboard")
    await page.press("Enter")
    await page.until(answers(1))
    assert await page.run("document.activeElement.id") == "message"
    await page.run("document.querySelector('.skip').focus()")
    assert await page.run("document.activeElement.innerText") == "Go to the message field"
    seen = []
    for _ in range(30):
        await page.press("Tab")
        seen.append(await page.run("document.activeElement.innerText || document.activeElement.id"))
        if seen[-1] == "message":
            break
    wanted = [
        "New chat",
        "Settings",
        "search",
        "Rename",
        "Fork",
        "Delete",
        "Edit",
        "Copy",
        "Answer again",
        "Fork",
    ]
    assert [each for each in seen if each in wanted] == wanted


async def test_keys_that_end_the_input_of_a_character_send_nothing(page: Page) -> None:
    await page.type("にほん")
    await page.run("""document.querySelector("#message").dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true }))""")
    assert await page.run("document.querySelectorAll('article').length") == 0
    await page.press("Enter", modifiers=8)
    assert await page.run("document.querySelectorAll('article').length") == 0


@contextlib.asynccontextmanager
async def behind_a_path(address: str) -> AsyncIterator[str]:
    """Pass on what comes under /bot/ to the server, as a proxy with a sub-path does."""

    async def passed_on(request: web.Request) -> web.StreamResponse:
        target = f"{address}/{request.raw_path.removeprefix('/bot/')}"
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "origin")
        }
        body = await request.read()
        async with client.request(request.method, target, headers=headers, data=body) as answer:
            named = ("content-type", "content-security-policy", "content-encoding", "x-turn-id")
            kept = {name: answer.headers[name] for name in named if name in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                async for piece in answer.content.iter_any():
                    await response.write(piece)
            return response

    app = web.Application()
    app.router.add_route("*", "/bot/{rest:.*}", passed_on)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/bot/"
        finally:
            await runner.cleanup()


async def test_it_works_behind_a_path(chrome: Browser, address: str, provider: Upstream) -> None:
    async with behind_a_path(address) as url:
        page = await chrome.page(url)
        await page.ask("From below")
        await page.until(answers(1))
        await page.reload()
        await page.until(answers(1))
        assert all("/bot/" in each for each in page.requests if each.startswith("http"))
        await page.go("about:blank")
        await asyncio.sleep(0)
