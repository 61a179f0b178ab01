"""The agent loop: what it asks, what it does with what comes back, and that each way round has an end."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from nanobot.agent.limits import AgentSettings
from nanobot.agent.loop import Agent
from nanobot.agent.tool_calls import OUTCOME_UNKNOWN
from nanobot.agent.toolset import Toolset
from nanobot.context import prompt
from nanobot.core.dispatch import History
from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelLacksAbility,
    ModelOverloaded,
    StaleAttempt,
    StoreError,
    ToolError,
)
from nanobot.core.event import (
    Delta,
    Event,
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
from nanobot.core.message import (
    Message,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    estimate_tokens,
    reply_text,
    user,
)
from nanobot.core.model import Model, ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.core.turn import OutputFormat, Sampling, Turn
from nanobot.models.openai.request import encode
from nanobot.reading.schemas import WorkerSchemas
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from nanobot.workers.pool import WorkerPool

BOUND_S = 10.0

# What the loop is given ---------------------------------------------------------------------------


class Look(msgspec.Struct, frozen=True):
    at: str = ""


class Tools:
    """Tools that write down what they were asked.

    `look` may be repeated, `push` may not, `alone` must not overlap.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.set = Toolset(
            [
                Tool("look", "Look.", Look, self._run, repeatable=True),
                Tool("push", "Push.", Look, self._run),
                Tool("alone", "Alone.", Look, self._run, concurrent=False),
            ]
        )

    async def _run(self, arguments: Look, context: ToolContext) -> str:
        self.ran.append(arguments.at)
        if arguments.at == "refuse":
            raise ToolError("there is nothing there")
        if arguments.at == "crash":
            raise KeyError("inside")
        return f"saw {arguments.at}"


