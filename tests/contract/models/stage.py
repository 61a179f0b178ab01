"""What the suite asks of each implementation of a model, and how their providers fail."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRejectedRequest,
    ModelTimeout,
    ModelUnreachable,
)
from nanobot.core.message import user
from nanobot.core.model import Model, ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.core.turn import Sampling

Fault = Literal[
    "bad key",
    "rate limit",
    "overload",
    "unreachable",
    "rejected request",
    "overflow",
    "malformed answer",
    "cut answer",
    "no first byte",
    "stalled answer",
]
Ability = Literal["thinking", "tools", "pauses", "closing"]
FAULTS: Mapping[Fault, type[ModelError]] = {
    "bad key": ModelRefusedKey,
    "rate limit": ModelRateLimited,
    "overload": ModelOverloaded,
    "unreachable": ModelUnreachable,
    "rejected request": ModelRejectedRequest,
    "overflow": ContextOverflow,
    "malformed answer": ModelBadAnswer,
    "cut answer": ModelBadAnswer,
    "no first byte": ModelTimeout,
    "stalled answer": ModelTimeout,
}
MIDWAY: frozenset[Fault] = frozenset({"cut answer", "stalled answer"})
"""These come after the first delta, which is `BEGINNING`."""
BEGINNING = "It "
RETRY_AFTER_S = 21.0
"""What a rate limit asks for: more than is waited for."""
TOOL = tool_spec("look", "Look something up.", {"type": "object", "properties": {"at": {"type": "string"}}})
REQUEST = ModelRequest("Be brief.", (user("hi"),), (TOOL,), sampling=Sampling(max_output_tokens=8))


class Stage(Protocol):
    """One implementation. What it `lacks`, and why, is a sentence for the skipped test.

    Each of the methods that set up the next answer may be called once between two calls of `reset`.
    """

    model: Model
    lacks: Mapping[Ability | Fault, str]

    async def open(self, folder: Path) -> None: ...

    async def close(self) -> None: ...

    async def reset(self) -> None:
        """Go back to the state after `open`."""
        ...

    def says(self, *pieces: str) -> str | None:
        """Answer with the text in `pieces`; return what the message will say, None where that is not
        known.
        """
        ...

    def pauses(self, first: str, second: str) -> Callable[[], None]:
        """Answer with `first`, and with `second` once the returned function is called."""
        ...

    def thinks(self, thought: str, text: str) -> None: ...

    def calls(self, name: str, arguments: str) -> None: ...

    def fails(self, fault: Fault) -> None:
        """Fail each request, tries of the model's own included."""
        ...

    async def abandoned(self) -> None:
        """Return when the provider works on no request any more."""
        ...
