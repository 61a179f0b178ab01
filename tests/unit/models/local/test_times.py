"""Whether a message asks for the time or the date as they are now."""

import pytest

from nanobot.models.local.times import asks_now, may_ask_time


@pytest.mark.parametrize(
    "text",
    [
        "What time is it?",
        "What year is it?",
        "In welchem Jahr sind wir?",
        "¿En qué mes estamos?",
        "Hi, what day is it today?",
        "What's the date today, please?",
        "what's today's date",
        "Tell me the time.",
        "Wie spät ist es?",
        "Welcher Wochentag ist heute?",
        "Den wievielten haben wir heute?",
        "Wie viel Uhr ist es jetzt?",
        "Quel jour sommes-nous ?",
        "Il est quelle heure ?",
        "Quelle est la date d'aujourd'hui ?",
        "¿Qué día es hoy?",
        "¿Qué día de la semana es hoy?",
        "¿A qué fecha estamos?",
        "Che giorno è oggi?",
        "Che ore sono?",
        "Que dia é hoje?",
        "Que horas são agora?",
        "现在几点了？",
        "今天星期几？",
        "今日は何曜日ですか？",
        "今何時？",
    ],
)
def test_a_question_for_now_is_told_by_its_words(text: str) -> None:
    assert asks_now([text]) == "here"


@pytest.mark.parametrize(
    "said",
    [
        ["What time is it in Tokyo?"],
        ["Wie spät ist es in New York?"],
        ["Quelle heure est-il à Montréal ?"],
        ["¿Qué hora es en Madrid ahora?"],
        ["东京现在几点？"],
        ["東京は今何時ですか？"],
        ["What time is it in Tokyo?", "And in New York?"],
        ["What time is it?", "And in Oslo?", "Paris?"],
        ["Wie spät ist es?", "Und in Sydney?"],
        ["现在几点？", "那伦敦呢？"],
    ],
)
def test_another_place_is_named_with_the_question_or_behind_it(said: list[str]) -> None:
    assert asks_now(said) == "there"


@pytest.mark.parametrize(
    "said",
    [
        ["What is the time complexity of quicksort?"],
        ["What is the date of the battle of Hastings?"],
        ["What day is it in three days?"],
        ["What time is it in two hours?"],
        ["What day is my appointment?"],
        ["What time does the shop open?"],
        ["Welcher Tag ist der beste für Sport?"],
        ["¿Qué día es tu cumpleaños?"],
        ["Che giorno è nato Dante?"],
        ["几点睡觉最好？"],
        ["How do you say 'good night' in Spanish?", "And in French?"],
        ["What time is it?", "And in French?"],
        ["What time is it?", "Thanks!"],
        ["Is it nice in Rome?", "And in Oslo?"],
        ["What time is it? " + "x" * 120],
        [],
    ],
)
def test_other_questions_are_left_to_the_model(said: list[str]) -> None:
    assert asks_now(said) is None


@pytest.mark.parametrize(
    "said",
    [
        ["How old is the universe?"],
        ["Is the shop still open this late?"],
        ["Wann fährt der Zug?"],
        ["Faut-il partir demain ?"],
        ["明天会下雨吗？"],
        ["What time is it in Tokyo?", "Is it dark there?"],
        ["Która jest godzina?"],
        ["Сколько сейчас времени?"],
    ],
)
def test_a_message_with_words_of_time_or_in_an_unknown_language_may_ask_for_it(said: list[str]) -> None:
    assert may_ask_time(said)


@pytest.mark.parametrize(
    "text",
    [
        "À quelle température l'eau bout-elle ?",
        "How many wings does a bee have?",
        "Wer hat dich entwickelt?",
        "¿Cuál es la capital de España?",
        "Qual è la capitale d'Italia?",
        "日本の首都はどこですか？",
    ],
)
def test_others_need_no_clock(text: str) -> None:
    assert not may_ask_time([text])
