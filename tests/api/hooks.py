"""What a client of the API knows and no schema can say; schemathesis calls this before each request."""

from typing import Any

import schemathesis
from schemathesis import Case, HookContext
from schemathesis.generation import GenerationMode

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel."""


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Send headers as UTF-8; let valid requests ask for a model that there is, and end with something said by
    the user.
    """
    headers: Any = case.headers or {}
    for name, value in list(headers.items()):
        if not value.isascii():
            headers[name] = value.encode().decode("latin-1")
    meta = case.meta
    if meta is None or meta.generation.mode is not GenerationMode.POSITIVE or not isinstance(case.body, dict):
        return
    body = _whole(case.body)
    # the rest asks for models that there are none of
    if "model" in body and len(str(body)) % 4:
        body["model"] = "nanobot"
    if case.operation.path == "/v1/chat/completions":
        _mend_chat(body)
    if case.operation.path == "/v1/responses/input_tokens":
        # What is named is offered only by chance.
        body.pop("tool_choice", None)
    if case.operation.path == "/v1/files" and not {"expires_after[anchor]", "expires_after[seconds]"} <= set(
        body
    ):
        # both, or none
        body = {name: value for name, value in body.items() if not name.startswith("expires_after")}
    if case.operation.path == "/v1/files" and isinstance(body.get("file"), list):
        # a list would be sent as no file, or as several
        body["file"] = "something"
    case.body = body


def _mend_chat(body: dict[str, Any]) -> None:
    """Make a body that fits its schema one that makes sense: what is pointed at is there, names are told
    once, calls are not answered that nobody made, the last word is the user's, and nothing is asked of the
    echo model that it cannot do.
    """
    # a form
    if "messages" not in body:
        if body.pop("files", None) is not None:
            body.setdefault("message", "And now?")
        return
    messages = [message for message in body["messages"] if message["role"] not in ("tool", "function")]
    for message in messages:
        if isinstance(message.get("content"), list):
            message["content"] = [_whole_part(part) for part in message["content"]]
    body["messages"] = [*messages, {"role": "user", "content": "And now?"}]
    # Custom tools have no function.
    offered = [tool for tool in body.get("tools") or () if tool.get("function")]
    tools = {tool["function"]["name"]: tool for tool in offered}
    if tools:
        body["tools"] = list(tools.values())
    body.pop("tool_choice", None)
    body.pop("response_format", None)


def _whole_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "image_url":
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}}
    if part["type"] == "file":
        return {"type": "file", "file": {"filename": "note.txt", "file_data": "aGVsbG8="}}
    return {"type": "text", "text": "something to listen to"} if part["type"] == "input_audio" else part


def _whole(value: Any) -> Any:
    """Return the value with 1.0 written as 1: a JSON schema calls both an integer, no client of an API writes
    the first.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value
