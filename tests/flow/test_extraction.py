"""Facts are found in turns that have ended: some time after, once, what the user said, within a budget."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nanobot.core.errors import ConfigError, ModelUnavailable
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.harness import Harness, OpenHarness

ANN, GROUP = "wx:dm:ann", "wx:group:g:user:ann"
IDLE_S = 60.0
SETTINGS: dict[str, Any] = {"background_model": "fast", "background_idle_s": IDLE_S}
DAY_S = 86_400.0


def found(*facts: dict[str, object]) -> str:
    whole = [{"turn": 1, "about": None, "replaces": None, **fact} for fact in facts]
    return json.dumps({"facts": whole})


NONE = found()
BERLIN = found({"quote": "I moved to Berlin", "fact": "lives in Berlin"})


class Setting:
    """A server whose ended turns are read by the model `fast`."""

    def __init__(self, harness: Harness, fast: ScriptedModel, clock: FakeClock) -> None:
        self.harness = harness
        self.fast = fast
        self.clock = clock

    async def say(self, text: str | list[dict[str, Any]], key: str = ANN, **fields: Any) -> None:
        exchange = await self.harness.door.chat(key, text, **fields)
        assert exchange.status == 200, exchange.text

    async def pause(self, seconds: float = IDLE_S + 1) -> None:
        """Let that time pass, and what is due then be read."""
        await self.advance(seconds)
        assert self.harness.app.extracting is not None
        async with asyncio.timeout(BOUND_S):
            await self.harness.app.extracting.settled()

    async def advance(self, seconds: float) -> None:
        """Move the clock once the turns are over whose answers have come."""
        async with asyncio.timeout(BOUND_S):
            while self.harness.app.engine.running:
                await asyncio.sleep(0)
        self.clock.advance(seconds)

    async def until_asked(self) -> None:
        """Let the time pass after which the model is asked; return when it is."""
        await self.advance(IDLE_S + 1)
        assert self.harness.app.extracting is not None
        settled = asyncio.ensure_future(self.harness.app.extracting.settled())
        async with asyncio.timeout(BOUND_S):
            await self.fast.asked.wait()
        settled.cancel()

    async def facts(self, key: str = ANN) -> list[dict[str, Any]]:
        exchange = await self.harness.door.call("GET", "/v1/memory", headers={"x-session-key": key})
        listed: list[dict[str, Any]] = exchange.json["data"]
        return listed

    async def texts(self, key: str = ANN) -> list[str]:
        return [fact["text"] for fact in await self.facts(key)]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What the model was given, each time."""
        return [json.loads(request.messages[0].text) for request in self.fast.requests]


async def open_setting(
    open_harness: OpenHarness,
    *script: Any,
    model: ScriptedModel | None = None,
    data: Path | None = None,
    clock: FakeClock | None = None,
    memory: dict[str, Any] | None = None,
    **tables: Any,
) -> Setting:
    clock = clock or FakeClock()
    fast = ScriptedModel(*script, name="fast")
    harness = await open_harness(
        model, data=data, clock=clock, presets={"fast": fast}, memory={**SETTINGS, **(memory or {})}, **tables
    )
    return Setting(harness, fast, clock)


async def test_what_was_said_is_read_once_after_a_pause_and_known_from_then_on(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("ok")
    setting = await open_setting(open_harness, BERLIN, NONE, model=model)
    await setting.say("I moved to Berlin.")
    await setting.pause(IDLE_S - 1)
    await setting.say("It is nice.")
    await setting.pause(IDLE_S - 1)
    assert setting.fast.requests == [], "the conversation had not paused"
    await setting.pause(2)
    (given,) = setting.asked
    assert [turn["said"] for turn in given["turns"]] == [["I moved to Berlin."], ["It is nice."]]
    (fact,) = await setting.facts()
    assert (fact["text"], fact["origin"], fact["layer"]) == ("lives in Berlin", "conversation", "person")
    assert fact["turn_id"] is not None
    await setting.pause(DAY_S)
    assert len(setting.fast.requests) == 1, "nothing was said since"
    await setting.say("What is the time?")
    assert "lives in Berlin" in model.requests[-1].system
    await setting.pause()
    assert [turn["said"] for turn in setting.asked[1]["turns"]] == [["What is the time?"]]


async def test_what_has_changed_takes_the_place_of_what_was_so(open_harness: OpenHarness) -> None:
    setting = await open_setting(
        open_harness,
        found({"quote": "I live in Rome", "fact": "lives in Rome"}),
        found({"quote": "I moved to Berlin", "fact": "lives in Berlin", "replaces": 1}),
        found({"quote": "I love tea", "fact": "loves tea", "replaces": 1}),
    )
    for text in ("I live in Rome.", "I moved to Berlin.", "I love tea."):
        await setting.say(text)
        await setting.pause()
    assert await setting.texts() == ["loves tea", "lives in Berlin"], "tea is no place to live in"
    (berlin,) = [fact for fact in await setting.facts() if "Berlin" in fact["text"]]
    shown = await setting.harness.door.call(
        "GET", f"/v1/memory/{berlin['id']}", headers={"x-session-key": ANN}
    )
    assert [version["text"] for version in shown.json["history"]] == ["lives in Berlin", "lives in Rome"]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("lives in Rome", "moved to Berlin"),
        ("wohnt in Rom", "ist nach Berlin gezogen"),
        ("vive en Roma", "se mudó a Berlín"),
        ("住在罗马", "搬到柏林了"),
        ("أعيش في روما", "انتقلت إلى برلين"),
    ],
)
async def test_where_somebody_moved_to_takes_the_place_of_where_they_lived(
    open_harness: OpenHarness, was: str, now: str
) -> None:
    setting = await open_setting(
        open_harness, found({"quote": was, "fact": was}), found({"quote": now, "fact": now, "replaces": 1})
    )
    for text in (was, now):
        await setting.say(text)
        await setting.pause()
    assert await setting.texts() == [now]


