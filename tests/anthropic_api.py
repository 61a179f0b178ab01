"""Anthropic's Messages API for tests: replies in its words for `tests.upstream.Upstream`, and its rules.

    upstream.then(answered(*said("Hel", "lo")), failed(529, "overloaded_error", "Overloaded"))

`answer` greets every request that keeps the rules, and refuses any other one as the API does.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import msgspec

from tests.upstream import Asked, Headers, Reply, Step, event, json_reply, spoken

USAGE = {"input_tokens": 10, "output_tokens": 1}
PING = b'event: ping\ndata: {"type": "ping"}\n\n'

# Events -------------------------------------------------------------------------------------------


def named(payload: Mapping[str, object]) -> bytes:
    """Return one event with its name, as the API sends them."""
    return b"event: %b\n%b" % (str(payload["type"]).encode(), event(payload))


def start(usage: Mapping[str, object] | None = None) -> bytes:
    message: dict[str, object] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE if usage is None else usage,
    }
    return named({"type": "message_start", "message": message})


def block(index: int, start: Mapping[str, object], *deltas: Mapping[str, object]) -> tuple[bytes, ...]:
    """Return the events of one block of content."""
    return (
        named({"type": "content_block_start", "index": index, "content_block": start}),
        *(named({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas),
        named({"type": "content_block_stop", "index": index}),
    )


def text_delta(text: str) -> dict[str, object]:
    return {"type": "text_delta", "text": text}


def said(*pieces: str, index: int = 0) -> tuple[bytes, ...]:
    return block(index, {"type": "text", "text": ""}, *map(text_delta, pieces))


def thought(*pieces: str, signature: str | None = "c2ln", index: int = 0) -> tuple[bytes, ...]:
    deltas: list[dict[str, object]] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    if signature is not None:
        deltas.append({"type": "signature_delta", "signature": signature})
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)


def redacted(data: str, index: int = 0) -> tuple[bytes, ...]:
    return block(index, {"type": "redacted_thinking", "data": data})


def called(id_: str, name: str, *pieces: str, index: int = 0) -> tuple[bytes, ...]:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces))
    return block(index, {"type": "tool_use", "id": id_, "name": name, "input": {}}, *deltas)


def stopped(reason: str | None = "end_turn", usage: Mapping[str, object] | None = None) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return named(
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5} if usage is None else usage}
    )


STOP = named({"type": "message_stop"})


def error_body(kind: str, message: str) -> dict[str, object]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def error_event(kind: str, message: str) -> bytes:
    return named(error_body(kind, message))


# Replies ------------------------------------------------------------------------------------------


def answered(*steps: Step, reason: str = "end_turn") -> Reply:
    """Return a streamed answer: its start, `steps`, its end."""
    return spoken(start(), PING, *steps, stopped(reason), STOP)


def whole(*content: Mapping[str, object], reason: str = "end_turn") -> Reply:
    """Return an answer in one piece, as without `stream`."""
    return json_reply(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": reason,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
    )


def failed(status: int, kind: str, message: str, headers: Headers | None = None) -> Reply:
    return json_reply(error_body(kind, message), status, headers)


def invalid(message: str) -> Reply:
    return failed(400, "invalid_request_error", message)


def answer(asked: Asked) -> Reply:
    """Greet, or refuse what breaks the rules; list one model."""
    if asked.method == "GET":
        return json_reply({"data": [{"type": "model", "id": "claude-test"}], "has_more": False})
    faults = faults_of(asked)
    return invalid(faults[0]) if faults else answered(*said("Hello", " there"))


# The rules ----------------------------------------------------------------------------------------

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_THOUGHTS = ("thinking", "redacted_thinking")
_MAX_MARKS = 4


def faults_of(asked: Asked) -> list[str]:
    """Return what of a request breaks the documented rules, in words like the API's."""
    body = asked.json
    faults = []
    if asked.headers.get("anthropic-version") != "2023-06-01":
        faults.append("anthropic-version: header is required")
    if "x-api-key" not in asked.headers:
        faults.append("x-api-key header is required")
    if asked.path != "/v1/messages":
        faults.append(f"no route {asked.path}")
    return faults + body_faults(body)


def body_faults(body: dict[str, Any]) -> list[str]:
    faults = message_faults(body["messages"])
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        faults.append("max_tokens: Field required")
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        faults.append("thinking.enabled.budget_tokens: must be at least 1024, and less than `max_tokens`")
    if thinking.get("type") in ("enabled", "adaptive") and "temperature" in body:
        faults.append("`temperature` may only be set to 1 when thinking is enabled.")
    calls = any(part["type"] == "tool_use" for message in body["messages"] for part in message["content"])
    if calls and not body.get("tools"):
        faults.append("Requests which include `tool_use` or `tool_result` blocks must define tools")
    if "tool_choice" in body and not body.get("tools"):
        faults.append("tool_choice may only be specified while providing tools.")
    for at, tool in enumerate(body.get("tools", ())):
        if tool["input_schema"].get("type") != "object":
            faults.append(f"tools.{at}.custom.input_schema.type: Field required")
        if not _NAME.fullmatch(tool["name"]):
            faults.append(f"tools.{at}.custom.name: String should match pattern")
    if any(not part["text"].strip() for part in body.get("system", ())):
        faults.append("system: text content blocks must be non-empty")
    if msgspec.json.encode(body).count(b'"cache_control":') > _MAX_MARKS:
        faults.append("A maximum of 4 blocks with cache_control may be provided.")
    return faults


