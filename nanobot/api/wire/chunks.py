"""Chat completions as server-sent events: a turn's events in, OpenAI's chunks out."""

from collections.abc import Sequence

import msgspec

from nanobot.api.wire.chat_answer import ReplyAnnotations, completion_id, finish_reason, wire_call, wire_usage
from nanobot.api.wire.lists import encode
from nanobot.api.wire.model_choice import choice_fields
from nanobot.api.wire.tool_events import approvals_settled, tool_finished
from nanobot.core.event import (
    Event,
    MessageAdded,
    ModelChosen,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    events_of,
    units,
)
from nanobot.core.message import Message, joint
from nanobot.http.errors import error_body

NO_EVENTS: frozenset[str] = frozenset()
DONE = b"data: [DONE]\n\n"


class SentSoFar(msgspec.Struct, frozen=True):
    """What a client that resumes a stream has received. `last`: the model's message that it has whole, where
    it stands between two messages. `sources`: those of the messages that it has whole.
    """

    last: Message | None
    sources: ReplyAnnotations


def said_before(messages: tuple[Message, ...], after: int) -> SentSoFar:
    """Return what a client with the cursor `after` has received of a turn that added `messages`."""
    last: Message | None = None
    sources = ReplyAnnotations()
    cursor = 0
    for event in events_of(messages):
        cursor += units(event)
        if cursor > after:
            is_within = isinstance(event, TextDelta) and cursor - units(event) < after
            return SentSoFar(None if is_within else last, sources)
        if isinstance(event, TextDelta):
            last = None
        elif isinstance(event, MessageAdded) and event.message.role == "assistant" and event.message.text:
            last = event.message
            sources.add(last)
    return SentSoFar(last, sources)