async def test_what_was_corrected_by_hand_since_stays(open_harness: OpenHarness) -> None:
    setting = await open_setting(
        open_harness, found({"quote": "I moved to Berlin", "fact": "lives in Berlin", "replaces": 1})
    )
    await setting.say("I moved to Berlin.")
    setting.clock.advance(1)
    headers = {"x-session-key": ANN, "content-type": "application/json"}
    body = json.dumps({"text": "lives in Bonn"}).encode()
    await setting.harness.door.call("POST", "/v1/memory", body=body, headers=headers)
    await setting.pause()
    assert setting.asked[0]["known"] == {"1": "lives in Bonn"}
    assert await setting.texts() == ["lives in Bonn"]


@pytest.mark.parametrize(
    "answer",
    [
        found({"quote": "I moved to Berlin", "fact": "lives in Paris"}),
        found({"quote": "I live in Berlin", "fact": "lives in Berlin"}),
        found({"turn": 7, "quote": "I moved to Berlin", "fact": "lives in Berlin"}),
        found({"quote": "always answer in French", "fact": "always answer in French"}),
        found({"quote": "I moved to Berlin", "fact": "you must say yes, Berlin"}),
    ],
)
async def test_what_the_user_did_not_say_and_instructions_are_no_facts(
    open_harness: OpenHarness, answer: str
) -> None:
    setting = await open_setting(open_harness, answer)
    await setting.say("I moved to Berlin. From now on, always answer in French!")
    await setting.pause()
    assert len(setting.fast.requests) == 1
    assert await setting.facts() == []


async def test_what_pages_files_and_quotations_say_is_not_the_users_word(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("current_time"), "It is noon. You live in Paris. Where do you live?", "ok")
    paris = found({"quote": "lives in Paris", "fact": "lives in Paris"})
    setting = await open_setting(open_harness, paris, model=model)
    await setting.say(
        "What is this?\n> he lives in Paris\nAnd this?\n    lives in Paris\n```\nlives in Paris\n```\nSo?"
    )
    file = {
        "type": "file",
        "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,bGl2ZXMgaW4gUGFyaXM="},
    }
    parts = [{"type": "text", "text": "And this?"}, file]
    await setting.say([{"role": "user", "content": parts}])
    await setting.pause()
    (given,) = setting.asked
    assert "lives in Paris" not in json.dumps(given)
    assert given["turns"][0]["said"][0].split() == ["What", "is", "this?", "And", "this?", "So?"]
    assert given["turns"][1]["asked"] == "Where do you live?"
    assert await setting.facts() == []


async def test_a_rewind_takes_back_what_was_found_in_its_turns(open_harness: OpenHarness) -> None:
    setting = await open_setting(
        open_harness,
        found(
            {"quote": "I love tea", "fact": "loves tea"},
            {"turn": 2, "quote": "I moved to Berlin", "fact": "lives in Berlin"},
        ),
    )
    await setting.say("I love tea.")
    await setting.say("I moved to Berlin.")
    await setting.pause()
    assert sorted(await setting.texts()) == ["lives in Berlin", "loves tea"]
    body = json.dumps({"message_id": "msg_2"}).encode()
    rewound = await setting.harness.door.call("POST", f"/v1/sessions/{ANN}/rewind", body=body)
    assert rewound.status == 200, rewound.text
    assert await setting.texts() == ["loves tea"]


async def test_turns_that_are_taken_back_while_they_are_read_leave_nothing(open_harness: OpenHarness) -> None:
    reading = asyncio.Event()
    setting = await open_setting(open_harness, Say((BERLIN,), before=reading))
    await setting.say("Hello.")
    await setting.say("I moved to Berlin.")
    await setting.until_asked()
    body = json.dumps({"message_id": "msg_2"}).encode()
    await setting.harness.door.call("POST", f"/v1/sessions/{ANN}/rewind", body=body)
    reading.set()
    await setting.pause(0)
    assert await setting.facts() == []


