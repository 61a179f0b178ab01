"""Wishes to note something down are known by their words, carried out, and answered by what came of it."""

import json
import random

import pytest

from nanobot.core.message import Image, Message, Text, ToolCall, ToolResult, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolSpec, spec_of
from nanobot.models.local.conversation import conversation
from nanobot.models.local.expected import expected
from nanobot.models.local.note_words import claims_of_notes
from nanobot.models.local.notes import Notes, wish_of
from nanobot.testing import FakeClock
from nanobot.tools.memory import RecallArguments, noting_specs

ALL = ("remember", "recall", "forget")
NOTED = "Remembered: my dog is called Rex (mem_00000000000000000000000001)"


def wished(text: str, *before: Message) -> tuple[str, str] | None:
    wish = wish_of((*before, user(text)), ALL)
    return (wish.tool, wish.fact) if wish is not None else None


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Remember that my dog is called Rex.", "my dog is called Rex"),
        ("Please remember: the gate code is 4711", "the gate code is 4711"),
        ("Remember my birthday is 4 May.", "my birthday is 4 May"),
        ("My wife's name is Carla. Please remember that.", "My wife's name is Carla"),
        ("Remember for the group that we meet at 5.", "we meet at 5"),
        ("Don’t forget that I'm allergic to nuts!", "I'm allergic to nuts"),
        ("Remember that my dog is Rex. My cat is Tom.", "my dog is Rex. My cat is Tom"),
        ("Merk dir, dass mein Hund Rex heißt.", "mein Hund Rex heißt"),
        ("Ich wohne in Berlin. Merk dir das bitte.", "Ich wohne in Berlin"),
        ("Retiens que je suis allergique aux noix.", "je suis allergique aux noix"),
        ("N'oublie pas que mon chat s'appelle Minou.", "mon chat s'appelle Minou"),
        ("Recuerda que mi perro se llama Rex.", "mi perro se llama Rex"),
        ("Vivo en Madrid. No lo olvides.", "Vivo en Madrid"),
        ("Ricorda che sono allergico alle noci.", "sono allergico alle noci"),
        ("Lembre-se de que moro em Lisboa.", "moro em Lisboa"),
        ("请记住，我的狗叫小黑。", "我的狗叫小黑"),
        ("私は東京に住んでいることを覚えておいてください。", "私は東京に住んでいる"),
    ],
)  # fmt: skip
def test_who_wants_something_to_be_remembered_has_it_noted_down(text: str, fact: str) -> None:
    assert wished(text) == ("remember", fact)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Forget that I like tea.", "I like tea"),
        ("Forget about my birthday", "my birthday"),
        ("Vergiss, dass ich in Berlin wohne", "ich in Berlin wohne"),
        ("Oublie que j'habite à Lyon.", "j'habite à Lyon"),
        ("Olvida que vivo en Madrid.", "vivo en Madrid"),
        ("忘记我的生日", "我的生日"),
    ],
)
def test_who_wants_something_to_be_forgotten_names_it(text: str, fact: str) -> None:
    assert wished(text) == ("forget", fact)


@pytest.mark.parametrize(
    "text",
    [
        "What do you know about me?",
        "Was weißt du über mich?",
        "Que sais-tu de moi ?",
        "¿Qué sabes de mí?",
        "Che cosa sai di me?",
        "O que você sabe sobre mim?",
        "关于我你知道些什么？",
        "私について何を知っていますか？",
    ],
)
def test_who_asks_what_is_known_of_them_is_told_what_is_noted(text: str) -> None:
    assert wished(text) == ("recall", "")


@pytest.mark.parametrize(
    "text",
    [
        "Do you remember my name?",
        "Remember when we met?",
        "Remember my name.",
        "Don't forget to buy milk.",
        "Note that the deadline is Friday. Write an email about it.",
        "You can keep it.",
        "I remember that my mother said so.",
        "Forget it.",
        "What do you know about Mexico?",
        "Vergiss das nicht.",
        "你记得我的名字吗？",
        "hello",
    ],
)
def test_other_messages_are_left_to_the_model(text: str) -> None:
    assert wished(text) is None


def test_what_was_said_before_is_noted_where_a_wish_points_to_it() -> None:
    before = (user("My dog is called Rex."), Message("assistant", (Text("Nice."),)))
    assert wished("Remember that.", *before) == ("remember", "My dog is called Rex.")
    assert wished("Remember that.", user("What is 2 + 2?"), before[1]) is None


def test_what_stands_beside_a_picture_is_left_to_the_model() -> None:
    shown = Message("user", (Text("Remember that this is my dog."), Image("data:image/png;base64,AA==")))
    assert wish_of((shown,), ALL) is None


def test_the_name_before_the_words_in_a_group_is_none_of_them() -> None:
    message = Message("user", (Text("Ann: Remember that we meet at 5."),), name="Ann")
    wish = wish_of((message,), ALL)
    assert wish is not None
    assert wish.fact == "we meet at 5"


# What comes of it ---------------------------------------------------------------------------------


def notes() -> Notes:
    return Notes("local", noting_specs(), FakeClock(), random.Random(1))


def asked(*messages: Message, tools: tuple[ToolSpec, ...] = noting_specs()) -> ModelRequest:
    return ModelRequest("", messages, tools=tools)


async def answer(request: ModelRequest) -> Message:
    wish = notes().wish_of(request)
    assert wish is not None
    *_, message = [piece async for piece in notes().stream(request, wish)]
    assert isinstance(message, Message)
    return message


