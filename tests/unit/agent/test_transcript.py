"""The transcript of a long turn: what a summary stands for goes, and never half of a step with it."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.agent.transcript import TurnTranscript
from nanobot.context.build import build
from nanobot.core.compaction import StepSummary
from nanobot.core.dispatch import History
from nanobot.core.event import Fact, MessageAdded, ToolFinished
from nanobot.core.message import Message, Text, ToolCall, ToolResult, estimate_tokens, user
from nanobot.core.model import ModelRequest
from nanobot.core.turn import Turn
from tests.unit.context.test_history import broken_rules, conversations

GOAL = "Sort out the attic, please."


async def keep(facts: tuple[Fact, ...]) -> tuple[Message, ...]:
    return ()


def step(number: int, chars: int = 100, calls: int = 1, said: str = "") -> list[Message]:
    ids = [f"c{number}-{i}" for i in range(calls)]
    text = (Text(said),) if said else ()
    made = Message("assistant", (*text, *(ToolCall(id_, "look", "{}") for id_ in ids)), "tool_calls")
    return [made, *(Message("tool", (ToolResult(id_, f"{number} " + "r" * chars),)) for id_ in ids)]


def transcript_of(
    before: Sequence[Message] = (), goal: str = GOAL, name: str | None = None
) -> TurnTranscript:
    asked = Message("user", (Text(goal),), name=name)
    return TurnTranscript(Turn("t", "k", (asked,), "api"), History((*before, asked)), keep)


async def add(transcript: TurnTranscript, messages: Sequence[Message]) -> None:
    await transcript.commit(
        *(ToolFinished(each) if each.role == "tool" else MessageAdded(each) for each in messages)
    )


def shown(transcript: TurnTranscript, budget_tokens: int) -> ModelRequest:
    turn = Turn("t", "k", (user(GOAL),), "api")
    return build(turn, transcript.history(), tools=(), budget_tokens=budget_tokens, now=0.0)


def text_of(request: ModelRequest) -> str:
    return str([msgspec.to_builtins(message) for message in request.messages])


async def test_the_summary_stands_behind_the_goal_and_before_the_newest_steps() -> None:
    transcript = transcript_of([user("Hello."), Message("assistant", (Text("Hi."),), "stop")])
    for number in range(6):
        await add(transcript, step(number))
    assert len(transcript.oldest_steps(80)) == 8
    transcript.fold(StepSummary("Looked four times.", 8))
    request = shown(transcript, 10_000)
    assert [message.role for message in request.messages[:4]] == ["user", "assistant", "user", "user"]
    assert request.messages[2].text == GOAL
    assert request.messages[3].text.endswith("Looked four times.")
    assert [message.tool_calls[0].id for message in request.messages if message.tool_calls] == [
        "c4-0",
        "c5-0",
    ]
    assert request.context is not None
    assert (request.context.summarised, request.context.left_out) == (8, 0)


async def test_a_later_summary_takes_the_place_of_the_one_before() -> None:
    transcript = transcript_of()
    for number in range(6):
        await add(transcript, step(number))
    transcript.fold(StepSummary("one", 4))
    await add(transcript, step(6))
    transcript.fold(StepSummary("two", 10))
    request = shown(transcript, 10_000)
    assert [message.text for message in request.messages if message.role == "user"][1].endswith("\ntwo")
    assert "one" not in request.messages[1].text
    assert len(request.messages) == 2 + 4
    assert transcript.history().ends[-1] == sum(map(estimate_tokens, transcript.history().messages))


async def test_after_a_restart_it_is_as_it_was() -> None:
    transcript = transcript_of()
    produced = [message for number in range(6) for message in step(number)]
    await add(transcript, produced)
    transcript.fold(StepSummary("four", 8))
    asked = user(GOAL)
    again = TurnTranscript(
        Turn("t", "k", (asked,), "api"),
        History((asked, *produced)),
        keep,
        produced=len(produced),
        folded=StepSummary("four", 8),
    )
    assert shown(again, 10_000).messages == shown(transcript, 10_000).messages
    await add(again, step(6))
    again.fold(StepSummary("six", 12))
    assert len(shown(again, 10_000).messages) == 2 + 2


async def test_who_spoke_last_is_known_however_much_is_folded() -> None:
    transcript = transcript_of(name="Ann")
    for number in range(4):
        await add(transcript, step(number))
    transcript.fold(StepSummary("done", 6))
    assert transcript.asker == "Ann"


async def test_older_results_are_shortened_and_say_how_to_read_them() -> None:
    transcript = transcript_of()
    for number in range(6):
        await add(transcript, step(number, chars=4_000))
    transcript.shorten_results(keep_tokens=2_100, result_tokens=100, least_saved_tokens=1, can_read_on=True)
    contents = [result.content for message in transcript.own for result in message.tool_results]
    assert [len(content) < 500 for content in contents] == [True] * 4 + [False] * 2
    assert all("call read_result" in content for content in contents[:4])
    # What is to be summarised is read as it was.
    whole = [result.content for message in transcript.oldest_steps(0) for result in message.tool_results]
    assert all(len(content) > 4_000 for content in whole)


async def test_results_stay_where_shortening_them_saves_little() -> None:
    transcript = transcript_of()
    for number in range(6):
        await add(transcript, step(number, chars=4_000))
    before = transcript.own
    transcript.shorten_results(
        keep_tokens=2_100, result_tokens=100, least_saved_tokens=100_000, can_read_on=True
    )
    assert transcript.own == before


async def test_results_that_a_client_sent_are_no_goal_behind_which_steps_could_go() -> None:
    result = Message("tool", (ToolResult("c1", "sunny"),))
    history = History((user(GOAL), Message("assistant", (ToolCall("c1", "w", "{}", True),)), result))
    assert not TurnTranscript(Turn("t", "k", (result,), "api"), history, keep).may_fold


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """What a turn has added: steps of several calls, and users' messages between them."""
    added: list[Message] = []
    for number in range(draw(st.integers(1, 12))):
        added += step(
            number,
            draw(st.integers(0, 1_500)),
            draw(st.integers(1, 4)),
            draw(st.sampled_from(["", "Let me see."])),
        )
        if draw(st.booleans()):
            added.append(user(f"And also {number}."))
    return added


@given(conversations(), turns(), st.data(), st.integers(50, 4_000))
async def test_whatever_is_cut_no_call_and_no_result_stands_alone(
    before: tuple[Message, ...], added: list[Message], data: st.DataObject, budget: int
) -> None:
    transcript = transcript_of(before)
    folded = 0
    for message in added:
        await add(transcript, [message])
        steps = transcript.oldest_steps(data.draw(st.integers(0, 800)))
        does_fold: bool = data.draw(st.booleans())
        if steps and does_fold:
            folded += len(steps)
            transcript.fold(StepSummary("What I did.", folded))
        if data.draw(st.booleans()):
            transcript.shorten_results(
                keep_tokens=data.draw(st.integers(0, 800)),
                result_tokens=64,
                least_saved_tokens=0,
                can_read_on=True,
            )
        request = shown(transcript, budget)
        assert broken_rules(request.messages) == []
        assert GOAL in text_of(request)
        assert not folded or budget < 500 or "What I did." in text_of(request)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
async def test_even_a_summary_that_ends_within_a_step_leaves_no_half_of_it(count: int) -> None:
    transcript = transcript_of()
    for number in range(4):
        await add(transcript, step(number, calls=2))
    transcript.fold(StepSummary("What I did.", count))
    assert broken_rules(shown(transcript, 10_000).messages) == []
