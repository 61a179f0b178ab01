"""History: how much of it fits, and how to repair a transcript that was cut anywhere."""

from bisect import bisect_left
from itertools import accumulate

import msgspec

from nanobot.context.files import least_tokens
from nanobot.context.participants import named
from nanobot.core.dispatch import History
from nanobot.core.errors import ContextOverflow
from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    estimate_tokens,
)

NO_RESULT = "No result was provided for this call."
SHOWN_BELOW = "(What came of this call is shown below.)"
CAME_WITH = "(This came with the result of {}:)"
CAME_WITH_ANSWER = "(This came with the answer before it:)"
RESULT_ALONE = "(The result of a tool call that is not shown:)"
_NO_IDS: frozenset[str] = frozenset()
_STEPS_A_WINDOW = 4
_STEPS_IN_A_TURN = 2


def fit(
    messages: tuple[Message, ...],
    budget_tokens: int,
    *,
    skipped_tokens: int = 0,
    ends: tuple[int, ...] = (),
    saved_tokens: int = 0,
    asked: range | None = None,
    is_folded: bool = False,
) -> tuple[Message, ...]:
    """Return the newest of `messages` that cost at most `budget_tokens`; the oldest are left out first.

    `skipped_tokens` is the size of the conversation before them, `ends` its size at the end of each, where
    known, and `saved_tokens` how much shorter it is with a summary of what comes before them. The cut moves
    in steps of a quarter of the budget, counted from the start of the conversation: it stays in one place for
    many turns, so that the provider's prefix cache keeps hitting. What is `asked`, the places of the running
    turn's input, always stays, and the last user message; where the former is not told apart, the latter
    alone. `is_folded`: what follows it stands for the first steps of the turn, and stays, too, where it fits.
    A tool result is never left without its call, which providers refuse.

    Raises:
        ContextOverflow: the last user message alone is over the budget.
    """
    ends = ends or ends_of(messages, skipped_tokens)
    cut = left_out((ends[-1] if ends else 0) - saved_tokens, budget_tokens)
    if not cut:
        # What was loaded may begin in the middle of a turn.
        return messages if not skipped_tokens else _from_question(messages, 0)
    first = bisect_left((skipped_tokens, *ends[:-1]), cut + saved_tokens)
    if asked is None:
        last = max((i for i, message in enumerate(messages) if message.role == "user"), default=0)
        asked = range(last, last + 1)
    if first <= asked.start:
        return _from_question(messages, first)
    return _within_the_turn(messages, ends, asked, budget_tokens, is_folded=is_folded)


