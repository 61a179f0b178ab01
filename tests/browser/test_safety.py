"""The chat page in a browser: what answers may not do, who may use it, and what it asks for."""

import hashlib
from pathlib import Path

import pytest

from tests.browser.devtools import Browser, Page
from tests.browser.test_conversation import answers
from tests.clients.serving import serving
from tests.upstream import Gate, Upstream, streamed, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = """<script>globalThis.hit = 1</script><img src=x onerror="globalThis.hit = 1">

<svg onload="globalThis.hit=1"><foreignObject><iframe srcdoc="<script>parent.hit=1</script>"></iframe></svg>

[click](javascript:globalThis.hit=1) [data](data:text/html,<script>hit=1</script>) [mine](/v1/sessions)

![pixel](https://tracker.example/p.png?secret=1) ![svg](data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=)
![dot](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==)

[https://bank.example](https://evil.example/login) [bank](https://xn--bnk-sla.example/) <https://plain.example/a>

<form action="https://evil.example"><input name=q></form><style>body{display:none}</style>

```html"><img src=x onerror="globalThis.hit=1">
<script>globalThis.hit = 1</script>
```

| a | b" onmouseover="hit=1 |
|:--|--:|
| <img src=x onerror=hit=1> | `<script>hit=1</script>` |
"""
KEY = "a-long-enough-key-of-this-test-0123456789"


async def test_markup_of_a_model_is_text_and_does_nothing(page: Page, provider: Upstream) -> None:
    provider.then(streamed(*(text(piece) for piece in HOSTILE.splitlines(keepends=True))))
    await page.ask("Be hostile")
    await page.until(answers(1))
    assert await page.run("globalThis.hit") is None
    answer = "document.querySelector('article.answer .markdown')"
    bad = "script, style, iframe, svg, form, input, [onerror], [onload], [onmouseover], [style]"
    assert await page.run(f"{answer}.querySelectorAll({bad!r}).length") == 0
    links = await page.run(f"[...{answer}.querySelectorAll('a[href]')].map((each) => each.href)")
    assert links == [
        "https://tracker.example/p.png?secret=1",
        "https://evil.example/login",
        "https://xn--bnk-sla.example/",
        "https://plain.example/a",
        "https://evil.example/",
    ]
    assert await page.run(f"{answer}.querySelectorAll('img').length") == 1
    said = await page.text("article.answer")
    assert "<script>globalThis.hit = 1</script>" in said
    # Where a link leads can be read, whatever it says.
    assert "https://bank.example (evil.example)" in said
    assert "bank (xn--bnk-sla.example)" in said
    assert "[picture: pixel] (tracker.example)" in said
    assert "https://plain.example/a (" not in said
    assert not [each for each in page.requests if ".example" in each]


async def test_formulas_stay_as_they_were_written(page: Page, provider: Upstream) -> None:
    formulas = r"""Inline \(a_1 * b_2 * c\), $x_i*y_i*z$ and \[e = mc^2\], but $5 and $10 are *prices*.

\[
\int_0^1 x\,dx
+ \sum_{i=1}^n \\ y
\]

- $$\alpha_1 * \beta_1 * 2$$
"""
    provider.then(streamed(*map(text, formulas)))
    await page.ask("Formulas")
    await page.until(answers(1))
    said = await page.text("article.answer .markdown")
    shown = formulas.replace("*prices*", "prices").replace("- $$", "$$")
    assert "".join(said.split()) == "".join(shown.split())


async def test_notes_are_shown_with_their_texts(page: Page, provider: Upstream) -> None:
    said = (
        "Bees have six legs[^1], all of them[^why].\n\n[^1]: As insects do.\n"
        "[^why]: See *there*\nand here.\n\n`[^1]`"
    )
    provider.then(streamed(*map(text, said)))
    await page.ask("Why?")
    await page.until(answers(1))
    read = " ".join((await page.text("article.answer .markdown")).split())
    assert (
        read == "Bees have six legs[1], all of them[why]. [1]: As insects do. [why]: See there and here. [^1]"
    )
    assert await page.run("document.querySelectorAll('article.answer sup').length") == 4


async def test_line_ends_in_a_table_and_small_figures_are_what_they_are_meant_to_be(
    page: Page, provider: Upstream
) -> None:
    small = "H<sub>2</sub>O, x<SUP>10</SUP>, `<br>`, <sub>a<img src=x></sub>"
    said = f"| a |\n|---|\n| one<br>two<BR/>three |\n\n{small}"
    provider.then(streamed(*map(text, said)))
    await page.ask("A table")
    await page.until(answers(1))
    assert await page.text("article.answer td") == "one\ntwo\nthree"
    assert await page.text("article.answer .block:last-child") == "H2O, x10, <br>, <sub>a<img src=x></sub>"
    assert await page.run("document.querySelectorAll('article.answer :is(sub, sup)').length") == 2