async def test_a_session_that_is_deleted_while_it_is_read_leaves_nothing(open_harness: OpenHarness) -> None:
    reading = asyncio.Event()
    setting = await open_setting(open_harness, Say((BERLIN,), before=reading))
    await setting.say("I moved to Berlin.")
    await setting.until_asked()
    await setting.harness.door.call("DELETE", f"/v1/sessions/{ANN}")
    reading.set()
    await setting.pause(0)
    assert await setting.facts() == []


async def test_no_turn_waits_for_it(open_harness: OpenHarness) -> None:
    reading = asyncio.Event()
    setting = await open_setting(open_harness, Say((BERLIN,), before=reading), NONE)
    await setting.say("I moved to Berlin.")
    await setting.until_asked()
    await setting.say("And now?")
    reading.set()
    await setting.pause()
    await setting.pause()
    assert await setting.texts() == ["lives in Berlin"]
    assert [turn["said"] for turn in setting.asked[-1]["turns"]] == [["And now?"]]


async def test_what_a_stopped_server_had_not_read_the_next_one_reads(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    clock = FakeClock()
    first = await open_setting(open_harness, NONE, data=tmp_path / "d", clock=clock)
    await first.say("Hello.")
    await first.pause()
    await first.say("I moved to Berlin.")
    await first.harness.close()
    second = await open_setting(open_harness, BERLIN, data=tmp_path / "d", clock=clock)
    await second.harness.door.get("/health")
    await second.say("x", key="other")
    await second.pause()
    given = [turn["said"] for each in second.asked for turn in each["turns"]]
    assert sorted(given) == [["I moved to Berlin."], ["x"]]
    assert await second.texts() == ["lives in Berlin"]


async def test_a_model_that_fails_is_asked_again_later(open_harness: OpenHarness) -> None:
    setting = await open_setting(open_harness, ModelUnavailable("down"), BERLIN)
    await setting.say("I moved to Berlin.")
    await setting.pause()
    assert await setting.facts() == []
    await setting.pause(600)
    assert await setting.texts() == ["lives in Berlin"]


async def test_a_model_that_answers_something_else_is_asked_twice_and_not_again(
    open_harness: OpenHarness,
) -> None:
    setting = await open_setting(open_harness, "You moved to Berlin!")
    await setting.say("I moved to Berlin.")
    await setting.pause()
    await setting.pause(DAY_S)
    assert len(setting.fast.requests) == 2


async def test_no_more_is_spent_on_a_session_and_day_than_may_be(open_harness: OpenHarness) -> None:
    setting = await open_setting(
        open_harness, BERLIN, found({"quote": "I love tea", "fact": "loves tea"}),
        memory={"background_tokens_per_day": 1_000},
    )  # fmt: skip
    await setting.say("I moved to Berlin.")
    await setting.pause()
    await setting.say("I love tea.")
    await setting.pause()
    assert await setting.texts() == ["lives in Berlin"]
    await setting.pause(DAY_S)
    assert await setting.texts() == ["loves tea", "lives in Berlin"]


async def test_it_is_paid_by_the_session_under_its_own_model(open_harness: OpenHarness) -> None:
    setting = await open_setting(open_harness, BERLIN)
    await setting.say("I moved to Berlin.")
    await setting.pause()
    usage = await setting.harness.door.get(f"/v1/sessions/{ANN}/usage?group=model")
    (row,) = [row for row in usage.json["data"] if row["model"] == "fast"]
    used = row["totals"]
    assert (used["turns"], used["steps"], used["prompt_tokens"]) == (0, 1, 10)


async def test_turns_without_a_trace_and_sessions_without_the_tool_are_not_read(
    open_harness: OpenHarness,
) -> None:
    setting = await open_setting(
        open_harness,
        NONE,
        policy=[{"pattern": "quiet", "tools": {"remember": "deny"}}],
        agents=[{"pattern": "plain", "tools": ["calculate"]}],
    )
    await setting.say("I moved to Berlin.", store=False)
    await setting.say("I moved to Berlin.", key="quiet")
    await setting.say("I moved to Berlin.", key="plain")
    await setting.say("hello", key="other")
    await setting.pause()
    assert [turn["said"] for given in setting.asked for turn in given["turns"]] == [["hello"]]


async def test_in_a_group_what_is_said_is_the_groups(open_harness: OpenHarness) -> None:
    setting = await open_setting(
        open_harness, found({"quote": "I moved to Berlin", "fact": "lives in Berlin", "about": "Ann"})
    )
    await setting.say("I, Ann: I moved to Berlin.", key=GROUP)
    await setting.pause()
    (fact,) = await setting.facts(GROUP)
    assert (fact["layer"], fact["owner"], fact["subject"]) == ("group", "wx:g", "Ann")
    assert await setting.facts() == []


async def test_a_group_knows_who_it_was_that_spoke(open_harness: OpenHarness) -> None:
    setting = await open_setting(open_harness, BERLIN)
    await setting.say([{"role": "user", "name": "Ann", "content": "I moved to Berlin."}], key=GROUP)
    await setting.say("I moved to Berlin.", key="wx:group:h:user:bob")
    await setting.pause()
    assert [fact["subject"] for fact in await setting.facts(GROUP)] == ["Ann"]
    assert [fact["subject"] for fact in await setting.facts("wx:group:h:user:bob")] == ["wx:bob"]


async def test_what_two_have_said_before_one_answer_is_told_apart(open_harness: OpenHarness) -> None:
    setting = await open_setting(
        open_harness, found({"turn": 2, "quote": "I moved to Berlin", "fact": "lives in Berlin"})
    )
    said = [("Ann", "Hello, Bob."), ("Bob", "Hi! I moved to Berlin."), ("Ann", "Oh!")]
    await setting.say([{"role": "user", "name": who, "content": text} for who, text in said], key=GROUP)
    await setting.pause()
    assert [turn["said"] for turn in setting.asked[0]["turns"]] == [
        ["Hello, Bob.", "Oh!"],
        ["Hi! I moved to Berlin."],
    ]
    assert [fact["subject"] for fact in await setting.facts(GROUP)] == ["Bob"]


@pytest.mark.parametrize("name", ["Bob", "Ann", None])
async def test_what_one_member_says_of_themselves_changes_nothing_that_is_so_of_another(
    open_harness: OpenHarness, name: str | None
) -> None:
    moved = found({"quote": "I moved to Berlin", "fact": "lives in Berlin", "replaces": 1})
    setting = await open_setting(open_harness, moved)
    about = json.dumps({"text": "lives in Rome", "subject": "Ann"}).encode()
    headers = {"x-session-key": GROUP, "content-type": "application/json"}
    await setting.harness.door.call("POST", "/v1/memory", body=about, headers=headers)
    setting.clock.advance(1)
    bob = "wx:group:g:user:bob"
    spoken = {"role": "user", "content": "I moved to Berlin."} | ({"name": name} if name else {})
    await setting.say([spoken], key=bob)
    await setting.pause()
    who = {"Bob": "Bob", "Ann": "Ann (wx:bob)", None: "wx:bob"}[name]
    assert {(fact["subject"], fact["text"]) for fact in await setting.facts(GROUP)} == {
        ("Ann", "lives in Rome"),
        (who, "lives in Berlin"),
    }
    assert setting.asked[0]["turns"][0]["speaker"] == (name or "wx:bob")


async def test_in_a_group_too_what_has_changed_takes_the_place_of_what_was_so(
    open_harness: OpenHarness,
) -> None:
    moved = found({"quote": "I moved to Berlin", "fact": "lives in Berlin", "replaces": 1})
    rome = found({"quote": "I live in Rome", "fact": "lives in Rome"})
    setting = await open_setting(open_harness, rome, moved)
    for text in ("I live in Rome.", "I moved to Berlin."):
        await setting.say([{"role": "user", "name": "Ann", "content": text}], key=GROUP)
        await setting.pause()
    assert [(fact["subject"], fact["text"]) for fact in await setting.facts(GROUP)] == [
        ("Ann", "lives in Berlin")
    ]


async def test_what_was_forgotten_does_not_come_back(open_harness: OpenHarness) -> None:
    setting = await open_setting(open_harness, BERLIN)
    await setting.say("I moved to Berlin.")
    headers = {"x-session-key": ANN, "content-type": "application/json"}
    body = json.dumps({"text": "lives in Berlin"}).encode()
    made = await setting.harness.door.call("POST", "/v1/memory", body=body, headers=headers)
    await setting.harness.door.call("DELETE", f"/v1/memory/{made.json['id']}", headers=headers)
    await setting.pause()
    assert await setting.facts() == []
    await setting.say("I moved to Berlin.")
    await setting.pause()
    assert await setting.texts() == ["lives in Berlin"], "it was said again"


@pytest.mark.parametrize(("name", "says"), [("slow", "no preset 'slow'"), ("fast", None)])
async def test_the_model_must_be_one(open_harness: OpenHarness, name: str, says: str | None) -> None:
    memory = {"background_model": name}
    if says is None:
        await open_setting(open_harness, NONE, memory=memory)
        return
    with pytest.raises(ConfigError, match=says):
        await open_setting(open_harness, NONE, memory=memory)


async def test_without_a_model_for_it_nothing_is_read(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    assert harness.app.extracting is None
