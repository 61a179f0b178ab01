"""A model that repeats what the user said: for demos and for tests of clients. Its name is `echo`."""

from collections.abc import AsyncGenerator

from nanobot.core.errors import ModelRejectedRequest
from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import File, Message, Text, Usage, estimate_tokens
from nanobot.core.model import Ability, ModelRequest


class EchoModel:
    """Answers `You said: …`, word by word, files included."""

    name = "echo"
    context_tokens = 128_000
    abilities: frozenset[Ability] = frozenset({"tools"})

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        if request.format is not None or request.tool_choice.mode == "required":
            raise ModelRejectedRequest(
                "echo only repeats what it is told: it calls no tools and holds to no response_format"
            )
        question = next(
            (_shown(message) for message in reversed(request.messages) if message.role == "user"), ""
        )
        answer = f"You said: {question}"
        for word in answer.splitlines(keepends=True) if len(answer) > 2_000 else _words(answer):
            if word:
                yield TextDelta(word)
        reply = Message("assistant", (Text(answer),))
        prompt_tokens = sum(estimate_tokens(message) for message in request.messages)
        yield Message(
            "assistant", reply.parts, "stop", Usage(prompt_tokens, estimate_tokens(reply)), self.name
        )

    async def warm(self) -> None:
        """Nothing to load."""

    async def check(self) -> None:
        """Always ready."""

    async def close(self) -> None:
        """Nothing to release."""


def _shown(message: Message) -> str:
    files = [part.shown for part in message.parts if isinstance(part, File)]
    return "\n".join(filter(None, (message.text, *files)))


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]
