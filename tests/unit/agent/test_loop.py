"""The agent loop: what it asks, what it does with what comes back, and how failures end it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from nanobot.agent.limits import AgentSettings
from nanobot.agent.toolset import Toolset
from nanobot.context import prompt
from nanobot.core.errors import ModelBadAnswer, ModelOverloaded, StaleAttempt, StoreError
from nanobot.core.event import (
    Delta,
    Fact,
    MessageAdded,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    events_of,
    units,
)
from nanobot.core.message import Message, Text, Thinking, ToolCall, ToolResult, Usage, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.unit.agent.turn_at_work import Look, Sink, Work, ends, last_text, look

# Answers ------------------------------------------------------------------------------------------


async def test_an_answer_ends_the_turn(work: Work) -> None:
    model = ScriptedModel("It is here.")
    sink = await work(model)
    assert sink.answer == "It is here."
    assert sink.end == TurnEnded("done", Usage(10, 11))
    assert [type(event) for event in sink.events] == [TextDelta, TextDelta, MessageAdded, TurnEnded]
    assert last_text(model.requests[0]) == "Where is it?"


async def test_an_answer_carries_the_name_of_the_model_that_gave_it(work: Work) -> None:
    sink = await work(ScriptedModel(ends("Here.", "stop"), name="some:model"))
    assert sink.messages[0].model == "some:model"


async def test_the_model_is_offered_all_tools_and_the_newest_of_the_history(work: Work) -> None:
    work.earlier = (user("hi"), Message("assistant", (Text("hello"),), "stop"))
    model = ScriptedModel("Here.")
    await work(model)
    assert [tool.name for tool in model.requests[0].tools] == ["look", "push", "alone"]
    assert [message.text for message in model.requests[0].messages] == ["hi", "hello", "Where is it?"]


async def test_a_front_ends_request_beside_the_conversation_gets_nothing_of_the_servers(work: Work) -> None:
    model = ScriptedModel('{"title": "Pears"}')
    chat = "USER: Pears?\nASSISTANT: Yes."
    work.asks = f'Generate a title as JSON: {{"title": "…"}}\n<chat_history>\n{chat}\n</chat_history>'
    sink = await work(model)
    (request,) = model.requests
    assert sink.answer == '{"title": "Pears"}'
    assert request.is_side_task
    assert request.tools == () and request.notes == ""
    assert request.messages == (user(work.asks),)


async def test_the_models_stream_is_closed_after_each_answer(work: Work) -> None:
    model = ScriptedModel(look("shelf"), "Here.")
    await work(model)
    assert model.closed_streams == 2


async def test_what_a_provider_withheld_is_not_asked_for_again(work: Work) -> None:
    sink = await work(ScriptedModel(ends("", "content_filter")))
    assert sink.messages[0].stop_reason == "content_filter"
    assert sink.end.outcome == "done"


# Tools --------------------------------------------------------------------------------------------


async def test_the_model_reads_what_its_tool_found_and_answers(work: Work) -> None:
    model = ScriptedModel(look("shelf", text="Let me see."), "On the shelf.")
    sink = await work(model)
    assert [type(event) for event in sink.events] == [
        TextDelta,
        MessageAdded,
        ToolStarted,
        ToolFinished,
        TextDelta,
        TextDelta,
        MessageAdded,
        TurnEnded,
    ]
    assert model.requests[1].messages[-1] == Message("tool", (ToolResult("call_shelf", "saw shelf"),))
    assert sink.answer == "Let me see.\n\nOn the shelf."


async def test_usage_is_the_sum_of_all_steps(work: Work) -> None:
    sink = await work(ScriptedModel(look("a"), look("b"), ends("c", "stop")))
    assert sink.end.usage == Usage(30, 15)


async def test_calls_of_one_step_run_side_by_side(work: Work) -> None:
    """Each waits until the other has begun: one after the other they would never end."""
    begun = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def meet(arguments: Look, context: ToolContext) -> str:
        begun[arguments.at].set()
        await begun["b" if arguments.at == "a" else "a"].wait()
        return f"met {arguments.at}"

    work.tools.set = Toolset([Tool("look", "", Look, meet)])
    sink = await work(ScriptedModel(look("a", "b"), "done"))
    assert sorted(result.content for result in sink.results) == ["met a", "met b"]


async def test_a_tool_that_must_not_overlap_runs_by_itself(work: Work) -> None:
    running: set[str] = set()
    seen_beside: list[frozenset[str]] = []

    async def run(arguments: Look, context: ToolContext) -> str:
        if arguments.at.startswith("alone"):
            seen_beside.append(frozenset(running))
        running.add(arguments.at)
        for _ in range(5):
            await asyncio.sleep(0)
            if arguments.at.startswith("alone"):
                seen_beside.append(frozenset(running - {arguments.at}))
        running.discard(arguments.at)
        return "ok"

    work.tools.set = Toolset([Tool("look", "", Look, run), Tool("alone", "", Look, run, concurrent=False)])
    calls = [("1", "look"), ("alone-1", "alone"), ("2", "look"), ("alone-2", "alone")]
    step = Message(
        "assistant", tuple(ToolCall(f"c{at}", name, f'{{"at": "{at}"}}') for at, name in calls), "tool_calls"
    )
    sink = await work(ScriptedModel(Say((), step), "done"))
    assert len(sink.results) == 4
    assert seen_beside
    assert set(seen_beside) == {frozenset()}


@pytest.mark.parametrize(
    ("place", "told"),
    [("refuse", "Error: there is nothing there"), ("crash", "Error: tool failed"), ("shelf", "saw shelf")],
)
async def test_a_tools_failure_is_news_for_the_model_never_the_end_of_the_turn(
    work: Work, place: str, told: str
) -> None:
    model = ScriptedModel(look(place), "I see.")
    sink = await work(model)
    assert model.requests[1].messages[-1].tool_results[0].content == told
    assert sink.end.outcome == "done"


async def test_a_store_that_fails_under_tools_side_by_side_ends_the_turn_with_its_own_error(
    work: Work,
) -> None:
    """Not wrapped in a group: the engine looks at its class."""

    async def emit(facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        if isinstance(facts[0], ToolFinished):
            raise StaleAttempt("over")
        return await Sink.emit(work.sink, facts)

    work.sink.emit = emit  # type: ignore[method-assign]
    with pytest.raises(StaleAttempt):
        await work(ScriptedModel(look("a", "b"), "done"))


# Ids of calls -------------------------------------------------------------------------------------


async def test_call_ids_are_made_unique_across_steps(work: Work) -> None:
    """Some providers count from zero in each answer."""
    sink = await work(
        ScriptedModel(call("look", id="call_0"), call("look", id="call_0"), call("look", id="call_0"), "done")
    )
    ids = [made.id for message in sink.messages for made in message.tool_calls]
    assert ids[0] == "call_0"
    assert len(set(ids)) == 3
    assert [result.call_id for result in sink.results] == ids


@pytest.mark.parametrize("ids", [("a", "a", "a"), ("a-1", "a", "a"), ("a-2", "a", "a"), ("", "", "")])
async def test_call_ids_are_made_unique_within_a_step(work: Work, ids: tuple[str, ...]) -> None:
    step = Message(
        "assistant",
        tuple(ToolCall(id_, "look", f'{{"at": "{i}"}}') for i, id_ in enumerate(ids)),
        "tool_calls",
    )
    sink = await work(ScriptedModel(Say((), step), "done"))
    assert len({result.call_id for result in sink.results}) == 3
    assert sorted(work.tools.ran) == ["0", "1", "2"]


async def test_started_calls_bear_the_ids_of_their_message(work: Work) -> None:
    sink = await work(ScriptedModel(call("look", id="x"), call("look", id="x"), "done"))
    started = [event.call for event in sink.events if isinstance(event, ToolStarted)]
    assert started == [made for message in sink.messages for made in message.tool_calls]


# The bound on steps -------------------------------------------------------------------------------


async def test_after_the_last_step_the_model_answers_without_tools() -> None:
    work = Work(max_steps=2)
    model = ScriptedModel(look("a"), look("b"), "Nothing found.")
    sink = await work(model)
    assert [bool(request.tools) for request in model.requests] == [True, True, False]
    assert prompt.LAST_STEP.format(what="all 2 steps of this turn") in model.requests[2].notes
    assert "You have used up" not in model.requests[1].notes
    assert sink.answer == "Nothing found."
    assert sink.end.outcome == "done"


async def test_a_model_that_calls_tools_even_then_is_not_obeyed() -> None:
    work = Work(max_steps=2)
    sink = await work(ScriptedModel(look("a"), look("b"), look("c", text="I give up.")))
    assert work.tools.ran == ["a", "b"]
    assert sink.messages[-1].parts == (Text("I give up."),)


async def test_a_model_that_only_ever_calls_tools_fails_in_the_end() -> None:
    work = Work(max_steps=2)
    model = ScriptedModel(look("a"))
    with pytest.raises(ModelBadAnswer):
        await work(model)
    assert len(work.tools.ran) == 2
    assert len(model.requests) == 2 + 1 + AgentSettings().max_empty


async def test_steps_before_a_restart_count() -> None:
    work = Work(max_steps=2)
    work.produced = tuple(
        m
        for i in range(2)
        for m in (look(str(i)).message, Message("tool", (ToolResult(f"call_{i}", "x"),)))
        if m
    )
    model = ScriptedModel("done")
    await work(model)
    assert not model.requests[0].tools


# What followers see -------------------------------------------------------------------------------


class Thinker(ScriptedModel):
    """Thinks and says nothing, then answers; shows its thoughts as they come."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        self.requests.append(request)
        yield ThinkingDelta("Hm. ")
        if len(self.requests) == 1:
            yield Message("assistant", (Thinking("Hm. "),), "stop")
            return
        yield TextDelta("Here.")
        yield Message("assistant", (Thinking("Hm. "), Text("Here.")), "stop")


