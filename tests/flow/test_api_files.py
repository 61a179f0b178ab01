"""/v1/files: as OpenAI has it, for one session at a time."""

import re
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError

from nanobot.testing import FakeClock
from tests.asgi import ABSENT, Door, Exchange
from tests.forms import ANN, form, send_form, upload
from tests.harness import Harness, OpenHarness, listening

BOB = "wx:dm:bob"
FIELDS = [
    "id",
    "object",
    "bytes",
    "created_at",
    "expires_at",
    "filename",
    "purpose",
    "status",
    "status_details",
]


async def get(door: Door, path: str, key: str = ANN) -> Exchange:
    return await door.get(path, {"x-session-key": key})


async def delete(door: Door, file_id: str, key: str = ANN) -> Exchange:
    return await door.call("DELETE", f"/v1/files/{file_id}", headers={"x-session-key": key})


async def create(
    door: Door, *further: tuple[str, str], purpose: str | None = "user_data", content: bytes = b"hello"
) -> Exchange:
    given = () if purpose is None else (("purpose", purpose),)
    return await send_form(door, "/v1/files", form(*given, *further, ("file", ("a.txt", content))))


async def ids(door: Door, query: str = "", key: str = ANN) -> list[str]:
    return [str(file["id"]) for file in (await get(door, f"/v1/files{query}", key)).json["data"]]


async def test_a_file_is_uploaded_shown_listed_read_and_deleted(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    door = (await open_harness(clock=clock)).door
    made = (await create(door, content=b"\0hello\xff")).json
    assert list(made) == FIELDS
    assert re.fullmatch(r"file-[0-9a-z]{26}", made["id"])
    now = int(clock.now())
    assert made == {
        "id": made["id"], "object": "file", "bytes": 7, "created_at": now, "expires_at": now + 30 * 86_400,
        "filename": "a.txt",
        "purpose": "user_data", "status": "processed", "status_details": None,
    }  # fmt: skip
    assert (await get(door, f"/v1/files/{made['id']}")).json == made
    listed = (await get(door, "/v1/files")).json
    assert listed == {
        "object": "list",
        "data": [made],
        "first_id": made["id"],
        "last_id": made["id"],
        "has_more": False,
    }
    content = await get(door, f"/v1/files/{made['id']}/content")
    assert content.raw == b"\0hello\xff"
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["x-content-type-options"] == "nosniff"
    assert content.headers["content-disposition"] == "attachment; filename*=UTF-8''a.txt"
    assert (await delete(door, made["id"])).json == {"id": made["id"], "object": "file", "deleted": True}
    for path in ("", "/content"):
        assert (await get(door, f"/v1/files/{made['id']}{path}")).status == 404
    assert (await get(door, "/v1/files")).json["data"] == []


async def test_what_is_another_sessions_does_not_exist_in_the_same_bytes(harness: Harness) -> None:
    file_id = await upload(harness.door, b"canary-4711", "canary.txt")
    nobody = "file-" + "0" * 26
    for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content", f"/v1/files?after={file_id}"):
        foreign = await get(harness.door, path, BOB)
        missing = await get(harness.door, path.replace(file_id, nobody), BOB)
        assert foreign.status == missing.status == 404
        assert foreign.error["code"] == "file_not_found"
        assert foreign.text.replace(file_id, nobody) == missing.text
        assert "canary" not in foreign.text
    assert (await delete(harness.door, file_id, BOB)).text.replace(file_id, nobody) == (
        await delete(harness.door, nobody, BOB)
    ).text
    assert await ids(harness.door, key=BOB) == []
    assert (await get(harness.door, f"/v1/files/{file_id}/content")).raw == b"canary-4711"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ""), ("GET", ""), ("GET", "/file-1"), ("GET", "/file-1/content"), ("DELETE", "/file-1")],
)
async def test_every_route_needs_the_session_key(harness: Harness, method: str, path: str) -> None:
    reply = await harness.door.call(method, f"/v1/files{path}", headers={"x-session-key": ABSENT})
    assert (reply.status, reply.error["code"]) == (400, "missing_session_key")


@pytest.mark.parametrize(
    "file_id",
    ["file-1", "..", "..%2Fnanobot.sqlite3", "%2e%2e%2fnanobot.sqlite3", "file-%00", "x" * 500, "%ff"],
)
async def test_what_is_no_id_is_not_found(harness: Harness, file_id: str) -> None:
    for path in ("", "/content"):
        assert (await get(harness.door, f"/v1/files/{file_id}{path}")).status == 404


async def test_lists_page_as_openai_pages(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    door = (await open_harness(clock=clock)).door
    made = [await upload(door, b"x", f"{number}.txt") for number in range(4)]
    assert await ids(door) == made[::-1]
    assert await ids(door, "?order=asc") == made
    page = (await get(door, "/v1/files?order=asc&limit=2")).json
    assert (
        [file["id"] for file in page["data"]] == made[:2] and page["has_more"] and page["last_id"] == made[1]
    )
    assert await ids(door, f"?order=asc&limit=2&after={page['last_id']}") == made[2:]
    assert await ids(door, "?purpose=vision") == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("limit=١", "limit"),
        ("order=up", "order"),
    ],
)
async def test_a_bad_query_is_told_what_is_allowed(harness: Harness, query: str, param: str) -> None:
    reply = await get(harness.door, f"/v1/files?{query}")
    assert (reply.status, reply.error["param"]) == (400, param)


