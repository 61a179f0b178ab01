"""A request for a turn becomes the turn with everything that it says."""

from typing import Any

import msgspec

from nanobot.core.message import ClientTool, user
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Identity, Labels, OutputFormat, Record, Sampling, Turn
from nanobot.submit.request import TurnRequest

SAID: dict[str, Any] = {
    "session_key": "wx:dm:ann",
    "input": (user("hello"),),
    "origin": "cli",
    "when_busy": "steer",
    "model": "fast",
    "instructions": "Be brief.",
    "sampling": Sampling(temperature=0.5),
    "trace": False,
    "tools": (ToolSpec("look", "Look it up.", msgspec.Raw(b"{}")),),
    "tool_choice": ToolChoice("required", "look"),
    "declared": (ClientTool("look", "peek", is_freeform=True),),
    "format": OutputFormat("json_object"),
    "labels": Labels({"a": "b"}),
    "after": "turn_0",
    "may_cut": False,
    "record": Record(msgspec.Raw(b"{}"), is_detached=True),
    "is_whole": True,
    "continues": True,
    "grace_s": -1.0,
}


def test_a_turn_has_every_field_of_its_request() -> None:
    of_the_server = {
        "id": "turn_1",
        "key_id": "key_ann",
        "default_model": "fast",
        "own_instructions": "",
        "delegation": None,
        "address": "192.0.2.7",
    }
    asked_for = set(Turn.__struct_fields__) - set(of_the_server)
    assert SAID.keys() == asked_for, "a field of Turn is not asked for"
    turn = TurnRequest(**SAID, identity=Identity(b"x")).turn("turn_1", "key_ann", "fast", "192.0.2.7")
    assert msgspec.structs.asdict(turn) == {**SAID, **of_the_server}


def test_what_a_request_leaves_out_is_as_a_turn_has_it() -> None:
    only = {name: SAID[name] for name in ("session_key", "input", "origin")}
    assert TurnRequest(**only, identity=Identity(b"x")).turn("turn_1", None) == Turn(id="turn_1", **only)
