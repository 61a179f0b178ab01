"""A model as its settings want it: with sampling of its own, without images, without tools."""

from collections.abc import AsyncGenerator

import msgspec

from nanobot.core.errors import ModelLacksAbility
from nanobot.core.event import Delta, ModelChosen
from nanobot.core.message import Image, Message, Text
from nanobot.core.model import Ability, Model, ModelRequest
from nanobot.core.turn import Sampling
from nanobot.models.images import NO_IMAGE_NOTE
from nanobot.models.negotiation import has_new_image

_NOT_SET: tuple[object, ...] = (None, ())


class ConfiguredModel:
    """The model `inner` within what its settings say.

    `sampling`: how a request is sampled wherever it does not say it. `lacks`: what the settings say that the
    model cannot do: with `images`, a note stands for those of earlier messages, and new ones are refused;
    with `tools`, requests with tools are refused, and the server's own are not offered.
    """

    def __init__(self, inner: Model, sampling: Sampling, lacks: frozenset[Ability]) -> None:
        self._inner = inner
        self._lacks = lacks
        self._sampling = {
            field: value for field, value in msgspec.structs.asdict(sampling).items() if value not in _NOT_SET
        }

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def context_tokens(self) -> int:
        return self._inner.context_tokens

    @property
    def abilities(self) -> frozenset[Ability]:
        return self._inner.abilities - self._lacks

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelChosen | Message, None]:
        """As `inner`, with what the settings say.

        Raises:
            ModelLacksAbility: the request needs what the settings say that the model lacks.
            ModelError: as `inner`.
        """
        if request.tools and "tools" in self._lacks:
            text = f"{self.name} takes no tools, as the settings say: send the request without them"
            return _refused(ModelLacksAbility(text, ability="tools"))
        if "images" in self._lacks:
            if has_new_image(request):
                text = f"{self.name} takes no images, as the settings say: send the request without them"
                return _refused(ModelLacksAbility(text))
            request = _without_images(request)
        return self._inner.stream(self._sampled(request))

    async def warm(self) -> None:
        await self._inner.warm()

    async def check(self) -> None:
        """Return when the model could answer now.

        Raises:
            ModelError: why it could not.
        """
        await self._inner.check()

    async def close(self) -> None:
        await self._inner.close()

    def _sampled(self, request: ModelRequest) -> ModelRequest:
        asked = request.sampling
        missing = {
            field: value for field, value in self._sampling.items() if getattr(asked, field) in _NOT_SET
        }
        if not missing:
            return request
        return msgspec.structs.replace(request, sampling=msgspec.structs.replace(asked, **missing))


async def _refused(error: ModelLacksAbility) -> AsyncGenerator[Delta | ModelChosen | Message, None]:
    """Raise `error` when the first item is asked for, as a model does."""
    yield _raise(error)


def _raise(error: ModelLacksAbility) -> Delta | Message:
    raise error


def _without_images(request: ModelRequest) -> ModelRequest:
    if not any(isinstance(part, Image) for message in request.messages for part in message.parts):
        return request
    messages = tuple(_without_image(message) for message in request.messages)
    return msgspec.structs.replace(request, messages=messages)


def _without_image(message: Message) -> Message:
    parts = tuple(Text(NO_IMAGE_NOTE) if isinstance(part, Image) else part for part in message.parts)
    return msgspec.structs.replace(message, parts=parts)
