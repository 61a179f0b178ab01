"""The rules by which providers check a conversation, all at once: what one of them refuses is an error."""

import re
from typing import Any

import msgspec

_ID = re.compile(r"[A-Za-z0-9]{9}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MISTRALS_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}


def check(messages: list[dict[str, Any]]) -> None:
    """Check the messages of a body as OpenAI, Anthropic, Gemini, Mistral, DeepSeek and Kimi do between them.

    Raises:
        AssertionError: one of them would refuse the messages.
    """
    talk = messages[1:] if messages and messages[0]["role"] == "system" else messages
    assert talk, "there is nothing to answer"
    assert talk[0]["role"] == "user", "the first message is the user's"
    assert talk[-1]["role"] in ("user", "tool"), "the last message is not the assistant's"
    ids: set[str] = set()
    open_calls: list[str] = []
    before = ""
    for message in talk:
        role = message["role"]
        assert role == "tool" or not open_calls, "each call is answered at once"
        assert role != before or role == "tool", f"two messages of {role}"
        assert (before, role) != ("tool", "user"), "a user right behind a tool"
        if role == "tool":
            assert message["tool_call_id"] == open_calls.pop(0), "results stand in the order of the calls"
            assert message["content"].strip(), "a blank result"
        elif role == "user":
            _check_user(message["content"])
        else:
            open_calls = _check_assistant(message, ids)
        before = role
    assert not open_calls, "a call without a result"


def _check_user(content: Any) -> None:
    assert content, "an empty message"
    if isinstance(content, str):
        assert content.strip(), "a blank message"
        return
    for part in content:
        assert part["type"] != "text" or part["text"].strip(), "a blank part"


def _check_assistant(message: dict[str, Any], ids: set[str]) -> list[str]:
    calls = message.get("tool_calls", [])
    assert calls or message["content"].strip(), "a blank message"
    for call in calls:
        assert _ID.fullmatch(call["id"]), f"the id {call['id']!r}"
        assert call["id"] not in ids, "two calls of one id"
        ids.add(call["id"])
        assert _NAME.fullmatch(call["function"]["name"]), f"the name {call['function']['name']!r}"
        msgspec.json.decode(call["function"]["arguments"], type=dict)
    return [call["id"] for call in calls]


# What single providers hold to besides -------------------------------------------------------------


def check_mistral(messages: list[dict[str, Any]]) -> None:
    """Check the messages as Mistral does, which takes no field that it does not know.

    Raises:
        AssertionError: it would refuse them.
    """
    check(messages)
    for message in messages:
        assert message.keys() <= _MISTRALS_FIELDS[message["role"]], "Extra inputs are not permitted"
        for call in message.get("tool_calls", ()):
            assert call.keys() <= {"id", "type", "function"}, "Extra inputs are not permitted"


def check_deepseek(messages: list[dict[str, Any]]) -> None:
    """Check the messages as DeepSeek does with a model that thinks: each answer has its reasoning.

    Raises:
        AssertionError: it would refuse them.
    """
    check(messages)
    for index, message in enumerate(messages):
        assert message["role"] != "assistant" or isinstance(message.get("reasoning_content"), str), (
            f"Missing `reasoning_content` field in the assistant message at message index {index}"
        )


def check_kimi(messages: list[dict[str, Any]]) -> None:
    """Check the messages as Moonshot does with a model that thinks: each call has its reasoning, which is not
    empty.

    Raises:
        AssertionError: it would refuse them.
    """
    check(messages)
    for index, message in enumerate(messages):
        assert "tool_calls" not in message or message.get("reasoning_content"), (
            f"thinking is enabled but reasoning_content is missing in assistant tool call message at {index}"
        )


def check_gemini(messages: list[dict[str, Any]]) -> None:
    """Check the messages as Google's OpenAI-compatible API does: the first call of a step is signed.

    Raises:
        AssertionError: it would refuse them.
    """
    check(messages)
    for message in messages:
        for call in message.get("tool_calls", ())[:1]:
            signature = call.get("extra_content", {}).get("google", {}).get("thought_signature")
            assert signature, "Function call is missing a thought_signature in functionCall parts."
