"""What a model refuses is left out, and remembered for a while."""

from typing import Any

import pytest

from nanobot.core.errors import ModelLacksAbility, ModelRejectedRequest
from nanobot.core.message import Image, Message, Text, user
from nanobot.core.model import FORMAT_WITH_TOOLS, ModelRequest
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.openai_responses.responses import ABILITIES, OpenAIResponses
from tests.clock import PausedClock
from tests.responses_api import broken_by, invalid
from tests.unit.models.asking import HELLO, body_of, failure, heard
from tests.unit.models.openai_responses.talk import LOOK, looked, model_at, state
from tests.upstream import Upstream

PNG = "data:image/png;base64,iVBORw0KGgo="
FULL = ModelRequest(
    "",
    (
        Message("user", (Text("go"), Image(PNG))),
        *looked("1"),
        Message("assistant", (Text("so", state("phase", "final_answer")),), "stop"),
        user("on"),
    ),
    (LOOK,),
    sampling=Sampling(0.2, 0.9, reasoning_effort="minimal", parallel_tool_calls=True, verbosity="low"),
)


def field_of(body: dict[str, Any], name: str) -> object:
    """Return a field of a request, or one within a field; of items, how many there are."""
    if name in ("rs", "phase", "image"):
        marks = {"rs": '"reasoning"', "phase": '"phase"', "image": '"input_image"'}
        return str(body["input"]).replace("'", '"').count(marks[name])
    outer, _, inner = name.partition(".")
    found = body.get(outer)
    return found.get(inner) if inner and isinstance(found, dict) else found


REFUSALS: list[tuple[str, str | None, str | None, str, object]] = [
    (
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "temperature",
        None,
        "temperature",
        None,
    ),
    ("Unsupported parameter: 'top_p' is not supported with this model.", "top_p", None, "top_p", None),
    (
        "Your organization must be verified to generate reasoning summaries.",
        "reasoning.summary",
        "unsupported_value",
        "reasoning.summary",
        None,
    ),
    (
        "Unsupported value: 'minimal' is not supported with this model.",
        "reasoning.effort",
        "unsupported_value",
        "reasoning.effort",
        None,
    ),
    ("Encrypted content is not supported with this model.", "include", None, "include", None),
    ("Unknown parameter: 'include'.", None, None, "include", None),
    (
        "Unsupported parameter: 'text.verbosity' is not supported with this model.",
        "text.verbosity",
        None,
        "text.verbosity",
        None,
    ),
    ("Unknown parameter: 'input[4].phase'.", "input[4].phase", "unknown_parameter", "phase", 0),
    ("Invalid value: 'reasoning'. Supported values are: 'message'.", "input[1].type", None, "rs", 0),
]


@pytest.mark.parametrize(("words", "param", "code", "field", "left"), REFUSALS)
async def test_what_is_refused_is_left_out_and_remembered_for_an_hour(
    upstream: Upstream,
    model: OpenAIResponses,
    clock: PausedClock,
    words: str,
    param: str | None,
    code: str | None,
    field: str,
    left: object,
) -> None:
    upstream.then(invalid(words, param, code))
    assert (await heard(model, FULL))[1].text == "Hello there"
    first, second = upstream.requests
    assert field_of(first.json, field) != left
    assert field_of(second.json, field) == left
    assert field_of(await body_of(upstream, model, FULL), field) == left
    await clock.sleep(3_601)
    assert field_of(await body_of(upstream, model, FULL), field) != left


BAD = "The encrypted content gAAA...DQ== could not be verified."
BAD_REASONING = [
    (BAD, "invalid_encrypted_content"),
    (BAD, None),
    (f"{BAD[:-1]}. Reason: Encrypted content could not be decrypted or parsed.", None),
    ("Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.", None),
    ("Item 'rs_1' of type 'reasoning' was provided without its required following item.", None),
    ("Duplicate item found with id rs_1. Remove duplicate items from your input and try again.", None),
]


