"""A link lets a person decide on one call, once, without a key; the page asks, its button decides."""

from typing import Any

import pytest

from nanobot.stores.sqlite.offline import SqliteOffline
from nanobot.testing import FakeClock, ScriptedModel
from tests.access import give_key
from tests.asgi import Exchange
from tests.flow.test_approvals import ASK, POLICY, Post, asked, key_table, send, user
from tests.harness import Harness, OpenHarness

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def link_of(harness: Harness, headers: dict[str, str] | None = None) -> str:
    """Return the path of the newest approval's link."""
    approval = (await harness.door.get("/v1/approvals", headers or {})).json["data"][0]
    host = "http://localhost:8900"
    assert approval["link"].startswith(f"{host}/approve/"), approval["link"]
    return str(approval["link"].removeprefix(host))


async def press(harness: Harness, path: str, decision: str) -> Exchange:
    return await harness.door.call("POST", path, body=f"decision={decision}".encode(), headers=FORM)


async def test_the_page_only_asks_and_its_button_lets_the_call_run(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "Done.")
    await harness.door.chat("k", [ASK])
    path = await link_of(harness)
    for _ in range(2):
        page = await harness.door.call("GET", path)
        assert page.status == 200 and "&quot;to&quot;: &quot;ann&quot;" in page.text
    assert (await harness.door.get("/v1/approvals")).json["data"][0]["state"] == "pending"
    assert (await press(harness, path, "once")).status == 200
    approval = (await harness.door.get("/v1/approvals")).json["data"][0]
    assert (approval["state"], approval["link"]) == ("approved", None)
    assert approval["decided_by"].startswith("link from ")
    assert not post.sent, "the next message runs it"
    assert (await harness.door.chat("k", [user("and?")])).said == "Done."
    assert post.sent == {"ann": 1}
    assert not any(path.rpartition("/")[2] in str(request) for request in model.requests)