class Chunks:
    """Turns the events of one turn into bytes for one client.

    Each carries `id: turn:cursor`, from which the stream can be resumed; the id comes after the data, because
    some clients only look at how an event begins. `[DONE]` has none: nothing follows it, and clients look for
    these very bytes. `events` adds named ones on `tools` and `models`, which stock SDKs do not see.
    """

    def __init__(
        self,
        turn_id: str,
        *,
        model: str,
        created: float,
        include_usage: bool,
        events: frozenset[str] = NO_EVENTS,
        behind: "SentSoFar | None" = None,
    ) -> None:
        head = {
            "id": completion_id(turn_id),
            "object": "chat.completion.chunk",
            "created": int(created),
            "model": model,
        }
        # Everything that all chunks share is encoded once: a delta then costs no more than its own text.
        self._head = encode(head)[:-1] + b',"choices":['
        self._text_head = b"data: " + self._head + b'{"index":0,"delta":{"content":'
        self._thought_head = b"data: " + self._head + b'{"index":0,"delta":{"reasoning_content":'
        self._turn_id = turn_id.encode()
        self._tail = (
            b'},"logprobs":null,"finish_reason":null}]'
            + (b',"usage":null' if include_usage else b"")
            + b"}\nid: %b:" % self._turn_id
        )
        self._include_usage = include_usage
        self.tells_tools = "tools" in events
        self._tells_models = "models" in events
        self._has_begun = behind is not None
        self._last: Message | None = None
        self._joint = b""
        self._sources = ReplyAnnotations() if behind is None else behind.sources
        if behind is not None and behind.last is not None:
            self._note(behind.last)

    @property
    def begins_at_once(self) -> bool:
        """A client that asks for the progress of tools needs the turn's id at once, to stop it before its
        first word.
        """
        return self.tells_tools

    def begin(self) -> bytes:
        """Return the first chunk, which carries the role; nothing where it was sent before."""
        if self._has_begun:
            return b""
        self._has_begun = True
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}', 0)

    def render(self, batch: Sequence[tuple[int, Event]]) -> bytes:
        """Return the bytes of `batch`, to be sent in one piece."""
        out: list[bytes] = []
        if not self._has_begun:
            out.append(self.begin())
        for cursor, event in batch:
            if isinstance(event, TextDelta):
                text = encode(event.text)
                if self._joint:
                    # Into the JSON string, after its quotation mark.
                    text = b'"' + self._joint + text[1:]
                    self._joint = b""
                out.append(b"%b%b%b%d\n\n" % (self._text_head, text, self._tail, cursor))
            elif isinstance(event, ThinkingDelta):
                out.append(b"%b%b%b%d\n\n" % (self._thought_head, encode(event.text), self._tail, cursor))
            elif isinstance(event, MessageAdded):
                self._note(event.message)
                self._sources.add(event.message)
                if event.message.client_calls:
                    out.append(self._calls(cursor, event))
                elif self.tells_tools:
                    out.append(self._approvals(cursor, event.message))
            elif isinstance(event, TurnEnded):
                out.append(self._end(cursor, event))
            elif isinstance(event, ModelChosen):
                if self._tells_models:
                    out.append(self._named(b"model_chosen", choice_fields(event), cursor))
            elif self.tells_tools:
                out.append(self._tool_event(cursor, event))
        return b"".join(out)

    async def prepare_end(self) -> None:
        """The last chunk needs nothing but its event."""

    def _calls(self, cursor: int, event: MessageAdded) -> bytes:
        """Return a chunk for each call: some clients read only the first one of a chunk.

        All but the last have the id of what stands before them: a stream which breaks between them is resumed
        before the first.
        """
        calls = [
            encode({"index": index, **msgspec.to_builtins(wire_call(call))})
            for index, call in enumerate(event.message.client_calls)
        ]
        before = cursor - units(event)
        first = [self._chunk(b'{"tool_calls":[%b]}' % call, before) for call in calls[:-1]]
        return b"".join((*first, self._chunk(b'{"tool_calls":[%b]}' % calls[-1], cursor)))

    def _note(self, message: Message) -> None:
        """Remember the message that ended a step: the text of the next one is set off from it."""
        if message.role == "assistant":
            self._last = message
            if message.text:
                self._joint = joint(message).replace("\n", "\\n").encode()

    def _chunk(self, delta: bytes, cursor: int, finish: bytes = b"null") -> bytes:
        usage = b',"usage":null' if self._include_usage else b""
        return b'data: %b{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]%b}\nid: %b:%d\n\n' % (
            self._head,
            delta,
            finish,
            usage,
            self._turn_id,
            cursor,
        )

    def _end(self, cursor: int, end: TurnEnded) -> bytes:
        if end.error is not None:
            return b"data: %b\nid: %b:%d\n\n" % (error_body(end.error), self._turn_id, cursor)
        reason = finish_reason((self._last,) if self._last else ())
        out = self._chunk(b"{}", cursor, encode(reason))
        if self._sources.found:
            # In one piece: SDKs that put a message together again cannot add to a list of these.
            out = self._chunk(encode({"annotations": self._sources.found}), cursor - units(end)) + out
        if self._include_usage:
            out += b'data: %b],"usage":%b}\nid: %b:%d\n\n' % (
                self._head,
                encode(wire_usage(end.usage, (self._last,) if self._last else ())),
                self._turn_id,
                cursor,
            )
        return out + DONE

    def _tool_event(self, cursor: int, event: Event) -> bytes:
        if isinstance(event, ToolStarted):
            call = event.call
            fields: dict[str, object] = {"id": call.id, "name": call.name, "arguments": call.arguments}
            return self._named(b"tool_started", fields, cursor)
        if isinstance(event, ToolProgress):
            return self._named(b"tool_progress", {"id": event.call_id, "text": event.text}, cursor)
        if isinstance(event, ToolFinished):
            finished = tool_finished(event.message)
            return b"" if finished is None else self._named(b"tool_finished", finished, cursor)
        return b""

    def _approvals(self, cursor: int, message: Message) -> bytes:
        """Return the event for a message that asks about calls, or says what has become of such."""
        if message.asks:
            asked = msgspec.to_builtins([each.shown for each in message.asks])
            return self._named(b"approval_asked", {"approvals": asked}, cursor)
        settled = approvals_settled(message)
        return self._named(b"approval_settled", {"approvals": settled}, cursor) if settled else b""

    def _named(self, name: bytes, fields: dict[str, object], cursor: int) -> bytes:
        content = msgspec.json.encode(fields)
        return b"event: %b\ndata: %b\nid: %b:%d\n\n" % (name, content, self._turn_id, cursor)
