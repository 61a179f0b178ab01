"""OpenAI's Responses API for tests: replies in its words for `tests.upstream.Upstream`, and its rules.

    upstream.then(answered(said("Hel", "lo")), failed(429, "rate_limit_exceeded", "slow down"))

`answer` greets every request that keeps the rules, and refuses any other one as the API does.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tests.upstream import Asked, Headers, Reply, Step, event, json_reply, spoken

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 15,
}

# Items and their events ---------------------------------------------------------------------------


class Item(msgspec.Struct, frozen=True):
    """An item of the output: as it begins, the events in between, as it ends."""

    start: dict[str, Any]
    events: tuple[dict[str, Any], ...]
    whole: dict[str, Any]


def said(*pieces: str, id_: str = "msg_1", phase: str | None = None) -> Item:
    start: dict[str, Any] = {
        "id": id_,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    part = {"type": "output_text", "text": "".join(pieces), "annotations": []}
    extra = {} if phase is None else {"phase": phase}
    deltas = tuple(
        {"type": "response.output_text.delta", "content_index": 0, "delta": piece} for piece in pieces
    )
    opened = {"type": "response.content_part.added", "content_index": 0, "part": {**part, "text": ""}}
    closed = {"type": "response.output_text.done", "content_index": 0, "text": "".join(pieces)}
    return Item(
        start | extra,
        (opened, *deltas, closed),
        {**start, **extra, "status": "completed", "content": [part]},
    )


def refused_to(*pieces: str) -> Item:
    start: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    deltas = ({"type": "response.refusal.delta", "content_index": 0, "delta": piece} for piece in pieces)
    part = {"type": "refusal", "refusal": "".join(pieces)}
    return Item(start, tuple(deltas), {**start, "status": "completed", "content": [part]})


def thought(*summary: str, id_: str = "rs_1", encrypted: str | None = "gAAA") -> Item:
    """Return reasoning with a part of its summary for each of the strings."""
    start: dict[str, Any] = {"id": id_, "type": "reasoning", "summary": [], "encrypted_content": None}
    deltas = (
        {"type": "response.reasoning_summary_text.delta", "summary_index": index, "delta": text}
        for index, text in enumerate(summary)
    )
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return Item(start, tuple(deltas), {**start, "summary": parts, "encrypted_content": encrypted})


def open_thought(*pieces: str, id_: str = "rs_1") -> Item:
    """Return reasoning that is shown as it is, as open models write it."""
    start: dict[str, Any] = {"id": id_, "type": "reasoning", "summary": [], "content": []}
    deltas = (
        {"type": "response.reasoning_text.delta", "content_index": 0, "delta": piece} for piece in pieces
    )
    return Item(
        start,
        tuple(deltas),
        {**start, "content": [{"type": "reasoning_text", "text": "".join(pieces)}], "status": "completed"},
    )


def called(call_id: str, name: str, *pieces: str, id_: str = "fc_1") -> Item:
    start = {
        "id": id_,
        "type": "function_call",
        "status": "in_progress",
        "call_id": call_id,
        "name": name,
        "arguments": "",
    }
    arguments = "".join(pieces)
    deltas = ({"type": "response.function_call_arguments.delta", "delta": piece} for piece in pieces)
    closed = {"type": "response.function_call_arguments.done", "arguments": arguments}
    return Item(start, (*deltas, closed), {**start, "status": "completed", "arguments": arguments})


def payloads(*items: Item) -> list[dict[str, Any]]:
    """Return the events of items, without numbers."""
    found: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        place = {"output_index": index}
        found.append({"type": "response.output_item.added", **place, "item": item.start})
        found += [{**each, **place, "item_id": item.start["id"]} for each in item.events]
        found.append({"type": "response.output_item.done", **place, "item": item.whole})
    return found


def response(
    *items: Item,
    status: str = "completed",
    reason: str | None = None,
    error: Mapping[str, object] | None = None,
    usage: Mapping[str, object] | None = USAGE,
) -> dict[str, Any]:
    """Return the response as it is at its end."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": status,
        "error": error,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": "test-model",
        "output": [item.whole for item in items],
        "tools": [],
        "usage": usage,
    }


