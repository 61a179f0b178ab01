"""What the Responses API is asked."""

from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ConfigError
from nanobot.core.message import user
from nanobot.core.model import FORMAT_WITH_TOOLS, ModelRequest
from nanobot.core.tool import ToolChoice
from nanobot.core.turn import Labels, OutputFormat, Sampling
from nanobot.models.openai_responses.items import Taken
from nanobot.models.openai_responses.request import encode
from nanobot.models.openai_responses.responses import ABILITIES, OpenAIResponses
from tests.clock import PausedClock
from tests.responses_api import answered, said
from tests.unit.models.asking import HELLO, body_of, heard
from tests.unit.models.openai_responses.talk import KEY, LOOK, model_at
from tests.upstream import Upstream


def encoded(request: ModelRequest, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "model": "gpt-5",
        "includes_openai_fields": False,
        "extra": {},
        "abilities": ABILITIES,
        "taken": Taken("openai"),
        **options,
    }
    body: dict[str, Any] = msgspec.json.decode(encode(request, **settings))
    return body


async def test_a_request_has_this_form(upstream: Upstream, model: OpenAIResponses) -> None:
    request = ModelRequest(
        "Be brief.",
        (user("what time?"),),
        (LOOK,),
        "Today is Monday.",
        Sampling(0.5, max_output_tokens=100, stop=("END",), seed=7, presence_penalty=1, verbosity="low"),
        labels=Labels(user="ann"),
    )
    await heard(model, request)
    (asked,) = upstream.requests
    assert asked.path == "/v1/responses"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json == {
        "model": "gpt-5",
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "tools": [
            {
                "type": "function",
                "name": "look",
                "description": "Look.",
                "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
                "strict": False,
            }
        ],
        "temperature": 0.5,
        "max_output_tokens": 100,
        "text": {"verbosity": "low"},
        "instructions": "Be brief.",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "what time?"},
                    {"type": "input_text", "text": "Today is Monday."},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (ToolChoice(), None, {}),
        (ToolChoice("none"), False, {"parallel_tool_calls": False}),
        (ToolChoice("required"), None, {"tool_choice": "required"}),
        (ToolChoice("required", "look"), True, {"tool_choice": {"type": "function", "name": "look"}}),
    ],
)
def test_the_choice_of_tools_is_passed_on(
    choice: ToolChoice, parallel: bool | None, sent: dict[str, object]
) -> None:
    sampling = Sampling(parallel_tool_calls=parallel)
    body = encoded(ModelRequest("", (user("hi"),), (LOOK,), sampling=sampling, tool_choice=choice))
    assert body.items() >= sent.items()
    assert "tool_choice" in sent or "tool_choice" not in body


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("gpt-5", None, None),
        ("gpt-5", "high", {"effort": "high", "summary": "auto"}),
        ("gpt-5.2", "none", {"effort": "none"}),
        ("o4-mini", "low", {"effort": "low", "summary": "auto"}),
        ("gpt-4.1-mini", "low", None),
    ],
)
def test_an_effort_is_asked_for_with_a_summary(
    model: str, effort: str | None, sent: dict[str, str] | None
) -> None:
    body = encoded(ModelRequest("", (user("hi"),), sampling=Sampling(reasoning_effort=effort)), model=model)
    assert body.get("reasoning") == sent
    assert ("include" in body) == (model != "gpt-4.1-mini")


SCHEMA = OutputFormat("json_schema", "answer", msgspec.Raw(b'{"type":"object"}'), True, "An answer.")
SENT_SCHEMA = {
    "type": "json_schema",
    "name": "answer",
    "schema": {"type": "object"},
    "strict": True,
    "description": "An answer.",
}


@pytest.mark.parametrize(
    ("form", "lacking", "sent"),
    [
        (OutputFormat("json_object"), frozenset(), {"type": "json_object"}),
        (SCHEMA, frozenset(), SENT_SCHEMA),
        (SCHEMA, frozenset({"json_schema"}), None),
        (SCHEMA, frozenset({FORMAT_WITH_TOOLS}), None),
    ],
)
def test_a_form_of_the_answer_is_asked_for_while_the_model_takes_it(
    form: OutputFormat, lacking: frozenset[str], sent: dict[str, object] | None
) -> None:
    body = encoded(ModelRequest("", (user("hi"),), (LOOK,), format=form, lacking=lacking))
    assert body.get("text") == ({"format": sent} if sent else None)


def test_a_limit_below_what_the_api_takes_is_raised_to_it() -> None:
    assert encoded(ModelRequest("", (), sampling=Sampling(max_output_tokens=1)))["max_output_tokens"] == 16


def test_fields_of_openais_own_go_to_openai_alone() -> None:
    request = ModelRequest("", (), session_hint="h", labels=Labels(user="ann", safety_identifier="s"))
    fields = {"prompt_cache_key": "h", "user": "ann", "safety_identifier": "s"}
    assert encoded(request, includes_openai_fields=True).items() >= fields.items()
    assert not encoded(request).keys() & fields.keys()


async def test_extra_fields_go_with_each_request(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, extra_body={"temperature": 1})
    assert (await body_of(upstream, model, HELLO))["temperature"] == 1
    await model.close()
    with pytest.raises(ConfigError, match="extra_body of openai:gpt-5: input cannot be set there"):
        model_at(upstream.url, clock, extra_body={"input": []})


@pytest.mark.parametrize(
    "ending", ["", "/", "/responses", "/chat/completions", "/completions", "/responses?v=1"]
)
async def test_an_address_may_be_set_with_its_path_or_without(
    upstream: Upstream, clock: PausedClock, ending: str
) -> None:
    model = model_at(upstream.url + ending, clock)
    upstream.answer = lambda asked: answered(said("Hello"))
    await heard(model)
    await model.check()
    assert [asked.path.partition("?")[0] for asked in upstream.requests] == ["/v1/responses", "/v1/models"]
    await model.close()


def test_a_key_with_a_line_break_is_refused(clock: PausedClock) -> None:
    with pytest.raises(ConfigError, match="line break"):
        model_at("https://api.openai.com/v1", clock, api_key="sk\n")


def test_it_claims_all_but_recordings(clock: PausedClock) -> None:
    claimed = model_at("https://api.openai.com/v1", clock).abilities
    assert claimed == {"json_object", "json_schema", "images", "tools", "reading_on"}
