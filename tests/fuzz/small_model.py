"""What models are sent, and what is made of what they call: bodies for providers, questions and grammars for
a small model, tools.
"""

import asyncio
import json
from functools import cache
from typing import Any, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.agent.toolset import Toolset
from nanobot.app import own_tools
from nanobot.context.history import repair
from nanobot.core.errors import ToolError
from nanobot.core.message import Message, ToolCall
from nanobot.core.model import Ability, ModelRequest
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.models.local import routing
from nanobot.models.local.conversation import conversation
from nanobot.models.local.plain_text import plain
from nanobot.models.openai import request as wire_request
from nanobot.testing import FakeClock
from nanobot.tools.facts import evaluate
from tests.fuzz.target import Target, drawn
from tests.fuzz.transcripts import transcripts

# Schemas of tools that clients bring along: any JSON object ---------------------------------------

_names = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "description",
        "a",
        'b"\\\n',
    ]
)
_kinds = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "any", ""])
_values: st.SearchStrategy[Any] = st.recursive(
    _kinds | st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=2).map(lambda few: few * 30)
        | st.dictionaries(_names, inner, max_size=4)
    ),
    max_leaves=14,
)
_schemas = st.dictionaries(_names, _values, max_size=4) | st.builds(
    lambda kind, inner, deep: _nested({"type": kind, "properties": {"a": inner}}, deep),
    st.just(["object"] * 40),
    _values,
    st.integers(0, 5),
)


def _nested(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    for _ in range(depth):
        schema = {"type": schema["type"], "properties": {"a": schema}, "anyOf": []}
    return schema


_deep = st.integers(100, 450).map(
    lambda depth: json.loads('{"anyOf":[' * depth + '{"type":"null"}' + "]}" * depth)
)
_tools = st.lists(
    st.builds(
        lambda name, description, schema: ToolSpec(
            name, description, msgspec.Raw(json.dumps({"type": "object", **schema}).encode())
        ),
        st.sampled_from(["look", "none", "recall", "a-b_c", "x" * 64]),
        st.text(max_size=6),
        _schemas | _deep.map(lambda schema: {"properties": {"a": schema}}),
    ),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)


@given(transcripts(), _tools, st.data())
def _sent(messages: tuple[Message, ...], tools: tuple[ToolSpec, ...], data: st.DataObject) -> None:
    messages = repair(messages)
    choice = data.draw(
        st.sampled_from(
            [
                ToolChoice(),
                *([ToolChoice("required"), ToolChoice("required", tools[0].name)] if tools else []),
            ]
        )
    )
    request = ModelRequest(
        "system", messages, tools, data.draw(st.sampled_from(["", "notes"])), tool_choice=choice
    )
    abilities = frozenset(data.draw(st.sets(st.sampled_from(get_args(Ability)))))
    body = wire_request.encode(
        request,
        model="m",
        limit_field="max_tokens",
        includes_usage=True,
        includes_openai_fields=True,
        extra={},
        abilities=abilities,
    )
    sent = json.loads(body)
    asked = [call["id"] for message in sent["messages"] for call in message.get("tool_calls", ())]
    answered = [message["tool_call_id"] for message in sent["messages"] if message["role"] == "tool"]
    assert asked == answered, f"the calls {asked} are answered by {answered}"
    assert all(
        message.get("content") or message.get("tool_calls") or message["role"] == "tool"
        for message in sent["messages"]
    )
    for is_recall in (False, bool(request.messages)):
        shown, grammar = plain(request.messages, is_recall=is_recall)
        assert all(message.role in ("user", "assistant") for message in shown)
        json.dumps(grammar).encode()
    shown = conversation(request.messages)
    assert all(message.role in ("user", "assistant") for message in shown)
    assert conversation(request.messages) == shown
    assert routing.question(messages).role == "user"
    assert routing.instructions(tools)
    routing.examples(tools)
    grammar = routing.grammar(tools, choice=choice)
    assert grammar.startswith("root ::= ")
    assert len({line.partition(" ::= ")[0] for line in grammar.split("\n")}) == len(grammar.split("\n")), (
        "two rules of one name"
    )


@given(
    _tools,
    st.lists(
        st.sampled_from(["look", "none", "recall last", " ", "{}", "[", "\n", '{"a":1}', "[" * 3_000])
        | st.text(max_size=4),
        max_size=9,
    ),
)
def _routed(tools: tuple[ToolSpec, ...], pieces: list[str]) -> None:
    route = routing.read("".join(pieces), tools)
    assert len(route.calls) <= routing.MAX_CALLS
    assert all(call.name in {tool.name for tool in tools} for call in route.calls)


# Tools --------------------------------------------------------------------------------------------


def check_arithmetic(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    try:
        value = evaluate(text)
    except ToolError as error:
        error.message.encode()
        return
    assert value
    assert len(value) < 500


def check_call(content: bytes) -> None:
    """The first line is the tool's name, the rest are its arguments."""
    name, _, arguments = content.decode("utf-8", "replace").partition("\n")
    result = _runner().run(_toolset.run(ToolCall("1", name, arguments), turn_id="turn_1", session_key="a"))
    assert result.call_id == "1"
    assert result.content.encode()
    assert result.content != "Error: tool failed", "the tool has a bug, see the log"


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


_toolset = Toolset(own_tools(FakeClock()))

TARGETS = (
    drawn("model-requests", _sent),
    drawn("model-routes", _routed),
    Target(
        "arithmetic",
        check_arithmetic,
        (b"(3 + 4) * sqrt(2) / 10 ** 3", b"2^0.5 - 7 // 2 % 3", b"factorial(5) + gcd(12, 18)",
            b"round(pi, 2)", b"-1e308*10", "3 × 4 ÷ 5 − 1".encode()),
        (
            b"**", b"//", b"sqrt(", b"factorial(", b"lcm(", b"round(", b"hypot(", b"exp(", b"log(", b"1e308",
            b"0x", b"1j", b"lambda", b"(", b")", b"[", b"{", b"if", b"not", b"\\", b"'", b'"', b":=", b"_",
            b"999999999", b"pi", b"tau", b",",
        ),
    ),
    Target(
        "tool-calls",
        check_call,
        (
            b'current_time\n{"timezone":"Asia/Tokyo"}', b'current_time\n{"timezone":null}', b"current_time\n",
            b'calculate\n{"expression":"1+1"}', b'calculate\n{"expression":"9**9**9"}', b"look\n{}",
        ),
        (b'"timezone"', b'"expression"', b"Europe/Berlin", b"../", b"\\u0000", b"UTC", b"posix/",
            b"localtime", b"null", b"/etc/passwd", b"tzdata"),
    ),
)  # fmt: skip
