"""What a model of the Gemini API refuses is left out, and remembered for a while."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ModelLacksAbility, ModelRejectedRequest
from nanobot.core.message import Audio, Image, Message, Text, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolChoice
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.lessons import REMEMBERED_S
from tests.clock import PausedClock
from tests.gemini_api import DUMMY, answer, answered, invalid, said
from tests.unit.models.asking import HELLO, body_of, failure, heard
from tests.unit.models.gemini.speech import LOOK, model_at, state
from tests.upstream import Asked, Reply, Upstream

CALLED = (
    user("go"),
    Message("assistant", (ToolCall("a", "look", "{}", provider_state=state("YmFk")),), "tool_calls"),
    Message("tool", (ToolResult("a", "x"),)),
)
SEEN = (
    Message("user", (Text("look"), Image("data:image/png;base64,AA=="))),
    Message("assistant", (Text("A cat."),), "stop"),
    user("sure?"),
)


def refuses(needle: str, words: str) -> Callable[[Asked], Reply]:
    """Refuse each request that holds `needle`, and greet all others."""

    def reply(asked: Asked) -> Reply:
        return invalid(words) if needle.encode() in asked.body else answered(*said("Hello there"))

    return reply


def ask(**fields: object) -> ModelRequest:
    return msgspec.structs.replace(HELLO, **fields)


SAMPLED = ask(sampling=Sampling(seed=7, presence_penalty=0.5, reasoning_effort="high"))
REFUSALS = [
    ('"presencePenalty"', "Penalty is not enabled for models/gemini-3-flash", SAMPLED),
    ('"seed"', "seed is not supported by this model", SAMPLED),
    ('"thinkingConfig"', "Thinking is not enabled for models/gemini-3-flash", HELLO),
    ('"systemInstruction"', "Developer instruction is not enabled for models/gemma-3-27b-it", HELLO),
    (
        '"parametersJsonSchema"',
        "Unknown name \"parametersJsonSchema\" at 'tools[0].function_declarations[0]': Cannot find field.",
        ask(tools=(LOOK,)),
    ),
    (
        '"id"',
        "Invalid JSON payload received. Unknown name \"id\" at 'contents[1].parts[0].function_call'",
        ask(messages=CALLED, tools=(LOOK,)),
    ),
]


@pytest.mark.parametrize(("needle", "words", "request_"), REFUSALS)
async def test_what_is_refused_is_left_out_and_from_then_on(
    upstream: Upstream,
    model: GeminiContent,
    clock: PausedClock,
    needle: str,
    words: str,
    request_: ModelRequest,
) -> None:
    upstream.answer = refuses(needle, words)
    await heard(model, request_)
    await heard(model, request_)
    clock.time += REMEMBERED_S
    await heard(model, request_)
    sent = [needle.encode() in asked.body for asked in upstream.requests]
    assert sent in ([True, False, False, True, False], [True, True, False, False, True, True, False])


async def test_a_system_prompt_that_is_not_taken_stands_before_the_first_question(
    upstream: Upstream, model: GeminiContent
) -> None:
    upstream.answer = refuses(
        '"systemInstruction"', "Developer instruction is not enabled for models/gemma-3"
    )
    body = await body_of(upstream, model, HELLO)
    assert body["contents"][0]["parts"] == [{"text": "Be brief."}, {"text": "hi"}]


async def test_an_older_server_gets_the_schemas_that_it_knows(
    upstream: Upstream, model: GeminiContent
) -> None:
    upstream.answer = refuses('"parametersJsonSchema"', 'Unknown name "parametersJsonSchema"')
    body = await body_of(upstream, model, ask(tools=(LOOK,)))
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["parameters"] == {"type": "object", "properties": {"at": {"type": "string"}}}


@pytest.mark.parametrize(
    "words",
    [
        "Thinking level HIGH is not supported for this model.",
        "Thinking Budget 24576 is invalid for this model.",
    ],
)
async def test_a_level_of_thinking_that_is_refused_is_not_remembered(
    upstream: Upstream, model: GeminiContent, words: str
) -> None:
    upstream.then(invalid(words))
    await heard(model, SAMPLED)
    configs = [asked.json["generationConfig"]["thinkingConfig"] for asked in upstream.requests]
    assert configs == [{"includeThoughts": True, "thinkingLevel": "high"}, {"includeThoughts": True}]
    assert (await body_of(upstream, model, SAMPLED))["generationConfig"]["thinkingConfig"] == configs[0]


# Signatures ---------------------------------------------------------------------------------------


def signatures(body: dict[str, Any]) -> list[str | None]:
    return [
        part.get("thoughtSignature")
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


async def test_a_model_that_turns_out_to_want_signatures_gets_one_for_each_call(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream, clock, model="gemini-2.5-flash")
    bare = (user("go"), Message("assistant", (ToolCall("a", "look", "{}"),)), *CALLED[2:])
    upstream.then(invalid("Function call is missing a thought_signature in functionCall parts."))
    await heard(model, ask(messages=bare))
    await heard(model, ask(messages=bare))
    assert [signatures(asked.json) for asked in upstream.requests] == [[None], [DUMMY], [DUMMY]]
    await model.close()


@pytest.mark.parametrize("words", ["Corrupted thought signature.", "Thought signature is not valid"])
async def test_a_signature_that_is_refused_is_replaced_in_this_request_alone(
    upstream: Upstream, model: GeminiContent, words: str
) -> None:
    upstream.then(invalid(words))
    await heard(model, ask(messages=CALLED))
    await heard(model, ask(messages=CALLED))
    assert [signatures(asked.json) for asked in upstream.requests] == [["YmFk"], [DUMMY], ["YmFk"]]


# Abilities ----------------------------------------------------------------------------------------


async def test_a_form_beside_tools_is_refused_as_the_two_together(
    upstream: Upstream, model: GeminiContent
) -> None:
    words = "Function calling with a response mime type: 'application/json' is unsupported"
    upstream.answer = lambda asked: (
        invalid(words) if {b"tools", b"responseMimeType"} <= set(asked.body.split(b'"')) else answer(asked)
    )
    both = ask(tools=(LOOK,), format=OutputFormat("json_object"))
    error = await failure(model, both)
    assert isinstance(error, ModelLacksAbility)
    assert error.ability == "format_with_tools"
    await heard(model, msgspec.structs.replace(both, lacking=frozenset({"format_with_tools"})))
    assert isinstance(await failure(model, both), ModelLacksAbility)
    assert len(upstream.requests) == 2, "what is known is not tried"


@pytest.mark.parametrize(
    ("needle", "words", "request_", "ability"),
    [
        ('"tools"', "Function calling is not enabled for models/gemma-3-27b-it", ask(tools=(LOOK,)), "tools"),
        (
            '"responseMimeType"',
            "JSON mode is not enabled for models/gemma-3-27b-it",
            ask(format=OutputFormat("json_object")),
            "json_object",
        ),
        (
            '"responseJsonSchema"',
            "Invalid JSON payload received. Unknown name \"responseJsonSchema\" at 'generation_config'",
            ask(format=OutputFormat("json_schema", schema=msgspec.Raw(b"{}"))),
            "json_schema",
        ),
    ],
)
async def test_an_ability_that_a_model_lacks_is_known_once_a_request_without_it_was_answered(
    upstream: Upstream, model: GeminiContent, needle: str, words: str, request_: ModelRequest, ability: str
) -> None:
    upstream.answer = refuses(needle, words)
    error = await failure(model, request_)
    assert isinstance(error, ModelLacksAbility)
    assert error.ability == ability
    await heard(model, msgspec.structs.replace(request_, tools=(), lacking=frozenset({ability})))
    assert ability not in model.abilities


async def test_an_image_in_the_history_is_replaced_for_a_model_of_texts(
    upstream: Upstream, model: GeminiContent
) -> None:
    words = "Image input modality is not enabled for models/gemma-3-1b-it"
    upstream.answer = refuses('"inlineData"', words)
    await heard(model, ask(messages=SEEN))
    await heard(model, ask(messages=SEEN))
    assert [b"inlineData" in asked.body for asked in upstream.requests] == [True, False, False]
    assert isinstance(await failure(model, ask(messages=SEEN[:1])), ModelLacksAbility)


async def test_a_recording_is_replaced_for_a_model_that_turns_out_not_to_listen(
    upstream: Upstream, model: GeminiContent
) -> None:
    upstream.answer = refuses('"inlineData"', "Audio input modality is not enabled for models/gemma-3")
    await heard(model, ask(messages=(Message("user", (Audio("UklG", "wav"),)),)))
    assert "audio" not in model.abilities


# Nothing is learnt from echoes, nor without confirmation ------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "Developer instruction is not enabled for models/gemma-3",
        'Unknown name "parametersJsonSchema"',
        "Thinking is not enabled for models/gemini-3-flash",
        "seed is not supported by this model",
    ],
)
async def test_what_a_user_says_teaches_nothing(upstream: Upstream, model: GeminiContent, words: str) -> None:
    request = ask(messages=(user(words),), tools=(LOOK,), sampling=Sampling(seed=7))
    upstream.then(invalid(f"Content was rejected: '{words}'"))
    assert type(await failure(model, request)) is ModelRejectedRequest
    assert len(upstream.requests) == 1


async def test_what_did_not_help_is_not_learnt(upstream: Upstream, model: GeminiContent) -> None:
    upstream.then(*[invalid("Developer instruction is not enabled for models/gemma-3")] * 2)
    assert type(await failure(model)) is ModelRejectedRequest
    assert "systemInstruction" in await body_of(upstream, model, HELLO)


async def test_a_choice_that_is_refused_for_a_tool_that_is_not_there_is_the_askers(
    upstream: Upstream, model: GeminiContent
) -> None:
    request = ask(tools=(LOOK,), tool_choice=ToolChoice("required", "other"))
    assert type(await failure(model, request)) is ModelRejectedRequest
    assert len(upstream.requests) == 1
