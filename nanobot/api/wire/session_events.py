"""What happens in a session, as named server-sent events.

Each has the id `turn:cursor`, from which a client can resume the stream.
"""

from collections.abc import Sequence

import msgspec

from nanobot.api.wire.chat_answer import context_details, wire_usage
from nanobot.api.wire.lists import encode
from nanobot.api.wire.model_choice import choice_fields
from nanobot.api.wire.session_message import chat_message
from nanobot.api.wire.tool_events import tool_finished
from nanobot.core.event import (
    MessageAdded,
    ModelChosen,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnAdmitted,
    TurnEnded,
    TurnStarted,
)
from nanobot.core.sessions import SessionEvent, Watched
from nanobot.http.errors import error_body

Fields = dict[str, object]


def render(events: Sequence[SessionEvent]) -> bytes:
    """Return the bytes of the events, to be sent in one piece."""
    out: list[bytes] = []
    for each in events:
        if each.missed:
            out.append(b'event: missed\ndata: {"count":%d}\n\n' % each.missed)
        name, fields = _event(each.event)
        if fields is None:
            continue
        content = encode({"turn_id": each.turn_id, **fields})
        out.append(
            b"event: %b\ndata: %b\nid: %b:%d\n\n" % (name, content, each.turn_id.encode(), each.cursor)
        )
    return b"".join(out)


def _event(event: Watched) -> tuple[bytes, Fields | None]:
    """Return the name and the fields of the event; without fields it is not shown."""
    match event:
        case TextDelta(text):
            return b"text_delta", {"delta": text}
        case ThinkingDelta(text):
            return b"thinking_delta", {"delta": text}
        case ModelChosen():
            return b"model_chosen", choice_fields(event)
        case MessageAdded(message) | ToolFinished(message) if not message.tool_results:
            shown_message: dict[str, object] = {"message": chat_message(message)}
            if message.context is not None:
                shown_message["context"] = context_details((message,))
            if message.asks:
                shown_message["approvals"] = [each.shown for each in message.asks]
            return b"message_added", shown_message
        case ToolStarted(call):
            return b"tool_started", {"id": call.id, "name": call.name, "arguments": call.arguments}
        case ToolProgress(call_id, text):
            return b"tool_progress", {"id": call_id, "text": text}
        case ToolFinished(message) | MessageAdded(message):
            return b"tool_finished", tool_finished(message)
        case TurnAdmitted(input_, joins):
            return b"turn_admitted", {
                "input": tuple(chat_message(message) for message in input_),
                "joins": joins,
            }
        case TurnStarted(attempt):
            return b"turn_started", {"attempt": attempt}
        case TurnEnded(outcome, usage, error):
            shown = (
                msgspec.Raw(msgspec.json.encode(msgspec.json.decode(error_body(error))["error"]))
                if error is not None
                else None
            )
            return b"turn_ended", {"outcome": outcome, "usage": wire_usage(usage), "error": shown}
