"""`nanobot approvals` on a data directory, also beside a server."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import pytest

from nanobot.api.wire.approvals import ApprovalObject
from nanobot.core.clock import SystemClock
from nanobot.core.dispatch import Command
from nanobot.core.event import MessageAdded
from nanobot.core.message import AskedCall, Message, Text, user
from nanobot.core.tool_question import ToolQuestion
from nanobot.stores.audit_log import FILE
from nanobot.stores.sqlite.store import open_store
from tests.unit.cli.commandline import Nanobot
from tests.unit.cli.stored import tell
from tests.unit.cli.test_keys import holding
from tests.unit.cli.test_sessions import server_on

KEY = "wx:dm:ann"


async def _fill(directory: Path, question: ToolQuestion | None = None) -> None:
    clock = SystemClock()
    store = await open_store(directory, clock)
    orders = cast("AsyncGenerator[Command, None]", store.orders(8))
    first = asyncio.ensure_future(anext(orders))
    await asyncio.sleep(0)
    asks = tuple(
        AskedCall(
            f"appr_{to}",
            f"call_{to}",
            "send",
            f'{{"to": "{to}\\u001b[2J\u202e\u3164"}}',
            clock.now() + 600,
            question=question,
        )
        for to in ("ann", "bob")
    )
    await tell(store, KEY, 1, user("send it"), MessageAdded(Message("assistant", (Text("?"),), asks=asks)))
    await first
    await orders.aclose()
    await store.close()


@pytest.fixture
def data(tmp_path: Path) -> str:
    asyncio.run(_fill(tmp_path / "data"))
    return str(tmp_path / "data")


def states(nanobot: Nanobot, data: str) -> dict[str, str]:
    listed = json.loads(nanobot("approvals", "list", "--state", "all", "--json", "--data", data).out)
    return {each["id"]: each["state"] for each in listed}


def test_what_waits_is_listed_with_its_arguments_and_nothing_that_moves_the_cursor(
    nanobot: Nanobot, data: str
) -> None:
    with server_on(data):
        listed = nanobot("approvals", "list", "--data", data).out
    assert "appr_ann  pending" in listed and "appr_bob  pending" in listed
    assert KEY in listed and "send" in listed and '"to"' in listed
    assert not {"\x1b", "\u202e", "\u3164"} & set(listed)
    assert '"ann\\u001b[2J\\u202e\\u3164"' in listed
    assert "no call waits" in nanobot("approvals", "list", "--session", "other", "--data", data).out


def test_what_a_tool_needs_to_go_on_is_not_listed(nanobot: Nanobot, tmp_path: Path) -> None:
    asyncio.run(_fill(tmp_path / "data", ToolQuestion("it", "Sure?", state="the canary of the state")))
    listed = nanobot("approvals", "list", "--json", "--data", str(tmp_path / "data")).out
    assert "Sure?" in listed and "canary" not in listed
    assert "canary" not in nanobot("approvals", "list", "--data", str(tmp_path / "data")).out


def test_calls_are_approved_and_denied_also_beside_a_server(nanobot: Nanobot, data: str) -> None:
    with holding(data):
        assert "with the next message" in nanobot("approvals", "approve", "appr_ann", "--data", data).out
        assert nanobot("approvals", "deny", "appr_bob", "--data", data).status == 0
    assert states(nanobot, data) == {"appr_ann": "approved", "appr_bob": "denied"}
    again = nanobot("approvals", "approve", "appr_bob", "--data", data)
    assert again.status == 2 and "cannot be decided any more" in again.err
    lines = [json.loads(line) for line in (Path(data) / FILE).read_text().splitlines()]
    assert [(line["operation"], line["target"], line["session_key"]) for line in lines] == [
        ("nanobot approvals approve", "appr_ann", KEY),
        ("nanobot approvals deny", "appr_bob", KEY),
    ]


def test_what_is_approved_for_longer_is_a_rule_that_can_be_revoked(nanobot: Nanobot, data: str) -> None:
    assert "no tool was allowed" in nanobot("approvals", "rules", "--data", data).out
    nanobot("approvals", "approve", "appr_ann", "--session", "--data", data)
    nanobot("approvals", "approve", "appr_bob", "--pattern", "wx:dm:*", "--data", data)
    session, pattern = json.loads(nanobot("approvals", "rules", "--json", "--data", data).out)
    assert (session["session_key"], session["pattern"]) == (KEY, None)
    assert (pattern["session_key"], pattern["pattern"]) == (None, "wx:dm:*")
    assert "send in all of wx:dm:*" in nanobot("approvals", "rules", "--data", data).out
    assert nanobot("approvals", "revoke", pattern["id"], "--data", data).status == 0
    assert nanobot("approvals", "revoke", pattern["id"], "--data", data).status == 2


def test_what_was_decided_is_said_in_the_words_of_the_api(nanobot: Nanobot, data: str) -> None:
    nanobot("approvals", "approve", "appr_ann", "--session", "--data", data)
    nanobot("approvals", "approve", "appr_bob", "--pattern", "wx:dm:*", "--data", data)
    listed = json.loads(nanobot("approvals", "list", "--state", "all", "--json", "--data", data).out)
    assert {each["id"]: each["decision"] for each in listed} == {"appr_ann": "session", "appr_bob": "rule"}
    assert {field for each in listed for field in each} == set(ApprovalObject.__struct_fields__)
    text = nanobot("approvals", "list", "--state", "all", "--data", data).out
    assert "appr_ann  approved (session) by" in text and "appr_bob  approved (rule) by" in text
    rules = json.loads(nanobot("approvals", "rules", "--json", "--data", data).out)
    assert {each["object"] for each in rules} == {"approval_rule"}


def test_a_pattern_must_match_the_conversation_and_nothing_is_decided_otherwise(
    nanobot: Nanobot, data: str
) -> None:
    refused = nanobot("approvals", "approve", "appr_ann", "--pattern", "wx:group:*", "--data", data)
    assert refused.status == 2 and KEY in refused.err
    assert nanobot("approvals", "approve", "appr_ann", "--pattern", " ", "--data", data).status == 2
    both = nanobot("approvals", "approve", "appr_ann", "--pattern", "*", "--session", "--data", data)
    assert both.status == 2
    assert states(nanobot, data)["appr_ann"] == "pending"


def test_an_approval_that_is_not_there_is_said_so(nanobot: Nanobot, data: str) -> None:
    missing = nanobot("approvals", "approve", "appr_eve", "--data", data)
    assert missing.status == 2 and "no approval 'appr_eve'" in missing.err
