"""The chat page in a browser: files and pictures."""

import json
from pathlib import Path

import pytest

from tests.browser.devtools import Page
from tests.browser.test_conversation import answers
from tests.upstream import Upstream, call, streamed, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SEND_ENABLED = (
    "[...document.querySelectorAll('.composer button')].some((b) => b.innerText === 'Send' && !b.disabled)"
)


async def test_a_file_that_is_picked_is_read_by_the_model(page: Page, provider: Upstream, file: Path) -> None:
    await page.until("document.querySelector('input[type=file]') !== null")
    found = await page.send("Runtime.evaluate", expression="document.querySelector('input[type=file]')")
    await page.send("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])
    await page.until_text("prices.csv", ".attached")
    await page.until(SEND_ENABLED)
    await page.ask("What does the lamp cost?")
    await page.until(answers(1))
    assert "lamp,12" in json.dumps(provider.requests[-1].json["messages"])
    await page.until_text("prices.csv", "article.asked")
    await page.run("""globalThis.downloaded = new Promise((resolve) => {
        HTMLAnchorElement.prototype.click = function () { resolve(this.download); };
    }); undefined""")
    await page.click("Download prices.csv")
    assert await page.run("downloaded") == "prices.csv"


@pytest.mark.parametrize("how", ["paste", "drop"])
async def test_a_picture_that_is_pasted_or_dropped_is_seen_by_the_model(
    page: Page, provider: Upstream, how: str
) -> None:
    await page.until("document.querySelector('#message') !== null")
    await page.run(f"""(() => {{
        const bytes = Uint8Array.from(atob("{PNG}"), (each) => each.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "dot.png", {{ type: "image/png" }}));
        const options = {{ bubbles: true, cancelable: true }};
        const place = document.querySelector("#message");
        place.dispatchEvent({how!r} === "drop"
            ? new DragEvent("drop", {{ ...options, dataTransfer: transfer }})
            : new ClipboardEvent("paste", {{ ...options, clipboardData: transfer }}));
    }})()""")
    await page.until_text("dot.png", ".attached")
    await page.until(SEND_ENABLED)
    await page.ask("What is this?")
    await page.until(answers(1))
    (part,) = [
        part
        for message in provider.requests[-1].json["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    assert PNG in part["image_url"]["url"]
    await page.until("document.querySelector('article.asked img')?.naturalWidth === 1")


async def test_an_answer_about_a_file_is_given_again_with_the_file(
    page: Page, provider: Upstream, file: Path
) -> None:
    await page.until("document.querySelector('input[type=file]') !== null")
    found = await page.send("Runtime.evaluate", expression="document.querySelector('input[type=file]')")
    await page.send("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])
    await page.until(SEND_ENABLED)
    await page.ask("Read this")
    await page.until(answers(1))
    await page.click("Answer again")
    await page.until_text("2/2")
    assert json.dumps(provider.requests[-1].json["messages"]).count("lamp,12") == 1


async def test_a_file_that_the_server_refuses_is_told_and_can_be_removed(page: Page) -> None:
    await page.until("document.querySelector('#message') !== null")
    await page.run("""(() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(21 * 1024 * 1024)], "large.bin"));
        document.querySelector("#message").dispatchEvent(
            new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    })()""")
    await page.until_text("too large", ".attached")
    await page.click("Remove large.bin")
    await page.until("document.querySelector('.attached') === null")


WRITTEN = {"path": "docs/plan b.md", "content": "# Plan B"}
CATCH = """(() => {
    globalThis.saved = [];
    const make = URL.createObjectURL;
    let blob;
    URL.createObjectURL = (each) => make.call(URL, blob = each);
    HTMLAnchorElement.prototype.click = async function () {
        globalThis.saved.push([this.download, await blob.text()]);
    };
})()"""


async def test_files_that_the_agent_has_written_can_be_downloaded(page: Page, provider: Upstream) -> None:
    link = "nanobot:workspace/docs/plan%20b.md"
    said = f"See [the plan]({link}), or {link}. [Not this](nanobot:other/x) [nor](javascript:alert(1))"
    provider.then(
        streamed(call(0, "c1", "write_file", json.dumps(WRITTEN)), reason="tool_calls"), streamed(text(said))
    )
    await page.ask("Write it.")
    await page.until(answers(1))
    await page.until_text("docs/plan b.md ↓", ".files")
    shown = "[...document.querySelectorAll('.answer .markdown button[data-file]')].map((b) => b.innerText)"
    await page.until(f"{shown}.length === 2")
    assert await page.run(shown) == ["the plan ↓", "docs/plan b.md ↓"]
    assert await page.run("document.querySelectorAll('.answer .markdown a[href]').length") == 0
    await page.run(CATCH)
    await page.run("document.querySelector('.answer .markdown button[data-file]').click()")
    await page.until("globalThis.saved.length === 1")
    await page.run("document.querySelector('.answer .files button').click()")
    await page.until("globalThis.saved.length === 2")
    assert await page.run("globalThis.saved") == [["plan b.md", "# Plan B"]] * 2


async def test_files_of_an_answer_are_there_when_the_page_is_opened_again(
    page: Page, provider: Upstream
) -> None:
    provider.then(
        streamed(call(0, "c1", "write_file", json.dumps(WRITTEN)), reason="tool_calls"),
        streamed(text("Done.")),
    )
    await page.ask("Write it once more.")
    await page.until(answers(1))
    await page.send("Page.reload")
    await page.until_text("docs/plan b.md ↓", ".answer .files")