async def test_markup_of_a_person_and_of_a_tool_is_text(page: Page, provider: Upstream) -> None:
    await page.ask("<img src=x onerror='globalThis.hit=1'> [a](javascript:hit=1)")
    await page.until(answers(1))
    assert await page.run("globalThis.hit") is None
    assert "<img src=x" in await page.text("article.asked")
    assert "<img src=x" in await page.text("h1")
    assert await page.run("document.querySelectorAll('main img').length") == 0


async def test_everything_comes_from_the_server(page: Page, address: str, provider: Upstream) -> None:
    provider.then(streamed(text("```python\nprint(1)\n```\n")))
    await page.ask("Some code")
    await page.until(answers(1))
    await page.until("document.querySelector('.hljs-number, .hljs-built_in') !== null")
    assert {each.split("/")[2] for each in page.requests if not each.startswith("data:")} == {
        address.split("/")[2]
    }
    paths = {each.removeprefix(address).split("/")[1].split("?")[0] for each in page.requests}
    assert paths <= {"", "web", "v1"}


async def test_links_and_lists_that_are_defined_late_look_right_in_the_end(
    page: Page, provider: Upstream
) -> None:
    gate = Gate()
    provider.then(
        streamed(
            text("See [the site][1] first.\n\n- one\n\n"),
            gate,
            text("- two\n\n[1]: https://later.example/x\n"),
        )
    )
    await page.ask("Markdown")
    await page.until_text("See [the site][1] first.")
    gate.open()
    await page.until(answers(1))
    assert "See the site (later.example) first." in await page.text("article.answer")
    assert await page.run("document.querySelectorAll('article.answer ul').length") == 1


async def test_a_key_is_asked_for_kept_in_the_tab_and_remembered_by_choice(
    chrome: Browser, provider: Upstream, tmp_path: Path
) -> None:
    settings = f'[api]\nkey = "{KEY}"\n'
    with serving(tmp_path / "keyed", "--model", "echo", settings=settings) as url:
        page = await chrome.page(f"{url}/")
        await page.until_text("This server needs an API key.", "dialog")
        await page.type("wrong", "dialog input[type=password]")
        await page.press("Enter")
        await page.until_text("not valid here", "dialog")
        await page.type(KEY, "dialog input[type=password]")
        await page.press("Enter")
        await page.until("document.querySelector('dialog') === null")
        await page.ask("Hello")
        await page.until(answers(1))
        await page.reload()
        await page.until(answers(1))
        assert await page.run("localStorage.getItem('nanobot.key')") is None
        other = await chrome.beside(page, f"{url}/")
        await other.until_text("This server needs an API key.", "dialog")
        await other.type(KEY, "dialog input[type=password]")
        await other.run("document.querySelector('dialog input[type=checkbox]').click()")
        await other.click("Save", "dialog")
        await other.until_text("Hello", ".chats")
        third = await chrome.beside(page, f"{url}/")
        await third.until_text("Hello", ".chats")
        assert page.complaints == other.complaints == third.complaints == []
        assert KEY not in "".join(page.requests)


async def test_a_key_for_other_chats_is_told_in_words(
    chrome: Browser, provider: Upstream, tmp_path: Path
) -> None:
    limited = KEY.replace("test", "page")
    settings = f"""
[api]
key = "{KEY}"
[[keys]]
name = "limited"
hash = "sha256:{hashlib.sha256(limited.encode()).hexdigest()}"
sessions = ["team:*"]
scopes = ["chat", "sessions:read", "sessions:write", "files"]
"""
    with serving(tmp_path / "limited", "--model", "echo", settings=settings) as url:
        page = await chrome.page(f"{url}/")
        await page.type(limited, "dialog input[type=password]")
        await page.click("Save", "dialog")
        await page.until("document.querySelector('dialog') === null")
        await page.ask("Hello")
        await page.until_text("this API key may not use the chat")
        await page.click("Discard")
        await page.click("Settings", ".sidebar")
        await page.type("team:", "dialog label:nth-of-type(3) input")
        await page.click("Save", "dialog")
        await page.click("New chat", ".sidebar")
        await page.ask("Hello team")
        await page.until(answers(1))
        await page.until_text("Hello team", ".chats")
