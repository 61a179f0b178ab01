"""A calculation is only possible where there is something to work out."""

import pytest

from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.models.local.sums import may_be_worked_out, was_worked_out


@pytest.mark.parametrize(
    "text",
    [
        "What is 17 * 23?",
        "What is nine times fourteen?",
        "How many minutes are in a day?",
        "Halve it.",
        "Take twenty away.",
        "What is a quarter of a hundred?",
        "Wie viel ist zwölf mal zwölf?",
        "Halbiere das.",
        "Combien font sept fois huit ?",
        "¿Cuánto es doce por doce?",
        "Quanto fa sette per otto?",
        "十二乘以十二是多少？",
        "それに9を足すと？",
        "半分にしてください。",
    ],
)
def test_numbers_and_words_of_arithmetic_may_be_worked_out(text: str) -> None:
    assert may_be_worked_out(text)


@pytest.mark.parametrize(
    "text",
    [
        "How many legs does a spider have?",
        "And an ant?",
        "How many cats do I have?",
        "Wie viele Beine hat eine Spinne?",
        "¿Cuántas patas tiene una araña?",
        "一年有几个季节？",
        "蜘蛛有几条腿？",
        "猫の足は何本ですか？",
    ],
)
def test_there_is_nothing_to_work_out_in_a_question_of_fact(text: str) -> None:
    assert not may_be_worked_out(text)


def test_a_turn_goes_on_with_the_result_of_the_turn_before_it() -> None:
    call = Message("assistant", (ToolCall("1", "calculate", '{"expression":"2 * 3"}'),))
    result = Message("tool", (ToolResult("1", "6"),))
    answer = Message("assistant", (Text("6"),))
    turn = (user("2 * 3?"), call, result, answer)
    assert was_worked_out((*turn, user("And again?")))
    assert not was_worked_out((*turn, user("Thanks."), answer, user("And an ant?")))
    assert not was_worked_out(turn)
    assert not was_worked_out((user("And an ant?"),))
