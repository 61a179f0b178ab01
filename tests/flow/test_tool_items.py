"""Calls of the server's own tools as items of a response, for clients that ask for them."""

import asyncio
from typing import Any

import msgspec
from openai import AsyncOpenAI

from nanobot.core.message import Message, ToolCall, Usage
from nanobot.core.tool import Tool, ToolContext
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import BOUND_S
from tests.flow.test_responses_sdk import checked, connected, events_of, no_proxy, numbers
from tests.flow.test_responses_sdk import said as messages_of
from tests.harness import OpenHarness

__all__ = ("no_proxy",)
TOOLS = {"x-events": "tools"}
ASK = {"role": "user", "content": "6*7?"}
TWO_CALLS = Say(
    (),
    Message(
        "assistant",
        (
            ToolCall("good", "calculate", '{"expression": "6*7"}'),
            ToolCall("bad", "calculate", '{"expression": "6*"}'),
        ),
        "tool_calls",
        Usage(1, 1),
    ),
)


class Nothing(msgspec.Struct, frozen=True):
    """No arguments."""


def asking(client: AsyncOpenAI, **fields: Any) -> Any:
    return client.responses.create(**{"model": "nanobot", "input": [ASK], "extra_headers": TOOLS, **fields})


async def test_a_call_is_an_item_with_its_arguments_and_what_came_of_it(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}', text="Let me see."), TWO_CALLS, "42")
    async with connected(await open_harness(model)) as client:
        made = checked(await asking(client))
        before, first, good, bad, after = made.output
        assert (before.content[0].text, after.content[0].text) == ("Let me see.", "42")
        assert [item.type for item in (first, good, bad)] == ["mcp_call"] * 3
        assert (first.name, first.server_label) == ("calculate", "nanobot")
        assert (first.arguments, first.output, first.status) == ('{"expression": "6*7"}', "42", "completed")
        assert (good.status, good.output, good.error) == ("completed", "42", None)
        assert (bad.status, bad.output, bad.error.type) == ("failed", None, "mcp_tool_execution_error")
        assert bad.error.content[0]["text"]
        assert made.output_text == "Let me see.42"
        # Wherever the response is asked for again, it is the same.
        kept = checked(await client.responses.retrieve(made.id))
        assert kept.model_dump() == made.model_dump()


async def test_nobody_is_shown_calls_who_has_not_asked_for_them(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}'), "42")
    async with connected(await open_harness(model)) as client:
        made = checked(await asking(client, extra_headers={}))
        assert [item.type for item in made.output] == ["message"]
        kept = await client.responses.retrieve(made.id, extra_headers=TOOLS)
        assert kept.model_dump() == made.model_dump()
        assert "events" not in made.model_dump()


async def test_a_stream_tells_what_runs_and_is_taken_up_again_wherever_it_broke(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}', text="Hm."), TWO_CALLS, "42")
    async with connected(await open_harness(model)) as client:
        events = await events_of(await asking(client, stream=True))
        assert numbers(events) == list(range(len(events)))
        final = events[-1].response
        told: dict[str, list[str]] = {}
        for event in events:
            id_ = event.item.id if hasattr(event, "item") else getattr(event, "item_id", "")
            told.setdefault(id_, []).append(event.type.removeprefix("response."))
        _, first, good, bad, _ = (item.id for item in final.output)
        begun = ["output_item.added", "mcp_call.in_progress"]
        begun += ["mcp_call_arguments.delta", "mcp_call_arguments.done"]
        assert told[first] == told[good] == [*begun, "mcp_call.completed", "output_item.done"]
        assert told[bad] == [*begun, "mcp_call.failed", "output_item.done"]
        done = {event.item.id: event for event in events if event.type == "response.output_item.done"}
        assert [done[item.id].item for item in final.output] == final.output
        assert [done[item.id].output_index for item in final.output] == [0, 1, 2, 3, 4]
        for heard in range(len(events) - 1):
            rest = await client.responses.retrieve(final.id, stream=True, starting_after=heard)
            assert [event.model_dump() async for event in rest] == [
                event.model_dump() for event in events[heard + 1 :]
            ]


async def test_calls_that_are_too_many_are_items_that_failed_live_and_later(
    open_harness: OpenHarness,
) -> None:
    calls = tuple(ToolCall(f"c{number}", "calculate", '{"expression": "6*7"}') for number in range(4))
    model = ScriptedModel(Say((), Message("assistant", calls, "tool_calls", Usage(1, 1))), "42")
    async with connected(await open_harness(model, agent={"max_calls_per_step": 3})) as client:
        events = await events_of(await asking(client, stream=True))
        final = events[-1].response
        statuses = [item.status for item in final.output if item.type == "mcp_call"]
        assert statuses == ["completed"] * 3 + ["failed"]
        assert checked(await client.responses.retrieve(final.id)).model_dump() == final.model_dump()
        for heard in range(len(events) - 1):
            rest = await client.responses.retrieve(final.id, stream=True, starting_after=heard)
            assert [event.model_dump() async for event in rest] == [
                event.model_dump() for event in events[heard + 1 :]
            ]


