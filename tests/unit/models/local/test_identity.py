"""Whether the agent is a human."""

import pytest

from nanobot.models.local.identity import openings_of_identity


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Are you a human?", "No, I'm Robin"),
        ("So are you a real person?", "No, I'm Robin"),
        ("Are you a bot or a person?", "Yes, I'm Robin"),
        ("are you an AI", "Yes, I'm Robin"),
        ("Bist du ein Mensch?", "Nein, ich bin Robin"),
        ("Bist du eine KI?", "Ja, ich bin Robin"),
        ("Es-tu un humain ?", "Non, je suis Robin"),
        ("¿Eres una persona real?", "No, soy Robin"),
        ("¿Eres un robot?", "Sí, soy Robin"),
        ("Sei un essere umano?", "No, sono Robin"),
        ("Você é um robô?", "Sim, sou Robin"),
        ("你是真人吗？", "不是，我是 Robin"),
        ("あなたは人間ですか？", "いいえ、私は Robin"),
    ],
)
def test_the_agent_says_that_it_is_no_human(text: str, opening: str) -> None:
    assert openings_of_identity(text, "Robin") == (opening,)


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Who am I talking to?", "I'm Robin"),
        ("Good evening, who am I speaking with?", "I'm Robin"),
        ("Hallo! Mit wem spreche ich?", "Ich bin Robin"),
        ("Bonjour, à qui ai-je affaire ?", "Je suis Robin"),
        ("Hola, ¿con quién hablo?", "Soy Robin"),
        ("Ciao, con chi parlo?", "Sono Robin"),
        ("Com quem estou falando?", "Sou Robin"),
        ("我在跟谁说话？", "我是 Robin"),
    ],
)
def test_whoever_asks_whom_they_talk_to_is_told_who_the_agent_is(text: str, opening: str) -> None:
    assert openings_of_identity(text, "Robin") == (opening,)


@pytest.mark.parametrize(
    "text",
    [
        "Are you a person who likes tea?",
        "Are you sure?",
        "Who am I talking to in the story about the wolf?",
        "Who was talking to me?",
        "Are humans animals?",
        "Bist du müde?",
        "Sei un genio!",
        "Write a story: are you a human?",
        "你是谁？",
    ],
)
def test_other_questions_are_left_to_the_model(text: str) -> None:
    assert openings_of_identity(text, "Robin") == ()
