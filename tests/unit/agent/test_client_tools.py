"""The client's tools in the loop: after a crash, too, its calls are handed over and the server's own are
settled first.
"""

import pytest

from nanobot.agent.limits import AgentSettings
from nanobot.agent.loop import Agent
from nanobot.agent.toolset import Toolset
from nanobot.core.dispatch import History
from nanobot.core.errors import ModelLacksAbility
from nanobot.core.event import Fact, MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Message, ToolCall, ToolResult, Usage, user
from nanobot.core.tool import ToolChoice, tool_spec
from nanobot.core.turn import Turn
from nanobot.reading.schemas import WorkerSchemas
from nanobot.testing import FakeClock, Say, ScriptedModel
from nanobot.tools.facts import calculate
from nanobot.workers.pool import WorkerPool

SPEC = tool_spec("lookup", "Look it up.", {"type": "object", "properties": {}})
OWN = ToolCall("own", "calculate", '{"expression":"6*7"}')
CLIENTS = ToolCall("theirs001", "lookup", "{}", True)
BOTH = Message("assistant", (OWN, CLIENTS), "tool_calls", Usage(10, 5))


async def run(model: ScriptedModel, *produced: Message) -> list[Fact]:
    """Run a turn that had produced these messages before the server died; return what it emits."""
    facts: list[Fact] = []

    async def emit(new: tuple[Fact, ...]) -> tuple[Message, ...]:
        facts.extend(new)
        return ()

    turn = Turn("turn_1", "k", (user("hello"),), "api", tools=(SPEC,), tool_choice=ToolChoice())
    agent = Agent(Toolset([calculate()]), FakeClock(), AgentSettings(), WorkerSchemas(WorkerPool(), 100_000))
    await agent.run(
        turn,
        model,
        History((*turn.input, *produced)),
        produced=produced,
        emit=emit,
        show=lambda delta: None,
        take_back=lambda: False,
    )
    return facts


async def test_a_step_that_was_cut_between_the_servers_call_and_the_hand_over_goes_on_there() -> None:
    model = ScriptedModel("never asked")
    facts = await run(model, BOTH)
    assert facts == [
        ToolFinished(Message("tool", (ToolResult("own", "42"),))),
        TurnEnded("done", Usage(10, 5)),
    ]
    assert not model.requests


async def test_where_the_model_takes_no_tools_the_clients_are_refused_and_not_left_out() -> None:
    model = ScriptedModel(ModelLacksAbility("no tools here", ability="tools"))
    with pytest.raises(ModelLacksAbility, match="no tools here") as caught:
        await run(model)
    assert caught.value.http_status == 400
    assert len(model.requests) == 1


async def test_a_step_that_was_cut_right_before_the_hand_over_is_handed_over() -> None:
    model = ScriptedModel("never asked")
    assert await run(model, BOTH, Message("tool", (ToolResult("own", "42"),))) == [
        TurnEnded("done", Usage(10, 5))
    ]
    assert not model.requests


async def test_a_call_of_the_clients_is_marked_and_never_started_here() -> None:
    said = Message("assistant", (ToolCall("theirs001", "lookup", "{}"),), "tool_calls", Usage(10, 5))
    facts = await run(ScriptedModel(Say((), said)))
    added, end = facts
    assert isinstance(added, MessageAdded) and added.message.client_calls == (CLIENTS,)
    assert isinstance(end, TurnEnded) and not any(isinstance(fact, ToolStarted) for fact in facts)
