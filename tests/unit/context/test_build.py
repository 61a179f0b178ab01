"""The request that a model gets: short, and the same bytes from turn to turn but for its end."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.agent.toolset import Toolset
from nanobot.context import prompt
from nanobot.context.build import build, history_budget, tools_size, with_added
from nanobot.context.history import is_plain, told_if_text
from nanobot.core.dispatch import History
from nanobot.core.errors import ContextOverflow
from nanobot.core.message import File, Message, Text, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.core.turn import Sampling, Turn
from nanobot.models.openai.request import encode
from nanobot.testing import FakeClock
from nanobot.tools.facts import calculate, current_time

NOON = 1_800_000_000.0
DAY_S = 86_400.0
TOOLS = Toolset([current_time(FakeClock()), calculate()]).specs


def turn(
    text: str = "hi",
    *,
    key: str = "k",
    instructions: str = "",
    sampling: Sampling = Sampling(),  # noqa: B008
) -> Turn:
    return Turn("turn_1", key, (user(text),), "api", instructions=instructions, sampling=sampling)


def request_for(
    *messages: Message,
    now: float = NOON,
    skipped_tokens: int = 0,
    budget_tokens: int = 20_000,
    **options: Any,
) -> ModelRequest:
    history = History(messages, skipped_tokens)
    return build(
        options.pop("of", turn()), history, tools=TOOLS, budget_tokens=budget_tokens, now=now, **options
    )


def body(request: ModelRequest) -> bytes:
    """The request as it goes to OpenAI."""
    return encode(
        request,
        model="m",
        limit_field="max_completion_tokens",
        includes_usage=True,
        includes_openai_fields=True,
        extra={},
    )


def before_the_question(encoded: bytes) -> bytes:
    """Return the request up to its last user message."""
    return encoded[: encoded.rindex(b'{"role":"user"')]


def said(text: str) -> Message:
    return Message("assistant", (Text(text),), "stop")


def steps_of(number: int) -> tuple[Message, ...]:
    """What the model does in a turn before it answers: nothing, one call, or two at once."""
    calls = tuple(
        ToolCall(f"call_{number}_{i}", "calculate", f'{{"expression": "{number} + {i}"}}')
        for i in range(number % 3)
    )
    if not calls:
        return ()
    results = (Message("tool", (ToolResult(call.id, str(number)),)) for call in calls)
    return Message("assistant", (Text("Let me work it out."), *calls), "tool_calls"), *results


NOT_ONE_TEXT = (
    Message("user", (Text("Ann here"),), name="Ann"),
    Message("user", (Text("a"), Text("b"))),
    Message("user", (Text(""),)),
    Message("assistant", (Text("cut o"),), "length"),
    Message("assistant", (ToolCall("c1", "calculate", "{}"),), "tool_calls"),
    Message("tool", (ToolResult("c1", "3"),)),
    Message("user", (File("notes.txt", "word " * 40),)),
)
some_messages = st.lists(
    st.sampled_from([user("hi"), user("and?"), said("yes"), said("no"), *NOT_ONE_TEXT]), max_size=8
).map(tuple)


@given(some_messages, some_messages)
def test_a_request_is_the_same_whether_or_not_it_is_known_that_all_is_text(
    before: tuple[Message, ...], added: tuple[Message, ...]
) -> None:
    history = History((*before, user("hi")))
    noted = told_if_text(history)
    assert noted.is_text == is_plain(history.messages)
    assert not history.is_text
    for known, unknown in ((noted, history), (with_added(noted, added), with_added(history, added))):
        assert known.is_text <= is_plain(known.messages)
        requests = [
            build(turn(), each, tools=TOOLS, budget_tokens=20_000, now=NOON) for each in (known, unknown)
        ]
        assert body(requests[0]) == body(requests[1])


# The prefix ---------------------------------------------------------------------------------------


def test_over_twenty_turns_everything_before_the_question_is_sent_again_byte_for_byte() -> None:
    """Days pass, tools are used, and the caches of providers still hit all that was sent before."""
    history = History((), 0)
    before: bytes | None = None
    for number in range(20):
        history = with_added(history, (user(f"Question {number}: how much is {number} and {number}? «é»"),))
        first = body(request_for(*history.messages, now=NOON + number * DAY_S))
        if before is not None:
            assert first.startswith(before), f"turn {number} changed what turn {number - 1} had sent"
            assert len(before_the_question(first)) > len(before)
        sent = first
        for step in _steps(steps_of(number)):
            history = with_added(history, step)
            again = body(request_for(*history.messages, now=NOON + number * DAY_S + 60))
            assert again.startswith(sent.removesuffix(b"]}")), (
                f"a step of turn {number} changed what its first step had sent"
            )
            sent = again
        before = before_the_question(first)
        history = with_added(history, (said(f"It is {2 * number}."),))


def _steps(messages: tuple[Message, ...]) -> list[tuple[Message, ...]]:
    return [messages] if messages else []


def test_once_the_window_is_full_most_turns_still_send_the_same_prefix() -> None:
    """The oldest are left out in leaps, not one by one."""
    messages: tuple[Message, ...] = ()
    before = b""
    hits = misses = 0
    for number in range(120):
        messages += (user(f"Question {number} {'q' * 100}"),)
        sent = body(request_for(*messages, now=NOON + number, budget_tokens=2_000))
        if number > 60:
            hits, misses = (hits + 1, misses) if sent.startswith(before) else (hits, misses + 1)
        before = before_the_question(sent)
        messages += (*steps_of(number), said("a" * 100))
    assert misses, "the window never moved"
    assert hits > 4 * misses


def test_the_same_values_give_the_same_bytes() -> None:
    assert body(request_for(user("hi"))) == body(request_for(user("hi")))


def test_tools_with_equal_arguments_have_one_schema_however_often_they_are_made() -> None:
    assert Toolset([current_time(FakeClock()), calculate()]).specs == TOOLS


# What it costs ------------------------------------------------------------------------------------


def test_hello_on_a_fresh_session_costs_at_most_700_prompt_tokens() -> None:
    """Counted cautiously, three bytes of the encoded request a token; the real count is lower."""
    assert len(body(request_for(user("hello")))) / 3 <= 700


# What changes -------------------------------------------------------------------------------------


def test_the_date_is_told_at_the_end_and_nowhere_else() -> None:
    sent = body(request_for(user("one"), said("two"), user("three")))
    assert sent.count(b"Today is ") == 1
    assert sent.index(b"Today is ") > sent.index(b"three")


def test_the_first_message_is_called_so_and_later_ones_are_not() -> None:
    assert prompt.FIRST_MESSAGE in request_for(user("hi")).notes
    assert prompt.FIRST_MESSAGE not in request_for(user("hi"), said("hello"), user("again")).notes
    assert prompt.FIRST_MESSAGE not in request_for(said("Welcome!"), user("hi")).notes
    assert prompt.FIRST_MESSAGE not in request_for(user("again"), skipped_tokens=19_990).notes
    task = msgspec.structs.replace(turn(), trace=False)
    assert prompt.FIRST_MESSAGE not in request_for(user("name this chat"), of=task).notes


def test_what_is_told_at_the_end_stays_the_same_while_a_turn_takes_its_steps() -> None:
    assert request_for(user("x"), *steps_of(1)).notes == request_for(user("x")).notes


def test_adding_messages_one_by_one_or_at_once_shows_the_same() -> None:
    messages = (user("a" * 300), *steps_of(2), said("b" * 300), user("c" * 300), *steps_of(1))
    grown = History((), 500)
    for message in messages:
        grown = with_added(grown, (message,))
    for budget in range(150, 900, 50):
        one, other = (
            build(turn(), h, tools=(), budget_tokens=budget, now=NOON)
            for h in (grown, History(messages, 500))
        )
        assert one == other


def test_a_hint_goes_to_what_changes() -> None:
    request = request_for(user("hi"), hint="Hurry.")
    assert request.notes.endswith("Hurry.")
    assert "Hurry." not in request.system


def test_a_nudge_is_the_last_word_and_stays_out_of_the_history() -> None:
    history = History((user("hi"), Message("assistant", (Text("one, tw"),), "length")), 0)
    request = build(turn(), history, tools=TOOLS, budget_tokens=1_000, now=NOON, nudge="Go on.")
    assert request.messages[-1] == user("Go on.")
    assert len(history.messages) == 2


def test_instructions_stand_below_the_servers_own_prompt_for_this_turn() -> None:
    request = request_for(user("hi"), of=turn(instructions="Speak French."))
    assert request.system == f"{prompt.SYSTEM}\n\nSpeak French."
    assert request_for(user("hi")).system == prompt.SYSTEM


def test_the_name_for_cache_routing_is_stable_and_says_nothing_of_the_key() -> None:
    one, again, other = (
        request_for(user("hi"), of=turn(key=key)) for key in ("wx:dm:ann", "wx:dm:ann", "wx:dm:bob")
    )
    assert one.session_hint == again.session_hint != other.session_hint
    assert "ann" not in body(one).decode()


def test_the_name_for_cache_routing_cannot_be_made_without_the_secret() -> None:
    hints = {request_for(user("hi"), secret=secret).session_hint for secret in (b"", b"one", b"other")}
    assert len(hints) == 3


def test_a_session_key_never_reaches_the_model() -> None:
    assert "canary-7f3" not in body(request_for(user("hi"), of=turn(key="canary-7f3"))).decode()


def test_sampling_is_passed_on_as_asked() -> None:
    assert request_for(user("hi"), of=turn(sampling=Sampling(temperature=0.0, seed=7))).sampling == Sampling(
        temperature=0.0, seed=7
    )


def test_what_was_cut_by_a_crash_is_sent_whole() -> None:
    sent = msgspec.json.decode(body(request_for(user("go"), steps_of(1)[0], user("and?"))))["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "user"]


# The budget ---------------------------------------------------------------------------------------


def test_the_budget_leaves_room_for_prompt_tools_and_answer() -> None:
    budget = history_budget(8_000, 32_000, turn(), tools_size(TOOLS))
    sent = body(request_for(user("x" * 4 * (budget - 10)), budget_tokens=budget))
    assert 4_000 < budget < 6_000
    assert len(sent) // 4 + 8_000 // 4 <= 8_000 * 1.01


def test_the_smaller_of_the_models_window_and_the_configured_one_counts() -> None:
    assert history_budget(8_000, 32_000, turn(), 0) == history_budget(128_000, 8_000, turn(), 0)


def test_a_shorter_answer_leaves_more_room_for_history_and_a_longer_one_no_less() -> None:
    short, usual, *long = [
        history_budget(8_000, 8_000, turn(sampling=Sampling(max_output_tokens=limit)), 100)
        for limit in (100, None, 2_000, 4_096, 8_192, 10**9)
    ]
    assert short > usual
    assert long == [usual] * 4


def test_history_has_a_quarter_of_the_window_in_any_case() -> None:
    long_prompt = turn(instructions="x" * 100_000)
    assert (
        history_budget(8_000, 8_000, long_prompt, tools_size((tool_spec("t", "d" * 100_000, {}),))) == 2_000
    )


def test_a_question_larger_than_the_budget_is_refused() -> None:
    with pytest.raises(ContextOverflow):
        request_for(user("x" * 10_000), budget_tokens=1_000)
