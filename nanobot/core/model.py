"""Models: what a language model is asked, and what it promises."""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol, get_args

import msgspec

from nanobot.core.audience import Audience
from nanobot.core.errors import ModelError
from nanobot.core.event import Delta, ModelChosen
from nanobot.core.message import ContextView, Message, PassedOver
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Labels, OutputFormat, Sampling


class ModelRequest(msgspec.Struct, frozen=True):
    """Everything a model sees.

    `system`, `tools` and all but the newest of `messages` stay the same byte for byte from turn to turn, so
    that a provider's prefix cache hits. `notes` holds what changes (the date, hints); it is written at the
    end of the last user message. `session_hint` is an opaque, stable name of the conversation, by which
    caches are found and kept apart; the session key cannot be told from it, nor it from the key. `format` is
    set only where it is among the model's abilities. `is_side_task`: a front end's request beside a
    conversation (a title, tags), which nothing is added to.

    `lacking`: abilities that the model turned out to lack when this request was first made, and that it goes
    without. `window_tokens`: the size of its window, as a refusal of this request named it. A model that
    answers may remember both.

    `audience`: while nobody in it listens, deltas may come late and in larger pieces; None: they may not.
    Only models that pass a request on to others look at the rest. `refused_by`: the model of which `lacking`
    and `window_tokens` are true. `passed_over`: those that have failed this request already. No model looks
    at `context`: how much of the conversation the messages are, where they are not all of it.
    """

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    notes: str = ""
    sampling: Sampling = Sampling()
    session_hint: str = ""
    tool_choice: ToolChoice = ToolChoice()
    format: OutputFormat | None = None
    is_side_task: bool = False
    labels: Labels = Labels()
    lacking: frozenset[str] = frozenset()
    window_tokens: int | None = None
    audience: Audience | None = None
    refused_by: str | None = None
    passed_over: tuple[PassedOver, ...] = ()
    context: ContextView | None = None


Ability = Literal["json_object", "json_schema", "images", "audio", "tools", "reading_on", "noting"]
"""What only some models can do: keep to an output format, take images, take recordings, call tools, and call
those that take some skill: the tool that reads on in files, those of the web. `noting`: without that skill,
call those that note down, find and forget what a user asks to have noted down, found and forgotten.
"""
EVERYTHING: frozenset[Ability] = frozenset(get_args(Ability))

FORMAT_WITH_TOOLS = "format_with_tools"
"""What a model may lack that can keep to an output format and can call tools: both in one request."""


class AnswerTooLong(ModelError):
    """The answer is longer than the model may write, and was broken off; or its provider cut it for a reason
    that is not known. It is not to be continued.

    `answer`: what came of it, as it was yielded; its calls, which may be half ones, are left out.
    """

    code = "model_answer_too_long"

    def __init__(self, message: str, answer: Message) -> None:
        super().__init__(message)
        self.answer = answer


class Model(Protocol):
    """A language model.

    Attributes:
        name: `provider:model`, as `models.providers` reads it.
        context_tokens: how many tokens prompt and answer may have together.
        abilities: what it can do besides reading and writing text. An output format that is not among them is
            requested in the prompt.
    """

    @property
    def name(self) -> str: ...

    @property
    def context_tokens(self) -> int: ...

    @property
    def abilities(self) -> frozenset[Ability]: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelChosen | Delta | Message, None]:
        """Yield zero or more deltas, then exactly one `Message` (role `assistant`, with `stop_reason` and,
        where known, `usage`).

        The deltas' texts joined are the message's Text and Thinking parts joined, in order. Closing the
        generator stops the request.

        Where several models may answer, a `ModelChosen` comes before each one is asked, and none after the
        first delta.

        Raises:
            AnswerTooLong: the model did not stop in time, or was stopped.
            ModelError: the provider failed; the class says how. A failure is never passed off as text.
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
