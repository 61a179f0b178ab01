"""A calculation is only possible where there is something to work out."""

import pytest

from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.models.local.sums import is_only_sum, may_be_worked_out, was_worked_out


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


@pytest.mark.parametrize(
    "text",
    [
        "What is 2+3?",
        "what's 17 * 23",
        "2+3",
        "12.5 × 4 =",
        "Was ist 100 - 37?",
        "Combien font 7 + 8 ?",
        "¿Cuánto es 12*12?",
        "Quanto fa 9 / 3?",
        "12+30等于多少？",
        "7+8は？",
        "Calculate 1 + 2 + 3 + 4.",
    ],
)
def test_a_sum_alone_is_known_as_one(text: str) -> None:
    assert is_only_sum(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is 9/11?",
        "What is 24/7?",
        "What is 404?",
        "2026-11-30",
        "1-2 sentences, please.",
        "What is 2+3, and why?",
        "Write 2+3 as words.",
        "My name is Ann.",
        "1" + "+1" * 100,
    ],
)
def test_what_asks_for_more_than_a_sum_is_left_to_the_model(text: str) -> None:
    assert not is_only_sum(text)
