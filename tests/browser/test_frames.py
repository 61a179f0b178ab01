"""The chat page in a browser: a long answer while it comes."""

import json
from collections.abc import Callable

import pytest

from tests.browser.devtools import Page
from tests.browser.frames import document, measure
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

VIEW = "const { MarkdownView } = await import(document.querySelector(\"link[href$='/markdown.js']\").href);"


async def test_a_long_answer_is_shown_whole(
    page: Page, provider: Upstream, record_property: Callable[[str, object], None]
) -> None:
    frames = await measure(page, provider, at_once=42_000, paced=2_000, tokens_per_s=100)
    record_property("frames", str(frames))
    # Outside of the screen blocks have no layout, and so no inner text.
    assert await page.run("document.querySelector('article.answer .markdown').textContent.length") > 35_000
    assert "That is all." in await page.text("article.answer")


async def test_blocks_that_are_finished_are_left_alone_and_look_as_in_the_end(page: Page) -> None:
    await page.until("document.querySelector('#message') !== null")
    found = await page.run(f"""(async () => {{
        {VIEW}
        const whole = {json.dumps(document(20_000))};
        const place = document.createElement("div");
        const view = new MarkdownView(place);
        const until = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        const settled = async () => {{
            let [before, same] = ["", 0];
            for (let looks = 0; looks < 60 && same < 5; looks += 1) {{
                await until(300);
                // What comes is drawn with a frame, which a busy machine is long in coming to.
                same = before && place.innerHTML === before ? same + 1 : 0;
                before = place.innerHTML;
            }}
        }};
        let first = null;
        let drawn = 0;
        const observer = new MutationObserver((changes) => {{
            for (const change of changes) drawn += change.addedNodes.length;
        }});
        observer.observe(place, {{ childList: true }});
        let updates = 0;
        for (let end = 50; end < whole.length; end += 50) {{
            view.update(whole.slice(0, end), false);
            updates += 1;
            if (end % 1000 === 0) await until(0);
            if (end === 4000) {{
                await settled();
                first = place.firstChild;
            }}
        }}
        view.update(whole, false);
        await settled();
        // Colours come with their grammar.
        const growing = place.innerHTML;
        const isKept = first === place.firstChild;
        view.update(whole, true);
        await settled();
        return {{ isKept, drawn, updates, same: growing === place.innerHTML, blocks: place.children.length }};
    }})()""")
    assert found["isKept"]
    assert found["same"]
    # Each update draws the last block, and now and then one that begins; not all that stand before it.
    assert found["drawn"] < 2 * found["updates"] + 4 * found["blocks"]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("one\n\ntwo\n", ["one\n\n", "two\n"]),
        ("one\n\n", ["one\n\n"]),
        ("```\na\n\nb\n```\n\nc\n", ["```\na\n\nb\n```\n\n", "c\n"]),
        ("```\na\n\nb\n", ["```\na\n\nb\n"]),
        ("~~~\n```\n\n~~~\n\nc\n", ["~~~\n```\n\n~~~\n\n", "c\n"]),
        ("````\n```\n\nb\n````\n\nc\n", ["````\n```\n\nb\n````\n\n", "c\n"]),
        ("- a\n\n- b\n\nc\n", ["- a\n\n- b\n\n", "c\n"]),
        ("- a\n\n  more\n\nc\n", ["- a\n\n  more\n\n", "c\n"]),
        (
            "1. a\n\n   ```\n   x\n\n   y\n   ```\n\n2. b\n",
            ["1. a\n\n   ```\n   x\n\n   y\n   ```\n\n2. b\n"],
        ),
        ("a ``` b\n\nc\n", ["a ``` b\n\n", "c\n"]),
        ("    code\n\n    more\n\nc\n", ["    code\n\n    more\n\n", "c\n"]),
    ],
)
async def test_a_growing_text_is_cut_between_blocks(page: Page, text: str, cut: list[str]) -> None:
    await page.until("document.querySelector('#message') !== null")
    pieces = await page.run(f"""(async () => {{
        const {{ cuts }} = await import(document.querySelector("link[href$='/blocks.js']").href);
        const whole = {json.dumps(text)};
        const at = [0, ...cuts(whole), whole.length];
        return at.slice(1).map((end, index) => whole.slice(at[index], end));
    }})()""")
    assert pieces == cut


async def test_a_table_of_thousands_of_rows_is_drawn_in_pieces(page: Page) -> None:
    await page.until("document.querySelector('#message') !== null")
    table = "| name | number |\n|--|--:|\n" + "".join(f"| row {row} | {row} |\n" for row in range(950))
    await page.run(f"""(async () => {{
        {VIEW}
        globalThis.place = document.createElement("div");
        new MarkdownView(place).update({json.dumps(table)}, true);
    }})()""")
    await page.until("place.querySelectorAll('tbody tr').length === 950")
    assert await page.run("place.querySelectorAll('.block').length") == 10
    assert await page.run(
        "[...place.querySelectorAll('table')].every((each) => each.tHead.rows.length === 1)"
    )
    last = "place.querySelector('.block:last-child tbody tr:last-child').cells"
    assert await page.run(f"[...{last}].map((each) => each.textContent)") == ["row 949", "949"]
