"""A question for the date of another day is known as one, and the day is told."""

from datetime import date

import pytest

from nanobot.models.local.days import DayAsked, date_of, day_asked


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("What date is it in three days?", 3),
        ("What's the date a week from today?", 7),
        ("What day was it 10 days ago?", -10),
        ("What day was it the day before yesterday?", -2),
        ("Welcher Tag ist in drei Tagen?", 3),
        ("Welches Datum haben wir in 2 Wochen?", 14),
        ("Der wievielte ist übermorgen?", 2),
        ("Welcher Wochentag war gestern?", -1),
        ("Quel jour serons-nous dans trois jours ?", 3),
        ("C'était quel jour avant-hier ?", -2),
        ("¿Qué fecha será dentro de tres días?", 3),
        ("¿Qué día fue hace dos semanas?", -14),
        ("Che giorno sarà tra tre giorni?", 3),
        ("Che data era cinque giorni fa?", -5),
        ("Que dia será daqui a três dias?", 3),
        ("Que dia foi anteontem?", -2),
        ("三天后是几号？", 3),
        ("两周后星期几？", 14),
        ("大后天是星期几？", 3),
        ("三日後は何日ですか？", 3),
        ("明後日は何曜日ですか？", 2),
        ("Guten Morgen, welches Datum haben wir morgen?", 1),
        ("¿Qué día es mañana por la mañana?", 1),
        ("What day is it three days from today?", 3),
    ],
)
def test_the_day_is_understood(text: str, days: int) -> None:
    day = day_asked([text])
    assert day is not None and day.days == days and day.words in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What day is it?",
        "My train leaves in three days.",
        "What will the weather be in three days?",
        "What day is it in 99999 weeks?",
        "Was mache ich übermorgen?",
        "三天后见。",
        "Guten Morgen! Welcher Tag ist heute?",
        "Guten Morgen, welchen Wochentag haben wir?",
        "Welcher Tag ist heute Morgen?",
        "Buenos días, ¿qué día es hoy? Mañana trabajo.",
        "¿Qué día es esta mañana?",
        "What is the date today and tomorrow?",
        "今天几号？明天呢？",
    ],
)
def test_other_messages_ask_for_no_other_day(text: str) -> None:
    assert day_asked([text]) is None


def test_a_follow_up_asks_for_a_date_behind_a_question_for_one() -> None:
    assert day_asked(["What day is it in three days?", "And in two weeks?"]) == DayAsked(
        14, "in two weeks", "en"
    )
    assert day_asked(["今天几号？", "那三天后呢？"]) == DayAsked(3, "三天后", "zh")
    assert day_asked(["How is the weather?", "And in two weeks?"]) is None
    assert day_asked(["What day is it?", "I leave in two weeks."]) is None


def test_the_day_is_found_over_the_ends_of_months_and_years() -> None:
    now = "Wednesday, 2026-12-30 23:00:00 UTC (UTC+0000)"
    assert date_of(DayAsked(3, "in drei Tagen", "de"), now) == date(2027, 1, 2)
    assert date_of(DayAsked(-30, "30 days ago", "en"), now) == date(2026, 11, 30)
    assert date_of(DayAsked(36_500, "in 36500 days", "en"), "9999-01-01") is None
    assert date_of(DayAsked(1, "tomorrow", "en"), "no date") is None
