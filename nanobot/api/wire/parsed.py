"""What the two ways to ask for a turn have in common, once their bodies are parsed."""

import msgspec

from nanobot.core.message import ClientTool, Message
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Labels, OutputFormat, Sampling


class ParsedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a turn.

    `input` is new to the agent, `earlier` came before (it ends with the last assistant message, or is empty).
    `trace`: the turn stays in the transcript. `may_cut`: the oldest messages may be left out where the
    model's window is too small. `stream_fields`: how many fields the body has that say how the answer is
    streamed. `tools_left_out`, `items_left_out`: the types of what the model is not offered and not shown.
    `format_param`: where the body has the schema of the answer.
    """

    model: str
    input: tuple[Message, ...]
    earlier: tuple[Message, ...]
    instructions: str
    sampling: Sampling
    stream: bool
    stream_fields: int
    trace: bool
    may_cut: bool = True
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    declared: tuple[ClientTool, ...] = ()
    tools_left_out: tuple[str, ...] = ()
    items_left_out: tuple[str, ...] = ()
    format: OutputFormat | None = None
    format_param: str | None = None
    labels: Labels = Labels()
