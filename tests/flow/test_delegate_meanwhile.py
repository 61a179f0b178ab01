"""Parts of a turn's work that are done while it goes on: their answers come back once, whatever happens."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nanobot.core.message import Message, ToolCall
from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.flow.mcp_tools import WIDE, ask, connected, table
from tests.flow.test_delegate import DELEGATED, Roles, handing, result_of, rows
from tests.harness import Harness, OpenHarness

TWO = [{"role": "user", "content": "How many birds?"}]
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def later(id_: str = "a1", **more: Any) -> Any:
    """Return a script entry that asks for the part which was begun last."""

    def say(request: ModelRequest) -> Say:
        texts = [result.content for message in request.messages for result in message.tool_results]
        name = next(text.split()[2].rstrip(".") for text in reversed(texts) if text.startswith("Begun as"))
        wait = "" if more.get("wait", True) else ', "wait": false'
        return call("delegate", f'{{"answer_of": "{name}"{wait}}}', id_)

    return say


def results(request: ModelRequest) -> list[str]:
    return [result.content for message in request.messages for result in message.tool_results]


async def stopped(harness: Harness) -> None:
    async with asyncio.timeout(BOUND_S):
        while harness.app.engine.running:
            await asyncio.sleep(0)


async def test_the_turn_goes_on_and_asks_for_the_answer_when_it_needs_it(open_harness: OpenHarness) -> None:
    may_end = asyncio.Event()

    def go_on(request: ModelRequest) -> Say:
        assert result_of(request).startswith("Begun as part_")
        return call("calculate", '{"expression": "6*7"}', "c1")

    def release(request: ModelRequest) -> Any:
        assert "is not done yet" in result_of(request)
        may_end.set()
        return later("a2")(request)

    own = [handing(wait=False), go_on, later(wait=False), release, "There are twelve."]
    roles = Roles(own, Say(("12",), before=may_end))
    harness = await open_harness(ScriptedModel(roles))
    assert (await harness.door.chat("k", "How many birds?")).said == "There are twelve."
    assert result_of(roles.asked[-1]) == "12"
    assert len(roles.parts) == 1
    assert len(rows(harness, DELEGATED)) == 1


async def test_an_answer_that_was_not_asked_for_is_waited_for_at_the_end(open_harness: OpenHarness) -> None:
    roles = Roles([handing(wait=False), "They are being counted.", "There are twelve."], "12")
    harness = await open_harness(ScriptedModel(roles))
    answer = await harness.door.chat("k", "How many birds?")
    assert answer.said == "They are being counted.\n\nThere are twelve."
    assert [result for result in results(roles.asked[-1]) if not result.startswith("Begun")] == ["12"]
    # It stands in the transcript, and is not brought a second time.
    roles.own += ["Yes, twelve."]
    assert (await harness.door.chat("k", "Sure?")).said == "Yes, twelve."
    assert results(roles.asked[-1]).count("12") == 1


async def test_of_a_part_that_failed_the_reason_comes_back_once(open_harness: OpenHarness) -> None:
    roles = Roles([handing(wait=False), "Counting.", "It failed."], lambda _: call("current_time", id="t1"))
    harness = await open_harness(ScriptedModel(roles), delegation={"max_steps": 1, "timeout_s": 30.0})
    roles.part = [call("current_time"), "Nothing."]
    assert (await harness.door.chat("k", "How many birds?")).said == "Counting.\n\nIt failed."
    assert [each for each in results(roles.asked[-1]) if "Nothing." in each] == ["Nothing."]


async def test_a_part_that_takes_too_long_is_stopped_and_not_waited_for_again(
    open_harness: OpenHarness,
) -> None:
    roles = Roles([handing(wait=False), later(), "It took too long."], Say((), before=asyncio.Event()))
    model = ScriptedModel(roles)
    harness = await open_harness(model, delegation={"timeout_s": 1.0})
    assert (await harness.door.chat("k", "How many birds?")).said == "It took too long."
    assert ["not done within 1 s" in each for each in results(roles.asked[-1])] == [False, True]
    await stopped(harness)


async def test_a_turn_that_hands_over_to_its_client_has_the_answers_first(open_harness: OpenHarness) -> None:
    roles = Roles([handing(wait=False), call("get_weather", "{}", "w1"), "Sunny, twelve."], "12")
    harness = await open_harness(ScriptedModel(roles))
    reply = await harness.door.chat("k", TWO, tools=[WEATHER])
    made = reply.json["choices"][0]["message"]["tool_calls"]
    assert [each["function"]["name"] for each in made] == ["get_weather"]
    await stopped(harness)
    result = {"role": "tool", "tool_call_id": made[0]["id"], "content": "sunny"}
    assert (await harness.door.chat("k", [result], tools=[WEATHER])).said == "Sunny, twelve."
    assert sorted(results(roles.asked[-1])[1:]) == ["12", "sunny"]


async def test_a_turn_that_asks_its_user_has_the_answers_first(open_harness: OpenHarness) -> None:
    roles = Roles([handing(wait=False), call("current_time", "{}", "t1"), "It is late."], "12")
    harness = await open_harness(ScriptedModel(roles), policy=[{"tools": {"current_time": "ask"}}])
    question = await harness.door.chat("k", "How many birds?")
    assert "May I make this call?" in question.said
    await stopped(harness)
    assert (await harness.door.chat("k", "yes")).said == "It is late."
    assert "12" in results(roles.asked[-1])


async def test_a_turn_whose_tool_asks_something_has_the_answers_first(open_harness: OpenHarness) -> None:
    may_end = asyncio.Event()

    def asks(request: ModelRequest) -> Say:
        may_end.set()
        return ask("ask_back")

    roles = Roles([handing(wait=False), asks, "Ulm, twelve."], Say(("12",), before=may_end))
    tables = table(trust_annotations=False)
    allowed = [{"tools": {"@mcp__fake": "allow"}}]
    harness = await open_harness(ScriptedModel(roles), agent=WIDE, mcp=tables, policy=allowed)
    await connected(harness)
    assert "asks you something" in (await harness.door.chat("k", "How many birds?")).said
    await stopped(harness)
    assert (await harness.door.chat("k", "Ulm")).said == "Ulm, twelve."
    brought = results(roles.asked[-1])
    assert [each for each in brought if each == "12"] == ["12"]
    assert '"city": "Ulm"' in brought[-1]


async def test_a_part_is_stopped_with_its_turn(open_harness: OpenHarness) -> None:
    both, never = asyncio.Event(), asyncio.Event()

    def part(request: ModelRequest) -> Any:
        both.set()
        return Say(("never",), before=never)

    roles = Roles([handing(wait=False), Say(("never",), before=never)], lambda request: part(request))
    model = ScriptedModel(roles)
    harness = await open_harness(model)
    asking = harness.door.chatting("k", "How many birds?", stream=True, headers={"x-events": "tools"})
    await asyncio.wait_for(both.wait(), BOUND_S)
    await harness.door.call("POST", f"/v1/turns/{asking.headers['x-turn-id']}/cancel")
    await asking.done()
    await stopped(harness)
    assert model.closed_streams == 3


@pytest.mark.parametrize("ends", ["collects", "is cancelled"])
async def test_after_a_restart_the_answer_comes_back_once_or_the_part_is_stopped(
    open_harness: OpenHarness, tmp_path: Path, ends: str
) -> None:
    reached, never = asyncio.Event(), asyncio.Event()
    again_reached = asyncio.Event()
    runs = 0

    def part(request: ModelRequest) -> Any:
        nonlocal runs
        runs += 1
        if runs == 1 or ends == "is cancelled":
            if runs > 1:
                again_reached.set()
            return Say(("never",), before=never)
        return "12"

    def own(request: ModelRequest) -> Any:
        reached.set()
        return Say(("never",), before=never)

    after = [Say(("never",), before=never)] if ends == "is cancelled" else ["Counting.", "There are twelve."]
    roles = Roles([handing(wait=False), own, *after], lambda request: part(request))
    model = ScriptedModel(roles)
    harness = await open_harness(model, data=tmp_path / "data")
    asking = harness.door.chatting("k", "How many birds?", headers={"idempotency-key": "one"})
    await asyncio.wait_for(reached.wait(), BOUND_S)
    async with asyncio.timeout(BOUND_S):
        while not runs:
            await asyncio.sleep(0)
    await harness.close()
    await asking.done()
    harness = await open_harness(model, data=tmp_path / "data")
    if ends == "is cancelled":
        await asyncio.wait_for(again_reached.wait(), BOUND_S)
        async with asyncio.timeout(BOUND_S):
            while len(roles.asked) < 3:
                await asyncio.sleep(0)
        again = harness.door.chatting("k", "How many birds?", headers={"idempotency-key": "one"}, stream=True)
        turn_id = rows(harness, "SELECT id FROM turn ORDER BY n LIMIT 1")[0][0]
        await harness.door.call("POST", f"/v1/turns/{turn_id}/cancel")
        await again.done()
        await stopped(harness)
        return
    answer = await harness.door.chat("k", "How many birds?", headers={"idempotency-key": "one"})
    assert answer.said == "Counting.\n\nThere are twelve."
    assert [each for each in results(roles.asked[-1]) if not each.startswith("Begun")] == ["12"]
    assert len(rows(harness, DELEGATED)) == 1


async def test_what_names_no_part_of_the_turn_is_refused(open_harness: OpenHarness) -> None:
    names = ("x", "part_0123456789abcdef", "part_" + "0" * 17)
    asks = [call("delegate", f'{{"answer_of": "{name}"}}', f"a{number}") for number, name in enumerate(names)]
    roles = Roles([*asks, "ok"], "12")
    harness = await open_harness(ScriptedModel(roles))
    assert (await harness.door.chat("k", "How many birds?")).said == "ok"
    assert ["begun no such part" in each for each in results(roles.asked[-1])] == [True] * 3


async def test_a_part_of_an_earlier_turn_is_none_of_this_one(open_harness: OpenHarness) -> None:
    roles = Roles([handing(wait=False), "Counting.", "Twelve.", later(), "ok"], "12")
    harness = await open_harness(ScriptedModel(roles))
    await harness.door.chat("k", "How many birds?")
    assert (await harness.door.chat("k", "And now?")).said == "ok"
    assert "begun no such part" in result_of(roles.asked[-1])


async def test_answers_come_in_also_where_the_model_makes_more_calls_than_are_run(
    open_harness: OpenHarness,
) -> None:
    made_calls = [ToolCall(f"c{number}", "calculate", '{"expression": "6*7"}') for number in range(3)]
    step = (*made_calls, ToolCall("w1", "get_weather", "{}", for_client=True))
    many = Say((), Message("assistant", step, "tool_calls"))
    roles = Roles([handing(wait=False), many, "Sunny, twelve."], "12")
    harness = await open_harness(ScriptedModel(roles), agent={"max_calls_per_step": 2})
    reply = await harness.door.chat("k", TWO, tools=[WEATHER])
    (made,) = reply.json["choices"][0]["message"]["tool_calls"]
    await stopped(harness)
    result = {"role": "tool", "tool_call_id": made["id"], "content": "sunny"}
    assert (await harness.door.chat("k", [result], tools=[WEATHER])).said == "Sunny, twelve."
    brought = results(roles.asked[-1])[1:]
    assert "12" in brought
    assert sum("too many calls" in each for each in brought) == 1
