"""What the Gemini API is asked."""

import msgspec
import pytest

from nanobot.core.errors import ConfigError, ModelLacksAbility
from nanobot.core.message import Image, Message, user
from nanobot.core.model import EVERYTHING, ModelRequest
from nanobot.core.tool import ToolChoice
from nanobot.core.turn import Labels, OutputFormat, Sampling
from nanobot.models.gemini.generate import GeminiContent
from tests.clock import PausedClock
from tests.unit.models.asking import HELLO, body_of, failure, heard
from tests.unit.models.gemini.speech import KEY, LOOK, model_at
from tests.upstream import Upstream

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


async def test_a_request_has_this_form(upstream: Upstream, model: GeminiContent) -> None:
    request = ModelRequest(
        "Be brief.",
        (user("what time?"),),
        (LOOK,),
        "Today is Monday.",
        Sampling(
            0.5, 0.9, 100, stop=("END",), seed=7, presence_penalty=1, frequency_penalty=0.5, verbosity="low"
        ),
        labels=Labels(user="ann@example.com"),
    )
    await heard(model, request)
    (asked,) = upstream.requests
    assert asked.path == "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse"
    assert asked.headers["x-goog-api-key"] == KEY
    assert "authorization" not in asked.headers
    assert asked.json == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "look",
                        "description": "Look.",
                        "parametersJsonSchema": {"type": "object", "properties": {"at": {"type": "string"}}},
                    }
                ]
            }
        ],
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "maxOutputTokens": 100,
            "stopSequences": ["END"],
            "seed": 7,
            "presencePenalty": 1.0,
            "frequencyPenalty": 0.5,
            "thinkingConfig": {"includeThoughts": True},
        },
        "contents": [{"role": "user", "parts": [{"text": "what time?"}, {"text": "Today is Monday."}]}],
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), None),
        (ToolChoice("none"), None),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("required", "look"), {"mode": "ANY", "allowedFunctionNames": ["look"]}),
    ],
)
async def test_the_choice_of_tools_is_passed_on(
    upstream: Upstream, model: GeminiContent, choice: ToolChoice, sent: dict[str, object] | None
) -> None:
    body = await body_of(upstream, model, ModelRequest("", (user("hi"),), (LOOK,), tool_choice=choice))
    assert body.get("toolConfig") == ({"functionCallingConfig": sent} if sent else None)


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (OutputFormat("json_object"), {"responseMimeType": "application/json"}),
        (
            OutputFormat("json_schema", schema=msgspec.Raw(msgspec.json.encode(SCHEMA))),
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        ),
    ],
)
async def test_a_form_of_the_answer_is_passed_on(
    upstream: Upstream, model: GeminiContent, form: OutputFormat, sent: dict[str, object]
) -> None:
    config = (await body_of(upstream, model, ModelRequest("", (user("hi"),), format=form)))[
        "generationConfig"
    ]
    assert {field: config[field] for field in config if field.startswith("response")} == sent


@pytest.mark.parametrize(
    ("name", "effort", "thinking"),
    [
        ("gemini-3-flash", None, {"includeThoughts": True}),
        ("gemini-3-flash", "none", {"includeThoughts": True, "thinkingLevel": "minimal"}),
        ("gemini-3-pro-preview", "none", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-3.1-pro", "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-flash-latest", "xhigh", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-2.5-flash", "none", {"includeThoughts": False, "thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", {"includeThoughts": False, "thinkingBudget": 128}),
        ("gemini-2.5-flash", "low", {"includeThoughts": True, "thinkingBudget": 1_024}),
        ("gemini-2.5-pro", "max", {"includeThoughts": True, "thinkingBudget": 24_576}),
        ("gemini-2.0-flash", "high", None),
        ("gemma-3-27b-it", None, None),
        ("gemini-2.5-flash-image", "high", None),
    ],
)
async def test_an_effort_is_asked_for_in_the_way_of_the_model(
    upstream: Upstream, clock: PausedClock, name: str, effort: str | None, thinking: dict[str, object] | None
) -> None:
    model = model_at(upstream, clock, model=name)
    request = ModelRequest("", (user("hi"),), sampling=Sampling(reasoning_effort=effort))
    body = await body_of(upstream, model, request)
    assert body.get("generationConfig", {}).get("thinkingConfig") == thinking
    await model.close()


@pytest.mark.parametrize(
    ("ending", "root"),
    [
        ("", "/v1beta"),
        ("/", "/v1beta"),
        ("/v1beta", "/v1beta"),
        ("/v1beta/", "/v1beta"),
        ("/v1beta/models", "/v1beta"),
        ("/v1", "/v1"),
        ("/v1beta/models/gemini-pro:generateContent", "/v1beta"),
        ("/v1/models/gemini-pro:streamGenerateContent", "/v1"),
    ],
)
async def test_an_address_may_be_set_with_its_path_or_without(
    upstream: Upstream, clock: PausedClock, ending: str, root: str
) -> None:
    model = model_at(upstream, clock, base_url=upstream.url.removesuffix("/v1") + ending)
    await heard(model)
    await model.check()
    answered, checked = (asked.path for asked in upstream.requests)
    assert answered == f"{root}/models/gemini-3-flash:streamGenerateContent?alt=sse"
    assert checked == f"{root}/models"
    await model.close()


async def test_a_model_elsewhere_is_named_by_its_path_and_a_query_is_kept(
    upstream: Upstream, clock: PausedClock
) -> None:
    base_url = upstream.url.removesuffix("/v1") + "/v1beta?trace=1"
    model = model_at(upstream, clock, model="tunedModels/mine", base_url=base_url)
    await failure(model)
    asked = upstream.requests[0].path
    assert asked == "/v1beta/tunedModels/mine:streamGenerateContent?trace=1&alt=sse"
    await model.close()


def test_a_key_with_a_line_break_is_refused(upstream: Upstream, clock: PausedClock) -> None:
    with pytest.raises(ConfigError, match="line break"):
        model_at(upstream, clock, api_key="sk\n")


async def test_what_the_settings_say_is_lacking_is_never_tried(
    upstream: Upstream, clock: PausedClock
) -> None:
    model = model_at(upstream, clock, abilities=EVERYTHING - {"tools", "images"})
    image = Message("user", (Image("data:image/png;base64,AA=="),))
    assert isinstance(await failure(model, ModelRequest("", (user("hi"),), (LOOK,))), ModelLacksAbility)
    assert isinstance(await failure(model, ModelRequest("", (image,))), ModelLacksAbility)
    assert upstream.requests == []
    assert (await heard(model, HELLO))[1].text == "Hello there"
    await model.close()
