"""Google's Gemini API for tests: replies in its words for `tests.upstream.Upstream`, and its rules.

    upstream.then(answered(*said("Hel", "lo")), failed(503, "UNAVAILABLE", "The model is overloaded."))

`answer` greets every request that keeps the rules, and refuses any other one as the API does.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from tests.upstream import Asked, Headers, Reply, Step, event, json_reply, spoken

USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
DUMMY = "skip_thought_signature_validator"

# Chunks -------------------------------------------------------------------------------------------


def candidate(
    *parts: Mapping[str, object], finish: str | None = None, usage: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Return one chunk, which is also what a whole answer looks like."""
    made: dict[str, object] = {"index": 0}
    if parts:
        made["content"] = {"parts": parts, "role": "model"}
    if finish is not None:
        made["finishReason"] = finish
    return {
        "candidates": [made],
        "usageMetadata": USAGE if usage is None else usage,
        "modelVersion": "gemini-test",
        "responseId": "r1",
    }


def chunk(*parts: Mapping[str, object], finish: str | None = None) -> bytes:
    return event(candidate(*parts, finish=finish), "\r\n\r\n")


def text_part(text: str, signature: str | None = None) -> dict[str, object]:
    return _signed({"text": text}, signature)


def thought_part(text: str, signature: str | None = None) -> dict[str, object]:
    return _signed({"text": text, "thought": True}, signature)


def call_part(
    name: str, args: object = None, *, id_: str | None = None, signature: str | None = None
) -> dict[str, object]:
    call: dict[str, object] = {} if id_ is None else {"id": id_}
    call |= {"name": name, "args": {} if args is None else args}
    return _signed({"functionCall": call}, signature)


def said(*pieces: str) -> tuple[bytes, ...]:
    return tuple(chunk(text_part(piece)) for piece in pieces)


def finished(reason: str = "STOP", usage: Mapping[str, object] | None = None) -> bytes:
    return event(candidate(text_part(""), finish=reason, usage=usage), "\r\n\r\n")


def _signed(part: dict[str, object], signature: str | None) -> dict[str, object]:
    return part if signature is None else {**part, "thoughtSignature": signature}


# Replies ------------------------------------------------------------------------------------------


def answered(*steps: Step, reason: str = "STOP") -> Reply:
    """Return a streamed answer: `steps`, then its end."""
    return spoken(*steps, finished(reason))


def blocked(reason: str = "PROHIBITED_CONTENT") -> Reply:
    """Return the answer to a prompt that is not let through."""
    return spoken(
        event({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 9}})
    )


def whole(*parts: Mapping[str, object], reason: str = "STOP") -> Reply:
    """Return an answer in one piece, as of `generateContent`."""
    return json_reply(candidate(*parts, finish=reason))


def listed(*chunks: Mapping[str, object]) -> Reply:
    """Return an answer as without `alt=sse`: an array of chunks."""
    return json_reply(list(chunks))


def error_body(code: int, status: str, message: str, *details: Mapping[str, object]) -> dict[str, object]:
    error: dict[str, object] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = details
    return {"error": error}


def failed(
    code: int, status: str, message: str, *details: Mapping[str, object], headers: Headers | None = None
) -> Reply:
    return json_reply(error_body(code, status, message, *details), code, headers)


def invalid(message: str) -> Reply:
    return failed(400, "INVALID_ARGUMENT", message)


