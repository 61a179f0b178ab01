"""Responses as server-sent events: a turn's events in, OpenAI's typed events out.

The same turn gives the same events with the same numbers, whenever and however often it is followed: how the
text is cut into deltas depends on the text alone, not on how the model sent it. So a stream can be resumed by
`starting_after`, although the model's own deltas are not kept. A piece is sent when what follows it has
begun; the price is that the newest word waits for the next one.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from nanobot.api.wire.chunks import DONE
from nanobot.api.wire.items import (
    CallItem,
    CustomCallItem,
    ItemRef,
    UrlCitationOfText,
    WireItem,
    call_item,
    call_prefix,
    item_id,
    reasoning,
    sources_of_texts,
    status_of,
    text_message,
)
from nanobot.api.wire.response_answer import Echo, ResponseObject, response_object
from nanobot.api.wire.tool_items import PREFIX, ToolCallItem, begun, cut_off, finished, shown_calls
from nanobot.core.errors import ShuttingDown
from nanobot.core.event import Event, MessageAdded, TextDelta, ThinkingDelta, ToolFinished, TurnEnded
from nanobot.core.ids import time_of
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Message
from nanobot.core.turn import Status, TurnState

_PIECE = LatePattern(r"\s{0,8}(?:[!-~]{1,12}|[^\s!-~]{1,2})?")
"""White space and a word, or two characters of a script that has no spaces."""

_TERMINAL = {"completed": "response.completed", "incomplete": "response.incomplete"}


class _Open:
    """The item that is being said: `pieces` are what has gone out of it, `unsent` is the rest."""

    def __init__(self, kind: type[TextDelta] | type[ThinkingDelta], id_: str) -> None:
        self.kind = kind
        self.id = id_
        self.pieces: list[str] = []
        self.unsent = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponseEvents:
    """Turns the events of one turn, from its beginning, into bytes for one client.

    Events up to the number `after` are left out. `ended_at` looks up when the turn ended, as it is stored:
    however often the stream is sent, it says the same.
    """

    def __init__(
        self,
        turn_id: str,
        echo: Echo,
        *,
        inputs: int,
        ended_at: Callable[[], Awaitable[float | None]],
        after: int = -1,
        begins_at_once: bool = False,
    ) -> None:
        self._turn_id = turn_id
        self._echo = echo
        self._inputs = inputs
        self._read_end_time = ended_at
        self._ended_at: float | None = None
        self._after = after
        self._as_summary = echo.reasoning.summary is not None
        self._shows_tools = echo.shows_tools
        # Calls of the server's own tools that have no result yet, with their places in the output.
        self._running: dict[str, tuple[int, ToolCallItem]] = {}
        self.begins_at_once = begins_at_once
        self._has_begun = False
        self._number = -1
        self._items = 0
        self._position = 0
        self._messages: list[Message] = []
        self._open: _Open | None = None
        self._out: list[bytes] = []

    def begin(self) -> bytes:
        """Return the events with which every response begins; nothing where they were sent before."""
        if self._has_begun:
            return b""
        self._has_begun = True
        self._emit(
            "response.created", response=self._response("queued" if self._echo.background else "running")
        )
        if self._echo.background:
            self._emit("response.queued", response=self._response("queued"))
        self._emit("response.in_progress", response=self._response("running"))
        return self._taken()

    def render(self, batch: Sequence[tuple[int, Event]]) -> bytes:
        """Return the bytes of `batch`, to be sent in one piece."""
        begun = self.begin()
        for _, event in batch:
            if isinstance(event, TextDelta | ThinkingDelta):
                self._say(event)
            elif isinstance(event, MessageAdded | ToolFinished):
                self._add(event.message)
            elif isinstance(event, TurnEnded):
                self._end(event)
        return begun + self._taken()

    async def prepare_end(self) -> None:
        """Look up when the turn ended."""
        self._ended_at = await self._read_end_time()

    def _taken(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _emit(self, kind: str, /, **fields: object) -> None:
        self._number += 1
        if self._number > self._after:
            content = msgspec.json.encode({"type": kind, "sequence_number": self._number, **fields})
            self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), content))

    def _response(self, status: Status, end: TurnEnded | None = None) -> ResponseObject:
        state = TurnState(
            id=self._turn_id,
            session_key="",
            status=status,
            attempt=0,
            model=None,
            created_at=time_of(self._turn_id),
            started_at=None,
            ended_at=self._ended_at if end is not None else None,
            messages=tuple(self._messages),
            end=end,
            answered_by=self._turn_id,
        )
        return response_object(state, self._echo, inputs=self._inputs)

    # Items ----------------------------------------------------------------------------------------

    def _item_id(self, prefix: str) -> str:
        return item_id(prefix, ItemRef(self._turn_id, self._inputs + len(self._messages)), self._position)

    def _say(self, delta: TextDelta | ThinkingDelta) -> None:
        if not delta.text:
            return
        if self._open is None or not isinstance(delta, self._open.kind):
            self._close("completed")
            self._begin_item(type(delta))
        item = self._open
        assert item is not None  # noqa: S101 - just opened
        item.unsent += delta.text
        self._send(item, is_whole=False)

    def _begin_item(self, kind: type[TextDelta] | type[ThinkingDelta]) -> None:
        is_text = kind is TextDelta
        opened = self._open = _Open(kind, self._item_id("msg" if is_text else "rs"))
        fields = {"item_id": opened.id, "output_index": self._items}
        if is_text:
            empty: dict[str, object] = {
                "id": opened.id,
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": (),
            }
        else:
            empty = {
                "id": opened.id,
                "type": "reasoning",
                "status": "in_progress",
                "summary": (),
                "content": (),
            }
        self._emit("response.output_item.added", output_index=self._items, item=empty)
        if is_text:
            self._emit("response.content_part.added", **fields, content_index=0, part=_text_part(""))
        elif self._as_summary:
            self._emit(
                "response.reasoning_summary_part.added",
                **fields,
                summary_index=0,
                part={"type": "summary_text", "text": ""},
            )
        else:
            self._emit(
                "response.content_part.added",
                **fields,
                content_index=0,
                part={"type": "reasoning_text", "text": ""},
            )

    def _send(self, item: _Open, *, is_whole: bool) -> None:
        """Send the pieces of the text that nothing can add to any more."""
        text, sent = item.unsent, 0
        while sent < len(text):
            piece = _PIECE.match(text, sent)
            assert piece is not None  # noqa: S101 - it fits whatever stands there
            end = piece.end()
            if end == len(text) and not is_whole:
                break
            item.pieces.append(text[sent:end])
            self._delta(item, item.pieces[-1])
            sent = end
        item.unsent = text[sent:]

    def _delta(self, open_: _Open, piece: str) -> None:
        fields = {"item_id": open_.id, "output_index": self._items}
        if open_.kind is TextDelta:
            self._emit("response.output_text.delta", **fields, content_index=0, delta=piece, logprobs=())
        elif self._as_summary:
            self._emit("response.reasoning_summary_text.delta", **fields, summary_index=0, delta=piece)
        else:
            self._emit("response.reasoning_text.delta", **fields, content_index=0, delta=piece)

    def _close(self, status: str, message: Message | None = None) -> None:
        """End the item that is being said; `message`: the whole one that it ends, where that has come."""
        said = self._open
        if said is None:
            return
        self._send(said, is_whole=True)
        self._open = None
        fields = {"item_id": said.id, "output_index": self._items}
        item: WireItem
        if said.kind is TextDelta:
            sources = _sources_at_end(said.text, message)
            item = text_message(said.id, said.text, status, sources)
            place = {**fields, "content_index": 0}
            for number, source in enumerate(sources):
                self._emit(
                    "response.output_text.annotation.added",
                    **place,
                    annotation_index=number,
                    annotation=source,
                )
            self._emit("response.output_text.done", **place, text=said.text, logprobs=())
            self._emit("response.content_part.done", **place, part=_text_part(said.text, sources))
        else:
            item = reasoning(said.id, said.text, status, as_summary=self._as_summary)
            if self._as_summary:
                self._emit("response.reasoning_summary_text.done", **fields, summary_index=0, text=said.text)
                self._emit(
                    "response.reasoning_summary_part.done",
                    **fields,
                    summary_index=0,
                    part={"type": "summary_text", "text": said.text},
                )
            else:
                self._emit("response.reasoning_text.done", **fields, content_index=0, text=said.text)
                self._emit(
                    "response.content_part.done",
                    **fields,
                    content_index=0,
                    part={"type": "reasoning_text", "text": said.text},
                )
        self._emit("response.output_item.done", output_index=self._items, item=item)
        self._items += 1
        self._position += 1

    def _add(self, message: Message) -> None:
        """Close what the message said, and send the calls that the client is to run, and what became of the
        server's own where that is shown.
        """
        if message.role == "assistant":
            self._close(status_of(message), message)
            for call in message.client_calls:
                self._call(call_item(self._item_id(call_prefix(call)), call))
        if self._shows_tools:
            for place, call in enumerate(shown_calls(message)):
                self._position = place
                self._run(call.id, begun(self._item_id(PREFIX), call))
            for result in message.tool_results:
                if result.call_id in self._running:
                    at, item = self._running.pop(result.call_id)
                    self._end_call(at, finished(item, result))
        self._messages.append(message)
        self._position = 0

    def _call(self, item: CallItem | CustomCallItem) -> None:
        fields = {"item_id": item.id, "output_index": self._items}
        if isinstance(item, CustomCallItem):
            begun: WireItem = msgspec.structs.replace(item, status="in_progress", input="")
            kind, whole = "response.custom_tool_call_input", {"input": item.input}
            delta = item.input
        else:
            begun = msgspec.structs.replace(item, status="in_progress", arguments="")
            kind = "response.function_call_arguments"
            whole = {"name": item.name, "arguments": item.arguments}
            delta = item.arguments
        self._emit("response.output_item.added", output_index=self._items, item=begun)
        self._emit(f"{kind}.delta", **fields, delta=delta)
        self._emit(f"{kind}.done", **fields, **whole)
        self._emit("response.output_item.done", output_index=self._items, item=item)
        self._items += 1
        self._position += 1

    def _run(self, call_id: str, item: ToolCallItem) -> None:
        """Send a call of one of the server's own tools, which runs from now on."""
        fields = {"item_id": item.id, "output_index": self._items}
        empty = msgspec.structs.replace(item, arguments="")
        self._emit("response.output_item.added", output_index=self._items, item=empty)
        self._emit("response.mcp_call.in_progress", **fields)
        self._emit("response.mcp_call_arguments.delta", **fields, delta=item.arguments)
        self._emit("response.mcp_call_arguments.done", **fields, arguments=item.arguments)
        self._running[call_id] = self._items, item
        self._items += 1

    def _end_call(self, at: int, item: ToolCallItem) -> None:
        if item.status != "incomplete":
            self._emit(f"response.mcp_call.{item.status}", item_id=item.id, output_index=at)
        self._emit("response.output_item.done", output_index=at, item=item)

    def _end(self, end: TurnEnded) -> None:
        """Send the last event even where the client has a higher number than there are events: a turn that
        failed does not repeat what was not kept.
        """
        # Then the turn has not ended: it goes on at the next start of the server.
        stops = end.error is not None and end.error.code == ShuttingDown.code
        if not stops:
            for at, item in self._running.values():
                self._end_call(at, cut_off(item))
        self._number = max(self._number, self._after)
        if stops and end.error is not None:
            self._emit("error", code=end.error.code, message=end.error.message, param=None)
            return
        response = self._response(end.outcome, end)
        self._emit(_TERMINAL.get(response.status, "response.failed"), response=response)
        self._out.append(DONE)


def _text_part(text: str, sources: tuple[UrlCitationOfText, ...] = ()) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": sources, "logprobs": ()}


def _sources_at_end(text: str, message: Message | None) -> tuple[UrlCitationOfText, ...]:
    """Return the sources of the text that the message ends with."""
    if message is None or not message.citations:
        return ()
    before = message.text.removesuffix(text)
    return tuple(sources_of_texts([before, text], message))[-1]
