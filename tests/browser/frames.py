"""How smooth a long answer is while it comes: `python -m tests.browser.frames` prints it.

42 kB come at once, 8 kB at 100 tokens a second. Times depend on the machine and are not judged.
"""

import asyncio
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.browser.devtools import Page, chromium
from tests.clients.serving import serving
from tests.upstream import Gate, Upstream, streamed, text

TOKEN_CHARS = 4
_WORDS = (
    "answers",
    "grow",
    "by",
    "words",
    "while",
    "people",
    "read",
    "and",
    "nothing",
    "waits",
    "for",
    "them",
)
_MEASURE = """(() => {
    const seen = globalThis.frames_ = [];
    let last = performance.now();
    const next = (now) => {
        seen.push(now - last);
        last = now;
        globalThis.frameRequest = requestAnimationFrame(next);
    };
    globalThis.frameRequest = requestAnimationFrame(next);
})()"""


class Frames(msgspec.Struct, frozen=True):
    """Frames while an answer came: how many, and how long they took in ms. `slow`: those over 50 ms."""

    count: int
    p50: float
    p99: float
    longest: float
    slow: int

    def __str__(self) -> str:
        return (
            f"{self.count} frames: p50 {self.p50:.0f} ms, p99 {self.p99:.0f} ms, "
            f"longest {self.longest:.0f} ms, {self.slow} over 50 ms"
        )


def document(size: int) -> str:
    """Return Markdown of all kinds, of at least `size` characters."""
    chosen = random.Random(7)

    def words(count: int) -> str:
        return " ".join(chosen.choice(_WORDS) for _ in range(count))

    blocks: list[str] = []
    while sum(map(len, blocks)) < size:
        number = len(blocks)
        kinds = (
            f"{words(60)}, with `code` and **weight**.",
            f"## Part {number}",
            "\n".join(f"{item}. {words(9)}" for item in range(1, 8)),
            "```python\n"
            + "\n".join(f"line_{line} = call({line}, 'text')  # {words(3)}" for line in range(14))
            + "\n```",
            "| one | two |\n|--|--:|\n" + "\n".join(f"| {words(3)} | {row} |" for row in range(8)),
            f"> {words(25)}\n\n[A link](https://example.org/{number}) {words(30)}.",
        )
        blocks.append(kinds[number % len(kinds)] + "\n\n")
    return "".join(blocks)


async def measure(page: Page, provider: Upstream, *, at_once: int, paced: int, tokens_per_s: float) -> Frames:
    """Ask, and return the frames from the first word of the answer to the last."""
    whole = document(at_once + paced)
    head, tail = whole[:at_once], whole[at_once : at_once + paced]
    pieces = [tail[start : start + TOKEN_CHARS] for start in range(0, len(tail), TOKEN_CHARS)]
    gates = [Gate() for _ in pieces]
    steps = [step for gate, piece in zip(gates, pieces, strict=True) for step in (gate, text(piece))]
    provider.then(streamed(*(text(each) for each in _chunks(head, 400)), *steps, text("\n\nThat is all.")))
    await page.until("document.querySelector('#message') !== null")
    await page.run(_MEASURE)
    await page.ask("A long answer")
    await page.until("document.querySelector('article.answer') !== null")
    clock = asyncio.get_running_loop().time
    begun = clock()
    for number, gate in enumerate(gates):
        await asyncio.sleep(begun + number / tokens_per_s - clock())
        gate.open()
    await page.until_text("That is all.")
    await page.until("document.querySelector('article.answer').innerText.includes('Answer again')")
    frames = sorted(await page.run("(cancelAnimationFrame(frameRequest), frames_)"))
    return Frames(
        count=len(frames),
        p50=_at(frames, 0.5),
        p99=_at(frames, 0.99),
        longest=frames[-1],
        slow=sum(each > 50 for each in frames),
    )


def _chunks(content: str, size: int) -> Iterator[str]:
    return (content[start : start + size] for start in range(0, len(content), size))


def _at(frames: Sequence[float], share: float) -> float:
    return frames[min(len(frames) - 1, int(share * len(frames)))]


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Upstream() as provider, chromium(Path(folder) / "profile") as browser:
            asks = {"OPENAI_API_KEY": "sk-provider", "OPENAI_BASE_URL": provider.url}
            with serving(Path(folder) / "served", "--model", "openai:test-model", **asks) as address:
                page = await browser.page(f"{address}/")
                print(await measure(page, provider, at_once=42_000, paced=8_000, tokens_per_s=100))
                await page.go("about:blank")


if __name__ == "__main__":
    asyncio.run(_main())
