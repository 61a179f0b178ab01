"""Calls that a person is asked about: the question is the turn's answer, and the next message goes on."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from nanobot.agent import question
from nanobot.core.message import Message, ToolCall, ToolResult
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.stores.sql import approvals as approval_rows
from nanobot.testing import FakeClock, Say, ScriptedModel, call
from tests.asgi import BOUND_S, ServerEvent
from tests.harness import Harness, OpenHarness
from tests.unit.reading.test_fetch import at, fetcher, page
from tests.upstream import Upstream

ASK = {"role": "user", "content": "Please send it."}
POLICY: list[dict[str, Any]] = [{"tools": {"send": "ask"}}]
TO_ANN = '{"to": "ann"}'


class Send(msgspec.Struct, frozen=True):
    to: str = ""


class Post:
    """A tool that sends something, which must not be done twice. `sent` counts the addressees."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.tool = Tool("send", "Send a letter.", Send, self._run)

    async def _run(self, arguments: Send, context: ToolContext) -> str:
        self.sent[arguments.to] += 1
        return f"sent to {arguments.to}"


def user(text: str, name: str | None = None) -> dict[str, Any]:
    return {"role": "user", "content": text} | ({"name": name} if name else {})


def results(request: ModelRequest) -> list[ToolResult]:
    return [result for message in request.messages for result in message.tool_results]


def send(to: str = "ann", text: str = "") -> Say:
    return call("send", json.dumps({"to": to}), text=text)


async def asked(
    open_harness: OpenHarness, *script: Any, policy: list[dict[str, Any]] = POLICY, **more: Any
) -> tuple[Harness, Post, ScriptedModel]:
    """Return a server whose model calls `send`, and then goes through the script."""
    post, model = Post(), ScriptedModel(send(text="I will."), *script)
    harness = await open_harness(model, tools=[post.tool], policy=policy, **more)
    return harness, post, model


