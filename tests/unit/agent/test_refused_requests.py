"""What the agent changes in a request that its model refuses: less of the window, no tools, another form."""

from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest

from nanobot.agent.limits import AgentSettings
from nanobot.core.errors import ContextOverflow, ModelBadAnswer, ModelLacksAbility
from nanobot.core.event import Delta
from nanobot.core.message import Message, Text, estimate_tokens, user
from nanobot.core.model import ModelRequest
from nanobot.core.turn import OutputFormat
from nanobot.testing import ScriptedModel
from tests.unit.agent.turn_at_work import EMPTY, Work, last_text, look

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
