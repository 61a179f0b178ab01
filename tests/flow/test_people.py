"""People over HTTP: found, linked, exported and erased by an API key that reaches them, or not at all."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from nanobot.access import link_codes
from nanobot.app.jobs import ERASURES_EVERY_S
from nanobot.core.errors import StoreError
from nanobot.core.memory import NewFact
from nanobot.core.model import ModelRequest
from nanobot.stores.sql.ports.deleting import Deleting
from nanobot.stores.sqlite.offline import SqliteOffline
from nanobot.testing import FakeClock, ScriptedModel
from tests.access import give_key
from tests.asgi import BOUND_S, Exchange
from tests.flow.test_compaction import WINDOW, fillers, talk
from tests.forms import form
from tests.harness import Harness, OpenHarness

DM, GROUP, OTHER, TELEGRAM = "wx:dm:alice", "wx:group:g1:user:alice", "wx:group:g1:user:bob", "tg:dm:42"
Key = dict[str, str]


def at(person: str, rest: str = "") -> str:
    return f"/v1/people/{quote(person, safe='')}{rest}"


async def post(harness: Harness, path: str, key: Key, body: object = None) -> Exchange:
    raw = b"" if body is None else json.dumps(body).encode()
    return await harness.door.call("POST", path, body=raw, headers=key)


async def populated(open_harness: OpenHarness, **options: Any) -> Harness:
    """Open the app with sessions of Alice, in two channels and a group, and one of Bob."""
    harness = await open_harness(**options)
    for key in (DM, GROUP, OTHER, TELEGRAM):
        assert (await harness.door.chat(key, f"hello from {key}")).status == 200
    return harness


def code_of(exchange: Exchange) -> str:
    assert exchange.status == 200, exchange.text
    return str(exchange.json["code"])


def refusal(exchange: Exchange) -> tuple[int, str]:
    return exchange.status, exchange.json["error"]["code"]


# Reading ------------------------------------------------------------------------------------------


async def test_a_key_sees_of_each_person_what_its_patterns_reach(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await populated(open_harness, clock=clock)
    private = await give_key(harness, "private", "wx:dm:*")
    master = await give_key(harness, "master")
    await post(harness, at("wx:alice", "/links"), master, {"person": "tg:42"})
    listed = (await harness.door.get("/v1/people", master)).json
    assert [(each["id"], each["sessions"]) for each in listed["data"]] == [("wx:alice", 3), ("wx:bob", 1)]
    seen = (await harness.door.get("/v1/people", private)).json["data"]
    assert seen == [
        {
            "id": "wx:alice",
            "object": "person",
            "names": ["wx:alice"],
            "sessions": 1,
            "files": 0,
            "created_at": clock.now(),
            "updated_at": clock.now(),
        }
    ]
    sessions = (await harness.door.get(at("tg:42", "/sessions"), master)).json["data"]
    assert [(each["key"], each["person"], each["group"]) for each in sessions] == [
        (TELEGRAM, "tg:42", None),
        (GROUP, "wx:alice", "wx:g1"),
        (DM, "wx:alice", None),
    ]
    assert [
        each["key"] for each in (await harness.door.get(at("wx:alice", "/sessions"), private)).json["data"]
    ] == [DM]


async def test_people_and_their_sessions_are_paged(open_harness: OpenHarness) -> None:
    harness = await populated(open_harness)
    first = (await harness.door.get("/v1/people?limit=2")).json
    assert [each["id"] for each in first["data"]] == ["tg:42", "wx:alice"] and first["has_more"]
    rest = (await harness.door.get(f"/v1/people?limit=2&after={first['last_id']}")).json
    assert [each["id"] for each in rest["data"]] == ["wx:bob"] and not rest["has_more"]
    one = (await harness.door.get(at("wx:alice", "/sessions?limit=1"))).json
    assert one["has_more"] and one["last_id"] == GROUP
    two = (await harness.door.get(at("wx:alice", f"/sessions?limit=1&after={quote(GROUP)}"))).json
    assert [each["id"] for each in two["data"]] == [DM] and not two["has_more"]


@pytest.mark.parametrize("name", ["wx:bob", "wx:nobody", "x" * 700, "wx:dm:alice", "nanobot:deleted:1"])
async def test_who_is_not_reached_is_answered_as_who_does_not_exist(
    open_harness: OpenHarness, name: str
) -> None:
    harness = await populated(open_harness)
    key = await give_key(harness, "private", "*:dm:*")
    for method, rest in (
        ("GET", ""),
        ("GET", "/sessions"),
        ("GET", "/export"),
        ("DELETE", ""),
        ("POST", "/codes"),
        ("POST", "/links"),
        ("DELETE", "/links/wx%3Aalice"),
    ):
        reply = await harness.door.call(method, at(name, rest), headers=key)
        assert refusal(reply) == (404, "person_not_found"), (method, rest)


# Links --------------------------------------------------------------------------------------------


async def test_a_code_from_one_chat_typed_in_the_other_makes_them_one_person(
    open_harness: OpenHarness,
) -> None:
    harness = await populated(open_harness, seed=3)
    wechat = await give_key(harness, "wechat", "wx:*")
    telegram = await give_key(harness, "telegram", "tg:*")
    shown = await post(harness, at("wx:alice", "/codes"), wechat)
    code = code_of(shown)
    assert shown.headers["cache-control"] == "no-store"
    typed = code.lower().replace("-", " ")
    linked = await post(harness, at("tg:42", "/links"), telegram, {"code": typed})
    # Telegram's key does not reach the other account, and is not told its name.
    assert (linked.status, linked.json["id"], linked.json["names"]) == (200, "tg:42", ["tg:42"])
    both = (await harness.door.get(at("tg:42"), await give_key(harness, "master"))).json
    assert (both["id"], both["names"], both["sessions"]) == ("wx:alice", ["wx:alice", "tg:42"], 3)
    again = await post(harness, at("tg:42", "/links"), telegram, {"code": code})
    assert refusal(again) == (400, "invalid_link_code")
    gone = await harness.door.call("DELETE", at("tg:42", "/links/tg%3A42"), headers=telegram)
    assert gone.json == {"id": "tg:42", "object": "person.link.deleted", "deleted": True}
    assert (await harness.door.get(at("wx:alice"), await give_key(harness, "other"))).json["sessions"] == 2
    assert code.encode() not in b"".join(file.read_bytes() for file in harness.data.glob("nanobot.sqlite3*"))


async def test_a_code_is_over_after_ten_minutes(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await populated(open_harness, clock=clock)
    key = await give_key(harness, "all", "*")
    for wait_s, status in ((link_codes.LIFE_S - 1, 200), (link_codes.LIFE_S, 400)):
        code = code_of(await post(harness, at("wx:alice", "/codes"), key))
        clock.advance(wait_s)
        assert (await post(harness, at("tg:42", "/links"), key, {"code": code})).status == status
        if status == 200:
            await harness.door.call("DELETE", at("tg:42", "/links/tg%3A42"), headers=key)


async def test_codes_cannot_be_guessed_in_a_row(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness = await populated(open_harness, clock=clock)
    key = await give_key(harness, "telegram", "tg:*")
    for _ in range(6):
        wrong = await post(harness, at("tg:42", "/links"), key, {"code": "00000-00000"})
        assert refusal(wrong) == (400, "invalid_link_code")
    refused = await post(harness, at("tg:42", "/links"), key, {"code": "00000-00000"})
    assert refusal(refused) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) <= 10
    clock.advance(10)
    assert (await post(harness, at("tg:42", "/links"), key, {"code": "00000-00000"})).status == 400


async def test_only_the_operator_links_by_name(open_harness: OpenHarness) -> None:
    harness = await populated(open_harness)
    user = await give_key(harness, "user", rights=("sessions:read", "sessions:write"))
    refused = await post(harness, at("wx:alice", "/links"), user, {"person": "tg:42"})
    assert refusal(refused) == (403, "missing_right")
    master = await give_key(harness, "master")
    for body in ({}, {"code": "00000-00000", "person": "tg:42"}, {"person": ""}, {"other": 1}):
        assert (await post(harness, at("wx:alice", "/links"), master, body)).status == 400
    assert (await post(harness, at("wx:alice", "/links"), master, {"person": DM})).status == 400
    assert await harness.app.store.linked_names() == {}


async def test_a_key_for_what_is_said_in_a_group_opens_nothing_private(open_harness: OpenHarness) -> None:
    """Alice's group and Mallory's chat: a link of both would show him what she said in private."""
    harness = await populated(open_harness)
    await harness.door.chat("wx:dm:mallory", "hello")
    key = await give_key(harness, "mallory", "wx:dm:mallory", "wx:group:*")
    assert (await harness.door.get(at("wx:alice"), key)).json["sessions"] == 1
    for victim, other in (("wx:alice", "wx:mallory"), ("wx:mallory", "wx:alice")):
        linked = await post(harness, at(victim, "/links"), key, {"person": other})
        assert refusal(linked) == (404, "person_not_found")
    assert refusal(await post(harness, at("wx:alice", "/codes"), key)) == (404, "person_not_found")


# Export and erasure -------------------------------------------------------------------------------


async def upload(harness: Harness, key: str, name: str, content: bytes) -> str:
    body = form(("purpose", "user_data"), ("file", (name, content)))
    headers = {"x-session-key": key, "content-type": "multipart/form-data; boundary=xyz"}
    kept = await harness.door.call("POST", "/v1/files", body=body, headers=headers)
    return str(kept.json["id"])


async def test_an_export_has_all_sessions_with_what_was_said_in_groups(open_harness: OpenHarness) -> None:
    harness = await populated(open_harness)
    await harness.app.store.link_people("wx:alice", "tg:42")
    await talk(harness, DM, *(f'number {number} of "many"\nlines' for number in range(120)))
    file_id = await upload(harness, "wx:group:g2:user:alice", "notes.txt", b"notes")
    reply = await harness.door.get(at("tg:42", "/export"))
    assert reply.headers["content-type"] == "application/json"
    exported = json.loads(reply.raw)
    assert (exported["id"], exported["names"]) == ("wx:alice", ["wx:alice", "tg:42"])
    by_key = {each["key"]: each for each in exported["sessions"]}
    assert list(by_key) == [DM, GROUP, TELEGRAM]
    assert len(by_key[DM]["messages"]) == 242
    assert by_key[DM]["messages"][-2]["content"] == 'number 119 of "many"\nlines'
    assert by_key[GROUP]["group"] == "wx:g1" and by_key[DM]["group"] is None
    assert by_key[GROUP]["messages"][0]["content"] == f"hello from {GROUP}"
    assert [(each["id"], each["session"]) for each in exported["files"]] == [
        (file_id, "wx:group:g2:user:alice")
    ]
    private = await give_key(harness, "private", "wx:dm:*")
    mine = json.loads((await harness.door.get(at("wx:alice", "/export"), private)).raw)
    assert [each["key"] for each in mine["sessions"]] == [DM]
    assert mine["names"] == ["wx:alice"] and mine["files"] == []


async def test_an_export_has_all_facts_also_of_somebody_whose_sessions_are_gone(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness()
    for number in range(120):
        await harness.app.store.remember(
            DM, NewFact(id=f"mem_{number:026d}", text=f"fact {number}", origin="conversation")
        )
    exported = json.loads((await harness.door.get(at("wx:alice", "/export"))).raw)
    assert (exported["sessions"], exported["files"]) == ([], [])
    assert [versions[0]["text"] for versions in exported["facts"]] == [f"fact {each}" for each in range(120)]
    shown = (await harness.door.get(at("wx:alice"))).json
    assert (shown["sessions"], shown["created_at"]) == (0, None)
    assert (await harness.door.call("DELETE", at("wx:alice"))).json["removed"]["facts"] == 120
    assert (await harness.door.get(at("wx:alice", "/export"))).status == 404


def searched(data: Path) -> dict[str, bytes]:
    """Return the contents of all files of the data directory but the audit log, which has names."""
    return {
        str(file.relative_to(data)): file.read_bytes()
        for file in data.rglob("*")
        if file.is_file() and not file.name.startswith("audit")
    }


async def test_the_server_goes_on_with_an_erasure_that_broke_off(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    harness = await populated(open_harness, clock=clock)

    async def full(*_: object) -> tuple[()]:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Deleting, "delete", full)
        assert (await harness.door.call("DELETE", at("wx:alice"))).status == 503
    assert (await harness.door.get(at("wx:alice"))).status == 200
    clock.advance(ERASURES_EVERY_S)
    async with asyncio.timeout(BOUND_S):
        while (await harness.door.get(at("wx:alice"))).status != 404:
            await asyncio.sleep(0)
    listed = (await harness.door.get("/v1/sessions")).json["data"]
    assert sorted(each["key"] for each in listed) == sorted((OTHER, TELEGRAM))


class Echo:
    """A model that says again what it was told last, and summarises what it is to summarise."""

    def __call__(self, request: ModelRequest) -> str:
        return f"You said: {request.messages[-1].text[:200]}. " + "So it is. " * 60


async def test_of_an_erased_person_not_a_byte_is_left(open_harness: OpenHarness) -> None:
    """In transcripts, branches, summaries, the search, responses, labels and uploads, over all their keys."""
    harness = await open_harness(ScriptedModel(Echo()), agent=WINDOW)
    door, store = harness.door, harness.app.store
    for key in (OTHER, "plain"):
        await talk(harness, key, *(f"parrot {number} of {key}" for number in range(20)))
    await talk(harness, DM, "Zebracanary is my secret", *fillers(9), "and zebracanary again")
    assert (await door.call("POST", f"/v1/sessions/{quote(DM)}/compact", body=b"{}")).status == 200
    await talk(harness, GROUP, "Zebracanary told to the group")
    await talk(harness, TELEGRAM, "Zebracanary on telegram")
    await door.call(
        "POST",
        f"/v1/sessions/{quote(DM)}",
        body=b'{"title": "zebracanary", "metadata": {"a": "zebracanary"}}',
    )
    rewound = json.dumps({"message_id": "msg_2"}).encode()
    await door.call("POST", f"/v1/sessions/{quote(TELEGRAM)}/rewind", body=rewound)
    await talk(harness, TELEGRAM, "another branch with zebracanary")
    asked = {"model": "nanobot", "input": "zebracanary", "conversation": DM, "metadata": {"a": "zebracanary"}}
    assert (await door.call("POST", "/v1/responses", body=json.dumps(asked).encode())).status == 200
    await upload(harness, "wx:group:g9:user:alice", "zebracanary.txt", b"a zebracanary in a file")
    await store.link_people("wx:alice", "tg:42")
    await store.search("zebracanary", limit=10)
    before = b"".join(searched(harness.data).values()).lower()
    assert before.count(b"zebracanary") > 20
    assert b"a zebracanary in a file" in before and b"wx:alice" in before

    reply = await door.call("DELETE", at("wx:alice"))
    receipt = reply.json
    assert (reply.status, receipt["complete"], receipt["left"]) == (200, True, {"sessions": 0})
    removed = receipt["removed"]
    assert (removed["sessions"], removed["files"], removed["links"]) == (3, 1, 2)
    assert removed["messages"] >= 2 * 12 + 2 + 4 and removed["bytes"] > 10_000
    await store.write_over()
    await harness.close()
    left = {name: content.lower() for name, content in searched(harness.data).items()}
    for word in (b"zebra", b"alice", b"wx:dm", TELEGRAM.encode(), b"tg:42"):
        assert [name for name, content in left.items() if word in content] == [], word
    again = await open_harness(data=harness.data)
    assert (await again.door.get(at("wx:alice"))).status == 404
    assert len((await again.door.get(f"/v1/sessions/{quote(OTHER)}/messages?limit=100")).json["data"]) == 40
    assert (await again.door.get("/v1/sessions?q=parrot")).json["data"]


async def test_a_key_erases_what_it_reaches_and_says_what_is_left(open_harness: OpenHarness) -> None:
    harness = await populated(open_harness)
    await harness.app.store.link_people("wx:alice", "tg:42")
    private = await give_key(harness, "private", "wx:dm:*")
    receipt = (await harness.door.call("DELETE", at("wx:alice"), headers=private)).json
    assert receipt == {
        "id": "wx:alice",
        "object": "person.deleted",
        "deleted": True,
        "complete": False,
        "removed": {
            "sessions": 1,
            "messages": 2,
            "turns": 1,
            "files": 0,
            "facts": 0,
            "links": 0,
            "bytes": receipt["removed"]["bytes"],
        },
        "left": {"sessions": 2},
    }
    assert (await harness.door.call("DELETE", at("wx:alice"), headers=private)).status == 404
    master = await give_key(harness, "master")
    rest = (await harness.door.get(at("wx:alice"), master)).json
    assert (rest["names"], rest["sessions"]) == (["wx:alice", "tg:42"], 2)


async def test_rules_of_the_settings_say_whose_a_session_is(open_harness: OpenHarness) -> None:
    scopes = [{"pattern": "{channel}:dm:{user}:{rest}"}, {"pattern": "app-{user}", "channel": "app"}]
    harness = await open_harness(scopes=scopes)
    for key in ("wx:dm:alice", "wx:dm:alice:thread:7", "app-bob"):
        await harness.door.chat(key, "hello")
    listed = (await harness.door.get("/v1/people")).json["data"]
    assert [(each["id"], each["sessions"]) for each in listed] == [("app:bob", 1), ("wx:alice", 2)]


async def test_a_link_that_a_command_makes_beside_the_server_holds(open_harness: OpenHarness) -> None:
    harness = await populated(open_harness)
    with SqliteOffline(harness.data).write_people() as people:
        people.link("wx:alice", "tg:42")
    assert (await harness.door.get(at("tg:42"))).json["names"] == ["wx:alice", "tg:42"]
