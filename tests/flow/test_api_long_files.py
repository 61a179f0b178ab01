"""Files that are longer than the window: they are answered, and the model reads on in them, and in no
others.
"""

import base64
import json
from typing import Any

from nanobot.core.message import File, Image, ToolResult
from nanobot.core.model import Ability, ModelRequest
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests import files
from tests.asgi import Door, Exchange
from tests.forms import ANN, upload
from tests.harness import Harness, OpenHarness

BOB = "wx:dm:bob"


def part(content: bytes, name: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": base64.b64encode(content).decode(), "filename": name}}


def uploaded(file_id: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_id": file_id}}


async def chat(door: Door, *parts: dict[str, Any], key: str = ANN) -> Exchange:
    words = {"type": "text", "text": "what is it?"}
    return await door.chat(key, [{"role": "user", "content": [words, *parts]}])


def seen(model: ScriptedModel, request: int = -1) -> list[File]:
    return [
        each
        for message in model.requests[request].messages
        for each in message.parts
        if isinstance(each, File)
    ]


def offered(model: ScriptedModel, request: int = -1) -> list[str]:
    return [tool.name for tool in model.requests[request].tools]


def results(model: ScriptedModel) -> list[str]:
    return [
        each.content
        for message in model.requests[-1].messages
        for each in message.parts
        if isinstance(each, ToolResult)
    ]


class Reader:
    """What a model does that reads on: it asks for `file` from `start` on, then says what it got."""

    def __init__(self) -> None:
        self.file, self.start = "", "line 1"

    def __call__(self, request: ModelRequest) -> str | Say:
        if not self.file or request.messages[-1].role == "tool":
            return "done"
        return call("read_file", f'{{"file":"{self.file}","from":"{self.start}"}}')


def small(*replies: Any, **fields: Any) -> ScriptedModel:
    return ScriptedModel(*replies, context_tokens=8_192, **fields)


async def test_a_chinese_text_of_forty_thousand_characters_is_answered_in_a_small_window(
    open_harness: OpenHarness,
) -> None:
    model = small()
    harness = await open_harness(model)
    reply = await chat(harness.door, part(("合同第一条。" * 6_700).encode(), "合同.txt"))
    assert reply.status == 200, reply.text
    (file,) = seen(model)
    assert len(file.text) > 3_000 and "read_file" in file.note and "read_file" in offered(model)


async def test_a_follow_up_sees_the_file_cut_at_the_same_place(open_harness: OpenHarness) -> None:
    model = small()
    harness = await open_harness(model)
    await chat(harness.door, part(b"some line\n" * 7_000, "a.txt"))
    await harness.door.chat(ANN, "and now?")
    assert seen(model, 0) == seen(model, 1) != []
    assert model.requests[0].tools == model.requests[1].tools


async def test_several_files_share_the_window_and_none_is_dropped(open_harness: OpenHarness) -> None:
    model = small()
    harness = await open_harness(model)
    await chat(
        harness.door, part(b"x\n" * 30_000, "a.txt"), part(b"short", "b.txt"), part(b"y\n" * 30_000, "c.txt")
    )
    a, b, c = seen(model)
    assert b.text == "short" and not b.note
    assert abs(len(a.text) - len(c.text)) < 10 and len(a.text) > 3_000


async def test_without_long_files_nothing_further_is_offered(open_harness: OpenHarness) -> None:
    model = ScriptedModel()
    harness = await open_harness(model, workspace={"enabled": False})
    await chat(harness.door, part(b"short", "a.txt"))
    assert "read_file" not in offered(model)


async def test_the_model_reads_on_where_a_file_was_cut(open_harness: OpenHarness) -> None:
    lines = "".join(f"line {number}\n" for number in range(1, 20_001)).encode()
    model = small(call("read_file", '{"file":"a.txt","from":"line 19000"}'), "done")
    harness = await open_harness(model)
    assert (await chat(harness.door, part(lines, "a.txt"))).status == 200
    (result,) = results(model)
    assert "\nline 19000\nline 19001\n" in result and len(result) < 8_000
    assert "goes on at line" in result and "of 20,000" in result


async def test_a_file_that_is_longer_than_what_is_read_is_kept_for_reading_on(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    model = small(call("read_file", '{"file":"a.pdf","from":"page 30"}'), "done")
    harness = await open_harness(model, clock=clock, files={"max_characters": 1_000, "ttl_days": 2})
    assert (await chat(harness.door, part(files.pdf("words " * 20, pages=40), "a.pdf"))).status == 200
    assert "[page 30]" in results(model)[0] and "of 40" in results(model)[0]
    (kept,) = (await harness.door.get("/v1/files", {"x-session-key": ANN})).json["data"]
    assert kept["filename"] == "a.pdf" and kept["expires_at"] == kept["created_at"] + 2 * 86_400
    assert seen(model)[0].file_id == kept["id"]


async def test_a_file_that_was_read_whole_is_not_kept(harness: Harness) -> None:
    await chat(harness.door, part(b"short", "a.txt"))
    assert (await harness.door.get("/v1/files", {"x-session-key": ANN})).json["data"] == []


async def test_a_file_for_which_there_is_no_room_is_answered_and_its_rest_said_to_be_gone(
    open_harness: OpenHarness,
) -> None:
    model = small(call("read_file", '{"file":"a.txt","from":"line 900"}'), "done")
    harness = await open_harness(model, files={"max_characters": 1_000, "quota_mb": 0.001})
    assert (await chat(harness.door, part(b"some line\n" * 1_000, "a.txt"))).status == 200
    assert "is not kept" in results(model)[0]


async def test_an_upload_is_read_on_by_its_id(open_harness: OpenHarness) -> None:
    reader = Reader()
    model = small(reader)
    harness = await open_harness(model, files={"max_characters": 1_000})
    reader.file = await upload(harness.door, b"some line\n" * 1_000, "a.txt")
    reader.start = "line 990"
    await chat(harness.door, uploaded(reader.file))
    assert results(model)[0].count("some line") == 11


async def test_files_of_others_are_not_reached_by_name_nor_by_id(open_harness: OpenHarness) -> None:
    reader = Reader()
    model = small(reader)
    harness = await open_harness(model, files={"max_characters": 1_000})
    secret = b"canary-4711 line\n" * 1_000
    file_id = await upload(harness.door, secret, "secret.txt")
    await chat(harness.door, part(secret, "mine.txt"), uploaded(file_id))
    for name in ("secret.txt", "mine.txt", file_id, "../secret.txt"):
        reader.file = name
        await chat(harness.door, part(b"my own\n" * 1_000, "own.txt"), key=BOB)
        assert "there is no file" in results(model)[-1]
        assert not any("canary" in result for result in results(model))


async def test_a_scan_is_a_picture_where_the_model_sees_and_else_said_to_be_one(
    open_harness: OpenHarness,
) -> None:
    for abilities, sees in (
        (frozenset[Ability]({"images", "tools"}), True),
        (frozenset[Ability]({"tools"}), False),
    ):
        model = ScriptedModel(abilities=abilities)
        harness = await open_harness(model)
        reply = await chat(harness.door, part(files.scan(), "scan.pdf"))
        assert reply.status == 200, reply.text
        pictures = [each for each in model.requests[-1].messages[-1].parts if isinstance(each, Image)]
        assert len(pictures) == sees
        assert ("picture 1" if sees else "as of a scan") in seen(model)[0].text


async def test_an_image_is_what_its_bytes_say(harness: Harness) -> None:
    model = harness.app.models.default
    assert isinstance(model, ScriptedModel)
    data = base64.b64encode(files.PNG).decode()
    part_ = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}
    assert (await chat(harness.door, part_)).status == 200
    assert model.requests[-1].messages[-1].parts[-1] == Image(f"data:image/png;base64,{data}")


async def test_what_is_no_image_is_a_400_that_names_the_part(harness: Harness) -> None:
    for data, code in (
        ("!!!!", "invalid_request"),
        (base64.b64encode(b"just words").decode(), "unsupported_file"),
        (base64.b64encode(files.PNG).decode()[:-1], "invalid_request"),
    ):
        url = f"data:image/png;base64,{data}"
        reply = await chat(harness.door, {"type": "image_url", "image_url": {"url": url}})
        assert (reply.status, reply.error["param"]) == (400, "messages[0].content[1].image_url.url"), data
        assert reply.error["code"] == code, reply.text


async def test_the_transcript_says_where_a_file_goes_on(open_harness: OpenHarness) -> None:
    harness = await open_harness(files={"max_characters": 1_000})
    await chat(harness.door, part(b"some line\n" * 1_000, "a.txt"), part(b"short", "b.txt"))
    listed = (await harness.door.get(f"/v1/sessions/{ANN}/messages", {"x-session-key": ANN})).json["data"]
    long, short = (each["file"] for each in listed[0]["content"][1:])
    assert long["goes_on_at"] == "line 101 of 1,000" and "goes_on_at" not in short


async def test_what_leaves_no_trace_keeps_no_file(open_harness: OpenHarness) -> None:
    harness = await open_harness(files={"max_characters": 1_000})
    long = base64.b64encode(b"some line\n" * 1_000).decode()
    words = [{"type": "text", "text": "what is it?"}, part(b"some line\n" * 1_000, "a.txt")]
    asked = await harness.door.chat(ANN, [{"role": "user", "content": words}], store=False)
    assert asked.status == 200, asked.text
    item = {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;base64,{long}"}
    body = json.dumps({"model": "nanobot", "input": [{"role": "user", "content": [item]}]}).encode()
    counted = await harness.door.call(
        "POST", "/v1/responses/input_tokens", body=body, headers={"x-session-key": ANN}
    )
    assert counted.status == 200, counted.text
    assert (await harness.door.get("/v1/files", {"x-session-key": ANN})).json["data"] == []


async def test_what_was_said_before_a_long_file_is_still_seen(harness: Harness) -> None:
    """Although the file alone has more text than the window."""
    model = harness.app.models.default
    assert isinstance(model, ScriptedModel)
    await harness.door.chat(ANN, "the word is kumquat")
    for question in (
        chat(harness.door, part("合同第一条。".encode() * 13_000, "a.txt")),
        harness.door.chat(ANN, "and?"),
    ):
        assert (await question).status == 200
        assert model.requests[-1].messages[0].text == "the word is kumquat"
        assert len(seen(model)[0].text) > 10_000


async def test_a_model_that_cannot_read_on_is_not_told_to(open_harness: OpenHarness) -> None:
    model = ScriptedModel(context_tokens=8_192, abilities=frozenset[Ability]({"tools"}))
    harness = await open_harness(model)
    assert (await chat(harness.door, part(b"some line\n" * 7_000, "a.txt"))).status == 200
    assert "read_file" not in offered(model)
    assert "the rest cannot be shown" in seen(model)[0].note


# Refused requests ---------------------------------------------------------------------------------

LONG = b"a long story " * 20_000


async def kept_files(door: Door, key: str = ANN) -> list[Any]:
    return list((await door.call("GET", "/v1/files", headers={"x-session-key": key})).json["data"])


async def test_a_long_file_of_a_message_that_is_refused_is_not_kept(open_harness: OpenHarness) -> None:
    """Each such request would leave megabytes on the disk."""
    harness = await open_harness(ScriptedModel("ok"))
    reply = await chat(harness.door, part(LONG, "a.txt"), {"type": "text", "text": "word " * 200_000})
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
    reply = await chat(harness.door, part(LONG, "a.txt"), part(b"PK\x03\x04 broken", "b.docx"))
    assert reply.status == 400
    assert not await kept_files(harness.door)
    assert (await chat(harness.door, part(LONG, "a.txt"))).status == 200
    assert len(await kept_files(harness.door)) == 1


async def test_a_file_that_was_kept_before_stays_where_a_later_message_is_refused(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    assert (await chat(harness.door, part(LONG, "a.txt"))).status == 200
    reply = await chat(harness.door, part(LONG, "a.txt"), {"type": "text", "text": "word " * 200_000})
    assert reply.status == 400
    assert len(await kept_files(harness.door)) == 1


async def test_a_long_file_for_a_conversation_that_exists_is_not_kept(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("ok"))
    await harness.door.chat(ANN, "hello")
    file = {"type": "input_file", "file_data": base64.b64encode(LONG).decode(), "filename": "a.txt"}
    item = {"type": "message", "role": "user", "content": [file]}
    for path, status, files_kept in (
        ("/v1/conversations", 409, 0),
        ("/v1/conversations/none/items", 404, 0),
        (f"/v1/conversations/{ANN}/items", 200, 1),
    ):
        reply = await harness.door.call(
            "POST", path, body=json.dumps({"items": [item]}).encode(), headers={"x-session-key": ANN}
        )
        assert reply.status == status, reply.text
        assert len(await kept_files(harness.door)) == files_kept
    assert not await kept_files(harness.door, "none")
