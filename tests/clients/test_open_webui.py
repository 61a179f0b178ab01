"""Open WebUI: what it sent in a chat in a browser, with the recipe of docs/use/open-webui.md, is sent again.

It is too heavy to be run here. recorded/open_webui.json has its requests in order (of the 36 tools that it
offers, the first two); the answers in them are those of the rule-based model.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.clients.recipes import recipe
from tests.clients.serving import Provider, rule_based_server

STOPPED = "a third message is sent, and its answer stopped"
CONTINUED = "the answer is continued"
TASKS = ("title", "tags", "follow-ups")


class Step(msgspec.Struct, frozen=True):
    """A request, and what the user did."""

    step: str
    session_key: str
    body: dict[str, Any]


class Seen(msgspec.Struct, frozen=True):
    """What came of a step: the status, `x-history`, the messages that the model saw after its prompt, and the
    names of its tools.
    """

    status: int
    history: str | None
    messages: list[dict[str, Any]]
    tools: list[str]


def recording() -> list[Step]:
    text = (Path(__file__).parent / "recorded" / "open_webui.json").read_bytes()
    return msgspec.convert(msgspec.json.decode(text)["steps"], list[Step])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Provider]]:
    settings = recipe("open-webui", "toml")
    with rule_based_server(tmp_path_factory.mktemp("served"), settings=settings) as both:
        yield both


@pytest.fixture(scope="module")
def replayed(served: tuple[str, Provider]) -> list[tuple[Step, Seen]]:
    """The whole chat, step by step."""
    address, provider = served
    with httpx.Client(base_url=address, timeout=60) as client:
        return [(step, sent(client, provider, step)) for step in recording()]


def sent(client: httpx.Client, provider: Provider, step: Step) -> Seen:
    provider.requests.clear()
    headers = {"x-session-key": step.session_key}
    with client.stream("POST", "/v1/chat/completions", json=step.body, headers=headers) as answer:
        for text in answer.iter_text():
            if step.step == STOPPED and "two" in text:
                break
    body = provider.requests[0].json if provider.requests else {"messages": []}
    tools = [tool["function"]["name"] for tool in body.get("tools", [])]
    return Seen(answer.status_code, answer.headers.get("x-history"), body["messages"][1:], tools)


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """Return roles and texts, without the note on the date that the agent adds to the last message."""
    return [
        f"{message['role']}: {message['content'].split(chr(10) * 2 + 'Today is ')[0].strip()}"
        for message in messages
    ]


def test_each_step_is_answered(replayed: list[tuple[Step, Seen]]) -> None:
    assert {seen.status for _, seen in replayed} == {200}


def test_the_model_sees_the_chat_as_the_page_shows_it(replayed: list[tuple[Step, Seen]]) -> None:
    for step, seen in replayed:
        shown = texts(seen.messages)
        if step.step == CONTINUED:
            # The agent asks for the rest.
            assert shown.pop().startswith("user: ")
        assert shown == texts(step.body["messages"]), step.step


def test_edits_and_regenerated_answers_rewind(replayed: list[tuple[Step, Seen]]) -> None:
    assert {step.step: seen.history for step, seen in replayed if seen.history == "rewound"} == {
        "the first message is edited": "rewound",
        "the answer is regenerated": "rewound",
        "the second message is edited": "rewound",
    }


def test_titles_tags_and_follow_ups_leave_no_trace(replayed: list[tuple[Step, Seen]], address: str) -> None:
    tasks = {step.session_key for step, _ in replayed if step.step in TASKS}
    (chat,) = {step.session_key for step, _ in replayed} - tasks
    for key in tasks:
        assert httpx.get(f"{address}/v1/sessions/{key}/messages").json().get("data", []) == []
    assert "### Task" not in json.dumps(httpx.get(f"{address}/v1/sessions/{chat}/messages").json())


def test_titles_tags_and_follow_ups_are_asked_for_word_for_word_and_without_our_tools(
    replayed: list[tuple[Step, Seen]],
) -> None:
    for step, seen in replayed:
        if step.step in TASKS:
            assert seen.messages == step.body["messages"]
            assert seen.tools == []
        else:
            assert {"calculate", "current_time"} <= set(seen.tools)


def test_what_was_edited_away_is_kept_as_a_branch(replayed: list[tuple[Step, Seen]], address: str) -> None:
    (chat,) = {step.session_key for step, _ in replayed if step.step not in TASKS}
    branches = httpx.get(f"{address}/v1/sessions/{chat}/branches").json()["data"]
    kept = [
        httpx.get(f"{address}/v1/sessions/{chat}/messages", params={"branch": branch["id"]}).text
        for branch in branches
    ]
    assert any("My name is Zed" in text for text in kept)
    assert any("Count slowly" in text for text in kept)
