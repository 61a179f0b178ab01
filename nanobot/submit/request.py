"""What an entry point asks for, whichever it is."""

from operator import attrgetter

import msgspec

from nanobot.core.message import ClientTool, Message
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Identity, Labels, Origin, OutputFormat, Record, Sampling, Turn, WhenBusy

AGENT = "nanobot"
"""What clients call the agent on its default model, which a request names by None."""


def model_id(preset: str) -> str:
    """Return what clients call the agent on the model of a preset."""
    return f"{AGENT}:{preset}"


def preset_of(model: str) -> str:
    """Return the preset that a client means, which may also name it alone; other names as they are."""
    return model.removeprefix(f"{AGENT}:")


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one turn, before anything of it is looked at.

    `input` are the messages that are new to the agent, `earlier` those that the client sent before them; both
    may have parts that only refer to their content (`references.py`). `identity`: how the request is
    recognised when it is sent again. `format_param`: the field that an error about the schema names.
    Everything else is as in `Turn`.
    """

    session_key: str
    input: tuple[Message, ...]
    origin: Origin
    identity: Identity
    earlier: tuple[Message, ...] = ()
    when_busy: WhenBusy = "queue"
    model: str | None = None
    instructions: str = ""
    sampling: Sampling = Sampling()
    trace: bool = True
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    declared: tuple[ClientTool, ...] = ()
    format: OutputFormat | None = None
    labels: Labels = Labels()
    after: str | None = None
    may_cut: bool = True
    record: Record | None = None
    is_whole: bool = False
    continues: bool = False
    grace_s: float | None = None
    format_param: str | None = None

    def turn(
        self,
        id: str,  # noqa: A002 - as Turn
        key_id: str | None,
        default_model: str | None = None,
        address: str = "",
    ) -> Turn:
        """Return the turn that the request becomes; `key_id`: the API key that pays for it."""
        shared = dict(zip(_OF_TURN, _values(self), strict=True))
        return Turn(id=id, key_id=key_id, default_model=default_model, address=address, **shared)


_NOT_ASKED_FOR = ("id", "key_id", "default_model", "own_instructions", "delegation", "address")
_OF_TURN = tuple(name for name in Turn.__struct_fields__ if name not in _NOT_ASKED_FOR)
"""The fields that a request and its turn share: all that the turn does not get from the server."""
_values = attrgetter(*_OF_TURN)
