"""Old messages are found by what they have in common with a new one: in reach only, and only where they still
stand in the transcript.
"""

import random

import pytest

from nanobot.core.errors import SessionNotFound
from nanobot.core.event import MessageAdded, TurnEnded
from nanobot.core.message import File, Message, Text
from nanobot.core.recall import Passage, Reach
from tests.contract.store_harness import StoreHarness

TOLD = [
    "My sister Leila works as a nurse in Lisbon.",
    "The code of the garage is 4711.",
    "Unser Hund heißt Keks und frisst gern Käse.",
    "我姐姐小芳在成都当护士。",
    "歯医者の予約は三月十四日です。",
    "우리 강아지 이름은 초코예요.",
    "أعارني يوسف كتابا عن الحيتان.",
    "พรุ่งนี้ไปเชียงใหม่กับสมชาย",
]


async def told(harness: StoreHarness, key: str = "a", *texts: str) -> None:
    for text in texts or TOLD:
        await harness.say(key, text, "Noted.")


async def found(harness: StoreHarness, text: str, *reach: Reach, limit: int = 5) -> list[str]:
    return [each.text for each in await passages(harness, text, *reach, limit=limit)]


async def passages(
    harness: StoreHarness, text: str, *reach: Reach, limit: int = 5, skip: int = 0, characters: int = 400
) -> tuple[Passage, ...]:
    return await harness.store.search_messages(
        text, reach or (Reach("a"),), limit=limit, skip=skip, characters=characters
    )


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("Where does my sister Leila work?", 0),
        ("I forgot the garage code again", 1),
        ("Was frisst unser Hund am liebsten?", 2),
        ("Was macht der HUND?", 2),
        ("姐姐在哪里工作?", 3),
        ("护", 3),
        ("歯医者はいつ?", 4),
        ("강아지 이름이 뭐였지?", 5),
        ("ما الكتاب الذي أعاره لي؟", 6),
        ("ไปเชียงใหม่เมื่อไหร่", 7),
    ],
)
async def test_a_question_finds_what_was_told_in_any_language(
    harness: StoreHarness, question: str, number: int
) -> None:
    await told(harness)
    assert (await found(harness, question))[0] == TOLD[number]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which of my relatives has a profession?", "My sister Leila works as a nurse in Lisbon."),
        ("Welche Haustiere haben wir?", "Unser Hund heißt Keks und frisst gern Käse."),
        ("我家人是做什么的", "我姐姐小芳在成都当护士。"),
        ("반려동물이 있나요", "우리 강아지 이름은 초코예요."),
    ],
)
async def test_what_was_told_is_found_by_its_topic(harness: StoreHarness, question: str, answer: str) -> None:
    await told(harness)
    assert answer in await found(harness, question)


async def test_what_was_asked_or_answered_is_not_found_by_its_topic(harness: StoreHarness) -> None:
    await harness.say("a", "What do poodles eat?", "A poodle likes meat.")
    assert await found(harness, "Which pets were mentioned?") == []
    assert await found(harness, "poodle") == ["A poodle likes meat."]


async def test_few_messages_that_are_on_a_topic_only_are_told_where_nobody_asked(
    harness: StoreHarness,
) -> None:
    for animal in ("poodle", "kitten", "hamster", "parrot", "rabbit", "pony"):
        await harness.say("a", f"A {animal} came by.", "Noted.")
    for number in range(20):
        await harness.say("a", f"Number {number} came by.", "Noted.")
    asked = await harness.store.search_messages("Some pets?", (Reach("a"),), limit=8)
    unasked = await harness.store.search_messages("Some pets?", (Reach("a"),), limit=8, is_asked=False)
    assert (len(asked), len(unasked)) == (6, 3)


async def test_words_that_say_nothing_make_nothing_come_back_where_nobody_asked(
    harness: StoreHarness,
) -> None:
    await told(harness)
    said = ("Is that the one of the other?", "这是什么?", "それは何ですか", "ما هذا الذي هو في")
    for text in said:
        assert not await harness.store.search_messages(text, (Reach("a"),), limit=8, is_asked=False)
    assert await found(harness, said[0])


async def test_a_word_that_says_something_outweighs_many_that_do_not(harness: StoreHarness) -> None:
    await told(harness, "a", "Our parrot sings.", "Which of them is it that we have in there?")
    assert (await found(harness, "Which of them is it that has a parrot in there?"))[0] == "Our parrot sings."


@pytest.mark.parametrize("text", ["", "?!", "Noted.", "zebra", '"* OR "', "x" * 100_000])
async def test_what_has_nothing_in_common_with_it_is_not_found(harness: StoreHarness, text: str) -> None:
    for number in range(70):
        await harness.say("a", f"Something about number {number}", "Noted.")
    assert await found(harness, text, limit=50) in ([], ["Noted."])


async def test_a_passage_says_where_and_when_it_was_said(harness: StoreHarness) -> None:
    await told(harness)
    claim = await harness.say("a", "The parrot is called Polly.", "A lovely name for a parrot.")
    first, second = await passages(harness, "parrot", limit=2)
    assert (first.role, first.turn_id, first.session_key) == ("user", claim.turn.id, "a")
    assert first.created_at == harness.clock.now()
    assert first.seq == 2 * len(TOLD) + 1
    assert second.text == "A lovely name for a parrot."


async def test_only_sessions_in_reach_are_searched(harness: StoreHarness) -> None:
    await told(harness)
    await told(harness, "b", "My sister Leila hates CANARY birds.")
    await told(harness, "c", "Leila's sister is a CANARY too.")
    question = "Which CANARY does my sister Leila hate?"
    assert not any("CANARY" in text for text in await found(harness, question, limit=50))
    both = await found(harness, question, Reach("a"), Reach("b"), Reach("nowhere"), limit=50)
    assert "My sister Leila hates CANARY birds." in both
    assert "Leila's sister is a CANARY too." not in both
    assert await harness.store.search_messages(question, (), limit=5) == ()


