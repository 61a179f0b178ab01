"""What was said in private is told to groups only where the person has agreed to it."""

import json
from typing import Any

from nanobot.testing import Say, ScriptedModel, call
from tests.harness import Harness, OpenHarness

ANN, GROUP, OTHER = "wx:dm:ann", "wx:group:g1:user:ann", "wx:group:g2:user:bob"


def shares(fact: str = "lives in Berlin", **more: object) -> Say:
    return call("share_fact", json.dumps({"fact": fact, **more}))


async def opened(open_harness: OpenHarness, *script: Any, **tables: Any) -> tuple[Harness, ScriptedModel]:
    """Return a server that remembers of Ann that she lives in Berlin, and has heard her and Bob in groups."""
    model = ScriptedModel("ok", "ok", *script)
    harness = await open_harness(model, **tables)
    for key in (GROUP, OTHER):
        await harness.door.chat(key, "hello")
    headers = {"x-session-key": ANN, "content-type": "application/json"}
    body = json.dumps({"text": "lives in Berlin"}).encode()
    assert (await harness.door.call("POST", "/v1/memory", body=body, headers=headers)).status == 200
    return harness, model


async def known(harness: Harness, key: str) -> list[dict[str, Any]]:
    exchange = await harness.door.call("GET", "/v1/memory", headers={"x-session-key": key})
    facts: list[dict[str, Any]] = exchange.json["data"]
    return facts


async def test_a_fact_becomes_public_once_the_person_has_agreed(open_harness: OpenHarness) -> None:
    harness, _ = await opened(open_harness, shares(), "Done.")
    asked = await harness.door.chat(ANN, "You may tell my groups where I live.")
    assert "May I make this call?" in asked.said and "lives in Berlin" in asked.said
    assert await known(harness, GROUP) == []
    await harness.door.chat(ANN, "yes")
    (fact,) = await known(harness, GROUP)
    assert (fact["text"], fact["layer"], fact["public"]) == ("lives in Berlin", "person", True)
    assert await known(harness, OTHER) == []


async def test_without_a_yes_nothing_is_shared(open_harness: OpenHarness) -> None:
    harness, _ = await opened(open_harness, shares(), "Fine.")
    await harness.door.chat(ANN, "Tell them.")
    await harness.door.chat(ANN, "no")
    assert await known(harness, GROUP) == []


async def test_one_group_is_told_under_the_name_that_it_knows(open_harness: OpenHarness) -> None:
    harness, _ = await opened(open_harness, shares(group="wx:g1", name="Ann"), "Done.")
    await harness.door.chat(ANN, "Tell the group where I live.")
    await harness.door.chat(ANN, "yes")
    (fact,) = await known(harness, "wx:group:g1:user:carol")
    assert (fact["text"], fact["layer"], fact["subject"]) == ("lives in Berlin", "group", "Ann (wx:ann)")
    (own,) = await known(harness, ANN)
    assert own["public"] is False
    assert await known(harness, OTHER) == []


async def refusal(harness: Harness, model: ScriptedModel) -> str:
    """Return what the model is told of its call, which the person agrees to."""
    await harness.door.chat(ANN, "Tell them.")
    await harness.door.chat(ANN, "yes")
    results = [result for message in model.requests[-1].messages for result in message.tool_results]
    return results[-1].content


async def test_a_group_that_the_person_has_not_spoken_in_is_not_told(open_harness: OpenHarness) -> None:
    harness, model = await opened(open_harness, shares(group="wx:g2", name="Ann"), "Oh.")
    assert "has not spoken in the group 'wx:g2', only in wx:g1" in await refusal(harness, model)
    assert await known(harness, OTHER) == []


async def test_what_the_person_has_not_read_in_the_question_is_not_shared(open_harness: OpenHarness) -> None:
    harness, model = await opened(open_harness, shares("lives"), "Oh.")
    assert "give all of its words, as they are remembered; did you mean 'lives in Berlin'?" in await refusal(
        harness, model
    )
    assert await known(harness, GROUP) == []


async def test_it_is_offered_in_private_chats_only_and_does_nothing_in_groups(
    open_harness: OpenHarness,
) -> None:
    harness, model = await opened(
        open_harness,
        shares(),
        "Oh.",
        policy=[{"tools": {"share_fact": "allow"}}],
        agent={"tools_tokens": 10_000},
    )
    await harness.door.chat(GROUP, "Share it.")
    offered = [{tool.name for tool in request.tools} for request in model.requests]
    assert not any("share_fact" in names for names in offered)
    (result,) = [result for message in model.requests[-1].messages for result in message.tool_results]
    assert "shared from a private chat" in result.content
    await harness.door.chat(ANN, "hi")
    assert "share_fact" in {tool.name for tool in model.requests[-1].tools}
    await harness.door.chat("plain", "hi")
    assert "share_fact" not in {tool.name for tool in model.requests[-1].tools}


async def test_a_rewind_takes_back_what_a_group_was_told(open_harness: OpenHarness) -> None:
    harness, _ = await opened(open_harness, "hi", shares(group="wx:g1", name="Ann"), "Done.")
    await harness.door.chat(ANN, "hello")
    await harness.door.chat(ANN, "Tell the group where I live.")
    await harness.door.chat(ANN, "yes")
    assert len(await known(harness, GROUP)) == 1
    body = json.dumps({"message_id": "msg_2"}).encode()
    await harness.door.call("POST", f"/v1/sessions/{ANN}/rewind", body=body)
    assert await known(harness, GROUP) == []
