"""The real engine on the smallest weights there are: tests look at whether and how it answers, not at what
it says.
"""

import random
from contextlib import aclosing
from pathlib import Path

from nanobot.core.clock import SystemClock
from nanobot.core.message import Message
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Sampling
from nanobot.models.local.model import LocalModel
from tests.weights import TINY

__all__ = ["TINY", "answer", "local", "request"]

AS_IT_LIKES = ToolChoice()
SHORT = Sampling(temperature=0.0, max_output_tokens=8)


def local(
    models_dir: Path, folder: Path, name: str = TINY, *, warm_system: str = "You are kind."
) -> LocalModel:
    """Return a model whose engine writes its log to `folder`; the engine is not started yet."""
    return LocalModel(
        name=name,
        models_dir=models_dir,
        log_path=folder / "engine.log",
        clock=SystemClock(),
        random=random.Random(7),
        warm_system=warm_system,
        context_tokens=2_048,
    )


def request(
    *messages: Message,
    tools: tuple[ToolSpec, ...] = (),
    choice: ToolChoice = AS_IT_LIKES,
    sampling: Sampling = SHORT,
) -> ModelRequest:
    return ModelRequest("You are kind.", messages, tools, tool_choice=choice, sampling=sampling)


async def answer(model: LocalModel, asked: ModelRequest) -> tuple[str, Message]:
    """Return the text of the deltas, joined, and the message."""
    text = ""
    async with aclosing(model.stream(asked)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Message):
                return text, piece
            text += piece.text
    raise AssertionError("no message came")
