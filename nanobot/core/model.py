"""Models: who answers. A provider is one implementation of `Model`."""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from nanobot.core.event import Delta
from nanobot.core.message import Message
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Labels, OutputFormat, Sampling


class ModelRequest(msgspec.Struct, frozen=True):
    """Everything a model sees.

    `system`, `tools` and all but the newest of `messages` are byte-stable from turn to turn, so that prefix
    caches hit. `notes` is what changes (the date, hints); a provider writes it at the end of the last user
    message. `session_hint` is an opaque, stable name of the conversation for cache routing; it says nothing
    about the key. `format` is asked of a model only where it is among its abilities.
    """

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    notes: str = ""
    sampling: Sampling = Sampling()
    session_hint: str = ""
    tool_choice: ToolChoice = ToolChoice()
    format: OutputFormat | None = None
    labels: Labels = Labels()


Ability = Literal["json_object", "json_schema", "images", "audio"]
"""What not every model can: hold to an output format, see, listen."""


class Model(Protocol):
    """A language model.

    Attributes: name: As the catalogue spells it, `provider:model`. context_tokens: How many tokens prompt and
      answer may have together. abilities: What it can besides reading and writing text. An output format that
      is not among them is asked for in words.
    """

    @property
    def name(self) -> str: ...

    @property
    def context_tokens(self) -> int: ...

    @property
    def abilities(self) -> frozenset[Ability]: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield zero or more deltas, then exactly one `Message` (role `assistant`, with `stop_reason` and,
        where known, `usage`).

        The deltas' texts joined are the message's Text and Thinking parts joined, in order. Closing the
        generator stops the request.

        Raises:
            ModelError: the provider failed; the class says how. Never told as text.
        """
        ...

    async def warm(self) -> None:
        """Do ahead of time what the first request would otherwise wait for: load a library, start a process.

        Optional: a request does the same where it was not called. Loading weights may go on after it returns.

        Raises:
            ModelError: the model was closed.
        """
        ...

    async def check(self) -> None:
        """Return when the model could answer now; cheap, no tokens spent.

        Raises:
            ModelError: why it could not.
        """
        ...

    async def close(self) -> None:
        """Release connections and processes, and end running requests. Safe to call twice."""
        ...
