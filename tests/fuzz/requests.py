"""Bodies of chat completions: any bytes, and bodies that are nearly right."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.api.wire.chat_request import ChatBody, ChatRequest, parse_chat
from nanobot.core.message import estimate_tokens
from nanobot.stores.sql.transcript import is_beginning
from nanobot.submit.references import Unresolved
from tests.fuzz.target import Target, drawn, refused_in_words

_USER = {"role": "user", "content": "hello"}
_TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
_BODIES: tuple[dict[str, Any], ...] = (
    {"messages": [_USER]},
    {
        "messages": [{"role": "system", "content": "Be brief."}, _USER],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    {
        "messages": [
            _USER,
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": [{"type": "text", "text": "é"}]},
        ]
    },
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
                    }
                ],
            }
        ]
    },
    {
        "messages": [_USER],
        "tools": [_TOOL],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": True,
    },
    {
        "messages": [
            _USER,
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "there"},
        ],
        "tools": [_TOOL],
    },
    {
        "messages": [_USER],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "it", "schema": {"type": "object", "required": ["a"]}, "strict": True},
        },
    },
    {
        "messages": [_USER],
        "temperature": 1,
        "top_p": 0.5,
        "max_tokens": 10,
        "seed": 1,
        "stop": ["a"],
        "reasoning_effort": "low",
    },
    {
        "messages": [_USER],
        "metadata": {"a": "b"},
        "user": "u",
        "store": False,
        "n": 1,
        "verbosity": "low",
        "modalities": ["text"],
    },
)
_FIELDS = tuple(ChatBody.__struct_fields__)
_INNER = (
    "role", "content", "type", "text", "image_url", "url", "detail", "refusal", "tool_calls", "tool_call_id",
    "id", "function", "name", "arguments", "parameters", "description", "json_schema", "schema", "strict",
    "include_usage", "input_audio", "data", "format", "file", "file_data", "file_id", "filename",
)  # fmt: skip
_TEXTS = (
    "", "user", "assistant", "tool", "system", "developer", "text", "image_url", "refusal", "function",
    "auto", "none", "required", "json_object", "json_schema", "low", "nanobot", "call_1", "look",
    "data:image/png;base64,iVBORw0KGgo=", "é" * 30, "x" * 70, "{", "{}", "input_audio", "file",
    "data:application/pdf;base64,JVBERi0=", "https://example.org/a.png", "file_1",
)  # fmt: skip


def check_request(body: bytes) -> None:
    """Raise where `body` is neither taken apart as promised nor refused in words."""
    with refused_in_words():
        _check(parse_chat(body))


def _check(request: ChatRequest) -> None:
    assert request.input, "a request without input"
    *before, last = request.input
    assert all(message.role in ("user", "tool") for message in before), request.input
    # The client may begin the answer itself.
    assert last.role in ("user", "tool") or is_beginning(last), request.input
    assert not request.earlier or request.earlier[-1].role == "assistant", request.earlier
    # The store keeps it, a provider is sent it.
    if not any(
        isinstance(part, Unresolved)
        for message in (*request.input, *request.earlier)
        for part in message.parts
    ):
        assert msgspec.json.decode(msgspec.json.encode(request), type=ChatRequest) == request, request
    assert all(tool.schema is not None for tool in request.tools)
    assert all(estimate_tokens(message) > 0 for message in (*request.input, *request.earlier))


# Nearly right -------------------------------------------------------------------------------------

_scalars = st.one_of(
    st.sampled_from(_TEXTS),
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-2, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["\ud800", "a\udfff"]),
)
_values: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_INNER) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """Return `value` with something in it changed, left out or put in."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: draw(_changed(value[name]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(_changed(value[place])), *value[place + 1 :]]
    how = draw(st.sampled_from(("other", "add", "drop", "twice", "same")))
    if isinstance(value, dict):
        if how == "add":
            return {**value, draw(st.sampled_from((*_INNER, *_FIELDS))): draw(_values)}
        if how == "drop" and value:
            gone = draw(st.sampled_from(sorted(value)))
            return {name: kept for name, kept in value.items() if name != gone}
    if isinstance(value, list):
        if how == "add":
            return [*value, draw(_values)]
        if how == "twice":
            return value * draw(st.integers(2, 5))
    return value if how == "same" else draw(_values)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies that were right before something in them was changed, a few times; as JSON that Python writes,
    or with characters as they are.
    """
    body: Any = {"model": "nanobot", **draw(st.sampled_from(_BODIES))}
    for _ in range(draw(st.integers(0, 4))):
        body = draw(_changed(body))
    plain = draw(st.booleans())
    return json.dumps(body, ensure_ascii=not plain).encode("utf-8", "surrogatepass")


@given(bodies())
def _nearly_right(body: bytes) -> None:
    check_request(body)


TARGETS = (
    Target(
        "chat-bytes",
        check_request,
        tuple(json.dumps({"model": "nanobot", **body}).encode() for body in _BODIES),
        (
            *(
                f'"{word}"'.encode()
                for word in (*_FIELDS, *_INNER, *(text for text in _TEXTS if text.isidentifier()))
            ),
            b"\\ud800",
            b"1e999",
        ),
    ),
    drawn("chat-bodies", _nearly_right),
)
