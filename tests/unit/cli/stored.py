"""Conversations in a store, made without an engine."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

from nanobot.core.dispatch import Claim, Command
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Image, Message, Text, ToolCall, ToolResult, user
from nanobot.core.store import Store
from nanobot.core.turn import Identity, Turn
from nanobot.stores.sqlite.store import open_store
from nanobot.testing import FakeClock

CALL = ToolCall("call_1", "calculate", '{"expression":"6*7"}')


async def tell(
    store: Store,
    key: str,
    number: int,
    asked: Message,
    *facts: MessageAdded | ToolStarted | ToolFinished,
) -> None:
    """Run one turn that adds `facts` and ends done."""
    turn = Turn(f"turn_{number}", key, (asked,), "api")
    await store.admit(turn, Identity(number.to_bytes(32)))
    await store.append(Claim(turn, 1), (*facts, TurnEnded("done")))


async def _fill(directory: Path) -> None:
    clock = FakeClock()
    store = await open_store(directory, clock)
    orders = cast("AsyncGenerator[Command, None]", store.orders(8))
    first = asyncio.ensure_future(anext(orders))
    picture = Message("user", (Text("what is this?"), Image("data:image/png;base64,AAAA", "low")))
    answers = {
        "wx:dm:ann": (
            user("hello \x1b[2J"),
            (MessageAdded(Message("assistant", (Text("hi\x07"),), "stop")),),
        ),
        "wx:dm:bob": (
            picture,
            (
                MessageAdded(Message("assistant", (Text("Let me see."), CALL), "tool_calls")),
                ToolStarted(CALL),
                ToolFinished(Message("tool", (ToolResult("call_1", "42"),))),
                MessageAdded(Message("assistant", (Text("42"),), "stop")),
            ),
        ),
    }
    for number, (key, (asked, facts)) in enumerate(answers.items()):
        await tell(store, key, number, asked, *facts)
        await first if number == 0 else await anext(orders)
        clock.advance(60)
    await orders.aclose()
    await store.close()


def fill(directory: Path) -> None:
    """Put two conversations into `directory`:

    `wx:dm:ann` (2 messages, with control characters), then `wx:dm:bob` (4, with a tool and an image).
    """
    asyncio.run(_fill(directory))