async def told(text: str, result: str, *before: Message, is_error: bool = False) -> str:
    calling = await answer(asked(*before, user(text)))
    (call,) = calling.tool_calls
    results = Message("tool", (ToolResult(call.id, result, is_error=is_error),))
    return (await answer(asked(*before, user(text), calling, results))).text


async def test_the_words_of_the_user_are_what_the_tool_is_called_with() -> None:
    (call,) = (await answer(asked(user("Remember that my dog is called Rex.")))).tool_calls
    assert call.name == "remember"
    assert json.loads(call.arguments) == {"fact": "my dog is called Rex"}


async def test_the_answer_says_what_was_noted_and_for_whom() -> None:
    assert await told("Remember that my dog is called Rex.", NOTED) == "Noted: “my dog is called Rex”."
    of_group = NOTED.replace("Remembered:", "Remembered for this group:")
    assert "for this group" in await told("Remember that my dog is called Rex.", of_group)
    assert await told("Merk dir, dass ich Tee mag.", NOTED) == "Notiert: „ich Tee mag“."


async def test_the_answer_never_claims_what_failed() -> None:
    full = "Error: 1000 facts are remembered of this person already"
    said = await told("Remember that my dog is called Rex.", full, is_error=True)
    assert said == "I could not note that down: 1000 facts are remembered of this person already"


def noted(id_: str, result: str) -> tuple[Message, ...]:
    call = ToolCall(f"call_{id_}", "remember", '{"fact": "x"}')
    return (
        user("Remember that x"),
        Message("assistant", (call,)),
        Message("tool", (ToolResult(call.id, result),)),
    )


async def test_forget_that_means_what_was_noted_last() -> None:
    before = (*noted("1", NOTED), *noted("2", NOTED.replace("0001)", "0002)")))
    (call,) = (await answer(asked(*before, user("Forget that.")))).tool_calls
    assert json.loads(call.arguments) == {"fact": "mem_00000000000000000000000002"}
    said = await told("Forget that.", "Forgotten for good: my dog is called Rex", *before)
    assert said.startswith("Forgotten: “my dog is called Rex”.")


async def test_where_nothing_was_noted_nothing_is_said_to_be_forgotten() -> None:
    assert (await answer(asked(user("Forget that.")))).text.startswith("I have noted nothing")


async def test_what_is_known_is_what_is_noted_and_what_the_chat_has_told_besides() -> None:
    found = (
        "Note.\n[mem_1, 2026-11-30, person, user] lives in Berlin"
        "\n[mem_2, 2026-11-29, group, turn_1] Ann: has a dog"
    )
    before = (user("I'm allergic to nuts."), Message("assistant", (Text("Okay."),)))
    said = await told("What do you know about me?", found, *before)
    assert said.splitlines() == [
        "This is what I have noted:",
        "- lives in Berlin",
        "- Ann: has a dog",
        "",
        "You also told me in this chat:",
        "- I'm allergic to nuts",
    ]


async def test_what_was_told_before_it_was_corrected_is_not_listed() -> None:
    found = "Note.\n[mem_1, 2026-11-30, person, user] I live in Berlin"
    before = (
        user("I live in Rome."),
        Message("assistant", (Text("Okay."),)),
        user("No, I live in Berlin."),
        Message("assistant", (Text("Noted: “I live in Berlin”."),)),
    )
    said = await told("What do you know about me?", found, *before)
    assert said == "This is what I have noted:\n- I live in Berlin"


def test_only_a_note_is_answered_as_one() -> None:
    noted = (user("Remember that I like tea."), Message("assistant", (Text("Noted: “I like tea”."),)))
    assert {"Noted", "Forgotten", "I'll remember"} <= set(claims_of_notes(noted))
    assert claims_of_notes((user("Hello"), Message("assistant", (Text("Hi!"),)))) == ()
    question = user("And coffee is black.")
    grammar = expected(asked(*noted, question, tools=()), (question,), None).grammar
    assert '"N" ([^\\x00o] rest | "o"' in grammar, grammar


def test_where_nothing_is_noted_the_model_answers_as_if_nobody_had_looked() -> None:
    question = user("What do you know about me?")
    call = ToolCall("call_1", "recall", "{}")
    result = Message("tool", (ToolResult("call_1", "Nothing is remembered about this."),))
    request = asked(question, Message("assistant", (call,)), result)
    assert notes().wish_of(request) is None
    left = notes().without_tools(request)
    assert (left.messages, left.tools) == ((question,), ())


def test_where_the_tools_are_not_offered_or_are_a_clients_nothing_is_noted() -> None:
    wish = user("Remember that my dog is called Rex.")
    assert notes().wish_of(asked(wish, tools=())) is None
    of_client = spec_of("remember", "Mine.", RecallArguments)
    assert notes().wish_of(asked(wish, tools=(of_client,))) is None
    assert notes().without_tools(asked(wish, tools=(of_client,))).tools == (of_client,)


def test_the_model_is_shown_the_wish_and_its_answer_and_no_call() -> None:
    shown = conversation((*noted("1", NOTED), Message("assistant", (Text("Noted: “x”."),)), user("hello")))
    assert [(each.role, each.text) for each in shown] == [
        ("user", "Remember that x"),
        ("assistant", "Noted: “x”."),
        ("user", "hello"),
    ]
