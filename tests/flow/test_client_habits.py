"""What clients of every habit send, and what the model is then shown: one table.

A row is a conversation: each entry is what the client sends (`U:` user, `A:` the assistant's words as the
client holds them, `S:` instructions; in front of a whole entry `!`: a request with `store: false`, `W:`: one
with `x-history-mode: whole`), then what the model must see of it, and what became of the history where the
answer says so. The model answers `a1`, `a2`, … in the order in which it is asked.
"""

from typing import Any

import msgspec
import pytest

from nanobot.core.message import ToolResult
from nanobot.core.model import ModelRequest
from nanobot.testing import ScriptedModel
from tests.asgi import Exchange
from tests.harness import OpenHarness

ROLES = {"U": "user", "A": "assistant", "S": "system"}


class Sent(msgspec.Struct, frozen=True):
    """One request: lines, separated by `|`, and what the model is to be shown."""

    lines: str
    shown: str
    note: str = ""


HABITS: dict[str, tuple[Sent, ...]] = {
    "a single message each time": (
        Sent("U:q1", "U:q1"),
        Sent("U:q2", "U:q1|A:a1|U:q2"),
        Sent("U:q3", "U:q1|A:a1|U:q2|A:a2|U:q3"),
    ),
    "the full history each time": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent("U:q1|A:a1|U:q2|A:a2|U:q3", "U:q1|A:a1|U:q2|A:a2|U:q3"),
    ),
    "the full history, once the session has more than the client knows": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent("U:q1|A:a1|U:q2|A:a2|U:q3", "U:q1|A:a1|U:q2|A:a2|U:q3"),
        Sent("U:q4", "U:q1|A:a1|U:q2|A:a2|U:q3|A:a3|U:q4"),
    ),
    "a trimmed window of history": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent("A:a2|U:q3", "U:q1|A:a1|U:q2|A:a2|U:q3"),
        Sent("U:q3|A:a3|U:q4", "U:q1|A:a1|U:q2|A:a2|U:q3|A:a3|U:q4"),
    ),
    "an edited message": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent("U:q1|A:a1|U:q2, better", "U:q1|A:a1|U:q2, better", "rewound"),
        Sent("U:q1|A:a1|U:q2, better|A:a3|U:q3", "U:q1|A:a1|U:q2, better|A:a3|U:q3"),
    ),
    "an answer that is regenerated": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2", "rewound"),
    ),
    "instructions that change in mid-conversation": (
        Sent("S:be brief|U:q1", "S:be brief|U:q1"),
        Sent("S:be kind|U:q1|A:a1|U:q2", "S:be kind|U:q1|A:a1|U:q2"),
        Sent("U:q3", "U:q1|A:a1|U:q2|A:a2|U:q3"),
    ),
    "two tabs on one key": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:left", "U:q1|A:a1|U:left"),
        Sent("U:q1|A:a1|U:right", "U:q1|A:a1|U:right", "rewound"),
        Sent("U:q1|A:a1|U:left|A:a2|U:left again", "U:q1|A:a1|U:left|A:a2|U:left again", "rewound"),
        Sent("U:q1|A:a1|U:right|A:a3|U:right again", "U:q1|A:a1|U:right|A:a3|U:right again", "rewound"),
    ),
    "a history imported into a new key": (
        Sent("U:old|A:older|U:q1", "U:old|A:older|U:q1", "imported"),
        Sent("U:old|A:older|U:q1|A:a1|U:q2", "U:old|A:older|U:q1|A:a1|U:q2"),
        Sent("U:q3", "U:old|A:older|U:q1|A:a1|U:q2|A:a2|U:q3"),
    ),
    "hidden requests for titles and tags": (
        Sent("U:q1", "U:q1"),
        Sent("!U:name this chat", "U:q1|A:a1|U:name this chat"),
        Sent("!S:you make tags|U:tag this chat", "S:you make tags|U:q1|A:a1|U:tag this chat"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
    ),
    "hidden requests with a history of their own": (
        Sent("U:old", "U:old"),
        Sent("!U:q1|A:a|U:q2", "U:q1|A:a|U:q2"),
        Sent("!U:old|A:a1|U:tag this chat", "U:old|A:a1|U:tag this chat"),
        Sent("!U:old|A:a1, in short|U:tag this chat", "U:old|A:a1, in short|U:tag this chat"),
        Sent("U:old|A:a1|U:q3", "U:old|A:a1|U:q3"),
        Sent("!U:q3|A:a5|U:tag this chat", "U:q3|A:a5|U:tag this chat"),
        Sent("!W:U:name this chat", "U:name this chat"),
        Sent("U:q4", "U:old|A:a1|U:q3|A:a5|U:q4"),
    ),
    "a history of another conversation": (
        Sent("U:q1", "U:q1"),
        Sent("U:x|A:never said|U:q2", "U:x|A:never said|U:q2", "replaced"),
    ),
    "several new messages at once": (
        Sent("U:q1|U:q2", "U:q1|U:q2"),
        Sent("U:q1|U:q2|A:a1|U:q3|U:q4", "U:q1|U:q2|A:a1|U:q3|U:q4"),
    ),
    "an answer that the client put in better words": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1, in its own words|U:q2", "U:q1|A:a1, in its own words|U:q2", "replaced"),
    ),
    "a document before each question, as it is now": (
        Sent("U:doc v1|A:OK|U:sum", "U:doc v1|A:OK|U:sum", "imported"),
        Sent("U:doc v2|A:OK|U:sum", "U:doc v2|A:OK|U:sum", "replaced"),
        Sent("U:doc v2|A:OK|U:sum|A:a2|U:more", "U:doc v2|A:OK|U:sum|A:a2|U:more"),
    ),
    "files before the newest question": (
        Sent("U:FILES v1|A:Ok|U:q1", "U:FILES v1|A:Ok|U:q1", "imported"),
        Sent("U:q1|A:a1|U:FILES v2|A:Ok|U:q2", "U:FILES v1|A:Ok|U:q1|A:a1|U:FILES v2|A:Ok|U:q2", "replaced"),
    ),
    "a question in the middle that is deleted": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2 SECRET", "U:q1|A:a1|U:q2 SECRET"),
        Sent("U:q1|A:a1|U:q2 SECRET|A:a2|U:q3", "U:q1|A:a1|U:q2 SECRET|A:a2|U:q3"),
        Sent("U:q1|A:a1|U:q3|A:a3|U:q4", "U:q1|A:a1|U:q3|A:a3|U:q4", "replaced"),
        Sent("U:q1|A:a1|U:q3|A:a3|U:q4|A:a4|U:q5", "U:q1|A:a1|U:q3|A:a3|U:q4|A:a4|U:q5"),
    ),
    "messages inserted and put in another order": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent("U:q0|A:a0|U:q1|A:a1|U:q2|A:a2|U:q3", "U:q0|A:a0|U:q1|A:a1|U:q2|A:a2|U:q3", "replaced"),
        Sent("U:q1|A:a1|U:q0|A:a0|U:q4", "U:q1|A:a1|U:q0|A:a0|U:q4", "replaced"),
    ),
    "a summary in place of the beginning": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent(
            "U:so far: q1|A:a1, in short|U:q2|A:a2|U:q3",
            "U:so far: q1|A:a1, in short|U:q2|A:a2|U:q3",
            "replaced",
        ),
    ),
    "a trimmed window with an edited question": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2", "U:q1|A:a1|U:q2"),
        Sent("U:q2|A:a2|U:q3", "U:q1|A:a1|U:q2|A:a2|U:q3"),
        Sent("U:q2|A:a2|U:q3 better", "U:q1|A:a1|U:q2|A:a2|U:q3 better", "rewound"),
    ),
    "a first message that was edited, where the client may have trimmed": (
        Sent("U:my pin is 1234", "U:my pin is 1234"),
        Sent("U:hello", "U:my pin is 1234|A:a1|U:hello"),
        Sent("U:hello|A:a2|U:q2", "U:my pin is 1234|A:a1|U:hello|A:a2|U:q2"),
    ),
    "a first message that was edited, in a request that is the whole conversation": (
        Sent("W:U:my pin is 1234", "U:my pin is 1234"),
        Sent("W:U:hello", "U:hello", "rewound"),
        Sent("W:U:hello|A:a2|U:q2", "U:hello|A:a2|U:q2"),
        Sent("W:U:hello", "U:hello", "rewound"),
    ),
    "a beginning that was deleted, in a request that is the whole conversation": (
        Sent("U:my pin is 1234", "U:my pin is 1234"),
        Sent("U:hello", "U:my pin is 1234|A:a1|U:hello"),
        Sent("W:U:hello|A:a2|U:q2", "U:hello|A:a2|U:q2", "replaced"),
        Sent("W:U:hello|A:a2|U:q2|A:a3|U:q3", "U:hello|A:a2|U:q2|A:a3|U:q3"),
    ),
    "the only question asked once more": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1", "U:q1", "rewound"),
        Sent("U:q1|A:a2|U:q2", "U:q1|A:a2|U:q2"),
        Sent("U:q1", "U:q1|A:a2|U:q2|A:a3|U:q1"),
    ),
    "an empty bubble of a failed try": (
        Sent("U:q1", "U:q1"),
        Sent("U:q1|A:a1|U:q2|A:|U:try again", "U:q1|A:a1|U:q2|U:try again"),
    ),
    "an answer with its thoughts, line ends and spaces of the client's own": (
        Sent("U:caf\u00e9\nau lait", "U:caf\u00e9\nau lait"),
        Sent("U:cafe\u0301\r\nau lait|A:<think>hm</think>\n\n a1 |U:q2", "U:caf\u00e9\nau lait|A:a1|U:q2"),
        Sent(
            "U:caf\u00e9\nau lait|A:<think>hm</think>a1|U:q2 better",
            "U:caf\u00e9\nau lait|A:a1|U:q2 better",
            "rewound",
        ),
    ),
}


