"""Turns of hundreds of steps: goal and plan stay, steps are summarised, and what they found is there."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import ModelUnavailable
from nanobot.core.model import ModelRequest
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.flow.test_compaction import is_for_summary
from tests.harness import OpenHarness

GOAL = "Look into all the boxes in the attic and tell me the code of the vault."
FACT = "The vault code is K7-QX."
WINDOW = {"window_tokens": 8_192, "max_steps": 400}


class BoxArguments(msgspec.Struct, frozen=True):
    box: int


def boxes(seen: list[int], long: int = 0) -> Tool:
    """Return the tool that looks into boxes; the third has the fact."""

    async def run(arguments: BoxArguments, context: ToolContext) -> str:
        seen.append(arguments.box)
        things = "\n".join(f"thing {arguments.box}-{number} of no use" for number in range(40 + long))
        return f"{FACT}\n{things}" if arguments.box == 3 else things

    return Tool("look", "Look into a box.", BoxArguments, run, demanding=True)


def is_for_steps(request: ModelRequest) -> bool:
    return request.system.startswith("Below is the beginning of your own work")


def text_of(request: ModelRequest) -> str:
    return msgspec.json.encode(request.messages).decode()


class Worker:
    """A script that looks into one box after another, and at the end says what it knows of the code.

    `summary` writes what stands for steps. `searches`: it had to look for the fact.
    """

    def __init__(self, steps: int, summary: Callable[[str], str | Say | ModelUnavailable]) -> None:
        self.steps = steps
        self.summary = summary
        self.done = 0
        self.summaries: list[ModelRequest] = []
        self.asked: list[ModelRequest] = []
        self.searches = False

    def __call__(self, request: ModelRequest) -> Any:
        if is_for_steps(request):
            self.summaries.append(request)
            return self.summary(request.messages[0].text)
        if is_for_summary(request):
            return "The attic was looked at."
        self.asked.append(request)
        if self.done < self.steps:
            self.done += 1
            return call("look", f'{{"box": {self.done}}}', f"box{self.done}")
        if FACT not in text_of(request) and not self.searches:
            self.searches = True
            return call("read_result", '{"find": "vault code"}', "search")
        return "It is K7-QX." if FACT in text_of(request) else "I do not know."


def keeping(text: str) -> str:
    """Write the summary that a good model does: with the fact, where it was there."""
    return f"Boxes were looked into. {FACT}" if FACT in text else "Boxes were looked into."


def forgetting(text: str) -> str:
    return "Boxes were looked into, nothing worth a word."


def failing(text: str) -> ModelUnavailable:
    return ModelUnavailable("down")


@pytest.mark.parametrize("summary", [keeping, forgetting, failing])
async def test_a_turn_of_300_steps_knows_at_its_end_what_it_found_in_the_third(
    open_harness: OpenHarness, summary: Callable[[str], Any]
) -> None:
    seen: list[int] = []
    worker = Worker(300, summary)
    harness = await open_harness(ScriptedModel(worker), tools=[boxes(seen)], agent=WINDOW)
    asking = harness.door.chatting("k", GOAL)
    assert asking.task is not None
    await asyncio.wait_for(asking.task, 6 * BOUND_S)
    assert (await asking.done()).said == "It is K7-QX."
    assert seen == list(range(1, 301))
    assert len(worker.summaries) >= 4
    # A summary that has it is enough: nothing needs be read again.
    assert worker.searches == (summary is not keeping)
    for request in worker.asked:
        (goal,) = [message for message in request.messages if message.text == GOAL]
        assert goal.role == "user"
    sizes = [len(text_of(request)) for request in worker.asked]
    assert max(sizes) < 4 * 8_192


async def test_the_plan_is_at_the_end_of_the_prompt_all_the_time(open_harness: OpenHarness) -> None:
    worker = Worker(120, keeping)

    def script(request: ModelRequest) -> Any:
        if not worker.asked and not is_for_steps(request):
            worker.asked.append(request)
            return call(
                "update_plan", '{"goal": "The code", "steps": ["[>] all boxes", "[ ] tell it"]}', "plan"
            )
        return worker(request)

    harness = await open_harness(ScriptedModel(script), tools=[boxes([])], agent=WINDOW)
    assert (await harness.door.chat("k", GOAL)).said == "It is K7-QX."
    assert worker.summaries
    assert all("[>] all boxes" in text_of(request) for request in worker.asked[1:])
    assert '"name":"update_plan"' not in text_of(worker.asked[-1])


async def test_older_results_are_shortened_before_anything_is_summarised(open_harness: OpenHarness) -> None:
    worker = Worker(8, keeping)
    harness = await open_harness(ScriptedModel(worker), tools=[boxes([], long=100)], agent=WINDOW)
    await harness.door.chat("k", GOAL)
    contents = [result.content for message in worker.asked[7].messages for result in message.tool_results]
    assert "are left out here: call read_result with result" in contents[0]
    assert not worker.summaries


async def test_what_was_sent_stays_the_beginning_of_what_is_sent_until_something_is_cut(
    open_harness: OpenHarness,
) -> None:
    worker = Worker(150, keeping)
    harness = await open_harness(ScriptedModel(worker), tools=[boxes([])], agent=WINDOW)
    await harness.door.chat("k", GOAL)
    changed = sum(
        1
        for before, after in zip(worker.asked, worker.asked[1:], strict=False)
        if after.messages[: len(before.messages)] != before.messages
    )
    assert changed <= 40


async def test_the_turn_goes_on_while_its_steps_are_summarised(open_harness: OpenHarness) -> None:
    release = asyncio.Event()
    worker = Worker(60, lambda text: Say((keeping(text),), before=release))
    asked_meanwhile = 0

    def script(request: ModelRequest) -> Any:
        nonlocal asked_meanwhile
        if worker.summaries and not release.is_set() and not is_for_steps(request):
            asked_meanwhile += 1
            if asked_meanwhile == 3:
                release.set()
        return worker(request)

    harness = await open_harness(ScriptedModel(script), tools=[boxes([])], agent=WINDOW)
    assert (await harness.door.chat("k", GOAL)).said == "It is K7-QX."
    assert asked_meanwhile == 3


async def test_after_a_restart_in_the_middle_the_summary_still_stands(
    open_harness: OpenHarness, tmp_path: Path
) -> None:
    seen: list[int] = []
    stop, never = asyncio.Event(), asyncio.Event()
    worker = Worker(120, keeping)

    def script(request: ModelRequest) -> Any:
        if worker.done == 80 and not stop.is_set() and not is_for_steps(request):
            stop.set()
            return Say(("never",), before=never)
        return worker(request)

    model = ScriptedModel(script)
    harness = await open_harness(model, tools=[boxes(seen)], agent=WINDOW, data=tmp_path / "data")
    asking = harness.door.chatting("k", GOAL, headers={"idempotency-key": "one"})
    await asyncio.wait_for(stop.wait(), 30)
    assert worker.summaries
    await harness.close()
    await asking.done()
    asked = len(worker.asked)
    again = await open_harness(model, tools=[boxes(seen)], agent=WINDOW, data=tmp_path / "data")
    answer = await again.door.chat("k", GOAL, headers={"idempotency-key": "one"})
    assert answer.said == "It is K7-QX."
    assert seen == list(range(1, 121))
    first = text_of(worker.asked[asked])
    assert "This is a summary of the first" in first and GOAL in first and FACT in first
    assert len(first) < 4 * 8_192


async def test_what_summaries_cost_is_counted_to_the_session(open_harness: OpenHarness) -> None:
    worker = Worker(60, keeping)
    harness = await open_harness(ScriptedModel(worker), tools=[boxes([])], agent=WINDOW)
    answer = await harness.door.chat("k", GOAL)
    used = (await harness.door.get("/v1/sessions/k/usage")).json["totals"]
    assert worker.summaries
    # Each answer costs ten.
    assert answer.json["usage"]["prompt_tokens"] == 10 * len(worker.asked)
    assert used["prompt_tokens"] == 10 * (len(worker.asked) + len(worker.summaries))
