"""The answer of OpenAI's chat completions, put together."""

from collections.abc import Sequence

import msgspec

from nanobot.api.wire.lists import encode
from nanobot.core.message import Message, Thinking, ToolCall, Usage, joint, reply_text
from nanobot.core.turn import Answer


class _PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int
    audio_tokens: int = 0


class _CompletionDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class ContextDetails(msgspec.Struct, frozen=True):
    """What the model saw of a conversation that it did not see whole."""

    messages_in_view: int
    messages_summarised: int
    messages_left_out: int


class WireUsage(msgspec.Struct, frozen=True):
    """`context_details` are there where the model did not see the whole conversation."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _PromptDetails
    completion_tokens_details: _CompletionDetails
    context_details: ContextDetails | msgspec.UnsetType = msgspec.UNSET


class WireFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class WireCustom(msgspec.Struct, frozen=True):
    name: str
    input: str


class WireCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the client is to run: of a function, or of a `custom` tool."""

    id: str
    type: str = "function"
    function: WireFunction | msgspec.UnsetType = msgspec.UNSET
    custom: WireCustom | msgspec.UnsetType = msgspec.UNSET


class UrlCitation(msgspec.Struct, frozen=True, kw_only=True):
    start_index: int = 0
    end_index: int = 0
    title: str = ""
    url: str = ""


class UrlAnnotation(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the web that a stretch of the text is based on."""

    type: str = "url_citation"
    url_citation: UrlCitation | None = None


class _ReplyMessage(msgspec.Struct, frozen=True, kw_only=True):
    role: str = "assistant"
    content: str | None
    tool_calls: tuple[WireCall, ...] | msgspec.UnsetType = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    refusal: None = None
    annotations: tuple[UrlAnnotation, ...] = ()


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int = 0
    message: _ReplyMessage
    logprobs: None = None
    finish_reason: str


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: tuple[_Choice, ...]
    usage: WireUsage
    service_tier: str = "default"


def context_details(messages: Sequence[Message]) -> ContextDetails | msgspec.UnsetType:
    """Return what the model saw of the conversation when it wrote the last of the messages, if not all."""
    seen = messages[-1].context if messages else None
    if seen is None:
        return msgspec.UNSET
    return ContextDetails(seen.in_view, seen.summarised, seen.left_out)


def wire_usage(usage: Usage, messages: Sequence[Message] = ()) -> WireUsage:
    """Return the usage as OpenAI shapes it, and what the model saw of the conversation."""
    return WireUsage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens + usage.completion_tokens,
        _PromptDetails(usage.cached_tokens),
        _CompletionDetails(usage.reasoning_tokens),
        context_details(messages),
    )


def finish_reason(messages: tuple[Message, ...], calls: Sequence[ToolCall] | None = None) -> str:
    """Return why the last message of a turn ended, in OpenAI's words. `calls`: those that wait for the
    client, where they are known.
    """
    if client_calls(messages) if calls is None else calls:
        last = next((message for message in reversed(messages) if message.role == "assistant"), None)
        # The arguments of the last call may break off.
        return "length" if last is not None and last.stop_reason == "length" else "tool_calls"
    reason = messages[-1].stop_reason if messages else None
    # SDKs know no other reasons.
    return reason if reason in ("stop", "length", "content_filter") else "stop"


def client_calls(messages: tuple[Message, ...]) -> tuple[ToolCall, ...]:
    """Return the calls of a turn that wait for the client."""
    for message in reversed(messages):
        if message.role == "assistant":
            return message.client_calls
    return ()


def wire_call(call: ToolCall) -> WireCall:
    """Return the call as the client is to see it; no arguments are an empty object."""
    if call.declared is not None and call.declared.is_freeform:
        return WireCall(id=call.id, type="custom", custom=WireCustom(call.declared.name, call.freeform_text))
    return WireCall(
        id=call.id, function=WireFunction(call.name, call.arguments if call.arguments.strip() else "{}")
    )


def annotations(message: Message, behind: int = 0) -> tuple[UrlAnnotation, ...]:
    """Return the sources of a message whose text stands so many characters behind the beginning of all."""
    return tuple(
        UrlAnnotation(
            url_citation=UrlCitation(
                start_index=behind + source.start,
                end_index=behind + source.end,
                title=source.title,
                url=source.url,
            )
        )
        for source in message.citations
    )


class ReplyAnnotations:
    """The sources of a turn's answer, `found` while its messages come."""

    def __init__(self) -> None:
        self.found: tuple[UrlAnnotation, ...] = ()
        self._chars = 0
        self._before: Message | None = None

    def add(self, message: Message) -> None:
        """Note the next message of the turn."""
        text = message.text if message.role == "assistant" else ""
        if text:
            self._chars += len(joint(self._before))
            if message.citations:
                self.found += annotations(message, self._chars)
            self._chars += len(text)
            self._before = message


def _reply_annotations(messages: tuple[Message, ...]) -> tuple[UrlAnnotation, ...]:
    reply = ReplyAnnotations()
    for message in messages:
        reply.add(message)
    return reply.found


def completion_id(turn_id: str) -> str:
    """Return the id under which OpenAI's clients know the turn."""
    return "chatcmpl-" + turn_id.removeprefix("turn_")


def completion(answer: Answer, *, model: str, created: float) -> bytes:
    """Return the body that answers a request which did not ask for a stream."""
    thoughts = "".join(
        [part.text for message in answer.messages for part in message.parts if isinstance(part, Thinking)]
    )
    waiting = client_calls(answer.messages)
    calls = tuple(map(wire_call, waiting))
    text = reply_text(answer.messages)
    message = _ReplyMessage(
        # OpenAI has null, not an empty text, beside calls.
        content=text or None if calls else text,
        tool_calls=calls or msgspec.UNSET,
        reasoning_content=thoughts or msgspec.UNSET,
        annotations=_reply_annotations(answer.messages),
    )
    choice = _Choice(message=message, finish_reason=finish_reason(answer.messages, waiting))
    usage = wire_usage(answer.end.usage, answer.messages)
    return encode(
        Completion(
            id=completion_id(answer.turn_id),
            created=int(created),
            model=model,
            choices=(choice,),
            usage=usage,
        )
    )