async def test_a_link_decides_once(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Done.")
    await harness.door.chat("k", [ASK])
    path = await link_of(harness)
    assert (await press(harness, path, "deny")).status == 200
    again = await press(harness, path, "once")
    assert again.status == 409 and "It was refused" in again.text
    assert "It was refused" in (await harness.door.call("GET", path)).text
    await harness.door.chat("k", [user("and?")])
    assert not post.sent


async def test_a_link_ends_with_its_approval(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness, post, _ = await asked(open_harness, "Done.", clock=clock, approvals={"timeout_s": 60.0})
    await harness.door.chat("k", [ASK])
    path = await link_of(harness)
    clock.advance(61)
    assert "Nobody agreed to it in time" in (await harness.door.call("GET", path)).text
    assert (await press(harness, path, "once")).status == 409
    await harness.door.chat("k", [user("and?")])
    assert not post.sent


async def test_a_link_goes_with_its_session_and_no_other_opens_anything(open_harness: OpenHarness) -> None:
    harness, _, _ = await asked(open_harness, send("bob"))
    await harness.door.chat("ann", [ASK])
    await harness.door.chat("bob", [ASK])
    bob, ann = (await harness.door.get("/v1/approvals")).json["data"]
    path = await link_of(harness)
    signature = path.rpartition(".")[2]
    for token in (
        f"{ann['id']}.{signature}",
        ann["id"],
        f"{bob['id']}.",
        f"{bob['id']}.{signature[:-1]}",
        f"{bob['id']}.{signature.upper()}",
        f"{bob['id']}.%C3%A9",
        ".",
        "a" * 3_000,
    ):
        for answer in (
            await harness.door.call("GET", f"/approve/{token}"),
            await press(harness, f"/approve/{token}", "once"),
        ):
            assert answer.status == 404, token
    await harness.door.call("DELETE", "/v1/sessions/bob")
    assert (await harness.door.call("GET", path)).status == 404
    assert (await press(harness, path, "once")).status == 404


@pytest.mark.parametrize(
    "body", [b"", b"decision=session", b"decision=once&decision=deny", b"\xff", b"x" * 900]
)
async def test_what_the_page_does_not_send_decides_nothing(open_harness: OpenHarness, body: bytes) -> None:
    harness, _, _ = await asked(open_harness)
    await harness.door.chat("k", [ASK])
    answer = await harness.door.call("POST", await link_of(harness), body=body, headers=FORM)
    assert answer.status == 400
    assert (await harness.door.get("/v1/approvals")).json["data"][0]["state"] == "pending"


async def test_only_who_may_decide_is_shown_the_link_and_it_needs_no_key(open_harness: OpenHarness) -> None:
    keys = [
        key_table("all", "nb-all"),
        key_table("reader", "nb-reader", scopes=["sessions:read"]),
        key_table("other", "nb-other", sessions=["other:*"]),
    ]
    harness, _, _ = await asked(open_harness, keys=keys)
    everything, reader = {"authorization": "Bearer nb-all"}, {"authorization": "Bearer nb-reader"}
    await harness.door.chat("k", [ASK], everything)
    (approval,) = (await harness.door.get("/v1/approvals", reader)).json["data"]
    assert approval["link"] is None
    assert (await harness.door.get("/v1/approvals", {"authorization": "Bearer nb-other"})).json["data"] == []
    path = await link_of(harness, everything)
    assert (await harness.door.call("GET", path)).status == 200
    assert (await press(harness, path, "once")).status == 200


async def test_nothing_in_a_call_becomes_part_of_the_page(open_harness: OpenHarness) -> None:
    model = ScriptedModel(send("</pre><script>alert(1)</script>\u202e\u200b"))
    harness = await open_harness(model, tools=[Post().tool], policy=POLICY)
    await harness.door.chat("<b>k</b>", [ASK])
    page = await harness.door.call("GET", await link_of(harness))
    assert "<script" not in page.text and "<b>k" not in page.text
    assert "\u202e" not in page.text and "\\u202e" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


async def test_a_link_ends_with_the_key_that_was_shown_it(open_harness: OpenHarness) -> None:
    """Revoked or expired; the link of another key goes on."""
    clock = FakeClock()
    harness, _, _ = await asked(open_harness, clock=clock)
    keys = {
        "all": await give_key(harness, "all"),
        "short": await give_key(harness, "short", expires_at=clock.now() + 60),
        "revoked": await give_key(harness, "revoked"),
    }
    await harness.door.chat("k", [ASK], keys["all"])
    paths = {name: await link_of(harness, bearer) for name, bearer in keys.items()}
    assert len(set(paths.values())) == 3
    for path in paths.values():
        assert (await harness.door.call("GET", path)).status == 200
    clock.advance(61)
    with SqliteOffline(harness.data).write_api_keys() as stored:
        stored.revoke("revoked", clock.now())
    await harness.app.accounts.keys.refresh(harness.app.store)
    for name in ("short", "revoked"):
        assert (await harness.door.call("GET", paths[name])).status == 404
        assert (await press(harness, paths[name], "once")).status == 404
    assert (await press(harness, paths["all"], "deny")).status == 200


async def test_a_link_ends_where_its_key_may_not_decide_any_more(open_harness: OpenHarness) -> None:
    harness, _, model = await asked(open_harness)
    await harness.door.chat("k", [ASK])
    changed: tuple[dict[str, Any], ...] = ({}, {"sessions": ["other:*"]}, {"scopes": ["sessions:read"]})
    paths = []
    for number, more in enumerate(changed):
        await harness.close()
        harness = await open_harness(
            model,
            data=harness.data,
            policy=POLICY,
            tools=[Post().tool],
            keys=[key_table("a", "nb-a", **more)],
        )
        if not number:
            paths.append(await link_of(harness, {"authorization": "Bearer nb-a"}))
        assert (await harness.door.call("GET", paths[0])).status == (404 if more else 200)


async def test_a_link_of_a_server_without_keys_ends_with_the_first_key(open_harness: OpenHarness) -> None:
    harness, _, _ = await asked(open_harness)
    await harness.door.chat("k", [ASK])
    path = await link_of(harness)
    assert (await harness.door.call("GET", path)).status == 200
    await give_key(harness, "first")
    assert (await harness.door.call("GET", path)).status == 404