def message_faults(messages: list[dict[str, Any]]) -> list[str]:
    """Return what of the list of messages breaks the rules."""
    if not messages:
        return ["messages: at least one message is required"]
    faults = []
    if messages[0]["role"] != "user":
        faults.append("messages: first message must use the user role")
    if messages[-1]["role"] != "user":
        faults.append("This model does not support assistant message prefill.")
    if any(one["role"] == other["role"] for one, other in pairwise(messages)):
        faults.append("messages: roles must alternate")
    ids = [part["id"] for message in messages for part in message["content"] if part["type"] == "tool_use"]
    if len(ids) != len(set(ids)):
        faults.append("messages: `tool_use` ids must be unique")
    open_ids: list[str] = []
    for at, message in enumerate(messages):
        faults += _result_faults(at, message, open_ids)
        faults += [fault for part in message["content"] for fault in _block_faults(at, message["role"], part)]
        faults += _order_faults(at, message)
        open_ids = [part["id"] for part in message["content"] if part["type"] == "tool_use"]
    if open_ids:
        faults.append("messages: `tool_use` ids were found without `tool_result` blocks at the end")
    return faults


def _result_faults(at: int, message: dict[str, Any], open_ids: list[str]) -> list[str]:
    begin = [part for part in message["content"][: len(open_ids)] if part["type"] == "tool_result"]
    if sorted(part["tool_use_id"] for part in begin) != sorted(open_ids):
        return [
            f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately after"
        ]
    if sum(part["type"] == "tool_result" for part in message["content"]) != len(open_ids):
        return [f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks"]
    return []


def _order_faults(at: int, message: dict[str, Any]) -> list[str]:
    kinds = [part["type"] for part in message["content"]]
    has_substance = any(
        part["type"] not in ("text", *_THOUGHTS) or part.get("text", "").strip()
        for part in message["content"]
    )
    faults = [] if has_substance else [f"messages.{at}: text content blocks must contain non-whitespace text"]
    if message["role"] == "assistant":
        if any(kind in _THOUGHTS for kind in kinds) and kinds[0] not in _THOUGHTS:
            faults.append(f"messages.{at}.content.0: the first block must be `thinking`")
        if kinds[-1:] and kinds[-1] in _THOUGHTS:
            faults.append(f"messages.{at}: the final block in an assistant message cannot be `thinking`.")
        if "tool_use" in kinds and set(kinds[kinds.index("tool_use") :]) != {"tool_use"}:
            faults.append(f"messages.{at}: `tool_result` blocks do not come right after their calls")
    return faults


def _block_faults(at: int, role: str, part: dict[str, Any]) -> list[str]:
    kind = part["type"]
    allowed = ("text", "image", "tool_result") if role == "user" else ("text", "tool_use", *_THOUGHTS)
    faults = [] if kind in allowed else [f"messages.{at}: {kind} blocks are not allowed for {role}"]
    if kind == "text" and not part["text"]:
        faults.append(f"messages.{at}: text content blocks must be non-empty")
    if "cache_control" in part and kind in ("thinking", "redacted_thinking"):
        faults.append(f"messages.{at}: cache_control: Extra inputs are not permitted")
    if "cache_control" in part and kind == "text" and not part["text"].strip():
        faults.append(f"messages.{at}: cache_control cannot be set for empty text blocks")
    if kind == "image" and part["source"]["type"] == "base64" and part["source"]["media_type"] not in _IMAGES:
        faults.append(
            f"messages.{at}: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
        )
    if kind == "tool_use":
        if not _ID.fullmatch(part["id"]):
            faults.append(f"messages.{at}: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if not _NAME.fullmatch(part["name"]):
            faults.append(f"messages.{at}: tool_use.name: String should match pattern")
        if not isinstance(part["input"], dict):
            faults.append(f"messages.{at}: tool_use.input: Input should be a valid dictionary")
    if kind == "tool_result" and part.get("is_error") and not part.get("content"):
        faults.append(f"messages.{at}: content cannot be empty if `is_error` is true")
    if kind == "thinking" and not (isinstance(part["signature"], str) and part["signature"]):
        faults.append(f"messages.{at}: thinking.signature: Field required")
    return faults
