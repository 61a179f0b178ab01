"""A chain of models: which one answers, and what is said of the others."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import get_args

import msgspec
import pytest

from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelLacksAbility,
    ModelMisconfigured,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
)
from nanobot.core.event import Delta, ModelChosen, TextDelta
from nanobot.core.message import Audio, Image, Message, PassedOver, Text, user
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.core.turn import OutputFormat
from nanobot.models.breaker import Breaker
from nanobot.models.fallback import ChainLink, FallbackModel
from nanobot.testing import FakeClock, Say, ScriptedModel

HELLO = ModelRequest("Be brief.", (user("hi"),))
ALL: frozenset[Ability] = frozenset(get_args(Ability))
PICTURE = Message("user", (Text("What is it?"), Image("data:image/png;base64,aGk=")))
RECORDING = Message("user", (Audio("aGk=", "wav"),))
TOOL = tool_spec("look", "Look something up.", {"type": "object"})
BUSY = ModelOverloaded("busy")


def a(*script: str | Say | ModelError, **options: int | frozenset[Ability]) -> ScriptedModel:
    return ScriptedModel(*script, name="one:a", **options)  # type: ignore[arg-type]


def b(*script: str | Say | ModelError, **options: int | frozenset[Ability]) -> ScriptedModel:
    return ScriptedModel(*script, name="two:b", **options)  # type: ignore[arg-type]


def chain(*models: ScriptedModel, clock: FakeClock | None = None, budget_s: float = 600) -> FallbackModel:
    clock = clock or FakeClock()
    return FallbackModel([ChainLink(model, Breaker(clock)) for model in models], clock, budget_s=budget_s)


Items = Sequence[ModelChosen | Delta | Message]


async def heard(model: FallbackModel, request: ModelRequest = HELLO) -> Items:
    return [item async for item in model.stream(request)]


async def answer(model: FallbackModel, request: ModelRequest = HELLO) -> Message:
    message = (await heard(model, request))[-1]
    assert isinstance(message, Message)
    return message


async def failure(model: FallbackModel, request: ModelRequest = HELLO) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value


# Who answers --------------------------------------------------------------------------------------


async def test_the_first_answers_where_it_can_and_nothing_is_said_of_others() -> None:
    first, second = a("hello"), b()
    items = await heard(chain(first, second))
    assert items[:-1] == [ModelChosen("one:a", ()), TextDelta("he"), TextDelta("llo")]
    assert second.requests == []
    message = items[-1]
    assert isinstance(message, Message)
    assert (message.model, message.passed_over) == ("one:a", ())


@pytest.mark.parametrize(
    "error",
    [
        ModelBadAnswer("nonsense"),
        ModelOverloaded("busy"),
        ModelRateLimited("slow down", retry_after_s=60),
        ModelRefusedKey("out of credit"),
        ModelTimeout("nothing came"),
        ModelUnavailable("no weights"),
        ModelUnreachable("no connection"),
        ModelMisconfigured("no such model"),
        ModelLacksAbility("takes no tools", ability="tools"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_next_one_answers_where_the_first_cannot(error: ModelError) -> None:
    first, second, *deltas, message = await heard(chain(a(error), b("hello")))
    passed = (PassedOver("one:a", error.code, error.message),)
    assert (first, second) == (ModelChosen("one:a", ()), ModelChosen("two:b", passed))
    assert deltas == [TextDelta("he"), TextDelta("llo")]
    assert isinstance(message, Message)
    assert (message.text, message.model, message.passed_over) == ("hello", "two:b", passed)


@pytest.mark.parametrize(
    "error",
    [ModelRejectedRequest("temperature of 9"), ModelRejectedRequest("content filter"), ModelError("?")],
)
async def test_a_request_that_is_refused_for_what_it_says_is_not_sent_elsewhere(error: ModelError) -> None:
    second = b()
    raised = await failure(chain(a(error), second))
    assert (type(raised), raised.message, second.requests) == (type(error), error.message, [])


async def test_each_model_is_asked_once_and_the_last_error_names_the_others() -> None:
    first, second = a(ModelRefusedKey("no")), b(BUSY)
    raised = await failure(chain(first, second))
    assert isinstance(raised, ModelOverloaded)
    assert raised.message == "busy (before it: one:a: model_refused_key)"
    assert [each.model for each in raised.passed_over] == ["one:a", "two:b"]
    assert (len(first.requests), len(second.requests)) == (1, 1)
    assert BUSY.message == "busy"


async def test_an_earlier_error_is_raised_where_that_one_may_pass() -> None:
    raised = await failure(chain(a(ModelRateLimited("slow down", retry_after_s=9)), b(ModelRefusedKey("no"))))
    assert isinstance(raised, ModelRateLimited)
    assert (raised.retry_after_s, raised.model) == (9, "one:a")


async def test_no_other_model_is_asked_once_the_time_is_over() -> None:
    clock = FakeClock()
    second = b()

    def slow(request: ModelRequest) -> ModelError:
        clock.advance(31)
        return ModelTimeout("nothing came within 31 s")

    first = ScriptedModel(slow, name="one:a")
    assert isinstance(await failure(chain(first, second, clock=clock, budget_s=30)), ModelTimeout)
    assert second.requests == []


# Once something was said --------------------------------------------------------------------------


async def test_an_answer_that_broke_off_is_not_gone_on_with_by_another() -> None:
    second = b()
    model = chain(a(Say(("Hel",), error=ModelBadAnswer("it broke off"))), second)
    items: list[ModelChosen | Delta | Message] = []
    with pytest.raises(ModelBadAnswer) as caught:
        async for item in model.stream(HELLO):
            items.append(item)  # noqa: PERF401 - what came before the failure counts
    assert (items[1:], second.requests) == ([TextDelta("Hel")], [])
    assert caught.value.passed_over == (PassedOver("one:a", "model_bad_answer", "it broke off"),)


async def test_who_asks_again_after_that_is_answered_by_another() -> None:
    first, second = a("never said"), b("hello")
    passed = (PassedOver("one:a", "model_bad_answer", "it broke off"),)
    chosen, *_, message = await heard(
        chain(first, second), msgspec.structs.replace(HELLO, passed_over=passed)
    )
    assert chosen == ModelChosen("two:b", passed)
    assert isinstance(message, Message)
    assert (message.text, message.passed_over, first.requests) == ("hello", passed, [])


async def test_the_one_that_broke_off_is_asked_again_where_no_other_can_answer() -> None:
    passed = (PassedOver("one:a", "model_bad_answer", "it broke off"),)
    message = await answer(chain(a("hello"), b(BUSY)), msgspec.structs.replace(HELLO, passed_over=passed))
    assert (message.text, message.model, message.passed_over) == ("hello", "one:a", ())


async def test_a_chain_that_is_left_early_closes_the_stream_and_frees_the_probe() -> None:
    clock = FakeClock()
    first = a(ModelTimeout("late"), Say(("Hel",), between=asyncio.Event()), "hello")
    model = chain(first, b(BUSY), clock=clock)
    await failure(model)
    clock.advance(30)
    async with aclosing(model.stream(HELLO)) as stream:
        assert await anext(stream) == ModelChosen("one:a", ())
        assert await anext(stream) == TextDelta("Hel")
    assert first.closed_streams == 1
    assert (await answer(model)).text == "hello"


# Breakers -----------------------------------------------------------------------------------------


async def test_a_model_that_asked_for_a_pause_is_not_asked_before_it_is_over() -> None:
    clock = FakeClock()
    first, second = a(ModelRateLimited("slow down", retry_after_s=60), "back again"), b("hello")
    model = chain(first, second, clock=clock)
    assert (await answer(model)).text == "hello"
    message = await answer(model)
    assert (message.text, len(first.requests)) == ("hello", 1)
    assert message.passed_over == (
        PassedOver(
            "one:a",
            "model_rate_limited",
            "one:a is not asked for another 60 s after model_rate_limited",
            False,
        ),
    )
    clock.advance(60)
    assert (await answer(model)).text == "back again"


async def test_while_all_have_asked_for_a_pause_the_shortest_is_told() -> None:
    first, second = a(ModelRateLimited("no", retry_after_s=60)), b(ModelRateLimited("no", retry_after_s=20))
    model = chain(first, second)
    await failure(model)
    raised = await failure(model)
    assert isinstance(raised, ModelRateLimited)
    assert raised.retry_after_s == 20
    assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_a_model_that_failed_is_asked_last_rather_than_not_at_all() -> None:
    first, second = a(ModelRefusedKey("no"), "hello"), b(ModelTimeout("late"))
    model = chain(first, second)
    await failure(model)
    assert (await answer(model)).text == "hello"


async def test_one_request_probes_while_the_others_go_to_the_next_model() -> None:
    clock = FakeClock()
    gate = asyncio.Event()
    first = a(ModelTimeout("late"), Say(("back",), before=gate))
    model = chain(first, b("hello"), clock=clock)
    await answer(model)
    clock.advance(30)
    first.asked.clear()
    probing = asyncio.ensure_future(answer(model))
    await first.asked.wait()
    assert (await answer(model)).text == "hello"
    gate.set()
    assert (await probing).text == "back"
    assert (await answer(model)).text == "back"


async def test_chains_that_share_a_model_share_what_is_known_of_it() -> None:
    clock = FakeClock()
    shared = ChainLink(a(ModelRefusedKey("no")), Breaker(clock))
    one = FallbackModel([shared, ChainLink(b("hello"), Breaker(clock))], clock, budget_s=600)
    other = FallbackModel([shared, ChainLink(b("hi"), Breaker(clock))], clock, budget_s=600)
    assert (await answer(one)).text == "hello"
    assert (await answer(other)).text == "hi"
    assert isinstance(shared.model, ScriptedModel)
    assert len(shared.model.requests) == 1


async def test_what_is_known_of_a_model_quotes_nothing_that_was_said() -> None:
    model = chain(a(ModelRefusedKey("you said CANARY")), b("hello"))
    assert "CANARY" in str((await answer(model)).passed_over)
    again = str((await answer(model)).passed_over)
    assert "model_refused_key" in again and "CANARY" not in again


# Abilities and windows ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "ability"), [(PICTURE, "images"), (RECORDING, "audio")], ids=["images", "audio"]
)
async def test_what_only_one_takes_goes_there(message: Message, ability: Ability) -> None:
    first, second = a("text", abilities=ALL - {ability}), b("seen and heard")
    model = chain(first, second)
    assert ability in model.abilities
    shown = ModelRequest("", (message,))
    said = await answer(model, shown)
    assert (said.text, first.requests) == ("seen and heard", [])
    assert said.passed_over == (PassedOver("one:a", "model_lacks_ability", f"one:a lacks {ability}", False),)
    assert (await answer(model)).text == "text"


async def test_a_question_about_an_older_image_goes_to_a_model_that_sees_it() -> None:
    first, second = a("text", abilities=ALL - {"images"}), b("I see it", BUSY)
    model = chain(first, second)
    follow_up = ModelRequest("", (PICTURE, Message("assistant", (Text("A cat."),)), user("What colour?")))
    assert (await answer(model, follow_up)).text == "I see it"
    assert (await answer(model, follow_up)).text == "text", "better without the image than not at all"


async def test_a_new_image_is_never_left_out_in_silence() -> None:
    model = chain(a("text", abilities=ALL - {"images"}), b(BUSY))
    assert isinstance(await failure(model, ModelRequest("", (PICTURE,))), ModelOverloaded)
    blind = chain(a(abilities=ALL - {"images"}), b(abilities=ALL - {"images"}))
    raised = await failure(blind, ModelRequest("", (PICTURE,)))
    assert (type(raised), raised.http_status) == (ModelLacksAbility, 400)


async def test_where_only_a_model_without_tools_is_left_the_asker_may_go_without() -> None:
    model = chain(a(BUSY), b("hello", abilities=ALL - {"tools"}))
    raised = await failure(model, msgspec.structs.replace(HELLO, tools=(TOOL,)))
    assert isinstance(raised, ModelLacksAbility)
    assert (raised.ability, raised.model, type(raised.instead_of)) == ("tools", "two:b", ModelOverloaded)
    again = msgspec.structs.replace(HELLO, lacking=frozenset({"tools"}), passed_over=raised.passed_over)
    assert (await answer(model, again)).text == "hello"


async def test_an_output_format_goes_to_a_model_that_holds_to_it() -> None:
    first, second = a("text", abilities=ALL - {"json_object"}), b("{}")
    model = chain(first, second)
    assert (
        await answer(model, msgspec.structs.replace(HELLO, format=OutputFormat("json_object")))
    ).text == "{}"


async def test_what_is_too_large_goes_to_a_larger_window_only() -> None:
    small, smaller, larger = (
        a(ContextOverflow("too long"), context_tokens=8_000),
        b("never", context_tokens=4_000),
        ScriptedModel("hello", name="three:c", context_tokens=64_000),
    )
    assert (await answer(chain(small, smaller, larger))).text == "hello"
    assert smaller.requests == []
    raised = await failure(chain(a(ContextOverflow("too long", limit_tokens=7)), b()))
    assert isinstance(raised, ContextOverflow)
    assert raised.limit_tokens == 7


async def test_a_request_that_does_not_fit_the_next_ones_window_is_to_be_made_smaller() -> None:
    second = b("hello", context_tokens=1_000)
    long = ModelRequest("", (user("x" * 8_000),))
    raised = await failure(chain(a(BUSY), second), long)
    assert isinstance(raised, ContextOverflow)
    assert (raised.limit_tokens, raised.model, second.requests) == (1_000, "two:b", [])


async def test_what_one_model_refused_is_not_taken_for_a_fact_about_another() -> None:
    first, second = a(BUSY), b()
    known = msgspec.structs.replace(
        HELLO, lacking=frozenset({"tools"}), window_tokens=1_000, refused_by="two:b"
    )
    await answer(chain(first, second), known)
    assert first.requests == [msgspec.structs.replace(known, lacking=frozenset(), window_tokens=None)]
    assert second.requests == [known]


# The rest of a model ------------------------------------------------------------------------------


class Failing(ScriptedModel):
    async def check(self) -> None:
        raise ModelUnreachable(f"{self.name} is away")


async def test_it_is_ready_while_one_of_its_models_is() -> None:
    await chain(Failing(name="one:a"), b()).check()
    with pytest.raises(ModelUnreachable, match="one:a is away"):
        await chain(Failing(name="one:a"), Failing(name="two:b")).check()


def test_it_has_the_name_and_the_window_of_its_first_model() -> None:
    model = chain(a(context_tokens=5_000), b())
    assert (model.name, model.context_tokens) == ("one:a", 5_000)
