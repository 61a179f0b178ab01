"""Items, of which OpenAI's responses and conversations consist, built from stored messages.

A message becomes an item for each run of text or thinking in it, and one for each call that the client is to
run; the server's own calls are shown in responses to clients that ask for them (`tool_items`). An item's id
names its message and its position in it, so that it is the same in a stream, in a stored response and in the
list of a conversation.
"""

from collections.abc import Iterator, Sequence

import msgspec

from nanobot.api.wire.tool_items import PREFIX, ToolCallItem, shown_calls
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Audio, File, Image, Message, Text, Thinking, ToolCall, ToolResult


class UrlCitationOfText(msgspec.Struct, frozen=True, kw_only=True, tag="url_citation"):
    """A page of the web that a stretch of the text is based on."""

    start_index: int
    end_index: int
    title: str
    url: str


class OutputText(msgspec.Struct, frozen=True, kw_only=True, tag="output_text"):
    text: str
    annotations: tuple[UrlCitationOfText, ...] = ()
    logprobs: tuple[()] = ()


class InputText(msgspec.Struct, frozen=True, kw_only=True, tag="input_text"):
    text: str


class InputImage(msgspec.Struct, frozen=True, kw_only=True, tag="input_image"):
    detail: str
    image_url: str
    file_id: None = None


class InputFile(msgspec.Struct, frozen=True, kw_only=True, tag="input_file"):
    filename: str
    file_id: str | None