async def test_the_stream_helper_adds_the_calls_up(open_harness: OpenHarness) -> None:
    async with connected(await open_harness(ScriptedModel(TWO_CALLS, "42"))) as client:
        async with client.responses.stream(model="nanobot", input="6*7?", extra_headers=TOOLS) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_response()
        kept = await client.responses.retrieve(final.id)
        assert [item.id for item in final.output] == [item.id for item in kept.output]
        assert [item.type for item in final.output] == ["mcp_call", "mcp_call", "message"]


async def test_a_client_that_keeps_the_history_sends_the_items_back(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        call("calculate", '{"expression": "6*7"}', text="Let me see."), "42", call("calculate"), "Bye"
    )
    async with connected(await open_harness(model)) as client:
        history: list[Any] = [ASK]
        made = await asking(client, conversation="k", input=history)
        for question in ("And now?", "And then?"):
            history += [item.model_dump(exclude_none=True) for item in made.output]
            history.append({"role": "user", "content": question})
            raw = await client.responses.with_raw_response.create(
                model="nanobot", conversation="k", input=history, extra_headers=TOOLS
            )
            made = raw.parse()
            assert "x-history" not in raw.headers
            assert "x-items-left-out" not in raw.headers
        # The transcript has the calls and their results, once.
        seen = model.requests[-1].messages
        assert [message.text for message in seen if message.role == "user"] == [
            "6*7?",
            "And now?",
            "And then?",
        ]
        results = [result.content for message in seen for result in message.tool_results]
        assert results[0] == "42"
        assert len(results) == 2


async def test_an_item_of_another_conversation_is_named_where_the_model_is_not_shown_it(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}'), "42")
    async with connected(await open_harness(model)) as client:
        made = await asking(client, conversation="k")
        history = [ASK, *(item.model_dump(exclude_none=True) for item in made.output), ASK]
        raw = await client.responses.with_raw_response.create(
            model="nanobot", conversation="other", input=history
        )
        assert raw.headers["x-history"] == "imported"
        assert raw.headers["x-items-left-out"] == "mcp_call"


async def test_a_turn_on_the_clients_list_alone_shows_the_model_the_calls_in_it(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel(TWO_CALLS, "42")
    async with connected(await open_harness(model)) as client:
        made = await asking(client, store=False)
        history = [ASK, *(item.model_dump(exclude_none=True) for item in made.output), ASK]
        raw = await client.responses.with_raw_response.create(model="nanobot", input=history, store=False)
        assert "x-items-left-out" not in raw.headers
        seen = model.requests[-1].messages
        assert [call.name for message in seen for call in message.tool_calls] == ["calculate"] * 2
        good, bad = (result for message in seen for result in message.tool_results)
        assert (good.content, good.is_error, bad.is_error) == ("42", False, True)


async def test_an_item_may_be_referred_to_and_says_nothing(open_harness: OpenHarness) -> None:
    model = ScriptedModel(call("calculate", '{"expression": "6*7"}'), "42")
    async with connected(await open_harness(model)) as client:
        made = await asking(client, conversation="k")
        references = [{"type": "item_reference", "id": item.id} for item in made.output]
        raw = await client.responses.with_raw_response.create(
            model="nanobot", conversation="k", input=[ASK, *references, {"role": "user", "content": "Again"}]
        )
        assert "x-history" not in raw.headers
        assert messages_of(model)[-1] == "Again"


async def test_a_call_that_is_cut_off_with_its_turn_has_failed(
    open_harness: OpenHarness,
) -> None:
    started, never = asyncio.Event(), asyncio.Event()

    async def wait(_: Nothing, context: ToolContext) -> str:
        started.set()
        await never.wait()
        return "never"

    tool = Tool("wait", "Wait.", Nothing, wait)
    harness = await open_harness(ScriptedModel(call("wait", "{}")), tools=[tool])
    async with connected(harness) as client:
        stream = await asking(client, stream=True)
        first = await anext(aiter(stream))
        await asyncio.wait_for(started.wait(), BOUND_S)
        running = await client.responses.retrieve(first.response.id)
        assert [item.status for item in running.output] == ["in_progress"]
        stopped = await client.responses.cancel(first.response.id)
        assert [item.status for item in stopped.output] == ["failed"]
        rest = await events_of(stream)
        assert [event.type for event in rest[-2:]] == ["response.output_item.done", "response.failed"]
        assert "outcome is unknown" in rest[-2].item.error.content[0]["text"]
        assert rest[-1].response.output == stopped.output