class Sink:
    """Where the loop's facts go.

    `steer` is what users say meanwhile: it joins with the next fact for which `joins` holds. `is_followed`:
    somebody receives each delta at once.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_followed = True
        self.steering: list[tuple[Callable[[tuple[Fact, ...]], bool], tuple[Message, ...]]] = []

    def steer(self, *messages: Message, when: Callable[[tuple[Fact, ...]], bool]) -> None:
        self.steering.append((when, messages))

    def take_back(self) -> bool:
        if self.is_followed:
            return False
        while self.events and isinstance(self.events[-1], TextDelta | ThinkingDelta):
            self.events.pop()
        return True

    async def emit(self, facts: tuple[Fact, ...]) -> tuple[Message, ...]:
        joined: tuple[Message, ...] = ()
        if self.steering and self.steering[0][0](facts):
            joined = self.steering.pop(0)[1]
            facts = tuple(fact for fact in facts if not isinstance(fact, TurnEnded))
        self.events.extend((*facts, *(MessageAdded(message) for message in joined)))
        return joined

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(event.message for event in self.events if isinstance(event, MessageAdded | ToolFinished))

    @property
    def results(self) -> list[ToolResult]:
        return [result for message in self.messages for result in message.tool_results]

    @property
    def end(self) -> TurnEnded:
        (end,) = (event for event in self.events if isinstance(event, TurnEnded))
        assert self.events[-1] is end
        return end

    @property
    def answer(self) -> str:
        return reply_text(self.messages)


class Work:
    """One turn: run it with `await work(model)`."""

    def __init__(self, **settings: Any) -> None:
        self.tools = Tools()
        self.sink = Sink()
        self.settings = AgentSettings(**settings)
        self.asks = "Where is it?"
        self.sampling = Sampling()
        self.format: OutputFormat | None = None
        self.earlier: tuple[Message, ...] = ()
        self.produced: tuple[Message, ...] = ()

    async def __call__(self, model: Model) -> Sink:
        turn = Turn("turn_1", "k", (user(self.asks),), "api", sampling=self.sampling, format=self.format)
        history = History((*self.earlier, *turn.input, *self.produced))
        agent = Agent(self.tools.set, FakeClock(), self.settings, WorkerSchemas(WorkerPool(), 100_000))
        async with asyncio.timeout(BOUND_S):
            await agent.run(
                turn,
                model,
                history,
                produced=self.produced,
                emit=self.sink.emit,
                show=self.sink.events.append,
                take_back=self.sink.take_back,
            )
        return self.sink


@pytest.fixture
def work() -> Work:
    return Work()


def look(*places: str, name: str = "look", text: str = "") -> Say:
    """The answer that looks at `places`, all in one step."""
    calls = tuple(ToolCall(f"call_{place}", name, f'{{"at": "{place}"}}') for place in places)
    return Say(
        (text,), Message("assistant", (*((Text(text),) if text else ()), *calls), "tool_calls", Usage(10, 5))
    )


def ends(text: str, why: StopReason) -> Say:
    return Say((text,), Message("assistant", (Text(text),) if text else (), why, Usage(10, 5)))


EMPTY = Say((), Message("assistant", (), "stop", Usage(7, 0)))


def last_text(request: ModelRequest) -> str:
    return request.messages[-1].text


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


# Empty answers ------------------------------------------------------------------------------------


async def test_an_empty_answer_is_asked_for_again(work: Work) -> None:
    model = ScriptedModel(EMPTY, "Here.")
    sink = await work(model)
    assert last_text(model.requests[1]) == prompt.ANSWER_WAS_EMPTY
    assert sink.answer == "Here."
    assert len(sink.messages) == 1, "neither the empty answer nor our word about it is kept"
    assert sink.end.usage == Usage(17, 5), "what the empty answer cost is counted"


@pytest.mark.parametrize(
    "empty", [EMPTY, Say((), Message("assistant", (Text(""),), "stop")), ends("", "length")]
)
async def test_a_model_that_stays_silent_fails_the_turn(work: Work, empty: Say) -> None:
    model = ScriptedModel(empty, name="some:model")
    with pytest.raises(ModelBadAnswer, match="some:model answered nothing, 3 times"):
        await work(model)
    assert len(model.requests) == 3
    assert work.sink.messages == ()


async def test_thoughts_alone_are_no_answer(work: Work) -> None:
    thought = Message("assistant", (Thinking("Hm."),), "stop")
    sink = await work(ScriptedModel(Say((), thought), "Here."))
    assert sink.answer == "Here."


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


# Answers cut by a limit ---------------------------------------------------------------------------


async def test_an_answer_cut_by_a_limit_nobody_asked_for_goes_on_without_a_gap(work: Work) -> None:
    model = ScriptedModel(ends("one, tw", "length"), ends("o, three", "stop"))
    sink = await work(model)
    assert sink.answer == "one, two, three"
    assert last_text(model.requests[1]) == prompt.ANSWER_WAS_CUT
    assert model.requests[1].messages[-2].text == "one, tw"


async def test_three_pieces_are_shown_to_the_model_as_the_one_answer_they_are(work: Work) -> None:
    model = ScriptedModel(ends("one, ", "length"), ends("two, ", "length"), ends("three", "stop"))
    sink = await work(model)
    assert sink.answer == "one, two, three"
    assert [message.text for message in model.requests[2].messages[1:]] == [
        "one, two, ",
        prompt.ANSWER_WAS_CUT,
    ]


async def test_how_often_an_answer_goes_on_is_bounded() -> None:
    work = Work(max_continuations=2)
    model = ScriptedModel(ends("more ", "length"))
    sink = await work(model)
    assert len(model.requests) == 3
    assert sink.messages[-1].stop_reason == "length"
    assert sink.end.outcome == "done"


async def test_a_limit_that_the_asker_set_is_kept_to(work: Work) -> None:
    work.sampling = Sampling(max_output_tokens=3)
    model = ScriptedModel(ends("one, tw", "length"))
    sink = await work(model)
    assert len(model.requests) == 1
    assert sink.messages == (Message("assistant", (Text("one, tw"),), "length", Usage(10, 5), "scripted"),)


@pytest.mark.parametrize(("asked", "sent"), [(None, None), (1_000, 1_000), (4_096, 4_096), (1_000_000, None)])
async def test_a_limit_that_the_window_has_no_room_for_is_as_long_as_its_rest(
    work: Work, asked: int | None, sent: int | None
) -> None:
    work.sampling = Sampling(max_output_tokens=asked)
    work.earlier = (user("x" * 4_000), Message("assistant", (Text("y" * 4_000),), "stop"))
    model = ScriptedModel("Here.", context_tokens=8_000)
    await work(model)
    (request,) = model.requests
    assert len(request.messages) == 3
    limit = request.sampling.max_output_tokens
    if asked is None or sent is not None:
        assert limit == sent
    else:
        assert limit is not None and 4_096 < limit < 8_000 - 2_000


async def test_a_limit_used_up_by_thinking_is_an_answer_too(work: Work) -> None:
    work.sampling = Sampling(max_output_tokens=3)
    sink = await work(ScriptedModel(Say((), Message("assistant", (Thinking("Hm."),), "length"))))
    assert sink.messages[-1].stop_reason == "length"


async def test_an_answer_that_was_cut_before_a_restart_goes_on(work: Work) -> None:
    work.produced = (Message("assistant", (Text("one, tw"),), "length", Usage(10, 5)),)
    model = ScriptedModel(ends("o.", "stop"))
    sink = await work(model)
    assert last_text(model.requests[0]) == prompt.ANSWER_WAS_CUT
    assert reply_text((*work.produced, *sink.messages)) == "one, two."


# Malformed calls ----------------------------------------------------------------------------------

MALFORMED = [call("fly"), call("look", '{"at": '), call("look", '{"at": [1]}'), call("look", "shelf")]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (MALFORMED[0], "there is no tool 'fly'; the tools are: look, push, alone"),
        (MALFORMED[1], "not valid JSON"),
        (MALFORMED[2], "do not fit"),
        (MALFORMED[3], "not valid JSON"),
    ],
)
async def test_the_model_is_told_what_is_wrong_with_its_call(work: Work, bad: Say, told: str) -> None:
    model = ScriptedModel(bad, look("shelf"), "There.")
    sink = await work(model)
    assert told in sink.results[0].content
    assert sink.results[0].is_error
    assert work.tools.ran == ["shelf"]
    assert sink.answer == "There."


async def test_a_model_that_cannot_call_has_its_tools_taken_away() -> None:
    work = Work(max_malformed_steps=3)
    model = ScriptedModel(*[call("look", "{", id=str(i)) for i in range(3)], "I cannot.")
    sink = await work(model)
    assert [bool(request.tools) for request in model.requests] == [True, True, True, False]
    assert sink.answer == "I cannot."


async def test_a_model_that_makes_too_many_calls_again_and_again_has_its_tools_taken_away() -> None:
    work = Work(max_malformed_steps=2, max_calls_per_step=1)
    model = ScriptedModel(look("a", "b"), look("c", "d"), "Enough.")
    sink = await work(model)
    assert [bool(request.tools) for request in model.requests] == [True, True, False]
    assert sink.answer == "Enough."


async def test_a_good_call_in_between_starts_the_count_anew() -> None:
    work = Work(max_malformed_steps=2)
    bad = call("look", "{")
    model = ScriptedModel(bad, look("a"), bad, look("b"), "done")
    assert (await work(model)).answer == "done"
    assert work.tools.ran == ["a", "b"]


@pytest.mark.parametrize("bad", MALFORMED)
async def test_a_malformed_call_goes_back_to_the_provider_as_json_that_it_can_parse(
    work: Work, bad: Say
) -> None:
    model = ScriptedModel(bad, "done")
    await work(model)
    body = encode(
        model.requests[1],
        model="m",
        limit_field="max_tokens",
        includes_usage=False,
        includes_openai_fields=False,
        extra={},
    )
    (called,) = (m for m in msgspec.json.decode(body)["messages"] if m["role"] == "assistant")
    assert isinstance(msgspec.json.decode(called["tool_calls"][0]["function"]["arguments"]), dict)


async def test_absurdly_nested_arguments_are_malformed_as_any_others(work: Work) -> None:
    model = ScriptedModel(call("look", '{"at": ' + "[" * 100_000), "done")
    sink = await work(model)
    assert sink.results[0].is_error
    assert sink.answer == "done"


# A window that is too small -----------------------------------------------------------------------


async def test_a_context_overflow_shows_less_and_asks_again(work: Work) -> None:
    work.earlier = tuple(
        m
        for i in range(40)
        for m in (user(f"q{i} " + "x" * 2_000), Message("assistant", (Text("a" * 2_000),), "stop"))
    )
    model = ScriptedModel(ContextOverflow("too long"), "Here.")
    sink = await work(model)
    whole, less = model.requests
    assert len(less.messages) < len(whole.messages)
    assert last_text(less) == "Where is it?"
    assert sink.answer == "Here."


async def test_after_a_context_overflow_the_whole_turn_shows_less(work: Work) -> None:
    work.earlier = tuple(
        m
        for i in range(40)
        for m in (user(f"q{i} " + "x" * 2_000), Message("assistant", (Text("a" * 2_000),), "stop"))
    )
    model = ScriptedModel(ContextOverflow("too long"), look("shelf"), "Here.")
    await work(model)
    sizes = [sum(len(message.text) for message in request.messages) for request in model.requests]
    assert sizes[2] <= sizes[1] < sizes[0]


async def test_how_often_less_is_shown_is_bounded() -> None:
    work = Work(max_overflows=2)
    work.earlier = talk(40)
    model = ScriptedModel(ContextOverflow("window of 4096 tokens"))
    with pytest.raises(ContextOverflow, match="window of 4096 tokens"):
        await work(model)
    assert len(model.requests) == 3


def talk(rounds: int, chars: int = 2_000) -> tuple[Message, ...]:
    return tuple(
        message
        for i in range(rounds)
        for message in (user(f"q{i} " + "x" * chars), Message("assistant", (Text("a" * chars),), "stop"))
    )


async def test_less_is_shown_than_was_refused_however_large_the_window_was_said_to_be(work: Work) -> None:
    work.earlier = talk(6, 700)
    model = ScriptedModel(ContextOverflow("too long"))
    with pytest.raises(ContextOverflow):
        await work(model)
    sizes = [sum(estimate_tokens(message) for message in request.messages) for request in model.requests]
    assert all(later <= earlier // 2 for earlier, later in pairwise(sizes))
    assert [message.text for message in model.requests[-1].messages] == ["Where is it?"]


async def test_where_the_newest_message_is_shown_alone_nothing_less_is_tried(work: Work) -> None:
    model = ScriptedModel(ContextOverflow("too long"))
    with pytest.raises(ContextOverflow):
        await work(model)
    assert len(model.requests) == 1


async def test_the_limit_that_a_refusal_names_is_kept_to_and_told_to_the_model(work: Work) -> None:
    work.earlier = talk(40)
    model = ScriptedModel(ContextOverflow("at most 4096", limit_tokens=4_096), "Here.")
    assert (await work(model)).answer == "Here."
    request = model.requests[-1]
    assert request.window_tokens == 4_096
    assert sum(estimate_tokens(message) for message in request.messages) < 4_096


async def test_a_limit_above_what_was_refused_is_taken_for_the_size_of_that(work: Work) -> None:
    """The estimate was too low: what did not fit does not fit the next time either."""
    work.earlier = talk(6, 700)
    model = ScriptedModel(ContextOverflow("at most 4096", limit_tokens=4_096), "Here.")
    await work(model)
    window = model.requests[-1].window_tokens
    assert window is not None
    assert window < 4_096


async def test_a_model_that_turns_out_to_take_no_tools_is_asked_without_the_servers_own(work: Work) -> None:
    model = ScriptedModel(ModelLacksAbility("no tools", ability="tools"), "Here.")
    assert (await work(model)).answer == "Here."
    offered, left_out = model.requests
    assert offered.tools
    assert not left_out.tools
    assert left_out.lacking == {"tools"}


async def test_a_model_that_claims_no_tools_is_not_offered_any(work: Work) -> None:
    model = ScriptedModel("Here.", abilities=frozenset())
    await work(model)
    assert not model.requests[0].tools
    assert not model.requests[0].lacking, "nothing was learnt"


async def test_a_model_that_refuses_tools_for_ever_fails_the_turn(work: Work) -> None:
    model = ScriptedModel(ModelLacksAbility("no tools", ability="tools"))
    with pytest.raises(ModelLacksAbility, match="no tools"):
        await work(model)
    assert len(model.requests) == 2


@pytest.mark.parametrize("ability", ["json_object", "format_with_tools"])
async def test_a_form_that_a_model_turns_out_to_lack_is_asked_for_in_words(work: Work, ability: str) -> None:
    """Also where another turn has taught it so meanwhile: what counts is what this request asked for."""
    work.format = OutputFormat("json_object")
    model = ScriptedModel(ModelLacksAbility("no form", ability=ability), '{"at": "shelf"}')
    assert (await work(model)).answer == '{"at": "shelf"}'
    assert "JSON" in model.requests[1].system
    assert model.requests[1].lacking == {ability}


# An answer that breaks off ------------------------------------------------------------------------

BROKEN = Say(("It is", " on"), error=ModelBadAnswer("it broke off"))


async def test_a_broken_answer_that_nobody_received_is_asked_for_again(work: Work) -> None:
    work.sink.is_followed = False
    model = ScriptedModel(BROKEN, "On the shelf.")
    sink = await work(model)
    assert sink.answer == "On the shelf."
    assert "".join(event.text for event in sink.events if isinstance(event, TextDelta)) == "On the shelf."


async def test_a_broken_answer_that_somebody_received_ends_the_turn(work: Work) -> None:
    model = ScriptedModel(BROKEN, "On the shelf.")
    with pytest.raises(ModelBadAnswer):
        await work(model)
    assert len(model.requests) == 1


async def test_how_often_a_broken_answer_is_asked_for_again_is_bounded() -> None:
    work = Work(max_broken=2)
    work.sink.is_followed = False
    model = ScriptedModel(BROKEN)
    with pytest.raises(ModelBadAnswer):
        await work(model)
    assert len(model.requests) == 3


async def test_an_answer_that_never_began_is_left_to_the_models_own_tries(work: Work) -> None:
    work.sink.is_followed = False
    model = ScriptedModel(ModelBadAnswer("nothing came"))
    with pytest.raises(ModelBadAnswer):
        await work(model)
    assert len(model.requests) == 1


async def test_a_broken_answer_that_is_shown_only_once_it_is_right_is_asked_for_again(work: Work) -> None:
    work.format = OutputFormat("json_object")
    model = ScriptedModel(BROKEN, '{"at": "shelf"}', abilities=frozenset())
    assert (await work(model)).answer == '{"at": "shelf"}'


# A form that the model turns out not to take ------------------------------------------------------

JSON = OutputFormat("json_object")


class Refusing(ScriptedModel):
    """Claims an ability until it is asked for it, as a server does that knows no `response_format`."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        if "json_object" in self.abilities:
            self.requests.append(request)
            self.abilities -= {"json_object"}
            raise ModelLacksAbility("no response_format here")
        async for item in super().stream(request):
            yield item