class ReasoningText(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning_text"):
    text: str


class SummaryText(msgspec.Struct, frozen=True, kw_only=True, tag="summary_text"):
    text: str


class MessageItem(msgspec.Struct, frozen=True, kw_only=True, tag="message"):
    id: str
    status: str
    role: str
    content: tuple[OutputText | InputText | InputImage | InputFile, ...]


class ReasoningItem(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """What the model thought: as `content`, or as `summary` where the client asked for one."""

    id: str
    status: str
    summary: tuple[SummaryText, ...] = ()
    content: tuple[ReasoningText, ...] = ()
    encrypted_content: None = None


class CallItem(msgspec.Struct, frozen=True, kw_only=True, tag="function_call"):
    id: str
    status: str
    call_id: str
    name: str
    arguments: str
    namespace: str | msgspec.UnsetType = msgspec.UNSET


class CustomCallItem(msgspec.Struct, frozen=True, kw_only=True, tag="custom_tool_call"):
    """A call of a tool that takes a text."""

    id: str
    status: str
    call_id: str
    name: str
    input: str
    namespace: str | msgspec.UnsetType = msgspec.UNSET


class CallOutputItem(msgspec.Struct, frozen=True, kw_only=True, tag="function_call_output"):
    id: str
    status: str
    call_id: str
    output: str | tuple[InputText | InputImage | InputFile, ...]


WireItem = MessageItem | ReasoningItem | CallItem | CustomCallItem | CallOutputItem | ToolCallItem

# Ids ----------------------------------------------------------------------------------------------

_SUFFIX = 26
_ITEM_ID = LatePattern(r"(?:msg|rs|fc|fco|ctc|mcp)_([0-9a-z]{26})([0-9a-f]{4})([0-9a-f]{2})")


class ItemRef(msgspec.Struct, frozen=True):
    """A lasting name for a message of a session: its turn and its `number` (`Row.number`) there."""

    turn_id: str | None
    number: int


def response_id(turn_id: str) -> str:
    """Return the id under which OpenAI's clients know the turn."""
    return "resp_" + turn_id.removeprefix("turn_")


def turn_of(id_: str) -> str | None:
    """Return the id of the turn that the response is; None where it cannot be one."""
    suffix = id_.removeprefix("resp_")
    return "turn_" + suffix if suffix != id_ and suffix.isalnum() and suffix.isascii() else None


def item_id(prefix: str, ref: ItemRef, place: int) -> str:
    """Return the id of the item at `place` of the message."""
    if ref.turn_id is None:
        return f"{prefix}_{ref.number:0{_SUFFIX}d}0000{place:02x}"
    return f"{prefix}_{ref.turn_id.removeprefix('turn_')}{ref.number:04x}{place:02x}"


def ref_of(id_: str) -> ItemRef | None:
    """Return the message that the item's id names; None where it is no id."""
    parsed = _ITEM_ID.fullmatch(id_)
    if parsed is None:
        return None
    suffix, number, _ = parsed.groups()
    # Ids begin with the time, and no turn is of 1970.
    if suffix.startswith("0" * 8) and suffix.isdigit():
        return ItemRef(None, int(suffix))
    return ItemRef("turn_" + suffix, int(number, 16))


# From messages ------------------------------------------------------------------------------------


def items(message: Message, ref: ItemRef, *, as_summary: bool = False) -> tuple[WireItem, ...]:
    """Return the items of a message."""
    if message.role == "user":
        return (input_message(message, ref),)
    if message.role == "tool":
        return tuple(
            CallOutputItem(
                id=item_id("fco", ref, place),
                status="completed",
                call_id=result.call_id,
                output=_output(message, result),
            )
            for place, result in enumerate(message.tool_results)
        )
    return _said(message, ref, as_summary=as_summary)


def answered(id_: str, message: Message, ref: ItemRef) -> Message | None:
    """Return what the item with that id says, as a message of its own; None where the message has no such
    item.
    """
    if id_.startswith(PREFIX):
        ids = (item_id(PREFIX, ref, place) for place, _ in enumerate(shown_calls(message)))
        # As of thoughts, nothing of it is said.
        return Message("assistant", ()) if id_ in ids else None
    item = next((item for item in items(message, ref) if item.id == id_), None)
    if isinstance(item, MessageItem) and item.role == "assistant":
        return Message(
            "assistant",
            tuple(Text(part.text) for part in item.content if isinstance(part, OutputText)),
            "stop",
        )
    if isinstance(item, CallItem | CustomCallItem):
        call = next(call for call in message.client_calls if call.id == item.call_id)
        return Message("assistant", (call,), "tool_calls")
    if isinstance(item, ReasoningItem):
        return Message("assistant", ())
    return message if item is not None else None


def input_message(message: Message, ref: ItemRef) -> MessageItem:
    """Return what a client said."""
    return MessageItem(id=item_id("msg", ref, 0), status="completed", role="user", content=_shown(message))


def _output(message: Message, result: ToolResult) -> str | tuple[InputText | InputImage | InputFile, ...]:
    """Return the result as text; with what came along, as parts."""
    came_along = _shown(message)
    return (InputText(text=result.content), *came_along) if came_along else result.content


def _shown(message: Message) -> tuple[InputText | InputImage | InputFile, ...]:
    content: list[InputText | InputImage | InputFile] = []
    for part in message.parts:
        if isinstance(part, Text):
            content.append(InputText(text=part.text))
        elif isinstance(part, Image):
            content.append(InputImage(detail=part.detail or "auto", image_url=part.url))
        elif isinstance(part, File):
            content.append(InputFile(filename=part.name, file_id=part.file_id))
        elif isinstance(part, Audio):
            content.append(InputFile(filename=f"audio.{part.format}", file_id=None))
    return tuple(content)


def _said(message: Message, ref: ItemRef, *, as_summary: bool) -> tuple[WireItem, ...]:
    stretches: list[tuple[type, str]] = []
    for part in message.parts:
        if isinstance(part, Text | Thinking):
            kind = type(part)
            if stretches and stretches[-1][0] is kind:
                stretches[-1] = (kind, stretches[-1][1] + part.text)
            elif part.text:
                stretches.append((kind, part.text))
    parts: list[WireItem] = []
    sources = sources_of_texts([text for kind, text in stretches if kind is Text], message)
    for place, (kind, text) in enumerate(stretches):
        status = status_of(message) if place == len(stretches) - 1 else "completed"
        parts.append(
            reasoning(item_id("rs", ref, place), text, status, as_summary=as_summary)
            if kind is Thinking
            else text_message(item_id("msg", ref, place), text, status, next(sources, ()))
        )
    for place, call in enumerate(message.client_calls, len(stretches)):
        parts.append(call_item(item_id(call_prefix(call), ref, place), call))
    return tuple(parts)


def status_of(message: Message) -> str:
    """Return the status of the last text of the message."""
    return "incomplete" if message.stop_reason in ("length", "content_filter", "incomplete") else "completed"


def sources_of_texts(texts: Sequence[str], message: Message) -> Iterator[tuple[UrlCitationOfText, ...]]:
    """Yield the sources of each of the texts that a message consists of."""
    if not message.citations:
        return
    start = 0
    for number, text in enumerate(texts, 1):
        end = start + len(text)
        is_last = number == len(texts)
        yield tuple(
            UrlCitationOfText(
                start_index=min(each.start - start, len(text)),
                end_index=min(each.end - start, len(text)),
                title=each.title,
                url=each.url,
            )
            for each in message.citations
            if start <= each.start and (is_last or each.start < end)
        )
        start = end


def text_message(
    id_: str, text: str, status: str, sources: tuple[UrlCitationOfText, ...] = ()
) -> MessageItem:
    said = OutputText(text=text, annotations=sources)
    return MessageItem(id=id_, status=status, role="assistant", content=(said,))


def reasoning(id_: str, text: str, status: str, *, as_summary: bool) -> ReasoningItem:
    if as_summary:
        return ReasoningItem(id=id_, status=status, summary=(SummaryText(text=text),))
    return ReasoningItem(id=id_, status=status, content=(ReasoningText(text=text),))


def call_prefix(call: ToolCall) -> str:
    """Return how the id of the call's item begins."""
    return "ctc" if call.declared is not None and call.declared.is_freeform else "fc"


def call_item(id_: str, call: ToolCall) -> CallItem | CustomCallItem:
    """Return the call as the client is to see it, of the tool as it declared it; no arguments are an empty
    object.
    """
    declared = call.declared
    name = call.name if declared is None else declared.name
    namespace = msgspec.UNSET if declared is None or declared.namespace is None else declared.namespace
    if declared is not None and declared.is_freeform:
        return CustomCallItem(
            id=id_,
            status="completed",
            call_id=call.id,
            name=name,
            input=call.freeform_text,
            namespace=namespace,
        )
    return CallItem(
        id=id_,
        status="completed",
        call_id=call.id,
        name=name,
        arguments=call.arguments if call.arguments.strip() else "{}",
        namespace=namespace,
    )
