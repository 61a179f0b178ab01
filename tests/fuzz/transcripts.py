"""Transcripts: cut and mixed in every way, shown to a model."""

from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.context.history import ends_of, fit, repair
from nanobot.core.errors import ContextOverflow
from nanobot.core.message import (
    Image,
    Message,
    Part,
    Role,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    estimate_tokens,
    reply_text,
)
from tests.fuzz.target import drawn

_texts = st.sampled_from(
    ["", " ", "a", "words\n\nand more", "é€😀", '"\\\u2028', "data: [DONE]\n\n", "\0\r"]
) | st.text(max_size=6)
_long = st.builds(lambda text, times: text * times, _texts, st.integers(0, 60))
_ids = st.sampled_from(["1", "2", "3", ""])
_arguments = st.sampled_from(
    ["{}", "", " ", "{", "[]", "null", '{"a": 1}', '{"a": 1', "[" * 2_000, '{"a":' * 1_500, '"\\ud800"']
)
_parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, _long),
    st.builds(Thinking, _texts),
    st.builds(Image, st.just("data:image/png;base64,AA==")),
    st.builds(ToolCall, _ids, st.sampled_from(["look", ""]), _arguments, st.booleans()),
    st.builds(ToolResult, _ids, _long, st.booleans()),
)
_reasons: tuple[StopReason | None, ...] = (None, *get_args(StopReason))
_messages = st.builds(
    Message,
    st.sampled_from(get_args(Role)),
    st.lists(_parts, max_size=4).map(tuple),
    st.sampled_from(_reasons),
)


def transcripts() -> st.SearchStrategy[tuple[Message, ...]]:
    """Messages in any order: every role, with parts that it may have and parts that it may not."""
    return st.lists(_messages, max_size=12).map(tuple)


@given(transcripts(), st.integers(0, 2_000), st.integers(0, 5_000))
def _shown(messages: tuple[Message, ...], budget: int, skipped: int) -> None:
    ends = ends_of(messages, skipped)
    try:
        kept = fit(messages, budget, skipped_tokens=skipped)
    except ContextOverflow:
        last = next((message for message in reversed(messages) if message.role == "user"), messages[0])
        assert estimate_tokens(last) > budget, "refused, and would fit"
        return
    assert kept == fit(messages, budget, skipped_tokens=skipped, ends=ends)
    asked = max((place for place, message in enumerate(messages) if message.role == "user"), default=None)
    if asked is not None:
        assert messages[asked] in kept, "the message that is to be answered was left out"
    question = estimate_tokens(messages[asked or 0]) if messages else 0
    # The last step always stays: without it the model would make it again.
    said = max((place for place, message in enumerate(messages) if message.role == "assistant"), default=None)
    step = sum(map(estimate_tokens, messages[said:])) if said is not None else 0
    assert sum(map(estimate_tokens, kept)) <= budget + question + step
    rest = kept[1:] if kept and messages[len(messages) - len(kept) :] != kept else kept
    assert messages[len(messages) - len(rest) :] == rest, "what is shown is not the newest"
    check_whole(repair(kept))
    check_whole(repair(messages))
    assert reply_text(repair(messages)).replace("\n", "") == reply_text(messages).replace("\n", "")


def check_whole(messages: tuple[Message, ...]) -> None:
    """Raise where a provider would refuse the transcript."""
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            (result,) = message.tool_results
            assert waiting, f"the result of {result.call_id!r} stands without its call"
            assert waiting.pop(0) == result.call_id, (
                f"the result of {result.call_id!r} is not where its call is"
            )
            continue
        assert not waiting, f"the calls {waiting} have no result"
        assert any(not isinstance(part, Text) or part.text for part in message.parts), (
            f"a {message.role} message with nothing in it"
        )
        if message.role == "user":
            assert not message.tool_calls
            assert not message.tool_results
            continue
        assert all(isinstance(part, Text | ToolCall) for part in message.parts), message
        waiting = [call.id for call in message.tool_calls]
        assert len(set(waiting)) == len(waiting), f"two calls {waiting} with one id"
        for call in message.tool_calls:
            assert not call.arguments.strip() or isinstance(msgspec.json.decode(call.arguments), dict), call
    assert not waiting, f"the calls {waiting} have no result"
    assert repair(messages) == messages, "what is whole is mended again"


TARGETS = (drawn("transcripts", _shown),)
