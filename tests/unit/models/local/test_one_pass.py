"""One pass: what the engine is asked, and what becomes of what it writes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from nanobot.context import prompt
from nanobot.core.message import File, Message, Text, ToolCall, ToolResult, user
from nanobot.core.persona import Persona
from nanobot.core.tool import ToolChoice, tool_spec
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.local.examples import BOUNDARY
from nanobot.models.local.salt import LABEL, salt_of
from tests.gbnf import accepts
from tests.unit.models.local.stand_in import OWN_TOOLS, SYSTEM, Machine, machine

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    async with machine(tmp_path, monkeypatch) as standing:
        yield standing


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def worked_out(result: str = "391", *, is_error: bool = False) -> tuple[Message, Message]:
    call = Message("assistant", (ToolCall("1", "calculate", '{"expression":"17 * 23"}'),))
    return call, Message("tool", (ToolResult("1", result, is_error),))


async def test_the_engine_is_asked_once_with_the_examples_the_salt_and_no_date(small: Machine) -> None:
    small.writes("Hello", " there.")
    shown, message = await small.ask(user("hi"))
    assert shown == message.text == "Hello there."
    (prompt,) = small.prompts
    assert prompt.startswith(small.routes.read[0])
    assert prompt.endswith(f"{salt_of('a')}\n<user>\nhi\n")
    assert "Monday." not in prompt.partition("The examples are over")[2]
    assert small.asked[0].json["temperature"] == 0.2


async def test_the_salt_is_no_bare_word_that_could_be_a_name(small: Machine) -> None:
    await small.ask(user("hi"))
    (prompt,) = small.prompts
    assert prompt.index(LABEL) == len(small.routes.read[0]) - len(LABEL) - 1


async def test_a_clients_instructions_stand_behind_the_salt(small: Machine) -> None:
    await small.ask(user("hi"), system=f"{SYSTEM}\n\nTalk like a pirate.")
    (prompt,) = small.prompts
    assert prompt.endswith(f"{salt_of('a')}\n\nTalk like a pirate.\n<user>\nhi\n")


async def test_a_call_is_passed_on_as_one_and_not_shown(small: Machine) -> None:
    small.writes("[calc", "ulate 17 * 23]")
    shown, message = await small.ask(user("17 * 23?"))
    assert shown == ""
    (call,) = message.tool_calls
    assert (call.name, call.arguments) == ("calculate", '{"expression":"17 * 23"}')
    assert message.stop_reason == "tool_calls"


async def test_a_call_that_the_askers_limit_cut_off_is_written_to_its_end(small: Machine) -> None:
    small.writes("[calculate 17", reason="length")
    small.writes("[calculate 17 * 23]")
    _, message = await small.ask(user("17 * 23?"), sampling=Sampling(max_output_tokens=3))
    assert [call.arguments for call in message.tool_calls] == ['{"expression":"17 * 23"}']
    assert small.asked[0].json["max_tokens"] == 3 < small.asked[1].json["max_tokens"]


async def test_after_a_result_come_words_and_after_an_error_perhaps_another_call(small: Machine) -> None:
    small.writes("It is 391.")
    await small.ask(user("17 * 23?"), *worked_out())
    small.writes("It does not work.")
    await small.ask(user("17 * 23?"), *worked_out("Error", is_error=True))
    after_result, after_error = (asked.json for asked in small.asked)
    assert "calculate" not in after_result["grammar"] and "calculate" in after_error["grammar"]
    assert after_result["temperature"] == 0.0


async def test_the_same_call_again_is_answered_in_words(small: Machine) -> None:
    small.writes("[calculate 17 * 23]")
    small.writes("That does not work.")
    shown, message = await small.ask(user("17 * 23?"), *worked_out("Error", is_error=True))
    assert (shown, message.tool_calls) == ("That does not work.", ())


async def test_what_users_tell_of_themselves_is_not_worked_out(small: Machine) -> None:
    await small.ask(user("I wish that I had 3 apples."))
    await small.ask(user("What day is the 3rd of May?"))
    told, asked = (each.json["grammar"] for each in small.asked)
    assert "calculate" not in told
    assert "calculate" in asked


async def test_where_there_is_nothing_to_work_out_nothing_is(small: Machine) -> None:
    await small.ask(user("How many legs does a spider have?"))
    await small.ask(user("17 * 23?"), *worked_out(), assistant("391"), user("And that again?"))
    fact, goes_on = (each.json["grammar"] for each in small.asked)
    assert "calculate" not in fact and "calculate" in goes_on
    assert "recall" not in fact and "recall" in goes_on


async def test_a_translation_does_not_say_the_same_again(small: Machine) -> None:
    await small.ask(user("Drei Farben?"), assistant("Rot, Blau, Gelb"), user("Übersetze sie ins Englische."))
    assert '"ot,"' not in small.asked[0].json["grammar"] and '"R" (' in small.asked[0].json["grammar"]


async def test_facts_are_answered_with_words_that_take_note_of_them(small: Machine) -> None:
    await small.ask(user("My birthday is on the 3rd of May."))
    (asked,) = small.asked
    assert (
        asked.json["grammar"].startswith('root ::= ("Got it" | ')
        and "current_time" not in asked.json["grammar"]
    )


async def test_a_clients_tool_is_asked_for_whatever_its_name_is(small: Machine) -> None:
    theirs = tool_spec("read_file", "Read a file.", {"type": "object", "properties": {}})
    small.writes("read_file {}")
    _, message = await small.ask(user("What is in a.txt?"), tools=(*OWN_TOOLS, theirs))
    assert [call.name for call in message.tool_calls] == ["read_file"]


async def test_without_tools_none_may_be_called(small: Machine) -> None:
    await small.ask(user("hi"), tools=())
    assert "calculate" not in small.asked[0].json["grammar"]


async def test_an_answer_without_the_result_is_replaced_by_it(small: Machine) -> None:
    small.writes("17 * 23", " is 421.")
    shown, message = await small.ask(user("17 * 23?"), *worked_out())
    assert shown == message.text == "17 * 23 = 391"


async def test_an_answer_with_the_result_is_shown_from_there_on(small: Machine) -> None:
    small.writes("That is ", "391", ", a product", " of two primes.")
    shown, message = await small.ask(user("17 * 23?"), *worked_out())
    assert shown == message.text == "That is 391, a product of two primes."


async def test_recall_that_the_model_writes_is_answered_from_the_list(small: Machine) -> None:
    small.writes("[recall]")
    small.writes('You said "Hello".')
    history = (user("Hello"), assistant("Hi!"), user("Say it back to me."))
    shown, message = await small.ask(*history)
    assert shown == message.text == 'You said "Hello".'
    assert small.prompts[1].endswith('<assistant>\n[recall]\n<user>\n(The user\'s messages: 1. "Hello")\n')
    assert small.asked[1].json["temperature"] == 0.0
    assert r"\"Hello\"" in small.asked[1].json["grammar"]


async def test_a_question_for_what_was_said_goes_straight_to_the_list(small: Machine) -> None:
    small.writes('You asked: "Hello"')
    await small.ask(user("Hello"), assistant("Hi!"), user("What did I just ask you?"))
    (prompt,) = small.prompts
    assert prompt.endswith('<assistant>\n[recall]\n<user>\n(The user\'s messages: 1. "Hello")\n')


async def test_who_has_told_nothing_is_not_told_it_back(small: Machine) -> None:
    question = user("Where do I live?")
    await small.ask(question)
    await small.ask(user("I live in Rome."), assistant("Got it."), question)
    await small.ask(question, system=f"{SYSTEM}\n\nThe user lives in Rome.")
    assert ["There was no message before this one.)\n" in asked[-80:] for asked in small.prompts] == [
        True,
        False,
        False,
    ]


async def test_the_next_prompt_begins_with_this_one_and_its_answer(small: Machine) -> None:
    """Over ten turns, with calls and recall; only the end is new to the engine."""
    history: tuple[Message, ...] = ()
    for turn in range(10):
        before = small.prompts[-1] if small.prompts else ""
        if turn % 3 == 1:
            history += (user(f"What is 17 * 23, for the {turn}th time?"), *worked_out())
        elif turn % 3 == 2:
            history += (user("What did I just ask you?"),)
        else:
            history += (user(f"question {turn}"),)
        small.writes(f"answer {turn}, 391")
        _, message = await small.ask(*history)
        assert small.prompts[-1].startswith(before)
        assert not before or f"<assistant>\nanswer {turn - 1}, 391\n" in small.prompts[-1]
        # As it comes back from the store.
        history += (msgspec.json.decode(msgspec.json.encode(message), type=Message),)


async def test_an_answer_that_the_client_has_begun_goes_on_without_a_grammar(small: Machine) -> None:
    small.writes(" world")
    shown, _ = await small.ask(user("hi"), assistant("Hello"))
    assert shown == " world"
    assert "grammar" not in small.asked[0].json


async def test_a_loop_is_stopped_where_it_is_seen(small: Machine) -> None:
    small.writes(*["And then the sea came back to the shore again. "] * 40)
    shown, message = await small.ask(user("Tell me a story."))
    assert shown == message.text
    assert 4 <= shown.count("shore") < 8
    assert message.stop_reason == "stop"


async def test_an_answer_in_a_form_that_loops_is_stopped_as_one_that_is_cut(small: Machine) -> None:
    small.writes("none")
    small.writes('{"a": "', *["And then the sea came back to the shore again. "] * 40)
    _, message = await small.ask(user("A story as JSON."), format=OutputFormat("json_object"))
    assert 4 <= message.text.count("shore") < 8
    assert message.stop_reason == "length"


async def test_a_result_is_not_told_in_english_to_who_asked_in_another_language(small: Machine) -> None:
    await small.ask(user("Quanto fa 17 per 23?"), *worked_out())
    await small.ask(user("How much is 17 times 23?"), *worked_out())
    italian, english = [asked.json["grammar"] for asked in small.asked]
    assert not accepts(italian, "That makes 391.") and not accepts(italian, "17 times 23 is 391.")
    assert accepts(italian, "Fa 391.") and not accepts(italian, "Sono felice.")
    assert accepts(english, "That makes 391.")


async def test_a_question_that_asks_for_no_words_is_not_answered_with_a_quotation(small: Machine) -> None:
    earlier = (user("I'm vegetarian."), assistant("Got it."))
    for asked in ("Would beef stew be good for me?", "Tell me what I mentioned as to meat."):
        small.writes("[recall]")
        await small.ask(*earlier, user(asked))
    grammars = [asked.json["grammar"] for asked in small.asked[1::2]]
    assert [accepts(grammar, 'You said: "I\'m vegetarian."') for grammar in grammars] == [False, True]
    assert all(accepts(grammar, "No, you are vegetarian.") for grammar in grammars)


async def test_another_joke_begins_otherwise(small: Machine) -> None:
    await small.ask(user("Tell me a joke."), assistant("Why not?"), user("Another one."))
    assert not accepts(small.asked[0].json["grammar"], "Why did the cat cross the road?")
    assert accepts(small.asked[0].json["grammar"], "What did the cat say?")


async def test_a_sum_without_an_end_is_given_up_for_words(small: Machine) -> None:
    small.writes("[calculate 1", *[" + 1"] * 900, reason="length")
    small.writes("That is 500,500.")
    shown, message = await small.ask(user("Add all numbers from 1 to 1000."))
    assert shown == message.text == "That is 500,500."
    first, second = small.asked
    assert "calculate" in first.json["grammar"] and "calculate" not in second.json["grammar"]
    assert message.usage is not None and message.usage.completion_tokens < 200


async def test_another_maker_is_never_named_as_its_own(small: Machine) -> None:
    small.writes("Hello! ", "I am an AI ", "assistant created by ", "OpenAI. How ", "can I help?")
    shown, message = await small.ask(user("Who are you?"))
    assert shown == message.text == "Hello! I'm nanobot, your personal assistant."


@pytest.mark.parametrize(
    "fields",
    [
        {"format": OutputFormat("json_object")},
        {"tool_choice": ToolChoice("required")},
    ],
)
async def test_a_form_and_a_required_call_take_the_other_way(small: Machine, fields: dict[str, Any]) -> None:
    small.writes('calculate {"expression":"17 * 23"}')
    _, message = await small.ask(user("17 * 23?"), **fields)
    assert [call.name for call in message.tool_calls] == ["calculate"]
    assert "Example:" not in small.prompts[0] and "Monday" not in small.prompts[0]


async def test_a_conversation_stays_in_its_slot_and_others_get_their_own(small: Machine) -> None:
    for session in ("a", "b", "a", "c", "b", "a"):
        await small.ask(user("hi"), session=session)
    slots = [asked.json["id_slot"] for asked in small.asked]
    assert slots[0] == slots[2] == slots[5] and slots[1] == slots[4]
    assert len(set(slots)) == 3


async def test_the_slot_used_longest_ago_is_given_away(small: Machine) -> None:
    for session in ("a", "b", "c", "d", "b", "e"):
        await small.ask(user("hi"), session=session)
    slots = [asked.json["id_slot"] for asked in small.asked]
    assert slots[5] == slots[0]


async def test_a_new_slot_gets_the_prefix_from_the_disk(small: Machine) -> None:
    before = len(small.routes.actions)
    await small.ask(user("hi"), session="a")
    await small.ask(user("hi"), session="b")
    assert small.routes.actions[before:] == [("restore", small.asked[1].json["id_slot"])]
    assert len(small.routes.read) == 1


async def test_after_the_engine_slept_the_prefix_is_put_back(small: Machine) -> None:
    await small.ask(user("hi"))
    before = len(small.routes.actions)
    small.clock.advance(1_801)
    await small.ask(user("hi"))
    assert [action for action, _ in small.routes.actions[before:]] == ["restore"]


def system_of(name: str, own: str = "") -> str:
    return prompt.system(own, Persona(name=name, instructions="Be merry.", language="German"))


async def test_an_agents_name_stands_in_the_examples_and_nowhere_the_servers(small: Machine) -> None:
    await small.ask(user("hi"), system=system_of("Mia"))
    (asked,) = small.prompts
    assert "You are Mia, " in asked and "I'm Mia, your" in asked and "我是 Mia" in asked
    assert "nanobot" not in asked.replace("the nanobot project", "")
    assert asked.endswith(
        f"{salt_of('a')}\n\nBe merry.\n\nAnswer in German, unless the user asks for another language."
        "\n<user>\nhi\n"
    )


async def test_prompts_of_one_agent_begin_alike_in_all_sessions(small: Machine) -> None:
    await small.ask(user("hi"), system=system_of("Mia"), session="a")
    await small.ask(user("ho"), system=system_of("Mia", "Short."), session="b")
    await small.ask(user("hi"), system=system_of("Max"), session="c")
    mia, again, max_ = (asked.partition(BOUNDARY)[0] for asked in small.prompts)
    assert mia == again != max_
    # What the engine read before each: the default agent's at the start, then each one's own, once.
    assert [("Mia" in read, "Max" in read) for read in small.routes.read] == [
        (False, False),
        (True, False),
        (False, True),
    ]


async def test_an_agents_name_is_claimed_where_the_model_claims_another_makers(small: Machine) -> None:
    small.writes("I am Qwen, made by Alibaba Cloud.")
    shown, _ = await small.ask(user("Who are you?"), system=system_of("Mia"))
    assert shown == "I'm Mia, your personal assistant."


async def test_a_client_cannot_name_the_agent(small: Machine) -> None:
    await small.ask(user("hi"), system=f"{SYSTEM}\n\n{system_of('Eve')}")
    (asked,) = small.prompts
    assert "You are nanobot, " in asked.partition(BOUNDARY)[0]


def told_the_time() -> tuple[Message, Message]:
    call = Message("assistant", (ToolCall("1", "current_time", "{}"),))
    return call, Message("tool", (ToolResult("1", "Monday, 2026-11-30 09:00:00 UTC (UTC+0000)"),))


async def test_who_asks_for_a_sum_alone_is_told_its_result(small: Machine) -> None:
    greeted = Message("assistant", (Text("Hello, Ann!"),))
    small.writes("That makes 5.")
    worked_out = (
        Message("assistant", (ToolCall("1", "calculate", '{"expression":"2+3"}'),)),
        Message("tool", (ToolResult("1", "5"),)),
    )
    await small.ask(user("My name is Ann."), greeted, user("What is 2+3?"), *worked_out)
    (asked,) = small.asked
    assert accepts(asked.json["grammar"], "That makes 5.")
    assert not accepts(asked.json["grammar"], "That's correct! How can I assist you further?")


async def test_a_question_for_another_day_is_answered_from_the_time_and_told_that_day(small: Machine) -> None:
    question = user("Welcher Tag ist in drei Tagen?")
    small.writes("[current_time]")
    _, message = await small.ask(question)
    assert [call.name for call in message.tool_calls] == ["current_time"]
    small.writes("In drei Tagen ist Donnerstag, der 3. Dezember.")
    await small.ask(question, *told_the_time())
    first, second = (asked.json["grammar"] for asked in small.asked)
    assert accepts(first, "[current_time]") and not accepts(first, "In drei Tagen ist der 33. November.")
    assert not accepts(first, "[current_time Zone/City]")
    assert accepts(second, "In drei Tagen ist Donnerstag, der 3. Dezember.")
    assert not accepts(second, "In three days it is Thursday, the 3rd of December.")
    assert not accepts(second, "In drei Tagen ist Dienstag, der 3. Dezember.")
    assert "\n(in drei Tagen = Thursday, 2026-12-03)" in small.prompts[1]


async def test_who_asks_what_day_it_is_is_told_its_weekday_in_their_language(small: Machine) -> None:
    question = user("Quel jour sommes-nous ?")
    small.writes("[current_time]")
    await small.ask(question)
    small.writes("Nous sommes le lundi 30 novembre 2026.")
    await small.ask(question, *told_the_time())
    first, second = (asked.json["grammar"] for asked in small.asked)
    assert accepts(first, "[current_time]") and not accepts(first, "Nous sommes le 3 mai.")
    assert accepts(second, "Nous sommes le lundi 30 novembre 2026.")
    assert not accepts(second, "Nous sommes le mardi 30 novembre 2026.")


async def test_who_asks_for_the_time_is_told_it_in_their_language_and_nothing_else(small: Machine) -> None:
    small.writes("Sono le 10:00.")
    await small.ask(user("Ciao! Che ore sono?"), *told_the_time())
    small.writes("Es ist 10:00 Uhr in Tokio.")
    await small.ask(user("Wie spät ist es in Tokio?"), *told_the_time())
    here, there = (asked.json["grammar"] for asked in small.asked)
    time = next(
        time
        for time in (f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60))
        if accepts(here, f"Sono le {time}.")
    )
    assert not accepts(here, f"Sono le {time}, e domani è martedì.")
    assert not accepts(here, "Itis Monday.")
    assert accepts(there, f"Es ist {time} Uhr in Tokio.")
    assert not accepts(there, "Es ist Dienstag.")


async def test_what_is_to_be_multiplied_is_and_no_clock_is_read_for_it(small: Machine) -> None:
    small.writes("[calculate 24 * 60]")
    _, message = await small.ask(user("How many minutes are in a day?"))
    assert [call.arguments for call in message.tool_calls] == ['{"expression":"24 * 60"}']
    await small.ask(user("À quelle température l'eau bout-elle ?"))
    assert "current_time" not in small.asked[1].json["grammar"]


async def test_a_call_behind_words_is_called_and_not_shown(small: Machine) -> None:
    small.writes("Il est ", "[current_time", "] merci")
    text, message = await small.ask(user("Il est tard maintenant, non ? Quelle heure de dormir ?"))
    assert text == "" and [call.name for call in message.tool_calls] == ["current_time"]


async def test_an_email_is_not_refused(small: Machine) -> None:
    await small.ask(user("Write an email that I am ill."))
    assert not accepts(small.asked[0].json["grammar"], "I'm sorry, but I can't assist with that.")


async def test_the_agent_is_no_human_unless_its_instructions_say_who_it_is(small: Machine) -> None:
    await small.ask(user("Are you a human?"))
    await small.ask(user("Are you a human?"), system=f"{SYSTEM}\n\nYou are Maria, who sells tea.")
    default, instructed = (asked.json["grammar"] for asked in small.asked)
    assert not accepts(default, "Yes, I am a human.") and accepts(default, "No, I'm nanobot, an assistant.")
    assert accepts(instructed, "Yes, I am a human.")


async def test_a_poem_is_written_so_that_its_lines_differ(small: Machine) -> None:
    small.writes("Roses are red.")
    await small.ask(user("Write a poem."))
    small.writes("It is Oslo.")
    await small.ask(user("What is the capital of Norway?"))
    poem, answer = (asked.json for asked in small.asked)
    assert poem["dry_multiplier"] > 0 and poem["temperature"] > answer["temperature"]
    assert "dry_multiplier" not in answer


async def test_a_question_for_a_day_in_another_place_may_name_its_zone(small: Machine) -> None:
    small.writes("[current_time Asia/Tokyo]")
    await small.ask(user("What day is tomorrow in Tokyo?"))
    assert accepts(small.asked[0].json["grammar"], "[current_time Asia/Tokyo]")


async def test_a_message_with_a_file_is_not_answered_from_what_was_said_before(small: Machine) -> None:
    """The small model asked for that, and repeated its answer before."""
    asked = Message("user", (Text("What does the lamp cost?"), File("prices.csv", "item,price\nlamp,12")))
    before = (user("My dog is called Nero."), assistant("I will remember that."))
    small.writes("12.")
    await small.ask(*before, asked)
    small.writes("12.")
    await small.ask(*before, user("What does the lamp cost?"))
    with_file, without = (each.json["grammar"] for each in small.asked)
    assert not accepts(with_file, "[recall]") and accepts(with_file, "The lamp costs 12.")
    assert accepts(without, "[recall]")
