"""Messages that go on with a sum."""

import pytest

from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.models.local.continued_sums import continued_sum


def worked_out(result: str, text: str) -> tuple[Message, ...]:
    return (
        user("What is 17 * 23?"),
        Message("assistant", (ToolCall("1", "calculate", '{"expression":"17 * 23"}'),)),
        Message("tool", (ToolResult("1", result),)),
        Message("assistant", (Text(f"That makes {result}."),)),
        user(text),
    )


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("Add 9 to that.", "391 + 9"),
        ("And plus 9?", "391 + 9"),
        ("Subtract 100.", "391 - 100"),
        ("Take 20 away.", "391 - 20"),
        ("Divide it by 8.", "391 / 8"),
        ("divided by 8", "391 / 8"),
        ("Multiply that by 1.5", "391 * 1.5"),
        ("Double it.", "2 * 391"),
        ("Halve it.", "0.5 * 391"),
        ("Und plus 18?", "391 + 18"),
        ("Zieh 5 ab.", "391 - 5"),
        ("Teile es durch 2,5.", "391 / 2.5"),
        ("Et moins 4 ?", "391 - 4"),
        ("Divise par 8.", "391 / 8"),
        ("Réstale 3.", "391 - 3"),
        ("Multiplícalo por 2.", "391 * 2"),
        ("Aggiungi 7.", "391 + 7"),
        ("E diviso 3?", "391 / 3"),
        ("Mais 10.", "391 + 10"),
        ("再加5", "391 + 5"),
        ("除以3。", "391 / 3"),
        ("5を足して", "391 + 5"),
    ],
)
def test_it_goes_on_with_the_result(text: str, expression: str) -> None:
    assert continued_sum(worked_out("391", text)) == expression


def test_a_result_below_zero_stands_in_brackets() -> None:
    assert continued_sum(worked_out("-4", "Subtract 3.")) == "(-4) - 3"


@pytest.mark.parametrize(
    "text",
    [
        "Add 9 eggs to the list.",
        "Add bananas.",
        "Plus 9 what?",
        "What is 2 plus 9?",
        "Double check it.",
        "Take 5.5 minutes and relax.",
        "Add 9 to that. " + "x" * 60,
    ],
)
def test_other_messages_are_left_to_the_model(text: str) -> None:
    assert continued_sum(worked_out("391", text)) == ""


def test_where_nothing_was_worked_out_there_is_nothing_to_go_on_with() -> None:
    assert continued_sum((user("My list?"), Message("assistant", (Text("Eggs."),)), user("Add 9."))) == ""
    assert continued_sum((user("Add 9."),)) == ""
    assert continued_sum(worked_out("391 metres", "Add 9.")) == ""
