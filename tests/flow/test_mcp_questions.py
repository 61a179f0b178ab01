"""What a server asks in the middle of a call is asked of the person, and the call goes on with the answer."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from nanobot.testing import Say, ScriptedModel
from tests import mcp_sdk_server
from tests.asgi import Exchange
from tests.flow.mcp_tools import ASK, ERAS, WIDE, ask, connected, results, table
from tests.harness import Harness, OpenHarness

ALLOWED = [{"tools": {"@mcp__fake": "allow"}}]


async def opened(open_harness: OpenHarness, model: ScriptedModel, era: str, **more: Any) -> Harness:
    """Return a server whose agent may call all tools of the MCP server, which is not trusted."""
    tables = table(era, trust_annotations=False, **more)
    return await connected(await open_harness(model, agent=WIDE, mcp=tables, policy=ALLOWED))


def says(text: str, name: str | None = None) -> list[dict[str, str]]:
    return [{"role": "user", "content": text, **({"name": name} if name is not None else {})}]


async def approvals(harness: Harness, key: str) -> list[dict[str, Any]]:
    listed = await harness.door.get("/v1/approvals", {"x-session-key": key})
    return list(listed.json["data"])


async def decide(harness: Harness, approval: dict[str, Any], key: str, body: object) -> Exchange:
    path, content = f"/v1/approvals/{approval['id']}", json.dumps(body).encode()
    return await harness.door.call("POST", path, body=content, headers={"x-session-key": key})


def of_two(tool: str) -> tuple[Say, str, str]:
    return ask(tool), "Done.", "Done later."


@pytest.mark.parametrize("era", ERAS)
async def test_the_question_is_the_answer_and_the_next_message_lets_the_call_go_on(
    open_harness: OpenHarness, era: str
) -> None:
    model = ScriptedModel(*of_two("ask_back"))
    harness = await opened(open_harness, model, era)
    question = (await harness.door.chat("k", [ASK])).said
    assert question.startswith(
        "The MCP server fake asks you something before **mcp__fake__ask_back** goes on."
    )
    assert "Which city?\\u202e" in question and "in one line" in question
    assert len(model.requests) == 1
    assert (await harness.door.chat("k", says("Ulm"))).said == "Done."
    texts = [result.content for result in results(model)]
    assert "the user has been asked" in texts[0]
    assert '"city": "Ulm"' in texts[-1] and "</untrusted " in texts[-1]


@pytest.mark.parametrize("era", ERAS)
async def test_plain_words_answer_simple_questions(open_harness: OpenHarness, era: str) -> None:
    cases = [
        ("ask_yes", "yes", '"sure": true'),
        ("ask_yes", "nein", '"sure": false'),
        ("ask_plain", "ja", '"go": {}'),
        ("ask_number", "7", '"n": 7'),
        ("ask_choice", "Large", '"size": "large"'),
    ]
    model = ScriptedModel(*(say for tool, _, _ in cases for say in (ask(tool), "Done.")))
    harness = await opened(open_harness, model, era)
    for number, (_, words, heard) in enumerate(cases):
        await harness.door.chat(f"k{number}", [ASK])
        assert (await harness.door.chat(f"k{number}", says(words))).said == "Done."
        assert heard in results(model)[-1].content


@pytest.mark.parametrize("era", ERAS)
async def test_a_no_is_not_sent_and_the_model_is_told(
    open_harness: OpenHarness, era: str, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(*of_two("ask_plain"))
    harness = await opened(open_harness, model, era, env={"CALLS": str(log)})
    await harness.door.chat("k", [ASK])
    assert (await harness.door.chat("k", says("no"))).said == "Done."
    last = results(model)[-1]
    assert last.is_error and "does not answer the question" in last.content
    # The older protocol was told that the question was dismissed; nothing came after that.
    assert not log.exists() or log.read_text() == "go cancel\n"


async def test_what_is_no_clear_answer_sends_nothing(open_harness: OpenHarness) -> None:
    said = ["ten", "7?", "12", "well, 7"]
    model = ScriptedModel(*(say for _ in said for say in (ask("ask_number"), "What?")))
    harness = await opened(open_harness, model, "new")
    for words in said:
        await harness.door.chat(words, [ASK])
        assert (await harness.door.chat(words, says(words))).said == "What?"
        assert model.requests[-1].messages[-1].text == words
        (approval,) = await approvals(harness, words)
        assert approval["state"] == "pending"


@pytest.mark.parametrize("era", ERAS)
async def test_several_questions_are_asked_one_after_another(open_harness: OpenHarness, era: str) -> None:
    model = ScriptedModel(*of_two("ask_two"))
    harness = await opened(open_harness, model, era)
    assert "Which city?" in (await harness.door.chat("k", [ASK])).said
    assert "Are you sure?" in (await harness.door.chat("k", says("Ulm"))).said
    assert (await harness.door.chat("k", says("yes"))).said == "Done."
    assert "Ulm" in results(model)[-1].content and '"sure": true' in results(model)[-1].content


@pytest.mark.parametrize("era", ERAS)
async def test_a_yes_answers_one_question_and_not_the_next_of_the_same_words(
    open_harness: OpenHarness, era: str, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    model = ScriptedModel(*of_two("ask_twice"))
    harness = await opened(open_harness, model, era, env={"CALLS": str(log)})
    assert "Are you sure?" in (await harness.door.chat("k", [ASK])).said
    assert "Are you sure?" in (await harness.door.chat("k", says("yes"))).said
    assert len(model.requests) == 1
    assert (await harness.door.chat("k", says("no"))).said == "Done."
    assert '"second": {"sure": false}' in results(model)[-1].content
    if era == "old":
        first = ["first cancel"]
        second = ["first accept", "second cancel"]
        assert log.read_text().splitlines() == [*first, *second, "first accept", "second accept"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_form_is_answered_over_the_api_and_its_content_is_checked(
    open_harness: OpenHarness, era: str
) -> None:
    model = ScriptedModel(*of_two("ask_many"))
    harness = await opened(open_harness, model, era)
    question = (await harness.door.chat("k", [ASK])).said
    assert "age: a whole number" in question and "may be left out" in question
    (approval,) = await approvals(harness, "k")
    assert [field["name"] for field in approval["question"]["fields"]] == ["name", "age", "mail"]
    assert "state" not in approval["question"]
    for body, why in (
        ({"decision": "once"}, "name is missing"),
        ({"decision": "once", "content": {"name": "Ann", "age": "old"}}, "age must be a whole number"),
        ({"decision": "once", "content": {"name": "Ann", "age": 9, "shoe": 1}}, "there is no field 'shoe'"),
        ({"decision": "session", "content": {"name": "Ann", "age": 9}}, "only once"),
    ):
        refused = await decide(harness, approval, "k", body)
        assert refused.status == 400 and why in refused.json["error"]["message"]
    good = {"decision": "once", "content": {"name": "Ann", "age": 9}}
    decided = await decide(harness, approval, "k", good)
    assert decided.status == 200 and decided.json["content"] == good["content"]
    assert (await decide(harness, approval, "k", good)).status == 200
    other = {"decision": "once", "content": {"name": "Bob", "age": 9}}
    assert (await decide(harness, approval, "k", other)).status == 409
    assert (await harness.door.chat("k", says("go on"))).said == "Done."
    assert '"name": "Ann", "age": 9' in results(model)[-1].content


@pytest.mark.parametrize("era", ERAS)
async def test_what_must_not_be_asked_is_refused_and_the_model_is_told(
    open_harness: OpenHarness, era: str
) -> None:
    cases = {
        "ask_secret": "secret ('password')",
        "ask_nested": "'deep'",
        "ask_evil_link": "not a plain one of https",
    }
    model = ScriptedModel(*(say for tool in cases for say in (ask(tool), "Done.")))
    harness = await opened(open_harness, model, era)
    for tool, why in cases.items():
        assert (await harness.door.chat(tool, [ASK])).said == "Done."
        (result,) = results(model)
        assert result.is_error and why in result.content and "nobody was asked" in result.content


@pytest.mark.parametrize("era", ERAS)
async def test_a_page_is_shown_and_the_call_goes_on_once_the_person_comes_back(
    open_harness: OpenHarness, era: str
) -> None:
    model = ScriptedModel(*of_two("ask_link"))
    harness = await opened(open_harness, model, era)
    question = (await harness.door.chat("k", [ASK])).said
    assert "\nhttps://example.org/in?n=1\n" in question and "open this page yourself" in question
    assert (await harness.door.chat("k", says("yes"))).said == "Done."
    assert "heard" in results(model)[-1].content


async def test_only_the_participant_who_is_asked_answers_in_words(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ask("ask_back"), "Not yours.", ask("ask_back"), "Done.")
    harness = await opened(open_harness, model, "new")
    await harness.door.chat("k", [{**ASK, "name": "ann"}])
    assert (await harness.door.chat("k", says("Ulm", "bob"))).said == "Not yours."
    assert "Which city?" in (await harness.door.chat("k", says("Again.", "ann"))).said
    assert (await harness.door.chat("k", says("Ulm", "ann"))).said == "Done."
    assert "Ulm" in results(model)[-1].content


async def test_where_nobody_can_be_asked_the_model_is_told(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ask("ask_back"), "Done.")
    harness = await opened(open_harness, model, "new")
    reply = await harness.door.chat("k", [ASK], store=False)
    assert reply.said == "Done."
    (result,) = results(model)
    assert result.is_error and "nobody to ask" in result.content


async def test_a_question_stands_after_a_restart_and_its_answer_counts(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ask("ask_two"), "Done.")
    harness = await opened(open_harness, model, "new")
    await harness.door.chat("k", [ASK])
    await harness.close()
    harness = await connected(
        await open_harness(
            model, agent=WIDE, mcp=table("new", trust_annotations=False), policy=ALLOWED, data=harness.data
        )
    )
    assert "Are you sure?" in (await harness.door.chat("k", says("Ulm"))).said
    assert (await harness.door.chat("k", says("yes"))).said == "Done."
    assert re.search(r"Ulm.*sure", results(model)[-1].content)


async def test_a_question_and_its_state_are_of_one_session(open_harness: OpenHarness) -> None:
    model = ScriptedModel(ask("ask_back"), "Nothing is asked here.")
    harness = await opened(open_harness, model, "new")
    await harness.door.chat("ann", [ASK])
    (approval,) = await approvals(harness, "ann")
    assert (await harness.door.chat("bob", says("Ulm"))).said == "Nothing is asked here."
    body = {"decision": "once", "content": {"city": "Ulm"}}
    assert (await decide(harness, approval, "bob", body)).status == 404


@pytest.mark.parametrize("era", ERAS)
async def test_a_form_is_filled_in_on_the_page_behind_the_link(open_harness: OpenHarness, era: str) -> None:
    model = ScriptedModel(*of_two("ask_many"))
    harness = await opened(open_harness, model, era)
    await harness.door.chat("k", [ASK])
    (approval,) = await approvals(harness, "k")
    path = approval["link"].removeprefix("http://localhost:8900")
    kind = {"content-type": "application/x-www-form-urlencoded", "origin": "http://localhost:8900"}

    async def send(body: str) -> Exchange:
        return await harness.door.call("POST", path, body=body.encode(), headers=kind)

    page = (await harness.door.call("GET", path)).text
    assert 'name="f0" type="text"' in page and 'name="f1" type="number"' in page
    wrong = await send("f0=%C3%84nn&f1=old&f2=&decision=once")
    assert wrong.status == 422 and "age must be a whole number" in wrong.text and 'value="Änn"' in wrong.text
    assert (await approvals(harness, "k"))[0]["state"] == "pending"
    done = await send("f0=%C3%84nn&f1=9&f2=&decision=once")
    assert done.status == 200 and "{&quot;name&quot;: &quot;Änn&quot;, &quot;age&quot;: 9}" in done.text
    assert (await send("f0=Bob&f1=9&decision=once")).status == 409
    assert (await harness.door.chat("k", says("go on"))).said == "Done."
    assert '"name": "\\u00c4nn", "age": 9' in results(model)[-1].content


async def test_what_is_not_answered_on_the_page_is_not_sent(open_harness: OpenHarness) -> None:
    model = ScriptedModel(*of_two("ask_many"))
    harness = await opened(open_harness, model, ERAS[0])
    await harness.door.chat("k", [ASK])
    (approval,) = await approvals(harness, "k")
    path = approval["link"].removeprefix("http://localhost:8900")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    body = b"f0=Ann&f1=9&decision=deny"
    assert (await harness.door.call("POST", path, body=body, headers=kind)).status == 200
    assert (await approvals(harness, "k"))[0]["state"] == "denied"
    await harness.door.chat("k", says("go on"))
    assert "does not answer the question" in results(model)[-1].content


@pytest.mark.parametrize(
    ("protocol", "said"),
    [("2025-11-25", "The MCP server fake asks you something before"), ("newest", "Done.")],
)
async def test_the_settings_have_a_server_spoken_to_by_the_older_protocol_where_it_asks_by_that_only(
    open_harness: OpenHarness, protocol: str, said: str
) -> None:
    model = ScriptedModel(*of_two("ask_city"))
    tables = {
        "servers": {
            "fake": {
                "command": sys.executable,
                "args": [str(Path(mcp_sdk_server.__file__))],
                "sessions": ["*"],
                "protocol": protocol,
            }
        }
    }
    harness = await connected(await open_harness(model, agent=WIDE, mcp=tables, policy=ALLOWED))
    assert (await harness.door.chat("k", [ASK])).said.startswith(said)
    if protocol == "newest":
        assert "no back-channel" in results(model)[-1].content
        return
    assert (await harness.door.chat("k", says("Ulm"))).said == "Done."
    assert "Ulm" in results(model)[-1].content
