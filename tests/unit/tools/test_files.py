"""read_file shows the files of its own conversation, from any place on."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from nanobot.agent.toolset import Toolset
from nanobot.core.dispatch import History
from nanobot.core.errors import UploadNotFound
from nanobot.core.extent import Extent, Mark, Position
from nanobot.core.message import File, Message, Text, ToolCall, ToolResult
from nanobot.core.uploads import Upload, UploadPage
from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.documents import DocumentReader
from nanobot.tools.files import read_file
from nanobot.workers.pool import WorkerPool
from tests import files

PAGES = "".join(f"[page {number}]\npage {number} says so\n\n" for number in range(1, 5))
OF_PAGES = Extent(
    "page",
    {"page": 9},
    marks=tuple(Mark(PAGES.index(f"[page {number}]"), number, 0) for number in range(1, 5)),
    cut=Position(5),
)


class Sessions:
    """Sessions with files: messages and uploads by session key."""

    def __init__(self) -> None:
        self.said: dict[str, list[File]] = {}
        self.kept: dict[str, dict[str, tuple[str, bytes]]] = {}

    async def history(self, session_key: str, budget_tokens: int) -> History:
        said = self.said.get(session_key, [])
        return History(tuple(Message("user", (Text("look"), file)) for file in said))

    async def open_upload(self, file_id: str, session_key: str) -> tuple[Upload, bytes]:
        kept = self.kept.get(session_key, {})
        if file_id not in kept:
            raise UploadNotFound("no such file")
        name, content = kept[file_id]
        return Upload(file_id, session_key, name, "user_data", len(content), 0.0), content

    async def uploads(self, session_key: str, *, limit: int) -> UploadPage:
        kept = self.kept.get(session_key, {})
        return UploadPage(
            tuple(Upload(id_, session_key, name, "user_data", 1, 0.0) for id_, (name, _) in kept.items()),
            False,
        )


class Desk:
    """The tool, with the sessions that it reads in."""

    def __init__(self, workers: WorkerPool) -> None:
        self.sessions = Sessions()
        documents = DocumentReader(workers, DocumentBounds(max_characters=200))
        self._tools = Toolset([read_file(self.sessions, documents)])

    async def read(
        self, file: str | None = None, start: str | None = None, *, key: str = "ann", tokens: int = 1_000
    ) -> ToolResult:
        arguments = msgspec.json.encode({"file": file, "from": start}).decode()
        return await self._tools.run(
            ToolCall("1", "read_file", arguments), turn_id="t", session_key=key, result_tokens=tokens
        )

    async def shown(self, file: str | None = None, start: str | None = None, *, tokens: int = 1_000) -> str:
        result = await self.read(file, start, tokens=tokens)
        assert not result.is_error, result.content
        return result.content

    async def refused(self, file: str | None = None, start: str | None = None, *, key: str = "ann") -> str:
        result = await self.read(file, start, key=key)
        assert result.is_error, result.content
        return result.content


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    workers = WorkerPool()
    yield Desk(workers)
    await workers.close()


async def test_what_was_read_when_the_file_came_is_shown_from_any_page_on(desk: Desk) -> None:
    desk.sessions.said["ann"] = [File("a.pdf", PAGES, None, OF_PAGES)]
    for start in ("page 3", "Page 3", "pages 3-4", "3", "p. 3", "page 3 of 9"):
        text = await desk.shown("a.pdf", start)
        assert "[page 3]" in text and "page 4 says so" in text and "page 2 says" not in text, start
        assert "goes on at page 5 of 9" in text
    assert "page 1 says so" in await desk.shown()


async def test_what_lies_behind_is_read_from_the_upload(desk: Desk) -> None:
    content = files.pdf("word " * 20, pages=9)
    desk.sessions.said["ann"] = [File("a.pdf", PAGES, "file-1", OF_PAGES)]
    desk.sessions.kept["ann"] = {"file-1": ("a.pdf", content)}
    text = await desk.shown("a.pdf", "page 7")
    assert "[page 7]" in text and "[page 9]" in text and "[page 6]" not in text
    assert "goes on" not in text
    short = await desk.shown("file-1", "page 5", tokens=64)
    assert "[page 5]" in short and 'from "page 7"' in short
    assert "it has 9 pages" in await desk.refused("a.pdf", "page 12")


async def test_results_are_no_longer_than_the_window_has_room_for(desk: Desk) -> None:
    desk.sessions.said["ann"] = [File("a.txt", "line\n" * 10_000)]
    text = await desk.shown("a.txt", "line 200", tokens=100)
    assert len(text) < 800 and "line 200 of 10,000" in text


async def test_text_is_read_by_lines_and_workbooks_by_rows(desk: Desk) -> None:
    desk.sessions.kept["ann"] = {
        "file-1": ("a.txt", b"".join(b"line %d\n" % number for number in range(1, 5_001))),
        "file-2": ("b.xlsx", files.sheet([[f"cell {number}"] for number in range(1, 50)])),
    }
    assert "line 4999\nline 5000" in await desk.shown("a.txt", "line 4999")
    text = await desk.shown("b.xlsx", "sheet 1 row 40")
    assert "cell 40" in text and "cell 39" not in text


async def test_a_sheet_may_be_named_by_its_title(desk: Desk) -> None:
    text = "[sheet 1: A]\n1\n\n[sheet 2: Costs]\n2\n"
    extent = Extent("sheet", {"sheet": 2}, {1: "A", 2: "Costs"}, (Mark(0, 1, 0), Mark(16, 2, 0)))
    desk.sessions.said["ann"] = [File("a.xlsx", text, None, extent)]
    assert "[sheet 1" not in await desk.shown("a.xlsx", "sheet 'Costs'")


@pytest.mark.parametrize("start", ["slide 3", "the end", "page", "sheet Costs"])
async def test_what_is_no_place_in_the_file_is_answered_with_how_to_say_one(desk: Desk, start: str) -> None:
    desk.sessions.said["ann"] = [File("a.pdf", PAGES, None, OF_PAGES)]
    assert "'page 3'" in await desk.refused("a.pdf", start)


async def test_a_file_that_is_not_there_is_answered_with_those_that_are(desk: Desk) -> None:
    desk.sessions.said["ann"] = [File("a.txt", "words"), File("b.txt", "words")]
    assert "'b.txt', 'a.txt'" in await desk.refused("c.txt")
    assert "none" in await desk.refused("c.txt", key="carl")


async def test_a_file_that_is_gone_or_was_not_kept_says_so(desk: Desk) -> None:
    desk.sessions.said["ann"] = [
        File("gone.pdf", PAGES, "file-9", OF_PAGES),
        File("a.pdf", PAGES, None, OF_PAGES),
    ]
    assert "not kept any more" in await desk.refused("gone.pdf", "page 6")
    assert "page 3 says so" in await desk.shown("gone.pdf", "page 3")
    assert "is not kept" in await desk.refused("a.pdf", "page 6")


async def test_the_newest_of_several_files_of_one_name_is_read(desk: Desk) -> None:
    desk.sessions.said["ann"] = [File("a.txt", "old"), File("A.TXT", "new")]
    assert "new" in await desk.shown("A.TXT") and "old" in await desk.shown("a.txt")
    assert "new" in await desk.shown("A")


async def test_no_file_of_another_session_is_reached_by_any_name(desk: Desk) -> None:
    desk.sessions.said["bob"] = [File("secret.pdf", "canary " + PAGES, "file-7", OF_PAGES)]
    desk.sessions.kept["bob"] = {"file-7": ("secret.pdf", b"canary")}
    desk.sessions.said["ann"] = [File("a.pdf", PAGES, "file-7", OF_PAGES)]
    tries = [
        desk.read(name, start)
        for name in ("secret.pdf", "file-7", "secret", "../bob/secret.pdf", "", None)
        for start in ("page 1", "page 7", None)
    ]
    for result in await asyncio.gather(*tries):
        assert "canary" not in result.content and "secret.pdf'," not in result.content


async def test_a_file_that_cannot_be_read_is_an_error_for_the_model(desk: Desk) -> None:
    desk.sessions.kept["ann"] = {"file-1": ("cut.pdf", files.pdf()[:150])}
    assert "broken" in await desk.refused("cut.pdf")
