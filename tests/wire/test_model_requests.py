"""Requests to a model's provider, byte for byte: `golden/model_requests.jsonl`, one conversation a line.

Providers keep what they have read of a conversation by its bytes: a change here costs every user their cache.
`NANOBOT_GOLDEN=write python -m pytest tests/wire` writes the file anew; read the difference before you commit
it.
"""

import os
from pathlib import Path

import msgspec
import pytest

from nanobot.context.build import build
from nanobot.core.compaction import Summary
from nanobot.core.dispatch import History
from nanobot.core.extent import Extent
from nanobot.core.message import (
    Audio,
    File,
    Image,
    Message,
    ProviderState,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    user,
)
from nanobot.core.plan import AgentState, PlanStep, TaskPlan
from nanobot.core.tool import ToolSpec
from nanobot.core.turn import Turn
from nanobot.models.openai.canonical import canonical
from nanobot.models.openai.request import encode

GOLDEN = Path(__file__).parent / "golden" / "model_requests.jsonl"
NOON = 1_800_000_000.0
PICTURE = Image("data:image/png;base64,AAAA", "low")
LOOK = ToolSpec("look_up", "Look something up.", msgspec.Raw(b'{"type":"object"}'))


def said(text: str, *, stop_reason: str = "stop", name: str | None = None) -> Message:
    return msgspec.convert(
        {
            "role": "assistant",
            "parts": [{"type": "text", "text": text}],
            "stop_reason": stop_reason,
            "model": "openai:bench",
            "name": name,
        },
        Message,
    )


def by(name: str, text: str) -> Message:
    return Message("user", (Text(text),), name=name)


def called(*ids: str, arguments: str = '{"what":"tide"}', text: str = "") -> Message:
    calls = tuple(ToolCall(id_, "look_up", arguments) for id_ in ids)
    return Message("assistant", (*((Text(text),) if text else ()), *calls), "tool_calls")


def told(id_: str, content: str = "high at noon") -> Message:
    return Message("tool", (ToolResult(id_, content),))


def state(provider: str, name: str, value: bytes) -> ProviderState:
    return ProviderState(provider, name, msgspec.Raw(value))


def talk(turns: int, text: str = "What is “next”?\n\tTab, \\ and é.") -> tuple[Message, ...]:
    return tuple(each for n in range(turns) for each in (user(f"{n}: {text}"), said(f"No. {n}, {text}")))


