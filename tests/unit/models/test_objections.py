"""What a refusal objects to, in words of its own."""

import msgspec
import pytest

from nanobot.models.objections import OBJECTIONS, Objection, ObjectionWording, RefusalText
from nanobot.models.refusal_body import read_refusal

SENT = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "hi"}]})


def text(words: str, sent: bytes = SENT) -> RefusalText:
    return RefusalText(read_refusal(msgspec.json.encode({"error": {"message": words}})), sent)


@pytest.mark.parametrize("wording", OBJECTIONS, ids=[wording.example[:40] for wording in OBJECTIONS])
def test_each_wording_objects_to_what_its_row_says(wording: ObjectionWording) -> None:
    assert text(wording.example).objection(wording.objection)


@pytest.mark.parametrize("wording", OBJECTIONS, ids=[wording.example[:40] for wording in OBJECTIONS])
def test_the_words_of_the_user_object_to_nothing(wording: ObjectionWording) -> None:
    sent = msgspec.json.encode({"messages": [{"role": "user", "content": f"Explain: {wording.example}"}]})
    assert not text(f"Bad content: Explain: {wording.example}", sent).objection(wording.objection)


@pytest.mark.parametrize(
    ("objection", "words"),
    [
        ("tools", "Tool use has not been enabled, because it is unsupported by this model"),
        ("tools", "tools not supported"),
        ("tools", "function calling is disabled for this model"),
        ("tools", "The model doesn't have tool support"),
        ("images", "Content type 'image_url' is not supported"),
        ("images", "Image input not supported for model moonshot-v1-8k"),
        ("images", "messages.0.content: Input should be a valid string"),
        ("images", "The model is text-only"),
        ("format", "structured output not supported"),
        ("format", "guided_json is not available"),
        ("format_with_tools", "Tool calling cannot be used together with JSON schema output"),
        ("format_with_tools", "response_format and tools cannot both be specified"),
        ("format_with_tools", "JSON mode is not supported with tool calling"),
        ("format_with_tools", "response_format is not supported when tools are provided"),
        ("format_with_tools", "It is not possible to use json mode and tools"),
    ],
)
def test_a_thing_is_objected_to_in_many_words(objection: Objection, words: str) -> None:
    assert text(words).objection(objection)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("stop", "Argument not supported on this model: stop"),
        ("stop", "Stop parameter is not supported"),
        ("stop", "stop: Extra inputs are not permitted"),
        ("seed", "Extra inputs are not permitted: seed"),
        ("seed", "Unsupported parameters: temperature, seed"),
        ("stop", "Unsupported parameters: temperature, seed and stop"),
        ("reasoning_effort", 'think value "low" is not supported for this model'),
        ("reasoning_effort", "Thinking level low is not supported for this model"),
        ("frequency_penalty", "Penalty is not enabled for this model"),
        ("temperature", "`temperature` may only be set to 1 when thinking is enabled"),
    ],
)
def test_a_field_is_named_in_many_words(field: str, words: str) -> None:
    assert text(words).names(field)
    assert text(words).says_unsupported


@pytest.mark.parametrize(
    "words",
    ["please stop", "the seed is a plant", "user hi is not known", "not allowed: go, then please stop"],
)
def test_plain_words_name_no_field(words: str) -> None:
    assert not any(text(words).names(field) for field in ("stop", "seed", "user"))


@pytest.mark.parametrize(
    "words",
    [
        "temperature must be below 2",
        "no",
        "messages: roles must alternate",
        "parallel_tool_calls is not supported by this model",
        "This model does not support parallel_tool_calls",
        "Unrecognized request argument supplied: parallel_tools",
    ],
)
def test_other_words_object_to_nothing(words: str) -> None:
    assert not any(text(words).objection(wording.objection) for wording in OBJECTIONS)