def retry_info(delay: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def answer(asked: Asked) -> Reply:
    """Greet, or refuse what breaks the rules; list one model."""
    if asked.method == "GET":
        return json_reply({"models": [{"name": "models/gemini-test"}]})
    faults = faults_of(asked)
    return invalid(faults[0]) if faults else answered(*said("Hello", " there"))


# The rules ----------------------------------------------------------------------------------------

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_PATH = re.compile(r"/v1(?:beta)?/models/[\w.-]+:streamGenerateContent")
_KINDS = {"text", "inlineData", "fileData", "functionCall", "functionResponse"}
_BLOBS = re.compile(r"image/(?:png|jpeg|webp|heic|heif)|audio/\w+|application/pdf")
_FIELDS = {"systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "contents"}


def faults_of(asked: Asked) -> list[str]:
    """Return what of a request breaks the documented rules, in words like the API's."""
    faults = []
    if "x-goog-api-key" not in asked.headers:
        faults.append("Method doesn't allow unregistered callers.")
    address = urlsplit(asked.path)
    if not _PATH.fullmatch(address.path) or address.query != "alt=sse":
        faults.append(f"no route {asked.path}")
    return faults + body_faults(asked.json, is_signing="gemini-3" in asked.path)


def body_faults(body: dict[str, Any], *, is_signing: bool = True) -> list[str]:
    faults = [f'Invalid JSON payload received. Unknown name "{name}"' for name in body.keys() - _FIELDS]
    faults += content_faults(body["contents"], is_signing=is_signing)
    names = [spec["name"] for tool in body.get("tools", ()) for spec in tool["functionDeclarations"]]
    faults += [f"Invalid function name {name}" for name in names if not _NAME.fullmatch(name)]
    if len(names) != len(set(names)):
        faults.append("Duplicate function declaration found")
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling and not names:
        faults.append("Function calling config is set without function_declarations.")
    if not set(calling.get("allowedFunctionNames", ())) <= set(names):
        faults.append("allowed_function_names contains an undeclared function")
    system = body.get("systemInstruction")
    if system is not None and not all(part["text"].strip() for part in system["parts"]):
        faults.append("system_instruction.parts must not be empty")
    config = body.get("generationConfig", {})
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        faults.append("response_json_schema requires response_mime_type application/json")
    if len(config.get("stopSequences", ())) > 5:
        faults.append("stop_sequences must have at most 5 entries")
    return faults


def content_faults(contents: list[dict[str, Any]], *, is_signing: bool = True) -> list[str]:
    """Return what of the contents breaks the rules. `is_signing`: as models do that sign their calls."""
    if not contents:
        return ["contents is not specified"]
    faults = []
    if contents[0]["role"] != "user":
        faults.append("Please ensure that multiturn requests begin with a user turn.")
    if contents[-1]["role"] != "user":
        faults.append("Please ensure that multiturn requests end with a user turn or a function response.")
    if any(one["role"] == other["role"] for one, other in pairwise(contents)):
        faults.append("Please ensure that multiturn requests alternate between user and model.")
    calls: list[dict[str, Any]] = []
    for at, content in enumerate(contents):
        faults += [fault for part in content["parts"] for fault in _part_faults(at, content["role"], part)]
        if not content["parts"]:
            faults.append(f"contents[{at}].parts must not be empty.")
        faults += _response_faults(content, calls)
        called = [part for part in content["parts"] if "functionCall" in part]
        if called and is_signing and not called[0].get("thoughtSignature"):
            name = called[0]["functionCall"]["name"]
            faults.append(
                "Function call is missing a thought_signature in functionCall parts. "
                f"Additional data, function call `default_api:{name}` , position {at + 1}."
            )
        calls = [part["functionCall"] for part in called]
    return faults


def _response_faults(content: dict[str, Any], calls: list[dict[str, Any]]) -> list[str]:
    responses = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
    if len(responses) != len(calls):
        return [
            "Please ensure that the number of function response parts is equal to the number of function "
            "call parts of the function call turn."
        ]
    if responses and len(content["parts"]) != len(responses):
        return ["Please ensure that function response turn comes immediately after a function call turn."]
    if any(
        (call["name"], call.get("id")) != (response["name"], response.get("id"))
        for call, response in zip(calls, responses, strict=True)
    ):
        return ["function response does not match its function call"]
    return []


def _part_faults(at: int, role: str, part: dict[str, Any]) -> list[str]:
    kinds = part.keys() & _KINDS
    if len(kinds) != 1 or part.keys() - _KINDS - {"thought", "thoughtSignature"}:
        return [f"contents[{at}].parts: required oneof field 'data' must have one initialized field"]
    (kind,) = kinds
    faults = []
    allowed = ("text", "functionCall") if role == "model" else _KINDS - {"functionCall"}
    if kind not in allowed or (role == "user" and "thoughtSignature" in part):
        faults.append(f"contents[{at}]: {kind} is not allowed for {role}")
    if kind == "text" and not part["text"].strip() and "thoughtSignature" not in part:
        faults.append("Unable to submit request because it has an empty text parameter.")
    if "thoughtSignature" in part and not _is_bytes(part["thoughtSignature"]):
        faults.append("Invalid value (Base64 decoding failed) for thought_signature")
    if kind == "inlineData" and not _BLOBS.fullmatch(part["inlineData"]["mimeType"]):
        faults.append(f"Unsupported MIME type: {part['inlineData']['mimeType']}")
    if kind == "functionCall":
        if not _NAME.fullmatch(part["functionCall"]["name"]):
            faults.append("Invalid function name")
        if not isinstance(part["functionCall"]["args"], dict):
            faults.append("function_call.args: Proto field is not repeating, cannot start list.")
    if kind == "functionResponse" and not isinstance(part["functionResponse"]["response"], dict):
        faults.append("function_response.response must be an object")
    return faults


def _is_bytes(value: object) -> bool:
    """Whether the value is base64 of either alphabet, and something."""
    if not isinstance(value, str) or not value:
        return False
    try:
        base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return False
    return True