ASKED = user("And now?")
SUMMARY = Summary("- Alice lives in Rome.\n- The code is 4711.", 4_000, 80, 30)
PLAN = TaskPlan("Sail", (PlanStep("find the tide", "done"), PlanStep("leave", "open")))
WITH_STATE = (
    user("a"),
    Message(
        "assistant",
        (
            Thinking("hm", state("deepseek", "reasoning_content", b"null")),
            ToolCall(
                "1",
                "look_up",
                "{}",
                provider_state=state("gemini", "extra_content", b'{"google":{"thought_signature":"S"}}'),
            ),
        ),
        "tool_calls",
    ),
    told("1"),
    Message(
        "assistant",
        (
            Thinking("mm", state("openrouter", "reasoning_details", b'[{"type":"reasoning.text"}]')),
            Text("b"),
        ),
        "stop",
    ),
    ASKED,
)
CONVERSATIONS: dict[str, History] = {
    "first": History((ASKED,)),
    "texts": History((*talk(3), ASKED)),
    "left out": History((*talk(40), ASKED), 9_000, skipped_messages=120),
    "summary": History((*talk(3), ASKED), 4_000, skipped_messages=80, summary=SUMMARY),
    "summary and left out": History((*talk(60), ASKED), 4_500, skipped_messages=90, summary=SUMMARY),
    "summary, then tools": History(
        (*talk(2), user("tide?"), called("c1", text="I look."), told("c1"), said("noon"), ASKED),
        4_000,
        skipped_messages=80,
        summary=SUMMARY,
    ),
    "tools": History(
        (user("tide?"), called("c1", "c2"), told("c2"), told("c1"), said("noon"), *talk(2), ASKED)
    ),
    "ids that come again": History(
        (user("a"), called("0"), told("0"), said("b"), user("c"), called("0"), told("0", ""), ASKED)
    ),
    "calls cut off": History((user("a"), called("1", arguments='{"wh'), user("b"), called("2"), ASKED)),
    "long result": History((user("a"), called("1"), told("1", "deep water. " * 4_000), said("b"), ASKED)),
    "picture": History((Message("user", (Text("look"), PICTURE)), said("a ship"), ASKED)),
    "picture of a tool": History(
        (user("a"), called("1"), Message("tool", (ToolResult("1", ""), PICTURE)), said("b"), ASKED)
    ),
    "recording": History((Message("user", (Audio("AAAA", "wav"), Text("hear"))), said("a bell"), ASKED)),
    "files": History(
        (
            Message("user", (File('a "b".txt', "one\ntwo"), File("c.md", "three", "file-1", Extent()))),
            said("read"),
            Message("user", (Text("and"), File("long.txt", "line of it\n" * 9_000))),
        )
    ),
    "participants": History((by("Ann", "hi"), said("hello"), by("Bob", "Bob: me too"), by("Ann", "well?"))),
    "assistants with names": History((user("a"), said("b", name="X"), user("c"), said("d", name="Y"), ASKED)),
    "answer cut and continued": History((user("a"), said("b", stop_reason="length"), said("c"), ASKED)),
    "broken off": History((user("a"), said("b", stop_reason="incomplete"), user("c"), ASKED)),
    "assistant first": History((said("a"), ASKED)),
    "ends with the assistant": History((user("a"), said("b", stop_reason="length"))),
    "blank": History((user(" "), said("\n"), user("a"), said(" b"), user("\t"), ASKED)),
    "neighbours": History((user("a"), user("b"), said("c"), said("d"), user("e"), ASKED)),
    "state": History(WITH_STATE),
    "plan": History((*talk(1), ASKED), state=AgentState(PLAN)),
    "plan beside a result": History((user("a"), called("1"), told("1")), state=AgentState(PLAN)),
}


def written(history: History, provider: str) -> bytes:
    turn = Turn("turn_1", "wx:dm:alice", history.messages[-1:], "api", instructions="Be brief.")
    request = build(
        turn,
        history,
        tools=(LOOK,),
        budget_tokens=3_000,
        now=NOON,
        plan=history.state.plan,
        secret=b"secret",
    )
    # What day it is depends on where the test runs.
    notes = "\n".join(("Today is Friday.", *request.notes.splitlines()[1:]))
    shown = msgspec.structs.replace(request, messages=canonical(request.messages), notes=notes)
    return encode(
        shown,
        model="bench",
        limit_field="max_tokens",
        includes_usage=True,
        includes_openai_fields=True,
        extra={},
        abilities=frozenset(("images", "audio", "tools")),
        provider=provider,
    )


def recorded() -> dict[str, str]:
    return {
        f"{name} ({provider})": written(history, provider).decode()
        for name, history in CONVERSATIONS.items()
        for provider in (("deepseek", "gemini", "openrouter", "openai") if name == "state" else ("openai",))
    }


if os.environ.get("NANOBOT_GOLDEN") == "write":
    GOLDEN.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in recorded().items()))
KNOWN: dict[str, str] = dict(map(msgspec.json.decode, GOLDEN.read_bytes().splitlines()))


@pytest.mark.parametrize("name", KNOWN)
def test_a_conversation_is_sent_with_the_same_bytes_as_ever(name: str) -> None:
    assert recorded()[name] == KNOWN[name]


def test_each_kind_of_conversation_is_recorded() -> None:
    assert recorded().keys() == KNOWN.keys()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_sent_with_the_same_bytes_once_it_was_stored_and_read_again(name: str) -> None:
    history = CONVERSATIONS[name]
    stored = msgspec.json.encode(history.messages)
    read = msgspec.structs.replace(history, messages=msgspec.json.decode(stored, type=tuple[Message, ...]))
    assert written(read, "openai") == written(history, "openai")
