"""How many of one unit go into another."""

import pytest

from nanobot.models.local.units import sum_of_units


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("How many minutes are in a day?", "24 * 60"),
        ("How many seconds are there in an hour?", "60 * 60"),
        ("how many hours are in a week", "7 * 24"),
        ("How many minutes are in 3 hours?", "3 * 60"),
        ("And how many seconds does a week have?", "7 * 24 * 60 * 60"),
        ("How many hours are in a year?", "365 * 24"),
        ("How many months are in 5 years?", "5 * 12"),
        ("How many centimetres are in a kilometer?", "1000 * 100"),
        ("How many grams are in 2 kilos?", "2 * 1000"),
        ("Wie viele Minuten hat ein Tag?", "24 * 60"),
        ("Wieviel Gramm sind 3 Pfund?", "3 * 500"),
        ("Wieviele Sekunden sind in einer Stunde?", "60 * 60"),
        ("Combien de minutes y a-t-il dans une journée ?", "24 * 60"),
        ("¿Cuántos segundos hay en una hora?", "60 * 60"),
        ("Quanti minuti ci sono in un giorno?", "24 * 60"),
        ("Quantos minutos há em um dia?", "24 * 60"),
        ("一天有多少分钟？", "24 * 60"),
        ("1日は何分ですか？", "24 * 60"),
    ],
)
def test_the_expression_multiplies_the_steps_from_one_unit_to_the_other(text: str, expression: str) -> None:
    assert sum_of_units(text) == expression


@pytest.mark.parametrize(
    "text",
    [
        "How many minutes are in an hour?",  # 60: nothing to multiply
        "How many hours should I sleep in a day?",
        "How many days are left in a week?",
        "How many days are in a month?",
        "How many hours are in a minute?",
        "How many legs does a spider have?",
        "Wie viele Tage hat der Februar?",
        "How many seconds are in a kilometre?",
        "Write how many minutes are in a day " + "x" * 100,
        "",
    ],
)
def test_other_questions_are_left_to_the_model(text: str) -> None:
    assert sum_of_units(text) == ""
