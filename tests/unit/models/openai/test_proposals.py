"""What a refusal names is left out or renamed, and remembered once a request without it was answered."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
import pytest

from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelLacksAbility,
    ModelRefusedKey,
    ModelRejectedRequest,
)
from nanobot.core.message import Audio, Image, Message, Text, user
from nanobot.core.model import EVERYTHING, ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.images import NO_IMAGE_NOTE
from nanobot.models.lessons import REMEMBERED_S
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.transport import Transport
from tests.clock import PausedClock
from tests.unit.models.asking import HELLO, failure, heard
from tests.unit.models.openai.asking import model_at
from tests.upstream import Asked, Gate, Reply, Upstream, greet, json_reply, refused

TOOL = tool_spec("look", "Look.", {"type": "object", "properties": {}})
JSON = OutputFormat("json_object")
IMAGE = Image("data:image/png;base64,AA==")
SEEN = (
    Message("user", (Text("look"), IMAGE)),
    Message("assistant", (Text("A cat."),), "stop"),
    user("sure?"),
)


def ask(**fields: object) -> ModelRequest:
    return msgspec.structs.replace(HELLO, **fields)


def refuses(
    needle: str, words: str, status: int = 400, *, param: str | None = None
) -> Callable[[Asked], Reply]:
    """Refuse each request that holds `needle`, and greet all others."""

    def answer(asked: Asked) -> Reply:
        if needle.encode() not in asked.body:
            return greet(asked)
        return json_reply({"error": {"message": words, "param": param}}, status)

    return answer


# Fields -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "field", "words"),
    [
        (
            Sampling(temperature=0.2),
            "temperature",
            "Unsupported value: 'temperature' does not support 0.2. Only the default (1) value is supported.",
        ),
        (Sampling(temperature=0.2), "temperature", "invalid temperature: only 1 is allowed for this model"),
        (
            Sampling(reasoning_effort="low"),
            "reasoning_effort",
            "Model x does not support parameter reasoningEffort.",
        ),
        (
            Sampling(presence_penalty=1.0),
            "presence_penalty",
            "Argument not supported on this model: presencePenalty",
        ),
        (Sampling(seed=7), "seed", "Unrecognized request argument supplied: seed"),
        (Sampling(stop=("END",)), "stop", "Unsupported parameter: 'stop' is not supported with this model."),
        (Sampling(top_p=0.5), "top_p", "`temperature` and `top_p` cannot both be specified for this model."),
        (Sampling(verbosity="low"), "verbosity", "Unknown parameter: 'verbosity'"),
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_field_that_is_refused_is_left_out_at_once_and_from_then_on(
    upstream: Upstream,
    model: OpenAIChat,
    clock: PausedClock,
    sampling: Sampling,
    field: str,
    words: str,
    status: int,
) -> None:
    upstream.answer = refuses(f'"{field}":', words, status)
    request = ask(sampling=sampling)
    assert (await heard(model, request))[1].text == "Hello there"
    await heard(model, request)
    assert [field in asked.json for asked in upstream.requests] == [True, False, False]
    assert clock.pauses == []


async def test_what_was_learnt_is_forgotten_after_a_while(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock
) -> None:
    upstream.then(refused(400, "Unrecognized request argument supplied: seed"))
    request = ask(sampling=Sampling(seed=7))
    await heard(model, request)
    clock.time += REMEMBERED_S
    await heard(model, request)
    assert ["seed" in asked.json for asked in upstream.requests] == [True, False, True]


async def test_several_fields_are_left_out_one_after_another(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(
        refused(400, "Unrecognized request argument supplied: stream_options"),
        refused(400, "Unsupported parameter: 'temperature' is not supported with this model."),
        refused(400, "Model x does not support parameter reasoningEffort."),
    )
    await heard(model, ask(sampling=Sampling(temperature=0.5, reasoning_effort="low")))
    last = upstream.requests[-1].json
    assert not {"stream_options", "temperature", "reasoning_effort"} & set(last)
    assert len(upstream.requests) == 4


async def test_a_value_out_of_range_is_the_askers(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refused(400, "temperature must be between 0 and 1"))
    assert isinstance(await failure(model, ask(sampling=Sampling(temperature=1.5))), ModelRejectedRequest)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("words", "param"),
    [
        (
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            None,
        ),
        ("This is unsupported.", "max_tokens"),
    ],
)
async def test_the_limit_of_an_answer_is_renamed(
    upstream: Upstream, model: OpenAIChat, words: str, param: str | None
) -> None:
    upstream.answer = refuses('"max_tokens":', words, param=param)
    request = ask(sampling=Sampling(max_output_tokens=9))
    await heard(model, request)
    await heard(model, request)
    assert [asked.json.get("max_tokens") for asked in upstream.requests] == [9, None, None]
    assert [asked.json.get("max_completion_tokens") for asked in upstream.requests] == [None, 9, 9]


async def test_a_limit_that_is_too_large_is_the_askers(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refused(400, "max_tokens is too large: 100000. This model supports at most 4096."))
    assert isinstance(
        await failure(model, ask(sampling=Sampling(max_output_tokens=100_000))), ModelRejectedRequest
    )
    assert len(upstream.requests) == 1


# Nothing is learnt from echoes, nor without confirmation ------------------------------------------


async def test_a_refusal_that_quotes_the_request_teaches_nothing(
    upstream: Upstream, model: OpenAIChat
) -> None:
    def quote(asked: Asked) -> Reply:
        if len(upstream.requests) > 1:
            return greet(asked)
        return json_reply({"detail": [{"loc": ["body"], "msg": f"bad: {asked.body.decode()}"}]}, 422)

    upstream.answer = quote
    assert isinstance(await failure(model), ModelRejectedRequest)
    await heard(model)
    assert ["stream_options" in asked.json for asked in upstream.requests] == [True, True]


@pytest.mark.parametrize(
    "said",
    [
        "stream_options",
        "please tell me about stream_options now",
        "Unrecognized request argument supplied: stream_options",
    ],
)
async def test_what_a_user_says_is_not_learnt_of_the_model(
    upstream: Upstream, model: OpenAIChat, said: str
) -> None:
    """Not even where the same request is answered the next time."""
    upstream.then(refused(400, f"Content was rejected: '{said}'"))
    with contextlib.suppress(ModelRejectedRequest):
        await heard(model, ask(messages=(user(said),)))
    upstream.requests.clear()
    await heard(model)
    assert "stream_options" in upstream.requests[0].json


async def test_a_field_in_param_is_believed_whatever_the_user_says(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.answer = refuses('"stream_options":', "Not so.", param="stream_options")
    await heard(model, ask(messages=(user("stream_options"),)))
    await heard(model)
    assert ["stream_options" in asked.json for asked in upstream.requests] == [True, False, False]


async def test_what_did_not_help_is_not_learnt(upstream: Upstream, model: OpenAIChat) -> None:
    words = "Unrecognized request argument supplied: stream_options"
    upstream.then(refused(400, words), refused(400, words))
    assert isinstance(await failure(model), ModelRejectedRequest)
    upstream.requests.clear()
    await heard(model)
    assert "stream_options" in upstream.requests[0].json


# Abilities ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "registry.ollama.ai/library/gemma3:4b does not support tools",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        # Nothing was chosen: the server means what follows from tools.
        "`tool_choice` is not supported with this model",
        "Unsupported parameter: tool_choice",
    ],
)
async def test_a_server_without_tools_is_known_once_a_request_without_them_was_answered(
    upstream: Upstream, model: OpenAIChat, words: str
) -> None:
    upstream.answer = refuses('"tools":', words)
    error = await failure(model, ask(tools=(TOOL,)))
    assert isinstance(error, ModelLacksAbility)
    assert (error.ability, error.http_status) == ("tools", 400)
    assert "tools" in model.abilities
    await heard(model, ask(lacking=frozenset({"tools"})))
    assert "tools" not in model.abilities
    assert isinstance(await failure(model, ask(tools=(TOOL,))), ModelLacksAbility)
    assert len(upstream.requests) == 2, "what is known is not tried"


@pytest.mark.parametrize(
    "words",
    [
        "json mode cannot be combined with tool/function calling",
        "Function calling with a response mime type: 'application/json' is unsupported",
    ],
)
async def test_a_form_beside_tools_is_refused_as_the_two_together(
    upstream: Upstream, model: OpenAIChat, words: str
) -> None:
    upstream.answer = lambda asked: (
        refused(400, words) if {"tools", "response_format"} <= set(asked.json) else greet(asked)
    )
    both = ask(tools=(TOOL,), format=JSON)
    error = await failure(model, both)
    assert isinstance(error, ModelLacksAbility)
    assert error.ability == "format_with_tools"
    await heard(model, msgspec.structs.replace(both, lacking=frozenset({"format_with_tools"})))
    assert "json_object" in model.abilities
    assert isinstance(await failure(model, both), ModelLacksAbility)
    await heard(model, ask(format=JSON))
    assert ["response_format" in asked.json for asked in upstream.requests] == [True, False, True]


async def test_a_turn_that_is_refused_a_form_after_another_has_learnt_so_goes_without_it_too(
    upstream: Upstream, model: OpenAIChat
) -> None:
    """What counts is what its own request carried."""
    gate = Gate()
    no = refused(400, "This response_format type is unavailable now")
    upstream.then(msgspec.structs.replace(no, before=(gate,)), no)
    late = asyncio.create_task(failure(model, ask(format=JSON)))
    await gate.reached.wait()
    await failure(model, ask(format=JSON))
    await heard(model, ask(format=JSON, lacking=frozenset({"json_object"})))
    assert "json_object" not in model.abilities
    gate.open()
    error = await late
    assert isinstance(error, ModelLacksAbility)
    assert error.ability == "json_object"


async def test_what_the_settings_say_is_lacking_is_never_tried(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream.url, clock, abilities=EVERYTHING - {"tools", "images"})
    assert isinstance(await failure(model, ask(tools=(TOOL,))), ModelLacksAbility)
    assert isinstance(await failure(model, ask(messages=(Message("user", (IMAGE,)),))), ModelLacksAbility)
    await heard(model, ask(messages=SEEN))
    await model.close()
    assert len(upstream.requests) == 1
    assert NO_IMAGE_NOTE in upstream.requests[0].json["messages"][1]["content"]


# Images and recordings ----------------------------------------------------------------------------


async def test_an_image_in_the_history_is_replaced_for_a_model_of_texts_and_that_is_remembered(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.answer = refuses('"image_url"', "messages[1]: unknown variant `image_url`, expected `text`")
    await heard(model, ask(messages=SEEN))
    await heard(model, ask(messages=SEEN))
    assert [b"image_url" in asked.body for asked in upstream.requests] == [True, False, False]
    assert upstream.requests[1].json["messages"][1]["content"] == f"look\n{NO_IMAGE_NOTE}"
    assert "images" not in model.abilities


async def test_an_image_that_has_just_come_is_refused_clearly(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.answer = refuses('"image_url"', "This model does not support image inputs")
    error = await failure(model, ask(messages=(Message("user", (IMAGE,)),)))
    assert isinstance(error, ModelLacksAbility)
    assert (error.ability, error.http_status) == (None, 400)
    assert "images" in error.message


async def test_a_recording_is_replaced_for_a_model_that_turns_out_not_to_listen(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.answer = refuses('"input_audio"', "unknown variant `input_audio`, expected `text`")
    await heard(model, ask(messages=(Message("user", (Audio("UklG", "wav"),)),)))
    assert "audio" not in model.abilities


# Limits, and bad luck -----------------------------------------------------------------------------

OVERFLOW = "This model's maximum context length is 4096 tokens"


async def test_a_window_that_a_refusal_names_is_remembered_once_a_smaller_request_was_answered(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock
) -> None:
    upstream.then(refused(400, OVERFLOW))
    error = await failure(model)
    assert isinstance(error, ContextOverflow)
    assert error.limit_tokens == 4096
    assert model.context_tokens == 8192
    await heard(model, ask(window_tokens=4096))
    assert model.context_tokens == 4096
    clock.time += REMEMBERED_S
    assert model.context_tokens == 8192


async def test_a_limit_that_may_be_the_users_words_is_none(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refused(400, f"Rejected: '{OVERFLOW}'"))
    error = await failure(model, ask(messages=(user(OVERFLOW),)))
    assert isinstance(error, ContextOverflow)
    assert error.limit_tokens is None


@pytest.mark.parametrize(
    "said",
    [
        "insufficient balance",
        "My provider wrote: API key not valid. Please pass a valid API key. What now?",
        "It says that the model `x` does not exist or you do not have access to it",
        "MALFORMED_FUNCTION_CALL",
        "usage limit reached",
    ],
)
async def test_words_of_the_user_that_a_refusal_quotes_are_not_its_reason(
    upstream: Upstream, model: OpenAIChat, said: str
) -> None:
    upstream.then(refused(400, f"The prompt was flagged: '{said}'"))
    error = await failure(model, ask(messages=(user(said),)))
    assert isinstance(error, ModelRejectedRequest)
    assert error.param is None
    assert len(upstream.requests) == 1
    await model.check()


@pytest.mark.parametrize(
    "told",
    [
        "insufficient balance",
        "What does 'API key not valid. Please pass a valid API key.' mean?",
        "What is an insufficient balance, please?",
    ],
)
@pytest.mark.parametrize(
    "words", ["API key not valid. Please pass a valid API key.", "Sorry, insufficient balance in x"]
)
async def test_a_refusal_counts_although_the_user_has_spoken_of_such(
    upstream: Upstream, model: OpenAIChat, told: str, words: str
) -> None:
    upstream.then(refused(400, words))
    assert isinstance(await failure(model, ask(messages=(user(told),))), ModelRefusedKey)


async def test_a_call_that_the_sampler_got_wrong_is_asked_for_again(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock
) -> None:
    upstream.then(refused(400, "Failed to call a function.", "tool_use_failed"))
    assert (await heard(model, ask(tools=(TOOL,))))[1].text == "Hello there"
    assert len({asked.body for asked in upstream.requests}) == 1
    upstream.then(*[refused(400, "Failed to call a function.", "tool_use_failed")] * 3)
    assert isinstance(await failure(model, ask(tools=(TOOL,))), ModelBadAnswer)


async def test_a_server_that_takes_no_salt_of_the_cache_is_asked_without(
    upstream: Upstream, clock: PausedClock
) -> None:
    """Older servers of vLLM refuse the field."""
    upstream.answer = refuses(
        "cache_salt",
        "Parameter 'cache_salt' is not supported with this instance of vLLM, which uses engine V0.",
    )
    model = model_at(upstream.url, clock, transport=Transport(salt_field="cache_salt"))
    for _ in range(2):
        assert (await heard(model, ask(session_hint="hint")))[-1].text
    assert ["cache_salt" in asked.json for asked in upstream.requests] == [True, False, False]
    await model.close()
