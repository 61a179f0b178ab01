"""Who writes in another language is not answered in English."""

import pytest

from nanobot.models.local.languages import BEGINNINGS, answer_of_time, not_in_english, openings_of_result


@pytest.mark.parametrize(
    "said",
    [
        ["Quanto fa 144 diviso 12?"],
        ["Quanto fa 144 diviso 12?", "E il doppio?"],
        ["Was ist 15 mal 12?"],
        ["Combien font 25 fois 4 ?", "Et moins 30 ?"],
        ["¿Cuánto es 9 por 8?", "¿Y más 28?"],
        ["Quanto é 7 vezes 6?", "E metade disso?"],
        ["36除以4是多少？"],
        ["今日は何曜日ですか？"],
        ["Wie geht es dir?", "12 + 3?"],
    ],
)
def test_another_language_is_known_by_its_small_words(said: list[str]) -> None:
    assert not_in_english(said) == BEGINNINGS


@pytest.mark.parametrize(
    "said",
    [
        [],
        ["12 + 3?"],
        ["What is 144 divided by 12?"],
        ["What is the time in Den Haag?"],
        ["Wie heißt das auf Englisch?"],
        ["Traduci in inglese: il treno è in ritardo."],
        ["Traduis-le en anglais."],
        ["翻译成英文。"],
        ['Wie sagt man "danke" in London?'],
        ["Schreib mir eine Funktion, die `x` verdoppelt."],
        ["Was ist das?", "Say it again, please, in the way that you did."],
        ["Was ist das und wie macht man es? " * 20],
    ],
)
def test_where_it_is_not_certain_any_words_may_come(said: list[str]) -> None:
    assert not_in_english(said) == ()


@pytest.mark.parametrize(
    ("said", "opening"),
    [
        (["Quanto fa 144 diviso 12?"], "Fa "),
        (["Was ist 15 mal 12?", "Und davon die Hälfte?"], "Das sind "),
        (["Combien font 25 fois 4 ?"], "Cela fait "),
        (["¿Cuánto es 9 por 8?", "¿Y más 28?"], "Son "),
        (["Quanto é 7 vezes 6?"], "Dá "),
        (["36除以4是多少？", "再加5呢？"], "等于"),
        (["9かける7はいくつですか？"], "答えは"),
    ],
)
def test_a_result_is_told_in_the_language_of_the_question(said: list[str], opening: str) -> None:
    assert opening in openings_of_result(said)


@pytest.mark.parametrize("said", [["What is 9 times 7?"], ["9 * 7?"], ["Wie viel ist 9 mal 7 auf Englisch?"]])
def test_in_english_or_in_doubt_a_result_is_told_in_any_words(said: list[str]) -> None:
    assert openings_of_result(said) == ()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Wie spät ist es?", "Es ist 14:56 Uhr."),
        ("Bonsoir ! Quelle heure est-il ?", "Il est 14:56."),
        ("¿Qué hora es?", "Son las 14:56."),
        ("Ciao! Che ore sono?", "Sono le 14:56."),
        ("现在几点了？", "现在是14:56。"),
        ("今何時ですか？", "今は14:56です。"),
        ("What time is it?", ""),
    ],
)
def test_the_time_is_told_in_the_language_in_which_it_was_asked_for(text: str, answer: str) -> None:
    assert answer_of_time([text], "Monday, 2026-11-30 14:56:03 UTC (UTC+0000)") == answer
