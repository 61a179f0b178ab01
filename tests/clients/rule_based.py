"""A provider for tests of clients, whose model answers by rule as a good model would, and says what it saw.

* A tool, but for most of the server's own, is called when a word of its name stands in the last user
  message ("weather" calls `get_weather`), once per name in the message ("Paris and Tokyo": two calls), or
  once where `parallel_tool_calls` is false. `tool_choice` is obeyed.
* Lines `call NAME {…}` in the last user message are calls too, one a step, in their order; what stands
  after `answer with:`, to the end or to a line `end of answer`, is then the answer, word for word.
* After results it says `The tools said: …`. Where a schema is asked for, it answers with an object of that
  schema.
* Names (words with a capital, but for the first of a sentence) fill the strings of arguments and objects,
  numbers its numbers.
* `What do you see?` is answered with the contents of the request, all else with `You said: …`.
* `Count slowly` is answered, in a stream, with the first words and then nothing: the client has to hang up.
* `status 429` (any status) is answered with that failure.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from tests.upstream import (
    HANG,
    Asked,
    Reply,
    call,
    chunk,
    json_reply,
    refused,
    spoken,
    streamed,
    text,
    whole,
)

SLOWLY: Final = "Count slowly"
SEE: Final = "What do you see?"
_BY_LINE_ONLY: Final = frozenset(
    (
        *("read_file", "write_file", "edit_file", "apply_patch", "list_files", "find_files", "grep"),
        *("remember", "recall", "forget", "web_fetch", "web_search", "search_history"),
    )
)
"""Tools of the server, whose names are made of words that any message may have."""
_NOTES = "\n\nToday is "
_WRITTEN_CALL = re.compile(r"^call (\S+) (\{.*\})$", re.MULTILINE)
_WRITTEN_ANSWER = re.compile(r"^answer with: ?(.*?)(?:\nend of answer\b.*)?\Z", re.MULTILINE | re.DOTALL)


def respond(asked: Asked) -> Reply:
    """Answer one request to the provider."""
    if asked.method == "GET":
        return json_reply({"object": "list", "data": [{"id": "test-model", "object": "model"}]})
    request = asked.json
    said = _last_user(request["messages"])
    count = (10, 5) if (request.get("stream_options") or {}).get("include_usage") else None
    if found := re.search(r"status (\d{3})", said):
        return refused(int(found[1]), "as you asked", headers={"Retry-After": "1"})
    if calls := _calls(request, said):
        pieces = [
            piece for index, (name, arguments) in enumerate(calls) for piece in _call(index, name, arguments)
        ]
        return (
            streamed(*pieces, reason="tool_calls", count=count)
            if request.get("stream")
            else _whole_calls(calls)
        )
    words = _words(request, said)
    if request.get("stream") and SLOWLY in said:
        return spoken(chunk({"role": "assistant", "content": ""}), text("One "), text("two "), HANG)
    if request.get("stream"):
        return streamed(*(text(piece) for piece in re.findall(r"\S+\s*|\s+", words)), count=count)
    return whole({"content": words})


def _last_user(messages: list[dict[str, Any]]) -> str:
    said = next((message for message in reversed(messages) if message["role"] == "user"), {"content": ""})
    return _text(said["content"]).split(_NOTES)[0]


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part["type"] == "text")
    return str(content or "")


def _results(messages: list[dict[str, Any]]) -> list[str]:
    """Return what tools said since the last user message, oldest first."""
    found: list[str] = []
    for message in reversed(messages):
        if message["role"] == "user":
            break
        if message["role"] == "tool":
            found.append(_text(message["content"]))
    return found[::-1]


# Tools --------------------------------------------------------------------------------------------


def _calls(request: dict[str, Any], said: str) -> list[tuple[str, str]]:
    choice = request.get("tool_choice", "auto")
    written = _WRITTEN_CALL.findall(said)
    if written or _WRITTEN_ANSWER.search(said):
        done = len(_results(request["messages"]))
        return written[done : done + 1] if choice != "none" else []
    if choice == "none" or _results(request["messages"]):
        return []
    tools = [tool["function"] for tool in request.get("tools", ())]
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    elif choice != "required":
        tools = [
            tool
            for tool in tools
            if tool["name"] not in _BY_LINE_ONLY
            and set(re.split(r"[^a-z]+", tool["name"].lower())) & set(re.findall(r"[a-z]{4,}", said.lower()))
        ]
    names = _names(said)
    times = (
        1 if request.get("parallel_tool_calls") is False or isinstance(choice, dict) else max(1, len(names))
    )
    return [
        (
            tool["name"],
            msgspec.json.encode(
                _instance(tool.get("parameters") or {}, _Material(said, skip=number))
            ).decode(),
        )
        for tool in tools
        for number in range(times)
    ]


def _call(index: int, name: str, arguments: str) -> Iterable[bytes]:
    """Yield a call as OpenAI streams it: the head, then the arguments in pieces."""
    yield call(index, f"call_{index + 1}", name, "")
    middle = len(arguments) // 2
    yield call(index, arguments=arguments[:middle])
    yield call(index, arguments=arguments[middle:])


def _whole_calls(calls: list[tuple[str, str]]) -> Reply:
    made = [
        {"id": f"call_{index + 1}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(calls)
    ]
    return whole({"content": None, "tool_calls": made}, reason="tool_calls")


# Words --------------------------------------------------------------------------------------------


def _words(request: dict[str, Any], said: str) -> str:
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return msgspec.json.encode(_instance(wanted["json_schema"]["schema"], _Material(said))).decode()
    if wanted.get("type") == "json_object":
        return msgspec.json.encode({"said": said}).decode()
    if SEE in said:
        return _seen(request)
    if written := _WRITTEN_ANSWER.search(said):
        return written[1]
    if results := _results(request["messages"]):
        return "The tools said: " + "; ".join(results)
    return f"You said: {said}"


def _seen(request: dict[str, Any]) -> str:
    messages = request["messages"]
    parts = [
        part["type"]
        for message in messages
        if isinstance(message["content"], list)
        for part in message["content"]
    ]
    return "; ".join(
        (
            "roles " + " ".join(message["role"] for message in messages),
            f"images {parts.count('image_url')}",
            "tools " + " ".join(sorted(tool["function"]["name"] for tool in request.get("tools", ()))),
            "said "
            + " | ".join(
                _text(message["content"]).split(_NOTES)[0]
                for message in messages
                if message["role"] == "user"
            ),
        )
    )


# Objects by schema --------------------------------------------------------------------------------


class _Material:
    """What a message gives to fill an object with."""

    def __init__(self, said: str, skip: int = 0) -> None:
        self._names = iter(_names(said)[skip:])
        self._numbers: Iterator[str] = iter(re.findall(r"-?\d+(?:\.\d+)?", said))

    def name(self) -> str:
        return next(self._names, "text")

    def number(self) -> float:
        return float(next(self._numbers, "1"))


def _names(said: str) -> list[str]:
    return re.findall(r"(?<![.?!] )(?<!^)\b[A-Z]\w+", said)


def _instance(schema: dict[str, Any], material: _Material, root: dict[str, Any] | None = None) -> object:
    """Return an object of `schema`; a required field and an optional one alike are filled."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return _instance(target, material, root)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _instance(schema[choice][0], material, root)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {
                name: _instance(inner, material, root) for name, inner in schema.get("properties", {}).items()
            }
        case "array":
            return [_instance(schema.get("items", {"type": "string"}), material, root)]
        case "string":
            return material.name()
        case "integer":
            return int(material.number())
        case "number":
            return material.number()
        case "boolean":
            return True
    return None
