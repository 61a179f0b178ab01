"""Which process answers: what one has read, the next has not."""

import random

from nanobot.models.local.engine_chat import EngineChat
from nanobot.models.local.process import Endpoint, Engine
from nanobot.testing import FakeClock


class NoEngine(Engine):
    """Never started: these tests ask for nothing."""


def test_a_process_that_is_new_has_read_nothing() -> None:
    chat = EngineChat(
        "m", NoEngine(), context_tokens=1_000, template={}, clock=FakeClock(), random=random.Random(1)
    )
    first, second = Endpoint("http://a", "/a", "key"), Endpoint("http://a", "/b", "key")
    chat.meet(first)
    chat.slots.read(0, "conversation", 600)
    chat.meet(first)
    assert [slot.number for slot in chat.slots.to_erase(900, 1_000)] == [0]
    chat.meet(second)
    assert chat.slots.to_erase(900, 1_000) == []
