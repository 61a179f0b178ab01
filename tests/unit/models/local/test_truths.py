"""What a small model gets wrong and the server knows: results of calculations, and who it is."""

import pytest

from nanobot.models.local.truths import MakerGuard, says_result


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("17 * 23 is 391.", "391"),
        ("Das macht 1.440 Minuten.", "1440"),
        ("1,440 minutes", "1440"),
        ("That is 1 440.", "1440"),
        ("The numbers are 17, 391.", "391"),
        ("About 3.33.", "3.33333333333333"),
        ("Rund 3,33.", "3.33333333333333"),
        ("0.67", "0.666666666666667"),
        ("A spider has eight legs.", "8"),
        ("It is -5.", "-5"),
    ],
)
def test_a_result_is_said_as_it_is_rounded_or_in_words(answer: str, result: str) -> None:
    assert says_result(answer, result)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("17 * 23 is 421.", "391"),
        ("That's correct!", "144"),
        ("It is 3910.", "391"),
        ("4.33", "3.33333333333333"),
        ("Eight point zero four kilometres.", "8.04672"),
    ],
)
def test_another_number_or_none_is_not_the_result(answer: str, result: str) -> None:
    assert not says_result(answer, result)


def passed_on(text: str, question: str, instructions: str = "", pieces: int = 3) -> str:
    """Return what is shown of `text` that comes a few characters at a time."""
    identity = MakerGuard(question, instructions)
    shown = "".join(identity.pass_on(text[at : at + pieces]) for at in range(0, len(text), pieces))
    return shown + identity.rest()


@pytest.mark.parametrize(
    ("said", "question", "shown"),
    [
        ("I am ChatGPT, a model.", "Who are you?", "I'm nanobot, your personal assistant."),
        ("Yes, I am ChatGPT.", "Are you ChatGPT?", "No. I'm nanobot, your personal assistant."),
        ("Yes! I am Claude, by Anthropic.", "Are you a robot?", "I'm nanobot, your personal assistant."),
        ("Ja, ich bin ChatGPT.", "Bist du ChatGPT?", "Nein. Ich bin nanobot, dein persönlicher Assistent."),
        (
            "Ja, das stimmt, ich wurde von OpenAI entwickelt.",
            "Bist du von OpenAI?",
            "Nein. Ich bin nanobot, dein persönlicher Assistent.",
        ),
        ("Oui, je suis Gemini.", "Es-tu Gemini ?", "Non. Je suis nanobot, votre assistant personnel."),
        ("是的，我是通义千问。", "你是通义千问吗？", "不是。我是 nanobot，你的个人助手。"),
        ("はい、私はChatGPTです。", "ChatGPTですか？", "いいえ。私は nanobot、あなたのアシスタントです。"),
        ("Hallo, ich bin Claude.", "Hallo?", "Hallo, ich bin nanobot, dein persönlicher Assistent."),
        ("Hello, I am Claude.", "Hello?", "Hello, I'm nanobot, your personal assistant."),
        ("Hallo! Ich bin Claude.", "Hallo?", "Hallo! Ich bin nanobot, dein persönlicher Assistent."),
        ("I was created by Alibaba Cloud.", "Who made you?", "I'm nanobot, your personal assistant."),
        ("As an AI made by OpenAI, I …", "hi", "I'm nanobot, your personal assistant."),
        ("Ich wurde von OpenAI entwickelt.", "Wer bist du?", "Ich bin nanobot, dein persönlicher Assistent."),
        ("我是通义千问。", "你是谁？", "我是 nanobot，你的个人助手。"),
        ("由阿里云开发。", "谁开发了你？", "我是 nanobot，你的个人助手。"),
        ("I've been trained by OpenAI.", "Who trained you?", "I'm nanobot, your personal assistant."),
        ("Created by OpenAI.", "Who made you?", "I'm nanobot, your personal assistant."),
        ("This assistant was made by OpenAI.", "Who made you?", "I'm nanobot, your personal assistant."),
        ("Ce modèle a été créé par OpenAI.", "Qui t'a fait ?", "Je suis nanobot, votre assistant personnel."),
        (
            "Als KI wurde ich von OpenAI entwickelt.",
            "Wer bist du?",
            "Als KI bin ich nanobot, dein persönlicher Assistent.",
        ),
        ("Créé par Mistral.", "Qui t'a créé ?", "Je suis nanobot, votre assistant personnel."),
        ("Desarrollado por Google.", "¿Quién te hizo?", "Soy nanobot, tu asistente personal."),
        ("Sviluppato da Google.", "Chi ti ha fatto?", "Sono nanobot, il tuo assistente personale."),
        (
            "I'm not sure, but I was made by OpenAI.",
            "Who are you?",
            "I'm not sure, but I'm nanobot, your personal assistant.",
        ),
    ],
)
def test_a_claim_to_be_anothers_is_replaced(said: str, question: str, shown: str) -> None:
    for pieces in (1, 3, 7, 100):
        assert passed_on(said, question, pieces=pieces) == shown


@pytest.mark.parametrize(
    ("said", "question", "instructions"),
    [
        ("No, I am not ChatGPT.", "Are you ChatGPT?", ""),
        ("No, I was not made by OpenAI.", "Were you made by OpenAI?", ""),
        ("No, I wasn't made by OpenAI.", "Were you made by OpenAI?", ""),
        ("Non, je n'ai pas été créé par Alibaba.", "Es-tu un modèle d'Alibaba ?", ""),
        ("No, non sono stato creato da Google.", "Sei Gemini di Google?", ""),
        ("No, no fui creado por Google.", "¿Eres de Google?", ""),
        ("Não, eu não fui criado pela Google.", "Você é da Google?", ""),
        ("Chrome was developed by Google.", "Who developed Chrome?", ""),
        ("Developed by Google in 2008.", "Who developed Chrome?", ""),
        ("Windows is a system made by Microsoft.", "What is Windows?", ""),
        ("Android wurde von Google entwickelt.", "Was ist Android?", ""),
        ("Ein Browser, entwickelt von Google.", "Was ist Chrome?", ""),
        ("ChatGPT est un modèle développé par OpenAI.", "Qu'est-ce que ChatGPT ?", ""),
        ("I'm happy to help you with Google Docs!", "Can you help me with Google Docs?", ""),
        ("Ich bin gerne bei Microsoft Word behilflich.", "Hilfst du mir mit Microsoft Word?", ""),
        ("Yes, I am not ChatGPT but another.", "Are you another one?", ""),
        ("Yes, of course: the capital of Norway is Oslo.", "Is it Oslo?", ""),
        ("Yes", "Is it Oslo?", ""),
        ("是的，北京是中国的首都。", "北京是首都吗？", ""),
        ("Microsoft was founded by Bill Gates.", "Who founded Microsoft?", ""),
        ("The browser is made by Google.", "Tell me of Chrome, made by Google.", ""),
        ("I am Claude, your pirate.", "Who are you?", "You are Claude."),
        ("Ahoy, I am Gemini!", "Pretend to be Gemini.", ""),
        ("I am glad to help. " * 30, "hi", ""),
        ("I'm", "hi", ""),
    ],
)
def test_other_talk_of_makers_is_left_alone(said: str, question: str, instructions: str) -> None:
    for pieces in (1, 4, 1_000):
        assert passed_on(said, question, instructions, pieces) == said


def test_what_cannot_become_a_claim_does_not_wait() -> None:
    identity = MakerGuard("hi", "")
    text = "The capital of Norway is Oslo, a city by the sea."
    assert len(identity.pass_on(text)) >= len(text) - 16
