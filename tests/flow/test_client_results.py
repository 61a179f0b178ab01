"""Results of tools in a client's list: each is seen, wherever it stands, whatever became of the ids."""

from typing import Any

import pytest

from nanobot.context.history import RESULT_ALONE
from nanobot.testing import ScriptedModel
from tests.flow.paused import RETRY
from tests.flow.test_api_tools import ONE, WEATHER, calls, message, result, shown
from tests.flow.test_client_history import a_call, assistant, says
from tests.harness import OpenHarness

OSLO, ROME = a_call("c1", "Oslo"), a_call("c2", "Rome")
BOTH = {**OSLO, "tool_calls": [*OSLO["tool_calls"], *ROME["tool_calls"]]}
RAIN, SUN = result("c1", "rain"), result("c2", "sun")
END = [assistant("ok"), says("next")]
CALLED = 'get_weather({ "city": "Oslo" })', 'get_weather({ "city": "Rome" })'
SEEN_BOTH = [("assistant", " ".join(CALLED)), ("tool", "rain"), ("tool", "sun")]

LISTS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "the calls one by one, then their results": ([OSLO, ROME, RAIN, SUN], SEEN_BOTH),
    "the calls one by one, then their results in another order": ([OSLO, ROME, SUN, RAIN], SEEN_BOTH),
    "the results of two steps after both": (
        [OSLO, {**ROME, "content": "and now"}, RAIN, SUN],
        [("assistant", CALLED[0]), ("tool", "rain"), ("assistant", f"and now {CALLED[1]}"), ("tool", "sun")],
    ),
    "a result after the next answer": (
        [BOTH, RAIN, assistant("wait"), SUN],
        [*SEEN_BOTH, ("assistant", "wait")],
    ),
    "a result after a question and its answer": (
        [OSLO, says("well?"), assistant("wait"), RAIN],
        [("assistant", CALLED[0]), ("tool", "rain"), ("user", "well?"), ("assistant", "wait")],
    ),
    "results with ids of their own": (
        [BOTH, result("one", "rain"), result("two", "sun")],
        SEEN_BOTH,
    ),
    "a result without an id beside one that has its own": ([BOTH, SUN, result("", "rain")], SEEN_BOTH),
    "a result twice": ([BOTH, RAIN, SUN, RAIN], SEEN_BOTH),
    "two results of one call": (
        [BOTH, RAIN, SUN, result("c1", "then hail"), RAIN],
        [SEEN_BOTH[0], ("tool", "rain\n\nthen hail"), ("tool", "sun")],
    ),
    "another result of a call after the next answer": (
        [OSLO, RAIN, assistant("wait"), result("c1", "then hail")],
        [("assistant", CALLED[0]), ("tool", "rain\n\nthen hail"), ("assistant", "wait")],
    ),
}
MODES: dict[str, dict[str, Any]] = {
    "a new session": {},
    "a session in use": {},
    "the whole conversation": {"headers": {"x-history-mode": "whole"}},
    "no trace": {"store": False},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", LISTS)
async def test_a_result_is_seen_with_its_call_wherever_it_stands(
    open_harness: OpenHarness, case: str, mode: str
) -> None:
    sent, seen = LISTS[case]
    model = ScriptedModel("a1")
    harness = await open_harness(model)
    if mode == "a session in use":
        await harness.door.chat("k", "something else")
    reply = await harness.door.chat("k", [says("q"), *sent, *END], tools=[WEATHER], **MODES[mode])
    assert reply.status == 200, reply.text
    assert shown(model.requests[-1]) == [("user", "q"), *seen, ("assistant", "ok"), ("user", "next")]


async def test_a_list_with_its_results_in_other_places_is_known_again(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("a1", "a2"))
    listed = [says("q"), OSLO, ROME, RAIN, SUN, *END]
    reply = await harness.door.chat("k", listed, tools=[WEATHER])
    listed += [message(reply), says("more")]
    reply = await harness.door.chat("k", listed, tools=[WEATHER])
    assert "x-history" not in reply.headers


async def test_the_newest_results_may_follow_calls_that_are_listed_one_by_one(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("Rain and sun.")
    harness = await open_harness(model)
    reply = await harness.door.chat("k", [says("q"), OSLO, ROME, SUN, RAIN], tools=[WEATHER])
    assert reply.said == "Rain and sun."
    assert shown(model.requests[-1]) == [("user", "q"), *SEEN_BOTH]


@pytest.mark.parametrize("keeps_list", [False, True])
async def test_new_results_of_one_call_are_seen_together(
    open_harness: OpenHarness, *, keeps_list: bool
) -> None:
    model = ScriptedModel(ONE, "Rain.")
    harness = await open_harness(model)
    asked = message(await harness.door.chat("k", [says("q")], tools=[WEATHER]))
    given = [result("call00001", "rain"), result("call00001", "rain"), result("call00001", "then hail")]
    before = [says("q"), asked] if keeps_list else []
    reply = await harness.door.chat("k", [*before, *given], tools=[WEATHER])
    assert reply.said == "Rain." and shown(model.requests[-1])[-1] == ("tool", "rain\n\nthen hail")


@pytest.mark.parametrize(
    ("headers", "keeps_list"), [({}, False), (RETRY, False), (RETRY, True)], ids=["silent", "count", "list"]
)
async def test_results_that_are_sent_again_get_the_answer_that_they_got(
    open_harness: OpenHarness, headers: dict[str, str], *, keeps_list: bool
) -> None:
    """Also where it was delivered whole: nobody answers a call twice, as people say things twice."""
    model = ScriptedModel(ONE, "Rain.", "never")
    harness = await open_harness(model)
    asked = message(await harness.door.chat("k", [says("q")], tools=[WEATHER]))
    given = [*([says("q"), asked] if keeps_list else []), result("call00001", "rain")]
    first = await harness.door.chat("k", given, tools=[WEATHER])
    again = await harness.door.chat("k", given, headers, tools=[WEATHER])
    streamed = await harness.door.chat("k", given, headers, tools=[WEATHER], stream=True)
    assert (first.said, again.said, streamed.said) == ("Rain.", "Rain.", "Rain.")
    assert first.turn_id == again.turn_id == streamed.turn_id and len(model.requests) == 2


async def test_other_results_of_a_call_that_was_answered_are_refused(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel(ONE, "Rain.", "never"))
    await harness.door.chat("k", [says("q")], tools=[WEATHER])
    await harness.door.chat("k", [result("call00001", "rain")], tools=[WEATHER])
    reply = await harness.door.chat("k", [result("call00001", "sun")], tools=[WEATHER])
    assert (reply.status, reply.error["code"]) == (400, "unknown_tool_call")


async def test_the_newest_result_may_have_an_id_that_no_call_has(open_harness: OpenHarness) -> None:
    model = ScriptedModel(calls(("call00001", "get_weather", '{"city":"Oslo"}')), "Rain.")
    harness = await open_harness(model)
    asked = message(await harness.door.chat("k", [says("q")], tools=[WEATHER]))
    reply = await harness.door.chat("k", [says("q"), asked, result("fc_call00001", "rain")], tools=[WEATHER])
    assert reply.said == "Rain." and "x-history" not in reply.headers
    assert shown(model.requests[-1])[-1] == ("tool", "rain")


@pytest.mark.parametrize("ids", [("one",), ("one", "two", "three")])
async def test_results_are_not_matched_by_their_number_alone_where_it_differs(
    open_harness: OpenHarness, ids: tuple[str, ...]
) -> None:
    model = ScriptedModel("a1")
    harness = await open_harness(model)
    results = [result(id_, f"of {id_}") for id_ in ids]
    await harness.door.chat("k", [says("q"), BOTH, *results, *END])
    told = ("tool", "No result was provided for this call.")
    assert shown(model.requests[-1])[2:-2] == [
        *(told, told),
        *(("user", f"{RESULT_ALONE}\nof {id_}") for id_ in ids),
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_result_whose_call_the_list_no_longer_has_is_seen(
    open_harness: OpenHarness, mode: str
) -> None:
    """Lists are cut to the newest messages, and then begin with a result."""
    model = ScriptedModel("a1")
    harness = await open_harness(model)
    if mode == "a session in use":
        await harness.door.chat("k", "something else")
    reply = await harness.door.chat("k", [result("gone", "rain"), *END], **MODES[mode])
    assert reply.status == 200, reply.text
    assert shown(model.requests[-1]) == [("user", f"{RESULT_ALONE}\nrain"), *shown_end()]


def shown_end() -> list[tuple[str, str]]:
    return [("assistant", "ok"), ("user", "next")]


async def test_a_trimmed_list_that_begins_with_a_result_is_still_the_transcript(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(calls(("call00001", "get_weather", '{"city":"Oslo"}')), "Rain.", "Yes.")
    harness = await open_harness(model)
    await harness.door.chat("k", [says("q")], tools=[WEATHER])
    answered = [result("call00001", "rain")]
    reply = await harness.door.chat("k", answered, tools=[WEATHER])
    reply = await harness.door.chat("k", [*answered, message(reply), says("Sure?")], tools=[WEATHER])
    assert "x-history" not in reply.headers
    assert [role for role, _ in shown(model.requests[-1])] == [
        *("user", "assistant", "tool", "assistant", "user")
    ]