async def test_no_more_than_the_first_messages_are_searched_where_so_many_are_in_reach(
    harness: StoreHarness,
) -> None:
    await told(harness, "a", "The parrot is red.", "The parrot is green.", "The parrot is blue.")
    assert await found(harness, "parrot", Reach("a", 2)) == ["The parrot is red."]
    assert await found(harness, "parrot", Reach("a", 0)) == []
    assert set(await found(harness, "parrot", Reach("a", 3))) == {
        "The parrot is red.",
        "The parrot is green.",
    }


async def test_what_was_rewound_or_leaves_no_trace_is_not_found(harness: StoreHarness) -> None:
    await told(harness)
    await harness.say("a", "The parrot is called Polly.", "Fine.")
    assert await found(harness, "parrot Polly")
    await harness.store.rewind_session("a", 2 * len(TOLD))
    assert "The parrot is called Polly." not in await found(harness, "parrot Polly")
    await harness.say("a", "The dodo is called Didi.", "Fine.")
    await harness.say("a", "A title for the dodo Didi", "Dodo", trace=False)
    assert await found(harness, "dodo Didi") == ["The dodo is called Didi."]
    assert "The parrot is called Polly." not in await found(harness, "parrot Polly")
    assert await found(harness, "dodo Didi", Reach("a", 2 * len(TOLD) + 1)) == ["The dodo is called Didi."]


async def test_what_the_running_turn_says_is_not_found(harness: StoreHarness) -> None:
    await told(harness)
    claim = await harness.start("a", "What about the zebra?")
    assert await found(harness, "zebra") == []
    await harness.store.append(claim, (TurnEnded("cancelled"),))


async def test_a_deleted_session_is_not_found(harness: StoreHarness) -> None:
    await told(harness)
    assert await found(harness, "garage code")
    await harness.store.delete_session("a")
    await told(harness, "a", "Something else entirely.")
    assert await found(harness, "garage code") == []


async def test_words_that_most_messages_have_do_not_count(harness: StoreHarness) -> None:
    for number in range(100):
        await harness.say("a", f"The weather report of day {number} is fine", "Thanks for the report.")
    await harness.say("a", "The weather station has a hedgehog", "Sweet.")
    await harness.store.index_messages()
    assert await found(harness, "the weather and the hedgehog of the report") == [
        "The weather station has a hedgehog"
    ]


async def test_pages_have_each_message_once(harness: StoreHarness) -> None:
    for number in range(30):
        await harness.say("a", f"Parrot number {number} speaks", "Fine.")
    seen: list[str] = []
    for page in range(10):
        seen += [each.text for each in await passages(harness, "a parrot speaks", limit=4, skip=4 * page)]
    assert len(seen) == len(set(seen)) == 30


async def test_of_a_long_message_the_part_is_shown_that_is_asked_for(harness: StoreHarness) -> None:
    claim = await harness.start("a", "Read this")
    file = File(
        "lease.pdf", "Nothing here. " * 2_000 + "The tenant may keep a parrot. " + "Nor here. " * 2_000
    )
    message = Message("assistant", (Text("I have read it."), file), "stop")
    await harness.store.append(claim, (MessageAdded(message), TurnEnded("done")))
    (passage,) = await passages(harness, "may the tenant keep a parrot?", characters=120)
    assert "tenant may keep a parrot" in passage.text
    assert len(passage.text) <= 120


async def test_old_messages_are_found_though_the_writer_had_no_time_to_index_them(
    harness: StoreHarness,
) -> None:
    """A server that is never idle recalls all the same."""
    await told(harness, "b", "Something else.")
    await told(harness)
    assert await found(harness, "garage code", Reach("a", 6)) == ["The code of the garage is 4711."]


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_to_sessions_only_what_stands_in_those_in_reach_is_found(
    harness: StoreHarness, seed: int
) -> None:
    randomness = random.Random(seed)
    keys = ["wx:dm:ann", "wx:dm:an", "wx:group:g:user:ann"]
    number = 0
    for _ in range(60):
        key = randomness.choice(keys)
        there = {each.key: each for each in await harness.store.sessions(limit=10)}
        what = randomness.random()
        if key not in there or what < 0.7:
            number += 1
            await harness.say(
                key, f"parrot {number} of {key} flies", "Fine.", trace=randomness.random() < 0.8
            )
        elif what < 0.85:
            rows = await harness.store.messages(key, limit=100)
            if rows:
                await harness.store.rewind_session(key, randomness.choice(rows).seq)
        elif what < 0.9:
            await harness.store.index_messages()
        else:
            await harness.store.delete_session(key)
    await harness.store.index_messages()
    for key in keys:
        try:
            rows = await harness.store.messages(key, limit=1_000)
        except SessionNotFound:
            rows = ()
        for most in (None, 3):
            there_now = {row.message.text for row in rows[:most] if "parrot" in row.message.text}
            hits = await found(harness, "the parrot flies", Reach(key, most), limit=50)
            assert set(hits) == there_now


async def test_of_many_sessions_in_reach_the_most_recently_used_are_searched(harness: StoreHarness) -> None:
    for number in range(20):
        await harness.say(f"s{number}", f"Parrot number {number} speaks", "Fine.")
        harness.clock.advance(1)
    reach = [Reach(f"s{number}") for number in range(20)]
    hits = await found(harness, "a parrot speaks", *reach, limit=50)
    assert set(hits) == {f"Parrot number {number} speaks" for number in range(8, 20)}