@pytest.mark.parametrize(("words", "code"), BAD_REASONING)
async def test_reasoning_that_is_refused_is_dropped_and_stays_so(
    upstream: Upstream, model: OpenAIResponses, clock: PausedClock, words: str, code: str | None
) -> None:
    upstream.then(invalid(words, "input", code))
    await heard(model, FULL)
    assert [field_of(asked.json, "rs") for asked in upstream.requests] == [1, 0]
    more = ModelRequest("", (*FULL.messages, *looked("2")), (LOOK,))
    body = await body_of(upstream, model, more)
    assert [item["id"] for item in body["input"] if item["type"] == "reasoning"] == ["rs_2"]
    other = ModelRequest("", (user("go"), *looked("3")), (LOOK,))
    assert field_of(await body_of(upstream, model, other), "rs") == 1
    await clock.sleep(3_601)
    assert field_of(await body_of(upstream, model, FULL), "rs") == 1


async def test_reasoning_is_dropped_where_the_response_fails_because_of_it(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    upstream.then(broken_by("invalid_encrypted_content", BAD))
    assert (await heard(model, FULL))[1].text == "Hello there"
    assert [field_of(asked.json, "rs") for asked in upstream.requests] == [1, 0]
    assert field_of(await body_of(upstream, model, FULL), "rs") == 0


async def test_reasoning_is_refused_once_a_request(upstream: Upstream, model: OpenAIResponses) -> None:
    upstream.then(*[invalid(BAD, None, "invalid_encrypted_content")] * 2)
    assert type(await failure(model, FULL)) is ModelRejectedRequest
    assert len(upstream.requests) == 2
    assert field_of(await body_of(upstream, model, FULL), "rs") == 1


async def test_several_things_may_be_refused_one_after_the_other(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    refusals = [invalid(words, param, code) for words, param, code, *_ in REFUSALS[:4]]
    upstream.then(*refusals)
    assert (await heard(model, FULL))[1].text == "Hello there"


@pytest.mark.parametrize(
    "words",
    [
        "Your message was flagged: unsupported parameter: 'temperature'",
        "Your message was flagged: encrypted content gAAA could not be verified",
    ],
)
async def test_words_that_quote_the_request_teach_nothing(
    upstream: Upstream, model: OpenAIResponses, words: str
) -> None:
    quoting = ModelRequest("", (*FULL.messages, user(words)), sampling=FULL.sampling)
    upstream.then(invalid(words))
    assert type(await failure(model, quoting)) is ModelRejectedRequest
    assert len(upstream.requests) == 1


# What the asker has to change ---------------------------------------------------------------------

FORM = ModelRequest("", (user("hi"),), (LOOK,), format=OutputFormat("json_schema"))


@pytest.mark.parametrize(
    ("words", "request_", "ability"),
    [
        (
            "Invalid parameter: 'text.format' of type 'json_schema' is not supported with this model.",
            FORM,
            "json_schema",
        ),
        ("json mode cannot be combined with tool/function calling", FORM, FORMAT_WITH_TOOLS),
        ("This model does not support tools", FULL, "tools"),
    ],
)
async def test_what_the_model_lacks_is_said_and_remembered_once_a_request_without_it_was_answered(
    upstream: Upstream, model: OpenAIResponses, words: str, request_: ModelRequest, ability: str
) -> None:
    upstream.then(invalid(words))
    error = await failure(model, request_)
    assert isinstance(error, ModelLacksAbility)
    assert error.ability == ability
    await heard(model, ModelRequest("", (user("hi"),), lacking=frozenset({ability})))
    assert ability not in model.abilities
    if ability in ("tools", FORMAT_WITH_TOOLS):
        assert type(await failure(model, request_)) is ModelLacksAbility
        assert len(upstream.requests) == 2


async def test_a_note_stands_for_an_image_of_the_history_and_a_new_one_is_refused(
    upstream: Upstream, model: OpenAIResponses
) -> None:
    upstream.then(invalid("This model does not support image inputs."))
    await heard(model, FULL)
    assert field_of(upstream.requests[-1].json, "image") == 0
    new = ModelRequest("", (Message("user", (Image(PNG),)),))
    assert type(await failure(model, new)) is ModelLacksAbility
    assert len(upstream.requests) == 2


async def test_settings_say_what_the_model_lacks(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, abilities=ABILITIES - {"tools"})
    assert type(await failure(model, FULL)) is ModelLacksAbility
    assert upstream.requests == []
    await model.close()


async def test_a_window_that_was_named_is_kept_to(upstream: Upstream, model: OpenAIResponses) -> None:
    assert model.context_tokens == 400_000
    await heard(model, ModelRequest("", HELLO.messages, window_tokens=8_192))
    assert model.context_tokens == 8_192
