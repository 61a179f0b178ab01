"""What of a transcript is shown, and how a cut one is made whole."""

from typing import Literal, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.context.history import (
    CAME_WITH,
    CAME_WITH_ANSWER,
    NO_RESULT,
    RESULT_ALONE,
    fit,
    left_out,
    repair,
)
from nanobot.core.errors import ContextOverflow
from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    Part,
    ProviderState,
    Role,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    estimate_tokens,
    user,
)

# Transcripts --------------------------------------------------------------------------------------

Kind = Literal["plain", "tools"]


def cost(messages: tuple[Message, ...]) -> int:
    return sum(estimate_tokens(message) for message in messages)


def said(text: str) -> Message:
    return Message("assistant", (Text(text),), "stop")


def without_notes(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages without those that show as the user's what came with results and answers."""
    notes = (RESULT_ALONE, CAME_WITH_ANSWER, CAME_WITH.partition("{")[0])
    return tuple(message for message in messages if not message.text.startswith(notes))


def exchange(number: int, chars: int, calls: int) -> tuple[Message, ...]:
    """A turn as the loop stores it: a question, maybe a step with tools, an answer."""
    question = user(f"question {number} {'q' * chars}")
    answer = said(f"answer {number} {'a' * chars}")
    if not calls:
        return question, answer
    ids = [f"call-{number}-{i}" for i in range(calls)]
    step = Message(
        "assistant", (Text("Let me see."), *(ToolCall(id_, "look", "{}") for id_ in ids)), "tool_calls"
    )
    results = (Message("tool", (ToolResult(id_, f"{number} {'r' * chars}"),)) for id_ in ids)
    return question, step, *results, answer


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Whole turns, and at the end a question that waits, perhaps with steps of its own already."""
    turns = draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), max_size=12))
    messages = [
        message for number, (chars, calls) in enumerate(turns) for message in exchange(number, chars, calls)
    ]
    messages.append(user("now " + "n" * draw(st.integers(0, 200))))
    for number in range(draw(st.integers(0, 5))):
        messages.extend(exchange(1_000 + number, draw(st.integers(0, 300)), draw(st.integers(1, 3)))[1:-1])
    return tuple(messages)


texts = st.sampled_from(["", "a", "words", " ", "é" * 3])
ids = st.sampled_from(["1", "2", "3", ""])
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, texts),
    st.builds(Thinking, texts),
    st.builds(Image, st.just("data:image/png;base64,AA==")),
    st.builds(Audio, st.just("UklG"), st.just("wav")),
    st.builds(File, st.just("a.txt"), texts),
    st.builds(ToolCall, ids, st.sampled_from(["look", ""]), st.sampled_from(["{}", "", "{"])),
    st.builds(ToolResult, ids, texts, st.booleans()),
)
stop_reasons: tuple[StopReason | None, ...] = (None, *get_args(StopReason))
anything: st.SearchStrategy[tuple[Message, ...]] = st.lists(
    st.builds(
        Message,
        st.sampled_from(get_args(Role)),
        st.lists(parts, max_size=4).map(tuple),
        st.sampled_from(stop_reasons),
    ),
    max_size=14,
).map(tuple)


def broken_rules(messages: tuple[Message, ...]) -> list[str]:
    """Return the rules of providers that `messages` break."""
    broken: list[str] = []
    waiting: list[str] = []
    for place, message in enumerate(messages):
        if message.role == "tool":
            (result,) = message.parts
            assert isinstance(result, ToolResult)
            if result.call_id in waiting:
                waiting.remove(result.call_id)
            else:
                broken.append(f"{place}: a result that no call right before it waits for")
            continue
        if waiting:
            broken.append(f"{place}: calls {waiting} have no result")
        waiting = [call.id for call in message.tool_calls] if message.role == "assistant" else []
        if len(set(waiting)) != len(waiting):
            broken.append(f"{place}: two calls with one id")
        allowed = Text | Image | Audio | File if message.role == "user" else Text | ToolCall
        if not all(isinstance(part, allowed) for part in message.parts):
            broken.append(f"{place}: a part that its role cannot have")
        if not any(not isinstance(part, Text) or part.text for part in message.parts):
            broken.append(f"{place}: nothing in it")
    if waiting:
        broken.append(f"end: calls {waiting} have no result")
    return broken


# fit ----------------------------------------------------------------------------------------------


def test_a_conversation_that_fits_is_shown_whole() -> None:
    messages = (*exchange(1, 10, 2), user("and now?"))
    assert fit(messages, cost(messages)) == messages


def test_no_messages_are_no_messages() -> None:
    assert fit((), 100) == ()


@given(messages=conversations(), budget=st.integers(1, 3_000), steps=st.integers(0, 5))
def test_nothing_of_what_is_left_out_of_a_question_is_shown(
    messages: tuple[Message, ...], budget: int, steps: int
) -> None:
    """So that it need not be loaded: what is shown is the same without it, also once steps have come."""
    asked = max(index for index, message in enumerate(messages) if message.role == "user") + 1
    question, added = messages[:asked], messages[asked : asked + steps]
    left = left_out(cost(question), budget)
    first = next(index for index in range(asked) if cost(question[: index + 1]) > left)

    def shown(loaded: int) -> tuple[Message, ...] | str:
        try:
            return fit((*question[loaded:], *added), budget, skipped_tokens=cost(question[:loaded]))
        except ContextOverflow as error:
            return str(error)

    assert shown(first) == shown(0)


@given(conversations(), st.integers(80, 2_000))
def test_what_is_shown_never_costs_more_than_the_budget_and_the_question_that_stays(
    messages: tuple[Message, ...], budget: int
) -> None:
    shown = fit(messages, budget)
    question = next(message for message in reversed(messages) if message.role == "user")
    assert question in shown
    rest = list(shown)
    if shown != messages[len(messages) - len(shown) :]:
        rest.remove(question)
    assert cost(tuple(rest)) <= budget


@given(conversations(), st.integers(80, 2_000))
def test_the_oldest_are_left_out_first(messages: tuple[Message, ...], budget: int) -> None:
    """The model sees an end of the transcript; of a turn too long for the window, its question and an end."""
    shown = fit(messages, budget)
    asked = max(i for i, message in enumerate(messages) if message.role == "user")
    tail = shown if shown == messages[len(messages) - len(shown) :] else shown[1:]
    assert tail == messages[len(messages) - len(tail) :]
    assert shown == tail or (shown[0] == messages[asked] and len(tail) < len(messages) - asked)


@given(conversations(), st.integers(80, 2_000))
def test_no_result_is_shown_without_its_call_nor_a_call_without_its_result(
    messages: tuple[Message, ...], budget: int
) -> None:
    assert broken_rules(messages) == []
    assert broken_rules(fit(messages, budget)) == []


@given(conversations(), st.integers(80, 2_000))
def test_what_is_shown_starts_with_a_question(messages: tuple[Message, ...], budget: int) -> None:
    assert fit(messages, budget)[0].role == "user"


@given(conversations(), st.integers(80, 2_000), st.data())
def test_how_much_of_the_past_was_read_makes_no_difference(
    messages: tuple[Message, ...], budget: int, data: st.DataObject
) -> None:
    """A store hands out the newest messages only, and says what the older ones cost."""
    asked = max(i for i, message in enumerate(messages) if message.role == "user")
    enough = [i for i in range(asked + 1) if cost(messages[i:]) >= budget]
    read_from = data.draw(st.sampled_from(enough or [0]))
    assert fit(messages[read_from:], budget, skipped_tokens=cost(messages[:read_from])) == fit(
        messages, budget
    )


@settings(max_examples=20)
@given(st.integers(400, 3_000), st.integers(0, 120))
def test_the_cut_stands_still_until_a_quarter_of_the_budget_has_come(budget: int, chars: int) -> None:
    """Each time the first message shown changes, at least a quarter of the budget was said since it changed
    before.
    """
    messages: tuple[Message, ...] = ()
    first: Message | None = None
    moved_at: list[int] = []
    while cost(messages) < 3 * budget:
        before = cost(messages)
        messages += exchange(len(messages), chars, len(messages) % 3)
        now = fit((*messages, user("?")), budget)[0]
        if first is not None and now != first:
            assert not moved_at or cost(messages) - moved_at[-1] >= budget // 4
            moved_at.append(before)
        first = now
    assert moved_at, "the window never moved"


def test_between_two_moves_of_the_cut_everything_shown_before_is_shown_again_in_the_same_place() -> None:
    budget = 1_000
    messages: tuple[Message, ...] = ()
    shown: tuple[Message, ...] = ()
    kept = moved = 0
    for number in range(120):
        messages += exchange(number, 40, number % 2)
        now = fit(messages, budget)
        if now[: len(shown)] == shown:
            kept += 1
        else:
            moved += 1
        shown = now
    assert moved <= 4 * cost(messages) // budget
    assert kept > 3 * moved


def test_a_question_larger_than_the_window_is_refused_with_its_size_and_the_way_out() -> None:
    with pytest.raises(ContextOverflow) as caught:
        fit((user("hi"), said("hello"), user("x" * 4_000)), 500)
    assert caught.value.message == (
        "the message has about 1004 tokens, more than the window leaves for it beside the prompt, the tools"
        " and the answer: shorten it, or choose a larger model"
    )
    assert caught.value.code == "context_length_exceeded"


def test_a_turn_longer_than_the_window_keeps_its_question_and_its_newest_steps() -> None:
    steps = tuple(message for number in range(20) for message in exchange(number, 200, 2)[1:-1])
    question = user("find it")
    shown = fit((user("old"), said("old"), question, *steps), 600)
    assert shown[0] == question
    assert shown[-1] == steps[-1]
    assert shown[1].tool_calls
    assert user("old") not in shown


# repair -------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(anything)
def test_whatever_was_stored_the_result_keeps_the_rules_of_every_provider(
    messages: tuple[Message, ...],
) -> None:
    assert broken_rules(repair(messages)) == []


@settings(max_examples=150)
@given(anything)
def test_repairing_twice_changes_nothing_more(messages: tuple[Message, ...]) -> None:
    once = repair(messages)
    assert repair(once) == once


@given(conversations())
def test_a_whole_transcript_stays_as_it_is(messages: tuple[Message, ...]) -> None:
    assert repair(messages) == messages


@given(conversations(), st.data())
def test_a_transcript_cut_anywhere_keeps_every_text_it_had(
    messages: tuple[Message, ...], data: st.DataObject
) -> None:
    """A crash cuts the end, the window the start: what was said stays, in order."""
    start = data.draw(st.integers(0, len(messages)))
    end = data.draw(st.integers(start, len(messages)))
    cut = messages[start:end]
    mended = repair(cut)
    assert broken_rules(mended) == []
    assert [message.text for message in without_notes(mended) if message.text] == [
        message.text for message in cut if message.text
    ]


@settings(max_examples=150)
@given(anything)
def test_what_users_and_the_model_said_is_never_lost_nor_changed_in_order(
    messages: tuple[Message, ...],
) -> None:
    for role in get_args(Role)[:2]:
        before = "".join(message.text for message in messages if message.role == role)
        after = without_notes(repair(messages))
        assert "".join(message.text for message in after if message.role == role) == before


def test_a_call_without_its_result_is_told_so() -> None:
    step = Message("assistant", (ToolCall("1", "look", "{}"),), "tool_calls")
    assert repair((user("go"), step, user("well?"))) == (
        user("go"),
        step,
        Message("tool", (ToolResult("1", NO_RESULT, is_error=True),)),
        user("well?"),
    )


def test_what_a_user_said_while_tools_ran_stands_after_their_results() -> None:
    step = Message("assistant", (ToolCall("1", "look", "{}"), ToolCall("2", "look", "{}")), "tool_calls")
    one, two = (Message("tool", (ToolResult(id_, "seen"),)) for id_ in "12")
    assert repair((user("go"), step, two, user("faster"), one)) == (
        user("go"),
        step,
        one,
        two,
        user("faster"),
    )


def test_a_result_without_its_call_is_shown_as_such() -> None:
    lone = user(f"{RESULT_ALONE}\nseen")
    result = Message("tool", (ToolResult("1", "seen"),))
    assert repair((result, user("hi"))) == (lone, user("hi"))
    assert repair((user("hi"), said("hello"), result)) == (user("hi"), said("hello"), lone)


def test_what_came_with_a_result_without_its_call_is_shown_behind_it() -> None:
    picture = Image("data:image/png;base64,AA==")
    (shown,) = repair((Message("tool", (ToolResult("1", " "), picture)),))
    assert shown == Message("user", (Text(RESULT_ALONE), picture))


def test_a_result_that_stands_after_the_next_answer_no_longer_belongs_to_its_call() -> None:
    step = Message("assistant", (ToolCall("1", "look", "{}"),), "tool_calls")
    late = Message("tool", (ToolResult("1", "late"),))
    shown = repair((user("go"), step, said("done"), late))
    assert shown[2].tool_results[0].content == NO_RESULT
    assert shown[-1] == user(f"{RESULT_ALONE}\nlate")


def test_an_answer_that_was_cut_and_went_on_is_one_message() -> None:
    first = Message("assistant", (Text("one, tw"),), "length")
    second = Message("assistant", (Text("o, three"),), "stop")
    (asked, whole) = repair((user("count"), first, second))
    assert asked == user("count")
    assert whole.text == "one, two, three"
    assert whole.stop_reason == "stop"


def test_an_answer_that_was_cut_goes_on_behind_a_message_of_thoughts_alone() -> None:
    first = Message("assistant", (Text("one, tw"),), "length")
    thought = Message("assistant", (Thinking("where was I?"),), "stop")
    (_, whole) = repair((user("count"), first, thought, said("o, three")))
    assert whole.text == "one, two, three"


@pytest.mark.parametrize("why", ["stop", "incomplete", "content_filter"])
def test_two_answers_that_ended_stay_two(why: StopReason) -> None:
    first = Message("assistant", (Text("one"),), why)
    assert repair((user("count"), first, said("two"))) == (user("count"), first, said("two"))


def test_thoughts_that_no_provider_wants_back_are_never_sent() -> None:
    thought = Message("assistant", (Thinking("secret"), Text("hello")), "stop")
    assert repair((user("hi"), thought, Message("assistant", (Thinking("only"),), "stop")))[1:] == (
        said("hello"),
    )


def test_a_message_of_empty_texts_alone_is_left_out() -> None:
    empty = Message("user", (Text(""),))
    assert repair((empty, user("hi"), said(""), said("hello"), user("bye"))) == (
        user("hi"),
        said("hello"),
        user("bye"),
    )


def test_one_call_id_in_two_turns_gets_the_result_of_its_own_turn() -> None:
    """Some providers count their calls from zero in each answer."""
    step = Message("assistant", (ToolCall("call_0", "look", "{}"),), "tool_calls")
    old, new = (Message("tool", (ToolResult("call_0", text),)) for text in ("old", "new"))
    messages = (user("a"), step, old, said("x"), user("b"), step, new)
    assert repair(messages) == messages


@pytest.mark.parametrize(
    "arguments",
    ['{"a": ', "plain words", "[1]", '"text"', "null", pytest.param('{"a":' + "[" * 100_000, id="deep")],
)
def test_malformed_arguments_are_shown_as_an_object_that_holds_them(arguments: str) -> None:
    """Servers parse the arguments of past calls and refuse the whole request where they cannot."""
    step = Message("assistant", (ToolCall("1", "look", arguments),), "tool_calls")
    shown = repair((user("go"), step))[1].tool_calls[0]
    assert msgspec.json.decode(shown.arguments) == {"malformed": arguments}


@pytest.mark.parametrize("arguments", ["", " ", "{}", '{"a": [1, {"b": null}]}'])
def test_arguments_that_are_an_object_or_nothing_are_not_called_malformed(arguments: str) -> None:
    step = Message("assistant", (ToolCall("1", "look", arguments),), "tool_calls")
    assert repair((user("go"), step))[1].tool_calls[0].arguments.strip() in (arguments.strip(), "{}")


def test_reasoning_that_its_provider_wants_back_stays_beside_what_was_said() -> None:
    signed = Thinking("hm", ProviderState("anthropic", "signature", msgspec.Raw(b'"s"')))
    call = ToolCall("a", "look", "[1]", provider_state=signed.provider_state)
    said = Message("assistant", (signed, Thinking("secret"), Text("hello"), call), "tool_calls")
    repaired = repair((user("hi"), said, Message("assistant", (signed,), "stop")))
    assert repaired[1].parts[:2] == (signed, Text("hello"))
    assert repaired[1].tool_calls[0].provider_state == signed.provider_state
    assert [message.role for message in repaired] == ["user", "assistant", "tool"]
    assert estimate_tokens(said) > estimate_tokens(Message("assistant", said.parts[1:], "tool_calls"))
