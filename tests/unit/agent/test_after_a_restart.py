"""A turn that a restart cut off goes on from its stored messages."""

from nanobot.agent.tool_calls import OUTCOME_UNKNOWN
from nanobot.core.message import Message, Text, ToolCall, ToolResult, Usage, user
from nanobot.testing import ScriptedModel, call
from tests.unit.agent.turn_at_work import Work, ends


def step(*calls: ToolCall) -> Message:
    return Message("assistant", calls, "tool_calls", Usage(10, 5))


async def test_a_lost_call_that_must_not_be_repeated_is_told_as_unknown(work: Work) -> None:
    work.produced = (step(ToolCall("c1", "push", '{"at": "button"}')),)
    model = ScriptedModel("I am not sure.")
    sink = await work(model)
    assert work.tools.ran == []
    assert sink.results == [ToolResult("c1", OUTCOME_UNKNOWN, is_error=True)]
    assert model.requests[0].messages[-1].tool_results[0].content == OUTCOME_UNKNOWN


async def test_a_lost_call_that_may_be_repeated_is_run_again(work: Work) -> None:
    work.produced = (step(ToolCall("c1", "look", '{"at": "shelf"}')),)
    sink = await work(ScriptedModel("There."))
    assert work.tools.ran == ["shelf"]
    assert sink.results == [ToolResult("c1", "saw shelf")]


async def test_a_finished_call_is_never_run_again(work: Work) -> None:
    calls = (ToolCall("c1", "look", '{"at": "a"}'), ToolCall("c2", "look", '{"at": "b"}'))
    work.produced = (step(*calls), Message("tool", (ToolResult("c1", "saw a"),)))
    await work(ScriptedModel("There."))
    assert work.tools.ran == ["b"]


async def test_a_call_id_that_an_older_turn_had_too_does_not_hide_a_lost_call(work: Work) -> None:
    """Providers that count from zero use one id in every turn."""
    old = step(ToolCall("call_0", "push", '{"at": "old"}'))
    work.earlier = (
        user("first"),
        old,
        Message("tool", (ToolResult("call_0", "pushed"),)),
        Message("assistant", (Text("ok"),), "stop"),
    )
    work.produced = (step(ToolCall("call_0", "push", '{"at": "new"}')),)
    sink = await work(ScriptedModel("Hm."))
    assert sink.results == [ToolResult("call_0", OUTCOME_UNKNOWN, is_error=True)]


async def test_a_call_that_an_older_turn_left_unanswered_is_not_run_by_a_later_one(work: Work) -> None:
    work.earlier = (user("first"), step(ToolCall("call_0", "look", '{"at": "old"}')), user("never mind"))
    work.produced = (step(ToolCall("call_0", "look", '{"at": "new"}')),)
    await work(ScriptedModel("Hm."))
    assert work.tools.ran == ["new"]


async def test_usage_before_a_restart_counts(work: Work) -> None:
    work.produced = (step(ToolCall("c1", "look", "{}")), Message("tool", (ToolResult("c1", "saw"),)))
    sink = await work(ScriptedModel(ends("done", "stop")))
    assert sink.end.usage == Usage(20, 10)


async def test_ids_used_before_a_restart_are_not_used_again(work: Work) -> None:
    work.produced = (step(ToolCall("call_0", "look", "{}")), Message("tool", (ToolResult("call_0", "saw"),)))
    sink = await work(ScriptedModel(call("look", id="call_0"), "done"))
    assert sink.results[0].call_id != "call_0"