def left_out(size_tokens: int, budget_tokens: int) -> int:
    """Return how much from the start of a conversation of that size `fit` leaves out, where its newest
    message is one of a user.
    """
    over = size_tokens - budget_tokens
    step = max(1, budget_tokens // _STEPS_A_WINDOW)
    # Rounded up to whole steps.
    return -(-over // step) * step if over > 0 else 0


def ends_of(messages: tuple[Message, ...], before_tokens: int) -> tuple[int, ...]:
    """Return the size of the conversation at the end of each message; before them it is `before_tokens`."""
    return tuple(accumulate(map(estimate_tokens, messages), initial=before_tokens))[1:]


def _from_question(messages: tuple[Message, ...], first: int) -> tuple[Message, ...]:
    """Return the messages from the next question on: the rest of a turn makes no sense without it."""
    while first < len(messages) and messages[first].role != "user":
        first += 1
    return messages[first:]


def _within_the_turn(
    messages: tuple[Message, ...],
    ends: tuple[int, ...],
    asked: range,
    budget_tokens: int,
    *,
    is_folded: bool,
) -> tuple[Message, ...]:
    """Return the question and the newest whole steps of a running turn that is long, and what a user said
    last. The last step stays in any case: the model would do it again and again.
    """
    own = asked.stop + is_folded
    question = _question_within(messages, asked, budget_tokens, is_folded=is_folded)
    room = max(0, budget_tokens - sum(map(least_tokens, question)))
    over = ends[-1] - ends[own - 1] - room
    if over <= 0:
        return (*question, *messages[own:])
    step = max(1, room // _STEPS_IN_A_TURN)
    cut = ends[own - 1] + -(-over // step) * step
    last = max(
        (i for i, message in enumerate(messages) if message.role == "assistant"), default=len(messages)
    )
    first = min(bisect_left(ends[:-1], cut, lo=own - 1) + 1, max(last, own))
    # Results whose calls were cut off.
    while first < len(messages) and messages[first].role == "tool":
        first += 1
    joined = [message for message in messages[own:] if message.role == "user"][-1:]
    is_shown = any(message.role == "user" for message in messages[first:])
    return (*question, *(() if is_shown else joined), *messages[first:])


def _question_within(
    messages: tuple[Message, ...], asked: range, budget_tokens: int, *, is_folded: bool
) -> tuple[Message, ...]:
    """Return what was asked, with the summary of the steps so far behind it; where that is over the budget,
    without the summary, then the newest of several questions alone.
    """
    whole = messages[asked.start : asked.stop + is_folded]
    for question in (whole, messages[asked.start : asked.stop]):
        if len(question) == 1 or sum(map(least_tokens, question)) <= budget_tokens:
            break
    else:
        question = messages[asked.stop - 1 : asked.stop]
    if len(question) == 1:
        refuse_too_long(question[0], budget_tokens)
    return question


def refuse_too_long(message: Message, budget_tokens: int) -> None:
    """Return where the message alone fits the budget; of its files no more than the beginning need fit.

    Raises:
        ContextOverflow
    """
    cost = least_tokens(message)
    if cost > budget_tokens:
        raise ContextOverflow(
            f"the message has about {cost} tokens, more than the window leaves for it beside the prompt, the"
            " tools and the answer: shorten it, or choose a larger model"
        )


def repair(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the transcript in a form that every provider accepts, however it was cut.

    Each call is answered exactly once, right after the message that makes it. Messages without content, and
    reasoning that its provider does not want back are left out. An answer that was cut off and continued
    becomes one message. Names of participants stand before what they say. What came with results, or with an
    answer, follows as a message of the user, and so does a result without a call, as clients send that trim
    their list.
    """
    if is_plain(messages):
        return messages
    messages = named(messages)
    whole: list[Message] = []
    position = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        if message.role == "user":
            whole += _question(message)
        elif message.role == "assistant":
            end = position
            # A step reaches to the model's next message: users may have joined between its results.
            while end < len(messages) and messages[end].role != "assistant":
                end += 1
            _add_step(whole, message, messages[position:end])
            position = end
        elif message.role == "tool":
            whole += _alone(message, _NO_IDS)
    return tuple(whole)


def is_plain(messages: tuple[Message, ...]) -> bool:
    """Whether each message is a single text that was not cut, as in most transcripts: there is nothing to
    repair then, and there are no files or results in it.
    """
    for message in messages:
        parts = message.parts
        if (
            len(parts) != 1
            or type(part := parts[0]) is not Text
            or not part.text
            or message.role == "tool"
            or message.name is not None
            or message.stop_reason == "length"
        ):
            return False
    return True


def told_if_text(history: History) -> History:
    """Return `history` with whether each message is one text, so that this is not asked again."""
    return msgspec.structs.replace(history, is_text=is_plain(history.messages))


def _add_step(whole: list[Message], message: Message, following: tuple[Message, ...]) -> None:
    """Add a message of the model, the results of its calls in order, then what users said meanwhile."""
    said = _speech(message)
    if said.parts:
        before = whole[-1] if whole else None
        if (
            before is not None
            and before.role == "assistant"
            and before.stop_reason == "length"
            and not before.tool_calls
        ):
            whole[-1] = Message("assistant", before.parts + said.parts, said.stop_reason)
        else:
            whole.append(said)
    calls = said.tool_calls
    has_lone = _add_results(whole, calls, following) if calls else True
    if len(said.parts) < len(message.parts):
        # No provider takes them in an answer.
        shown = [part for part in message.parts if isinstance(part, Image | Audio | File)]
        whole += [Message("user", (Text(CAME_WITH_ANSWER), *shown))] if shown else []
    answered = frozenset([call.id for call in calls]) if has_lone else _NO_IDS
    for other in following:
        if other.role == "user":
            whole.extend(_question(other))
        elif has_lone and other.role == "tool":
            whole.extend(_alone(other, answered))


def _add_results(whole: list[Message], calls: tuple[ToolCall, ...], following: tuple[Message, ...]) -> bool:
    """Add the results of the calls in order, then what came with them; return whether there are others."""
    results: dict[str, ToolResult] = {}
    has_more = False
    for other in following:
        found = other.tool_results
        for result in found:
            results[result.call_id] = result
        has_more = has_more or (other.role == "tool" and len(other.parts) > len(found))
    attached = _attached(following) if has_more else {}
    came_along: list[Part] = []
    others = len(results)
    for call in calls:
        others -= call.id in results
        result = results.get(call.id) or ToolResult(call.id, NO_RESULT, is_error=True)
        if parts := attached.get(call.id):
            came_along += (Text(CAME_WITH.format(call.name)), *parts)
            if not result.content.strip():
                result = ToolResult(call.id, SHOWN_BELOW, result.is_error)
        whole.append(Message("tool", (result,)))
    if came_along:
        whole.append(Message("user", tuple(came_along)))
    return others > 0


def _alone(message: Message, answered: frozenset[str]) -> tuple[Message, ...]:
    """Return what a message of results says, but for those of the calls that are `answered`, as a message of
    the user.
    """
    parts: list[Part] = []
    is_alone = False
    for part in message.parts:
        if isinstance(part, ToolResult):
            is_alone = part.call_id not in answered
            if is_alone and part.content.strip():
                parts.append(Text(f"{RESULT_ALONE}\n{part.content}"))
        elif is_alone and isinstance(part, Image | Audio | File):
            parts += (part,) if parts else (Text(RESULT_ALONE), part)
    return (Message("user", tuple(parts)),) if parts else ()


def _attached(messages: tuple[Message, ...]) -> dict[str, list[Part]]:
    """Return the images and files that came with results, by the ids of their calls."""
    found: dict[str, list[Part]] = {}
    for message in messages:
        if message.role != "tool":
            continue
        call_id = ""
        for part in message.parts:
            if isinstance(part, ToolResult):
                call_id = part.call_id
            elif isinstance(part, Image | Audio | File):
                found.setdefault(call_id, []).append(part)
    return found


def _question(message: Message) -> tuple[Message, ...]:
    """Return the user's message with only the parts that a user may send, if any is left."""
    parts = message.parts
    # The usual case, without a copy.
    if len(parts) == 1 and type(parts[0]) is Text and parts[0].text:
        return (message,)
    kept = tuple(
        part
        for part in parts
        if isinstance(part, Image | Audio | File) or (isinstance(part, Text) and part.text)
    )
    return (Message("user", kept),) if kept else ()


def _speech(message: Message) -> Message:
    """Return the model's message as providers accept it: no text that holds nothing, no call id twice,
    arguments that are JSON, and no reasoning but what its provider wants back. A message of reasoning alone
    becomes empty.
    """
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text and parts[0].text:
        return message
    kept: list[Text | Thinking | ToolCall] = []
    seen: set[str] = set()
    for part in parts:
        if isinstance(part, Text) and (part.text or part.provider_state is not None):
            kept.append(part)
        elif isinstance(part, ToolCall) and part.id not in seen:
            seen.add(part.id)
            kept.append(_readable(part))
        elif isinstance(part, Thinking) and part.provider_state is not None:
            kept.append(part)
    # Some providers refuse a message that is nothing but reasoning.
    if not any(isinstance(part, ToolCall) or (isinstance(part, Text) and part.text) for part in kept):
        kept.clear()
    return Message(message.role, tuple(kept), message.stop_reason)


def _readable(call: ToolCall) -> ToolCall:
    """Return the call with arguments that every provider can parse: malformed ones are wrapped."""
    if not call.arguments.strip():
        return call
    try:
        msgspec.json.decode(call.arguments, type=dict)
    except (msgspec.MsgspecError, RecursionError):
        wrapped = msgspec.json.encode({"malformed": call.arguments}).decode()
        return ToolCall(call.id, call.name, wrapped, provider_state=call.provider_state)
    return call
