"""What the two ways to ask for a turn have in common, once their bodies are parsed."""

from collections.abc import Sequence

import msgspec

from nanobot.api.wire.call_ids import told_apart
from nanobot.api.wire.call_order import in_steps, is_in_steps
from nanobot.core.message import ClientTool, Message, begun
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Labels, OutputFormat, Sampling


class ParsedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a turn.

    `input` is new to the agent, `earlier` came before (it ends with the last assistant message, or is empty).
    Where an assistant message is the very last, it ends `input`, as the beginning of the answer.
    `trace`: the turn stays in the transcript. `may_cut`: the oldest messages may be left out where the
    model's window is too small. `stream_fields`: how many fields the body has that say how the answer is
    streamed. `tools_left_out`, `items_left_out`: the types of what the model is not offered and not shown.
    `items_known`: the types of items of this server, which the transcript has and the model is shown only
    from there. `format_param`: where the body has the schema of the answer.
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
    items_known: tuple[str, ...] = ()
    format: OutputFormat | None = None
    format_param: str | None = None
    labels: Labels = Labels()


def divided(conversation: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return `(earlier, new)`: new is what stands after the last assistant message. One that is the very last
    is the beginning of the answer, and new as well; with calls, it is shown as it is. Calls that share an id
    are told apart, and results stand where their calls are.
    """
    if not is_in_steps(conversation):
        conversation = in_steps(told_apart(conversation))
    end = len(conversation)
    ending = conversation[-1] if conversation else None
    last = end - 1 if ending is not None and ending.role == "assistant" else end
    start = last
    while start and conversation[start - 1].role != "assistant":
        start -= 1
    new = tuple(conversation[start:])
    if ending is not None and ending.role == "assistant" and not ending.tool_calls:
        new = (*new[:-1], begun(ending))
    return tuple(conversation[:start]), new
