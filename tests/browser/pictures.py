"""The pictures of docs/use/web.md: `python -m tests.browser.pictures` takes them anew."""

import asyncio
import tempfile
from pathlib import Path

from tests.browser.devtools import Page, chromium
from tests.browser.test_conversation import answers
from tests.clients.serving import ROOT, serving
from tests.upstream import Gate, Upstream, call, reasoning, streamed, text

PLACE = ROOT / "docs" / "use" / "web"
_CHATS = (
    "Packing list for a week in Norway",
    "Why is the sky blue?",
    "Rename photos by date",
    "Soup with leeks",
)
_QUESTION = "How much is a loan of 12,000 over 4 years at 3.9 %?"
_ANSWER = """\
The monthly rate is **270.46**, so you pay back **12,982** in all:

| | amount |
|---|--:|
| loan | 12,000.00 |
| interest | 982.08 |
| **total** | **12,982.08** |

To try other numbers:

```python
def monthly(loan, years, percent):
    rate = percent / 100 / 12
    return loan * rate / (1 - (1 + rate) ** (-12 * years))

print(round(monthly(12_000, 4, 3.9), 2))  # 270.46
```

Banks round differently, see [how rates are quoted](https://example.org/apr).
"""


async def _take(page: Page, name: str) -> None:
    # Colours, and the list of chats, come a moment later.
    await page.until("document.querySelector('.hljs-keyword') !== null")
    await page.run("document.querySelector('.log').scrollTop = 0; document.activeElement.blur()")
    await page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.picture(PLACE / name)


async def main() -> None:
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with Upstream() as provider, chromium(Path(folder) / "profile") as browser:
            asks = {"OPENAI_API_KEY": "sk-provider", "OPENAI_BASE_URL": provider.url}
            with serving(Path(folder) / "served", "--model", "openai:test-model", **asks) as address:
                page = await browser.page(f"{address}/", width=1000, height=760)
                for each in _CHATS:
                    await page.ask(each)
                    await page.until(answers(1))
                    await page.click("New chat", ".sidebar")
                expression = '{"expression":"12000*(0.039/12)/(1-(1+0.039/12)**-48)"}'
                provider.then(
                    streamed(reasoning("An annuity."), call(0, "c1", "calculate", expression)),
                    streamed(text(_ANSWER)),
                )
                await page.ask(_QUESTION)
                await page.until(answers(1))
                await page.dark(on=False)
                await _take(page, "light.png")
                await page.dark(on=True)
                await _take(page, "dark.png")
                await page.dark(on=False)
                await page.resize(390, 760)
                gate = Gate()
                provider.then(streamed(text("Over five years the rate would be "), gate))
                await page.ask("And over five years?")
                await page.until_text("the rate would be")
                await page.run("document.activeElement.blur()")
                await page.picture(PLACE / "phone.png")
                gate.open()
                await page.go("about:blank")


if __name__ == "__main__":
    asyncio.run(main())
