"""What the chat says about answers to questions."""

import time

import pytest

from nanobot.cli.chat_answers import answer_help, answer_keys
from nanobot.core.message import AskedCall
from nanobot.core.tool_question import QuestionField, ToolQuestion

NOW = 1_800_000_000.0
CLOCK = time.strftime("%H:%M", time.localtime(NOW))


def asked(question: ToolQuestion | None = None, **more: str) -> AskedCall:
    return AskedCall("appr_1", "c1", "book", "{}", NOW, question=question, **more)


def asks(*fields: QuestionField) -> ToolQuestion:
    return ToolQuestion("the MCP server t", "Which?", fields)


@pytest.mark.parametrize(
    ("ask", "shown", "keys"),
    [
        (
            asked(),
            "y: yes, this once   a: always in this conversation   n: no   "
            "(then Enter, until {}; nothing else is a yes)",
            "yna",
        ),
        (
            asked(asker="ann"),
            "y: yes, this once   n: no   (then Enter, until {}; nothing else is a yes)",
            "yna",
        ),
        (asked(asks(QuestionField("sure", "yes_no"))), "y: yes   n: no   (then Enter, until {})", "yn"),
        (asked(asks()), "y: yes   n: no   (then Enter, until {})", "yn"),
        (
            asked(asks(QuestionField("city", "text"))),
            "your next line is the answer   n: no answer   (then Enter, until {})",
            "n",
        ),
        (
            asked(asks(QuestionField("sure", "yes_no", is_required=True), QuestionField("why", "text"))),
            "y: yes   n: no   f: fill in all of it   (then Enter, until {})",
            "yn",
        ),
        (
            asked(
                asks(
                    QuestionField("name", "text", is_required=True),
                    QuestionField("a\x1bge", "integer", is_required=True),
                )
            ),
            "f: fill it in   n: no answer   (then Enter, until {})",
            "n",
        ),
    ],
)
def test_a_question_says_how_it_is_answered_and_until_when(ask: AskedCall, shown: str, keys: str) -> None:
    assert answer_help((ask,), NOW - 60) == shown.format(CLOCK)
    assert "".join(answer_keys((ask,))) == keys
    assert f"until 20{time.strftime('%y-%m-%d', time.localtime(NOW))} {CLOCK}" in answer_help((ask,), 0.0)


def test_where_nothing_is_asked_a_letter_is_a_letter() -> None:
    assert answer_keys(()) == {}
