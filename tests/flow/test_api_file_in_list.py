"""Clients that keep their own history send the same files again and again."""

import base64
from typing import Any

from nanobot.testing import ScriptedModel
from tests.harness import OpenHarness


async def test_a_long_list_with_a_file_goes_on_as_any_other(open_harness: OpenHarness) -> None:
    turns = 8
    model = ScriptedModel(*(f"answer {number}" for number in range(turns)))
    door = (await open_harness(model)).door
    data = base64.b64encode(b"a,b\n1,2\n").decode()
    file: dict[str, Any] = {"type": "file", "file": {"filename": "a.csv", "file_data": data}}
    messages: list[dict[str, Any]] = []
    for number in range(turns):
        text = {"type": "text", "text": f"question {number}"}
        messages.append({"role": "user", "content": [text, file] if number in (0, 3) else [text]})
        exchange = await door.chat("k", messages)
        assert exchange.status == 200, exchange.json
        assert "x-history" not in exchange.headers or number == 0
        messages.append({"role": "assistant", "content": f"answer {number}"})
    told = [message.text for message in model.requests[-1].messages if message.role == "user"]
    assert len(told) == turns
