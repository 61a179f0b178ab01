"""Calls as a small model writes them: the grammar allows what is understood, and nothing pointless."""

import re

import pytest

from nanobot.core.message import ToolCall, ToolResult
from nanobot.models.local import notation
from nanobot.models.local.examples import OPENING
from nanobot.models.local.notation import WrittenCall, answer_grammar, read, result_of
from nanobot.tools.facts import evaluate


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("[current_time]", (WrittenCall("current_time", "{}"),)),
        ("[current_time Asia/Tokyo]", (WrittenCall("current_time", '{"timezone":"Asia/Tokyo"}'),)),
        ("[calculate 17 * 23]\n", (WrittenCall("calculate", '{"expression":"17 * 23"}'),)),
        (
            "[current_time Africa/Lagos]\n[current_time Asia/Dubai]\n[current_time Asia/Dubai]",
            (
                WrittenCall("current_time", '{"timezone":"Africa/Lagos"}'),
                WrittenCall("current_time", '{"timezone":"Asia/Dubai"}'),
            ),
        ),
        ("[calculate]", ()),
        ("[calculate 17 *", ()),
        ("[recall]", ()),
        ("It is 391.", ()),
        ("", ()),
    ],
)
def test_what_a_model_writes_is_read_as_calls_or_not_at_all(
    text: str, calls: tuple[WrittenCall, ...]
) -> None:
    assert read(text) == calls


def test_every_call_in_the_examples_is_understood_and_right() -> None:
    messages = [message.content.removeprefix("Example: ") for message in OPENING]
    called = [
        (at, text) for at, text in enumerate(messages) if text.startswith("[") and text != notation.RECALL
    ]
    assert called
    for at, text in called:
        (call,) = read(text)
        if call.name == notation.CALCULATE:
            expression = text.removeprefix("[calculate ").removesuffix("]")
            assert messages[at + 1] == f"({expression} = {evaluate(expression)})"


def test_the_examples_say_nothing_of_any_user() -> None:
    users = [message.content for message in OPENING if message.role == "user"]
    assert all(text.startswith("Example: ") for text in users)
    assert not [
        text
        for text in users
        if re.search(r"\bmy (name|birthday|pet|cat|dog|home)\b|\bI (am|have|live)", text)
    ]


def test_only_tools_that_are_offered_are_in_the_grammar() -> None:
    assert "current_time" not in answer_grammar(["calculate"], may_recall=True)
    assert "calculate" not in answer_grammar(["current_time"], may_recall=True)
    assert "recall" not in answer_grammar(["current_time"], may_recall=False)
    assert "call" not in answer_grammar([], may_recall=False)


def test_each_rule_of_the_grammar_has_one_name_and_is_there() -> None:
    grammar = answer_grammar(["calculate", "current_time"], may_recall=True)
    names = [line.partition(" ::= ")[0] for line in grammar.splitlines()]
    assert len(names) == len(set(names))
    bare = re.sub(r'"(\\.|[^"\\])*"|\[(\\.|[^\]\\])*\]', "", grammar)
    assert set(re.findall(r"[a-z]+", bare)) <= set(names)


@pytest.mark.parametrize(
    ("arguments", "content", "shown"),
    [
        (
            "{}",
            "Thursday, 2026-12-31 09:05:31 CET (UTC+0100)",
            "(It is Thursday, 2026-12-31 09:05:31 CET; tomorrow is Friday, 2027-01-01)",
        ),
        (
            '{"timezone": "America/Lima"}',
            "Thursday, 2026-12-31 09:05:31 -05 (UTC-0500)",
            "(In America/Lima it is Thursday, 2026-12-31 09:05:31 -05)",
        ),
        ("{}", "9999-12-31", "(It is 9999-12-31)"),
        ("{}", "2026-13-99", "(It is 2026-13-99)"),
        ("{}", "noon", "(It is noon)"),
    ],
)
def test_with_the_date_comes_the_day_after(arguments: str, content: str, shown: str) -> None:
    assert result_of(ToolCall("1", "current_time", arguments), ToolResult("1", content)) == shown


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("22.2222222222222", "22.2222"),
        ("-0.666666666666667", "-0.6667"),
        ("0.0000123456", "1.235e-05"),
        ("1.5", "1.5"),
        ("8.04672", "8.0467"),
        ("1.99999999", "2"),
        ("391", "391"),
        ("1e+40", "1e+40"),
        ("error", "error"),
    ],
)
def test_a_result_is_told_with_as_many_decimals_as_people_read(result: str, told: str) -> None:
    call = ToolCall("1", "calculate", '{"expression": "2 * x"}')
    assert result_of(call, ToolResult("1", result)) == f"(2 * x = {told})"
