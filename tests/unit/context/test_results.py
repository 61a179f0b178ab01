"""Long results of tools are shown by beginning and end, and no call loses its answer over it."""

from hypothesis import given
from hypothesis import strategies as st

from nanobot.context.build import build
from nanobot.context.history import ends_of
from nanobot.context.results import fit_results, result_budget, results_excess
from nanobot.core.cut_result import cut_result, result_name, result_tokens
from nanobot.core.dispatch import History
from nanobot.core.errors import ContextOverflow
from nanobot.core.message import Message, Text, ToolCall, ToolResult, estimate_tokens, user
from nanobot.core.tool import tool_spec
from nanobot.core.turn import Turn
from tests.unit.context.test_history import broken_rules

READ = tool_spec("read_result", "Read on.", {"type": "object"})
READ_FILE = tool_spec("read_file", "Read on.", {"type": "object"})
LINES = "".join(f"line {number}\n" for number in range(1, 5_001))


def step(*contents: str, ids: str = "c") -> tuple[Message, ...]:
    calls = [ToolCall(f"{ids}{place}", "look", "{}") for place in range(len(contents))]
    results = (
        Message("tool", (ToolResult(each.id, text),)) for each, text in zip(calls, contents, strict=True)
    )
    return (Message("assistant", tuple(calls), "tool_calls"), *results)


def contents(history: History) -> list[str]:
    return [result.content for message in history.messages for result in message.tool_results]


def test_a_long_result_is_shown_by_its_beginning_and_its_end_with_how_to_read_on() -> None:
    result = ToolResult("c0", LINES)
    shown = cut_result(result, 500, can_read_on=True)
    assert shown.startswith("line 1\nline 2\n") and shown.endswith("\nline 4999\nline 5000\n")
    head, _, rest = shown.partition("\n(lines ")
    last_shown = int(head.rpartition(" ")[2])
    assert rest.startswith(f"{last_shown + 1:,} to ")
    assert f'of 5,000 are left out here: call read_result with result "{result_name(result)}"' in rest
    assert f'from "line {last_shown + 1}"' in rest


def test_the_numbers_of_the_lines_left_out_are_right() -> None:
    shown = cut_result(ToolResult("c0", LINES), 500, can_read_on=False)
    note = next(line for line in shown.splitlines() if line.startswith("(lines"))
    tail = shown.partition(note)[2].splitlines()
    upto = int(note.split(" to ")[1].split(" ")[0].replace(",", ""))
    assert tail[1] == f"line {upto + 1}"


def test_a_result_without_lines_is_counted_in_characters() -> None:
    shown = cut_result(ToolResult("c0", "é" * 9_000), 500, can_read_on=True)
    before, _, rest = shown.partition("\n(characters ")
    assert rest.startswith(f"{len(before) + 1:,} to ") and "of 9,000" in rest


@given(st.text(max_size=3_000), st.integers(0, 900))
def test_what_is_shown_is_no_longer_than_it_may_be(content: str, tokens: int) -> None:
    result = ToolResult("c0", content)
    shown = cut_result(result, tokens, can_read_on=True)
    if result_tokens(result) <= max(64, tokens) - 50:
        assert shown == content
    assert result_tokens(ToolResult("c0", shown)) <= max(64, tokens) + 16


def test_two_results_of_one_call_id_have_two_names() -> None:
    assert result_name(ToolResult("c0", "a")) != result_name(ToolResult("c0", "b"))


def test_the_results_of_one_step_share_the_room_of_two() -> None:
    history = History((user("go"), *step(*[LINES] * 8)))
    fitted, is_cut = fit_results(history, 1_000, can_read_on=True)
    assert is_cut
    assert sum(len(each) // 4 for each in contents(fitted)) < 2_100


def test_a_result_that_is_the_turns_input_is_whole_and_later_it_is_cut() -> None:
    history = (user("go"), *step(LINES))
    turn = Turn("turn_1", "k", history[-1:], "api")
    request = build(turn, History(history), tools=(), file_tools=(READ,), budget_tokens=12_000, now=0.0)
    assert request.messages[-1].tool_results[0].content == LINES
    assert request.tools == ()
    longer = (*history, Message("assistant", (Text("done"),), "stop"), user("and?"))
    turn = Turn("turn_2", "k", longer[-1:], "api")
    request = build(turn, History(longer), tools=(), file_tools=(READ,), budget_tokens=12_000, now=0.0)
    assert len(request.messages[2].tool_results[0].content) < len(LINES)


def test_reading_on_in_results_alone_is_offered_where_a_result_is_cut() -> None:
    history = (user("go"), *step(LINES))
    turn = Turn("turn_1", "k", history[:1], "api")
    both = (READ_FILE, READ)
    request = build(turn, History(history), tools=(), file_tools=both, budget_tokens=8_000, now=0.0)
    assert request.tools == (READ,)
    short = History((user("go"), *step("short")))
    assert build(turn, short, tools=(), file_tools=both, budget_tokens=8_000, now=0.0).tools == ()


def test_what_is_shown_stays_the_same_while_the_conversation_grows_and_instructions_change() -> None:
    messages = (user("go"), *step(LINES), Message("assistant", (Text("done"),), "stop"))
    shown = set()
    for budget in (16_100, 16_200, 16_333):
        history = History((*messages, user("more " * budget)))
        fitted, _ = fit_results(history, result_budget(budget, 0.25), can_read_on=True)
        shown.add(contents(fitted)[0])
    assert len(shown) == 1


sizes = st.one_of(st.integers(0, 400), st.integers(3_000, 30_000))
turns = st.lists(
    st.tuples(sizes, st.lists(st.lists(sizes, min_size=1, max_size=4), max_size=3)), min_size=1, max_size=6
)


@given(turns, st.integers(256, 8_000), st.booleans())
def test_no_call_is_without_its_result_whatever_is_cut(
    conversation: list[tuple[int, list[list[int]]]], budget: int, can_read_on: bool
) -> None:
    messages: list[Message] = []
    for number, (words, steps) in enumerate(conversation):
        messages.append(user(f"{number} {'q' * min(words, 400)}"))
        for place, each in enumerate(steps):
            messages += step(*("r\n" * (size // 2) for size in each), ids=f"{number}-{place}-")
        if number < len(conversation) - 1:
            messages.append(Message("assistant", (Text("a" * words),), "stop"))
    turn = Turn("turn_1", "k", (user(messages[0].text),), "api")
    history = History(tuple(messages), ends=ends_of(tuple(messages), 0))
    tools = (READ,) if can_read_on else ()
    try:
        request = build(turn, history, tools=(), file_tools=tools, budget_tokens=budget, now=0.0)
    except ContextOverflow:
        assert max(estimate_tokens(each) for each in messages if each.role == "user") > budget
        return
    assert broken_rules(request.messages) == []
    share = max(64, result_budget(budget, 0.25))
    for message in request.messages:
        for result in message.tool_results:
            assert result_tokens(result) <= 1.3 * share + 64


@given(st.lists(sizes, min_size=1, max_size=5), st.integers(64, 4_000))
def test_the_sizes_of_the_cut_history_are_those_of_its_messages(lengths: list[int], tokens: int) -> None:
    messages = (user("go"), *step(*("x" * length for length in lengths)), user("and?"))
    history = History(messages, skipped_tokens=70, ends=ends_of(messages, 70))
    fitted, is_cut = fit_results(history, tokens, can_read_on=True)
    assert fitted.ends == ends_of(fitted.messages, 70)
    assert is_cut is (results_excess(messages, tokens) > 0)