async def approvals(harness: Harness, **filters: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return list((await harness.door.call("GET", f"/v1/approvals?{query}")).json["data"])


async def test_the_question_is_the_answer_with_the_arguments_and_nothing_is_run(
    open_harness: OpenHarness,
) -> None:
    harness, post, _ = await asked(open_harness, "Done.")
    answer = await harness.door.chat("k", [ASK])
    choice = answer.json["choices"][0]
    assert choice["finish_reason"] == "stop" and "tool_calls" not in choice["message"]
    assert answer.said.startswith("I will.\n\nMay I make this call?")
    assert "**send**" in answer.said and '"to": "ann"' in answer.said
    assert not post.sent


async def test_a_yes_runs_the_call_once_and_the_turn_goes_on(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "Sent it.")
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", [user("yes, do it")])).said == "Sent it."
    assert post.sent == {"ann": 1}
    first, second = results(model.requests[1])
    assert first.content == question.WAITING
    assert second.content == "sent to ann" and not second.is_error


async def test_clients_that_send_their_whole_history_are_understood(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Sent it.", "Anything else?")
    said = (await harness.door.chat("k", [ASK])).said
    history = [ASK, {"role": "assistant", "content": said}, user("ja")]
    answer = await harness.door.chat("k", history)
    assert answer.said == "Sent it." and "x-history" not in answer.headers
    history += [{"role": "assistant", "content": "Sent it."}, user("thanks")]
    assert (await harness.door.chat("k", history)).said == "Anything else?"
    assert post.sent == {"ann": 1}


async def test_a_no_refuses_the_call_and_the_model_is_told(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "As you like.")
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", [user("nein")])).said == "As you like."
    assert not post.sent
    assert results(model.requests[1])[-1].content == question.REFUSED


async def test_what_is_not_clearly_a_yes_runs_nothing(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "To Ann, as you said.", "What do you mean?")
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", [user("yes? to whom?")])).said == "To Ann, as you said."
    # A yes to something else than the question is none.
    await harness.door.chat("k", [user("yes")])
    assert not post.sent
    assert [result.content for result in results(model.requests[2])] == [question.WAITING]


async def test_a_yes_in_another_session_is_none(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Yes to what?")
    await harness.door.chat("k", [ASK])
    await harness.door.chat("other", [user("yes")])
    assert not post.sent


async def test_always_lets_the_tool_run_without_a_question_in_this_session_only(
    open_harness: OpenHarness,
) -> None:
    harness, post, _ = await asked(open_harness, "Sent.", send("bob"), "Again.", send("eve"), "x")
    await harness.door.chat("k", [ASK])
    await harness.door.chat("k", [user("yes, always")])
    assert (await harness.door.chat("k", [user("and to bob")])).said == "Again."
    assert (await harness.door.chat("other", [user("and to eve")])).said.startswith("May I")
    assert post.sent == {"ann": 1, "bob": 1}


async def test_an_answer_that_comes_too_late_runs_nothing(open_harness: OpenHarness) -> None:
    clock = FakeClock()
    harness, post, model = await asked(open_harness, "Too late.", clock=clock)
    await harness.door.chat("k", [ASK])
    clock.advance(3_601)
    assert (await harness.door.chat("k", [user("yes")])).said == "Too late."
    assert not post.sent
    assert results(model.requests[1])[-1].content == question.EXPIRED
    assert [each["state"] for each in await approvals(harness)] == ["expired"]


# Around the question --------------------------------------------------------------------------------


async def test_a_stream_has_the_question_as_text_and_the_event_only_for_who_asks(
    open_harness: OpenHarness,
) -> None:
    harness, _, _ = await asked(open_harness, "Done.")
    told = await harness.door.chat("k", [ASK], {"x-events": "tools"}, stream=True)
    assert "May I make this call?" in told.said
    (event,) = [event for event in told.events if event.name == "approval_asked"]
    (call_,) = json.loads(event.content)["approvals"]
    assert (call_["tool"], call_["arguments"]) == ("send", '{"to": "ann"}')
    assert told.chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert "tool_started" not in [event.name for event in told.events]
    again = await harness.door.get(f"/v1/turns/{told.turn_id}/stream", {"x-events": "tools"})
    assert [event.id for event in again.events if event.name] == [
        event.id for event in told.events if event.name
    ]
    assert again.said == told.said


@pytest.mark.parametrize(("answer", "approved"), [("yes", [True]), ("no", [False]), ("why?", [])])
async def test_a_stream_says_what_has_become_of_the_calls_that_were_asked_about(
    answer: str, approved: list[bool], open_harness: OpenHarness
) -> None:
    harness, _, _ = await asked(open_harness, "Done.")
    await harness.door.chat("k", [ASK])
    (asked_about,) = await approvals(harness)
    told = await harness.door.chat("k", [user(answer)], {"x-events": "tools"}, stream=True)
    replayed = await harness.door.get(f"/v1/turns/{told.turn_id}/stream", {"x-events": "tools"})
    for seen in (told, replayed):
        settled = [
            each
            for event in seen.events
            if event.name == "approval_settled"
            for each in json.loads(event.content)["approvals"]
        ]
        assert [each["approved"] for each in settled] == approved
        assert all((each["id"], each["tool"]) == (asked_about["id"], "send") for each in settled)


def progress(events: Sequence[ServerEvent]) -> list[tuple[str, str]]:
    """Return which calls began and ended, in order."""
    names = ("tool_started", "tool_finished")
    return [(event.name, json.loads(event.content)["id"]) for event in events if event.name in names]


@pytest.mark.parametrize("answer", ["yes", "no", "why?"])
async def test_no_call_ends_that_nobody_was_shown_the_beginning_of(
    answer: str, open_harness: OpenHarness
) -> None:
    both = Message(
        "assistant",
        (ToolCall("a", "send", TO_ANN), ToolCall("b", "calculate", '{"expression": "6*7"}')),
        "tool_calls",
    )
    post, model = Post(), ScriptedModel(Say(message=both), "Done.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    shown = {"x-events": "tools"}
    first = await harness.door.chat("k", [ASK], shown, stream=True)
    assert progress(first.events) == [("tool_started", "b"), ("tool_finished", "b")]
    second = await harness.door.chat("k", [user(answer)], shown, stream=True)
    names = [name for name, _ in progress(second.events)]
    assert names == (["tool_started", "tool_finished"] if answer == "yes" else [])
    for told in (first, second):
        replayed = await harness.door.get(f"/v1/turns/{told.turn_id}/stream", shown)
        watching = harness.door.start("GET", f"/v1/sessions/k/events?after={told.turn_id}:0")
        await watching.until("turn_ended")
        watching.disconnect()
        for seen in (replayed, watching):
            assert progress(seen.events) == progress(told.events)


async def test_calls_that_need_no_approval_are_run_first(open_harness: OpenHarness) -> None:
    both = Message(
        "assistant",
        (ToolCall("a", "send", TO_ANN), ToolCall("b", "calculate", '{"expression": "6*7"}')),
        "tool_calls",
    )
    post, model = Post(), ScriptedModel(Say(message=both), "Done.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    assert "**send**" in (await harness.door.chat("k", [ASK])).said
    await harness.door.chat("k", [user("ok")])
    assert [result.content for result in results(model.requests[1])] == [
        question.WAITING,
        "42",
        "sent to ann",
    ]


async def test_several_calls_are_asked_about_together_and_the_same_one_once(
    open_harness: OpenHarness,
) -> None:
    calls = tuple(
        ToolCall(f"c{number}", "send", json.dumps({"to": to})) for number, to in enumerate(("a", "b", "a"))
    )
    post, model = Post(), ScriptedModel(Say(message=Message("assistant", calls, "tool_calls")), "Done.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    assert "May I make these 2 calls?" in (await harness.door.chat("k", [ASK])).said
    await harness.door.chat("k", [user("yes")])
    assert post.sent == {"a": 1, "b": 1}


async def test_a_call_that_is_made_again_while_it_waits_keeps_its_approval(open_harness: OpenHarness) -> None:
    harness, _, _ = await asked(open_harness, send(), "x")
    await harness.door.chat("k", [ASK])
    await harness.door.chat("k", [user("now?")])
    assert len(await approvals(harness)) == 1


async def test_more_calls_than_may_wait_are_refused(open_harness: OpenHarness) -> None:
    harness, _, model = await asked(open_harness, send("bob"), "x", approvals={"max_pending": 1})
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", [user("and bob")])).said == "x"
    assert "approvals.max_pending" in results(model.requests[2])[-1].content


async def test_long_arguments_are_not_asked_about(open_harness: OpenHarness) -> None:
    post, model = Post(), ScriptedModel(send("a" * 5_000), "Too long.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    assert (await harness.door.chat("k", [ASK])).said == "Too long."
    assert "at most 4000" in results(model.requests[1])[-1].content


async def test_a_turn_without_a_trace_asks_nobody(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "I may not.")
    assert (await harness.door.chat("k", [ASK], store=False)).said.endswith("I may not.")
    assert "nobody to ask" in results(model.requests[1])[-1].content
    assert not post.sent and not await approvals(harness)


async def test_beside_calls_of_the_client_nobody_is_asked(open_harness: OpenHarness) -> None:
    tool = {"type": "function", "function": {"name": "theirs", "parameters": {"type": "object"}}}
    both = (ToolCall("a", "send", TO_ANN), ToolCall("b", "theirs", "{}"))
    post, model = Post(), ScriptedModel(Say(message=Message("assistant", both, "tool_calls")), "Done.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    answer = await harness.door.chat("k", [ASK], tools=[tool])
    (theirs,) = answer.json["choices"][0]["message"]["tool_calls"]
    await harness.door.chat(
        "k", [{"role": "tool", "tool_call_id": theirs["id"], "content": "ok"}], tools=[tool]
    )
    assert "in a step of its own" in results(model.requests[1])[0].content
    assert not post.sent


async def test_an_answer_that_steers_the_turn_that_asks_is_an_answer(open_harness: OpenHarness) -> None:
    gate = asyncio.Event()
    post = Post()
    slow = Say(message=send().message, before=gate)
    model = ScriptedModel(slow, "Sent it.")
    harness = await open_harness(model, tools=[post.tool], policy=POLICY)
    first = harness.door.chatting("k", [ASK])
    await asyncio.wait_for(model.asked.wait(), BOUND_S)
    second = harness.door.chatting("k", [user("yes")], {"x-when-busy": "steer"})
    await harness.app.store.check()
    gate.set()
    answers = await harness.door.each((first, second))
    assert answers[0].said.endswith("Sent it.")
    assert post.sent == {"ann": 1}


async def test_responses_ask_and_go_on_too(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Sent it.")

    async def respond(**fields: Any) -> Any:
        body = json.dumps({"model": "nanobot", **fields}).encode()
        return (await harness.door.call("POST", "/v1/responses", body=body)).json

    first = await respond(input="Please send it.", conversation="k")
    assert first["status"] == "completed"
    assert "May I make this call?" in first["output"][-1]["content"][0]["text"]
    second = await respond(input="yes, do it", previous_response_id=first["id"])
    assert second["output"][-1]["content"][0]["text"] == "Sent it."
    assert post.sent == {"ann": 1}


async def test_regenerating_after_the_call_does_not_run_it_again(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Sent it.", "Sent it already.")
    said = (await harness.door.chat("k", [ASK])).said
    history = [ASK, {"role": "assistant", "content": said}, user("yes")]
    await harness.door.chat("k", history)
    again = await harness.door.chat("k", history)
    assert again.headers["x-history"] == "rewound" and again.said == "Sent it already."
    assert post.sent == {"ann": 1}


async def test_a_fork_does_not_take_an_approval_along(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Yes to what?")
    await harness.door.chat("k", [ASK])
    await harness.door.call("POST", "/v1/sessions/k/fork", body=b'{"key": "fork"}')
    await harness.door.chat("fork", [user("yes")])
    assert not post.sent
    (waiting,) = await approvals(harness)
    assert (waiting["session_key"], waiting["state"]) == ("k", "pending")


# Several people -------------------------------------------------------------------------------------


async def test_only_the_participant_who_asked_may_agree_in_words(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "Ann?", send(), "Sent it.")
    first = await harness.door.chat("room", [user("send it", "ann")])
    assert '"always"' not in first.said
    await harness.door.chat("room", [user("yes", "bob")])
    assert not post.sent
    assert "May I" in (await harness.door.chat("room", [user("do send it", "ann")])).said
    await harness.door.chat("room", [user("no", "bob"), user("yes, always", "ann")])
    assert post.sent == {"ann": 1}
    assert [each["decision"] for each in await approvals(harness)] == ["once"]
    assert not (await harness.door.get("/v1/approval-rules")).json["data"]


# Over HTTP ------------------------------------------------------------------------------------------


async def decide(harness: Harness, id_: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
    return await harness.door.call(
        "POST", f"/v1/approvals/{id_}", body=json.dumps(body).encode(), headers=headers
    )


async def test_what_is_approved_over_http_runs_with_the_next_message_whatever_it_says(
    open_harness: OpenHarness,
) -> None:
    harness, post, _ = await asked(open_harness, "Sent it.")
    await harness.door.chat("k", [ASK])
    (waiting,) = await approvals(harness, state="pending")
    assert (waiting["tool"], waiting["arguments"], waiting["used"]) == ("send", '{"to": "ann"}', False)
    decided = (await decide(harness, waiting["id"], decision="once")).json
    assert (decided["state"], decided["decision"], decided["decided_by"]) == ("approved", "once", "api")
    assert not post.sent
    assert (await harness.door.chat("k", [user("well?")])).said == "Sent it."
    assert post.sent == {"ann": 1}
    assert (await approvals(harness))[0]["used"]


async def test_what_is_approved_after_the_conversation_went_on_runs_when_it_is_called_again(
    open_harness: OpenHarness,
) -> None:
    harness, post, _ = await asked(open_harness, "Hm.", send(), "Sent it.", send(), "x")
    await harness.door.chat("k", [ASK])
    await harness.door.chat("k", [user("wait a moment")])
    (waiting,) = await approvals(harness)
    await decide(harness, waiting["id"], decision="once")
    assert (await harness.door.chat("k", [user("go on")])).said == "Sent it."
    # Once: the same call again is asked about again.
    assert "May I" in (await harness.door.chat("k", [user("again")])).said
    assert post.sent == {"ann": 1}


async def test_an_approval_can_be_taken_back_until_the_call_is_run(open_harness: OpenHarness) -> None:
    harness, post, model = await asked(open_harness, "No then.", send(), "x")
    await harness.door.chat("k", [ASK])
    (waiting,) = await approvals(harness)
    await decide(harness, waiting["id"], decision="session")
    assert (await decide(harness, waiting["id"], decision="session")).status == 200
    assert (await decide(harness, waiting["id"], decision="once")).error["code"] == "approval_closed"
    assert (await decide(harness, waiting["id"], decision="deny")).json["state"] == "denied"
    assert not (await harness.door.get("/v1/approval-rules")).json["data"]
    await harness.door.chat("k", [user("well?")])
    assert not post.sent
    assert results(model.requests[1])[-1].content == question.REFUSED
    assert (await decide(harness, waiting["id"], decision="once")).status == 409


async def test_a_no_in_words_takes_back_what_was_approved_elsewhere(open_harness: OpenHarness) -> None:
    harness, post, _ = await asked(open_harness, "No then.")
    await harness.door.chat("k", [ASK])
    (waiting,) = await approvals(harness)
    await decide(harness, waiting["id"], decision="once")
    await harness.door.chat("k", [user("no, stop")])
    assert not post.sent


async def test_a_rule_holds_in_all_sessions_of_its_pattern_until_it_is_revoked(
    open_harness: OpenHarness,
) -> None:
    harness, post, _ = await asked(open_harness, send("bob"), "Sent.", send("eve"), "x")
    await harness.door.chat("wx:dm:ann", [ASK])
    (waiting,) = await approvals(harness)
    assert (await decide(harness, waiting["id"], decision="rule")).error["param"] == "pattern"
    refused = await decide(harness, waiting["id"], decision="rule", pattern="wx:group:*")
    assert refused.status == 400 and "wx:dm:ann" in refused.error["message"]
    assert (await decide(harness, waiting["id"], decision="rule", pattern="wx:dm:*")).status == 200
    assert (await harness.door.chat("wx:dm:bob", [ASK])).said == "Sent."
    (rule,) = (await harness.door.get("/v1/approval-rules")).json["data"]
    assert (rule["tool"], rule["pattern"], rule["session_key"]) == ("send", "wx:dm:*", None)
    assert (await harness.door.call("DELETE", f"/v1/approval-rules/{rule['id']}")).json["deleted"]
    assert "May I" in (await harness.door.chat("wx:dm:eve", [ASK])).said
    assert post.sent == {"bob": 1}


def key_table(name: str, token: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "hash": f"sha256:{hashlib.sha256(token.encode()).hexdigest()}", **more}


async def test_an_api_key_sees_and_decides_only_what_its_patterns_have(open_harness: OpenHarness) -> None:
    keys = [
        key_table("all", "nb-all", scopes=["admin", "chat", "sessions:read"]),
        key_table("dms", "nb-dms", sessions=["wx:dm:*"]),
    ]
    harness, _, _ = await asked(open_harness, keys=keys)
    every = {"authorization": "Bearer nb-all"}
    some = {"authorization": "Bearer nb-dms"}
    for key in ("wx:dm:ann", "wx:group:g:user:ann"):
        await harness.door.chat(key, [ASK], every)
    listed = (await harness.door.get("/v1/approvals?order=asc", every)).json["data"]
    dm, group = listed
    assert [each["id"] for each in (await harness.door.get("/v1/approvals", some)).json["data"]] == [dm["id"]]
    unknown = await harness.door.get("/v1/approvals/appr_0", some)
    for answer in (
        await harness.door.get(f"/v1/approvals/{group['id']}", some),
        await decide(harness, group["id"], some, decision="once"),
        await harness.door.get(f"/v1/approvals?after={group['id']}", some),
        # Also for who may see both: not under the key of another session.
        await decide(harness, group["id"], every | {"x-session-key": "wx:dm:ann"}, decision="once"),
    ):
        assert answer.status == 404
        assert answer.text == unknown.text.replace("appr_0", group["id"])
    lacks = await decide(harness, dm["id"], some, decision="rule", pattern="wx:dm:*")
    assert lacks.error["code"] == "missing_right"
    await decide(harness, dm["id"], every, decision="rule", pattern="wx:dm:*")
    (rule,) = (await harness.door.get("/v1/approval-rules", some)).json["data"]
    revoking = f"/v1/approval-rules/{rule['id']}"
    assert (await harness.door.call("DELETE", revoking, headers=some)).error["code"] == "missing_right"
    assert (await harness.door.call("DELETE", revoking, headers=every)).status == 200
    assert (await decide(harness, group["id"], every, decision="deny")).json["state"] == "denied"


async def test_approvals_are_paged(open_harness: OpenHarness) -> None:
    harness, _, _ = await asked(open_harness, send("bob"), send("eve"))
    for number in range(3):
        await harness.door.chat("k", [user(f"to {number}")])
    newest = (await harness.door.get("/v1/approvals?limit=2")).json
    assert newest["has_more"] and len(newest["data"]) == 2
    rest = (await harness.door.get(f"/v1/approvals?limit=2&after={newest['last_id']}")).json
    assert not rest["has_more"] and len(rest["data"]) == 1
    assert (await harness.door.get("/v1/approvals?state=maybe")).status == 400


# The policy -----------------------------------------------------------------------------------------


async def test_a_denied_tool_is_not_offered_and_not_run(open_harness: OpenHarness) -> None:
    rules = [{"pattern": "wx:group:*", "tools": {"send": "deny"}}]
    harness, post, model = await asked(open_harness, "I may not.", policy=rules)
    await harness.door.chat("wx:group:g:user:ann", [ASK])
    assert "send" not in [tool.name for tool in model.requests[0].tools]
    assert not post.sent
    assert "not allowed in this conversation" in results(model.requests[1])[-1].content
    await harness.door.chat("k", [ASK])
    assert "send" in [tool.name for tool in model.requests[-1].tools]


async def test_a_tool_is_called_as_often_in_a_turn_as_the_policy_says(open_harness: OpenHarness) -> None:
    rules = [{"tools": {"send": "allow"}, "calls_per_turn": 1}]
    harness, post, model = await asked(open_harness, send("bob"), "Done.", send("eve"), "x", policy=rules)
    await harness.door.chat("k", [ASK])
    assert post.sent == {"ann": 1}
    assert "may be called 1 times in one turn" in results(model.requests[2])[-1].content
    await harness.door.chat("k", [ASK])
    assert post.sent == {"ann": 1, "eve": 1}


async def test_tools_that_read_the_web_can_be_asked_about(open_harness: OpenHarness) -> None:
    async with Upstream() as upstream:
        upstream.then(page(b"kumquats"))
        fetch = call("web_fetch", json.dumps({"url": at(upstream)}))
        model = ScriptedModel(fetch, "Kumquats.")
        harness = await open_harness(
            model, fetcher=fetcher(upstream), policy=[{"tools": {"@web": "ask"}, "origins": ["dm"]}]
        )
        assert at(upstream) in (await harness.door.chat("wx:dm:ann", [ASK])).said
        assert (await harness.door.chat("wx:dm:ann", [user("好的")])).said == "Kumquats."
        assert "kumquats" in results(model.requests[1])[-1].content


async def test_every_call_is_in_the_audit_log_with_its_decision_and_without_secrets(
    open_harness: OpenHarness,
) -> None:
    secret = "sk-proj-0123456789abcdefABCDEF"
    harness, _, _ = await asked(
        open_harness, call("calculate", '{"expression": "1+1"}'), "Two.", send(secret), "x"
    )
    await harness.door.chat("k", [ASK])
    await harness.door.chat("k", [user("yes")])
    await harness.door.chat("k", [user("another")])
    await harness.door.chat("k", [user("no")])
    await harness.close()
    lines = [json.loads(line) for line in (harness.data / "audit.jsonl").read_text().splitlines()]
    calls = [line["call"] for line in lines if line["operation"] == "tool call"]
    assert [(each["tool"], each["decision"], each["outcome"]) for each in calls] == [
        ("send", "ask", "waiting"),
        ("send", "approved", "ok"),
        ("calculate", "allow", "ok"),
        ("send", "ask", "waiting"),
        ("send", "denied", "not_run"),
    ]
    assert [json.loads(each["arguments"]) for each in calls[:3]] == [
        {"to": "ann"},
        {"to": "ann"},
        {"expression": "1+1"},
    ]
    assert secret not in (harness.data / "audit.jsonl").read_text()
    assert calls[1]["decided_by"] == "words" and calls[1]["approval"].startswith("appr_")


# What lasts -----------------------------------------------------------------------------------------


async def test_a_question_still_stands_after_a_restart(open_harness: OpenHarness) -> None:
    harness, _, _ = await asked(open_harness)
    await harness.door.chat("k", [ASK])
    await harness.close()
    post, model = Post(), ScriptedModel("Sent it.")
    again = await open_harness(model, data=harness.data, tools=[post.tool], policy=POLICY)
    assert (await again.door.chat("k", [user("yes")])).said == "Sent it."
    assert post.sent == {"ann": 1}


async def test_a_deleted_session_takes_its_approvals_and_rules_along(open_harness: OpenHarness) -> None:
    harness, _, _ = await asked(open_harness, send("bob"), "x")
    await harness.door.chat("k", [ASK])
    (waiting,) = await approvals(harness)
    await decide(harness, waiting["id"], decision="session")
    await harness.door.call("DELETE", "/v1/sessions/k")
    assert not await approvals(harness)
    assert (await harness.door.get(f"/v1/approvals/{waiting['id']}")).status == 404
    assert not (await harness.door.get("/v1/approval-rules")).json["data"]
    assert "May I" in (await harness.door.chat("k", [ASK])).said


async def test_a_turn_without_such_tools_reads_nothing_of_approvals(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_statement(*_: object, **__: object) -> None:
        raise AssertionError("approvals were looked up")

    for name in ("ask", "use_up", "standing", "find", "page"):
        monkeypatch.setattr(approval_rows, name, no_statement)
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}'), "42", "ok")
    harness = await open_harness(model)
    assert (await harness.door.chat("k", "what is it?")).said == "42"
    assert (await harness.door.chat("k", "yes")).said == "ok"
