"""An agent with a name: by pattern of the session key, and by the session's own instructions."""

import json
from typing import Any
from urllib.parse import quote

from nanobot.testing import ScriptedModel, call
from tests.asgi import Exchange
from tests.harness import Harness, OpenHarness

SALES = {"pattern": "wx:group:sales:*", "name": "Ada", "instructions": "Sell kites."}


async def ask(harness: Harness, key: str, text: str = "hi", **fields: Any) -> Exchange:
    return await harness.door.chat(key, text, **fields)


async def change(harness: Harness, key: str, **fields: Any) -> Exchange:
    path = f"/v1/sessions/{quote(key, safe='')}"
    return await harness.door.call("POST", path, body=json.dumps(fields).encode())


async def test_a_pattern_gives_the_agent_its_name_and_instructions_above_the_clients(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel()
    harness = await open_harness(model, agents=[SALES])
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    await harness.door.chat("wx:group:sales:user:ann", messages)
    await ask(harness, "wx:dm:ann")
    sales, other = (request.system for request in model.requests)
    assert sales.startswith("You are Ada, ")
    assert sales.endswith("\n\nSell kites.\n\nBe brief.")
    assert other.startswith("You are nanobot, ")
    assert "kites" not in other


async def test_a_pattern_may_choose_the_model_unless_the_request_or_the_session_does(
    open_harness: OpenHarness,
) -> None:
    presets = {"fast": ScriptedModel("fast"), "deep": ScriptedModel("deep")}
    rule = {"pattern": "wx:*", "model": "fast"}
    harness = await open_harness(ScriptedModel("plain"), presets=presets, agents=[rule])

    async def answer(key: str, **fields: Any) -> str:
        reply = await ask(harness, key, **fields)
        return str(reply.json["choices"][0]["message"]["content"])

    assert await answer("tg:1") == "plain"
    assert await answer("wx:1") == "fast"
    assert await answer("wx:1", text="and now?", model="nanobot:deep") == "deep"
    await change(harness, "wx:1", model="nanobot:deep")
    assert await answer("wx:1", text="and again?") == "deep"


async def test_a_tool_that_the_persona_lacks_is_neither_offered_nor_run(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("current_time", "{}"), "done")
    harness = await open_harness(model, agent={"tools": ["calculate"]})
    await ask(harness, "a")
    assert [tool.name for tool in model.requests[0].tools] == ["calculate"]
    (result,) = model.requests[1].messages[-1].tool_results
    assert result.is_error
    assert "there is no tool 'current_time'" in result.content


async def test_a_session_has_instructions_of_its_own_until_they_are_taken_back(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel()
    harness = await open_harness(model, agent={"instructions": "Be kind."})
    await ask(harness, "a")
    reply = await change(harness, "a", instructions="Call me Max.")
    assert (reply.status, reply.json["instructions"]) == (200, "Call me Max.")
    await ask(harness, "a", "two")
    await ask(harness, "b", "two")
    reply = await change(harness, "a", instructions=None)
    assert "instructions" not in reply.json
    await ask(harness, "a", "three")
    ends = [request.system.rpartition("\n\n")[2] for request in model.requests]
    assert ends == ["Be kind.", "Call me Max.", "Be kind.", "Be kind."]


async def test_own_instructions_go_with_a_fork_and_an_export(open_harness: OpenHarness) -> None:
    harness = await open_harness(presets={"fast": ScriptedModel("fast")})
    await ask(harness, "a")
    await change(harness, "a", instructions="Call me Max.", model="nanobot:fast")
    forked = await harness.door.call("POST", "/v1/sessions/a/fork", body=b'{"key": "b"}')
    assert forked.json["instructions"] == "Call me Max."
    exported = await harness.door.get("/v1/sessions/a/export")
    imported = await harness.door.call("POST", "/v1/sessions/c/import", body=exported.raw)
    assert (imported.json["instructions"], imported.json["model"]) == ("Call me Max.", "nanobot:fast")


async def test_the_settings_may_keep_sessions_from_having_a_model_and_instructions_of_their_own(
    open_harness: OpenHarness,
) -> None:
    rule = {"pattern": "wx:*", "own_instructions": False, "own_model": False}
    harness = await open_harness(presets={"fast": ScriptedModel()}, agents=[rule])
    await ask(harness, "wx:1")
    for field, value in (("instructions", "Obey me."), ("model", "nanobot:fast")):
        reply = await change(harness, "wx:1", **{field: value})
        assert (reply.status, reply.json["error"]["code"]) == (403, "not_allowed")
        assert reply.json["error"]["param"] == field
    assert (await change(harness, "wx:1", title="Kites", instructions=None)).status == 200
    assert (await change(harness, "wx:1", model=None)).status == 200


async def test_a_field_that_sessions_do_not_have_is_refused_by_name(harness: Harness) -> None:
    await ask(harness, "a")
    reply = await change(harness, "a", tools=["shell"])
    assert reply.status == 400
    assert "tools" in reply.json["error"]["message"]
    long = await change(harness, "a", instructions="x" * 8_001)
    assert long.status == 400


async def test_the_cost_is_that_of_the_model_which_answers(open_harness: OpenHarness) -> None:
    presets = {"fast": ScriptedModel("fast", name="x:fast")}
    rule = {"pattern": "wx:*", "model": "fast"}
    harness = await open_harness(ScriptedModel(name="x:slow"), presets=presets, agents=[rule])
    await ask(harness, "wx:1")
    used = await harness.door.get("/v1/usage?group=model")
    assert [row["model"] for row in used.json["data"]] == ["x:fast"]


async def test_an_agent_without_memory_is_told_nothing_and_notes_nothing_down(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel()
    harness = await open_harness(
        model,
        agent={"memory": False},
        agents=[
            {"pattern": "wx:dm:*", "memory": True},
            {"pattern": "tg:*", "tools": ["recall", "calculate"]},
        ],
    )
    fact = json.dumps({"text": "lives in Berlin"}).encode()
    for key in ("wx:dm:ann", "plain", "tg:1"):
        headers = {"x-session-key": key, "content-type": "application/json"}
        assert (await harness.door.call("POST", "/v1/memory", body=fact, headers=headers)).status == 200
        await ask(harness, key)
    with_memory, without, few = model.requests
    assert "lives in Berlin" in with_memory.system
    assert {"remember", "recall", "forget"} <= {tool.name for tool in with_memory.tools}
    for request in (without, few):
        assert "Berlin" not in request.system
        assert not {"remember", "recall", "forget"} & {tool.name for tool in request.tools}
    assert [tool.name for tool in few.tools] == ["calculate"]
