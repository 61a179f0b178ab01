"""What a server streams to the chat, as events."""

from typing import Any

import msgspec

from nanobot.cli.chat_errors import ServerUnreachable
from nanobot.core.errors import ModelError, ShuttingDown
from nanobot.core.event import (
    Event,
    MessageAdded,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    TurnError,
)
from nanobot.core.message import AskedCall, Message, ToolCall, ToolResult
from nanobot.core.plan import TaskPlan


class ConnectionBroken(Exception):
    """No connection, or one that broke before the turn ended."""

    def __init__(self, reason: str, *, never_connected: bool = False) -> None:
        super().__init__(reason)
        self.never_connected = never_connected


def answer_of(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["choices"][0]["message"]["content"] or "")
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError) as error:
        raise ServerUnreachable("the answer is not one of nanobot: check the URL") from error


def events_in(name: str, payload: str) -> list[Event]:
    if payload == "[DONE]":
        return [TurnEnded("done")]
    try:
        content = msgspec.json.decode(payload)
        if name == "tool_started":
            return [ToolStarted(ToolCall(content["id"], content["name"], content["arguments"]))]
        if name == "tool_finished":
            return [ToolFinished(Message("tool", (_result(content),)))]
        if name == "tool_progress":
            return [ToolProgress(content["id"], content["text"])]
        if name == "approval_asked":
            asks = msgspec.convert(content["approvals"], tuple[AskedCall, ...])
            return [MessageAdded(Message("assistant", (), asks=asks))]
        if name == "approval_settled":
            return [MessageAdded(Message("assistant", tuple(map(_settled, content["approvals"]))))]
        if name:
            return []
        if "error" in content:
            return [end_of(content["error"])]
        return _deltas(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ServerUnreachable("the stream is not one of nanobot: check the URL") from error


def _result(content: dict[str, Any]) -> ToolResult:
    plan = content.get("plan")
    return ToolResult(
        content["id"],
        content["content"],
        content["is_error"],
        tuple(file["filename"] for file in content.get("files", ())),
        msgspec.convert(plan, TaskPlan) if plan is not None else None,
    )


def _settled(content: dict[str, Any]) -> ToolCall:
    return ToolCall(
        content["call_id"],
        content["tool"],
        content["arguments"],
        is_withheld=not content["approved"],
        approval=content["id"],
    )


def _deltas(chunk: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    for choice in chunk["choices"]:
        delta = choice["delta"]
        if delta.get("reasoning_content"):
            events.append(ThinkingDelta(delta["reasoning_content"]))
        if delta.get("content"):
            events.append(TextDelta(delta["content"]))
    return events


def end_of(error: dict[str, Any]) -> TurnEnded:
    code, message = str(error.get("code") or "server_error"), str(error.get("message") or "the server failed")
    if code == ShuttingDown.code:
        raise ConnectionBroken(message)
    outcome: Any = "cancelled" if code == "turn_cancelled" else "failed"
    return TurnEnded(outcome, error=TurnError(code, message, ModelError.http_status))
