"""Parts of a turn's work are done in sessions of their own: once, with what they are given, as its own."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.core.accounts import TurnCost
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.harness import Harness, OpenHarness

SECRET = "canary-77aa"
TASK = "Count the birds in the list, and say only the number."


class NoArguments(msgspec.Struct, frozen=True):
    """None."""


def is_part(request: ModelRequest) -> bool:
    return "You do a part of a larger task" in request.system


def handing(task: str = TASK, **more: Any) -> Say:
    return call("delegate", msgspec.json.encode({"task": task, **more}).decode(), "d1")


def result_of(request: ModelRequest) -> str:
    return request.messages[-1].tool_results[-1].content


class Roles:
    """A script that plays the delegating turn by `own`, and the delegated one by `part`."""

    def __init__(self, own: list[Any], part: Any) -> None:
        self.own = own
        self.part = part
        self.asked: list[ModelRequest] = []
        self.parts: list[ModelRequest] = []

    def __call__(self, request: ModelRequest) -> Any:
        if is_part(request):
            self.parts.append(request)
            part = self.part.pop(0) if isinstance(self.part, list) else self.part
            return part(request) if callable(part) else part
        self.asked.append(request)
        said = self.own.pop(0)
        return said(request) if callable(said) else said


async def test_the_answer_comes_back_as_the_result(open_harness: OpenHarness) -> None:
    roles = Roles([handing(), "There are twelve."], "12")
    harness = await open_harness(ScriptedModel(roles))
    assert (await harness.door.chat("k", "How many birds?")).said == "There are twelve."
    assert result_of(roles.asked[-1]) == "12"
    assert len(roles.parts) == 1


async def test_the_other_sees_nothing_but_what_it_is_given(open_harness: OpenHarness) -> None:
    write = call("write_file", '{"path": "birds.txt", "content": "wren\\nrook\\n"}', "w1")
    other = call("write_file", f'{{"path": "other.txt", "content": "{SECRET}"}}', "w2")
    remember = call("remember", f'{{"fact": "The code is {SECRET}."}}', "m1")
    roles = Roles([write, other, remember, "ok", handing(files=["birds.txt"]), "Two."], "2")
    harness = await open_harness(ScriptedModel(roles))
    await harness.door.chat("wx:dm:ann", f"Write this down: {SECRET}")
    await harness.door.chat("wx:dm:ann", "How many birds?")
    (request,) = roles.parts
    assert SECRET not in repr(request)
    assert [message.role for message in request.messages] == ["user"]
    assert TASK in request.messages[0].text
    assert "wren\nrook" in repr(request.messages[0].parts).replace("\\n", "\n")
    offered = {tool.name for tool in request.tools}
    assert "calculate" in offered
    assert not offered & {"remember", "recall", "grep", "write_file", "search_history", "delegate"}


async def test_it_cannot_read_the_files_of_the_session_that_delegated(open_harness: OpenHarness) -> None:
    write = call("write_file", f'{{"path": "other.txt", "content": "{SECRET}"}}', "w2")
    parts: list[Any] = [call("read_file", '{"file": "other.txt"}'), lambda request: result_of(request)]
    roles = Roles([write, handing(), "ok"], parts)
    harness = await open_harness(ScriptedModel(roles))
    await harness.door.chat("k", "How many birds?")
    assert SECRET not in repr(roles.parts) and "other.txt" in result_of(roles.parts[-1])


async def test_it_may_use_only_the_tools_that_it_is_given_and_no_denied_one(
    open_harness: OpenHarness,
) -> None:
    roles = Roles([handing(tools=["calculate", "current_time", "write_file"]), "ok"], "12")
    policy = [{"pattern": "wx:*", "tools": {"current_time": "deny"}}]
    harness = await open_harness(ScriptedModel(roles), policy=policy)
    await harness.door.chat("wx:dm:ann", "How many birds?")
    assert [tool.name for tool in roles.parts[0].tools] == ["calculate"]


async def test_what_may_be_called_so_often_in_a_turn_may_be_no_more_often_with_its_parts(
    open_harness: OpenHarness,
) -> None:
    ran: list[str] = []

    async def run(arguments: NoArguments, context: ToolContext) -> str:
        ran.append(context.session_key)
        return "looked"

    parts: list[Any] = [call("look"), call("look", id="l2"), lambda request: result_of(request)]
    roles = Roles([call("look", id="l0"), handing(), "ok"], parts)
    harness = await open_harness(
        ScriptedModel(roles),
        tools=[Tool("look", "Look.", NoArguments, run)],
        policy=[{"tools": {"*": "allow"}, "calls_per_turn": 2}],
    )
    await harness.door.chat("k", "How many birds?")
    assert len(ran) == 2
    assert "may be called 2 times in one turn, and has been" in result_of(roles.asked[2])


async def test_what_needs_consent_is_left_to_the_turn_that_can_ask_for_it(open_harness: OpenHarness) -> None:
    ran: list[str] = []

    async def run(arguments: NoArguments, context: ToolContext) -> str:
        ran.append(context.session_key)
        return "sold"

    sell = Tool("sell", "Sell it.", NoArguments, run, by_default="ask")
    parts: list[Any] = [call("sell"), lambda request: f"I could not: {result_of(request)}"]
    roles = Roles([handing(), call("sell", id="s1"), "Sold."], parts)
    harness = await open_harness(ScriptedModel(roles), tools=[sell])
    question = await harness.door.chat("k", "Sell the birds.")
    assert "needs the user's approval" in result_of(roles.asked[1])
    assert "May I make this call?" in question.said and not ran
    assert (await harness.door.chat("k", "yes")).said == "Sold."
    assert ran == ["k"]


async def test_it_is_on_the_account_of_the_session_that_delegated(open_harness: OpenHarness) -> None:
    roles = Roles([handing(), "ok"], "12")
    harness = await open_harness(ScriptedModel(roles))
    await harness.door.chat("k", "How many birds?")
    used = (await harness.door.get("/v1/sessions/k/usage")).json["totals"]
    assert used["turns"] == 2 and used["steps"] == 3
    listed = (await harness.door.get("/v1/sessions")).json["data"]
    assert [each["key"] if "key" in each else each["id"] for each in listed] == ["k"]


def rows(harness: Harness, query: str) -> list[Any]:
    """Return what is in the database, whoever may see it."""
    with contextlib.closing(sqlite3.connect(harness.data / "nanobot.sqlite3")) as db:
        return db.execute(query).fetchall()


DELEGATED = "SELECT id FROM session WHERE parent IS NOT NULL"
MESSAGES = f"SELECT id FROM message WHERE session IN ({DELEGATED})"


async def test_it_goes_with_the_session_that_delegated(open_harness: OpenHarness) -> None:
    roles = Roles([handing(), "ok"], "12")
    harness = await open_harness(ScriptedModel(roles))
    await harness.door.chat("k", "How many birds?")
    assert len(rows(harness, DELEGATED)) == 1 and len(rows(harness, MESSAGES)) == 2
    assert (await harness.door.call("DELETE", "/v1/sessions/k")).status == 200
    assert not rows(harness, DELEGATED) and len(rows(harness, "SELECT id FROM message")) == 0


async def test_no_request_can_name_its_session(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(Roles([handing(), "ok"], "12")))
    await harness.door.chat("k", "How many birds?")

    ((name,),) = rows(harness, "SELECT key FROM session WHERE parent IS NOT NULL")
    assert (await harness.door.chat(name, "Hello.")).status == 400
    assert (await harness.door.get(f"/v1/sessions/{name}")).status in (400, 404)


async def test_the_number_and_the_depth_are_bounded(open_harness: OpenHarness) -> None:
    deeper = [handing("Go deeper."), lambda request: result_of(request)]
    own = [*(call("delegate", f'{{"task": "part {number}"}}', f"d{number}") for number in range(3)), "ok"]
    roles = Roles(own, ["one", *deeper])
    harness = await open_harness(ScriptedModel(roles), delegation={"max_parts": 2})
    await harness.door.chat("k", "How many birds?")
    assert "there is no tool 'delegate'" in result_of(roles.asked[2])
    assert "has delegated 2 parts of its work, 2 may be" in result_of(roles.asked[3])


async def test_one_that_has_used_up_its_budget_says_what_it_has_reached(open_harness: OpenHarness) -> None:
    def part(request: ModelRequest) -> Any:
        return call("current_time", id=f"c{len(request.messages)}") if request.tools else "Half."

    roles = Roles([handing(), "ok"], lambda request: part(request))
    harness = await open_harness(ScriptedModel(roles), delegation={"max_steps": 3})
    await harness.door.chat("k", "How many birds?")
    assert result_of(roles.asked[-1]) == "Half."
    assert len(roles.parts) == 4


async def test_several_run_side_by_side(open_harness: OpenHarness) -> None:
    both, started = asyncio.Event(), 0

    def part(request: ModelRequest) -> Any:
        nonlocal started
        started += 1
        if started == 2:
            both.set()
        return Say(("12",), before=both)

    first, second = handing("one").message, handing("two").message
    assert first is not None and second is not None
    calls = (first.parts[0], msgspec.structs.replace(second.parts[0], id="d2"))
    step = Say((), msgspec.structs.replace(first, parts=calls))
    roles = Roles([step, "ok"], lambda request: part(request))
    harness = await open_harness(ScriptedModel(roles))
    assert (await harness.door.chat("k", "How many birds?")).said == "ok"


async def test_turns_that_wait_for_others_do_not_keep_them_from_running(open_harness: OpenHarness) -> None:
    roles = Roles([handing(), "ok"], "12")
    harness = await open_harness(ScriptedModel(roles), engine={"max_running_turns": 1})
    assert (await harness.door.chat("k", "How many birds?")).said == "ok"


@pytest.mark.parametrize("most", [1, 1_000])
async def test_after_a_restart_the_answer_comes_back_once(
    open_harness: OpenHarness, tmp_path: Path, most: int
) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    def part(request: ModelRequest) -> Any:
        if not reached.is_set():
            reached.set()
            return Say(("never",), before=never)
        return "12"

    roles = Roles([handing(), "There are twelve."], lambda request: part(request))
    model = ScriptedModel(roles)
    engine = {"max_running_turns": most}
    harness = await open_harness(model, data=tmp_path / "data", engine=engine)
    asking = harness.door.chatting("k", "How many birds?", headers={"idempotency-key": "one"})
    await asyncio.wait_for(reached.wait(), BOUND_S)
    await harness.close()
    await asking.done()
    again = await open_harness(model, data=tmp_path / "data", engine=engine)
    answer = await again.door.chat("k", "How many birds?", headers={"idempotency-key": "one"})
    assert answer.said == "There are twelve."
    assert len(roles.parts) == 2 and len(roles.asked) == 2
    assert [len(message.tool_results) for message in roles.asked[-1].messages if message.role == "tool"] == [
        1
    ]
    assert len(rows(again, DELEGATED)) == 1 and len(rows(again, MESSAGES)) == 2


async def test_a_restart_gives_a_turn_no_more_parts_than_it_may_have(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    def stop(request: ModelRequest) -> Any:
        reached.set()
        return Say(("never",), before=never)

    own = [call("delegate", f'{{"task": "part {number}"}}', f"d{number}") for number in range(4)]
    refused = call("delegate", '{"task": " "}', "d9")
    roles = Roles([own[0], refused, own[1], stop, own[2], own[3], "ok"], "12")
    model, bounds = ScriptedModel(roles), {"max_parts": 3}
    harness = await open_harness(model, data=tmp_path / "data", delegation=bounds)
    asking = harness.door.chatting("k", "How many birds?", headers={"idempotency-key": "one"})
    await asyncio.wait_for(reached.wait(), BOUND_S)
    await harness.close()
    await asking.done()
    again = await open_harness(model, data=tmp_path / "data", delegation=bounds)
    answer = await again.door.chat("k", "How many birds?", headers={"idempotency-key": "one"})
    assert answer.said == "ok"
    assert result_of(roles.asked[-2]) == "12"
    assert "has delegated 3 parts of its work, 3 may be" in result_of(roles.asked[-1])
    assert len(roles.parts) == 3


async def test_it_is_stopped_with_the_turn_that_waits_for_it(open_harness: OpenHarness) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    def part(request: ModelRequest) -> Any:
        reached.set()
        return Say(("never",), before=never)

    model = ScriptedModel(Roles([handing()], lambda request: part(request)))
    harness = await open_harness(model)
    asking = harness.door.chatting("k", "How many birds?", stream=True, headers={"x-events": "tools"})
    await asyncio.wait_for(reached.wait(), BOUND_S)
    turn_id = asking.headers["x-turn-id"]
    await harness.door.call("POST", f"/v1/turns/{turn_id}/cancel")
    await asking.done()
    async with asyncio.timeout(BOUND_S):
        while harness.app.engine.running:
            await asyncio.sleep(0)
    assert model.closed_streams == 2


async def test_it_can_be_switched_off(open_harness: OpenHarness) -> None:
    for most in (0, 1):
        model = ScriptedModel("ok")
        harness = await open_harness(model, delegation={"max_parts": most}, agent={"tools_tokens": 10_000})
        await harness.door.chat("k", "Hello.")
        assert ("delegate" in [tool.name for tool in model.requests[0].tools]) == bool(most)


async def test_nothing_is_delegated_once_the_quota_of_the_day_is_used_up(open_harness: OpenHarness) -> None:
    """The turn itself was admitted before, and may end."""
    roles = Roles([handing(), "Not today.", "Hi."], "12")
    harness = await open_harness(
        ScriptedModel(roles), quotas=[{"pattern": "k", "tokens_per_day": 100}], agent={"tools_tokens": 10_000}
    )

    def spend(request: ModelRequest) -> Say:
        harness.app.accounts.quotas.count(TurnCost(None, "k", "m", 100, None))
        return handing()

    roles.own[0] = spend
    assert (await harness.door.chat("k", "How many birds?")).said == "Not today."
    assert "it was not begun" in result_of(roles.asked[-1]) and "100 tokens a day" in result_of(
        roles.asked[-1]
    )
    assert not roles.parts
    assert (await harness.door.chat("other", "hi")).status == 200


async def test_with_all_the_tools_of_a_server_it_is_looked_for(open_harness: OpenHarness) -> None:
    roles = Roles([call("find_tools", '{"query": "another agent"}'), handing(), "ok"], "12")
    harness = await open_harness(ScriptedModel(roles))
    await harness.door.chat("k", "How many birds?")
    assert "There are: agents" in next(
        tool.description for tool in roles.asked[0].tools if tool.name == "find_tools"
    )
    assert roles.asked[1].tools[-1].name == "delegate"


async def test_calls_of_delegated_parts_take_turns_with_those_of_the_session(
    open_harness: OpenHarness,
) -> None:
    """Otherwise one session would have as many places as it delegates parts."""
    seen: list[ToolContext] = []

    async def look(_: NoArguments, context: ToolContext) -> str:
        seen.append(context)
        return "seen"

    tool = Tool("look", "Look.", NoArguments, look, repeatable=True)
    roles = Roles([call("look", "{}"), handing(), "ok"], [call("look", "{}"), "12"])
    harness = await open_harness(ScriptedModel(roles), tools=[tool])
    await harness.door.chat("k", "How many birds?")
    assert [context.account_key for context in seen] == ["k", "k"]
    assert seen[0].session_key == "k" != seen[1].session_key