async def test_a_model_that_drops_an_ability_is_told_the_form_in_words(work: Work) -> None:
    work.format = JSON
    model = Refusing('{"at": "shelf"}')
    sink = await work(model)
    assert sink.answer == '{"at": "shelf"}'
    held, told = model.requests
    assert "JSON" not in held.system
    assert "JSON" in told.system


async def test_a_form_that_a_model_refuses_though_it_never_claimed_it_is_asked_for_once_more(
    work: Work,
) -> None:
    work.format = JSON
    model = ScriptedModel(ModelLacksAbility("not now"), '{"at": "shelf"}', abilities=frozenset())
    sink = await work(model)
    assert sink.answer == '{"at": "shelf"}'
    assert len(model.requests) == 2


async def test_a_model_that_goes_on_refusing_a_form_that_it_does_not_claim_fails_the_turn(work: Work) -> None:
    work.format = JSON
    model = ScriptedModel(ModelLacksAbility("never"), abilities=frozenset())
    with pytest.raises(ModelLacksAbility, match="never"):
        await work(model)
    assert len(model.requests) == 1 + AgentSettings().max_lost_abilities


async def test_an_ability_that_no_words_make_up_for_is_not_asked_for_again(work: Work) -> None:
    model = ScriptedModel(ModelLacksAbility("no images"), "Here.", abilities=frozenset())
    with pytest.raises(ModelLacksAbility, match="no images"):
        await work(model)
    assert len(model.requests) == 1


async def test_every_reason_to_ask_again_has_a_count_of_its_own() -> None:
    """A model that fails in all ways in turn is asked as often as all bounds together allow, no more."""
    work = Work(max_empty=2, max_overflows=2, max_repairs=2, max_lost_abilities=2)
    work.format = JSON
    failures = (EMPTY, ContextOverflow("too long"), "no JSON", ModelLacksAbility("no"))
    model = ScriptedModel(*(2 * failures), '{"at": "shelf"}', abilities=frozenset())
    sink = await work(model)
    assert sink.answer == '{"at": "shelf"}'
    with pytest.raises(ModelBadAnswer):
        await work(ScriptedModel(*(2 * failures), EMPTY, '{"at": "shelf"}', abilities=frozenset()))


# After a restart ----------------------------------------------------------------------------------


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
