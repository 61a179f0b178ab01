"""Front ends' requests beside a conversation: what the engine is asked, and in which form it answers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from nanobot.context import prompt
from nanobot.core.message import user
from nanobot.core.persona import Persona
from nanobot.core.turn import OutputFormat, Sampling
from nanobot.models.local.side_task import grammar_of
from tests.unit.models.local.stand_in import SYSTEM, Machine, machine

TASK = (
    'Generate a title in 2-4 words.\nJSON format: { "title": "your title" }\n'
    "<chat_history>\nUSER: What did I just ask you?\nASSISTANT: Nothing.\n</chat_history>"
)


@pytest_asyncio.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    async with machine(tmp_path, monkeypatch) as standing:
        yield standing


@pytest.mark.asyncio
async def test_a_side_task_is_asked_once_without_the_examples(small: Machine) -> None:
    small.writes('{"title": "A', ' question"}')
    shown, message = await small.ask(user(TASK), tools=(), is_side_task=True)
    assert shown == message.text == '{"title": "A question"}'
    (asked,) = small.asked
    assert "Example:" not in small.prompts[0] and SYSTEM not in small.prompts[0]
    assert small.prompts[0].endswith(f"<user>\n{TASK}\n")
    assert len(small.prompts[0]) < len(TASK) + 200
    assert asked.json["grammar"] == grammar_of(TASK)
    assert asked.json["max_tokens"] == 512


@pytest.mark.asyncio
async def test_the_operators_and_the_clients_instructions_and_limits_hold_for_it(small: Machine) -> None:
    system = prompt.system("Use capitals.", Persona(name="Ada", instructions="Be polite."))
    await small.ask(
        user(TASK), system=system, is_side_task=True, sampling=Sampling(temperature=0.7, max_output_tokens=40)
    )
    (asked,) = small.asked
    assert "Be polite.\n\nUse capitals." in small.prompts[0] and "Ada" not in small.prompts[0]
    assert asked.json["max_tokens"] == 40 and asked.json["temperature"] == 0.7


@pytest.mark.asyncio
async def test_a_format_is_kept_to_instead_of_the_form_in_the_text(small: Machine) -> None:
    await small.ask(user(TASK), is_side_task=True, format=OutputFormat("json_object"))
    assert small.asked[0].json["response_format"] == {"type": "json_object"}
    assert "grammar" not in small.asked[0].json


@pytest.mark.asyncio
async def test_a_side_task_takes_no_conversations_slot_twice(small: Machine) -> None:
    for session in "abcd":
        await small.ask(user("hi"), session=session)
    for session in ("a title", "a tag", "a query"):
        await small.ask(user(TASK), session=session, is_side_task=True)
    numbers = [asked.json["id_slot"] for asked in small.asked]
    assert sorted(numbers[:4]) == [0, 1, 2, 3]
    assert len(set(numbers[4:])) == 1


def test_the_answer_is_like_the_object_that_the_task_shows() -> None:
    root = grammar_of('Return {"follow_ups": ["one", "two"], "n": 1, "sure": true, "why": null}. {"x": 1}')
    assert root.splitlines()[0] == (
        r'root ::= "{" "\"follow_ups\": " texts ", " "\"n\": " number ", " "\"sure\": " truth ", "'
        r' "\"why\": " text "}"'
    )


@pytest.mark.parametrize("text", ["Return a title.", "Return {title}.", "{}", "{" * 5_000, '{"a": ["b", …]}'])
def test_without_such_an_object_the_answer_is_free(text: str) -> None:
    assert grammar_of(text) == ""


def test_names_are_written_as_they_are() -> None:
    shown = json.dumps({'a "b"\n': "x", "标题": "y"}, ensure_ascii=False)
    assert r'"\"a \\\"b\\\"\\n\": " text' in grammar_of(shown)
    assert r'"\"标题\": " text' in grammar_of(shown)