async def test_the_stored_messages_give_the_line_that_followers_saw(work: Work) -> None:
    """A cursor from a live stream must fit after the deltas are gone, also where a silent answer was asked
    for again.
    """
    sink = await work(Thinker())
    live = sum(units(event) for event in sink.events)
    assert live == sum(units(event) for event in (*events_of(sink.messages), sink.end))


async def test_the_line_is_the_same_for_tools_and_continued_answers(work: Work) -> None:
    sink = await work(
        ScriptedModel(look("a", "b", text="Wait."), ends("one, tw", "length"), ends("o.", "stop"))
    )
    rebuilt = (*events_of(sink.messages), sink.end)
    assert sum(map(units, sink.events)) == sum(map(units, rebuilt))


# Users who speak meanwhile ------------------------------------------------------------------------


async def test_what_a_user_says_while_tools_run_is_read_in_the_next_step(work: Work) -> None:
    model = ScriptedModel(look("a"), "Done.")
    work.sink.steer(user("Hurry!"), when=lambda facts: isinstance(facts[0], ToolFinished))
    sink = await work(model)
    assert last_text(model.requests[1]) == "Hurry!"
    assert [message.role for message in model.requests[1].messages] == ["user", "assistant", "tool", "user"]
    assert sink.answer == "Done."


