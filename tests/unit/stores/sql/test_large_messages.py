"""What has megabytes is written apart: others share no commit with it, and wait for one such write only."""

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from nanobot.core.event import ToolFinished
from nanobot.core.message import Audio, Image, Message, Text, ToolCall, ToolResult, user
from nanobot.core.store import Limits
from nanobot.core.turn import Identity
from nanobot.core.visible import START, Place, place_after, place_of
from nanobot.stores.sql import pieces, taking_in
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.ports.shared import prepared_job
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sql.prepared import PreparedMessages
from nanobot.testing import MemoryData
from tests.contract.store_harness import StoreHarness, done, open_sqlite

URL = "data:image/png;base64," + "A" * 1_000_000
PICTURE = Message("user", (Text("look"), Image(URL)))


@pytest.mark.parametrize("part", [Image(URL), Audio("A" * 1_000_000, "wav"), Text("x" * 1_000_000)])
def test_a_message_is_as_large_as_what_it_carries(part: Image | Audio | Text) -> None:
    assert 1_000_000 <= pieces.size_of(Message("user", (part,))) <= 1_200_000
    assert [len(piece) for piece in taking_in.pieces([Message("user", (part,))] * 3)] == [1, 1, 1]


async def test_what_has_megabytes_is_written_as_a_piece(tmp_path: Path) -> None:
    harness = StoreHarness(open_sqlite, tmp_path / "data", Limits())
    await harness.open()
    assert isinstance(harness.store, SqlStore)
    database, written = harness.store.database, list[str]()
    write, write_piece = database.write, database.write_piece

    async def noted_write(*given: object) -> object:
        written.append("with others")
        return await write(*given)  # type: ignore[arg-type]

    async def noted_piece(*given: object) -> object:
        written.append("apart")
        return await write_piece(*given)  # type: ignore[arg-type]

    database.write, database.write_piece = noted_write, noted_piece  # type: ignore[method-assign, assignment]
    turn = msgspec.structs.replace(harness.turn("a"), input=(PICTURE,))
    await harness.store.admit(turn, Identity(b"x" * 32), ())
    claim = await harness.engine.claim()
    assert written == ["apart"]
    await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult("c", "x" * 400_000),))),))
    assert written == ["apart", "apart"]
    await harness.store.append(claim, done("ok"))
    assert written[-1] == "with others"
    await harness.store.add_messages("a", (PICTURE,))
    assert written[-1] == "apart"
    await harness.close()


@pytest.mark.parametrize(
    "before", [START, place_of([user("What is new?"), Message("assistant", (Text("Much."),))])]
)
@pytest.mark.parametrize(
    "message",
    [
        PICTURE,
        Message("assistant", (Text("x" * 300_000), ToolCall("c", "look", "{}"))),
        Message("tool", (ToolResult("c", "x" * 300_000),)),
    ],
)
def test_what_is_computed_before_is_what_would_be_computed_when_it_is_written(
    message: Message, before: Place
) -> None:
    prepared, calls = PreparedMessages((message,)), {"c": ToolCall("c", "look", "{}")}
    assert msgspec.json.decode(prepared.body_of(message), type=Message) == message
    assert prepared.place_after(before, message, calls) == place_after(before, message, calls)


def test_the_transaction_of_a_picture_finds_it_ready_to_be_written() -> None:
    def job(db: Db) -> bool:
        return db.prepared.body_of(PICTURE) is db.prepared.body_of(PICTURE)

    with closing(MemoryData()) as data:
        assert prepared_job(job, (user("look"), PICTURE))(data.db)
        assert not prepared_job(job, (user("look"),))(data.db)
        assert not job(data.db)
