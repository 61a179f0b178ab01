"""Answers that are empty, cut or broken off, and malformed calls: asked for again, within bounds."""

import msgspec
import pytest

from nanobot.context import prompt
from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import TextDelta
from nanobot.core.message import Message, Text, Thinking, Usage, reply_text
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.openai.request import encode
from nanobot.testing import Say, ScriptedModel, call
from tests.unit.agent.turn_at_work import EMPTY, Work, ends, last_text, look

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