async def test_what_a_user_says_with_the_last_word_is_answered_before_the_turn_ends(work: Work) -> None:
    model = ScriptedModel("It is here.", "Blue.")
    work.sink.steer(user("And its colour?"), when=lambda facts: isinstance(facts[-1], TurnEnded))
    sink = await work(model)
    assert [message.text for message in model.requests[1].messages] == [
        "Where is it?",
        "It is here.",
        "And its colour?",
    ]
    assert sink.answer == "It is here.\n\nBlue."
    assert sink.end.usage == Usage(20, 16)


async def test_several_inputs_that_join_keep_their_order(work: Work) -> None:
    model = ScriptedModel(look("a"), "Done.")
    work.sink.steer(user("one"), user("two"), when=lambda facts: isinstance(facts[0], MessageAdded))
    await work(model)
    assert [message.text for message in model.requests[1].messages if message.role == "user"][1:] == [
        "one",
        "two",
    ]


# Failures of the model ----------------------------------------------------------------------------


async def test_a_model_that_fails_in_mid_stream_leaves_nothing(work: Work) -> None:
    model = ScriptedModel(Say(("It is ",), error=ModelOverloaded("busy")))
    with pytest.raises(ModelOverloaded):
        await work(model)
    assert work.sink.messages == ()
    assert model.closed_streams == 1


async def test_a_model_that_fails_in_a_later_step_leaves_what_was_done(work: Work) -> None:
    with pytest.raises(ModelOverloaded):
        await work(ScriptedModel(look("a"), ModelOverloaded("busy")))
    assert [message.role for message in work.sink.messages] == ["assistant", "tool"]


async def test_a_stream_without_a_message_is_a_bad_answer(work: Work) -> None:
    class Mute(ScriptedModel):
        async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
            yield TextDelta("It ")

    with pytest.raises(ModelBadAnswer, match="ended without a message"):
        await work(Mute())


async def test_a_cancelled_turn_closes_its_stream(work: Work) -> None:
    never = asyncio.Event()
    model = ScriptedModel(Say(("It ", "is"), between=never))
    task = asyncio.create_task(work(model))
    async with asyncio.timeout(BOUND_S):
        await model.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.closed_streams == 1
    assert work.sink.messages == ()


async def test_a_store_that_fails_ends_the_turn(work: Work) -> None:
    async def emit(facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        raise StoreError("disk full")

    work.sink.emit = emit  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        await work(ScriptedModel("Here."))
