"""What a request needs of a model: which of the needs one lacks, and whether the request fits its window."""

from collections.abc import Iterator
from itertools import takewhile

from nanobot.core.errors import ContextOverflow, ModelError, ModelLacksAbility
from nanobot.core.message import Audio, Image, Message, estimate_tokens
from nanobot.core.model import Ability, Model, ModelRequest

_BYTES_PER_TOKEN = 4


class Needs:
    """What `request` needs.

    What the user has just sent must be taken; what stands further up in the conversation should be.
    """

    def __init__(self, request: ModelRequest) -> None:
        newest = tuple(takewhile(lambda message: message.role != "assistant", reversed(request.messages)))
        form = request.format.kind if request.format is not None else None
        self._request = request
        self._new = frozenset(_media(newest))
        self._tools: frozenset[Ability] = frozenset({"tools"}) if request.tools else frozenset()
        self._form: frozenset[Ability] = frozenset({form} if form and form not in request.lacking else ())
        self._all = self._tools | self._form | frozenset(_media(request.messages))
        self._tokens: int | None = None

    def lacking(self, model: Model) -> frozenset[Ability]:
        """Return what the model lacks to answer the request as well as others."""
        return self._all - model.abilities

    def unmet_by(self, model: Model) -> ModelError | None:
        """Return why it is no use to send the request to the model as it is; None where it can be tried."""
        lacking = self.lacking(model)
        if media := sorted(self._new & lacking):
            return ModelLacksAbility(f"{model.name} takes no {' and no '.join(media)}")
        unmet = sorted(self._tools & lacking or self._form & lacking)
        return ModelLacksAbility(f"{model.name} lacks {unmet[0]}", ability=unmet[0]) if unmet else None

    def overflow_of(self, model: Model) -> ContextOverflow | None:
        """Return the error where the request alone is larger than the model's window."""
        if self._tokens is None:
            self._tokens = _size(self._request)
        window = model.context_tokens
        if self._tokens <= window:
            return None
        return ContextOverflow(
            f"{model.name}: some {self._tokens} tokens do not fit its window of {window}", limit_tokens=window
        )


def _media(messages: tuple[Message, ...]) -> Iterator[Ability]:
    for message in messages:
        for part in message.parts:
            if isinstance(part, Image):
                yield "images"
            elif isinstance(part, Audio):
                yield "audio"


def _size(request: ModelRequest) -> int:
    fixed_bytes = len(request.system) + sum(len(bytes(tool.parameters)) for tool in request.tools)
    return fixed_bytes // _BYTES_PER_TOKEN + sum(map(estimate_tokens, request.messages))