def begun() -> list[dict[str, Any]]:
    body = {**response(status="in_progress", usage=None), "output": []}
    return [
        {"type": "response.created", "response": body},
        {"type": "response.in_progress", "response": body},
    ]


def ended(*items: Item, **fields: Any) -> dict[str, Any]:
    body = response(*items, **fields)
    return {"type": f"response.{body['status']}", "response": body}


def numbered(events: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Return events as the API sends them: with a name and a number."""
    return [
        b"event: %b\n%b" % (str(each["type"]).encode(), event({**each, "sequence_number": number}))
        for number, each in enumerate(events)
    ]


# Replies ------------------------------------------------------------------------------------------


def streamed(events: Iterable[Mapping[str, Any]], *after: Step) -> Reply:
    """Return an answer of exactly these events."""
    return spoken(*numbered(events), *after)


def answered(*items: Item, **fields: Any) -> Reply:
    """Return a streamed answer: its beginning, its items, its end."""
    return streamed([*begun(), *payloads(*items), ended(*items, **fields)])


def broken_by(code: str, message: str, *items: Item) -> Reply:
    """Return an answer that fails after its items."""
    failure = {"code": code, "message": message}
    return streamed([*begun(), *payloads(*items), ended(status="failed", error=failure, usage=None)])


def failed(
    status: int, code: str | None, message: str, headers: Headers | None = None, param: str | None = None
) -> Reply:
    kind = "invalid_request_error" if status < 429 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return json_reply(body, status, headers)


def invalid(message: str, param: str | None = None, code: str | None = None) -> Reply:
    return failed(400, code, message, param=param)


def answer(asked: Asked) -> Reply:
    """Greet, or refuse what breaks the rules; list one model."""
    if asked.method == "GET":
        return json_reply({"object": "list", "data": [{"id": "test-model", "object": "model"}]})
    faults = faults_of(asked)
    return invalid(faults[0]) if faults else answered(said("Hello", " there"))


# The rules ----------------------------------------------------------------------------------------

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FIELDS = {
    "model",
    "input",
    "instructions",
    "stream",
    "store",
    "include",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "temperature",
    "top_p",
    "max_output_tokens",
    "prompt_cache_key",
    "safety_identifier",
    "user",
}
_ITEM_FIELDS = {
    "message": {"type", "role", "content", "phase"},
    "function_call": {"type", "call_id", "name", "arguments"},
    "function_call_output": {"type", "call_id", "output"},
    "reasoning": {"type", "id", "summary", "content", "encrypted_content"},
}
_IMAGE = re.compile(r"https?://|data:image/(?:png|jpeg|jpg|gif|webp);base64,")


def faults_of(asked: Asked) -> list[str]:
    """Return what of a request breaks the documented rules, in words like the API's."""
    faults = []
    if "authorization" not in asked.headers:
        faults.append("You didn't provide an API key.")
    if asked.path != "/v1/responses":
        faults.append(f"Invalid URL (POST {asked.path})")
    return faults + body_faults(asked.json)


def body_faults(body: dict[str, Any]) -> list[str]:
    faults = [f"Unknown parameter: '{field}'." for field in sorted(body.keys() - _FIELDS)]
    if body.get("max_output_tokens", 16) < 16:
        faults.append("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16")
    if body.get("tool_choice") and not body.get("tools"):
        faults.append("Tool choices other than 'none' are not allowed without tools.")
    if not body.get("instructions", "x"):
        faults.append("Invalid 'instructions': empty string.")
    for at, tool in enumerate(body.get("tools", ())):
        if tool["type"] != "function" or tool["strict"] is not False or not _NAME.fullmatch(tool["name"]):
            faults.append(f"Invalid 'tools[{at}]'.")
    faults += [
        f"Invalid '{name}': empty object." for name in ("reasoning", "text") if not body.get(name, "default")
    ]
    return faults + input_faults(body["input"])


def input_faults(items: list[dict[str, Any]]) -> list[str]:
    """Return what of the input breaks the rules."""
    if not items:
        return ["Invalid 'input': empty array. Expected an array with minimum length 1."]
    faults = [fault for at, item in enumerate(items) for fault in _item_faults(at, item)]
    if items[-1]["type"] == "message" and items[-1].get("role") == "assistant":
        faults.append("The last item is the assistant's.")
    return faults + _call_faults(items) + _reasoning_faults(items)


def _call_faults(items: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with calls and outputs: each call has one output, before anything else is said."""
    faults: list[str] = []
    seen: set[str] = set()
    waiting: list[str] = []
    for item in items:
        kind = item["type"]
        if kind == "function_call":
            if item["call_id"] in seen:
                faults.append(f"Duplicate call_id {item['call_id']}.")
            seen.add(item["call_id"])
            waiting.append(item["call_id"])
        elif kind == "function_call_output":
            if item["call_id"] not in waiting:
                faults.append(f"No tool call found for function call output with call_id {item['call_id']}.")
            else:
                waiting.remove(item["call_id"])
        elif waiting and kind == "message" and item["role"] == "user":
            faults += [f"No tool output found for function call {call_id}." for call_id in waiting]
            waiting = []
    return faults + [f"No tool output found for function call {call_id}." for call_id in waiting]


def _reasoning_faults(items: list[dict[str, Any]]) -> list[str]:
    faults: list[str] = []
    ids: set[str] = set()
    for at, item in enumerate(items):
        if item["type"] != "reasoning":
            continue
        if item.get("id") in ids:
            faults.append(
                f"Duplicate item found with id {item['id']}. Remove duplicate items from your input."
            )
        ids.add(item.get("id", ""))
        following = next((other for other in items[at + 1 :] if other["type"] != "reasoning"), None)
        if following is None or not (
            following["type"] == "function_call" or following.get("role") == "assistant"
        ):
            faults.append(
                f"Item '{item.get('id')}' of type 'reasoning' is without its required following item."
            )
        if not item.get("encrypted_content") and not item.get("content"):
            faults.append(
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to "
                "false."
            )
    return faults


def _item_faults(at: int, item: dict[str, Any]) -> list[str]:
    kind = item["type"]
    allowed = _ITEM_FIELDS.get(kind)
    if allowed is None:
        return [f"Invalid value: '{kind}'."]
    faults = [f"Unknown parameter: 'input[{at}].{field}'." for field in sorted(item.keys() - allowed)]
    faults += [f"Invalid type for 'input[{at}].{field}': null." for field in item if item[field] is None]
    if kind == "message":
        faults += _content_faults(at, item)
    elif kind == "reasoning":
        if not isinstance(item.get("summary"), list):
            faults.append(f"Missing required parameter: 'input[{at}].summary'.")
    else:
        if not _ID.fullmatch(item["call_id"]):
            faults.append(f"Invalid 'input[{at}].call_id': string too long. Expected a maximum length of 64.")
        if kind == "function_call" and not _NAME.fullmatch(item["name"]):
            faults.append(f"Invalid 'input[{at}].name': string does not match pattern.")
        if kind == "function_call" and not isinstance(msgspec.json.decode(item["arguments"]), dict):
            faults.append(f"Invalid 'input[{at}].arguments': no object.")
        if kind == "function_call_output" and not item["output"].strip():
            faults.append(f"Invalid 'input[{at}].output': empty string.")
    return faults


def _content_faults(at: int, item: dict[str, Any]) -> list[str]:
    wanted = ("output_text",) if item["role"] == "assistant" else ("input_text", "input_image")
    faults = [] if item["content"] else [f"Invalid 'input[{at}].content': empty array."]
    for part in item["content"]:
        if part["type"] not in wanted:
            faults.append(f"Invalid value: '{part['type']}'. Supported values are: {wanted}.")
        elif part["type"] == "input_image":
            if not _IMAGE.match(part["image_url"]) or part["detail"] not in ("auto", "low", "high"):
                faults.append(f"Invalid 'input[{at}].content.image_url'.")
        elif not part["text"].strip():
            faults.append(f"Invalid 'input[{at}].content.text': empty string.")
    if item.get("phase", "commentary") not in ("commentary", "final_answer"):
        faults.append(f"Invalid value: 'input[{at}].phase'.")
    return faults
