"""What POST /v1/chat/completions takes and refuses, in the order in which it looks."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from nanobot.core.message import Image, Text
from nanobot.testing import ScriptedModel
from tests.asgi import ABSENT, CHAT, Door, chat_body
from tests.harness import Harness, OpenHarness

HELLO = {"model": "nanobot", "messages": [{"role": "user", "content": "hello"}]}


def asked(harness: Harness) -> ScriptedModel:
    model = harness.app.models.default
    assert isinstance(model, ScriptedModel)
    return model


# The session key ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [ABSENT, "", "   ", "\t"])
async def test_without_a_session_key_the_answer_names_the_header(door: Door, key: str) -> None:
    reply = await door.chat(key, "hello")
    assert reply.status == 400
    assert reply.error["message"] == "Missing required header: x-session-key"
    assert reply.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("key", ["nanobot:own", "x" * 257, "broken \ufffd", "next\u0085line"])
async def test_a_session_key_that_is_none_is_refused_by_the_name_it_was_sent_under(
    open_harness: OpenHarness, key: str
) -> None:
    harness = await open_harness(api={"session_headers": ["x-chat-id"]})
    in_path = quote(key.replace("nanobot:own", "x" * 300), safe="")
    said = [
        (await harness.door.chat(key, "hello"), "x-session-key"),
        (await harness.door.chat("", "hello", {"x-chat-id": key}), "x-chat-id"),
        (await harness.door.get(f"/v1/sessions/{in_path}"), "key"),
        (await harness.door.get(f"/v1/conversations/{in_path}"), "conversation_id"),
    ]
    for reply, param in said:
        assert (reply.status, reply.error["code"]) == (400, "invalid_session_key")
        assert reply.error["param"] == param


async def test_white_space_around_a_key_does_not_count(harness: Harness) -> None:
    await harness.door.chat("wx:dm:ann", "one")
    await harness.door.chat("  wx:dm:ann ", "two")
    assert [message.text for message in asked(harness).requests[-1].messages] == ["one", "ok", "two"]


@pytest.mark.parametrize(
    "key",
    ["用户:dm:小明", "Zoë", "🦜" * 256, "a b", "..", "wx:group:g:user:u", "x" * 256, "nanobot", "Nanobot:x"],
)
async def test_any_printable_key_of_up_to_256_characters_is_good(door: Door, key: str) -> None:
    assert (await door.chat(key, "hello")).status == 200


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("x" * 257, ["257", "256"]),
        ("é" * 257, ["257", "256"]),
        ("a\x01b", ["U+0001"]),
        ("a\tb", ["U+0009"]),
        ("a\x7fb", ["U+007F"]),
        ("a\x85b", ["U+0085"]),
        ("nanobot:cron", ["nanobot:"]),
        (" nanobot:cron", ["nanobot:"]),
        (b"\xff\xfe", ["x-session-key", "UTF-8"]),
        ("Zoë".encode("latin-1"), ["x-session-key", "UTF-8"]),
    ],
)
async def test_a_bad_key_is_refused_and_told_why(
    harness: Harness, key: str | bytes, words: list[str]
) -> None:
    reply = await harness.door.chat(key, "hello")
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    for word in words:
        assert word in reply.error["message"]
    assert asked(harness).requests == []
    assert await harness.app.store.sessions(limit=10) == ()


async def test_other_headers_name_the_session_only_where_they_are_listed(open_harness: OpenHarness) -> None:
    headers = {"x-session-key": ABSENT, "x-openwebui-chat-id": "chat-1"}
    assert (await (await open_harness()).door.post(HELLO, headers)).status == 400
    harness = await open_harness(api={"session_headers": ["X-OpenWebUI-Chat-Id"]})
    assert (await harness.door.post(HELLO, headers)).status == 200
    assert (await harness.door.post(HELLO, {**headers, "x-session-key": "own"})).status == 200
    assert {session.key for session in await harness.app.store.sessions(limit=10)} == {"chat-1", "own"}


# The body -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"17",
        b'{"model": "nanobot", "messages": [}',
        b"\xff\xfe{}",
        b'{"model": "\xff"}',
        b'{"a": NaN}',
        b'{"model": "nanobot", "messages": [{"role": "user", "content": "x"}], "a": "\xff"}',
        (
            b'{"model": "nanobot", "messages": [{"role": "user", "content": "x"}], "tools": [{"type":'
            b' "function", "function": {"name": "look", "parameters": {"\xe4": 1}}}]}'
        ),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(door: Door, body: bytes) -> None:
    reply = await door.post(body)
    assert reply.status == 400
    assert reply.error["message"] == "Invalid JSON body"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"model":"nanobot","messages":[{"role":"user","content":"x"}],"metadata":'
        + b'{"a":' * 50_000
        + b"1"
        + b"}" * 50_000
        + b"}",
        b'{"model":"nanobot","messages":[{"role":"user","content":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}",
        b'{"model":"nanobot","audio":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
async def test_json_nested_without_end_is_refused(door: Door, body: bytes) -> None:
    reply = await door.post(body)
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"


async def test_a_body_over_the_limit_is_refused_with_both_numbers(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"max_body_mb": 0.001})
    body = chat_body("x" * 2000)
    reply = await harness.door.post(body)
    assert reply.status == 413
    assert str(len(body)) in reply.error["message"]
    assert "1048" in reply.error["message"]
    assert asked(harness).requests == []


@pytest.mark.parametrize("size", [str(3 * 1024 * 1024), "9" * 5_000])
async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(
    open_harness: OpenHarness, size: str
) -> None:
    harness = await open_harness(api={"max_body_mb": 1})
    exchange = harness.door.start(
        "POST", CHAT, body=None, headers={"x-session-key": "a", "content-length": size}
    )
    assert (await exchange.done()).status == 413


async def test_a_body_that_grows_over_the_limit_is_refused_while_it_comes(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"max_body_mb": 0.001})
    exchange = harness.door.start("POST", CHAT, body=None, headers={"x-session-key": "a"})
    for _ in range(3):
        exchange.feed(b" " * 500, more=True)
    assert (await exchange.done()).status == 413


async def test_a_body_that_does_not_come_is_given_up(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"body_timeout_s": 0.01})
    exchange = harness.door.start("POST", CHAT, body=None, headers={"x-session-key": "a"})
    exchange.feed(b'{"model"', more=True)
    reply = await exchange.done()
    assert reply.status == 408
    assert "0.01" in reply.error["message"]
    assert reply.headers["connection"] == "close"


async def test_a_body_in_many_pieces_is_one_body(door: Door) -> None:
    exchange = door.start("POST", CHAT, body=None, headers={"x-session-key": "a"})
    body = chat_body("hello")
    for position in range(len(body)):
        exchange.feed(body[position : position + 1], more=position < len(body) - 1)
    assert (await exchange.done()).said == "ok"


async def test_a_client_that_goes_while_it_sends_has_asked_nothing(harness: Harness) -> None:
    exchange = harness.door.start("POST", CHAT, body=None, headers={"x-session-key": "a"})
    exchange.feed(chat_body("hello")[:20], more=True)
    exchange.disconnect()
    assert (await exchange.done()).status == 0
    assert await harness.app.store.sessions(limit=1) == ()


# Fields -------------------------------------------------------------------------------------------


async def test_without_a_model_the_answer_is_openais(door: Door) -> None:
    reply = await door.post({"messages": HELLO["messages"]})
    assert reply.status == 400
    assert reply.error["message"] == "you must provide a model parameter"
    assert reply.error["param"] == "model"


async def test_an_unknown_model_is_not_found(door: Door) -> None:
    reply = await door.post({**HELLO, "model": "gpt-9"})
    assert reply.status == 404
    assert (reply.error["code"], reply.error["param"]) == ("model_not_found", "model")
    assert "`gpt-9`" in reply.error["message"]


async def test_a_preset_is_a_model_of_its_own(open_harness: OpenHarness) -> None:
    fast = ScriptedModel("I am fast", name="fast")
    harness = await open_harness(presets={"fast": fast}, models={"fast": {"name": "echo"}})
    reply = await harness.door.chat("a", "hello", model="fast")
    assert (reply.said, reply.json["model"]) == ("I am fast", "fast")
    reply = await harness.door.chat("a", "hello", model="nanobot:fast")
    assert (reply.said, reply.json["model"]) == ("I am fast", "nanobot:fast")
    assert (await harness.door.chat("a", "hello")).said == "ok"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("hello", "messages"),
        ({}, "messages"),
        (["hello"], "messages[0]"),
        (
            [
                {"role": "user", "content": "x"},
                {"role": "user", "content": "y"},
                {"role": "user", "content": 7},
            ],
            "messages[2].content",
        ),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": []}], "messages[0].content"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "wizard", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "video", "video": "x"}]}],
            "messages[0].content[1].type",
        ),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url"),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:text/html;base64,x"}}],
                }
            ],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x/y.png"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        (
            [
                {"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]},
                {"role": "user", "content": "x"},
            ],
            "messages[0].tool_calls[0].function",
        ),
    ],
)
async def test_malformed_messages_are_refused_with_their_path(
    harness: Harness, messages: object, param: str
) -> None:
    reply = await harness.door.post({"model": "nanobot", "messages": messages})
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == param
    assert param in reply.error["message"]
    assert asked(harness).requests == []


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "be brief"}],
        [{"role": "assistant", "content": ""}],
        [{"role": "system", "content": "be brief"}, {"role": "assistant", "content": None}],
    ],
)
async def test_without_anything_new_there_is_nothing_to_answer(
    door: Door, messages: list[dict[str, Any]]
) -> None:
    reply = await door.post({"model": "nanobot", "messages": messages})
    assert reply.status == 400
    assert reply.error["message"] == "messages must contain at least one user message"


async def test_streaming_that_is_switched_off_is_refused_in_the_words_of_the_example(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(api={"stream": False})
    reply = await harness.door.chat("a", "hello", stream=True)
    assert reply.status == 400
    assert reply.error["message"] == "stream=true is not supported yet. Set stream=false or omit it."
    assert reply.error["type"] == "invalid_request_error"
    assert (await harness.door.chat("a", "hello", stream=False)).status == 200
    assert (await harness.door.chat("a", "hello")).status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "modalities"),
    ],
)
async def test_what_is_not_supported_is_refused_and_said(
    door: Door, fields: dict[str, Any], param: str
) -> None:
    reply = await door.post({**HELLO, **fields})
    assert reply.status == 400
    assert reply.error["param"] == param
    assert "supported" in reply.error["message"]


@pytest.mark.parametrize(
    ("field", "value", "low", "high"),
    [
        ("temperature", 2.5, "0", "2"),
        ("temperature", -0.1, "0", "2"),
        ("top_p", 1.5, "0", "1"),
        ("presence_penalty", -3, "-2", "2"),
        ("frequency_penalty", 3, "-2", "2"),
        ("max_tokens", 0, "1", ""),
        ("max_completion_tokens", -5, "1", ""),
    ],
)
async def test_a_value_out_of_range_is_refused_with_field_value_and_range(
    harness: Harness, field: str, value: float, low: str, high: str
) -> None:
    reply = await harness.door.post({**HELLO, field: value})
    assert reply.status == 400
    assert reply.error["param"] == field
    for word in (field, f"{value:g}", f"from {low}", f"to {high}"):
        assert word in reply.error["message"]
    assert asked(harness).requests == []


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("temperature", "hot", "hot"),
        ("top_p", [0.5], "0.5"),
        ("max_tokens", 1.5, "1.5"),
        ("max_tokens", "many", "many"),
        ("seed", "x", "x"),
        ("seed", 10**30, str(10**30)),
        ("stream", "yes", "yes"),
        ("stream", 1, "1"),
        ("stop", 5, "5"),
        ("n", "1", "1"),
        ("store", "no", "no"),
        ("model", 5, "5"),
        ("stream_options", True, "true"),
        ("logprobs", "no", "no"),
        ("reasoning_effort", "huge" * 9, "huge"),
    ],
)
async def test_a_value_of_the_wrong_type_is_refused_with_field_and_value(
    harness: Harness, field: str, value: object, shown: str
) -> None:
    reply = await harness.door.post({**HELLO, field: value})
    assert reply.status == 400
    assert reply.error["param"] == field
    assert field in reply.error["message"]
    assert shown in reply.error["message"].lower().replace(field, "", 1)
    assert asked(harness).requests == []


@pytest.mark.parametrize("value", [b"1e999", b"-1e999", b"1" + b"0" * 400])
async def test_a_number_without_end_is_refused(harness: Harness, value: bytes) -> None:
    reply = await harness.door.post(
        b'{"model":"nanobot","messages":[{"role":"user","content":"x"}],"temperature":' + value + b"}"
    )
    assert reply.status == 400
    assert asked(harness).requests == []


async def test_a_wrong_value_that_is_no_text_is_shown_as_it_was_written(door: Door) -> None:
    reply = await door.post(b'{"model": ["\\ud800"], "messages": []}')
    assert reply.status == 400
    assert reply.error["message"] == 'model is ["\\ud800"]: expected string, got array'


async def test_a_long_value_is_not_sent_back_whole(door: Door) -> None:
    reply = await door.post({**HELLO, "temperature": "hot" * 10_000})
    assert reply.status == 400
    assert len(reply.error["message"]) < 500


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "ann", "metadata": {"a": "b"}, "service_tier": "auto", "parallel_tool_calls": True},
        {
            "chat_id": "x",
            "session_id": {"deep": [1, 2, {"er": None}]},
            "num_ctx": 4096,
            "keep_alive": "5m",
            "": 1,
        },
        {
            "n": 1,
            "logprobs": False,
            "modalities": ["text"],
            "response_format": {"type": "text"},
            "tools": [],
            "functions": [],
        },
        {
            "stream": None,
            "temperature": None,
            "max_tokens": None,
            "stop": None,
            "tools": None,
            "audio": None,
            "stream_options": None,
        },
        {
            "tools": None,
            "tool_choice": "auto",
            "prediction": None,
            "verbosity": "low",
            "web_search_options": {},
        },
    ],
)
async def test_what_sdks_and_gateways_add_is_accepted(door: Door, fields: dict[str, Any]) -> None:
    assert (await door.post({**HELLO, **fields})).said == "ok"


@pytest.mark.parametrize(
    "fields",
    [
        {
            "temperature": 0,
            "top_p": 0,
            "presence_penalty": -2,
            "frequency_penalty": 2,
            "max_tokens": 1,
            "seed": 0,
            "stop": "x",
        },
        {
            "temperature": 2,
            "top_p": 1,
            "presence_penalty": 2,
            "frequency_penalty": -2,
            "max_completion_tokens": 100,
            "stop": ["a", "b"],
        },
    ],
)
async def test_values_at_the_ends_of_their_ranges_reach_the_model(
    harness: Harness, fields: dict[str, Any]
) -> None:
    assert (await harness.door.post({**HELLO, **fields})).status == 200
    sampling = asked(harness).requests[0].sampling
    assert (sampling.temperature, sampling.top_p) == (fields["temperature"], fields["top_p"])
    assert sampling.max_output_tokens == fields.get("max_tokens", fields.get("max_completion_tokens"))
    assert sampling.stop == (tuple(fields["stop"]) if isinstance(fields["stop"], list) else (fields["stop"],))


# The order of checks ------------------------------------------------------------------------------


async def test_the_first_failed_check_answers(open_harness: OpenHarness) -> None:
    """401, header 400, 413, JSON 400, fields 400/404, admission: each request below fails at all checks from
    one on.
    """
    harness = await open_harness(api={"key": "sk-right", "max_body_mb": 0.001})
    good = {"authorization": "Bearer sk-right"}
    large = b"x" * 5000
    assert (await harness.door.post(large, {"x-session-key": ABSENT})).status == 401
    reply = await harness.door.post(large, {**good, "x-session-key": ABSENT})
    assert reply.error["message"] == "Missing required header: x-session-key"
    assert (await harness.door.post(large, good)).status == 413
    reply = await harness.door.post(b"x", {**good, "x-when-busy": "sometimes"})
    assert reply.error["message"] == "Invalid JSON body"
    reply = await harness.door.post({"model": "gpt-9", "messages": []}, {**good, "x-when-busy": "sometimes"})
    assert reply.status in (400, 404)
    assert reply.error["param"] in ("model", "messages")


async def test_a_policy_that_nobody_knows_is_refused(door: Door) -> None:
    reply = await door.post(HELLO, {"x-when-busy": "sometimes"})
    assert reply.status == 400
    assert reply.error["param"] == "x-when-busy"
    for word in ("sometimes", "queue", "reject", "interrupt", "steer"):
        assert word in reply.error["message"]


async def test_an_idempotency_key_without_end_is_refused(door: Door) -> None:
    reply = await door.post(HELLO, {"idempotency-key": "k" * 256})
    assert reply.status == 400
    assert reply.error["param"] == "Idempotency-Key"
    assert (await door.post(HELLO, {"idempotency-key": "k" * 255})).status == 200


# What the agent gets ------------------------------------------------------------------------------


async def test_instructions_are_for_this_turn_only_and_stand_below_the_servers_own(harness: Harness) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Speak French."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
    ]
    await harness.door.chat("a", [*messages, {"role": "user", "content": "hello"}])
    await harness.door.chat("a", "again")
    with_, without = (request.system for request in asked(harness).requests)
    assert with_ == f"{without}\n\nSpeak French.\n\nBe brief."
    assert [row.message.text for row in await harness.app.store.messages("a", limit=10)] == [
        "hello",
        "ok",
        "again",
        "ok",
    ]


async def test_all_user_messages_after_the_last_assistant_one_are_new(harness: Harness) -> None:
    await harness.door.chat("a", [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}])
    assert [message.text for message in asked(harness).requests[0].messages] == ["one", "two"]


async def test_parts_of_text_and_images_reach_the_model_as_they_came(harness: Harness) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    parts = [
        {"type": "text", "text": "what is"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "text", "text": " this?"},
    ]
    assert (await harness.door.chat("a", [{"role": "user", "content": parts}])).status == 200
    (message,) = asked(harness).requests[0].messages
    assert message.parts == (Text("what is"), Image(url, "low"), Text(" this?"))


@pytest.mark.parametrize(
    "text", ["\u0000", "\u2028", "🦜", "\\n", '"', "</script>", "a" * 10_000, "\u200f", "\uffff"]
)
async def test_any_text_goes_in_and_comes_out_as_it_was(open_harness: OpenHarness, text: str) -> None:
    harness = await open_harness(ScriptedModel(lambda request: request.messages[-1].text))
    assert (await harness.door.chat("a", f"[{text}]")).said == f"[{text}]"
    assert (await harness.door.chat("b", f"[{text}]", stream=True)).said == f"[{text}]"
    assert (await harness.app.store.messages("a", limit=1))[0].message.text == f"[{text}]"


async def test_half_of_a_surrogate_pair_is_read_as_the_replacement_character(harness: Harness) -> None:
    reply = await harness.door.post(
        b'{"model": "nanobot", "messages": [{"role": "user", "content": "cut \\ud83d"}]}'
    )
    assert reply.status == 200
    assert asked(harness).requests[0].messages[-1].text == "cut \ufffd"


async def test_a_byte_order_mark_before_a_body_is_left_out(harness: Harness) -> None:
    assert (await harness.door.post(b"\xef\xbb\xbf" + json.dumps(HELLO).encode())).status == 200


async def test_the_body_is_read_whatever_its_content_type_says(door: Door) -> None:
    """curl -d without a header sends a form's."""
    for kind in (
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
        ABSENT,
    ):
        assert (await door.post(json.dumps(HELLO).encode(), {"content-type": kind})).status == 200
