"""The files of one session do not hold up those of another, over a server that listens."""

import asyncio
import io
import zipfile

import aiohttp

from tests.asgi import BOUND_S
from tests.forms import ANN
from tests.harness import OpenHarness, listening

_BOB = "wx:dm:bob"


def slow_document() -> bytes:
    """Return a small file that takes many seconds to read."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        )
        archive.writestr("word/document.xml", "<a>" + "<p>word</p>" * 3_000_000 + "</a>")
    return written.getvalue()


async def test_a_small_file_is_answered_before_the_slow_ones_of_another_session(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness()
    slow = slow_document()
    async with listening(harness.app.asgi) as listener, aiohttp.ClientSession() as client:

        async def ask(key: str, name: str, content: bytes) -> int:
            form = aiohttp.FormData()
            form.add_field("message", "Read it.")
            form.add_field("files", content, filename=name)
            headers = {"x-session-key": key}
            url = f"{listener.url}/v1/chat/completions"
            async with client.post(url, data=form, headers=headers) as response:
                return response.status

        slow_ones = [asyncio.ensure_future(ask(ANN, f"{number}.docx", slow)) for number in range(4)]
        await asyncio.sleep(0)
        small = asyncio.ensure_future(ask(_BOB, "note.txt", b"thirty bytes of a plain letter"))
        done, _ = await asyncio.wait(
            {small, *slow_ones}, timeout=BOUND_S, return_when=asyncio.FIRST_COMPLETED
        )
        assert done == {small}
        assert small.result() == 200
        for task in slow_ones:
            task.cancel()
        await asyncio.wait(slow_ones)