def body(lines: str) -> dict[str, Any]:
    hidden = lines.startswith("!")
    messages = [{"role": ROLES[line[0]], "content": line[2:]} for line in lines.lstrip("!").split("|")]
    return {"text": messages, **({"store": False} if hidden else {})}


def seen(request: ModelRequest) -> str:
    """What the model was shown, written as the table has it."""
    _, _, instructions = request.system.partition("\n\n")
    said = [f"{message.role[0].upper()}:{message.text}" for message in request.messages]
    return "|".join([*([f"S:{instructions}"] if instructions else []), *said])


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_of_any_habit_is_understood(
    open_harness: OpenHarness, habit: str, stream: bool
) -> None:
    rows = HABITS[habit]
    model = ScriptedModel(*(f"a{number}" for number in range(1, len(rows) + 1)))
    harness = await open_harness(model)
    for row in rows:
        lines = row.lines.replace("W:", "", 1)
        mode = {"x-history-mode": "whole"} if lines != row.lines else {}
        reply: Exchange = await harness.door.chat("k", headers=mode, **body(lines), stream=stream)
        assert reply.status == 200, reply.text
        assert seen(model.requests[-1]) == row.shown
        assert reply.headers.get("x-history", "") == row.note


async def test_a_hidden_request_leaves_no_trace_in_what_is_kept(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("a1", "a title"))
    await harness.door.chat("k", "q1")
    await harness.door.chat("k", "name this chat", store=False)
    rows = await harness.app.store.messages("k", limit=10)
    assert [row.message.text for row in rows] == ["q1", "a1"]
    assert not any(isinstance(part, ToolResult) for row in rows for part in row.message.parts)
