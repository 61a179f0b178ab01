"""Questions about what was said are known by their words, in many languages, and answered word for word."""

import pytest

from nanobot.core.message import Message, Text, ToolCall, user
from nanobot.models.local import recall

ASKED = [
    "What did I just ask you?",
    "What did I say before?",
    "what was my first question?",
    "What was my very first message to you?",
    "Which question did I ask last?",
    "Repeat my last question.",
    "Summarize our discussion",
    "Summarise this conversation, please.",
    "What have we talked about so far?",
    "Was habe ich dich gerade gefragt?",
    "Was habe ich eben gesagt?",
    "Was war meine erste Frage?",
    "Wiederhole bitte meine letzte Frage.",
    "Fasse unser Gespräch zusammen.",
    "Qu'est-ce que je viens de te demander ?",
    "Que viens-je de dire ?",
    "Quelle était ma première question ?",
    "Résume notre conversation.",
    "¿Qué te acabo de preguntar?",
    "¿Qué te pregunté antes?",
    "¿Cuál fue mi primera pregunta?",
    "Resume nuestra conversación.",
    "Cosa ti ho appena chiesto?",
    "Qual era la mia prima domanda?",
    "O que eu acabei de perguntar?",
    "Qual foi a minha primeira pergunta?",
    "Wat heb ik net gevraagd?",
    "О чём я только что спросил?",
    "我刚才问了你什么？",
    "我的第一个问题是什么？",
    "总结一下我们的对话。",
    "さっき私は何を聞きましたか？",
    "最初の質問は何でしたか？",
    "방금 내가 뭐라고 물었지?",
    "Summarise what I told you so far.",
    "List everything I said.",
    "What do you know about me?",
    "Fass zusammen, was ich dir erzählt habe.",
    "Was weißt du über mich?",
    "Résume ce que je t'ai dit.",
    "Que sais-tu de moi ?",
    "Resume lo que te he contado.",
    "¿Qué sabes de mí?",
    "总结一下我告诉你的事。",
    "你知道我的什么？",
    "私が言ったことをまとめてください。",
]
NOT_ASKED = [
    "Hello, who are you?",
    "What is the capital of Norway?",
    "Write a haiku about the sea.",
    "Ask me a question.",
    "What time is it?",
    "When is my birthday?",
    "What is my name?",
    "Translate it to German.",
    "Why did the chicken cross the road first?",
    "Wie heiße ich?",
    "Was ist das größte Tier?",
    "Où est-ce que j'habite ?",
    "¿Cómo me llamo?",
    "中国的首都是哪里？",
    "今何時ですか？",
    "今日は何をしますか？",
    "私の名前は何ですか？",
]


@pytest.mark.parametrize("text", ASKED)
def test_a_question_about_what_was_said_is_known(text: str) -> None:
    assert recall.asks_for_words(text)


@pytest.mark.parametrize("text", NOT_ASKED)
def test_other_messages_are_left_to_the_model(text: str) -> None:
    assert not recall.asks_for_words(text)


def test_a_long_message_brings_a_matter_of_its_own() -> None:
    assert not recall.asks_for_words("What did I just ask you? " + "Here is a story. " * 20)


def test_the_list_has_the_first_and_the_newest_messages_in_order() -> None:
    assert recall.listing(["Hello", 'Say "x"\nnow']) == (
        '(The user\'s messages: 1. "Hello" 2. "Say \'x\' now")'
    )
    many = recall.listing([f"question {number}" for number in range(40)])
    assert '1. "question 0" 2. "question 29"' in many and '12. "question 39")' in many


def test_nothing_was_said_before_a_first_message_and_nothing_may_be_quoted() -> None:
    assert recall.listing([]) == "(There was no message before this one.)"
    assert "quote" not in recall.grammar([])


def test_only_what_was_said_may_be_quoted_and_a_long_message_in_part() -> None:
    grammar = recall.grammar(["Hello", "x" * 900])
    assert r'quote ::= "\"Hello\"" | "\"' + "x" * 400 + r'…\""' in grammar
    free = grammar.splitlines()[1]
    assert all(mark in free for mark in '"“”„«»「」')


def test_an_answer_from_the_list_is_told_from_others_and_reads_the_same() -> None:
    answer = Message("assistant", (Text("You said it."), ToolCall("1", "x", "{}")), "stop")
    marked = recall.marked(answer)
    assert recall.recalled(marked) and not recall.recalled(answer) and not recall.recalled(user("x"))
    assert (marked.text, marked.tool_calls) == (answer.text, answer.tool_calls)


@pytest.mark.parametrize(
    "text",
    [
        "What is my name?",
        "Where do I live?",
        "When is my birthday?",
        "Do I have a bicycle?",
        "Wie heißt mein Hund?",
        "Wo wohne ich?",
        "Où est-ce que j'habite ?",
        "¿Cómo me llamo?",
        "Come mi chiamo?",
        "我叫什么名字？",
        "私の名前は何ですか？",
    ],
)
def test_what_only_the_user_could_have_told_is_known_by_its_words(text: str) -> None:
    assert recall.asks_of_user(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is your name?",
        "What is my best option here?",
        "How do I repair my bicycle?",
        "Where do I find a plumber?",
        "Do I have to pay taxes?",
        "Was ist ein Fahrrad?",
        "我应该怎么办？",
        "What is my zodiac sign if I was born on the third of May, and what does it say of me?",
    ],
)
def test_other_questions_are_not(text: str) -> None:
    assert not recall.asks_of_user(text)