@pytest.mark.parametrize(
    ("fields", "purpose", "param"),
    [
        ((), None, "purpose"),
        ((), "fun", "purpose"),
        ((("expires_after[seconds]", "7200"),), "user_data", "expires_after.anchor"),
        (
            (("expires_after[anchor]", "last_active_at"), ("expires_after[seconds]", "7200")),
            "user_data",
            "expires_after.anchor",
        ),
        (
            (("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3599")),
            "user_data",
            "expires_after.seconds",
        ),
        (
            (("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "2592001")),
            "user_data",
            "expires_after.seconds",
        ),
        ((("expires_after[anchor]", "created_at"),), "user_data", "expires_after.seconds"),
    ],
)
async def test_an_upload_that_is_not_as_it_should_be_is_told_so(
    harness: Harness, fields: Any, purpose: str | None, param: str
) -> None:
    reply = await create(harness.door, *fields, purpose=purpose)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert await ids(harness.door) == []


async def test_an_upload_needs_one_file_in_a_form(harness: Harness) -> None:
    none = await send_form(harness.door, "/v1/files", form(("purpose", "user_data")))
    assert (none.status, none.error["param"]) == (400, "file")
    two = await send_form(
        harness.door, "/v1/files", form(("purpose", "user_data"), ("file", ("a", b"")), ("file", ("b", b"")))
    )
    assert (two.status, two.error["param"]) == (400, "file")
    json = await harness.door.call(
        "POST", "/v1/files", body=b"{}", headers={"x-session-key": ANN, "content-type": "application/json"}
    )
    assert (json.status, json.error["code"]) == (400, "invalid_form")


async def test_a_file_is_gone_when_its_time_has_come_and_its_bytes_soon_after(
    open_harness: OpenHarness,
) -> None:
    clock = FakeClock()
    harness = await open_harness(clock=clock)
    made = (
        await create(
            harness.door, ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")
        )
    ).json
    assert made["expires_at"] == made["created_at"] + 3600
    clock.advance(3600)
    assert (await get(harness.door, f"/v1/files/{made['id']}")).status == 404
    await harness.app.store.check()
    for _ in range(200):
        if not (harness.data / "files" / made["id"]).exists():
            break
        await harness.app.store.check()
    assert not (harness.data / "files" / made["id"]).exists()


async def test_files_can_be_kept_for_ever(open_harness: OpenHarness) -> None:
    harness = await open_harness(files={"ttl_days": 0})
    assert (await create(harness.door)).json["expires_at"] is None


async def test_a_file_and_all_files_of_a_session_are_bounded(open_harness: OpenHarness) -> None:
    harness = await open_harness(files={"max_file_mb": 0.001, "quota_mb": 0.0015})
    too_large = await create(harness.door, content=b"x" * 1_100)
    assert (too_large.status, too_large.error["code"], too_large.error["param"]) == (
        413,
        "request_too_large",
        "file",
    )
    assert "files.max_file_mb" in (await create(harness.door, content=b"x" * 200_000)).error["message"]
    assert (await create(harness.door, content=b"x" * 1_000)).status == 200
    over = await create(harness.door, content=b"x" * 1_000)
    assert (over.status, over.error["code"]) == (400, "file_quota_exceeded")
    assert len(await ids(harness.door)) == 1
    assert len(list((harness.data / "files").iterdir())) == 1
    assert (
        await send_form(
            harness.door, "/v1/files", form(("purpose", "user_data"), ("file", ("a", b"x" * 1_000))), BOB
        )
    ).status == 200


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\temp\\\\a.txt", "a.txt"),
        ("", "file"),
        ("größe ☕.txt", "größe ☕.txt"),
        ("x" * 999, "x" * 255),
    ],
)
async def test_a_name_is_shown_without_folders_and_is_no_path(harness: Harness, name: str, kept: str) -> None:
    file_id = await upload(harness.door, b"hello", name)
    assert (await get(harness.door, f"/v1/files/{file_id}")).json["filename"] == kept
    assert [path.name for path in (harness.data / "files").iterdir()] == [file_id]
    assert (await get(harness.door, f"/v1/files/{file_id}/content")).raw == b"hello"


async def test_a_deleted_session_takes_its_files_along(harness: Harness) -> None:
    file_id = await upload(harness.door, b"hello")
    await harness.door.chat(ANN, "hello")
    await harness.app.store.delete_session(ANN)
    assert (await get(harness.door, f"/v1/files/{file_id}")).status == 404
    assert list((harness.data / "files").iterdir()) == []


async def test_the_official_sdk_uploads_lists_reads_and_deletes(harness: Harness) -> None:
    headers = {"x-session-key": ANN}
    async with (
        listening(harness.app.asgi) as server,
        AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key="x", default_headers=headers, max_retries=0
        ) as client,
    ):
        made = await client.files.create(
            file=("note.txt", b"kumquat"),
            purpose="user_data",
            expires_after={"anchor": "created_at", "seconds": 7200},
        )
        assert (made.filename, made.bytes, made.expires_at) == ("note.txt", 7, made.created_at + 7200)
        assert [file.id async for file in client.files.list(limit=1)] == [made.id]
        assert (await client.files.content(made.id)).content == b"kumquat"
        assert (await client.files.delete(made.id)).deleted
        with pytest.raises(NotFoundError):
            await client.files.retrieve(made.id)
