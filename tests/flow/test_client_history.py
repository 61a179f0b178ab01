"""What becomes of the history that clients send along with tools, files and rules of their own."""

import base64
import json
from typing import Any

import pytest

from nanobot.core.errors import ModelOverloaded
from nanobot.core.message import File
from nanobot.testing import ScriptedModel
from tests.flow.test_api_tools import ASK, ONE, WEATHER, calls, message, result, shown
from tests.harness import OpenHarness

TWO = (("call_53_0", "get_weather", '{"city":"Oslo"}'), ("call_53_1", "get_weather", '{"city": "Rome"}'))


def a_call(id_: str, city: str) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": f'{{ "city": "{city}" }}'}
    call = {"id": id_, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def says(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


async def test_parallel_calls_that_the_client_lists_one_by_one_have_all_their_results(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(calls(*TWO), "Rain and sun.", "Yes.")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    listed = [
        ASK,
        a_call("call_53_0", "Oslo"),
        result("call_53_0", "rain"),
        a_call("call_53_1", "Rome"),
        result("call_53_1", "sun"),
    ]
    reply = await harness.door.chat("k", listed, tools=[WEATHER])
    assert reply.said == "Rain and sun." and "x-history" not in reply.headers
    assert shown(model.requests[1])[2:] == [("tool", "rain"), ("tool", "sun")]
    reply = await harness.door.chat("k", [*listed, message(reply), says("Sure?")], tools=[WEATHER])
    assert reply.said == "Yes." and "x-history" not in reply.headers


async def test_results_in_any_order_under_ids_that_the_client_rewrote_answer_their_calls(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(calls(*TWO), "Rain and sun.")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    both = a_call("call530", "Oslo")
    both["tool_calls"] += a_call("call531", "Rome")["tool_calls"]
    reply = await harness.door.chat("k", [ASK, both, result("call531", "sun"), result("call530", "rain")])
    assert reply.status == 200 and "x-history" not in reply.headers
    assert shown(model.requests[1])[2:] == [("tool", "rain"), ("tool", "sun")]


@pytest.mark.parametrize("id_", ["get_weather", "call_0", ""])
async def test_calls_that_share_an_id_have_their_results_in_their_order(
    open_harness: OpenHarness, id_: str
) -> None:
    """Some clients name a call by its function, or count from zero in each step."""
    model = ScriptedModel(
        calls(*TWO), "Rain and sun.", calls(("c", "get_weather", '{"city":"Bonn"}')), "Fog."
    )
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    both = a_call(id_, "Rome")
    both["tool_calls"] += a_call(id_, "Oslo")["tool_calls"]
    listed = [ASK, both, result(id_, "sun"), result(id_, "rain")]
    reply = await harness.door.chat("k", listed, tools=[WEATHER])
    assert reply.status == 200 and "x-history" not in reply.headers
    assert shown(model.requests[1])[2:] == [("tool", "rain"), ("tool", "sun")]
    listed += [message(reply), says("And Bonn?")]
    await harness.door.chat("k", listed, tools=[WEATHER])
    listed += [a_call(id_, "Bonn"), result(id_, "fog")]
    reply = await harness.door.chat("k", listed, tools=[WEATHER])
    assert reply.said == "Fog." and "x-history" not in reply.headers
    reply = await harness.door.chat("copy", [*listed, message(reply), says("Sure?")])
    assert reply.headers["x-history"] == "imported"
    results = [text for role, text in shown(model.requests[-1]) if role == "tool"]
    assert results == ["sun", "rain", "fog"]


async def test_calls_whose_numbers_were_written_anew_are_the_same_calls(open_harness: OpenHarness) -> None:
    """JavaScript, which many clients are written in, writes 1 of 1.0."""
    model = ScriptedModel(calls(("c", "get_weather", '{"at":[1.0,2e1],"of":{"b":0.50,"a":1}}')), "Rain.")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    call = a_call("x", "")
    call["tool_calls"][0]["function"]["arguments"] = '{"of":{"a":1,"b":0.5},"at":[1,20]}'
    reply = await harness.door.chat("k", [ASK, call, result("x", "rain")], tools=[WEATHER])
    assert reply.said == "Rain." and "x-history" not in reply.headers


async def test_a_moved_message_does_not_bring_back_what_was_deleted(open_harness: OpenHarness) -> None:
    model = ScriptedModel("a1", "a2", "a3", "a4", "a5")
    harness = await open_harness(model)
    for said in ("q1", "q2 SECRET", "q3"):
        await harness.door.chat("k", said)
    kept = [says("q1"), assistant("a1"), says("q3"), assistant("a3")]
    await harness.door.chat("k", [*kept, says("q4")])
    await harness.door.chat("k", [*kept[2:], *kept[:2], says("q5")])
    assert "q2 SECRET" not in [text for _, text in shown(model.requests[-1])]


async def test_the_ids_of_calls_are_such_as_no_client_rewrites_and_others_in_each_turn(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel(calls(*TWO), "Rain and sun.", calls(*TWO)))
    ids: list[str] = []
    for sent in ([ASK], [says("again")], [says("and again")]):
        said = message(await harness.door.chat("k", sent, tools=[WEATHER]))
        ids += [call["id"] for call in said.get("tool_calls", ())]
    assert len(set(ids)) == 4 and all(len(id_) == 9 and id_.isalnum() and id_.isascii() for id_ in ids)


async def test_an_edited_result_branches_off_behind_its_call(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ONE, "It rains.", "It snows.")
    harness = await open_harness(model)
    called = message(await harness.door.chat("k", [ASK], tools=[WEATHER]))
    answer = message(
        await harness.door.chat("k", [ASK, called, result("call00001", "rain")], tools=[WEATHER])
    )
    called["tool_calls"][0]["id"] = "call1"
    edited = [ASK, called, result("call1", "snow"), answer, says("Sure?")]
    reply = await harness.door.chat("k", edited, tools=[WEATHER])
    assert reply.headers["x-history"] == "replaced"
    assert shown(model.requests[-1])[2:] == [("tool", "snow"), ("assistant", "It rains."), ("user", "Sure?")]


async def test_after_a_failed_turn_the_question_is_kept_by_a_client_that_holds_it(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("a1", ModelOverloaded("overloaded"), "a3")
    harness = await open_harness(model)
    await harness.door.chat("k", "q1")
    talk = [says("q1"), assistant("a1"), says("q2")]
    assert (await harness.door.chat("k", talk)).status == 503
    empty = {"role": "assistant", "content": ""}
    assert (await harness.door.chat("k", [*talk, empty, says("try again")])).said == "a3"
    assert [text for _, text in shown(model.requests[-1])] == ["q1", "a1", "q2", "try again"]


async def test_another_document_in_an_old_message_is_seen(open_harness: OpenHarness) -> None:
    model = ScriptedModel("a1", "a2")
    harness = await open_harness(model)

    def document(content: str) -> dict[str, Any]:
        encoded = base64.b64encode(content.encode()).decode()
        return {
            "role": "user",
            "content": [{"type": "file", "file": {"filename": "a.txt", "file_data": encoded}}],
        }

    await harness.door.chat("k", [document("version 1")])
    talk = [document("version 2"), assistant("a1"), says("and now?")]
    assert (await harness.door.chat("k", talk)).headers["x-history"] == "replaced"
    (file,) = model.requests[-1].messages[0].parts
    assert isinstance(file, File) and file.text == "version 2"


async def test_a_rule_says_which_sessions_send_the_whole_conversation(open_harness: OpenHarness) -> None:
    rules = {"history": [{"pattern": "owui:*", "mode": "whole"}]}
    harness = await open_harness(ScriptedModel(*["a"] * 6), sessions=rules)
    for key, headers, kept in (
        ("owui:1", {}, ["Yan"]),
        ("owui:2", {"x-history-mode": "auto"}, ["Zed", "a", "Yan"]),
        ("other", {}, ["Zed", "a", "Yan"]),
    ):
        await harness.door.chat(key, "Zed")
        await harness.door.chat(key, "Yan", headers)
        rows = await harness.app.store.messages(key, limit=10)
        assert [row.message.text for row in rows] == [*kept, "a"]
    reply = await harness.door.chat("other", "x", {"x-history-mode": "most"})
    assert (reply.status, reply.error["param"]) == (400, "x-history-mode")


async def test_a_result_that_is_listed_before_its_call_is_seen_behind_it(open_harness: OpenHarness) -> None:
    model = ScriptedModel("Yes.")
    harness = await open_harness(model)
    listed = [
        ASK,
        result("c1", "rain"),
        a_call("c1", "Oslo"),
        assistant("It rains."),
        says("Sure?"),
    ]
    assert (await harness.door.chat("k", listed)).headers["x-history"] == "imported"
    assert [text for _, text in shown(model.requests[0])][2:] == ["rain", "It rains.", "Sure?"]


@pytest.mark.parametrize("whole", [True, False])
async def test_a_tool_loop_that_leaves_no_trace_works_on_a_session_in_use(
    open_harness: OpenHarness, whole: bool
) -> None:
    model = ScriptedModel("a1", ONE, "It rains.", ONE, "a2")
    harness = await open_harness(model)
    await harness.door.chat("k", "q1")
    before = [says("q1"), assistant("a1")] if whole else []
    called = message(await harness.door.chat("k", [*before, ASK], tools=[WEATHER], store=False))
    called["tool_calls"][0]["id"] = "of my own"
    listed = [*before, ASK, called, result("of my own", "rain")]
    reply = await harness.door.chat("k", listed, tools=[WEATHER], store=False)
    assert reply.said == "It rains." and "x-history" not in reply.headers
    roles = [role for role, _ in shown(model.requests[-1])]
    assert roles == [each["role"] for each in listed] and shown(model.requests[-1])[-1] == ("tool", "rain")
    again = [*listed, message(reply), says("and now?")]
    assert (await harness.door.chat("k", again, tools=[WEATHER], store=False)).status == 200
    assert len(await harness.app.store.branches("k")) == 1
    rows = await harness.app.store.messages("k", limit=10)
    assert [row.message.text for row in rows] == ["q1", "a1"]
    assert not await harness.app.store.search("rain", limit=10)


async def test_a_header_or_a_pattern_of_session_keys_says_that_a_turn_leaves_no_trace(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(ScriptedModel(*["a"] * 12), sessions={"ephemeral": [{"pattern": "task:*"}]})
    for key, headers, kept in (
        ("k", {"x-store": "false"}, 0),
        ("k", {"x-store": "true"}, 2),
        ("task:1", {}, 0),
        ("task:1", {"x-store": " True"}, 2),
        ("own", {"x-store": "true"}, 2),
        ("own:1", {}, 0),
    ):
        fields = {"store": False} if key.startswith("own") else {}
        assert (await harness.door.chat(key, "name this chat", headers, **fields)).said == "a"
        assert len(await harness.app.store.messages(key, limit=10)) == kept
        body = json.dumps({"model": "nanobot", "input": "name this chat", **fields}).encode()
        named = {"x-session-key": key, **headers}
        made = await harness.door.call("POST", "/v1/responses", body=body, headers=named)
        assert made.json["store"] is bool(kept)
        assert len(await harness.app.store.messages(key, limit=10)) == 2 * kept
    reply = await harness.door.chat("k", "x", {"x-store": "perhaps"})
    assert (reply.status, reply.error["param"]) == (400, "x-store")


async def test_calls_that_a_client_retells_in_its_own_words_are_not_shown_as_unanswered(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(calls(*TWO), "Rain and sun.", "Yes.")
    harness = await open_harness(model)
    await harness.door.chat("k", [ASK], tools=[WEATHER])
    retold = [ASK, assistant("Calling tools: get_weather in Oslo and Rome"), says("Observation: rain, sun")]
    reply = await harness.door.chat("k", retold, tools=[WEATHER])
    assert reply.said == "Rain and sun." and reply.headers["x-history"] == "replaced"
    assert [text for _, text in shown(model.requests[1])] == [each["content"] for each in retold]
    again = [*retold, message(reply), says("Sure?")]
    assert "x-history" not in (await harness.door.chat("k", again, tools=[WEATHER])).headers
    assert [text for _, text in shown(model.requests[2])] == [each["content"] for each in again]


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think>\nhm\n</think>",
        "<thinking>hm</thinking>",
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought</summary>\n> hm\n</details>',
        "[THINK]hm[/THINK]",
        "<seed:think>hm</seed:think>",
        "<reasoning>\nhm\n</reasoning>",
        "◁think▷hm◁/think▷",
    ],
)
async def test_an_answer_in_a_client_with_its_thoughts_before_it_is_edited_at_the_right_place(
    open_harness: OpenHarness, thoughts: str
) -> None:
    model = ScriptedModel(ONE, "It rains.", "a3", "a4")
    harness = await open_harness(model)
    called = message(await harness.door.chat("k", [ASK], tools=[WEATHER]))
    called["content"] = "<think>\nI look it up.\n</think>\n\n"
    talk = [ASK, called, result(called["tool_calls"][0]["id"], "rain")]
    await harness.door.chat("k", talk, tools=[WEATHER])
    talk.append(assistant(f"{thoughts}\n\nIt rains."))
    assert (await harness.door.chat("k", [*talk, says("Sure?")])).said == "a3"
    edited = await harness.door.chat("k", [*talk, says("Really?")])
    assert edited.headers["x-history"] == "rewound"
    assert [text for _, text in shown(model.requests[-1])][2:] == ["rain", "It rains.", "Really?"]
