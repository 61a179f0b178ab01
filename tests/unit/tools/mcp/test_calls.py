"""A call of an MCP server ends in time, fairly, and is made again only where that may be."""

import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest

from nanobot.core.errors import ToolError
from nanobot.core.tool import ToolContext
from nanobot.tools.mcp.calls import ServerCalls
from nanobot.tools.mcp.messages import Answered, CallTool, NotDone, Order, ServerEntry, StdioServer
from nanobot.tools.mcp.settings import McpSettings

BROKEN = NotDone(0, "it broke", may_have_run=True)
STATUS = NotDone(0, "the canary of why", may_have_run=True, status=502)
GONE = NotDone(0, "the canary of why")
AGAIN = NotDone(0, "it has forgotten us", again=True)


class Process:
    """Gives its answers one after another, and the last one for ever after. `hold`: once that is set."""

    def __init__(self, *answers: Answered | NotDone, hold: asyncio.Event | None = None) -> None:
        self.answers = list(answers) or [Answered(0, "ok")]
        self.hold = hold
        self.orders: list[Order] = []

    async def ask(self, order: Callable[[int], Order]) -> Answered | NotDone:
        self.orders.append(order(len(self.orders)))
        if self.hold is not None:
            await self.hold.wait()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def calls(process: Process, **more: object) -> ServerCalls:
    settings = McpSettings(ServerEntry("fake", StdioServer("fake")), ("*",))
    return ServerCalls(msgspec.structs.replace(settings, **more), process, random.Random(0))


def of(session_key: str) -> ToolContext:
    return ToolContext("t", session_key, "c")


def order(id_: int, instance: str) -> Order:
    return CallTool(id_, "fake", instance, "tool", msgspec.Raw(b"{}"))


@pytest.mark.parametrize(
    ("answer", "is_repeatable", "asked", "said"),
    [
        (BROKEN, False, 1, "whether it was carried out is unknown"),
        (BROKEN, True, 2, "nothing was done"),
        (STATUS, False, 1, "answered with the status 502; whether it was carried out is unknown"),
        (STATUS, True, 2, "nothing was done"),
        (GONE, False, 1, "nothing was done"),
        (GONE, True, 1, "nothing was done"),
        (AGAIN, False, 2, "nothing was done"),
    ],
)
async def test_a_call_is_made_again_only_where_that_does_no_harm(
    answer: NotDone, is_repeatable: bool, asked: int, said: str
) -> None:
    process = Process(answer)
    with pytest.raises(ToolError) as raised:
        await calls(process).ask(of("k"), order, is_repeatable=is_repeatable)
    assert len(process.orders) == asked
    assert said in raised.value.message and "canary" not in raised.value.message


async def test_the_second_answer_counts() -> None:
    process = Process(AGAIN, Answered(0, "kumquat"))
    answer = await calls(process).ask(of("k"), order, is_repeatable=False)
    assert isinstance(answer, Answered)
    assert answer.text == "kumquat"


async def test_one_session_leaves_half_of_the_calls_to_others() -> None:
    hold = asyncio.Event()
    process = Process(hold=hold)
    server = calls(process, max_calls=4)
    tasks = [asyncio.create_task(server.ask(of("ann"), order, is_repeatable=True)) for _ in range(6)]
    tasks += [asyncio.create_task(server.ask(of("bob"), order, is_repeatable=True)) for _ in range(2)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(process.orders) == 4
    hold.set()
    assert len(await asyncio.gather(*tasks)) == 8


async def test_a_call_that_got_no_turn_in_time_was_not_made() -> None:
    process = Process(hold=asyncio.Event())
    server = calls(process, max_calls=1, timeout_s=0.05)
    both = await asyncio.gather(
        *(server.ask(of(key), order, is_repeatable=False) for key in ("ann", "bob")), return_exceptions=True
    )
    assert len(process.orders) == 1
    assert "is unknown" in str(both[0]) and "busy with other calls, nothing was done" in str(both[1])


async def test_an_instance_says_nothing_of_its_session_and_each_has_its_own() -> None:
    process = Process()
    server = calls(process, per_session=True)
    for key in ("ann", "bob", "ann"):
        await server.ask(of(key), order, is_repeatable=True)
    first, second, third = (each.instance for each in process.orders)
    assert first == third != second and "ann" not in first
    await calls(process).ask(of("ann"), order, is_repeatable=True)
    assert process.orders[-1].instance == ""
