"""One event of a streamed response: its shape, and how it is decoded.

Strictly first, as nearly all servers keep to the shape; an event that does not is decoded once more,
leniently, before it counts as broken.
Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any

import msgspec

from nanobot.models.lenient import Halves, loads, repaired


class ResponseEnd(msgspec.Struct, gc=False):
    """A response, as the events that begin and end it hold it."""

    # Any: usage is a courtesy, and no reason to lose an answer.
    usage: Any = None
    output: Any = None
    status: str | None = None
    error: Any = None
    incomplete_details: Any = None


class StreamEvent(ResponseEnd, gc=False):
    """An event, or a whole response where the server does not stream.

    `delta`: what is added; `text`, `refusal`, `arguments`: the whole of it.
    """

    type: str = ""
    object: str | None = None
    sequence_number: int | None = None
    output_index: int | None = None
    summary_index: int | None = None
    content_index: int | None = None
    item_id: str | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    item: Any = None
    response: ResponseEnd | None = None


decode = msgspec.json.Decoder(StreamEvent).decode


class LenientReading:
    """Decodes events that the strict decoder refuses; one for each answer.

    Numbers are taken for strings and strings for numbers, bytes that are no UTF-8 are replaced. A character
    that was cut in two between deltas is put together again. A field of another type is left out.
    """

    def __init__(self) -> None:
        self._halves = Halves()

    def decode(self, payload: bytes) -> StreamEvent:
        """Return the event; one without a type for a heartbeat.

        Raises:
            ValueError, RecursionError: the payload is no event.
        """
        content = loads(payload)
        if content is None or content in ("", [], {}):
            return StreamEvent(type="keepalive")
        if not isinstance(content, dict):
            raise ValueError("it is no object")
        delta = content.get("delta")
        if isinstance(delta, str):
            content["delta"] = self._halves.whole("delta", delta)
        return _event(repaired(content))


def _event(content: Any) -> StreamEvent:
    event = StreamEvent(**_fields(content, StreamEvent))
    response = content.get("response")
    event.response = ResponseEnd(**_fields(response, ResponseEnd)) if isinstance(response, dict) else None
    return event


def _fields(content: dict[str, Any], shape: type[ResponseEnd]) -> dict[str, Any]:
    """Return the fields of a shape that `content` has with a value of their type."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        if field.name in content and field.name != "response":
            try:
                fields[field.name] = msgspec.convert(content[field.name], field.type, strict=False)
            except msgspec.ValidationError:
                continue
    return fields
